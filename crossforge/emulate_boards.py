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
#: It takes minutes for a transfer, s.
_VIRTUAL_STALL = 3600.0
#: A board at a slow line is slow itself (the folded emulator): time to wait for an answer, and at
#: most, in bytes of the line.
_PATIENCE, _LONGEST = 500, 5000


class LinkBoard(Link):
    """A link, and the virtual board behind it if it is one."""

    def __init__(self, transport, virtual: VirtualBoard | None = None, **options):
        super().__init__(transport, **options)
        self.virtual = virtual
        if virtual is not None:
            self.stall = _VIRTUAL_STALL

    def close(self) -> None:
        """Give the port back, and end the virtual board."""
        super().close()
        if self.virtual is not None:
            self.virtual.close()


def open_board(
    name: str, chip: ChipConfig, hw: ControllerConfig, *, baud: int, build_dir: Path
) -> Board:
    """Return a board, one of :data:`VIRTUAL` or that at a port, which opens as a context manager.

    Raises
    ------
    OSError
        If the port cannot be opened. When it is entered: if nothing answers there.
    """
    if name == "virtual-fast":
        return FastBoard(chip, hw, build_dir=build_dir)
    if name not in VIRTUAL:
        transport = SerialTransport(name, baud)
        return LinkBoard(
            transport,
            patience=max(0.05, _PATIENCE * transport.byte_time),
            longest=max(1.0, _LONGEST * transport.byte_time),
        )
    folded = name == "virtual-folded"
    kind, baud = (FoldedBoard, FOLDED_BAUD) if folded else (VirtualBoard, VIRTUAL_BAUD)
    virtual = kind(chip, hw, build_dir=build_dir)
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
