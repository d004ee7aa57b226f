# SPDX-License-Identifier: Apache-2.0
"""The capacitors of a fixed tile: pulses, polarity, leakage, init."""

import numpy as np
import pytest
from fixed_tiles import fixed, place, state_of

from analog_models.presets import TUNED, without


def test_fixed_tile_update_is_the_outer_product_of_the_pulses():
    tile = fixed(rows=3, cols=4)
    tile.update(np.array([2, 0, -1]), np.array([1, -3, 0, 5]))
    # One step is 512 / 16 = 32 codes.
    expected = 32 * np.outer([2, 0, -1], [1, -3, 0, 5])
    np.testing.assert_array_equal(tile.v, expected)
    np.testing.assert_array_equal(tile.v_ref, 0)


@pytest.mark.parametrize(
    ("start", "pulses", "end"),
    [
        # Steps of 40.5 up and 24.25 down; half the slope: (1000 * 8192) >> 15 = 250.
        (0, 1, 41),  # 40.5 rounds up
        (0, 2, 81),
        (0, -1, -24),  # 24.25
        (0, -2, -49),  # 48.5 rounds up in size
        (1000, 1, 1000 + 40),  # 648 * (16384 - 250) / 2**18 = 39.88
        (1000, -1, 1000 - 25),  # 388 * (16384 + 250) / 2**18 = 24.62
        (-1000, 1, -1000 + 41),  # 648 * (16384 + 250) / 2**18 = 41.12
        (-1000, -3, -1000 - 72),  # 3 * 388 * (16384 - 250) / 2**18 = 71.64
        (1001, 7, 1001 + 279),  # a burst has the step at its start: 7 * 39.88 = 279.2
        (26200, 1, 26214),  # clips
        (-26200, -31, -26214),
    ],
)
def test_fixed_tile_burst_has_the_step_at_the_starting_voltage(start, pulses, end):
    tile = place(fixed(rows=1, cols=1), v=start)
    tile.up[...], tile.down[...] = 648, 388
    object.__setattr__(tile.tables, "slope_up", 8192)
    object.__setattr__(tile.tables, "slope_down", 8192)
    tile.update(np.array([1 if pulses > 0 else -1]), np.array([abs(pulses)]))
    assert tile.v[0, 0] == end
    other = place(fixed(rows=1, cols=1), v=start)
    other.up[...], other.down[...], other.tables = tile.up, tile.down, tile.tables
    other.tune(0, np.array([pulses]))
    assert other.v[0, 0] == end


def test_fixed_tile_asymmetry_cancels_over_both_polarities():
    # Steps of 40 up and 24 down (e = 8 of 32): equal requests drift by +e, then by -e.
    moved = []
    for sign in (1, -1):
        tile = fixed(rows=1, cols=1)
        tile.up[...], tile.down[...] = 40 * 16, 24 * 16
        tile.polarity(sign)
        for _ in range(10):
            tile.update(np.array([1]), np.array([1]))
            tile.update(np.array([1]), np.array([-1]))
        assert tile.v[0, 0] == 10 * (40 - 24)
        moved.append(int(tile.weight_code()[0, 0]))
    assert moved == [40, -40]  # 160 capacitor codes are 40 weight codes


@pytest.mark.parametrize("sign", [1, -1])
def test_fixed_tile_request_moves_the_weight_in_its_own_sense_in_both_polarities(sign):
    tile = fixed()
    tile.polarity(sign)
    tile.update(np.array([1, -1]), np.array([1, 1, 1]))
    np.testing.assert_array_equal(tile.weight_code(), [[8, 8, 8], [-8, -8, -8]])
    np.testing.assert_array_equal(tile.v, sign * np.array([[32] * 3, [-32] * 3]))


@pytest.mark.parametrize(
    ("v", "after"),
    [
        (0, 59),  # 19661 * 195 / 65536 = 58.50 rounds up to 59
        (19661, 19661),
        (26214, 26214 - 19),  # -6553 * 195 / 65536 = -19.498
        (19661 - 168, 19661 - 168),  # 0.49988 of a code: stays
        (19661 - 169, 19661 - 168),
        (-26214, -26214 + 136),  # 45875 * 195 / 65536 = 136.4994
    ],
)
def test_fixed_tile_leaks_a_share_of_the_way_per_tick(v, after):
    capacitor = TUNED.cell.capacitor.but(tau_leak=(5.16e-3, "test"))
    leaky = without(TUNED.but(cell=TUNED.cell.but(capacitor=capacitor)), "mismatch")
    tile = place(fixed(leaky), v=v, v_ref=v)
    assert np.all(tile.leak == 195)  # (1 - exp(-15.36 us / 5.16 ms)) * 65536 = 194.79
    tile.age(1)
    assert np.all(tile.v == after)
    assert np.all(tile.v_ref == after)


def test_fixed_tile_ages_tick_by_tick():
    one, many = fixed(TUNED), fixed(TUNED)
    for _ in range(200):
        one.age(1)
    many.age(200)
    assert state_of(one) == state_of(many)
    assert many.age_ticks == 200


def test_fixed_tile_init_writes_one_row_and_its_reference():
    tile = place(fixed(TUNED, rows=3, cols=200), v=5000, v_ref=700)
    tile.init(1)
    np.testing.assert_array_equal(tile.v[[0, 2]], 5000)
    np.testing.assert_array_equal(tile.v_ref[[0, 2]], 700)
    assert np.abs(tile.v[1]).max() <= 56  # 510 * 28 / 256
    assert abs(tile.v_ref[1]) <= 56
    assert np.unique(tile.v[1]).size > 50
