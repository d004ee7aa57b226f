# SPDX-License-Identifier: Apache-2.0
"""The fast virtual board: the emulator in this process, its buses called as functions."""

import ctypes
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.controller import host_bytes
from rtl.tools import BUILD_DIR

from .emulator import Emulator
from .host import BusError
from .operations import Read
from .transport import LinkError
from .verilate import verilate

__all__ = ["FastBoard"]

#: Packets that wait at the board's input; more would only take memory.
_AHEAD = 256
#: Cycles between two looks at what is asked for besides results.
_SLICE = 50_000


class FastBoard:
    """A board without a link: the same methods as :class:`fpga.host.Link`, bus cycles at once.

    Time passes on it while a method runs.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig
    build_dir : path-like
        Folder that keeps builds.

    Attributes
    ----------
    stall : float, s
        See :class:`fpga.board.Board`.
    """

    #: The paper's network takes 2.9 million cycles for a transfer: minutes, beside other work.
    stall = 3600.0

    def __init__(self, chip: ChipConfig, hw: ControllerConfig, *, build_dir=BUILD_DIR):
        library = verilate(
            Emulator(chip, hw), "emulator", "fast_board.cpp", shared=True, build_dir=build_dir
        )
        self._beat = host_bytes(hw.lanes)
        self._lib = ctypes.CDLL(str(library))
        pointer, u64 = ctypes.c_void_p, ctypes.c_uint64
        for name, result, *arguments in (
            ("board_new", pointer),
            ("board_delete", None, pointer),
            ("board_access", u64, pointer, pointer, pointer, u64, ctypes.c_int, pointer),
            ("board_example", None, pointer, pointer, u64),
            ("board_goals", None, pointer, pointer, u64),
            ("board_run", u64, pointer, u64, u64),
            ("board_results", u64, pointer, pointer, u64),
            ("board_flush", None, pointer),
            ("board_cycles", u64, pointer),
        ):
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._board = self._lib.board_new()

    def close(self) -> None:
        """Free the board."""
        if self._board:
            self._lib.board_delete(self._board)
            self._board = None

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def cycles(self) -> int:
        """Clock cycles so far."""
        return self._lib.board_cycles(self._board)

    def run(self, cycles: int) -> None:
        """Let time pass."""
        self._lib.board_run(self._board, 1 << 62, cycles)

    # --- as fpga.host.Link

    def read(self, address: int, n: int = 1) -> np.ndarray:
        """Read words, ndarray of uint32 of shape (n,)."""
        words = np.zeros(n, np.uint32)
        self._access(address, words, write=False)
        return words

    def write(self, address: int, words: Sequence[int] | np.ndarray) -> None:
        """Write words (0..2**32 - 1)."""
        self._access(address, np.ascontiguousarray(words, dtype=np.uint32), write=True)

    def _access(self, address, words, *, write):
        addresses = (address + 4 * np.arange(len(words))).astype(np.uint32)
        fault = ctypes.c_int(0)
        done = self._lib.board_access(
            self._board,
            addresses.ctypes.data,
            words.ctypes.data,
            len(words),
            int(write),
            ctypes.byref(fault),
        )
        if fault.value == 1:
            what = "writing" if write else "reading"
            raise BusError(f"{what} {address + 4 * done:#010x} must be allowed, but was refused")
        if fault.value:
            raise LinkError(f"{address + 4 * done:#010x} must answer, but the board is stuck")

    def send_goals(self, goals: np.ndarray | Sequence[int]) -> int:
        """Queue goals; return how many, which is all."""
        raw = np.ascontiguousarray(goals, dtype=np.int16)
        self._lib.board_goals(self._board, raw.ctypes.data, len(raw))
        return len(raw)

    def flush(self) -> None:
        """Forget examples and goals that wait, and results."""
        self._lib.board_flush(self._board)

    def stream(
        self, packets: Iterable[bytes], also: Sequence[Read] = ()
    ) -> Iterator[tuple[np.ndarray, list]]:
        """Send packets ahead and yield ``(results, values of also)``, as the link does."""
        coming, expected, ended = iter(packets), 0, False
        while True:
            while not ended and expected < _AHEAD:
                packet = next(coming, None)
                if packet is None:
                    ended = True
                else:
                    beats = np.frombuffer(packet, np.uint8).reshape(-1, self._beat)
                    wide = np.zeros((len(beats), 8), np.uint8)
                    wide[:, : self._beat] = beats
                    self._lib.board_example(self._board, wide.ctypes.data, len(beats))
                    expected += 1
            if ended and not expected:
                return
            n = self._lib.board_run(self._board, max(1, expected // 2), _SLICE)
            results = np.zeros(n, np.uint32)
            self._lib.board_results(self._board, results.ctypes.data, n)
            expected -= n
            yield results, [self.read(op.address, op.n) for op in also]
