# SPDX-License-Identifier: Apache-2.0
"""numba twin of :mod:`golden.transfer`: rewrites all rows of all tiles, same bits."""

import numpy as np

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


@njit(inline="always")
def _next_write(p, t):
    """Mixed head of the next PROGRAM or INIT of a tile; counts it."""
    head = mix(np.uint32(p.tiles[t, KEY_WRITE] + p.counts[t, WRITES]))
    p.counts[t, WRITES] += 1
    return head


@njit
def _set(g, response, mean, amp, head, odd, g_max):
    """SET the G+ (``odd`` 0) or G- (1) devices of a row; HOLD has mean and noise 0."""
    for j in range(g.size):
        grown = np.int32(mean[j] + asr(mean[j] * np.int32(response[j]) + 2048, 12))
        new = np.int32(grown + bell_of(head, 2 * j + odd, amp[j]))
        g[j] = max(min(max(new, np.int32(0)), np.int32(g_max)), np.int32(g[j]))


@njit
def _reset(g, todo, head, odd, g_reset, reset_amp, g_max):
    """RESET the G+ (``odd`` 0) or G- (1) devices of a row that are to do."""
    for j in range(g.size):
        new = np.int32(np.int32(g_reset) + bell_of(head, 2 * j + odd, reset_amp))
        new = min(max(new, np.int32(0)), np.int32(g_max))
        g[j] = new if todo[j] != 0 else np.int32(g[j])


@njit(inline="always")
def _erase(p, c, t, a, b, todo):
    """Twin of FixedTile.program with RESET for both devices of the cells to do."""
    head = _next_write(p, t)
    p.counts[t, AGE] = 0
    _reset(p.g_plus[a:b], todo, head, 0, c.g_reset, c.reset_amp, c.g_max)
    _reset(p.g_minus[a:b], todo, head, 1, c.g_reset, c.reset_amp, c.g_max)


@njit
def _fill(v, head, amp, v_min, v_max):
    for j in range(v.size):
        v[j] = min(max(bell_of(head, j, amp), np.int32(v_min)), np.int32(v_max))


@njit(inline="always")
def _init(p, c, t, a, b, side):
    """Twin of FixedTile.init."""
    head = _next_write(p, t)
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
def _aimed(aim, todo, shot_mean, shot_amp, small_target, mean, amp):
    """Twin of transfer.set_codes: mean and noise of each cell's shot; returns the shots."""
    shots = np.int32(0)
    for j in range(aim.size):
        size = abs(aim[j])
        shoots = (todo[j] != 0) & (size >= small_target) & (size > 0)
        k = min(asr(size, 3), np.int32(255))
        mean[j] = shot_mean[k] if shoots else 0
        amp[j] = shot_amp[k] if shoots else 0
        shots += shoots
    return shots


@njit
def _one_sign(aim, sign, mean, amp, out_mean, out_amp):
    """Keep the shots of the cells whose aim has the given sign."""
    for j in range(aim.size):
        keep = np.int32(aim[j] * np.int32(sign)) > 0
        out_mean[j] = mean[j] if keep else np.int32(0)
        out_amp[j] = amp[j] if keep else np.int32(0)


@njit(inline="always")
def _shoot(p, c, t, a, b, aim, todo, mean, amp, one_mean, one_amp):
    """Twin of FixedTile.program with the SET codes for ``aim``; returns the shots.

    The last four are scratch, each an array of its own: rows of a slice do not vectorise.
    """
    shots = _aimed(aim, todo, p.shot_mean, p.shot_amp, c.small_target, mean, amp)
    head = _next_write(p, t)
    p.counts[t, AGE] = 0
    _one_sign(aim, 1, mean, amp, one_mean, one_amp)
    _set(p.g_plus[a:b], p.response_plus[a:b], one_mean, one_amp, head, 0, c.g_max)
    _one_sign(aim, -1, mean, amp, one_mean, one_amp)
    _set(p.g_minus[a:b], p.response_minus[a:b], one_mean, one_amp, head, 1, c.g_max)
    return shots


@njit
def _verify(target, got, tolerance, todo):
    """Close what is within tolerance; returns how many are still to do."""
    left = np.int32(0)
    for j in range(target.size):
        still = (todo[j] != 0) & (abs(target[j] - got[j]) > tolerance)
        todo[j] = still
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
    if not given:
        _read(p, c, t, a, b, top, goal)
        _settle(goal, p.gain[0], i - p.tiles[t, R0] + 5 * p.counters[4])
    if c.capacitor:
        _init(p, c, t, a, b, side)
    mean, amp, one_mean, one_amp = work[4, :n], work[5, :n], work[6, :n], work[7, :n]
    todo[:] = 1
    _erase(p, c, t, a, b, todo)
    refresh_row(p, c, layer, cb, i, c0, c1, new)
    _read(p, c, t, a, b, top, got)
    target[:] = goal - np.int32(new * c.target_offset)
    aim[:] = target - got
    shots = pulses = 0
    for attempt in range(c.retries + 1):
        shots += _shoot(p, c, t, a, b, aim, todo, mean, amp, one_mean, one_amp)
        refresh_row(p, c, layer, cb, i, c0, c1, new)
        _read(p, c, t, a, b, top, got)
        left = _verify(target, got, c.set_tolerance, todo)
        if attempt == c.retries or left == 0:
            break
        _erase(p, c, t, a, b, todo)
        for j in range(n):
            aim[j] += asr(target[j] - got[j], 1) * todo[j]
    count, fall, flip = mean, amp, -1 if new < 0 else 0  # the same scratch
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
