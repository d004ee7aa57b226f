# SPDX-License-Identifier: Apache-2.0
"""Transfer of weights: hand-worked sequences, and what an ideal tile must keep."""

import re
from dataclasses import replace

import numpy as np
import pytest

from analog_models.calibration import calibrate
from analog_models.fixed_tile import FixedTile
from analog_models.presets import IDEAL, TUNED, TWO_PCM
from analog_models.tile import HOLD, RESET
from golden.config import ChipConfig, TransferConfig, UpdateConfig
from golden.machine import COUNTERS, Machine
from golden.transfer import (
    TransferTables,
    goal_gain,
    set_codes,
    settled,
    transfer_row,
    transfer_tables,
    tune_pulses,
)

#: Weight LSB (2**-14) in one read code (2**-10).
CODE = 16
TABLES = TransferTables(
    duration=np.minimum(np.arange(256) + 1, 63).astype(np.int32), tune_mult=128, drift_loss=0.0
)


def chip(tile=IDEAL, **transfer):
    return ChipConfig(
        layers=(7, 6),
        forward_shift=(15,),
        backward_shift=(13,),
        tile=tile,
        transfer=TransferConfig(**transfer),
    )


def filled(seed=1, *, rows=8, cols=6, config=IDEAL):
    """Tile with weights all over +-1, made of devices and capacitors."""
    tile = FixedTile(rows, cols, config, forward_shift=15, backward_shift=13, seed=seed)
    rng = np.random.default_rng(seed)
    tile.g_plus[...], tile.g_minus[...] = rng.integers(0, 4000, (2, rows, cols))
    tile.v[...] = rng.integers(-16_000, 16_001, (rows, cols))
    return tile


def rewrite(tile, config, *, old=1, new=1, goal=None):
    """Transfer all rows; return errors (rows, cols), shots, and pulses."""
    tables = transfer_tables(config)
    out = [
        transfer_row(tile, row, config, tables, old=old, new=new, goal=goal)
        for row in range(tile.rows)
    ]
    return np.array([e for e, *_ in out]), sum(s for _, s, _ in out), sum(p for *_, p in out)


class Script:
    """Tile that answers reads from a list and writes down every call."""

    cols = 2

    def __init__(self, *reads):
        self.reads, self.log = list(reads), []

    def read(self, row, log2_reads):
        self.log.append(("read", row, log2_reads))
        return np.array(self.reads.pop(0))

    def program(self, row, plus, minus):
        self.log.append(("program", row, plus.tolist(), minus.tolist()))

    def init(self, row):
        self.log.append(("init", row))

    def tune(self, row, pulses):
        self.log.append(("tune", row, pulses.tolist()))

    def polarity(self, sign):
        self.log.append(("polarity", sign))


def test_set_codes_choose_the_device_and_the_duration():
    aim = np.array([0, 9, -9, 10, -10, 15, 16, -503, 4000, -4000])
    plus, minus = set_codes(aim, TABLES, 10)
    assert plus.tolist() == [0, 0, 0, 2, 0, 2, 3, 0, 63, 0]  # 10 >> 3 is entry 1
    assert minus.tolist() == [0, 0, 0, 0, 2, 0, 0, 63, 0, 63]


def test_set_codes_without_small_targets_leave_zero_alone():
    plus, minus = set_codes(np.array([-1, 0, 1]), TABLES, 0)
    assert plus.tolist() == [0, 0, 1]
    assert minus.tolist() == [1, 0, 0]


def test_tune_pulses_round_half_up_within_31_and_spare_the_tolerance():
    tables = TransferTables(TABLES.duration, tune_mult=96, drift_loss=0.0)  # 1.5 pulses a code
    error = np.array([0, 1, -1, 2, -2, 3, -3, 20, 21, -100])
    expected = [0, 0, 0, 3, -3, 5, -5, 30, 31, -31]
    assert tune_pulses(error, tables, 1).tolist() == expected


def test_tune_pulses_of_less_than_half_a_pulse_are_none():
    tables = TransferTables(TABLES.duration, tune_mult=10, drift_loss=0.0)
    assert tune_pulses(np.array([3, 4, -3, -4]), tables, 0).tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize("tile", [IDEAL, TUNED, TWO_PCM], ids=["ideal", "tuned", "two-pcm"])
def test_transfer_tables_invert_the_set_curve(tile):
    t = calibrate(tile)
    table = transfer_tables(chip(tile)).duration
    assert table.shape == (256,)
    for index, code in enumerate(table):
        weights = t.gain * (t.set_mean - t.g_reset)
        distance = np.abs(weights[1:] - (8 * index + 4) * CODE)
        assert distance[code - 1] == distance.min()


def test_transfer_tables_know_the_step_of_the_capacitor():
    # 820 pulses move the weight by 0.4, a read code is 2**-10: 2.002 pulses.
    assert transfer_tables(chip()).tune_mult == 128
    # A code of a thousand pulses asks for the most, 31, and for no product beyond 32 bits.
    capacitor = IDEAL.cell.capacitor.but(dv_up=(1e-6, "test"))
    fine = IDEAL.but(cell=IDEAL.cell.but(capacitor=capacitor))
    tables = transfer_tables(chip(fine))
    assert tables.tune_mult == 32 * 64
    assert tune_pulses(np.array([1, -1, 4095]), tables, 0).tolist() == [31, -31, 31]


def test_goal_gain_gives_back_the_drift_less_the_weight_decay():
    slow = TUNED.but(period=(24e-6, "test"))
    config = chip(slow, interval=8000).but(update=UpdateConfig(weight_decay=1e-4))
    tables, cell = transfer_tables(config), slow.cell.pcm
    lost = 1 - (1 + 8000 * 24e-6 / cell.drift_t0) ** -cell.drift_nu
    # Drift acts in steps of an eighth of an octave.
    assert abs(tables.drift_loss - lost) <= 1 - 2 ** (-cell.drift_nu / 8)
    for eta in (0.0, 0.01, 0.1):
        share = tables.drift_loss - 1e-4 * eta * 8000
        assert abs(goal_gain(config, tables, eta) / 2**14 - share) <= 0.5 / 2**14
    assert goal_gain(config, replace(tables, drift_loss=0.0), 0.1) == round(-0.08 * 2**14)


def test_goal_gain_rejects_a_decay_that_takes_too_much():
    config = chip(interval=8000).but(update=UpdateConfig(weight_decay=0.01))
    sentence = "weight_decay must take less than 0.25 of a weight in one interval, not 0.8"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        goal_gain(config, TABLES, 0.01)
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Machine(config)


@pytest.mark.parametrize("gain", [0, 1, 264, -264, 1638])
def test_settled_goals_move_by_the_gain_on_average_over_sixteen_transfers(gain):
    goal = np.array([0, 1, -1, 3, -3, 40, -40, 900, -900, 2047, -2048])
    moves = np.array([settled(goal, gain, 5, k) - goal for k in range(16)])
    # Sixteen dithers tell sixteenths of a code apart.
    assert np.abs(moves.mean(axis=0) - goal * gain / 2**14).max() <= 1 / 32
    assert np.abs(moves - goal * gain / 2**14).max() < 1
    assert gain or not moves.any()


def test_transfer_row_follows_the_hand_worked_sequence():
    config = chip(log2_reads=3, set_tolerance=5, retries=2, tune_rounds=3)
    tile = Script([2, -1], [80, -58], [97, -58], [100, -60])
    error, shots, pulses = transfer_row(
        tile, 4, config, TABLES, old=1, new=-1, goal=np.array([100, -60])
    )
    read = ("read", 4, 3)
    assert tile.log == [
        ("polarity", -1),
        ("init", 4),
        ("program", 4, [RESET, RESET], [RESET, RESET]),
        read,  # 2, -1 are left: aim at 98, -59
        ("program", 4, [13, HOLD], [HOLD, 8]),
        read,  # misses by 20 and -2
        ("program", 4, [RESET, HOLD], [RESET, HOLD]),
        ("program", 4, [14, HOLD], [HOLD, HOLD]),  # aim at 98 + 10
        read,  # off by 3 and -2: the capacitor's part
        ("tune", 4, [6, -4]),
        read,
    ]
    assert (error.tolist(), shots, pulses) == ([0, 0], 3, 10)


def test_transfer_row_reads_the_goal_with_the_old_polarity_and_settles_it():
    config = chip(retries=0, tune_rounds=0)
    tile = Script([100, -60], [0, 0], [105, -60])
    error, _, _ = transfer_row(tile, 0, config, TABLES, old=-1, new=1, gain=1639, transfers=1)
    assert tile.log[:4] == [("polarity", -1), ("read", 0, 2), ("polarity", 1), ("init", 0)]
    # 10.004 + 11/32 of a code and -6.002 + 13/32, rounded down: goals 110 and -66
    assert error.tolist() == [5, -6]


@pytest.mark.parametrize(("new", "plus", "minus"), [(1, [11, 0], [0, 11]), (-1, [14, 0], [0, 8])])
def test_transfer_row_offset_follows_the_polarity(new, plus, minus):
    config = chip(retries=0, tune_rounds=0, offset=12)
    tile = Script([0, 0], [0, 0])
    goal = np.array([98, -72])  # less 12: 86, -84; and 110, -60
    error, _, _ = transfer_row(tile, 0, config, TABLES, old=1, new=new, goal=goal)
    assert tile.log[4] == ("program", 0, plus, minus)
    assert error.tolist() == goal.tolist()  # the error is that of the goal, not of the target


@pytest.mark.parametrize("retries", [0, 1, 5])
@pytest.mark.parametrize("tune_rounds", [0, 1, 4])
def test_transfer_row_gives_up_at_the_limits(retries, tune_rounds):
    config = chip(retries=retries, tune_rounds=tune_rounds)
    tile = Script(*[[0, 0]] * 20)
    _, shots, pulses = transfer_row(
        tile, 0, config, TABLES, old=1, new=1, goal=np.array([900, -900])
    )
    operations = [entry[0] for entry in tile.log]
    assert operations.count("program") == 1 + (retries + 1) + retries
    assert operations.count("tune") == tune_rounds
    assert shots == 2 * (retries + 1)
    assert pulses == 2 * 31 * tune_rounds


def test_transfer_row_of_two_pcm_has_no_capacitor_to_set():
    tile = Script(*[[0, 0]] * 20)
    transfer_row(tile, 0, chip(TWO_PCM), TABLES, old=1, new=1, goal=np.array([900, -900]))
    assert not {"init", "tune"} & {entry[0] for entry in tile.log}


@pytest.mark.parametrize("old", [1, -1])
@pytest.mark.parametrize("new", [1, -1])
def test_transfer_row_keeps_the_weights_of_an_ideal_tile(old, new):
    tile = filled()
    tile.polarity(old)
    before = tile.weight_code()
    error, _, _ = rewrite(tile, chip(), old=old, new=new)
    assert np.abs(error).max() <= 1  # tune_tolerance
    # One code of tolerance, half a code of rounding at each of the two reads.
    assert np.abs(tile.weight_code() - before).max() <= 2 * CODE
    assert tile.sign == new
    assert np.abs(tile.v).max() < 16_000 // 8  # moved from the capacitors into the devices


def test_transfer_row_after_a_flip_the_same_update_turns_the_capacitor_round():
    tile = filled()
    rewrite(tile, chip(), old=1, new=-1)
    weight, v = tile.weight_code(), tile.v.copy()
    tile.update(np.ones(tile.rows, int), np.ones(tile.cols, int))
    assert np.all(tile.weight_code() > weight)
    assert np.all(tile.v < v)


def test_transfer_row_leaves_small_targets_reset():
    config = chip(small_target=10)
    tile = filled()
    goal = np.array([9, -9, 0, 10, -10, 300])
    _, shots, _ = rewrite(tile, config, goal=goal)
    g_reset = calibrate(IDEAL).g_reset
    both = (tile.g_plus == g_reset) & (tile.g_minus == g_reset)
    assert both.tolist() == [[True, True, True, False, False, False]] * tile.rows
    assert shots >= 3 * tile.rows
    # The capacitor makes the weight: goal within one code, and half a code of rounding.
    assert np.abs(tile.weight_code() - goal * CODE).max() <= 1.5 * CODE


@pytest.mark.parametrize("new", [1, -1])
def test_transfer_row_with_an_offset_the_capacitors_have_to_rise(new):
    # 20 codes exceed the worst miss: half of 20 between durations, 4 of the table, 1 rounding.
    tile = filled()
    rewrite(tile, chip(offset=20), old=1, new=new)
    assert np.all(tile.v > 0)


def test_transfer_row_without_an_offset_capacitors_go_both_ways():
    tile = filled()
    rewrite(tile, chip())
    assert tile.v.min() < 0 < tile.v.max()


def drift_of_asymmetry(invert):
    """Move of a weight by balanced pulses in four intervals, up-steps a tenth too large."""
    cap = IDEAL.cell.capacitor
    steep = cap.but(dv_up=(1.1 * cap.dv_up, "test"))
    config = chip(IDEAL.but(cell=IDEAL.cell.but(capacitor=steep)))
    tile = filled(rows=2, config=config.tile)
    rewrite(tile, config)
    before, ones = tile.weight_code(), np.ones
    for _ in range(4):
        for _ in range(300):
            tile.update(ones(tile.rows, int), ones(tile.cols, int))
            tile.update(ones(tile.rows, int), -ones(tile.cols, int))
        rewrite(tile, config, old=tile.sign, new=-tile.sign if invert else tile.sign)
    return tile.weight_code() - before


def test_polarity_inversion_cancels_the_asymmetry_of_steps():
    # 35 capacitor codes up, 32 down: 300 pairs move a weight by 3 * 300 / 4 = 225 of its codes,
    # and each of the four rewrites by at most two read codes.
    assert np.abs(drift_of_asymmetry(invert=False) - 4 * 225).max() <= 4 * 2 * CODE
    assert np.abs(drift_of_asymmetry(invert=True)).max() <= 4 * 2 * CODE


def machine(tile, **transfer):
    m = Machine(chip(tile, **transfer))
    goal = np.random.default_rng(3).integers(-900, 901, (8, 6))
    m.write_weights([goal / 1024])
    return m, goal, dict(zip(COUNTERS, m.counters.tolist(), strict=True))


@pytest.mark.parametrize("fail_tolerance", [0, 4, 20])
def test_failed_cells_are_counted(fail_tolerance):
    m, goal, counted = machine(IDEAL, retries=0, tune_rounds=0, fail_tolerance=fail_tolerance)
    (_, _, tile), *_ = m.blocks(0)
    error = goal - np.array([tile.read(row, 2) for row in range(tile.rows)])
    assert counted["failed_cells"] == np.count_nonzero(np.abs(error) > fail_tolerance)
    assert counted["transfer_error_sq"] == np.sum(error**2) > 0
    assert counted["set_shots"] == np.count_nonzero(np.abs(goal) >= 10)
    assert counted["tune_pulses"] == 0
    assert counted["failed_cells"] > 0 or fail_tolerance == 20


def test_verified_transfer_of_tuned_devices_fails_less_than_one_shot():
    failed = [
        machine(TUNED, retries=retries, tune_rounds=rounds)[2]["failed_cells"]
        for retries, rounds in ((6, 4), (0, 0))
    ]
    assert failed[0] == 0 < failed[1]


@pytest.mark.parametrize(("weight_decay", "kept"), [(0.0, 1.0), (2e-3, 0.98**16)])
def test_weight_decay_shrinks_the_weights_of_an_ideal_tile(weight_decay, kept):
    """Sixteen intervals of 1,000 examples at a learning rate of 0.01."""
    update = UpdateConfig(learning_rate=0.01, weight_decay=weight_decay)
    m = Machine(chip(interval=1000).but(update=update))
    goal = np.random.default_rng(3).integers(100, 901, (8, 6)) * np.array([1, -1] * 3)
    m.write_weights([goal / 1024])
    for _ in range(16):
        m.counters[0] += 1000
        m.transfer()
    (_, _, tile), *_ = m.blocks(0)
    left = tile.weight_code() / CODE * np.sign(goal)
    # Each of 17 rewrites leaves up to one code of tolerance and half of rounding, evenly spread.
    spread = 1.5 / np.sqrt(3) * np.sqrt(17)
    assert abs(left.mean() - kept * np.abs(goal).mean()) <= 5 * spread / np.sqrt(goal.size)
