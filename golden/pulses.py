# SPDX-License-Identifier: Apache-2.0
"""From codes to pulse counts, and the random lanes that round them.

A cell receives ``row count * column count`` pulses. Rows fire 0 or 1 pulse, with mean
``abs(x)``; columns fire ``abs(delta)`` times the learning rate. Each line owns an xorshift32 lane
that steps once in every ROWS (rows) or UPDATE (columns) instruction, used or not, if rounding is
stochastic.
"""

import numpy as np

from analog_models.prng import derive, words

from .formats import ONE

__all__ = ["column_pulses", "lanes", "rate_registers", "row_pulses", "step_lanes"]


def lanes(seed: int, stream: int, n: int) -> np.ndarray:
    """Return ``n`` non-zero xorshift32 states (uint32)."""
    return words(derive(seed, 0x9A1, stream), 0, n) | np.uint32(1)


def step_lanes(state: np.ndarray) -> None:
    """Advance every lane once, in place (Marsaglia 2003: shifts 13, 17, 5)."""
    state ^= state << np.uint32(13)
    state ^= state >> np.uint32(17)
    state ^= state << np.uint32(5)


def rate_registers(pulses_per_code: float) -> tuple[int, int]:
    """Turn a rate into registers ``(mult, shift)``: rate = mult / 2**shift, mult in 16..31.

    Raises
    ------
    ValueError
        If the rate needs a shift outside 0..24.
    """
    shift = 0
    while pulses_per_code * 2**shift < 15.5 and shift < 25:
        shift += 1
    mult = int(pulses_per_code * 2**shift + 0.5)
    if shift > 24 or mult > 255:
        raise ValueError(
            f"learning rate must make 1e-6..255 pulses per error code, not {pulses_per_code:g}"
        )
    return mult, shift


def row_pulses(x: np.ndarray, state: np.ndarray | None) -> np.ndarray:
    """Signed row pulse counts -1, 0, 1: ``(abs(x) + u) >> 7``, u = 64 or 7 random bits.

    Parameters
    ----------
    x : ndarray of int, codes -127..127
    state : ndarray of uint32 or None
        Lanes after their step, or None to round half up.
    """
    u = ONE // 2 if state is None else (state >> np.uint32(25)).astype(np.int64)
    return np.sign(x) * ((np.abs(x) + u) >> 7)


def column_pulses(delta, mult: int, shift: int, most: int, state) -> tuple[np.ndarray, np.ndarray]:
    """Signed column pulse counts ``min((abs(delta) * mult + u) >> shift, most)``.

    Returns
    -------
    pulses : ndarray of int64
    asked : ndarray of int64
        Magnitudes before the bound ``most``.
    """
    if state is None or shift == 0:
        u: np.ndarray | int = (1 << shift) >> 1
    else:
        u = (state >> np.uint32(32 - shift)).astype(np.int64)
    asked = (np.abs(delta) * mult + u) >> shift
    return np.sign(delta) * np.minimum(asked, most), asked
