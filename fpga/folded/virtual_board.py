# SPDX-License-Identifier: Apache-2.0
"""The virtual board of the folded emulator: core, flash memory and serial port in a program."""

from pathlib import Path

from ..verilate import verilate
from ..virtual_board import VirtualBoard
from .design import folded_chip
from .image import image
from .top import FoldedTop

__all__ = ["FOLDED_BAUD", "FOLDED_CLOCK", "FoldedBoard"]

#: As on the iCEBreaker: a byte lasts 31,250 cycles, in which a program is run three times.
FOLDED_CLOCK, FOLDED_BAUD = 30_000_000, 9600
#: Cycles that pass after the last byte: those of the longest request, some thousand of the design.
_QUIET = 1 << 28


class FoldedBoard(VirtualBoard):
    """As :class:`fpga.virtual_board.VirtualBoard`, a chip folded onto :class:`FoldedTop`."""

    def _command(self, chip, hw, folder: Path, build_dir) -> list[str]:
        top = FoldedTop(FOLDED_CLOCK, FOLDED_BAUD)
        program = verilate(top, "top", "uart_board.cpp", define="FLASH", build_dir=build_dir)
        path = folder / "image.bin"
        path.write_bytes(image(folded_chip(chip, hw)))
        return [str(program), str(FOLDED_CLOCK / FOLDED_BAUD), str(_QUIET), str(path)]
