# SPDX-License-Identifier: Apache-2.0
"""numba twin of :mod:`golden.transfer`: rewrites all rows of all tiles, same bits."""

import numpy as np
from numba import njit

from analog_models.tile import RESET

from .cell_kernels import bell_of, mix, moved, refresh_row, stepped
from .pools import (
    AGE,
    C0,
    C1,
    CELL0,
    COL_BLOCKS,
    CONVERSIONS,
    KEY_CONVERT,
    KEY_WRITE,
    R0,
    R1,
    ROW_BLOCKS,
    ROWS,
    SIDE0,
    STRIDE,
    TILE0,
    TOP0,
    WRITES,
)

__all__ = ["transfer"]


@njit(cache=True, inline="always")
def _read(p, c, t, at, top, n, out):
    """Twin of FixedTile.read: codes of one row into ``out``."""
    head = mix(np.uint32(p.tiles[t, KEY_CONVERT] + p.counts[t, CONVERSIONS]))
    p.counts[t, CONVERSIONS] += 1
    power = (c.read_noise + c.read_power * 16384) >> c.log2_reads
    amp = np.int32(np.sqrt(np.float64(power)))
    half, shift = np.int32(1 << (c.read_shift - 1)), np.int32(c.read_shift)
    low, high = np.int32(-(1 << (c.read_bits - 1))), np.int32((1 << (c.read_bits - 1)) - 1)
    w, offset = p.w[at : at + n], p.read_offset[top : top + n]
    for j in range(n):
        y = np.int32(np.int32(np.int32(w[j]) << np.int32(7)) + offset[j])
        y = np.int32(y + bell_of(head, j, amp) + half) >> shift
        out[j] = min(max(y, low), high)


@njit(cache=True)
def _program_side(g, response, codes, head, odd, at, n, set_mean, set_amp, c):
    """Twin of FixedTile.program for the G+ (``odd`` 0) or G- (1) devices of a row."""
    for j in range(n):
        code = codes[j]
        if code == RESET:
            new = c.g_reset + bell_of(head, 2 * j + odd, c.reset_amp)
            g[at + j] = min(max(new, 0), c.g_max)
        elif code != 0:
            mean = np.int32(set_mean[code])
            new = mean + ((mean * np.int32(response[at + j]) + 2048) >> 12)
            new += bell_of(head, 2 * j + odd, set_amp[code])
            g[at + j] = max(min(max(new, 0), c.g_max), np.int64(g[at + j]))


@njit(cache=True, inline="always")
def _program(p, c, t, at, n, plus, minus):
    """Twin of FixedTile.program."""
    head = mix(np.uint32(p.tiles[t, KEY_WRITE] + p.counts[t, WRITES]))
    p.counts[t, WRITES] += 1
    p.counts[t, AGE] = 0
    mean, amp = p.set_mean, p.set_amp
    _program_side(p.g_plus, p.response_plus, plus, head, 0, at, n, mean, amp, c)
    _program_side(p.g_minus, p.response_minus, minus, head, 1, at, n, mean, amp, c)


@njit(cache=True, inline="always")
def _init(p, c, t, at, n, side):
    """Twin of FixedTile.init."""
    head = mix(np.uint32(p.tiles[t, KEY_WRITE] + p.counts[t, WRITES]))
    p.counts[t, WRITES] += 1
    for j in range(n):
        p.v[at + j] = min(max(bell_of(head, j, c.init_amp), c.v_min), c.v_max)
    p.v_ref[side] = min(max(bell_of(head, n, c.init_amp), c.v_min), c.v_max)


@njit(cache=True, inline="always")
def _set_codes(p, c, aim, todo, n, plus, minus):
    """Twin of transfer.set_codes; returns the shots."""
    shots = 0
    for j in range(n):
        plus[j] = minus[j] = 0
        size = abs(aim[j])
        if todo[j] and size >= c.small_target and size > 0:
            code = p.duration[min(size >> 3, 255)]
            shots += 1
            if aim[j] > 0:
                plus[j] = code
            else:
                minus[j] = code
    return shots


@njit(cache=True, inline="always")
def _row(p, c, layer, t, cb, i, new, goal, given, work):
    """Twin of transfer.transfer_row and of the counting in Machine._rewrite."""
    g = p.layers[layer]
    c0, c1 = p.tiles[t, C0], p.tiles[t, C1]
    n, at = c1 - c0, g[CELL0] + i * g[STRIDE] + c0
    top = g[TOP0] + (t - g[TILE0]) // g[COL_BLOCKS] * g[STRIDE] + c0
    side = g[SIDE0] + cb * g[ROWS] + i
    got, aim, todo, plus, minus = work[0], work[1], work[2], work[3], work[4]
    if not given:
        _read(p, c, t, at, top, n, goal)
        for j in range(n):
            goal[j] += (goal[j] * c.drift_gain + 512) >> 10
    if c.capacitor:
        _init(p, c, t, at, n, side)
    for j in range(n):
        plus[j] = minus[j] = RESET
        todo[j] = 1
    _program(p, c, t, at, n, plus, minus)
    refresh_row(p, c, layer, cb, i, c0, c1, new)
    _read(p, c, t, at, top, n, got)
    shift = new * c.target_offset
    for j in range(n):
        aim[j] = goal[j] - shift - got[j]
    shots = pulses = 0
    for attempt in range(c.retries + 1):
        shots += _set_codes(p, c, aim, todo, n, plus, minus)
        _program(p, c, t, at, n, plus, minus)
        refresh_row(p, c, layer, cb, i, c0, c1, new)
        _read(p, c, t, at, top, n, got)
        left = 0
        for j in range(n):
            miss = goal[j] - shift - got[j]
            if abs(miss) <= c.set_tolerance:
                todo[j] = 0
            left += todo[j]
            plus[j] = minus[j] = RESET if todo[j] else 0
        if attempt == c.retries or left == 0:
            break
        _program(p, c, t, at, n, plus, minus)
        for j in range(n):
            if todo[j]:
                aim[j] += (goal[j] - shift - got[j]) >> 1
    ref, v, w, up, down = p.v_ref[side], p.v, p.w, p.up, p.down
    su, sd, lo, hi = c.slope_up, c.slope_down, c.v_min, c.v_max
    for _ in range(c.tune_rounds if c.capacitor else 0):
        any_pulse = False
        for j in range(n):
            error = goal[j] - got[j]
            m = min((abs(error) * c.tune_mult + 32) >> 6, 31)
            if abs(error) > c.tune_tolerance and m > 0:
                any_pulse = True
                k = at + j
                old = np.int32(v[k])
                rise = (error > 0) == (new > 0)
                after = stepped(old, m, rise, up[k], down[k], su, sd, lo, hi)
                v[k] = after
                w[k] += moved(old, after, ref, new)
                pulses += m
        if not any_pulse:
            break
        _read(p, c, t, at, top, n, got)
    squares = failed = 0
    for j in range(n):
        error = goal[j] - got[j]
        squares += error * error
        failed += abs(error) > c.fail_tolerance
    p.counters[5] += shots
    p.counters[6] += pulses
    p.counters[7] += squares
    p.counters[8] += failed


@njit(cache=True)
def transfer(p, c, new, goals, given):
    """Rewrite every row of every tile and take over polarity ``new``.

    Twin of Machine.transfer (``given`` False) and Machine.write_weights (True).

    Parameters
    ----------
    goals : ndarray of int64, shape (cells,)
        Wanted weights in read codes, laid out as the pools; used if ``given``.
    """
    work, goal = np.zeros((5, 512), np.int32), np.zeros(512, np.int32)
    for layer in range(p.layers.shape[0]):
        g = p.layers[layer]
        for k in range(g[ROW_BLOCKS] * g[COL_BLOCKS]):
            t = g[TILE0] + k
            c0, n = p.tiles[t, C0], p.tiles[t, C1] - p.tiles[t, C0]
            for i in range(p.tiles[t, R0], p.tiles[t, R1]):
                if given:
                    at = g[CELL0] + i * g[STRIDE] + c0
                    goal[:n] = goals[at : at + n]
                _row(p, c, layer, t, k % g[COL_BLOCKS], i, new, goal, given, work)
    p.sign[0] = new
    if not given:
        p.counters[4] += 1
