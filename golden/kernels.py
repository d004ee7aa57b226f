# SPDX-License-Identifier: Apache-2.0
"""numba kernels of the trainer: forward, backward, update; same bits as the reference.

Fast because an update touches only cells whose row and column both pulse, and because the 16-bit
weights that a multiplication needs are cached and patched, not recomputed. Every intermediate is
cast: without it numba widens to 64 bits and vectorises half as well.
"""

import numpy as np

from .cell_kernels import age, bell_of, mix, padded
from .jit import njit
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
    R0,
    R1,
    ROW_BLOCKS,
    ROWS,
    SIDE0,
    STRIDE,
    TILE0,
    TOP0,
)
from .shift import asr
from .update_kernels import update

__all__ = ["convert", "driven", "evaluate", "multiply", "multiply_back", "square", "train"]


@njit
def convert(acc, offset, head, amp, shift, bits, total):
    """Add the ADC codes of the sums ``acc`` to ``total``: one tile, one line a lane.

    Arrays come as slices of equal length and are indexed from 0: an index that could be
    negative would be checked for wrap-around and keep LLVM from vectorising.
    """
    half, low, high = (
        np.int32(1 << (shift - 1)),
        np.int32(-(1 << (bits - 1))),
        np.int32((1 << (bits - 1)) - 1),
    )
    for j in range(acc.size):
        y = asr(np.int32(acc[j] + offset[j]) + np.int32(bell_of(head, j, amp) + half), shift)
        total[j] += min(max(y, low), high)


@njit
def _saturate(total, low, high):
    """Saturate sums of codes to ``low .. high`` in place; return how many reached an end."""
    clips = np.int32(0)
    for j in range(total.size):
        y = total[j]
        clips += np.int32(y <= np.int32(low)) + np.int32(y >= np.int32(high))
        total[j] = min(max(y, np.int32(low)), np.int32(high))
    return clips


@njit
def square(x):
    """Sum of squares; at most 512 codes of 7 bits."""
    total = np.int32(0)
    for i in range(x.size):
        total += np.int32(np.int32(x[i]) * np.int32(x[i]))
    return np.int64(total)


@njit(inline="always")
def _head(p, tile):
    """Mixed head of the next conversion of a tile; counts it."""
    head = mix(np.uint32(p.tiles[tile, KEY_CONVERT] + p.counts[tile, CONVERSIONS]))
    p.counts[tile, CONVERSIONS] += 1
    return head


@njit
def multiply(w, base, stride, x, rows, n, acc):
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


@njit
def driven(x, row0, rows):
    """List the rows with a code that is not zero; return how many. Without branches."""
    n = 0
    for i in range(x.size):
        rows[n] = row0 + i
        n += x[i] != 0
    return n


@njit(inline="always")
def _forward(p, c, layer, x, z, rows, acc):
    """Twin of Machine.forward: saturated code sums of a layer into ``z``; returns clips."""
    g = p.layers[layer]
    stride, cols = g[STRIDE], g[COLS]
    z[:cols] = 0
    for rb in range(g[ROW_BLOCKS]):
        first = g[TILE0] + rb * g[COL_BLOCKS]
        r0, r1 = p.tiles[first, R0], p.tiles[first, R1]
        n = driven(x[r0:r1], r0, rows)
        multiply(p.w, g[CELL0], stride, x, rows, n, acc)
        power = p.power[layer, 0] + c.read_power * square(x[r0:r1])
        amp = np.int64(np.sqrt(np.float64(power)))
        top, shift = g[TOP0] + rb * stride, g[FORWARD_SHIFT]
        for cb in range(g[COL_BLOCKS]):
            t = first + cb
            c0, c1 = p.tiles[t, C0], p.tiles[t, C1]
            offset = p.forward_offset[top + c0 : top + c1]
            convert(acc[c0:c1], offset, _head(p, t), amp, shift, c.adc_bits, z[c0:c1])
    return _saturate(z[:cols], -128, 127)


@njit
def _activate(value, slope, z, x, derivative):
    """Twin of Machine.activate; ``value`` and ``slope`` are the layer's tables."""
    for j in range(z.size):
        k = z[j] & 255
        x[j] = value[k]
        derivative[j] = slope[k]


@njit
def multiply_back(w, base, stride, d, acc):
    """``acc[i] = sum of w[i] * d`` over a column block that starts at ``base``."""
    for i in range(acc.size):
        at = base + i * stride
        ww = w[at : at + d.size]
        s = np.int32(0)
        for j in range(d.size):
            s = np.int32(s + np.int32(np.int32(d[j]) * np.int32(ww[j])))
        acc[i] = s


@njit(inline="always")
def _backward(p, c, layer, d, e, acc):
    """Twin of Machine.backward: saturated error sums of a layer into ``e``; returns clips."""
    g = p.layers[layer]
    stride, rows, shift = g[STRIDE], g[ROWS], g[BACKWARD_SHIFT]
    e[:rows] = 0
    for cb in range(g[COL_BLOCKS]):
        c0, c1 = p.tiles[g[TILE0] + cb, C0], padded(p.tiles[g[TILE0] + cb, C1], g)
        multiply_back(p.w, g[CELL0] + c0, stride, d[c0:c1], acc[:rows])
        power = p.power[layer, 1] + c.read_power * square(d[c0:c1])
        amp = np.int64(np.sqrt(np.float64(power)))
        side = g[SIDE0] + cb * rows
        for rb in range(g[ROW_BLOCKS]):
            t = g[TILE0] + rb * g[COL_BLOCKS] + cb
            r0, r1 = p.tiles[t, R0], p.tiles[t, R1]
            offset = p.backward_offset[side + r0 : side + r1]
            convert(acc[r0:r1], offset, _head(p, t), amp, shift, c.adc_bits, e[r0:r1])
    return _saturate(e[: rows - 1], -127, 127)


@njit
def _scale(e, slope, d):
    """Twin of Machine.multiply."""
    for i in range(e.size):
        d[i] = asr(np.int32(e[i] * slope[i]) + 64, 7)


@njit
def _load(image, x):
    """Twin of machine.input_codes."""
    for i in range(image.size):
        x[i] = image[i] >> 1


@njit
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
    rows, acc = np.zeros(widest, np.int64), np.zeros(widest, np.int32)
    count, fall = np.zeros(widest, np.int32), np.zeros(widest, np.int32)
    lines = (count, fall, np.zeros(widest, np.int64), np.zeros(widest, np.int64))
    for layer in range(n_layers):
        x[layer, p.layers[layer, ROWS] - 1] = 127
    last = n_layers - 1
    outputs = p.layers[last, COLS]
    for example in order:
        image = pixels[example]
        _load(image, x[0])
        for layer in range(n_layers):
            p.layer_counters[layer, 0] += _forward(p, c, layer, x[layer], z, rows, acc)
            cols = p.layers[layer, COLS]
            _activate(p.value[layer], p.slope[layer], z[:cols], x[layer + 1], slope[layer])
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
                _scale(e[: p.layers[layer, ROWS] - 1], slope[layer - 1], d[layer - 1])
            column0 = p.column_lanes.size
            for layer in range(last, -1, -1):
                column0 -= p.layers[layer, COLS]
                update(p, c, layer, x[layer], d[layer], column0, lines)
        if p.counters[0] % c.age_periods == 0:
            p.counters[3] += 1
            age(p, c)


@njit
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
        _load(pixels[k], x[0])
        for layer in range(n_layers):
            _forward(p, c, layer, x[layer], z, rows, acc)
            cols = p.layers[layer, COLS]
            _activate(p.value[layer], p.slope[layer], z[:cols], x[layer + 1], slope)
        for j in range(out.shape[1]):
            out[k, j] = z[j]
    p.counts[:, :] = counts
