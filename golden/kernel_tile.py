# SPDX-License-Identifier: Apache-2.0
"""A FixedTile whose training runs in the trainer's kernels: for tiles that are called one by one.

The co-simulation trains such tiles through their ports, operation by operation; in numpy they
would take as long as the simulation of the controller.
"""

import numpy as np

from analog_models.fixed_tile import FixedTile, Stream

from .cell_kernels import add_fast, combine, mix, sweep
from .jit import njit
from .kernels import convert, driven, multiply, multiply_back, square

__all__ = ["KernelTile"]


@njit
def _forward(w, x, rows, acc):
    """Put sums of the columns into ``acc``; return the sum of squares of ``x``."""
    multiply(w.ravel(), 0, acc.size, x, rows, driven(x, 0, rows), acc)
    return square(x)


@njit
def _backward(w, d, acc):
    """Put sums of the rows into ``acc``; return the sum of squares of ``d``."""
    multiply_back(w.ravel(), 0, d.size, d, acc)
    return square(d)


@njit
def _convert(acc, offset, key, amp, shift, bits, out):
    """Twin of FixedTile._convert; ``key``: of the stream, plus conversions so far."""
    convert(acc, offset, mix(np.uint32(key)), amp, shift, bits, out)


@njit
def _update(v, w, up, down, v_ref, px, pd, sign, curve):
    """Twin of FixedTile.update, and of the cached weights."""
    fall = pd >> 31
    for i in range(px.size):
        if px[i] != 0:
            flip = -1 if (px[i] < 0) != (sign < 0) else 0
            sweep(v[i], w[i], up[i], down[i], np.abs(pd * px[i]), fall, flip, v_ref[i], sign, curve)


@njit
def _refresh(w, stale, g_plus, g_minus, v, offset, v_ref, sign, gain, capacitor):
    """Compute the weights of stale rows."""
    for i in range(stale.size):
        if stale[i]:
            combine(w[i], g_plus[i], g_minus[i], gain)
            if capacitor:
                add_fast(w[i], v[i], offset[i], v_ref[i], sign)
            stale[i] = False


class KernelTile(FixedTile):
    """:class:`analog_models.fixed_tile.FixedTile` with the same bits, many times as fast.

    Weights are cached: an update patches them, and those of rows that anything else changed are
    computed when next needed. State must be changed through the port only (or by :meth:`restore`),
    never by writing to the arrays.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        t = self.tables
        self._weights = np.zeros((self.rows, self.cols), np.int32)
        self._stale = np.ones(self.rows, bool)
        self._rows = np.zeros(self.rows + 1, np.int64)  # scratch; `driven` writes one ahead
        self._curve = t.slope_up, t.slope_down, t.v_min, t.v_max

    def _fresh(self):
        t = self.tables
        cells = self.g_plus, self.g_minus, self.v, self.offset, self.v_ref
        _refresh(self._weights, self._stale, *cells, self.sign, t.gain, t.capacitor_updates)
        return self._weights

    def _convert(self, total, square, adc, shift, bits, log2_reads=0):
        power, offset = adc
        amp = int(np.sqrt(float((power + self.tables.read_power * int(square)) >> log2_reads)))
        key = (self.keys[Stream.CONVERT] + self.conversions) & 0xFFFFFFFF
        self.conversions += 1
        codes = np.zeros(total.size, np.int64)
        _convert(total, offset, key, amp, shift, bits, codes)
        return codes

    def forward(self, x):
        """See :class:`analog_models.tile.Tile`, here and below."""
        total = np.empty(self.cols, np.int32)
        square = _forward(self._fresh(), np.asarray(x, np.int32), self._rows, total)
        shift, bits = self.forward_shift, self.tables.adc_bits
        return self._convert(total, square, self.forward_adc, shift, bits)

    def backward(self, d):
        total = np.empty(self.rows, np.int32)
        square = _backward(self._fresh(), np.asarray(d, np.int32), total)
        shift, bits = self.backward_shift, self.tables.adc_bits
        return self._convert(total, square, self.backward_adc, shift, bits)

    def read(self, row, log2_reads):
        t = self.tables
        total = self._fresh()[row] << 7
        return self._convert(total, 1 << 14, self.read_adc, t.read_shift, t.read_bits, log2_reads)

    def update(self, px, pd):
        if not self.tables.capacitor_updates:
            super().update(px, pd)
            self._stale |= np.asarray(px) != 0
            return
        pulses = np.asarray(px, np.int32), np.asarray(pd, np.int32)
        cells = self.v, self._fresh(), self.up, self.down, self.v_ref
        _update(*cells, *pulses, self.sign, self._curve)
        self.pulses += 1

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
        super().polarity(sign)
        self._stale[:] = True

    def age(self, ticks):
        super().age(ticks)
        self._stale[:] = True

    def restore(self, state):
        super().restore(state)
        self._stale[:] = True
