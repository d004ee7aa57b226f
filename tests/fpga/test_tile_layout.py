# SPDX-License-Identifier: Apache-2.0
"""Where the cells of emulated tiles lie, and what cannot be laid out."""

from pathlib import Path

import numpy as np
import pytest

from analog_models.presets import PAPER, TUNED, TWO_PCM
from cosim.verilog_bench import load
from fpga.tile.layout import Plane, TileLayout
from fpga.tile.tiles_layout import TilesLayout

WORK = Path(__file__).parent / "tile_work.py"
make_tile, scramble = (load(f"{WORK}:{name}") for name in ("make_tile", "scramble"))


def test_tile_of_the_older_cell_is_refused():
    with pytest.raises(ValueError, match="update_device must be capacitor: 2-PCM is not emulated"):
        TileLayout(4, 4, TWO_PCM, 16, 12, 4, 2)


@pytest.mark.parametrize(("rows", "cols"), [(0, 4), (4, 0), (513, 4), (4, 513)])
def test_tile_of_a_wrong_size_is_refused(rows, cols):
    with pytest.raises(ValueError, match="must be within"):
        TileLayout(rows, cols, TUNED, 16, 12, 4, 2)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (TileLayout(4, 4, PAPER, 16, 12, 4, 2), "config must be the same in all tiles"),
        (TileLayout(4, 4, TUNED, 16, 12, 2, 2), "lanes must be the same in all tiles"),
        (TileLayout(4, 4, TUNED, 16, 12, 4, 1), "transfer_lanes must be the same in all tiles"),
    ],
)
def test_tiles_that_cannot_share_lanes_are_refused(other, what):
    with pytest.raises(ValueError, match=what):
        TilesLayout((TileLayout(4, 4, TUNED, 16, 12, 4, 2), other))


def test_no_tiles_and_too_many_are_refused():
    tile = TileLayout(4, 4, TUNED, 16, 12, 4, 2)
    for n in (0, 33):
        with pytest.raises(ValueError, match=f"tiles must be 1 to 32, not {n}"):
            TilesLayout((tile,) * n)


def test_layout_is_told_from_every_other_one():
    given = 13, 10, TUNED, 16, 12, 4, 2
    others = 12, 9, PAPER, 15, 13, 8, 4
    digests = [TileLayout(*given).digest]
    for k, other in enumerate(others):
        digests.append(TileLayout(*given[:k], other, *given[k + 1 :]).digest)
    assert len(set(digests)) == len(digests)
    assert TileLayout(*given).digest == digests[0] < 1 << 32


def test_tiles_lie_one_behind_another():
    layout = TilesLayout((
        TileLayout(13, 10, TUNED, 16, 12, 4, 2), TileLayout(5, 7, TUNED, 17, 13, 4, 2)
    ))  # fmt: skip
    assert layout.first_word == [0, 39, 49]
    assert layout.first_row == [0, 13, 18]
    assert layout.first_bell == [0, 4, 6]
    assert layout.first_offset == [0, 3, 7, 10, 12, 14, 16]
    assert layout.ranges == {
        (16, 8): [0],
        (12, 8): [1],
        (11, 12): [2, 5],
        (17, 8): [3],
        (13, 8): [4],
    }


def test_memory_image_holds_every_cell_once():
    layout = TileLayout(5, 6, TUNED, 16, 12, 4, 2)
    row, col = np.indices((5, 6))
    index = layout.index(row, col)
    assert len(set(index.ravel())) == 30
    assert index.max() < layout.depth * layout.lanes


def test_state_is_read_back_as_it_was_written():
    layout = TileLayout(5, 6, TUNED, 16, 12, 4, 2)
    tile = scramble(make_tile(layout), np.random.default_rng(3))
    image = layout.image(tile)

    def whole(plane, n):
        words = np.zeros(n, np.int64)
        words[image[plane][0]] = image[plane][1]
        return words

    cells = layout.depth * layout.lanes
    state = layout.state(
        whole(Plane.V, cells),
        whole(Plane.G, cells),
        whole(Plane.REFERENCE, 5),
        whole(Plane.REGISTERS, 16),
    )
    for name, array in tile.state().items():
        np.testing.assert_array_equal(state[name], array, name)
