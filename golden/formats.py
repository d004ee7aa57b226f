# SPDX-License-Identifier: Apache-2.0
"""Integer formats of the digital half and its two rounding rules.

Every code has 7 fractional bits unless said otherwise; 1.0 is 128, and codes that drive a tile
are symmetric, ``-127 .. 127``. Rounding is half up (``(x + half) >> shift``), then saturation.
"""

import numpy as np

__all__ = ["BIAS", "CODE_MAX", "ONE", "round_shift", "saturate"]

#: Code of 1.0.
ONE = 128
#: Largest magnitude of a code that drives a tile.
CODE_MAX = 127
#: Code that drives the bias row.
BIAS = 127


def round_shift(x, shift: int):
    """Return ``x / 2**shift`` rounded half up; ``shift`` in 0..62, any integer array."""
    if not 0 <= shift <= 62:
        raise ValueError(f"shift must be within 0..62, not {shift!r}")
    return x if shift == 0 else (np.asarray(x) + (1 << (shift - 1))) >> shift


def saturate(x, low: int, high: int):
    """Bound ``x`` to ``low .. high``."""
    return np.clip(x, low, high)
