# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Tiles are found by layer and block, several askers at once."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from cosim.bench import pack, simulate, unpack
from golden.config import split
from rtl.geometry import Geometry, Place, Query, Size


def bits(shape, values):
    """Raw bits of a structure's fields, in their order."""
    fields = shape.as_shape()
    pairs = zip(fields, values, strict=True)
    return sum(int(value) << fields[name].offset for (name, _), value in pairs)


@dataclass(frozen=True)
class Tile:
    """Where a tile lies and how many lines it uses."""

    used: int
    layer: int
    row_block: int
    col_block: int
    rows: int
    cols: int


@dataclass(frozen=True)
class Ask:
    """A query."""

    layer: int
    by_row: int
    by_col: int
    row_block: int
    col_block: int

    def meets(self, tile):
        return (
            tile.used
            and tile.layer == self.layer
            and (not self.by_row or tile.row_block == self.row_block)
            and (not self.by_col or tile.col_block == self.col_block)
        )


def check(tiles, rounds, queries):
    """Let the unit answer rounds ``(chip, asks)``."""

    def drive(pins):
        for chip, asks in rounds:
            pins["place"] = pack(
                [bits(Place, (t.used, t.layer, t.row_block, t.col_block)) for t in chip], 25
            )
            pins["size"] = pack([bits(Size, (t.rows, t.cols)) for t in chip], 20)
            query = [
                bits(Query, (a.layer, a.by_row, a.by_col, a.row_block, a.col_block)) for a in asks
            ]
            pins["query"] = pack(query, 26)
            yield
            masks = unpack(pins["mask"], tiles, queries, sign=False)
            found = unpack(pins["found"], 20, queries, sign=False)
            for ask, mask, size in zip(asks, masks, found, strict=True):
                hits = [t for t in chip if ask.meets(t)]
                assert mask == sum(1 << k for k, t in enumerate(chip) if ask.meets(t)), ask
                rows, cols = size & 1023, size >> 10
                if not hits:
                    assert (rows, cols) == (0, 0), f"{ask} must find nothing"
                if len({t.rows for t in hits}) == 1:
                    assert rows == hits[0].rows, ask
                if len({t.cols for t in hits}) == 1:
                    assert cols == hits[0].cols, ask

    simulate(Geometry(tiles, queries), drive)


def chip_of(tiles, rng):
    """Layers of balanced blocks on tiles in any order; the others hold anything, unused."""
    chip, layer = [], int(rng.choice([0, 3, 13]))
    while True:
        rows = split(int(rng.integers(1, 1024)), int(rng.choice([1023, 512, 300])))
        cols = split(int(rng.integers(1, 1024)), int(rng.choice([1023, 512, 300])))
        if len(chip) + (len(rows) - 1) * (len(cols) - 1) > tiles or layer > 15:
            break
        row0, col0 = rng.choice([0, 0, 1020], 2)  # blocks need not count from 0
        chip += [
            Tile(1, layer, row0 + i, col0 + j, rows[i + 1] - rows[i], cols[j + 1] - cols[j])
            for i in range(len(rows) - 1)
            for j in range(len(cols) - 1)
        ]
        layer += 1
    while len(chip) < tiles:
        like = chip[int(rng.integers(len(chip)))] if chip else Tile(0, 0, 0, 0, 0, 0)
        chip.append(Tile(0, like.layer, like.row_block, like.col_block, 1023, 1023))
    return [chip[i] for i in rng.permutation(tiles)]


def asks_of(chip, queries, rng):
    """Yield queries that meet a tile, or miss it by one bit of one field."""
    for _ in range(queries):
        tile = chip[int(rng.integers(len(chip)))]
        fields = [tile.layer, tile.row_block, tile.col_block]
        if rng.random() < 0.5:
            which = int(rng.integers(3))
            fields[which] ^= 1 << int(rng.integers(4 if which == 0 else 10))
        kind = int(rng.integers(4))
        yield Ask(fields[0], kind & 1, kind >> 1, fields[1], fields[2])


@pytest.mark.parametrize(("tiles", "queries"), [(1, 1), (6, 2), (9, 5)])
def test_geometry_finds_tiles_of_random_chips(tiles, queries):
    rng = np.random.default_rng(1)
    rounds = []
    for _ in range(25):
        chip = chip_of(tiles, rng)
        rounds += [(chip, list(asks_of(chip, queries, rng))) for _ in range(8)]
    check(tiles, rounds, queries)


@pytest.mark.parametrize(("tiles", "queries"), [(6, 2)])
def test_geometry_compares_every_bit(tiles, queries):
    """A single tile, in every place, among unused ones; each bit of a query in turn is wrong."""
    rounds = []
    for at in range(tiles):
        for value in (0, 1023):
            near = Tile(1, value & 15, value, value, 1023, 682)
            unused = Tile(0, value & 15, value, value, 1023, 1023)
            chip = [near if k == at else unused for k in range(tiles)]
            right = Ask(value & 15, 1, 1, value, value)
            wrong = [Ask(right.layer ^ 1 << b, 1, 1, value, value) for b in range(4)]
            for kind in ((1, 1), (1, 0), (0, 1), (0, 0)):
                wrong += [Ask(right.layer, *kind, value ^ 1 << b, value) for b in range(10)]
                wrong += [Ask(right.layer, *kind, value, value ^ 1 << b) for b in range(10)]
            rounds += [(chip, [right, ask][:: 1 - 2 * (n % 2)]) for n, ask in enumerate(wrong)]
    check(tiles, rounds, queries)


@pytest.mark.parametrize(("tiles", "queries"), [(6, 2)])
def test_geometry_finds_nothing_on_an_empty_chip(tiles, queries):
    empty = [Tile(0, 0, 0, 0, 1023, 1023)] * tiles
    kinds = [(r, c) for r in (0, 1) for c in (0, 1)]
    rounds = [(empty, [Ask(0, *kind, 0, 0)] * queries) for kind in kinds]
    check(tiles, rounds, queries)


BENCHES = [
    partial(test_geometry_finds_tiles_of_random_chips, 6, 2),
    partial(test_geometry_compares_every_bit, 6, 2),
    partial(test_geometry_finds_nothing_on_an_empty_chip, 6, 2),
]
