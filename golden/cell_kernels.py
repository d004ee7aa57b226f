# SPDX-License-Identifier: Apache-2.0
"""numba kernels of cells: noise, steps, cached weights, ageing; twins of FixedTile."""

import numpy as np

from .jit import njit
from .pools import (
    AGE,
    C0,
    C1,
    CELL0,
    COL_BLOCKS,
    COLS,
    R0,
    R1,
    ROW_BLOCKS,
    ROWS,
    SIDE0,
    STRIDE,
    TILE0,
)
from .shift import asr

__all__ = [
    "add_fast",
    "age",
    "bell_of",
    "combine",
    "mix",
    "moved",
    "padded",
    "partial_set",
    "refresh",
    "refresh_row",
    "stepped",
    "sweep",
]

_GOLDEN = np.uint32(0x9E3779B1)


@njit(inline="always")
def mix(x):
    """Scalar twin of :func:`analog_models.prng.mix32`."""
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ np.uint32(x >> np.uint32(16)))


@njit(inline="always")
def bell_of(head, lane, amp):
    """Scaled bell (int32) of one lane of the draw whose mixed head is given."""
    x = mix(np.uint32(head + np.uint32(np.uint32(lane) * _GOLDEN)))
    b = np.uint32(
        (x & np.uint32(0x00FF00FF)) + np.uint32((x >> np.uint32(8)) & np.uint32(0x00FF00FF))
    )
    total = np.int32(np.uint32(b & np.uint32(0xFFFF)) + np.uint32(b >> np.uint32(16)))
    return asr(np.int32(np.int32(total - np.int32(510)) * np.int32(amp)) + 128, 8)


@njit(inline="always")
def stepped(old, count, falls, up, down, curve):
    """Twin of FixedTile._step: capacitor code after ``count`` pulses.

    ``falls`` is 0 or -1, ``curve`` is (slope_up, slope_down, v_min, v_max). Without branches, and
    with ``up`` and ``down`` both given: signs are random, and LLVM vectorises no loop that loads
    one or the other.
    """
    slope_up, slope_down, v_min, v_max = curve
    step = np.int32(up ^ np.int32(np.int32(up ^ down) & falls))
    slope = np.int32(slope_up) if falls == 0 else np.int32(slope_down)
    bent = asr(old * slope, 15)
    # x ^ -1 minus -1 is -x: negates where the capacitor falls
    factor = np.int32(np.int32(16384) - np.int32(np.int32(bent ^ falls) - falls))
    size = asr(np.int32(np.int32(count * step) * factor) + 131072, 18)
    new = np.int32(old + np.int32(np.int32(size ^ falls) - falls))
    return min(max(new, np.int32(v_min)), np.int32(v_max))


@njit(inline="always")
def moved(old, new, shifted, inverse):
    """Change of the cached weight when a capacitor moves.

    ``shifted`` is 2 less the reference cell, ``inverse`` 0 or (polarity -1) -1.
    """
    change = np.int32(asr(new + shifted, 2) - asr(old + shifted, 2))
    return np.int32(np.int32(change ^ inverse) - inverse)


@njit
def sweep(v, w, up, down, count, fall, flip, ref, sign, curve):
    """Step a row of cells by ``count`` pulses and patch its cached weights.

    Parameters
    ----------
    v, w, up, down : ndarray of int16, shape (n,)
        Capacitor codes, cached weights, steps; ``v`` and ``w`` change in place.
    count, fall : ndarray of int32, shape (n,)
        Pulses, 0..31, and their sense.
    flip : int
        ``fall ^ flip`` is 0 where the capacitor rises and -1 where it falls.
    ref : int
        Code of the row's reference cell.
    sign : int, +1 or -1
        Polarity.
    curve : tuple of int
        See :func:`stepped`.
    """
    turn, shifted = np.int32(flip), np.int32(2 - ref)
    inverse = np.int32(-1 if sign < 0 else 0)
    for j in range(v.size):
        old, falls, n = np.int32(v[j]), np.int32(fall[j] ^ turn), np.int32(count[j])
        u, d = np.int32(up[j]), np.int32(down[j])
        new = stepped(old, n, falls, u, d, curve)
        v[j] = new
        w[j] = np.int32(np.int32(w[j]) + moved(old, new, shifted, inverse))


@njit
def partial_set(p, c, k, n, head, lane):
    """Twin of FixedTile._partial_set for one cell."""
    m = np.int64(abs(n))
    root = np.int64(np.sqrt(np.float64(m * 256)))
    noise = bell_of(head, lane, (c.pulse_amp * root) >> 4)
    old = np.int64(p.g_plus[k]) if n > 0 else np.int64(p.g_minus[k])
    new = old + ((min(m * c.pulse_loss, 65536) * (c.g_max - old) + 32768) >> 16) + noise
    new = min(max(new, 0), c.g_max)
    if n > 0:
        p.g_plus[k] = new
    else:
        p.g_minus[k] = new
    p.w[k] = c.gain * (np.int32(p.g_plus[k]) - np.int32(p.g_minus[k]))


@njit(inline="always")
def padded(c1, geometry):
    """End of a block of columns; the last block takes the padding in, for whole vectors.

    Padding gets no pulses and no errors, so the weights that are cached there do not matter.
    """
    return geometry[STRIDE] if c1 == geometry[COLS] else c1


@njit(inline="always")
def refresh_row(p, c, layer, cb, i, c0, c1, sign):
    """Recompute the cached weights of columns ``c0 .. c1`` of one row."""
    g = p.layers[layer]
    a, b = g[CELL0] + i * g[STRIDE] + c0, g[CELL0] + i * g[STRIDE] + c1
    combine(p.w[a:b], p.g_plus[a:b], p.g_minus[a:b], c.gain)
    if c.capacitor:
        add_fast(p.w[a:b], p.v[a:b], p.offset[a:b], p.v_ref[g[SIDE0] + cb * g[ROWS] + i], sign)


@njit
def combine(w, plus, minus, gain):
    """Long-term part of a row of weights."""
    for j in range(w.size):
        w[j] = np.int32(gain) * np.int32(np.int32(plus[j]) - np.int32(minus[j]))


@njit
def add_fast(w, v, offset, ref, sign):
    """Add the capacitors' part to a row of weights."""
    shifted, s = np.int32(2 - ref), np.int32(sign)
    for j in range(w.size):
        fast = np.int32(asr(np.int32(v[j]) + shifted, 2) + np.int32(offset[j]))
        w[j] = np.int32(np.int32(w[j]) + np.int32(s * fast))


@njit
def refresh(p, c):
    """Recompute all cached weights."""
    for layer in range(p.layers.shape[0]):
        g = p.layers[layer]
        for cb in range(g[COL_BLOCKS]):
            t = g[TILE0] + cb
            for i in range(g[ROWS]):
                refresh_row(p, c, layer, cb, i, p.tiles[t, C0], p.tiles[t, C1], p.sign[0])


@njit
def _leak_row(v, w, leak, goal, ref, new_ref, sign):
    """Leak one row and patch its cached weights; ``ref``: the reference cell before and after."""
    target, inverse = np.int32(goal), np.int32(-1 if sign < 0 else 0)
    before, after = np.int32(2 - ref), np.int32(2 - new_ref)
    for j in range(v.size):
        old = np.int32(v[j])
        way = np.int32(np.int32(target - old) * np.int32(leak[j]))
        new = np.int32(old + asr(way + 32768, 16))
        v[j] = new
        change = np.int32(asr(new + after, 2) - asr(old + before, 2))
        w[j] = np.int32(np.int32(w[j]) + np.int32(np.int32(change ^ inverse) - inverse))


@njit
def _drift_row(g, drift):
    for j in range(g.size):
        old = np.int32(g[j])
        g[j] = old - asr(np.int32(old * np.int32(drift[j])) + 32768, 16)


@njit
def age(p, c):
    """Twin of FixedTile.age(1) for all tiles, and of the cached weights."""
    for layer in range(p.layers.shape[0]):
        g = p.layers[layer]
        for k in range(g[ROW_BLOCKS] * g[COL_BLOCKS]):
            t = g[TILE0] + k
            p.counts[t, AGE] += 1
            drifts = 0
            for tick in p.drift_ticks:
                drifts += tick == p.counts[t, AGE]
            cb = k % g[COL_BLOCKS]
            c0, c1 = p.tiles[t, C0], padded(p.tiles[t, C1], g)
            for i in range(p.tiles[t, R0], p.tiles[t, R1]):
                a, b = g[CELL0] + i * g[STRIDE] + c0, g[CELL0] + i * g[STRIDE] + c1
                side = g[SIDE0] + cb * g[ROWS] + i
                ref = p.v_ref[side]
                p.v_ref[side] = ref + (((c.v_leak - ref) * p.leak_ref[side] + 32768) >> 16)
                _leak_row(p.v[a:b], p.w[a:b], p.leak[a:b], c.v_leak, ref, p.v_ref[side], p.sign[0])
                for _ in range(drifts):
                    _drift_row(p.g_plus[a:b], p.drift_plus[a:b])
                    _drift_row(p.g_minus[a:b], p.drift_minus[a:b])
                if drifts > 0 or not c.capacitor:
                    refresh_row(p, c, layer, cb, i, c0, c1, p.sign[0])
