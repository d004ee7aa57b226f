# SPDX-License-Identifier: Apache-2.0
"""The reference machine, worked by hand on ideal tiles."""

import numpy as np
import pytest

from analog_models.physical_tile import PhysicalTile
from analog_models.presets import IDEAL
from golden.config import ChipConfig, TransferConfig, UpdateConfig
from golden.machine import COUNTERS, Machine, input_codes
from golden.pulses import step_lanes


def chip(layers=(2, 2, 2), **changes):
    n = len(layers) - 1
    usual = {
        "hidden": "identity",
        "output": "identity",
        "forward_shift": (14,) * n,
        "backward_shift": (14,) * n,
        "tile": IDEAL,
        "update": UpdateConfig(stochastic=False),
        "transfer": TransferConfig(interval=0),
    }
    return ChipConfig(layers=layers, **usual | changes)


def place(machine, weights):
    """Set the weights (codes, 1.0 = 2**14) of all layers, in the capacitors alone."""
    for layer, whole in enumerate(weights):
        for rows, cols, tile in machine.blocks(layer):
            tile.v[...] = 4 * np.array(whole)[rows, cols]


def counted(machine):
    return dict(zip(COUNTERS, machine.counters.tolist(), strict=True))


WEIGHTS = [[[4096, -4096], [4096, 2048], [0, 0]], [[4096, 0], [0, -4096], [2048, 0]]]
IMAGE = np.array([[200, 101]], np.uint8)


@pytest.mark.parametrize(("rows", "cols", "first"), [(512, 512, 25), (512, 1, 25), (2, 1, 26)])
def test_machine_follows_the_hand_worked_example(rows, cols, first):
    tile = IDEAL.but(rows=(rows, "test"), cols=(cols, "test"))
    m = Machine(chip(tile=tile, update=UpdateConfig(stochastic=False, delta_max=10)))
    place(m, WEIGHTS)
    m.rates = [(16, 5), (16, 7)]
    m.run(IMAGE, np.array([1]))
    # x0 = 100, 50, 127. Sums / 2**14: 37.5 -> 38, -18.75 -> -19.
    # Next: 38/4 + 127/8 = 25.375 -> 25 and 19/4 = 4.75 -> 5; in two row blocks, each with its own
    # converter, 9.5 -> 10 and 15.875 -> 16.
    assert m.x[0].tolist() == [100, 50, 127]
    assert m.x[1].tolist() == [38, -19, 127]
    assert m.x[2][:2].tolist() == [first, 5]
    assert m.delta[1].tolist() == [-first, 122]
    # Backward: -25/4 = -6.25 -> -6 (-26/4 too), -122/4 = -30.5 -> -30.
    assert m.delta[0].tolist() == [-6, -30]
    # Pulses: rows of 0, 0, 1 and 1, 0, 1; columns of 25/8 -> 3, 122/8 -> 15 and 3, 15, at most 10.
    # A pulse is 32 capacitor codes.
    v = [np.zeros((3, 2), int), np.zeros((3, 2), int)]
    for layer in range(2):
        for r, c, t in m.blocks(layer):
            v[layer][r, c] = t.v
    step = 4 * np.array(WEIGHTS)
    step[0] += [[-3 * 32, -10 * 32], [0, 0], [-3 * 32, -10 * 32]]
    step[1] += [[0, 0], [0, 0], [-3 * 32, 10 * 32]]
    np.testing.assert_array_equal(v, step)
    assert m.layer_counters.tolist() == [[0, 0, 2 * 18, 2 * 13], [0, 0, 18, 13]]
    assert counted(m)["examples"] == 1
    assert counted(m)["correct"] == counted(m)["skipped"] == counted(m)["transfers"] == 0


def test_machine_on_physical_tiles_agrees_with_the_hand_worked_example():
    m = Machine(chip(), PhysicalTile)
    m.write_weights([np.array(w) / 2**14 for w in WEIGHTS])
    assert np.abs(m.predict_codes(IMAGE) - [[25, 5]]).max() <= 2  # a code a layer


def test_machine_applies_the_derivative_of_the_hidden_layer():
    m = Machine(chip(hidden="pl-tanh"))
    place(m, [[[6000, 1000], [6000, 0], [6000, 0]], [[4096, 4096]] * 3])
    m.run(np.full((1, 2), 255, np.uint8), np.array([0]))
    # Sums 3 * 127 * 6000 / 2**14 = 139.5 -> 127 (slope 1/2) and 7.75 -> 8 (slope 1).
    assert m.slope[0].tolist() == [64, 128]
    assert m.delta[0].tolist() == [(m.e[0] * 64 + 64) >> 7, m.e[1]]


def test_machine_rate_registers_undo_the_formats():
    config = chip(backward_shift=(8, 12))
    m = Machine(config)
    m.set_learning_rate(0.02)
    # Error of the first layer: LSB 2**(12 - 21); of the last: 2**-7.
    for (mult, shift), frac in zip(m.rates, (9, 7), strict=True):
        assert mult / 2**shift == pytest.approx(0.02 / config.step / 2**frac, rel=1 / 31)


def test_input_codes_drop_a_bit():
    assert input_codes(np.array([0, 1, 2, 254, 255], np.uint8)).tolist() == [0, 0, 1, 127, 127]


@pytest.mark.parametrize("label", [0, 1, 2])
def test_machine_gives_ties_to_the_lowest_index(label):
    m = Machine(chip((2, 3)))
    place(m, [[[0, 4096, 4096]] * 3])
    m.run(IMAGE, np.array([label]))
    assert counted(m)["correct"] == (label == 1)


def perfect(**changes):
    """Chip whose output is 127 for class 0 and 0 for class 1, whatever it sees."""
    m = Machine(chip((2, 2), output="relu", **changes))
    (_, _, tile), *_ = m.blocks(0)
    tile.g_plus[...] = [[33, 33], [33, 33], [6554, 33]]
    tile.g_minus[...] = 33
    return m, tile


@pytest.mark.parametrize("label", [0, 1])
def test_machine_skips_an_example_without_error(label):
    m, tile = perfect(update=UpdateConfig(stochastic=True))
    lanes = m.row_lanes[0].copy(), m.column_lanes[0].copy()
    m.run(IMAGE, np.array([label]))
    assert m.x[1][:2].tolist() == [127, 0]
    assert counted(m)["skipped"] == (label == 0)
    assert tile.pulses == label
    for before, lane in zip(lanes, (m.row_lanes[0], m.column_lanes[0]), strict=True):
        assert np.any(before != lane) == (label != 0)


def test_machine_skipped_examples_count_for_ageing_and_transfer():
    m, _ = perfect(tile=IDEAL.but(age_periods=(2, "test")), transfer=TransferConfig(interval=5))
    m.run(np.repeat(IMAGE, 5, axis=0), np.zeros(5, int))
    assert counted(m) | {"skipped": 5, "ticks": 2, "transfers": 1} == counted(m)


@pytest.mark.parametrize("stochastic", [False, True])
def test_machine_steps_every_lane_once_an_update(stochastic):
    m = Machine(chip(update=UpdateConfig(stochastic=stochastic)))
    place(m, WEIGHTS)
    expected = [lane.copy() for lane in (*m.row_lanes, *m.column_lanes)]
    m.run(IMAGE * [[1, 0]], np.array([1]))  # the second input is silent
    for lane in expected if stochastic else ():
        step_lanes(lane)
    for lane, want in zip((*m.row_lanes, *m.column_lanes), expected, strict=True):
        np.testing.assert_array_equal(lane, want)


@pytest.mark.parametrize(("invert", "sign"), [(True, -1), (False, 1)])
def test_machine_ages_and_transfers_when_due(invert, sign):
    m = Machine(
        chip(
            tile=IDEAL.but(age_periods=(3, "test")),
            transfer=TransferConfig(interval=5, invert=invert),
        )
    )
    place(m, WEIGHTS)
    for n, ticks, transfers, age in ((14, 4, 2, 1), (1, 5, 3, 0), (3, 6, 3, 1)):
        m.run(np.repeat(IMAGE, n, axis=0), np.zeros(n, int))
        assert (counted(m)["ticks"], counted(m)["transfers"]) == (ticks, transfers)
        # The clock of drift runs from the last PROGRAM; the tick comes before the transfer.
        assert {t.age_ticks for i in range(2) for *_, t in m.blocks(i)} == {age}
    assert m.sign == sign
    assert {t.sign for i in range(2) for *_, t in m.blocks(i)} == {sign}


def test_machine_without_interval_never_transfers():
    m = Machine(chip())
    m.run(np.repeat(IMAGE, 30, axis=0), np.zeros(30, int))
    assert counted(m)["transfers"] == 0


@pytest.mark.parametrize("rows_most", [512, 3])
def test_machine_writes_initial_weights(rows_most):
    m = Machine(chip((7, 5), tile=IDEAL.but(rows=(rows_most, "test"), cols=(2, "test"))))
    goal = np.random.default_rng(4).uniform(-0.8, 0.8, (8, 5))
    m.write_weights([goal])
    got = np.zeros((8, 5))
    for rows, cols, tile in m.blocks(0):
        got[rows, cols] = tile.weight()
    # Half a read code of rounding each for goal and reading, one of tolerance; 2**-10 a code.
    assert np.abs(got - goal).max() <= 2 * 2**-10
    assert counted(m)["failed_cells"] == 0


def test_machine_predicts_without_a_trace():
    m = Machine(chip(tile=IDEAL.but(converter=IDEAL.converter.but(adc_noise=(1.0, "test")))))
    place(m, WEIGHTS)
    tiles = [t for i in range(2) for *_, t in m.blocks(i)]
    before = [t.state() for t in tiles], m.counters.copy(), m.layer_counters.copy()
    first, again = m.predict_codes(IMAGE), m.predict_codes(IMAGE)
    np.testing.assert_array_equal(first, again)  # the same noise
    for tile, state in zip(tiles, before[0], strict=True):
        for name, array in tile.state().items():
            np.testing.assert_array_equal(array, state[name])
    np.testing.assert_array_equal(m.counters, before[1])
    np.testing.assert_array_equal(m.layer_counters, before[2])


def test_machine_counts_clipped_sums():
    m = Machine(chip((2, 2), forward_shift=(10,)))
    place(m, [[[4096, 0], [0, 0], [0, 0]]])  # sum 100 * 4096 / 2**10 = 400
    m.run(IMAGE, np.array([0]))
    assert m.z.tolist() == [127, 0]
    assert m.layer_counters[0, 0] == 1


def test_machine_saturates_the_sum_of_blocks():
    config = chip((2, 1), forward_shift=(11,), tile=IDEAL.but(rows=(1, "test")))
    m = Machine(config)
    place(m, [[[2048], [2048], [-2048]]])  # 100 + 50 alone would clip
    m.run(IMAGE, np.array([0]))
    assert m.z.tolist() == [23]
    assert m.layer_counters[0, 0] == 0


class Codes:
    """A tile whose backward pass gives chosen codes."""

    rows, cols = 6, 1

    def backward(self, _):
        return np.array([126, 127, 128, -126, -127, 500])  # the last row is the bias


def test_machine_counts_errors_that_reach_an_end():
    m = Machine(chip((5, 1)))
    m.tiles = [[[Codes()]]]
    m.backward(0)
    assert m.e.tolist() == [126, 127, 127, -126, -127]
    assert m.layer_counters[0, 1] == 3
