# SPDX-License-Identifier: Apache-2.0
"""A host's driver for tests of the assembled controller, over the bus models of cocotbext-axi.

cocotbext-axi 0.1.28 runs on cocotb 2.1 as it is.
"""

import itertools
import os
import random
from dataclasses import dataclass, replace
from typing import ClassVar

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from analog_models.presets import TILES
from cosim.tile_server import TileServer, serve_tile
from cosim.timing import FlatTiming
from golden.config import ChipConfig, TransferConfig
from golden.errors import ErrorCode
from golden.hardware import ControllerConfig
from golden.machine import COUNTERS, LAYER_COUNTERS, Machine
from golden.placement import WRITE_PC, Placement
from golden.registers import counter_names
from golden.schedule import initial_weights
from rtl.tile_port import TileOp

CHIP = ChipConfig(
    layers=(9, 5, 4),
    forward_shift=(14, 15),
    backward_shift=(13, 13),
    tile=TILES["tuned"].but(rows=(5, "test"), cols=(3, "test"), age_periods=(3, "test")),
    transfer=TransferConfig(interval=4),
    seed=9,
)
#: With room for programs that start far behind the first one.
HARDWARE = replace(ControllerConfig.of(CHIP, lanes=4, transfer_lanes=2), program=64)
RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (10, 9)).astype(np.uint8)
LABELS = RNG.integers(0, 4, 10)


@dataclass
class SlowTiming:
    """One operation takes long, all others 2 cycles."""

    slow: TileOp | None = None
    long: ClassVar[int] = 100

    def cycles(self, op, log2_reads, vector):
        return self.long if op == self.slow else 2


#: The watchdog's limit, less SlowTiming.long, that training needs if one tile is slow: for all
#: tiles of layer 0, then of layer 1. Results of others, and vectors for them, count meanwhile.
LONGEST_WAIT = {
    TileOp.FORWARD: (-2, -6, -3, -5, -1, -5, -3, -5),
    TileOp.BACKWARD: (None,) * 4 + (-33, -35, -37, -37),
    TileOp.UPDATE: (-12, -11, -14, -13, -50, -50, -50, -49),
    TileOp.READ: (1,) * 8,
    TileOp.PROGRAM: (1,) * 8,
    TileOp.TUNE: (1,) * 8,
}


class Host:
    """What a host's driver would do, over a third party's bus models."""

    def __init__(self, dut, cycles=2, *, timings=None):
        self.dut = dut
        self.place = Placement(CHIP, HARDWARE)
        self.rtl, self.golden = Machine(CHIP), Machine(CHIP)
        self.tiles = [t for i in range(2) for *_, t in self.rtl.blocks(i)]
        self.timings = timings or [FlatTiming(cycles)] * len(self.tiles)

    async def start(self, *, serve=True):
        d = self.dut
        d.bus__awprot.value = d.bus__arprot.value = 0
        for k in range(HARDWARE.tiles):
            for name in ("result", "duration", "stuck"):
                getattr(d, f"tiles__{k}__{name}").value = int(name == "duration")
        if hasattr(d, "mutant"):  # see bench/controller_mutants.py
            d.mutant.value = int(os.environ["CROSSFORGE_MUTANT"])
        d.rst.value = 1
        Clock(d.clk, 2, unit="step").start()
        args = d.clk, d.rst
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(d, "bus_"), *args)
        self.examples = AxiStreamSource(AxiStreamBus.from_prefix(d, "examples_"), *args)
        self.goals = AxiStreamSource(AxiStreamBus.from_prefix(d, "goals_"), *args)
        self.results = AxiStreamSink(AxiStreamBus.from_prefix(d, "results_"), *args)
        await ClockCycles(d.clk, 4)
        d.rst.value = 0
        await ClockCycles(d.clk, 2)
        for k, (tile, timing) in enumerate(zip(self.tiles, self.timings, strict=True)):
            server = TileServer(tile, timing, lanes=HARDWARE.lanes)
            cocotb.start_soon(serve_tile(d, f"tiles__{k}", server))
        for address, word in self.place.setup(self.golden):
            await self.bus.write_dword(address, word)
        await self.set("IRQ_ENABLE", done=1, error=1)

    async def set(self, name, **fields):
        await self.bus.write_dword(
            self.place.map.address(name), self.place.map.encode(name, **fields)
        )

    async def get(self, name):
        word = await self.bus.read_dword(self.place.map.address(name))
        return self.place.map.decode(name, word)

    async def begin(self, pc, examples=0):
        await self.set("START_PC", pc=pc)
        await self.set("EXAMPLES", n=examples)
        await self.set("CONTROL", start=1)

    async def interrupted(self, cycles=200_000):
        """Wait for the interrupt; return the error."""
        if not self.dut.irq.value:
            out = await First(RisingEdge(self.dut.irq), ClockCycles(self.dut.clk, cycles))
            assert self.dut.irq.value, f"no interrupt within {cycles} cycles: {out}"
        status, error = await self.get("STATUS"), await self.get("ERROR")
        assert status["busy"] == 0
        assert status["done"] != status["error"]
        await self.set("CONTROL", clear=1)
        await ClockCycles(self.dut.clk, 2)
        assert not self.dut.irq.value
        assert (await self.get("ERROR"))["code"] == ErrorCode.NONE
        return ErrorCode(error["code"]), error

    async def write_weights(self):
        weights = initial_weights(CHIP.layers, CHIP.seed)
        self.golden.write_weights(weights)
        await self.begin(WRITE_PC)
        goals = np.concatenate([g.ravel() for g in self.place.goals(weights)])
        await self.goals.send(AxiStreamFrame(goals.astype("<i2").tobytes()))
        assert (await self.interrupted())[0] == ErrorCode.NONE

    async def send(self, pixels, labels):
        for image, label in zip(pixels, labels, strict=True):
            await self.examples.send(AxiStreamFrame(packet(image, label)))

    async def finish(self):
        """Wait for the end of a run; it must have been training on all examples, once."""
        assert (await self.interrupted())[0] == ErrorCode.NONE
        self.golden.run(PIXELS, LABELS)
        await self.compare()

    async def counters(self):
        """Lower words of all counters, by name."""
        words = [
            await self.bus.read_dword(self.place.map.address("COUNTER_LOW", i))
            for i in range(len(counter_names(HARDWARE)))
        ]
        return dict(zip(counter_names(HARDWARE), words, strict=True))

    async def compare(self):
        """Everything must be as the golden machine has it."""
        counts = await self.counters()
        g = self.golden
        assert [counts[n] for n in COUNTERS] == g.counters.tolist()
        layers = [[counts[f"{n}_{i}"] for n in LAYER_COUNTERS] for i in range(2)]
        assert layers == g.layer_counters.tolist()
        golden_tiles = [t for i in range(2) for *_, t in g.blocks(i)]
        for a, b in zip(golden_tiles, self.tiles, strict=True):
            for name, array in a.state().items():
                np.testing.assert_array_equal(b.state()[name], array, err_msg=name)
        lanes = [*self.place.row_lanes, *self.place.col_lanes]
        for place, want in zip(lanes, [*g.row_lanes, *g.column_lanes], strict=True):
            got = [
                await self.bus.read_dword(self.place.map.address("LANES", int(i))) for i in place
            ]
            assert got == want.tolist()


def packet(image, label):
    """Bytes of one example: a beat with the label, then the pixels, whole beats."""
    body = int(label).to_bytes(HARDWARE.lanes, "little") + image.tobytes()
    return body + bytes(-len(body) % HARDWARE.lanes)


def pauses(seed, share):
    """Endless pauses of a bus: ``share`` of all cycles."""
    rng = random.Random(seed)
    return (rng.random() < share for _ in itertools.count())


def every(cycles):
    """Endless pauses of a bus, but for one cycle in so many."""
    return itertools.cycle([True] * (cycles - 1) + [False])


async def renew(host):
    """Set up all as after a reset, but the weights, and write these."""
    host.golden = Machine(CHIP)
    golden = [t for i in range(2) for *_, t in host.golden.blocks(i)]
    for mine, fresh in zip(host.tiles, golden, strict=True):
        mine.restore(fresh.state())
    for address, word in host.place.setup(host.golden):
        await host.bus.write_dword(address, word)
    for name in ("RESTORE_AGE", "RESTORE_INTERVAL", "RESTORE_STATE"):
        await host.set(name)
    await host.set("CONTROL", load=1, clear_counters=1)
    await host.write_weights()
    host.results.clear()


async def train_anew(host):
    """Train as after a reset: what an abandoned run left in the controller must not matter."""
    await renew(host)
    await host.begin(host.place.train_pc, 10)
    await host.send(PIXELS, LABELS)
    await host.finish()
    answers = [int.from_bytes((await host.results.recv()).tdata, "little") for _ in range(10)]
    assert [w >> 13 & 8191 for w in answers] == LABELS.tolist()
    assert host.results.empty()
