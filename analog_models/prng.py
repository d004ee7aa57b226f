# SPDX-License-Identifier: Apache-2.0
"""Counter-based random words: every bit is a function of (seed, stream, index).

The mixer is C. Wellons' ``lowbias32`` (public domain, 2018): two 32-bit multiplications and
three shifts. A word depends on nothing but its address, so that order, threads and vector width
cannot change a result and a checkpoint only has to hold counters.
"""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["BELL_SD", "GOLDEN", "bell", "derive", "mix32", "permutation", "scaled_bell", "words"]

#: 2**32 / golden ratio, odd: spreads consecutive lanes over the word.
GOLDEN = 0x9E3779B1

#: Standard deviation of :func:`bell`: sqrt(4 * (256**2 - 1) / 12).
BELL_SD = (4 * (256**2 - 1) / 12) ** 0.5

_MASK = 0xFFFFFFFF


def mix32(x: np.ndarray | np.uint32) -> np.ndarray:
    """Mix 32-bit words (bijective). Takes and returns uint32, any shape."""
    x = np.asarray(x ^ (x >> np.uint32(16)), dtype=np.uint32)
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return np.asarray(x ^ (x >> np.uint32(16)))


def _mix(x: int) -> int:
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def derive(seed: int, *path: int) -> int:
    """Return the 32-bit key of a stream: ``seed`` folded with the numbers of its address.

    Parameters
    ----------
    seed : int, 0 .. 2**64 - 1
    path : int, 0 .. 2**32 - 1
        Names the stream, for example tile number and purpose.
    """
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be within 0..2**64-1, not {seed!r}")
    key = _mix(seed & _MASK)
    for word in (seed >> 32, *path):
        key = _mix(((key ^ word) + GOLDEN) & _MASK)
    return key


def words(key: int, counter: int, lanes: int) -> np.ndarray:
    """Return one uint32 word for each lane ``0 .. lanes-1`` of draw ``counter``.

    ``word = mix32(mix32(key + counter) + lane * GOLDEN)``, all modulo 2**32.
    """
    head = _mix((key + counter) & _MASK)
    return mix32(np.uint32(head) + np.arange(lanes, dtype=np.uint32) * np.uint32(GOLDEN))


def bell(word: np.ndarray) -> np.ndarray:
    """Sum the four bytes of a word, minus 510: int32, mean 0, sd 147.8, range -510..510.

    An Irwin-Hall sum of four: excess kurtosis -0.3 and no tail beyond 3.45 sigma.
    """
    b = (word & np.uint32(0x00FF00FF)) + ((word >> np.uint32(8)) & np.uint32(0x00FF00FF))
    total = (b & np.uint32(0xFFFF)) + (b >> np.uint32(16))
    return total.astype(np.int32) - np.int32(510)


def scaled_bell(word: np.ndarray, amp: ArrayLike) -> np.ndarray:
    """Return ``(bell * amp + 128) >> 8``: int64, sd ``amp * 147.8 / 256`` (``amp / sqrt(3)``)."""
    return (bell(word).astype(np.int64) * np.asarray(amp, dtype=np.int64) + 128) >> 8


def permutation(key: int, n: int) -> np.ndarray:
    """Return a permutation of ``0 .. n-1`` (int64): a stable sort of one word per element."""
    return np.argsort(words(key, 0, n), kind="stable")
