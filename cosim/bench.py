# SPDX-License-Identifier: Apache-2.0
"""Unit benches that run on any simulator.

A bench is made of *processes*, generators that get the :class:`Pins` of a component. Each
``yield`` lets one clock edge pass; ``pins["o.valid"]`` then is the value just before that edge,
and ``pins["i.valid"] = 1`` holds from now on. Values are raw bits (use :func:`pack`,
:func:`unpack`). The same processes run in Amaranth's simulator (:func:`simulate`) and on Verilog
under cocotb (:mod:`cosim.verilog_bench`), also on mutants of the netlist. For those a test module
lists benches, callables without arguments, each of which simulates one component, in ``BENCHES``.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

__all__ = [
    "Backend",
    "Bench",
    "Pins",
    "amaranth_backend",
    "pack",
    "put",
    "run_cycles",
    "signed",
    "simulate",
    "take",
    "unpack",
    "use_backend",
]

Process = Callable[["Pins"], Generator[None, None, None]]
#: Answers outputs within the same cycle, as combinational logic around the component would.
Reflex = Callable[["Pins"], None]


class Pins:
    """Ports of a component by flattened name, plus ``rst``; raw bits."""

    def __init__(self, inputs: Iterable[str], outputs: Iterable[str]):
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.written: dict[str, int] = {}
        self.seen: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self.seen[name]

    def __setitem__(self, name: str, value: int) -> None:
        if name not in self.inputs:
            raise KeyError(f"{name} must be an input, one of {', '.join(self.inputs)}")
        self.written[name] = value


def run_cycles(pins: Pins, processes, background=(), limit: int = 20_000):
    """Yield once a cycle, with ``pins.written`` to be applied, until all ``processes`` ended.

    Raises
    ------
    TimeoutError
        After ``limit`` cycles: something waits for ever.
    """
    alive = [p(pins) for p in processes]
    endless = [p(pins) for p in background]
    for _ in range(limit):
        alive = [p for p in alive if next(p, True) is None]
        for p in endless:
            next(p)
        yield
        if not alive:
            return
    raise TimeoutError(f"{len(alive)} processes must end, but wait after {limit} cycles")


@dataclass(frozen=True)
class Bench:
    """What runs around a component; see :func:`simulate`."""

    processes: tuple[Process, ...]
    background: tuple[Process, ...] = ()
    reflex: Reflex | None = None
    limit: int = 20_000

    def cycles(self, pins: Pins) -> Generator[None, None, None]:
        """Yield once a cycle; see :func:`run_cycles`."""
        return run_cycles(pins, self.processes, self.background, self.limit)


#: Runs a bench on a component.
Backend = Callable[[wiring.Component, Bench], None]


def simulate(
    component,
    *processes: Process,
    background: Iterable[Process] = (),
    reflex: Reflex | None = None,
    limit: int = 20_000,
) -> None:
    """Run a bench: in Amaranth's simulator, or where :func:`use_backend` says.

    Parameters
    ----------
    processes, background
        The bench is over when all ``processes`` are.
    reflex : callable, optional
        Called with the pins before every clock edge.
    limit : int
        Cycles after which the bench has failed.
    """
    _backends[-1](component, Bench(processes, tuple(background), reflex, limit))


def amaranth_backend(component, bench: Bench) -> None:
    """Run a bench in Amaranth's simulator."""
    ports = {
        ".".join(map(str, path)): (member.flow, Value.cast(value))
        for path, member, value in component.signature.flatten(component)
    }
    inputs = {name: value for name, (flow, value) in ports.items() if flow is wiring.In}
    outputs = {name: value for name, (flow, value) in ports.items() if flow is wiring.Out}
    top = Module()
    domain = ClockDomain("sync")  # present even if the component is combinational
    top.domains.sync = domain
    top.submodules.dut = component
    inputs["rst"] = domain.rst
    pins = Pins(inputs, outputs)

    async def drive(ctx):
        def settle():
            for name, value in pins.written.items():
                ctx.set(inputs[name], value & ((1 << len(inputs[name])) - 1))
            pins.written.clear()
            pins.seen = {
                name: ctx.get(value) & ((1 << len(value)) - 1) for name, value in outputs.items()
            }

        for _ in bench.cycles(pins):
            settle()
            if bench.reflex is not None:
                bench.reflex(pins)
                settle()
            await ctx.tick()

    sim = Simulator(top)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.run()


# The last one counts. Not a context variable: a bench may run in a thread of its own.
_backends: list[Backend] = [amaranth_backend]


@contextmanager
def use_backend(backend: Backend) -> Iterator[None]:
    """Let :func:`simulate` use another backend."""
    _backends.append(backend)
    try:
        yield
    finally:
        _backends.pop()


def pack(values: Iterable[int], width: int) -> int:
    """Pack integers into raw bits, the first lowest; negative ones in two's complement."""
    mask, word = (1 << width) - 1, 0
    for i, value in enumerate(values):
        word |= (int(value) & mask) << (i * width)
    return word


def signed(value: int, width: int) -> int:
    """Read raw bits as a two's complement number."""
    return value - ((value >> (width - 1)) << width)


def unpack(word: int, width: int, n: int, *, sign: bool = True) -> list[int]:
    """Split raw bits into ``n`` integers."""
    parts = [(word >> (i * width)) & ((1 << width) - 1) for i in range(n)]
    return [signed(p, width) for p in parts] if sign else parts


def put(pins: Pins, name: str, payloads: Iterable[int], *, stall: int = 0):
    """Send payloads (raw bits) into stream ``name``, idle ``stall`` cycles before each."""
    for payload in payloads:
        for _ in range(stall):
            yield
        pins[f"{name}.payload"], pins[f"{name}.valid"] = payload, 1
        yield
        while not pins[f"{name}.ready"]:
            yield
        pins[f"{name}.valid"] = 0
        pins[f"{name}.payload"] = ~payload  # whatever comes without valid must not matter


def take(pins: Pins, name: str, n: int, into: list, *, stall: int = 0, late: bool = False):
    """Append ``n`` payloads of stream ``name`` to ``into``; check that they hold until taken.

    The consumer idles ``stall`` cycles before each; a ``late`` one waits for valid first.
    """
    for _ in range(n):
        for _ in range(stall):
            yield
        held = None
        while late:
            yield
            if pins[f"{name}.valid"]:
                held = pins[f"{name}.payload"]
                break
        pins[f"{name}.ready"] = 1
        yield
        while not pins[f"{name}.valid"]:
            assert held is None, f"{name} must hold valid until taken"
            yield
        assert held in (None, pins[f"{name}.payload"]), f"{name} must hold its payload until taken"
        into.append(pins[f"{name}.payload"])
        pins[f"{name}.ready"] = 0
