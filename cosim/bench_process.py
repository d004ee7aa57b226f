# SPDX-License-Identifier: Apache-2.0
"""What runs within the simulator's process: benches on the Verilog of their component.

Started by :mod:`cosim.verilog_bench` as a cocotb test. A line of results, JSON, is written after
each run, so that nothing is lost if the simulator ends early.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import cocotb
from amaranth.hdl import Value
from amaranth.lib import wiring
from cocotb.task import bridge, resume
from cocotb.triggers import Timer

from cosim.bench import Bench, Pins, use_backend
from cosim.verilog_bench import JOB, MUTANT, Job, Outcome, benches_of, port_name
from rtl.verilog import digest

#: Cycles of reset before each bench.
RESET_CYCLES = 2


class _Outputs(dict):
    """Outputs by name, read from the simulator when first asked for; cleared when they change."""

    def __init__(self, handles):
        super().__init__()
        self.handles = handles

    def __missing__(self, name: str) -> int:
        bits = str(self.handles[name].value)
        try:
            value = int(bits, 2)
        except ValueError:
            raise ValueError(f"{name} must be 0 or 1 in every bit, not {bits}") from None
        self[name] = value
        return value


class VerilogBackend:
    """Backend of :func:`cosim.bench.simulate` for the top module of a simulator.

    Parameters
    ----------
    dut : handle of the top module
    digest : str
        :func:`rtl.verilog.digest` of the component that was built; a bench that also simulates
        another one is refused.
    """

    def __init__(self, dut, digest: str):
        self.dut, self.digest = dut, digest
        self.cycles = 0
        self.calls = 0

    def __call__(self, component, bench: Bench) -> None:
        """Run a bench; to be called within :func:`cocotb.task.bridge`."""
        # The component of a bench's first call is known from cosim.verilog_bench.groups.
        self.calls += 1
        if self.calls > 1 and digest(component) != self.digest:
            raise ValueError(
                "a bench in BENCHES must simulate one component with one set of parameters, not "
                f"{type(component).__name__} beside another; split it"
            )
        resume(self.run)(component, bench)

    async def run(self, component, bench: Bench) -> None:
        """Reset, then clock the component until the bench is over."""
        inputs, outputs = {}, {}
        initial: dict[str, int] = {}
        widths: dict[str, int] = {}
        for path, member, port in component.signature.flatten(component):
            name = ".".join(map(str, path))
            value = Value.cast(port)
            if not len(value):
                continue
            handle = self.dut[port_name(name)]
            widths[name] = len(value)
            if member.flow is wiring.In:
                inputs[name] = handle
                initial[name] = getattr(value, "init", 0)
            else:
                outputs[name] = handle
        if hasattr(self.dut, "rst"):
            inputs["rst"], widths["rst"] = self.dut.rst, 1
        masks = {name: (1 << width) - 1 for name, width in widths.items()}
        clock = self.dut.clk if hasattr(self.dut, "clk") else None
        pins = Pins([*inputs, "rst"], outputs)
        seen = pins.seen = _Outputs(outputs)

        def write() -> bool:
            for name, value in pins.written.items():
                if name in inputs:
                    inputs[name].value = value & masks[name]
            changed = bool(pins.written)
            pins.written.clear()
            seen.clear()
            return changed

        async def edge():
            if clock is not None:
                clock.value = 1
            await Timer(1, "step")
            if clock is not None:
                clock.value = 0

        pins.written.update(initial)
        for reset in [1] * RESET_CYCLES + [0]:
            pins["rst"] = reset
            write()
            await Timer(1, "step")
            if reset:
                await edge()

        reflex = bench.reflex
        cycles = bench.cycles(pins)
        # A process sees the outputs before the edge, and its inputs are applied after it.
        next(cycles)
        while True:
            write()
            await Timer(1, "step")
            if reflex is not None:
                reflex(pins)
                if write():
                    await Timer(1, "step")
            self.cycles += 1
            ended = next(cycles, True)
            await edge()
            if ended:
                return


def _attempt(bench: Callable[[], None]) -> str | None:
    """Run a bench; return what was wrong."""
    try:
        bench()
    except BaseException as error:  # pytest's own failures are no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        text = str(error).strip()
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return None


@cocotb.test
async def benches(dut):
    """Run the job in the environment variable :data:`cosim.verilog_bench.JOB`."""
    job = Job(**json.loads(Path(os.environ[JOB]).read_text()))
    functions = dict(enumerate(benches_of(job.ref)))
    backend = VerilogBackend(dut, job.digest)
    failed: list[str] = []
    with use_backend(backend), Path(job.results).open("a") as results:
        if hasattr(dut, "clk"):
            dut.clk.value = 0
        for mutant in job.mutants:
            if mutant is not None:
                dut[MUTANT].value = mutant
            for index in job.benches:
                print(json.dumps({"begin": mutant}), file=results, flush=True)
                before, start = backend.cycles, time.perf_counter()
                name, function = functions[index]
                backend.calls = 0
                error = await bridge(_attempt)(function)
                cycles, seconds = backend.cycles - before, time.perf_counter() - start
                outcome = Outcome(name, error, cycles, seconds, mutant)
                print(json.dumps(vars(outcome)), file=results, flush=True)
                if error is not None:
                    failed.append(f"{name}: {error}")
                    if job.stop:
                        break
    assert not failed or job.stop, "\n".join(failed)
