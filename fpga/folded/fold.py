# SPDX-License-Identifier: Apache-2.0
"""From a design to the program that does what it does, cycle by cycle."""

import tempfile
from pathlib import Path

from amaranth import *
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import ChipConfig
from golden.hardware import ControllerConfig

from ..capacity import cell_memory
from ..emulator import layouts
from ..programs import BuildError, command_line, failure, run_tool, said_in
from .design import FoldedDesign
from .isa import MEMORY_WORDS, WORD_BITS, Program, TooLargeError
from .lower import lower
from .netlist import SCRIPT, read_netlist
from .schedule import compile_steps

__all__ = ["fold", "fold_chip"]


class _Resetless(wiring.Component):
    """A design whose registers begin with their values, and have no reset."""

    i: In(WORD_BITS)
    o: Out(WORD_BITS)
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
    """Return the program of a design with one input, ``i``, and one output, ``o``.

    Parameters
    ----------
    design : wiring.Component
        Both members have 32 bits at most. One clock, memories with one write port.
    folder : path-like, optional
        Keeps netlist and log of yosys.

    Raises
    ------
    BuildError
        If yosys is missing, or does not accept the design.
    ValueError
        If the design does not fit the core, or has what cannot be folded.
    """
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(temporary if folder is None else folder)
        kept.mkdir(parents=True, exist_ok=True)
        # not for simulation: memories then show what nobody may read
        text = rtlil.convert(_Resetless(design), name="top", emit_src=False, platform="folded")
        (kept / "top.il").write_text(text)
        (kept / "top.ys").write_text("\n".join([*SCRIPT, ""]))
        for old in said_in(kept, "yosys"):  # it would be taken for what is said now
            old.unlink(missing_ok=True)
        command = [*command_line("yosys"), "-q", "-l", "yosys.log", "top.ys"]
        if run_tool(command, kept, kept / "yosys.out")[0]:
            raise BuildError(failure("yosys", kept))
        return compile_steps(lower(read_netlist(kept / "top.json")))


def fold_chip(chip: ChipConfig, hw: ControllerConfig, folder=None) -> Program:
    """Return the program of a :class:`fpga.folded.design.FoldedDesign`; see :func:`fold`.

    Raises
    ------
    TooLargeError
        If the chip does not fit the core, with the arithmetic.
    """
    try:
        bits, why = cell_memory(layouts(chip, hw))
        there = 16 * MEMORY_WORDS
        if bits > there:  # told at once; all else is known when it is compiled
            raise TooLargeError(f"its {why} and there are {there / 1e3:.0f} kb")
        return fold(FoldedDesign(chip, hw), folder)
    except TooLargeError as error:
        name = "-".join(map(str, chip.layers))
        raise TooLargeError(
            f"{name} on {hw.lanes} lanes must fit into the folded emulator, but {error}: choose "
            "another --preset, fewer lanes or a larger board"
        ) from None
