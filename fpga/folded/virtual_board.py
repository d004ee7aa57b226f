# SPDX-License-Identifier: Apache-2.0
"""The virtual board of the folded emulator: core, flash memory and serial port in a program."""

from pathlib import Path

from ..verilate import verilate
from ..virtual_board import VirtualBoard
from .fold import fold_chip
from .image import image
from .top import FOLDED_BAUD, FoldedTop, check_speed

__all__ = ["FOLDED_CLOCK", "FoldedBoard"]

#: As on the iCEBreaker.
FOLDED_CLOCK = 24_000_000
#: Cycles that pass after the last byte: those of the longest request, some thousand of the design.
_QUIET = 1 << 28


class FoldedBoard(VirtualBoard):
    """As :class:`fpga.virtual_board.VirtualBoard`, a chip folded onto :class:`FoldedTop`.

    Attributes
    ----------
    instructions : int
        Cycles of the clock in one of the chip.
    """

    def _command(self, chip, hw, folder: Path, build_dir) -> list[str]:
        folded = fold_chip(chip, hw)
        self.instructions = len(folded.instructions)
        check_speed(FOLDED_CLOCK, FOLDED_BAUD, self.instructions)
        path = folder / "image.bin"
        path.write_bytes(image(folded))
        top = FoldedTop(FOLDED_CLOCK, FOLDED_BAUD)
        program = verilate(top, "top", "uart_board.cpp", define="FLASH", build_dir=build_dir)
        return [str(program), str(FOLDED_CLOCK / FOLDED_BAUD), str(_QUIET), str(path)]
