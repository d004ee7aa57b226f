# SPDX-License-Identifier: Apache-2.0
"""Where the tiles lie in the network."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .reduce import or_tree

__all__ = ["Geometry", "Place", "Query", "Size"]


class Place(data.Struct):
    """Which part of which layer a tile holds."""

    used: 1
    layer: 4
    row_block: 10
    col_block: 10


class Size(data.Struct):
    """Lines of a tile in use; bias row included."""

    rows: 10
    cols: 10


class Query(data.Struct):
    """Tiles of a layer: of one row block, of one column block, or where both meet."""

    layer: 4
    by_row: 1
    by_col: 1
    row_block: 10
    col_block: 10


class Geometry(wiring.Component):
    """Find tiles by layer and block, combinationally, for several askers at once.

    Parameters
    ----------
    tiles : int
    queries : int
        Askers.

    Members
    -------
    place, size : ``In(data.ArrayLayout(Place, tiles))``, ``In(data.ArrayLayout(Size, tiles))``
    query : ``In(data.ArrayLayout(Query, queries))``
    mask : ``Out(data.ArrayLayout(tiles, queries))``
        Tiles that match.
    found : ``Out(data.ArrayLayout(Size, queries))``
        Their lines. Tiles of one row block agree in rows, tiles of one column block in columns;
        the other number then means nothing. 0 if no tile matches.
    """

    def __init__(self, tiles, queries):
        self.tiles, self.queries = tiles, queries
        super().__init__({
            "place": In(data.ArrayLayout(Place, tiles)),
            "size": In(data.ArrayLayout(Size, tiles)),
            "query": In(data.ArrayLayout(Query, queries)),
            "mask": Out(data.ArrayLayout(tiles, queries)),
            "found": Out(data.ArrayLayout(Size, queries)),
        })

    def elaborate(self, platform):
        m = Module()
        for q in range(self.queries):
            query, hits, sizes = self.query[q], [], []
            for t in range(self.tiles):
                place, hit = self.place[t], Signal(name=f"hit_{q}_{t}")
                m.d.comb += hit.eq(
                    place.used
                    & (place.layer == query.layer)
                    & (~query.by_row | (place.row_block == query.row_block))
                    & (~query.by_col | (place.col_block == query.col_block))
                )
                hits.append(hit)
                sizes.append(Mux(hit, self.size[t].as_value(), 0))
            m.d.comb += [self.mask[q].eq(Cat(hits)), self.found[q].as_value().eq(or_tree(sizes))]
        return m
