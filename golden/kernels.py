# SPDX-License-Identifier: Apache-2.0
"""numba kernels of the trainer: forward, backward, update; same bits as the reference.

Fast because an update touches only cells whose row and column both pulse, and because the 16-bit
weights that a multiplication needs are cached and patched, not recomputed. Every intermediate is
cast: without it numba widens to 64 bits and vectorises half as well.
"""

import numpy as np
from numba import njit

from .cell_kernels import age, bell_of, mix, moved, partial_set, stepped
from .pools import (
    BACKWARD_SHIFT,
    C0,
    C1,
    CELL0,
    COL_BLOCKS,
    COLS,
    CONVERSIONS,
    FORWARD_SHIFT,
    KEY_CONVERT,
    KEY_PULSE,
    LINE0,
    PULSES,
    R0,
    R1,
    ROW_BLOCKS,
    ROWS,
    SIDE0,
    STRIDE,
    TILE0,
    TOP0,
)

__all__ = ["evaluate", "train"]


@njit(cache=True)
def _codes(acc, start, stop, offset, head, amp, shift, bits, total):
    """Add the ADC codes of ``acc[start:stop]`` to ``total``; lanes count from ``start``."""
    half, low, high = (
        np.int32(1 << (shift - 1)),
        np.int32(-(1 << (bits - 1))),
        np.int32((1 << (bits - 1)) - 1),
    )
    s, a = np.int32(shift), np.int32(amp)
    for j in range(stop - start):
        y = np.int32(acc[start + j] + offset[start + j] + bell_of(head, j, a) + half) >> s
        total[start + j] += min(max(y, low), high)


@njit(cache=True, inline="always")
def _head(p, tile):
    """Mixed head of the next conversion of a tile; counts it."""
    head = mix(np.uint32(p.tiles[tile, KEY_CONVERT] + p.counts[tile, CONVERSIONS]))
    p.counts[tile, CONVERSIONS] += 1
    return head


@njit(cache=True)
def _multiply(w, base, stride, x, rows, n, acc):
    """``acc = sum over rows[:n] of x[row] * w[row]``, eight rows at a time."""
    for j in range(stride):
        acc[j] = 0
    k = 0
    while k + 8 <= n:
        i0, i1, i2, i3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        i4, i5, i6, i7 = rows[k + 4], rows[k + 5], rows[k + 6], rows[k + 7]
        x0, x1, x2, x3 = np.int32(x[i0]), np.int32(x[i1]), np.int32(x[i2]), np.int32(x[i3])
        x4, x5, x6, x7 = np.int32(x[i4]), np.int32(x[i5]), np.int32(x[i6]), np.int32(x[i7])
        w0, w1 = w[base + i0 * stride :], w[base + i1 * stride :]
        w2, w3 = w[base + i2 * stride :], w[base + i3 * stride :]
        w4, w5 = w[base + i4 * stride :], w[base + i5 * stride :]
        w6, w7 = w[base + i6 * stride :], w[base + i7 * stride :]
        for j in range(stride):
            a = np.int32(np.int32(x0 * np.int32(w0[j])) + np.int32(x1 * np.int32(w1[j])))
            b = np.int32(np.int32(x2 * np.int32(w2[j])) + np.int32(x3 * np.int32(w3[j])))
            c = np.int32(np.int32(x4 * np.int32(w4[j])) + np.int32(x5 * np.int32(w5[j])))
            d = np.int32(np.int32(x6 * np.int32(w6[j])) + np.int32(x7 * np.int32(w7[j])))
            acc[j] = np.int32(acc[j] + np.int32(np.int32(a + b) + np.int32(c + d)))
        k += 8
    while k < n:
        i0 = rows[k]
        x0, w0 = np.int32(x[i0]), w[base + i0 * stride :]
        for j in range(stride):
            acc[j] = np.int32(acc[j] + np.int32(x0 * np.int32(w0[j])))
        k += 1


@njit(cache=True, inline="always")
def _forward(p, c, layer, x, z, rows, acc):
    """Twin of Machine.forward: saturated code sums of a layer into ``z``; returns clips."""
    g = p.layers[layer]
    stride, cols = g[STRIDE], g[COLS]
    for j in range(cols):
        z[j] = 0
    for rb in range(g[ROW_BLOCKS]):
        first = g[TILE0] + rb * g[COL_BLOCKS]
        n, square = 0, np.int64(0)
        for i in range(p.tiles[first, R0], p.tiles[first, R1]):
            if x[i] != 0:
                rows[n] = i
                n += 1
                square += np.int64(x[i]) * np.int64(x[i])
        _multiply(p.w, g[CELL0], stride, x, rows, n, acc)
        amp = np.int64(np.sqrt(np.float64(p.power[layer, 0] + c.read_power * square)))
        top = g[TOP0] + rb * stride
        offset = p.forward_offset[top : top + stride]
        for cb in range(g[COL_BLOCKS]):
            t = first + cb
            head = _head(p, t)
            _codes(
                acc,
                p.tiles[t, C0],
                p.tiles[t, C1],
                offset,
                head,
                amp,
                g[FORWARD_SHIFT],
                c.adc_bits,
                z,
            )
    clips = 0
    for j in range(cols):
        clips += z[j] < -127 or z[j] > 126
        z[j] = min(max(z[j], -128), 127)
    return clips


@njit(cache=True, inline="always")
def _activate(p, layer, z, cols, x, slope):
    for j in range(cols):
        k = z[j] & 255
        x[j] = p.value[layer, k]
        slope[j] = p.slope[layer, k]


@njit(cache=True, inline="always")
def _backward(p, c, layer, d, e, acc):
    """Twin of Machine.backward: saturated error sums of a layer into ``e``; returns clips."""
    g = p.layers[layer]
    stride, base, rows = g[STRIDE], g[CELL0], g[ROWS]
    for i in range(rows):
        e[i] = 0
    for cb in range(g[COL_BLOCKS]):
        c0, c1 = p.tiles[g[TILE0] + cb, C0], p.tiles[g[TILE0] + cb, C1]
        if c1 == g[COLS]:
            c1 = stride  # padding is zero: whole vectors
        dd = d[c0:c1]
        square = np.int64(0)
        for j in range(c1 - c0):
            square += np.int64(dd[j]) * np.int64(dd[j])
        for i in range(rows):
            ww = p.w[base + i * stride + c0 : base + i * stride + c1]
            s = np.int32(0)
            for j in range(c1 - c0):
                s = np.int32(s + np.int32(np.int32(dd[j]) * np.int32(ww[j])))
            acc[i] = s
        amp = np.int64(np.sqrt(np.float64(p.power[layer, 1] + c.read_power * square)))
        side = g[SIDE0] + cb * rows
        offset = p.backward_offset[side : side + rows]
        for rb in range(g[ROW_BLOCKS]):
            t = g[TILE0] + rb * g[COL_BLOCKS] + cb
            head = _head(p, t)
            _codes(
                acc,
                p.tiles[t, R0],
                p.tiles[t, R1],
                offset,
                head,
                amp,
                g[BACKWARD_SHIFT],
                c.adc_bits,
                e,
            )
    clips = 0
    for i in range(rows - 1):
        clips += e[i] < -126 or e[i] > 126
        e[i] = min(max(e[i], -127), 127)
    return clips


@njit(cache=True, inline="always")
def _step_lane(state, i):
    s = state[i]
    s = np.uint32(s ^ np.uint32(s << np.uint32(13)))
    s = np.uint32(s ^ np.uint32(s >> np.uint32(17)))
    s = np.uint32(s ^ np.uint32(s << np.uint32(5)))
    state[i] = s
    return s


@njit(cache=True)
def _round(state, codes, n, mult, shift, stochastic, out):
    """``out = (abs(codes) * mult + u) >> shift``; steps the lanes. Vectorises."""
    drop, up = np.uint32(32 - shift), np.int32(shift)
    if stochastic and shift > 0:
        for i in range(n):
            s = state[i]
            s = np.uint32(s ^ np.uint32(s << np.uint32(13)))
            s = np.uint32(s ^ np.uint32(s >> np.uint32(17)))
            s = np.uint32(s ^ np.uint32(s << np.uint32(5)))
            state[i] = s
            u = np.int32(np.uint32(s >> drop))
            out[i] = (
                np.int32(np.int32(np.int32(abs(np.int32(codes[i]))) * np.int32(mult)) + u) >> up
            )
    else:
        u = np.int32((1 << shift) >> 1)
        for i in range(n):
            if stochastic:
                _step_lane(state, i)
            out[i] = (
                np.int32(np.int32(np.int32(abs(np.int32(codes[i]))) * np.int32(mult)) + u) >> up
            )


@njit(cache=True, inline="always")
def _update(p, c, layer, x, d, px, pd, fired, cols_on, column0, n_of):
    """Twin of Machine.update."""
    g = p.layers[layer]
    rows, cols, stride = g[ROWS], g[COLS], g[STRIDE]
    _round(p.row_lanes[g[LINE0] : g[LINE0] + rows], x, rows, 1, 7, c.stochastic, n_of)
    n_rows = 0
    for i in range(rows):
        if n_of[i] != 0 and x[i] != 0:
            fired[n_rows] = i
            px[n_rows] = 1 if x[i] > 0 else -1
            n_rows += 1
    state = p.column_lanes[column0 : column0 + cols]
    _round(state, d, cols, p.rates[layer, 0], p.rates[layer, 1], c.stochastic, n_of)
    n_cols, asked, applied = 0, np.int64(0), np.int64(0)
    for j in range(cols):
        n = np.int64(n_of[j])
        if n != 0 and d[j] != 0:
            m = min(n, c.delta_max)
            asked += n
            applied += m
            cols_on[n_cols] = j
            pd[n_cols] = m if d[j] > 0 else -m
            n_cols += 1
    p.layer_counters[layer, 2] += n_rows * asked
    p.layer_counters[layer, 3] += n_rows * applied
    sign = p.sign[0]
    tiles = g[ROW_BLOCKS] * g[COL_BLOCKS]
    v, w, up, down = p.v, p.w, p.up, p.down
    su, sd, lo, hi, rising = c.slope_up, c.slope_down, c.v_min, c.v_max, sign > 0
    if c.capacitor and n_cols > 0:
        for cb in range(g[COL_BLOCKS]):
            t = g[TILE0] + cb
            first, last = 0, n_cols
            while first < n_cols and cols_on[first] < p.tiles[t, C0]:
                first += 1
            while last > first and cols_on[last - 1] >= p.tiles[t, C1]:
                last -= 1
            for a in range(n_rows):
                i = fired[a]
                ref = p.v_ref[g[SIDE0] + cb * rows + i]
                at = g[CELL0] + i * stride
                for b in range(first, last):
                    k = at + cols_on[b]
                    n = px[a] * pd[b]
                    old = np.int32(v[k])
                    new = stepped(old, abs(n), (n > 0) == rising, up[k], down[k], su, sd, lo, hi)
                    v[k] = new
                    w[k] += moved(old, new, ref, sign)
    elif not c.capacitor:
        for k in range(tiles):
            t = g[TILE0] + k
            r0, c0 = p.tiles[t, R0], p.tiles[t, C0]
            head = mix(np.uint32(p.tiles[t, KEY_PULSE] + p.counts[t, PULSES]))
            width = p.tiles[t, C1] - c0
            for a in range(n_rows):
                i = fired[a]
                if i < r0 or i >= p.tiles[t, R1]:
                    continue
                for b in range(n_cols):
                    j = cols_on[b]
                    if c0 <= j < p.tiles[t, C1]:
                        lane = (i - r0) * width + (j - c0)
                        partial_set(p, c, g[CELL0] + i * stride + j, px[a] * pd[b], head, lane)
    for k in range(tiles):
        p.counts[g[TILE0] + k, PULSES] += 1


@njit(cache=True)
def train(p, c, pixels, labels, order):
    """Run the training program on ``pixels[order]``, without the transfers.

    The caller stops at every transfer. Twin of Machine.run.

    Parameters
    ----------
    p, c : Pools, Constants
    pixels : ndarray of uint8, shape (n, inputs)
    labels : ndarray of int64, shape (n,)
    order : ndarray of int64
        Examples to train on, in this order.
    """
    n_layers = p.layers.shape[0]
    widest = 16
    for layer in range(n_layers):
        widest = max(widest, p.layers[layer, ROWS] + 16, p.layers[layer, STRIDE] + 16)
    x = np.zeros((n_layers + 1, widest), np.int16)
    d = np.zeros((n_layers, widest), np.int16)
    slope = np.zeros((n_layers, widest), np.int32)
    z, e = np.zeros(widest, np.int32), np.zeros(widest, np.int32)
    rows, fired, cols_on = (
        np.zeros(widest, np.int64),
        np.zeros(widest, np.int64),
        np.zeros(widest, np.int64),
    )
    px, pd, acc = np.zeros(widest, np.int64), np.zeros(widest, np.int64), np.zeros(widest, np.int32)
    n_of = np.zeros(widest, np.int32)
    for layer in range(n_layers):
        x[layer, p.layers[layer, ROWS] - 1] = 127
    last = n_layers - 1
    outputs = p.layers[last, COLS]
    for example in order:
        image = pixels[example]
        for i in range(image.size):
            x[0, i] = image[i] >> 1
        for layer in range(n_layers):
            p.layer_counters[layer, 0] += _forward(p, c, layer, x[layer], z, rows, acc)
            _activate(p, layer, z, p.layers[layer, COLS], x[layer + 1], slope[layer])
        best, wrong = 0, 0
        for j in range(outputs):
            if z[j] > z[best]:
                best = j
            target = 127 if j == labels[example] else 0
            d[last, j] = min(max(target - np.int32(x[n_layers, j]), -127), 127)
            wrong += d[last, j] != 0
        p.counters[0] += 1
        p.counters[1] += best == labels[example]
        if wrong == 0:
            p.counters[2] += 1
        else:
            for layer in range(last, 0, -1):
                p.layer_counters[layer, 1] += _backward(p, c, layer, d[layer], e, acc)
                for i in range(p.layers[layer, ROWS] - 1):
                    d[layer - 1, i] = (e[i] * slope[layer - 1, i] + 64) >> 7
            column0 = p.column_lanes.size
            for layer in range(last, -1, -1):
                column0 -= p.layers[layer, COLS]
                _update(p, c, layer, x[layer], d[layer], px, pd, fired, cols_on, column0, n_of)
        if p.counters[0] % c.age_periods == 0:
            p.counters[3] += 1
            age(p, c)


@njit(cache=True)
def evaluate(p, c, pixels, out):
    """Saturated output sums of the forward path into ``out``; conversions are given back."""
    n_layers = p.layers.shape[0]
    widest = 16
    for layer in range(n_layers):
        widest = max(widest, p.layers[layer, ROWS] + 16, p.layers[layer, STRIDE] + 16)
    x = np.zeros((n_layers + 1, widest), np.int16)
    slope, z = np.zeros(widest, np.int32), np.zeros(widest, np.int32)
    rows, acc = np.zeros(widest, np.int64), np.zeros(widest, np.int32)
    for layer in range(n_layers):
        x[layer, p.layers[layer, ROWS] - 1] = 127
    counts = p.counts.copy()
    for k in range(pixels.shape[0]):
        for i in range(pixels.shape[1]):
            x[0, i] = pixels[k, i] >> 1
        for layer in range(n_layers):
            _forward(p, c, layer, x[layer], z, rows, acc)
            _activate(p, layer, z, p.layers[layer, COLS], x[layer + 1], slope)
        for j in range(out.shape[1]):
            out[k, j] = z[j]
    p.counts[:, :] = counts
