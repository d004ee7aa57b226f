# SPDX-License-Identifier: Apache-2.0
"""The state and the seed of a fixed tile fix every bit to come."""

import hashlib

import numpy as np
import pytest
from fixed_tiles import fixed, state_of

from analog_models.presets import TILES, TUNED
from analog_models.tile import RESET


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
