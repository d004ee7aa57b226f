# SPDX-License-Identifier: Apache-2.0
"""numba kernels of cells: noise, steps, cached weights, ageing; twins of FixedTile."""

import numpy as np
from numba import njit

from .pools import AGE, C0, C1, CELL0, COL_BLOCKS, R0, R1, ROW_BLOCKS, ROWS, SIDE0, STRIDE, TILE0

__all__ = ["age", "bell_of", "mix", "moved", "partial_set", "refresh", "refresh_row", "stepped"]

_GOLDEN = np.uint32(0x9E3779B1)


@njit(cache=True, inline="always")
def mix(x):
    """Scalar twin of :func:`analog_models.prng.mix32`."""
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ np.uint32(x >> np.uint32(16)))


@njit(cache=True, inline="always")
def bell_of(head, lane, amp):
    """Scaled bell (int32) of one lane of the draw whose mixed head is given."""
    x = mix(np.uint32(head + np.uint32(np.uint32(lane) * _GOLDEN)))
    b = np.uint32(
        (x & np.uint32(0x00FF00FF)) + np.uint32((x >> np.uint32(8)) & np.uint32(0x00FF00FF))
    )
    total = np.int32(np.uint32(b & np.uint32(0xFFFF)) + np.uint32(b >> np.uint32(16)))
    return np.int32(
        np.int32(np.int32(total - np.int32(510)) * np.int32(amp)) + np.int32(128)
    ) >> np.int32(8)


@njit(cache=True, inline="always")
def stepped(v, n, rise, up, down, slope_up, slope_down, v_min, v_max):
    """Twin of FixedTile._step: capacitor code after ``n`` pulses, up if ``rise``.

    Scalars only: an array as argument would cost two reference counts per event.
    """
    old, m = np.int32(v), np.int32(n)
    if rise:
        factor = np.int32(16384) - np.int32(np.int32(old * np.int32(slope_up)) >> np.int32(15))
        size = np.int32(np.int32(m * np.int32(up)) * np.int32(factor))
        return min(old + (np.int32(size + np.int32(131072)) >> np.int32(18)), np.int32(v_max))
    factor = np.int32(16384) + np.int32(np.int32(old * np.int32(slope_down)) >> np.int32(15))
    size = np.int32(np.int32(m * np.int32(down)) * np.int32(factor))
    return max(old - (np.int32(size + np.int32(131072)) >> np.int32(18)), np.int32(v_min))


@njit(cache=True, inline="always")
def moved(old, new, ref, sign):
    """Change of the cached weight when a capacitor moves."""
    return sign * (((new - ref + 2) >> 2) - ((old - ref + 2) >> 2))


@njit(cache=True)
def partial_set(p, c, k, n, head, lane):
    """Twin of FixedTile.partial_set for one cell."""
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


@njit(cache=True, inline="always")
def refresh_row(p, c, layer, cb, i, c0, c1, sign):
    """Recompute the cached weights of columns ``c0 .. c1`` of one row."""
    g = p.layers[layer]
    at = g[CELL0] + i * g[STRIDE]
    gain, ref = np.int32(c.gain), np.int32(p.v_ref[g[SIDE0] + cb * g[ROWS] + i])
    s = np.int32(sign)
    w, v, offset = p.w[at + c0 : at + c1], p.v[at + c0 : at + c1], p.offset[at + c0 : at + c1]
    plus, minus = p.g_plus[at + c0 : at + c1], p.g_minus[at + c0 : at + c1]
    if c.capacitor:
        for j in range(c1 - c0):
            slow = np.int32(gain * np.int32(np.int32(plus[j]) - np.int32(minus[j])))
            fast = np.int32(np.int32(np.int32(v[j]) - ref + np.int32(2)) >> np.int32(2)) + np.int32(
                offset[j]
            )
            w[j] = np.int32(slow + np.int32(s * np.int32(fast)))
    else:
        for j in range(c1 - c0):
            w[j] = np.int32(gain * np.int32(np.int32(plus[j]) - np.int32(minus[j])))


@njit(cache=True)
def refresh(p, c):
    """Recompute all cached weights."""
    for layer in range(p.layers.shape[0]):
        g = p.layers[layer]
        for cb in range(g[COL_BLOCKS]):
            t = g[TILE0] + cb
            for i in range(g[ROWS]):
                refresh_row(p, c, layer, cb, i, p.tiles[t, C0], p.tiles[t, C1], p.sign[0])


@njit(cache=True, inline="always")
def _leak_row(p, c, at, n, side):
    leak, v = p.leak[at : at + n], p.v[at : at + n]
    goal = np.int32(c.v_leak)
    for j in range(n):
        old = np.int32(v[j])
        v[j] = np.int32(
            old
            + np.int32(
                np.int32(np.int32(np.int32(goal - old) * leak[j]) + np.int32(32768)) >> np.int32(16)
            )
        )
    old = p.v_ref[side]
    p.v_ref[side] = old + (((goal - old) * p.leak_ref[side] + 32768) >> 16)


@njit(cache=True, inline="always")
def _drift_row(g, drift, at, n):
    g, drift = g[at : at + n], drift[at : at + n]
    for j in range(n):
        old = np.int32(g[j])
        g[j] = np.int32(
            old
            - np.int32(
                np.int32(np.int32(old * np.int32(drift[j])) + np.int32(32768)) >> np.int32(16)
            )
        )


@njit(cache=True)
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
            c0, n = p.tiles[t, C0], p.tiles[t, C1] - p.tiles[t, C0]
            for i in range(p.tiles[t, R0], p.tiles[t, R1]):
                at = g[CELL0] + i * g[STRIDE] + c0
                _leak_row(p, c, at, n, g[SIDE0] + cb * g[ROWS] + i)
                for _ in range(drifts):
                    _drift_row(p.g_plus, p.drift_plus, at, n)
                    _drift_row(p.g_minus, p.drift_minus, at, n)
                refresh_row(p, c, layer, cb, i, c0, c0 + n, p.sign[0])
