# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from analog_models.physical_tile import PhysicalTile
from analog_models.presets import IDEAL, TILES, TUNED
from analog_models.tile import RESET

K = 5


def physical(config=IDEAL, rows=2, cols=3, *, shift=12, seed=1, tile=0):
    return PhysicalTile(
        rows, cols, config, forward_shift=shift, backward_shift=shift, seed=seed, tile=tile
    )


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
        tile.polarity(1 if example % 2 else -1)
    return np.concatenate([*out, tile.weight().ravel()])


def test_physical_tile_has_the_hand_worked_weight():
    tile = physical()
    state = tile.state()
    state["g_plus"][:], state["g_minus"][:] = 10e-6, 4e-6
    state["v"][:, :3], state["v"][:, 3] = 0.7, 0.5
    tile.restore(state)
    # (3 * (10 - 4) + 50 * (0.7 - 0.5)) / 50
    np.testing.assert_allclose(tile.weight(), 0.56, atol=2**-30)
    # 100 * 0.56 / 2**(12 - 14) = 224 saturates; 30 * 0.56 * 4 = 67.2; two rows 134.4
    np.testing.assert_array_equal(tile.forward(np.array([30, 0])), 67)
    np.testing.assert_array_equal(tile.forward(np.array([30, 30])), 127)
    np.testing.assert_array_equal(tile.forward(np.array([-60, -60])), -128)
    np.testing.assert_array_equal(tile.backward(np.array([10, 5, -45])), -67)
    np.testing.assert_array_equal(tile.read(0, 0), 573)  # 0.56 * 128 * 2**3 = 573.4
    tile.polarity(-1)
    # (18 - 10) / 50
    np.testing.assert_allclose(tile.weight(), 0.16, atol=2**-30)


@pytest.mark.parametrize("seed", range(3))
def test_physical_tile_sums_do_not_depend_on_the_order(seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(512)
    plain, mixed = (physical(rows=512, cols=8, shift=14) for _ in range(2))
    state = plain.state()
    state["g_plus"][:] = rng.uniform(0, 20e-6, (512, 8))
    state["v"][:] = rng.uniform(0.1, 0.9, (512, 9))
    plain.restore(state)
    for name in ("g_plus", "v"):
        state[name] = state[name][order]
    mixed.restore(state)
    x = rng.integers(-127, 128, 512)
    w = plain.weight()
    np.testing.assert_array_equal(mixed.weight(), w[order])
    np.testing.assert_array_equal(x @ w, x[order] @ w[order])  # exact, not only the codes
    np.testing.assert_array_equal(plain.forward(x), mixed.forward(x[order]))
    d = rng.integers(-127, 128, 8)
    np.testing.assert_array_equal(plain.backward(d)[order], mixed.backward(d))


def test_physical_tile_asymmetry_cancels_over_both_polarities():
    moved = []
    for sign in (1, -1):
        tile = physical(rows=1, cols=1)
        tile.capacitor.up[:], tile.capacitor.down[:] = 1.2e-3, 0.8e-3
        tile.polarity(sign)
        for _ in range(10):
            tile.update(np.array([1]), np.array([1]))
            tile.update(np.array([1]), np.array([-1]))
        moved.append(tile.weight()[0, 0])
    # 10 * 0.4 mV * 50 uS/V of 50 uS
    np.testing.assert_allclose(moved, [4e-3, -4e-3], atol=2**-30)


def test_physical_tile_leaks_exponentially_and_drifts_by_a_power_law():
    tile = physical(TUNED, 4, 5)
    state = tile.state()
    state["g_plus"][:], state["v"][:] = 15e-6, 0.3
    tile.restore(state)
    tile.age(3000)
    seconds = 3000 * TUNED.tick
    pcm = TUNED.cell.pcm
    kept = np.exp(-tile.capacitor.rate * seconds)
    np.testing.assert_allclose(tile.capacitor.v, 0.8 - 0.5 * kept, rtol=1e-12)
    expected = 15e-6 * (1 + seconds / pcm.drift_t0) ** -tile.plus.nu
    np.testing.assert_allclose(tile.plus.conductance(), expected, rtol=1e-12)
    assert seconds > 2 * pcm.drift_t0


@pytest.mark.parametrize("name", TILES)
def test_physical_tile_goes_on_with_the_same_bits_after_a_restore(name):
    first = physical(TILES[name], 5, 7, shift=13)
    exercise(first)
    kept = {k: v.copy() for k, v in first.state().items()}
    expected = exercise(first)
    other = physical(TILES[name], 5, 7, shift=13)
    other.restore(kept)
    np.testing.assert_array_equal(exercise(other), expected)
    for key, value in first.state().items():
        np.testing.assert_array_equal(other.state()[key], value)


def test_physical_tile_has_the_same_bits_for_the_same_seed():
    one, same = (exercise(physical(TUNED, 5, 7, seed=7)) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    for other in ({"seed": 8}, {"seed": 7, "tile": 1}):
        assert np.any(exercise(physical(TUNED, 5, 7, **other)) != one)


def test_physical_tiles_and_their_arrays_do_not_correlate():
    first = physical(TUNED, 64, 128)
    tiles = first, physical(TUNED, 64, 128, tile=1), physical(TUNED, 64, 128, seed=2)
    values = [a for t in tiles for a in (t.plus.nu, t.minus.nu, t.plus.response, t.minus.response)]
    values += [getattr(t.capacitor, k)[:, :-1] for t in tiles for k in ("up", "down", "threshold")]
    correlation = np.corrcoef([v.ravel() for v in values])
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() <= K / np.sqrt(64 * 128)


@pytest.mark.parametrize("name", ["forward_shift", "backward_shift"])
@pytest.mark.parametrize("shift", [7, 22])
def test_physical_tile_rejects_a_shift_out_of_range(name, shift):
    given = {"forward_shift": 8, "backward_shift": 21, name: shift}
    with pytest.raises(ValueError, match=rf"^{name} must be within 8\.\.21, not {shift}$"):
        PhysicalTile(2, 2, IDEAL, **given, seed=1)
