# SPDX-License-Identifier: Apache-2.0
"""numba twin of :mod:`golden.transfer`: rewrites all rows of all tiles, same bits."""

import numpy as np

from analog_models.tile import RESET

from .cell_kernels import bell_of, mix, refresh_row, sweep
from .jit import njit
from .pools import (
    AGE,
    C0,
    C1,
    CELL0,
    COL_BLOCKS,
    CONVERSIONS,
    KEY_CONVERT,
    KEY_WRITE,
    PULSES,
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
from .shift import asr

__all__ = ["transfer"]


@njit
def _codes(w, offset, head, amp, shift, bits, out):
    """Codes of a one-hot read into ``out``."""
    half, top = np.int32(1 << (shift - 1)), np.int32((1 << (bits - 1)) - 1)
    for j in range(w.size):
        y = np.int32(np.int32(np.int32(w[j]) * 128) + offset[j])
        y = asr(y + np.int32(bell_of(head, j, amp) + half), shift)
        out[j] = min(max(y, np.int32(-1 - top)), top)


@njit(inline="always")
def _read(p, c, t, a, b, top, out):
    """Twin of FixedTile.read: codes of the cells ``a .. b`` of one row into ``out``."""
    head = mix(np.uint32(p.tiles[t, KEY_CONVERT] + p.counts[t, CONVERSIONS]))
    p.counts[t, CONVERSIONS] += 1
    power = (c.read_noise + c.read_power * 16384) >> c.log2_reads
    amp = np.int32(np.sqrt(np.float64(power)))
    offset = p.read_offset[top : top + b - a]
    _codes(p.w[a:b], offset, head, amp, c.read_shift, c.read_bits, out)


@njit
def _look_up(codes, set_mean, set_amp, mean, amp):
    """Mean and noise of each code; apart from :func:`_write`, which vectorises without it."""
    for j in range(codes.size):
        k = 0 if codes[j] == RESET else codes[j]
        mean[j], amp[j] = set_mean[k], set_amp[k]


@njit
def _write(g, response, codes, mean, amp, head, odd, g_reset, reset_amp, g_max):
    """Twin of FixedTile.program for the G+ (``odd`` 0) or G- (1) devices of a row.

    HOLD has mean and noise 0, so that it falls out as a SET that reaches nothing.
    """
    for j in range(g.size):
        reset = codes[j] == RESET
        aim = np.int32(mean[j] + asr(mean[j] * np.int32(response[j]) + 2048, 12))
        aim = np.int32(g_reset) if reset else aim
        noise = bell_of(head, 2 * j + odd, np.int32(reset_amp) if reset else amp[j])
        new = min(max(np.int32(aim + noise), np.int32(0)), np.int32(g_max))
        g[j] = new if reset else max(new, np.int32(g[j]))


@njit(inline="always")
def _program(p, c, t, a, b, plus, minus, mean, amp, sets):
    """Twin of FixedTile.program; ``mean`` and ``amp`` are scratch, zero unless it ``sets``."""
    head = mix(np.uint32(p.tiles[t, KEY_WRITE] + p.counts[t, WRITES]))
    p.counts[t, WRITES] += 1
    p.counts[t, AGE] = 0
    low, noise, high = c.g_reset, c.reset_amp, c.g_max
    if sets:
        _look_up(plus, p.set_mean, p.set_amp, mean, amp)
    _write(p.g_plus[a:b], p.response_plus[a:b], plus, mean, amp, head, 0, low, noise, high)
    if sets:
        _look_up(minus, p.set_mean, p.set_amp, mean, amp)
    _write(p.g_minus[a:b], p.response_minus[a:b], minus, mean, amp, head, 1, low, noise, high)
    mean[:], amp[:] = 0, 0


@njit
def _fill(v, head, amp, v_min, v_max):
    for j in range(v.size):
        v[j] = min(max(bell_of(head, j, amp), np.int32(v_min)), np.int32(v_max))


@njit(inline="always")
def _init(p, c, t, a, b, side):
    """Twin of FixedTile.init."""
    head = mix(np.uint32(p.tiles[t, KEY_WRITE] + p.counts[t, WRITES]))
    p.counts[t, WRITES] += 1
    _fill(p.v[a:b], head, c.init_amp, c.v_min, c.v_max)
    p.v_ref[side] = min(max(bell_of(head, b - a, c.init_amp), c.v_min), c.v_max)


@njit
def _settle(goal, gain, phase):
    """Twin of transfer.settled."""
    first, share = np.int32(phase), np.int32(gain)
    for j in range(goal.size):
        u = ((2 * ((first + j) & 15)) + 1) * 512
        goal[j] += asr(np.int32(goal[j] * share) + np.int32(u), 14)


@njit
def _set_codes(aim, todo, duration, small_target, plus, minus):
    """Twin of transfer.set_codes; returns the shots."""
    shots = np.int32(0)
    for j in range(aim.size):
        size = abs(aim[j])
        shoots = (todo[j] != 0) & (size >= small_target) & (size > 0)
        code = duration[min(asr(size, 3), np.int32(255))] if shoots else 0
        shots += shoots
        plus[j] = code if aim[j] > 0 else 0
        minus[j] = code if aim[j] < 0 else 0
    return shots


@njit
def _verify(target, got, tolerance, todo, erase):
    """Close what is within tolerance, RESET the rest; returns how many are open."""
    left = np.int32(0)
    for j in range(target.size):
        still = (todo[j] != 0) & (abs(target[j] - got[j]) > tolerance)
        todo[j] = still
        erase[j] = RESET if still else 0
        left += still
    return left


@njit
def _tune_pulses(goal, got, tolerance, mult, count, fall):
    """Twin of transfer.tune_pulses: counts and sense; returns the pulses."""
    pulses = np.int32(0)
    for j in range(goal.size):
        error = goal[j] - got[j]
        n = min(asr(abs(error) * mult + 32, 6), np.int32(31))
        count[j] = n if abs(error) > tolerance else 0
        fall[j] = -1 if error < 0 else 0
        pulses += count[j]
    return pulses


@njit(inline="always")
def _row(p, c, layer, t, cb, i, new, goal, given, work):
    """Twin of transfer.transfer_row and of the counting in Machine._rewrite."""
    g = p.layers[layer]
    c0, c1 = p.tiles[t, C0], p.tiles[t, C1]
    n, a = c1 - c0, g[CELL0] + i * g[STRIDE] + c0
    b = a + n
    top = g[TOP0] + (t - g[TILE0]) // g[COL_BLOCKS] * g[STRIDE] + c0
    side = g[SIDE0] + cb * g[ROWS] + i
    goal = goal[:n]
    got, target, aim, todo = work[0, :n], work[1, :n], work[2, :n], work[3, :n]
    plus, minus, mean, amp = work[4, :n], work[5, :n], work[6, :n], work[7, :n]
    if not given:
        _read(p, c, t, a, b, top, goal)
        _settle(goal, p.gain[0], i - p.tiles[t, R0] + 5 * p.counters[4])
    if c.capacitor:
        _init(p, c, t, a, b, side)
    plus[:], todo[:], mean[:], amp[:] = RESET, 1, 0, 0
    _program(p, c, t, a, b, plus, plus, mean, amp, False)
    refresh_row(p, c, layer, cb, i, c0, c1, new)
    _read(p, c, t, a, b, top, got)
    target[:] = goal - np.int32(new * c.target_offset)
    aim[:] = target - got
    shots = pulses = 0
    for attempt in range(c.retries + 1):
        shots += _set_codes(aim, todo, p.duration, c.small_target, plus, minus)
        _program(p, c, t, a, b, plus, minus, mean, amp, True)
        refresh_row(p, c, layer, cb, i, c0, c1, new)
        _read(p, c, t, a, b, top, got)
        left = _verify(target, got, c.set_tolerance, todo, plus)
        if attempt == c.retries or left == 0:
            break
        _program(p, c, t, a, b, plus, plus, mean, amp, False)
        for j in range(n):
            aim[j] += asr(target[j] - got[j], 1) * todo[j]
    count, fall, flip = plus, minus, -1 if new < 0 else 0
    ref, v, w, up, down = p.v_ref[side], p.v[a:b], p.w[a:b], p.up[a:b], p.down[a:b]
    curve = (c.slope_up, c.slope_down, c.v_min, c.v_max)
    for _ in range(c.tune_rounds if c.capacitor else 0):
        spent = _tune_pulses(goal, got, c.tune_tolerance, c.tune_mult, count, fall)
        if spent == 0:
            break
        pulses += spent
        sweep(v, w, up, down, count, fall, flip, ref, new, curve)
        p.counts[t, PULSES] += 1
        _read(p, c, t, a, b, top, got)
    squares = failed = 0
    for j in range(n):
        error = goal[j] - got[j]
        squares += error * error
        failed += abs(error) > c.fail_tolerance
    p.counters[5] += shots
    p.counters[6] += pulses
    p.counters[7] += squares
    p.counters[8] += failed


@njit
def transfer(p, c, new, goals, given):
    """Rewrite every row of every tile and take over polarity ``new``.

    Twin of Machine.transfer (``given`` False) and Machine.write_weights (True).

    Parameters
    ----------
    goals : ndarray of int64, shape (cells,)
        Wanted weights in read codes, laid out as the pools; used if ``given``.
    """
    work, goal = np.zeros((8, 512), np.int32), np.zeros(512, np.int32)
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
