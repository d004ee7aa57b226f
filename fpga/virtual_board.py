# SPDX-License-Identifier: Apache-2.0
"""The virtual board: the complete design in a program, its serial port a pseudo-terminal."""

import signal
import subprocess
import tempfile
from pathlib import Path

from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.tools import BUILD_DIR

from .top import Top
from .transport import LinkError
from .verilate import verilate

__all__ = ["VIRTUAL_BAUD", "VIRTUAL_CLOCK", "VirtualBoard"]

#: As if at 80 MHz; the line as fast as the receiver can follow, since a cycle takes long here.
VIRTUAL_CLOCK, VIRTUAL_BAUD = 80_000_000, 13_000_000
#: A frame that is cut off is given up after this time without a byte, s of the virtual clock. No
#: bytes are held up on the way here, and a real board's gap would take seconds to compute.
_GAP = 0.0002
#: Cycles that pass after the last byte: the host asks again long before.
_QUIET = 1 << 20


class VirtualBoard:
    """Runs the board's program; :class:`fpga.transport.SerialTransport` opens its ``port``.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig
    build_dir : path-like
        Folder that keeps builds.

    Attributes
    ----------
    port : str
        The serial port, the same one after :meth:`replug`.
    instructions : int
        Cycles of the clock in one of the chip: 1.
    """

    instructions = 1

    def __init__(self, chip: ChipConfig, hw: ControllerConfig, *, build_dir=BUILD_DIR):
        self._folder = tempfile.TemporaryDirectory(prefix="crossforge-board-")
        self.port = str(Path(self._folder.name, "tty"))
        try:
            program, *arguments = self._command(chip, hw, Path(self._folder.name), build_dir)
        except BaseException:
            self._folder.cleanup()
            raise
        self._process = subprocess.Popen(
            [program, self.port, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._pipes = self._process.stdin, self._process.stdout
        if self._pipes[1].readline() != b"ready\n":
            self.close()
            raise LinkError("the virtual board must start, but its program ended at once")

    def _command(self, chip, hw, folder: Path, build_dir) -> list[str]:
        """Return the program and its arguments but for the port; ``folder`` is there as long."""
        top = Top(chip, hw, VIRTUAL_CLOCK, VIRTUAL_BAUD, gap=_GAP)
        program = verilate(top, "top", "uart_board.cpp", build_dir=build_dir)
        return [str(program), str(VIRTUAL_CLOCK / VIRTUAL_BAUD), str(_QUIET)]

    def replug(self) -> None:
        """Unplug the cable; half a second later it is in again."""
        self._process.send_signal(signal.SIGUSR1)

    def reset(self) -> None:
        """Press the reset button."""
        self._process.send_signal(signal.SIGUSR2)

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
