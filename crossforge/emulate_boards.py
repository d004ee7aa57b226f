# SPDX-License-Identifier: Apache-2.0
"""Boards by the names that the command line gives them."""

from pathlib import Path

from fpga.board import Board
from fpga.fast_board import FastBoard
from fpga.folded.top import FOLDED_BAUD
from fpga.folded.virtual_board import FoldedBoard
from fpga.host import Link
from fpga.transport import SerialTransport
from fpga.virtual_board import VIRTUAL_BAUD, VirtualBoard
from golden.config import ChipConfig
from golden.hardware import ControllerConfig

__all__ = ["VIRTUAL", "LinkBoard", "open_board"]

VIRTUAL = ("virtual", "virtual-fast", "virtual-folded")
#: A virtual board computes each bit of an answer: it may take its time, s.
_VIRTUAL_PATIENCE = 60.0


class LinkBoard(Link):
    """A link, and the virtual board behind it if it is one."""

    def __init__(self, transport, virtual: VirtualBoard | None = None, **options):
        super().__init__(transport, **options)
        self.virtual = virtual

    def close(self) -> None:
        """Give the port back, and end the virtual board."""
        super().close()
        if self.virtual is not None:
            self.virtual.close()


def open_board(
    name: str, chip: ChipConfig, hw: ControllerConfig, *, baud: int, build_dir: Path
) -> Board:
    """Return an open board, a context manager: ``"virtual"``, ``"virtual-fast"`` or a port.

    Raises
    ------
    OSError
        If the port cannot be opened, or nothing answers there.
    """
    if name == "virtual-fast":
        return FastBoard(chip, hw, build_dir=build_dir)
    if name not in VIRTUAL:
        return LinkBoard(SerialTransport(name, baud))
    if name == "virtual-folded":
        virtual, baud = FoldedBoard(chip, hw, build_dir=build_dir), FOLDED_BAUD
    else:
        virtual, baud = VirtualBoard(chip, hw, build_dir=build_dir), VIRTUAL_BAUD
    try:
        return LinkBoard(
            SerialTransport(virtual.port, baud),
            virtual,
            patience=_VIRTUAL_PATIENCE,
            longest=_VIRTUAL_PATIENCE,
        )
    except BaseException:
        virtual.close()
        raise
