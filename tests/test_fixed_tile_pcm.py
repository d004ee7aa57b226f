# SPDX-License-Identifier: Apache-2.0
"""The phase-change pairs of a fixed tile: programming, partial SETs, drift."""

import numpy as np
from fixed_tiles import fixed, place

from analog_models.presets import IDEAL, TILES, TUNED, TWO_PCM, without
from analog_models.tile import HOLD, RESET


def test_fixed_tile_drifts_at_the_eighths_of_an_octave_since_the_last_program():
    tile = place(fixed(TUNED, rows=1, cols=1), g_plus=6000, g_minus=3000)
    tile.drift_plus[...], tile.drift_minus[...] = 565, 1130
    seen = []
    for tick in range(1, 230):
        before = int(tile.g_plus[0, 0])
        tile.age(1)
        if tile.g_plus[0, 0] != before:
            seen.append(tick)
    # ceil(325.52 * (2**(k / 8) - 1)), k = 1, 2, ...
    assert seen == [30, 62, 97, 135, 177, 222]
    expected = [6000, 3000]
    for _ in seen:
        expected = [
            g - ((g * nu + 32768) >> 16) for g, nu in zip(expected, (565, 1130), strict=True)
        ]
    assert [tile.g_plus[0, 0], tile.g_minus[0, 0]] == expected
    assert expected[0] == 6000 - 52 - 51 - 51 - 50 - 50 - 50  # 51.73, 51.28, 50.84, 50.40, ...


def test_fixed_tile_program_restarts_drift():
    tile = place(fixed(TUNED, rows=1, cols=1), g_plus=6000)
    tile.drift_plus[...] = 565
    tile.age(29)
    tile.program(0, np.array([HOLD]), np.array([HOLD]))
    tile.age(29)
    assert tile.g_plus[0, 0] == 6000
    tile.age(1)
    assert tile.g_plus[0, 0] == 6000 - 52  # 51.73


def test_fixed_tile_drift_acts_twice_in_a_tick_that_holds_two_steps():
    soon = IDEAL.cell.pcm.but(drift_nu=(0.05, "test"), drift_t0=(15.36e-6, "test"))
    tile = fixed(IDEAL.but(cell=IDEAL.cell.but(pcm=soon)))
    # 2**(k/8) - 1 is at most 1 for k = 1..8: all act at tick 1; 2**(9/8) - 1 = 1.18.
    assert tile.tables.drift_ticks[:9].tolist() == [1] * 8 + [2]
    place(tile, g_plus=6000)
    tile.age(1)
    # 283 / 65536 of 6000 is 25.91, and so on down to 25.25
    assert np.all(tile.g_plus == 6000 - 26 - 26 - 26 - 26 - 25 - 25 - 25 - 25)


def test_fixed_tile_set_reaches_its_mean_and_never_lowers():
    tile = fixed(rows=2, cols=4)
    tile.program(0, np.array([1, 30, 63, HOLD]), np.array([2, HOLD, 1, 40]))
    np.testing.assert_array_equal(tile.g_plus[0], [136, 3138, 6554, 33])
    np.testing.assert_array_equal(tile.g_minus[0], [240, 33, 136, 4173])
    np.testing.assert_array_equal(tile.g_plus[1], 33)
    tile.program(0, np.array([2, 29, 10, 1]), np.full(4, HOLD))
    np.testing.assert_array_equal(tile.g_plus[0], [240, 3138, 6554, 136])


def test_fixed_tile_set_never_lowers_with_noise():
    tile = fixed(TUNED, rows=1, cols=500)
    tile.program(0, np.full(500, 30), np.full(500, HOLD))
    before = tile.g_plus.copy()
    for _ in range(20):
        tile.program(0, np.full(500, 30), np.full(500, 1))
        assert np.all(tile.g_plus >= before)
        before = tile.g_plus.copy()
    assert before.mean() > 3138 + 341  # repeated, the largest of many


def test_fixed_tile_set_scales_with_the_response_of_the_device():
    tile = fixed(rows=1, cols=4)
    tile.response_plus[...] = [0, 410, -410, 4000]
    tile.program(0, np.full(4, 30), np.full(4, 30))
    # 3138 + (3138 * 410 + 2048 >> 12) = 3138 + 314, down 314; 3138 + 3064
    np.testing.assert_array_equal(tile.g_plus[0], [3138, 3452, 2824, 6202])
    np.testing.assert_array_equal(tile.g_minus[0], 3138)
    tile.response_plus[...] = 4095
    tile.program(0, np.full(4, 63), np.full(4, HOLD))
    np.testing.assert_array_equal(tile.g_plus[0], 6554)


def test_fixed_tile_reset_forgets():
    tile = place(fixed(rows=2, cols=3), g_plus=4000, g_minus=5000)
    tile.program(1, np.array([RESET, HOLD, 50]), np.array([HOLD, RESET, RESET]))
    np.testing.assert_array_equal(tile.g_plus, [[4000] * 3, [33, 4000, 5208]])
    np.testing.assert_array_equal(tile.g_minus, [[5000] * 3, [5000, 33, 33]])


def test_fixed_tile_reset_stays_within_bounds():
    tile = fixed(TUNED, rows=1, cols=512)
    tile.program(0, np.full(512, RESET), np.full(512, RESET))
    both = np.concatenate([tile.g_plus, tile.g_minus])
    assert both.min() == 0  # 0.1 - 2 * 0.05 uS: a few fall to zero
    assert both.max() < 33 + 2 * 28
    assert np.any(tile.g_plus != tile.g_minus)


def test_fixed_tile_partial_sets_raise_the_side_of_the_request():
    quiet = without(TWO_PCM, "pcm-noise")
    tile = place(fixed(quiet, rows=2, cols=2), g_plus=1000, g_minus=2000, v=500)
    tile.update(np.array([1, 0]), np.array([3, -2]))
    # Gap 5554 * 3 * 596 / 65536 = 151.53; 4554 * 2 * 596 / 65536 = 82.83
    np.testing.assert_array_equal(tile.g_plus, [[1152, 1000], [1000, 1000]])
    np.testing.assert_array_equal(tile.g_minus, [[2000, 2083], [2000, 2000]])
    assert np.all(tile.v == 500)
    np.testing.assert_array_equal(tile.weight_code(), 3 * (tile.g_plus - tile.g_minus))


def test_fixed_tile_partial_set_ends_at_the_bound():
    tile = place(fixed(without(TWO_PCM, "pcm-noise")), g_plus=6500)
    tile.tune(0, np.array([127, 127, 0]))
    np.testing.assert_array_equal(tile.g_plus[0], [6554, 6554, 6500])


def test_fixed_tile_tunes_two_pcm_cells_with_fresh_noise():
    tile = fixed(TILES["two-pcm"], rows=1, cols=64, shift=13)
    moves = []
    for _ in range(2):
        tile.g_plus[:] = 3000
        tile.tune(0, np.ones(64, int))
        moves.append(tile.g_plus.copy())
    assert np.any(moves[0] != moves[1])
