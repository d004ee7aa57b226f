# SPDX-License-Identifier: Apache-2.0
"""Walker: visits the words of rows, one a cycle."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.reduce import or_tree, several

from .tiles_layout import TilesLayout

__all__ = ["Visit", "Walker", "row_address", "walked_row"]

#: A row to walk along, and its code.
walked_row = data.StructLayout({"row": 9, "code": signed(9)})


def row_address(layout: TilesLayout, tile, row):
    """Return the address of the first word of a row of a tile."""
    return Array(
        start + sum(row << i for i in range(each.words.bit_length()) if each.words >> i & 1)
        for start, each in zip(layout.first_word, layout.tiles, strict=False)
    )[tile]


class Visit(data.Struct):
    """One word of a row."""

    valid: 1
    addr: 18
    row: 9
    line: 14  # of the reference cells
    code: signed(9)
    word: 9
    fresh: 1  # of the first row
    first: 1  # the first word of the row
    last: 1  # the last word of the row


class Walker(wiring.Component):
    """Visit those words of every row that are wanted.

    Latency 2 cycles, one word a cycle. Rows are dropped if no word is wanted.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    tile : ``In``
    start : ``In(1)``
        The next row is the first one.
    wanted : ``In(layout.words)``
    rows : ``In(stream.Signature(walked_row))``
        A row is taken when the last word of the one before is visited in the next cycle.
    visit : ``Out(Visit)``
    upcoming : ``Out(18)``
        Address of ``visit`` in the next cycle.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        super().__init__({
            "tile": In(range(max(2, len(layout.tiles)))),
            "start": In(1),
            "wanted": In(layout.words),
            "rows": In(stream.Signature(walked_row)),
            "visit": Out(Visit),
            "upcoming": Out(18),
        })

    def elaborate(self, platform):
        m = Module()
        layout, words = self.layout, self.layout.words
        mask, rest, lowest = Signal(words), Signal(words), Signal(words)
        row, base = Signal(walked_row), Signal(range(layout.first_word[-1]))
        line = Signal(range(layout.first_row[-1]))
        fresh, first = Signal(), Signal()
        visit = self.visit
        m.d.comb += [
            rest.eq(mask & (mask - 1)),
            lowest.eq(mask & ~rest),
        ]
        word = or_tree([Mux(lowest[k], k, 0) for k in range(words)])
        m.d.comb += self.upcoming.eq(base + word)
        m.d.sync += [
            mask.eq(rest),
            first.eq(0),
            visit.valid.eq(mask.any()),
            visit.addr.eq(self.upcoming),
            visit.row.eq(row.row),
            visit.line.eq(line),
            visit.code.eq(row.code),
            visit.word.eq(word),
            visit.fresh.eq(fresh),
            visit.first.eq(first),
            visit.last.eq(~rest.any()),
        ]
        # whether the last word is visited in the next cycle: a register, too, as it starts a lot
        ready = Signal(init=1)
        m.d.comb += self.rows.ready.eq(ready)
        m.d.sync += ready.eq(~several(rest))
        following = self.rows.p.row
        with m.If(self.rows.valid & ready):
            m.d.sync += [
                ready.eq(~several(self.wanted)),
                mask.eq(self.wanted),
                row.eq(self.rows.payload),
                base.eq(row_address(layout, self.tile, following)),
                line.eq(following + Array(layout.first_row)[self.tile]),
                first.eq(1),
            ]
        started = Signal()  # the first row has been taken
        with m.If(self.rows.valid & ready):
            m.d.sync += [started.eq(1), fresh.eq(~started)]
        with m.If(self.start):
            m.d.sync += started.eq(0)
        return m
