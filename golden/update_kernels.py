# SPDX-License-Identifier: Apache-2.0
"""numba kernels of the update: pulse counts of lines, steps of cells; same bits as the reference.

Only rows that fire are touched. Where few columns of a row fire, their cells are stepped one by
one; otherwise the whole row is swept in vector registers, which is an order of magnitude faster a
cell: a count of zero changes nothing.
"""

import numpy as np

from .cell_kernels import mix, moved, padded, partial_set, stepped, sweep
from .jit import njit
from .pools import (
    C0,
    C1,
    CELL0,
    COL_BLOCKS,
    COLS,
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
)
from .shift import asr

__all__ = ["ALONE", "BEGIN", "update"]

#: A sweep takes as long as to begin with :data:`BEGIN` cells more, and a cell stepped alone as long
#: as :data:`ALONE` cells in a sweep (measured: about 20, 4 and 0.4 ns).
BEGIN, ALONE = 50, 10


@njit
def _round(state, codes, mult, shift, stochastic, out):
    """``out = (abs(codes) * mult + u) >> shift``; steps the lanes. Vectorises."""
    if stochastic:
        for i in range(state.size):
            s = state[i]
            s = np.uint32(s ^ np.uint32(s << np.uint32(13)))
            s = np.uint32(s ^ np.uint32(s >> np.uint32(17)))
            state[i] = np.uint32(s ^ np.uint32(s << np.uint32(5)))
    if stochastic and shift > 0:
        for i in range(state.size):
            u = np.int32(np.uint32(state[i] >> np.uint32(32 - shift)))
            out[i] = asr(np.int32(abs(np.int32(codes[i])) * np.int32(mult)) + u, shift)
    else:
        half = np.int32((1 << shift) >> 1)
        for i in range(state.size):
            out[i] = asr(np.int32(abs(np.int32(codes[i])) * np.int32(mult)) + half, shift)


@njit(inline="always")
def update(p, c, layer, x, d, column0, lines):
    """Twin of Machine.update.

    Parameters
    ----------
    x, d : ndarray of int16
        Activations of the rows and errors of the columns.
    column0 : int
        First column lane of the layer.
    lines : tuple of four ndarray, at least as long as the padded lines
        Scratch: pulse counts and sense of lines (int32); rows and columns that fire (int64).
    """
    g = p.layers[layer]
    rows, cols, stride = g[ROWS], g[COLS], g[STRIDE]
    count, fall, fired, active = lines
    rows_on, cols_on = fired[:rows], active[:cols]
    _round(p.row_lanes[g[LINE0] : g[LINE0] + rows], x, 1, 7, c.stochastic, count)
    n_rows = 0
    for i in range(rows):
        rows_on[n_rows] = i
        n_rows += count[i] != 0
    state = p.column_lanes[column0 : column0 + cols]
    _round(state, d, p.rates[layer, 0], p.rates[layer, 1], c.stochastic, count)
    asked, applied, n_cols = np.int64(0), np.int64(0), 0
    for j in range(cols):
        asked += count[j]
        count[j] = min(count[j], np.int32(c.delta_max))
        applied += count[j]
        fall[j] = -1 if d[j] < 0 else 0
        cols_on[n_cols] = j
        n_cols += count[j] != 0
    for j in range(cols, stride):
        count[j] = 0
    p.layer_counters[layer, 2] += n_rows * asked
    p.layer_counters[layer, 3] += n_rows * applied
    if c.capacitor:
        _move(p, c, layer, x, count, fall, rows_on[:n_rows], cols_on[:n_cols])
    else:
        _crystallise(p, c, layer, x, d, count, rows_on[:n_rows], cols_on[:n_cols])
    for k in range(g[ROW_BLOCKS] * g[COL_BLOCKS]):
        p.counts[g[TILE0] + k, PULSES] += 1


@njit(inline="always")
def _move(p, c, layer, x, count, fall, rows_on, cols_on):
    """Step capacitors where a row and a column fire."""
    g = p.layers[layer]
    rows, stride, sign = g[ROWS], g[STRIDE], p.sign[0]
    v, w, up, down = p.v, p.w, p.up, p.down
    curve = (c.slope_up, c.slope_down, c.v_min, c.v_max)
    inverse = np.int32(-1 if sign < 0 else 0)
    first = last = 0
    for cb in range(g[COL_BLOCKS]):
        c0, c1 = p.tiles[g[TILE0] + cb, C0], p.tiles[g[TILE0] + cb, C1]
        first = last
        while last < cols_on.size and cols_on[last] < c1:
            last += 1
        if first == last:
            continue
        c1 = padded(c1, g)
        counts, senses = count[c0:c1], fall[c0:c1]
        for i in rows_on:
            ref = p.v_ref[g[SIDE0] + cb * rows + i]
            flip = -1 if (x[i] < 0) != (sign < 0) else 0
            at = g[CELL0] + i * stride
            if (last - first) * ALONE > BEGIN + c1 - c0:
                a, b = at + c0, at + c1
                sweep(v[a:b], w[a:b], up[a:b], down[a:b], counts, senses, flip, ref, sign, curve)
                continue
            turn, shifted = np.int32(flip), np.int32(2 - ref)
            for b in range(first, last):
                j = cols_on[b]
                k = at + j
                old, falls = np.int32(v[k]), np.int32(fall[j] ^ turn)
                u, d = np.int32(up[k]), np.int32(down[k])
                new = stepped(old, count[j], falls, u, d, curve)
                v[k] = new
                w[k] += moved(old, new, shifted, inverse)


@njit(inline="always")
def _crystallise(p, c, layer, x, d, count, rows_on, cols_on):
    """Partial SETs of the 2-PCM cell where a row and a column fire."""
    g = p.layers[layer]
    for k in range(g[ROW_BLOCKS] * g[COL_BLOCKS]):
        t = g[TILE0] + k
        r0, c0 = p.tiles[t, R0], p.tiles[t, C0]
        head = mix(np.uint32(p.tiles[t, KEY_PULSE] + p.counts[t, PULSES]))
        width = p.tiles[t, C1] - c0
        for i in rows_on:
            if i < r0 or i >= p.tiles[t, R1]:
                continue
            for j in cols_on:
                if c0 <= j < p.tiles[t, C1]:
                    lane = (i - r0) * width + (j - c0)
                    n = count[j] if (x[i] > 0) == (d[j] > 0) else -count[j]
                    partial_set(p, c, g[CELL0] + i * g[STRIDE] + j, n, head, lane)
