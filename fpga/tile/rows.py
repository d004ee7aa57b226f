# SPDX-License-Identifier: Apache-2.0
"""Rows that an operation visits, in an order in which none waits for an UPDATE for long."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.skid import Skid

from .input import COLUMN
from .picker import Picker, pick
from .tiles_layout import TilesLayout
from .walker import walked_row

__all__ = ["Rows"]


class Rows(wiring.Component):
    """Pick the rows of an operation, or the columns of a row whose cells are handled one by one.

    A FORWARD that is behind an UPDATE visits the rows without a pulse first, and then the others,
    each when it has been written: an UPDATE has most words of them behind it by then.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    start : ``In(1)``, start_one : ``In(1)``
        Begin with all rows that are wanted, or with ``row`` alone. What follows but for ``second``
        holds from then until all is taken.
    by_cell : ``In(1)``
        Columns, not rows.
    all : ``In(1)``, count : ``In``, available : ``In``, first : ``In``
        See :class:`fpga.tile.picker.Picker`.
    row : ``In(9)``, code : ``In(signed(9))``
        The row of ``start_one``.
    second, beat, codes, pulsed, untouched, columns
        See :class:`fpga.tile.inputs.TileInputs`: ``rows`` and what follows, of ``beat``.
    stepped : ``In(1)``, walking : ``In(1)``, at : ``In(9)``
        Cells of the tile are being stepped; the UPDATE that is before this operation is being
        executed; see :class:`fpga.tile.stepper.Stepper`.
    busy : ``Out(1)``
        Something is left, but for what ``o`` or ``column`` takes in this cycle.
    o : ``Out(stream.Signature(walked_row))``, column : ``Out(stream.Signature(pick(...)))``
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        lanes, beats = layout.lanes, layout.beats
        super().__init__({
            "start": In(1),
            "start_one": In(1),
            "by_cell": In(1),
            "all": In(1),
            "count": In(range(beats * lanes + 1)),
            "available": In(range(beats + 1)),
            "first": In(range(beats + 1)),
            "row": In(9),
            "code": In(signed(9)),
            "second": In(1),
            "beat": Out(range(beats)),
            "codes": In(data.ArrayLayout(8, lanes)),
            "pulsed": In(lanes),
            "untouched": In(lanes),
            "columns": In(data.ArrayLayout(COLUMN, lanes)),
            "stepped": In(1),
            "walking": In(1),
            "at": In(9),
            "busy": Out(1),
            "o": Out(stream.Signature(walked_row)),
            "column": Out(stream.Signature(pick(beats, lanes, COLUMN))),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, beats = self.layout.lanes, self.layout.beats
        # a code, and whether its row has no pulse for sure
        m.submodules.picker = picker = Picker(beats, lanes, COLUMN + 1)
        m.submodules.left = left = Memory(shape=lanes, depth=beats, init=[])
        left_write, left_read = left.write_port(), left.read_port(domain="comb")
        twice, of_pass = Signal(), Signal(lanes)  # all is picked in two passes; rows of this one
        with m.If(self.start):
            m.d.sync += twice.eq(self.second)
        m.d.comb += [
            left_write.addr.eq(picker.beat),
            left_write.data.eq(self.pulsed),
            left_write.en.eq(~picker.again),
            left_read.addr.eq(picker.beat),
            of_pass.eq(Mux(picker.again, left_read.data, ~self.pulsed)),
            self.beat.eq(picker.beat),
            picker.twice.eq(Mux(self.start, self.second, twice)),
            *(getattr(picker, n).eq(getattr(self, n)) for n in ("start", "all", "count")),
            *(getattr(picker, n).eq(getattr(self, n)) for n in ("available", "first")),
        ]
        for k in range(lanes):
            row = self.codes[k]
            free = row.any() & self.untouched[k]  # none of the second pass is
            code = Mux(of_pass[k], Cat(row, row[-1].replicate(COLUMN - 8), free), 0)
            m.d.comb += picker.codes[k].eq(Mux(self.by_cell, self.columns[k], code))

        picked, settled, one = picker.o.p, Signal(), Signal()
        below, row = Signal(), Cat(picked.lane, picked.beat)
        m.d.comb += [
            below.eq(row < self.at),
            settled.eq(
                picked.code[-1] | Mux(self.second, self.walking & below, ~self.stepped | below)
            ),
            self.busy.eq(picker.busy | one),
        ]
        m.submodules.skid = skid = Skid(self.column.payload.shape())
        wiring.connect(m, skid.o, wiring.flipped(self.column))
        with m.If(self.start_one):
            m.d.sync += one.eq(1)
        with m.If(self.by_cell):
            m.d.comb += [
                skid.i.valid.eq(picker.o.valid),
                skid.i.p.beat.eq(picked.beat),
                skid.i.p.lane.eq(picked.lane),
                skid.i.p.code.eq(picked.code),
                picker.o.ready.eq(skid.i.ready),
                self.busy.eq(picker.busy | skid.full),
            ]
        with m.Elif(one):
            m.d.comb += [self.o.valid.eq(1), self.o.p.row.eq(self.row), self.o.p.code.eq(self.code)]
            with m.If(self.o.ready):
                m.d.sync += one.eq(0)
        with m.Else():
            m.d.comb += [
                self.o.valid.eq(picker.o.valid & settled),
                self.o.p.row.eq(row),
                self.o.p.code.eq(picked.code),
                picker.o.ready.eq(self.o.ready & settled),
            ]
        return m
