# SPDX-License-Identifier: Apache-2.0
"""A board as the host sees it, whatever is between them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, Self

import numpy as np

from golden.register_map import RegisterMap

from .operations import Read

__all__ = ["Board", "Registers"]


class Board(Protocol):
    """What :class:`fpga.host.Link` and :class:`fpga.fast_board.FastBoard` have in common.

    Attributes
    ----------
    stall : float, s
        A run without a result for longer than that has failed; a transfer must fit in.
    """

    stall: float

    def read(self, address: int, n: int = 1) -> np.ndarray:
        """Read words, uint32."""

    def write(self, address: int, words: Sequence[int] | np.ndarray) -> None:
        """Write words."""

    def send_goals(self, goals: np.ndarray | Sequence[int]) -> int:
        """Send as many goals as fit now."""

    def stream(
        self, packets: Iterable[bytes], also: Sequence[Read] = ()
    ) -> Iterator[tuple[np.ndarray, list]]:
        """Send packets, yield results."""

    def flush(self) -> None:
        """Forget examples and goals that wait, and results."""

    def close(self) -> None:
        """Give it back."""

    def __enter__(self) -> Self:
        """Open it."""

    def __exit__(self, *error: object) -> None:
        """Close it."""


class Registers:
    """The registers of the controller on a board, by name.

    Parameters
    ----------
    board : Board
    register_map : RegisterMap
    """

    def __init__(self, board: Board, register_map: RegisterMap):
        self.board, self.map = board, register_map

    def set(self, name: str, index: int = 0, **fields: int) -> None:
        """Write a register."""
        self.board.write(self.map.address(name, index), [self.map.encode(name, **fields)])

    def word(self, name: str, index: int = 0) -> int:
        """Read a register as it is."""
        return int(self.board.read(self.map.address(name, index))[0])

    def get(self, name: str) -> dict[str, int]:
        """Read the fields of a register."""
        return self.map.decode(name, self.word(name))

    def write(self, words: list[tuple[int, int]]) -> None:
        """Write ``(address, word)``; neighbours at once."""
        words = sorted(words)
        start = 0
        for i in range(1, len(words) + 1):
            if i == len(words) or words[i][0] != words[i - 1][0] + 4:
                self.board.write(words[start][0], [w for _, w in words[start:i]])
                start = i

    def counters(self, names: list[str]) -> dict[str, int]:
        """Read all counters: 48 bits in two words each, the low one first."""
        return {
            name: self.word("COUNTER_LOW", i) | self.word("COUNTER_HIGH", i) << 32
            for i, name in enumerate(names)
        }
