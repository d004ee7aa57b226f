# SPDX-License-Identifier: Apache-2.0
import hashlib
import re

import numpy as np
import pytest

from analog_models.fixed_tile import FixedTile
from analog_models.presets import IDEAL, TILES, TUNED, TWO_PCM, without
from analog_models.tile import HOLD, RESET

K = 5


def fixed(config=IDEAL, rows=2, cols=3, *, shift=8, seed=1, tile=0):
    return FixedTile(
        rows, cols, config, forward_shift=shift, backward_shift=shift, seed=seed, tile=tile
    )


def place(tile, v=0, v_ref=0, g_plus=0, g_minus=0):
    """Set the state of all cells in codes."""
    tile.v[...], tile.v_ref[...] = v, v_ref
    tile.g_plus[...], tile.g_minus[...] = g_plus, g_minus
    return tile


def state_of(tile):
    """Every bit of a tile's state, hashed."""
    digest = hashlib.sha256()
    for name, array in sorted(tile.state().items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def exercise(tile):
    """Use every operation of the port; return all codes that come out."""
    rng = np.random.default_rng(5)
    out = []
    for example in range(6):
        out.append(tile.forward(rng.integers(-127, 128, tile.rows)))
        out.append(tile.backward(rng.integers(-127, 128, tile.cols)))
        tile.update(rng.integers(-3, 4, tile.rows), rng.integers(-3, 4, tile.cols))
        row = example % tile.rows
        tile.tune(row, rng.integers(-9, 10, tile.cols))
        tile.age(40 * example)
        out.append(tile.read(row, example % 3))
        for codes in ((RESET, 0), (30, 5), (0, 63)):
            tile.program(row, np.full(tile.cols, codes[0]), np.full(tile.cols, codes[1]))
        tile.init(row)
        tile.polarity(-tile.sign)
    return np.concatenate(out)


@pytest.mark.parametrize(
    ("v", "code"),
    [(0, 0), (1, 0), (2, 1), (5, 1), (6, 2), (-1, 0), (-2, 0), (-3, -1), (-6, -1), (-7, -2)],
)
def test_fixed_tile_rounds_the_capacitor_half_up(v, code):
    assert np.all(place(fixed(), v=v).weight_code() == code)
    assert np.all(place(fixed(), v_ref=-v).weight_code() == code)


def test_fixed_tile_weighs_the_pair_by_f_and_the_capacitor_by_the_sign():
    tile = place(fixed(), v=4000, v_ref=-400, g_plus=500, g_minus=700)
    # 3 * (500 - 700) +- (4400 + 2 >> 2)
    assert np.all(tile.weight_code() == -600 + 1100)
    tile.polarity(-1)
    assert np.all(tile.weight_code() == -600 - 1100)
    np.testing.assert_array_equal(tile.weight(), tile.weight_code() / 16384)


def test_fixed_tile_adds_the_offset_of_its_read_fet_with_the_sign():
    tile = place(fixed(), v=400)
    tile.offset = np.array([[1, 2, 3], [-1, -2, -3]])
    np.testing.assert_array_equal(tile.weight_code(), [[101, 102, 103], [99, 98, 97]])
    tile.polarity(-1)
    np.testing.assert_array_equal(tile.weight_code(), [[-101, -102, -103], [-99, -98, -97]])


@pytest.mark.parametrize(
    ("total", "code"),
    [
        (0, 0),
        (127, 0),
        (128, 1),
        (383, 1),
        (384, 2),
        (-128, 0),
        (-129, -1),
        (-384, -1),
        (-385, -2),
        (127 * 256 + 127, 127),
        (127 * 256 + 128, 127),
        (-128 * 256 - 128, -128),
        (-128 * 256 - 129, -128),
        (60_000, 127),
        (-60_000, -128),
    ],
)
def test_fixed_tile_converts_half_up_and_saturates(total, code):
    # Weight 4 codes per input: 4 * x * cells, made of a first row of one and a second of the rest.
    tile = fixed(rows=2, cols=2)
    weights = np.array([[total // 127, 0], [0, 0]])
    rest = total - 127 * weights[0, 0]
    weights[1] = rest
    place(tile, v=4 * (weights - 3 * (weights // 3)), g_plus=np.maximum(weights // 3, 0))
    tile.g_minus[...] = np.maximum(-(weights // 3), 0)
    np.testing.assert_array_equal(tile.weight_code(), weights)
    assert tile.forward(np.array([127, 1]))[0] == code
    place(tile, v=tile.v.T.copy(), g_plus=tile.g_plus.T.copy(), g_minus=tile.g_minus.T.copy())
    assert tile.backward(np.array([127, 1]))[0] == code


@pytest.mark.parametrize(
    ("weight", "code"),
    [(0, 0), (7, 0), (8, 1), (-8, 0), (-9, -1), (-24, -1), (-25, -2), (19662, 1229)],
)
def test_fixed_tile_reads_a_row_with_code_128_at_twelve_bits(weight, code):
    # weight * 128 in LSB of 2**11: one code is 16 weight codes.
    tile = fixed()
    place(tile, v=4 * (weight % 3), g_plus=max(weight // 3, 0), g_minus=max(-(weight // 3), 0))
    assert np.all(tile.read(1, 0) == code)


def test_fixed_tile_read_saturates_at_both_ends():
    narrow = IDEAL.but(converter=IDEAL.converter.but(read_bits=(8, "test")))
    assert np.all(place(fixed(narrow), g_plus=6554).read(0, 0) == 127)
    assert np.all(place(fixed(narrow), g_minus=6554).read(0, 0) == -128)


@pytest.mark.parametrize("shift", [8, 13, 16, 21])
def test_ideal_fixed_tile_is_integer_arithmetic(shift):
    rng = np.random.default_rng(2)
    tile = fixed(rows=17, cols=9, shift=shift)
    shape = (17, 9)
    place(
        tile,
        rng.integers(-26214, 26215, shape),
        rng.integers(-99, 100, 17),
        rng.integers(0, 6555, shape),
        rng.integers(0, 6555, shape),
    )
    for sign in (1, -1):
        tile.polarity(sign)
        w = [
            [
                3 * (int(tile.g_plus[i, j]) - int(tile.g_minus[i, j]))
                + sign * ((int(tile.v[i, j]) - int(tile.v_ref[i]) + 2) // 4)
                for j in range(9)
            ]
            for i in range(17)
        ]
        x = rng.integers(-127, 128, 17).tolist()
        d = rng.integers(-127, 128, 9).tolist()

        def code(total):
            return min(max((total + 2 ** (shift - 1)) // 2**shift, -128), 127)

        forward = [code(sum(x[i] * w[i][j] for i in range(17))) for j in range(9)]
        backward = [code(sum(d[j] * w[i][j] for j in range(9))) for i in range(17)]
        np.testing.assert_array_equal(tile.forward(np.array(x)), forward)
        np.testing.assert_array_equal(tile.backward(np.array(d)), backward)
        read = [min(max((128 * k + 1024) // 2048, -2048), 2047) for k in w[3]]
        np.testing.assert_array_equal(tile.read(3, 4), read)


def test_fixed_tile_largest_sum_fits_32_bits():
    tile = place(fixed(rows=512, cols=1, shift=21), v=26214, g_plus=6554)
    tile.v_ref[...] = -19661
    w = tile.weight_code()
    assert w.max() <= tile.tables.w_max < 32768
    assert 512 * 127 * int(w.max()) < 2**31
    total = 512 * 127 * int(w.max())
    assert tile.forward(np.full(512, 127)) == min((total + 2**20) >> 21, 127)


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


def test_fixed_tile_init_writes_one_row_and_its_reference():
    tile = place(fixed(TUNED, rows=3, cols=200), v=5000, v_ref=700)
    tile.init(1)
    np.testing.assert_array_equal(tile.v[[0, 2]], 5000)
    np.testing.assert_array_equal(tile.v_ref[[0, 2]], 700)
    assert np.abs(tile.v[1]).max() <= 56  # 510 * 28 / 256
    assert abs(tile.v_ref[1]) <= 56
    assert np.unique(tile.v[1]).size > 50


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


@pytest.mark.parametrize("name", TILES)
def test_fixed_tile_goes_on_with_the_same_bits_after_a_restore(name):
    first = fixed(TILES[name], rows=5, cols=7, shift=13)
    exercise(first)
    kept = {k: v.copy() for k, v in first.state().items()}
    expected, end = exercise(first), state_of(first)
    for other in (first, fixed(TILES[name], rows=5, cols=7, shift=13)):
        other.restore(kept)
        np.testing.assert_array_equal(exercise(other), expected)
        assert state_of(other) == end


def test_fixed_tile_state_is_a_copy_of_16_bit_words():
    tile = fixed(TUNED, rows=5, cols=7)
    exercise(tile)
    kept = tile.state()
    before = state_of(tile)
    assert {k: v.dtype for k, v in kept.items() if k != "count"} == dict.fromkeys(
        ("v", "v_ref", "g_plus", "g_minus"), np.dtype(np.int16)
    )
    for array in kept.values():
        array[...] = 1
    assert state_of(tile) == before


def test_fixed_tile_has_the_same_bits_for_the_same_seed():
    one, same = (fixed(TUNED, rows=5, cols=7, shift=13, seed=7) for _ in range(2))
    np.testing.assert_array_equal(exercise(one), exercise(same))
    assert state_of(one) == state_of(same)
    for other in (
        fixed(TUNED, rows=5, cols=7, shift=13, seed=8),
        fixed(TUNED, rows=5, cols=7, shift=13, seed=7 + 2**32),
        fixed(TUNED, rows=5, cols=7, shift=13, seed=7, tile=1),
    ):
        exercise(other)
        assert state_of(one) != state_of(other)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("ideal", "5b36c42416fcb74156753941762ac6a215401b5392e00c34889697b3712736cd"),
        ("tuned", "9b361378f11664c6b2b86e11aced8bab23bff5098645ddfcbb813e099d8b8444"),
        ("two-pcm", "054799f96b33894c146664377d10d3110c8697bcc0a56194bb268a0547193f2c"),
    ],
)
def test_fixed_tile_bits_are_pinned(name, digest):
    tile = fixed(TILES[name], rows=5, cols=7, shift=13, seed=42)
    codes = exercise(tile).astype("<i8").tobytes()
    assert hashlib.sha256(codes + state_of(tile).encode()).hexdigest() == digest


def test_fixed_tile_tunes_two_pcm_cells_with_fresh_noise():
    tile = fixed(TILES["two-pcm"], rows=1, cols=64, shift=13)
    moves = []
    for _ in range(2):
        tile.g_plus[:] = 3000
        tile.tune(0, np.ones(64, int))
        moves.append(tile.g_plus.copy())
    assert np.any(moves[0] != moves[1])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"rows": 0}, "rows must be within 1..512, not 0"),
        ({"rows": 513}, "rows must be within 1..512, not 513"),
        ({"cols": 0}, "cols must be within 1..512, not 0"),
        ({"cols": 513}, "cols must be within 1..512, not 513"),
        ({"forward_shift": 7}, "forward_shift must be within 8..21, not 7"),
        ({"forward_shift": 22}, "forward_shift must be within 8..21, not 22"),
        ({"backward_shift": 7}, "backward_shift must be within 8..21, not 7"),
        ({"backward_shift": 22}, "backward_shift must be within 8..21, not 22"),
        ({"seed": -1}, "seed must be within 0..2**64-1, not -1"),
        ({"seed": 2**64}, "seed must be within 0..2**64-1, not 18446744073709551616"),
    ],
    ids=str,
)
def test_fixed_tile_rejects_what_it_cannot_be(changed, sentence):
    given = {"rows": 2, "cols": 2, "forward_shift": 8, "backward_shift": 21, "seed": 1, **changed}
    rows, cols = given.pop("rows"), given.pop("cols")
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        FixedTile(rows, cols, IDEAL, **given)


@pytest.mark.parametrize("sign", [0, 2, -2])
def test_fixed_tile_rejects_a_polarity_other_than_one(sign):
    with pytest.raises(ValueError, match=rf"^sign must be \+1 or -1, not {sign}$"):
        fixed().polarity(sign)
