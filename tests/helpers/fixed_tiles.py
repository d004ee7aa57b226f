# SPDX-License-Identifier: Apache-2.0
"""Fixed tiles for tests, and states to put them in."""

import hashlib

import numpy as np

from analog_models.fixed_tile import FixedTile
from analog_models.presets import IDEAL


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
