# SPDX-License-Identifier: Apache-2.0
"""Weight transfer: the decisions of the digital half, row by row.

For each row: read the weight with the old polarity; switch to the new one; initialise the
capacitors; RESET both devices; read what is left (mismatch of the read FETs, RESET conductance);
SET one device of each pair with a duration from a table; read back; RESET and SET again those
that missed, aiming further by half the miss; finally let the capacitor repair the rest.
Source of the sequence: Ambrogio 2018, Extended Data Fig. 7 and 9; the verify loop is ours.
"""

from dataclasses import dataclass

import numpy as np

from analog_models.calibration import calibrate
from analog_models.tile import HOLD, RESET, W_FRAC, Tile

from .config import ChipConfig
from .formats import round_shift

__all__ = [
    "TransferTables",
    "goal_gain",
    "set_codes",
    "settled",
    "transfer_row",
    "transfer_tables",
    "tune_pulses",
]

#: A SET table entry covers 2**3 codes of the target.
TABLE_SHIFT = 3
#: Fractional bits of the tune multiplier.
TUNE_SHIFT = 6
#: Fractional bits of the goal's gain.
GAIN_SHIFT = 14
#: Most capacitor pulses in one tuning round.
TUNE_MAX = 31


@dataclass(frozen=True)
class TransferTables:
    """Registers of the transfer unit.

    Parameters
    ----------
    duration : ndarray of int32, shape (256,)
        SET code for a target whose magnitude is ``index * 8 ..`` read codes.
    tune_mult : int
        Capacitor pulses per read code, in 2**-6.
    drift_loss : float
        Share that a phase-change weight loses to mean drift in one interval.
    """

    duration: np.ndarray
    tune_mult: int
    drift_loss: float


def transfer_tables(config: ChipConfig) -> TransferTables:
    """Calibrate the transfer unit to a tile: invert the mean SET curve."""
    t = calibrate(config.tile)
    code = 1 << (t.read_shift - 7)  # weight LSB in one read code
    gained = t.gain * (t.set_mean[1:] - t.g_reset)
    centre = ((np.arange(256) << TABLE_SHIFT) + (1 << TABLE_SHIFT >> 1)) * code
    duration = 1 + np.argmin(np.abs(gained[None, :] - centre[:, None]), axis=1)
    pulses = code / 2**W_FRAC / config.step
    ticks = config.transfer.interval // config.tile.age_periods
    steps = int(np.count_nonzero(t.drift_ticks <= ticks))
    lost = 1 - (1 - t.drift_mean / 65536) ** steps
    return TransferTables(
        duration=duration.astype(np.int32),
        # beyond the cap one code already asks for the most pulses
        tune_mult=min(max(1, round(pulses * 2**TUNE_SHIFT)), (TUNE_MAX + 1) << TUNE_SHIFT),
        drift_loss=lost,
    )


def goal_gain(config: ChipConfig, tables: TransferTables, eta: float) -> int:
    """Share of itself that a transfer adds to a weight, in 2**-14: the gain register.

    Gives back what drift took, less the weight decay of one interval at learning rate ``eta``.

    Raises
    ------
    ValueError
        If weight decay takes a quarter of a weight or more in one interval.
    """
    decay = config.update.weight_decay * eta * config.transfer.interval
    if decay >= 0.25:
        raise ValueError(
            f"weight_decay must take less than 0.25 of a weight in one interval, not {decay:g}"
        )
    return round((tables.drift_loss - decay) * 2**GAIN_SHIFT)


def settled(goal: np.ndarray, gain: int, row: int, transfers: int) -> np.ndarray:
    """Goal (read codes) with the gain applied: ``goal + ((goal * gain + u) >> 14)``.

    ``u`` is an ordered dither: in sixteen successive transfers it takes sixteen evenly spaced
    values, so that weights of a few codes, too, gain or lose their share on average.

    Parameters
    ----------
    goal : ndarray of int, shape (cols,), read codes
    gain : int, -4096..16383
        Gain register, 2**-14.
    row : int
        Row of the tile.
    transfers : int
        Transfers so far.

    Returns
    -------
    ndarray of int, shape (cols,), read codes
    """
    phase = (row + np.arange(goal.size) + 5 * transfers) & 15
    return goal + ((goal * gain + ((2 * phase + 1) << (GAIN_SHIFT - 5))) >> GAIN_SHIFT)


def set_codes(aim: np.ndarray, tables: TransferTables, small_target: int):
    """PROGRAM codes ``(plus, minus)`` that make ``aim`` (read codes) from RESET devices."""
    size = np.abs(aim)
    duration = tables.duration[np.minimum(size >> TABLE_SHIFT, 255)]
    duration = np.where(size < small_target, HOLD, duration)
    return np.where(aim > 0, duration, HOLD), np.where(aim < 0, duration, HOLD)


def tune_pulses(error: np.ndarray, tables: TransferTables, tolerance: int) -> np.ndarray:
    """Signed capacitor pulses that take ``error`` (read codes) away; 0 within ``tolerance``."""
    n = np.minimum(round_shift(np.abs(error) * tables.tune_mult, TUNE_SHIFT), TUNE_MAX)
    return np.where(np.abs(error) > tolerance, np.sign(error) * n, 0)


def transfer_row(
    tile: Tile,
    row: int,
    config: ChipConfig,
    tables: TransferTables,
    *,
    old,
    new,
    goal=None,
    gain=0,
    transfers=0,
):
    """Rewrite one row of a tile.

    Parameters
    ----------
    old, new : +1 or -1
        Polarity before and after.
    goal : ndarray of int, shape (cols,), read codes, optional
        Wanted weights (initial programming); by default the row keeps the weights it has.
    gain, transfers : int
        Gain register and number of transfers so far, for :func:`settled`.

    Returns
    -------
    error : ndarray of int64, shape (cols,)
        Goal minus the last reading, read codes.
    shots, pulses : int
        SET shots and capacitor pulses spent.
    """
    t = config.transfer
    cols, capacitor = tile.cols, config.tile.cell.update_device == "capacitor"
    if goal is None:
        tile.polarity(old)
        goal = tile.read(row, t.log2_reads)
        goal = settled(goal, gain, row, transfers)
    tile.polarity(new)
    if capacitor:
        tile.init(row)
    erase = np.full(cols, RESET)
    tile.program(row, erase, erase)
    target = goal - new * t.offset
    aim = target - tile.read(row, t.log2_reads)
    todo = np.ones(cols, dtype=bool)
    shots = pulses = 0
    for attempt in range(t.retries + 1):
        plus, minus = (np.where(todo, c, HOLD) for c in set_codes(aim, tables, t.small_target))
        tile.program(row, plus, minus)
        shots += int(np.count_nonzero(plus) + np.count_nonzero(minus))
        got = tile.read(row, t.log2_reads)
        miss = target - got
        todo &= np.abs(miss) > t.set_tolerance
        if attempt == t.retries or not todo.any():
            break
        erase = np.where(todo, RESET, HOLD)
        tile.program(row, erase, erase)
        aim = np.where(todo, aim + (miss >> 1), aim)
    for _ in range(t.tune_rounds if capacitor else 0):
        n = tune_pulses(goal - got, tables, t.tune_tolerance)
        if not n.any():
            break
        tile.tune(row, n)
        pulses += int(np.abs(n).sum())
        got = tile.read(row, t.log2_reads)
    return goal - got, shots, pulses
