# SPDX-License-Identifier: Apache-2.0
"""What is folded: the emulator and its link, from bytes to bytes."""

import tempfile
from pathlib import Path

from amaranth import *
from amaranth.back import rtlil
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.controller import host_bytes

from ..emulator import Emulator
from ..link.link import Link
from .isa import Program
from .lower import lower
from .netlist import SCRIPT, read_netlist
from .schedule import compile_steps

__all__ = ["FoldedDesign", "FromLine", "ToLine", "fold", "folded_chip"]

#: Cycles of silence that end a frame; a byte takes two of them, or three.
_GAP = 64
#: Of the link: as small as it goes, and so are its memories.
_SIZES = {"request_words": 128, "response_words": 128, "capacity": 512, "results_kept": 64}


class FromLine(data.Struct):
    """What the design gets in each of its cycles.

    Attributes
    ----------
    byte : unsigned(8), valid : unsigned(1)
        A byte came, in one of two cycles at most.
    ready : unsigned(1)
        A byte that is sent in this cycle will be taken.
    """

    byte: 8
    valid: 1
    ready: 1


class ToLine(data.Struct):
    """What the design says in each of its cycles.

    Attributes
    ----------
    byte : unsigned(8), valid : unsigned(1)
        A byte to send.
    busy : unsigned(1)
        A request is being executed.
    """

    byte: 8
    valid: 1
    busy: 1


class FoldedDesign(wiring.Component):
    """An :class:`fpga.emulator.Emulator` behind a :class:`fpga.link.link.Link`.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig
    gap : int, cycles
    **sizes
        As those of :class:`fpga.link.link.Link`.

    Members
    -------
    i : ``In(FromLine)``
    o : ``Out(ToLine)``
    """

    i: In(FromLine)
    o: Out(ToLine)

    def __init__(self, chip: ChipConfig, hw: ControllerConfig, gap: int, **sizes: int):
        self.chip, self.hw, self.gap, self.sizes = chip, hw, gap, sizes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.emulator = emulator = Emulator(self.chip, self.hw)
        m.submodules.link = link = Link(host_bytes(self.hw.lanes), self.gap, **self.sizes)
        for name in ("bus", "examples", "goals", "results"):
            wiring.connect(m, getattr(link, name), getattr(emulator, name))
        m.d.comb += [
            link.i.payload.eq(self.i.byte),
            link.i.valid.eq(self.i.valid),
            link.o.ready.eq(self.i.ready),
            self.o.byte.eq(link.o.payload),
            self.o.valid.eq(link.o.valid),
            self.o.busy.eq(link.busy),
        ]
        return m


class _Clocked(wiring.Component):
    """A design whose registers begin with their values, and have no reset."""

    i: In(32)
    o: Out(32)
    clk: In(1)

    def __init__(self, design):
        self.design = design
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.submodules.design = design = self.design
        m.d.comb += [
            ClockSignal().eq(self.clk),
            Value.cast(design.i).eq(self.i),
            self.o.eq(Value.cast(design.o)),
        ]
        return m


def fold(design: wiring.Component, folder=None) -> Program:
    """Return the program of a design with members ``i`` and ``o``, 32 bits at most.

    Parameters
    ----------
    design : wiring.Component
    folder : path-like, optional
        Keeps what yosys says.
    """
    from ..bitstream import _command, _run
    with tempfile.TemporaryDirectory() as f:
        f = Path(folder or f)
        f.mkdir(parents=True, exist_ok=True)
        (f / "top.il").write_text(rtlil.convert(_Clocked(design), name="top", emit_src=False, platform="fpga"))
        (f / "top.ys").write_text("\n".join([*SCRIPT, ""]))
        code, _ = _run([*_command("yosys"), "-q", "-l", "yosys.log", "top.ys"], f, f / "yosys.out", lambda: None)
        assert code == 0, (f/"yosys.out").read_text()
        return compile_steps(lower(read_netlist(f / "top.json")))


def folded_chip(chip: ChipConfig, hw: ControllerConfig, folder=None) -> Program:
    """Return the program of a chip behind its link; ``folder`` as for :func:`fold`."""
    return fold(FoldedDesign(chip, hw, _GAP, **_SIZES), folder)
