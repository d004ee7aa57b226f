# SPDX-License-Identifier: Apache-2.0
"""The tile in kernels has the bits of the one in numpy."""

import numpy as np
import pytest

from analog_models.fixed_tile import FixedTile
from analog_models.presets import TILES
from golden.kernel_tile import KernelTile

ROWS, COLS = 9, 7


def operations(rng, n):
    """Draw operations of the port: name and arguments."""
    for _ in range(n):
        row = int(rng.integers(ROWS))
        yield [
            ("forward", rng.integers(-127, 128, ROWS)),
            ("backward", rng.integers(-127, 128, COLS)),
            ("update", rng.integers(-1, 2, ROWS), rng.integers(-31, 32, COLS)),
            ("read", row, 2),
            ("program", row, rng.integers(0, 64, COLS), np.full(COLS, 127)),
            ("init", row),
            ("tune", row, rng.integers(-31, 32, COLS)),
            ("polarity", int(rng.choice([-1, 1]))),
            ("age", int(rng.integers(1, 9))),
        ][rng.choice(9, p=[0.25, 0.15, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", sorted(TILES))
def test_kernel_tile_has_the_bits_of_the_fixed_tile(name, seed):
    usual = {"forward_shift": 12, "backward_shift": 12, "seed": seed}
    tiles = [kind(ROWS, COLS, TILES[name], **usual) for kind in (FixedTile, KernelTile)]
    saved = tiles[0].state()
    for k, (operation, *arguments) in enumerate(operations(np.random.default_rng(seed), 200)):
        a, b = (getattr(tile, operation)(*arguments) for tile in tiles)
        np.testing.assert_array_equal(a, b, err_msg=f"{k}: {operation}")
        if k == 150:
            for tile in tiles:
                tile.restore(saved)
    for key, array in tiles[0].state().items():
        np.testing.assert_array_equal(tiles[1].state()[key], array, err_msg=key)


@pytest.mark.parametrize("sign", [1, -1])
def test_kernel_tile_multiplies_the_largest_sums_exactly(sign):
    """512 rows of the largest codes and weights are just within the kernels' 32 bits."""
    usual = {"forward_shift": 21, "backward_shift": 21, "seed": 0}
    tiles = [kind(512, 512, TILES["ideal"], **usual) for kind in (FixedTile, KernelTile)]
    codes = np.full(512, 127)
    for tile in tiles:
        tile.g_plus[:] = tile.tables.g_max
        tile.g_minus[:] = 0
        tile.v[:] = tile.tables.v_max
        assert 2**30 < abs(127 * tile.weight_code()[:, 0].sum()) < 2**31
    for operation in ("forward", "backward"):
        a, b = (getattr(tile, operation)(sign * codes) for tile in tiles)
        np.testing.assert_array_equal(a, b)
        assert set(a) == {127 if sign > 0 else -128}
