# SPDX-License-Identifier: Apache-2.0
"""Walker: visits the words of rows, one a cycle."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.reduce import or_tree

from .tile_layout import TileLayout

__all__ = ["Visit", "Walker", "walked_row"]

#: A row to walk along, and its code.
walked_row = data.StructLayout({"row": 9, "code": signed(9)})


class Visit(data.Struct):
    """One word of a row."""

    valid: 1
    addr: 18
    row: 9
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
    layout : TileLayout

    Members
    -------
    start : ``In(1)``
        The next row is the first one.
    wanted : ``In(layout.words)``
    rows : ``In(stream.Signature(walked_row))``
    busy : ``Out(1)``
        A row is not over; the last visit follows a cycle later.
    visit : ``Out(Visit)``
    """

    def __init__(self, layout: TileLayout):
        self.layout = layout
        super().__init__({
            "start": In(1),
            "wanted": In(layout.words),
            "rows": In(stream.Signature(walked_row)),
            "busy": Out(1),
            "visit": Out(Visit),
        })

    def elaborate(self, platform):
        m = Module()
        words = self.layout.words
        mask, rest, lowest = Signal(words), Signal(words), Signal(words)
        row, base = Signal(walked_row), Signal(range(self.layout.depth))
        fresh, first = Signal(), Signal()
        visit = self.visit
        m.d.comb += [
            rest.eq(mask & (mask - 1)),
            lowest.eq(mask & ~rest),
            self.busy.eq(mask.any()),
            self.rows.ready.eq(~rest.any()),
        ]
        word = or_tree([Mux(lowest[k], k, 0) for k in range(words)])
        m.d.sync += [
            mask.eq(rest),
            first.eq(0),
            visit.valid.eq(mask.any()),
            visit.addr.eq(base + word),
            visit.row.eq(row.row),
            visit.code.eq(row.code),
            visit.word.eq(word),
            visit.fresh.eq(fresh),
            visit.first.eq(first),
            visit.last.eq(~rest.any()),
        ]
        following = self.rows.p.row
        with m.If(self.rows.valid & self.rows.ready):
            m.d.sync += [
                mask.eq(self.wanted),
                row.eq(self.rows.payload),
                base.eq(sum(following << i for i in range(words.bit_length()) if words >> i & 1)),
                first.eq(1),
            ]
        started = Signal()  # the first row has been taken
        with m.If(self.rows.valid & self.rows.ready):
            m.d.sync += [started.eq(1), fresh.eq(~started)]
        with m.If(self.start):
            m.d.sync += started.eq(0)
        return m
