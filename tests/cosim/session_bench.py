# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the session on a controller with faults, run by test_session.py."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from faulty_harness import CHIP, HARDWARE, Fault

from cosim import session
from cosim.job import STEPS_PER_CYCLE, Run
from cosim.session import HostError, Session
from cosim.timing import FlatTiming

#: Short, since tests wait for twice as long; operations of these tiles take 2 cycles.
session.WATCHDOG = 1000
#: A hang is a failure.
LIMITS = {"timeout_time": 50_000, "timeout_unit": "step"}
EXAMPLES = 4
RUN = Run(
    chip=CHIP,
    pixels=np.random.default_rng(1).integers(0, 256, (EXAMPLES, 3)).astype(np.uint8),
    labels=np.array([0, 1, 1, 0]),
    initial=False,
)
#: Pairs of a fault's name and its number.
FAULTS = json.loads(os.environ["SESSION_FAULTS"])


def start(dut, run=RUN, fault=Fault.NONE, at=0):
    """Return a session on a controller with a fault."""
    Clock(dut.clk, STEPS_PER_CYCLE, unit="step").start()
    dut.fault.value, dut.at.value = fault.value, at
    return Session(dut, HARDWARE, run)


@cocotb.test(**LIMITS)
@cocotb.parametrize((("fault", "at"), FAULTS))
async def trains(dut, fault, at):
    """Write what the session reports."""
    report = await start(dut, fault=Fault[fault], at=at).run()
    path = Path(os.environ["SESSION_REPORTS"], f"{fault} {at}")
    path.write_text(json.dumps(asdict(report)))


@cocotb.test(**LIMITS)
async def registers_that_do_not_exist_are_refused(dut):
    host = start(dut)
    await host.reset()
    outside = (1 << len(dut.bus__awaddr)) - 4
    with pytest.raises(HostError, match=rf"^register at {outside:#x} must take 0x5, but it was"):
        await host.write(outside, 5)
    with pytest.raises(HostError, match=rf"^register at {outside:#x} must be readable, but it was"):
        await host.read(outside)
    await host.set("WATCHDOG", cycles=77)
    assert await host.get("WATCHDOG") == {"cycles": 77}


class NoTiming(FlatTiming):
    """Breaks down."""

    def cycles(self, op, log2_reads, vector):
        raise ZeroDivisionError


@cocotb.test(**LIMITS, expect_error=ZeroDivisionError)
async def an_error_in_a_tile_ends_the_simulation(dut):
    await start(dut, replace(RUN, timing=NoTiming(1))).run()
