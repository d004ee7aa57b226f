# SPDX-License-Identifier: Apache-2.0
"""Stepper: executes the UPDATEs of all tiles while others of their operations are executed."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .picker import Picker
from .tiles_layout import TilesLayout
from .walker import Visit, Walker

__all__ = ["Stepper"]


class Stepper(wiring.Component):
    """Visit the words of UPDATEs in which a column has a pulse, of the rows with one.

    One UPDATE at a time, a word a cycle, about 6 cycles before the first one. Rows are visited in
    order, and ``at`` tells how far it has come.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    ready : ``In(1)``, tile : ``In``, first, flags, row_beat, rows, updated, search
        Of the tile whose UPDATE is next, see :class:`fpga.tile.inputs.TileInputs`.
    hold : ``In(1)``
        Begin nothing.
    visit : ``Out(Visit)``, upcoming : ``Out(18)``
        See :class:`fpga.tile.walker.Walker`; the row's pulse is the sign of ``code``.
    moving : ``In(1)``, written : ``In(Visit)``
        Some step is in the lanes; the one that is written.
    busy : ``Out(1)``, walking : ``Out(1)``, at : ``Out(9)``
        Cells of ``tile`` are being stepped; its UPDATE is being executed, and then, or as long as
        it is ``busy``, all rows before this one have been written.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        super().__init__({
            "ready": In(1),
            "tile": In(range(max(2, len(layout.tiles)))),
            "first": In(range(layout.beats + 1)),
            "flags": In(layout.words),
            "row_beat": Out(range(layout.beats)),
            "rows": In(data.ArrayLayout(2, layout.lanes)),
            "updated": Out(1),
            "search": Out(1),
            "hold": In(1),
            "visit": Out(Visit),
            "upcoming": Out(18),
            "moving": In(1),
            "written": In(Visit),
            "busy": Out(1),
            "walking": Out(1),
            "at": Out(9),
        })

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        m.submodules.picker = picker = Picker(layout.beats, layout.lanes, 2)
        m.submodules.walker = walker = Walker(layout)
        rows = Signal(range(layout.most(lambda each: each.rows) + 1))
        m.d.sync += rows.eq(Array(each.rows for each in layout.tiles)[self.tile])
        picked = picker.o.p
        m.d.comb += [
            picker.count.eq(rows),
            picker.available.eq(layout.beats),
            picker.first.eq(self.first),
            self.row_beat.eq(picker.beat),
            picker.codes.eq(self.rows),
            walker.tile.eq(self.tile),
            walker.wanted.eq(self.flags),
            walker.rows.valid.eq(picker.o.valid),
            walker.rows.p.row.eq(Cat(picked.lane, picked.beat)),
            walker.rows.p.code.eq(picked.code[-1].replicate(9).as_signed()),
            picker.o.ready.eq(walker.rows.ready),
            self.visit.eq(walker.visit),
            self.upcoming.eq(walker.upcoming),
        ]
        with m.If(self.written.valid):
            m.d.sync += self.at.eq(self.written.row)
        walked = Signal()  # the last word was visited in the cycle before, or there was none
        m.d.sync += walked.eq(0)
        m.d.comb += self.updated.eq(walked)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE") | self.moving)
            m.d.comb += self.walking.eq(fsm.ongoing("START") | fsm.ongoing("WALK"))
            with m.State("IDLE"):
                # all that was stepped must have been written: ``tile`` says of which tile it was
                m.d.comb += self.search.eq(~self.ready & ~self.moving)
                with m.If(self.ready & ~self.hold):
                    m.next = "LOOK"
            with m.State("LOOK"):  # the first beat is there in the next cycle
                m.d.sync += self.at.eq(0)
                m.next = "START"
            with m.State("START"):
                m.d.comb += [picker.start.eq(1), walker.start.eq(1)]
                m.next = "WALK"
            with m.State("WALK"):
                m.d.sync += walked.eq(~picker.busy & walker.rows.ready & ~walked)
                with m.If(walked):
                    m.next = "IDLE"
        return m
