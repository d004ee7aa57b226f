# SPDX-License-Identifier: Apache-2.0
"""numba twin of :mod:`golden.transfer`: rewrites all rows of all tiles, same bits."""

import numpy as np
from numba import njit

from analog_models.tile import RESET

from .kernels import bell_of, mix, refresh_row, step_cell
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


@njit(cache=True)
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
def _program_one(c, p, g, response, code, head, lane, at):
    """Twin of FixedTile.program for one device."""
    if code == 0:
        return
    if code == RESET:
        new = c.g_reset + bell_of(head, lane, c.reset_amp)
        g[at] = min(max(new, 0), c.g_max)
        return
    mean = np.int64(p.set_mean[code])
    new = mean + ((mean * np.int64(response[at]) + 2048) >> 12)
    new = min(max(new + bell_of(head, lane, p.set_amp[code]), 0), c.g_max)
    g[at] = max(new, np.int64(g[at]))


@njit(cache=True)
def _program(p, c, t, at, n, plus, minus):
    """Twin of FixedTile.program."""
    head = mix(np.uint32(p.tiles[t, KEY_WRITE] + p.counts[t, WRITES]))
    p.counts[t, WRITES] += 1
    p.counts[t, AGE] = 0
    for j in range(n):
        _program_one(c, p, p.g_plus, p.response_plus, plus[j], head, 2 * j, at + j)
        _program_one(c, p, p.g_minus, p.response_minus, minus[j], head, 2 * j + 1, at + j)


@njit(cache=True)
def _init(p, c, t, at, n, side):
    """Twin of FixedTile.init."""
    head = mix(np.uint32(p.tiles[t, KEY_WRITE] + p.counts[t, WRITES]))
    p.counts[t, WRITES] += 1
    for j in range(n):
        p.v[at + j] = min(max(bell_of(head, j, c.init_amp), c.v_min), c.v_max)
    p.v_ref[side] = min(max(bell_of(head, n, c.init_amp), c.v_min), c.v_max)


@njit(cache=True)
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


@njit(cache=True)
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
    for _ in range(c.tune_rounds if c.capacitor else 0):
        any_pulse = False
        for j in range(n):
            error = goal[j] - got[j]
            m = min((abs(error) * c.tune_mult + 32) >> 6, 31)
            if abs(error) > c.tune_tolerance and m > 0:
                any_pulse = True
                step_cell(p, c, at + j, m if error > 0 else -m, new, p.v_ref[side])
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
    work, goal = np.zeros((5, 512), np.int64), np.zeros(512, np.int64)
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
