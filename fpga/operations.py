# SPDX-License-Identifier: Apache-2.0
"""Operations as the host sees them: what goes into a request, what comes out of a response."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from analog_models.config import check

from .link.frames import IDENTIFY_WORDS, TRAILER_WORDS, Op, Status, operation

__all__ = [
    "MAX_OPERATIONS",
    "Examples",
    "Flush",
    "Goals",
    "Identify",
    "Identity",
    "Operation",
    "Read",
    "Reply",
    "Results",
    "Write",
    "decode_reply",
]

#: Operations of a request: what the counter of a response holds.
MAX_OPERATIONS = 255
_WORD = np.dtype("<u4")


class Operation(Protocol):
    """One entry of a request."""

    @property
    def answer_words(self) -> int:
        """Words of data in the response."""

    def encode(self) -> bytes:
        """Return its words in the request."""

    def decode(self, words: np.ndarray) -> Any:
        """Return what its data in the response mean."""


class _Silent:
    """An operation without data in the response."""

    answer_words = 0

    def decode(self, words: np.ndarray) -> None:
        """Return None."""


def _check_address(address: int, words: int) -> None:
    inside = 0 <= address <= (1 << 32) - 4 * words and address % 4 == 0
    check(inside, "address", f"a multiple of 4 with {words} words from there on", address)


@dataclass(frozen=True)
class Write(_Silent):
    """Write words from ``address`` on.

    Parameters
    ----------
    address : int
        Of bytes, a multiple of 4.
    words : sequence of int, 0..2**32 - 1
    """

    address: int
    words: Sequence[int] | np.ndarray

    def __post_init__(self):
        _check_address(self.address, len(self.words))

    def encode(self) -> bytes:
        """See :class:`Operation`."""
        words = np.asarray(self.words)
        fits = words.dtype.kind in "iu" and (
            not words.size or 0 <= words.min() <= words.max() < 1 << 32
        )
        check(bool(fits) or not words.size, "words", "integers within 0..4294967295", self.words)
        return operation(Op.WRITE, len(words), self.address, words.astype(_WORD).tobytes())


@dataclass(frozen=True)
class Read:
    """Read ``n`` words from ``address`` on: ndarray of uint32, shape (n,)."""

    address: int
    n: int = 1

    def __post_init__(self):
        check(self.n >= 0, "n", "non-negative", self.n)
        _check_address(self.address, self.n)

    @property
    def answer_words(self) -> int:
        """See :class:`Operation`."""
        return self.n

    def encode(self) -> bytes:
        """See :class:`Operation`."""
        return operation(Op.READ, self.n, self.address)

    def decode(self, words: np.ndarray) -> np.ndarray:
        """See :class:`Operation`."""
        return words


@dataclass(frozen=True)
class Examples(_Silent):
    """Put zero-coded packets into the input buffer."""

    coded: bytes

    def encode(self) -> bytes:
        """See :class:`Operation`."""
        return operation(Op.EXAMPLES, len(self.coded), 0, self.coded)


@dataclass(frozen=True)
class Goals(_Silent):
    """Put zero-coded goals into the input buffer."""

    coded: bytes

    def encode(self) -> bytes:
        """See :class:`Operation`."""
        return operation(Op.GOALS, len(self.coded), 0, self.coded)


@dataclass(frozen=True)
class Results:
    """Take ``n`` results that wait: ndarray of uint32, shape (n,)."""

    n: int

    @property
    def answer_words(self) -> int:
        """See :class:`Operation`."""
        return self.n

    def encode(self) -> bytes:
        """See :class:`Operation`."""
        return operation(Op.RESULTS, self.n)

    def decode(self, words: np.ndarray) -> np.ndarray:
        """See :class:`Operation`."""
        return words


@dataclass(frozen=True)
class Flush(_Silent):
    """Forget what waits in the input buffer, and results; a begun packet is ended."""

    inputs: bool = True
    results: bool = True

    def encode(self) -> bytes:
        """See :class:`Operation`."""
        return operation(Op.FLUSH, self.inputs | self.results << 1)


@dataclass(frozen=True)
class Identity:
    """What a board's link is; parameters as those of :class:`fpga.link.link.Link`."""

    version: int
    host_bytes: int
    request_words: int
    response_words: int
    capacity: int
    results_kept: int


@dataclass(frozen=True)
class Identify:
    """Ask for the :class:`Identity`."""

    answer_words = IDENTIFY_WORDS

    def encode(self) -> bytes:
        """See :class:`Operation`."""
        return operation(Op.IDENTIFY, 0)

    def decode(self, words: np.ndarray) -> Identity:
        """See :class:`Operation`."""
        return Identity(*struct.unpack("<BBxxHHHH", words.tobytes()))


@dataclass(frozen=True)
class Reply:
    """A response.

    Parameters
    ----------
    status : int
        A :class:`Status`.
    done : int
        Operations that were done.
    left : int
        Count that was left of the one that failed.
    level : int
        Bytes in the input buffer.
    waiting : int
        Results that wait.
    values : list
        What the operations that were done gave.
    """

    status: int
    done: int
    left: int
    level: int
    waiting: int
    values: list


def decode_reply(operations: Sequence[Operation], payload: bytes) -> Reply | None:
    """Return what a response says; None if it cannot be the answer to these operations."""
    words = np.frombuffer(payload, _WORD)
    if len(words) < TRAILER_WORDS:
        return None
    status, done, left, level, waiting = struct.unpack("<BBHHH", payload[-4 * TRAILER_WORDS :])
    data, values = words[:-TRAILER_WORDS], []
    whole = done == len(operations)
    if done > len(operations) or whole != (status == Status.OK):
        return None
    for op in operations[:done]:
        if len(data) < op.answer_words:
            return None
        values.append(op.decode(data[: op.answer_words]))
        data = data[op.answer_words :]
    if whole and len(data):
        return None
    return Reply(status, done, left, level, waiting, values)
