# SPDX-License-Identifier: Apache-2.0
"""What a fixed tile multiplies, converts and refuses."""

import re

import numpy as np
import pytest
from fixed_tiles import fixed, place

from analog_models.fixed_tile import FixedTile
from analog_models.presets import IDEAL


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
