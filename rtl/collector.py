# SPDX-License-Identifier: Apache-2.0
"""Collector: takes the results of a layer's tiles in the order in which they add up."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .accumulator import partial_beat

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Take beats from tile after tile.

    Forward: for every column block, all row blocks. ``backward``: for every row block, all column
    blocks, and the last code of all, the bias row's, is dropped. One beat a cycle, combinational
    from ``y`` to ``o``.

    Parameters
    ----------
    lanes : int
        Codes in a beat.
    depth : int
        Beats of the largest block.
    tiles : int

    Members
    -------
    start : ``In(1)``
        Begin; the inputs below hold until ``busy`` falls.
    busy : ``Out(1)``
        From the cycle after ``start`` until the last beat is taken.
    backward : ``In(1)``
    blocks, parts : ``In(10)``
        Blocks of the result, and tiles that add to each.
    block, part : ``Out(10)``
        The tile whose results are being taken: its block across and along.
    mask : ``In(tiles)``, length : ``In(10)``
        That tile, one-hot, and its number of results.
    y : ``In(stream.Signature(data.ArrayLayout(signed(8), lanes)))``, one a tile
    o : ``Out(stream.Signature(partial_beat(lanes, depth)))``
    """

    def __init__(self, lanes, *, depth, tiles):
        self.lanes, self.depth, self.tiles = lanes, depth, tiles
        super().__init__({
            "start": In(1),
            "busy": Out(1),
            "backward": In(1),
            "blocks": In(10),
            "parts": In(10),
            "block": Out(10),
            "part": Out(10),
            "mask": In(tiles),
            "length": In(10),
            "y": In(stream.Signature(data.ArrayLayout(signed(8), lanes))).array(tiles),
            "o": Out(stream.Signature(partial_beat(lanes, depth))),
        })

    def elaborate(self, platform):
        m = Module()
        done = Signal(10)  # codes of the block that were taken from this tile
        beat = Signal(range(self.depth))
        left, final, take = Signal(10), Signal(), Signal()
        end, last_part = Signal(), Signal()
        m.d.comb += [
            left.eq(self.length - done),
            final.eq(left <= self.lanes),
            last_part.eq(self.part == self.parts - 1),
            end.eq(self.block == self.blocks - 1),
            take.eq(self.o.valid & self.o.ready),
        ]

        o = self.o.p
        for t in range(self.tiles):
            m.d.comb += self.y[t].ready.eq(self.busy & self.mask[t] & self.o.ready)
            with m.If(self.mask[t]):
                m.d.comb += [
                    self.o.valid.eq(self.busy & self.y[t].valid),
                    o.data.eq(self.y[t].payload),
                ]
        m.d.comb += [
            o.count.eq(Mux(final, left, self.lanes) - (final & end & self.backward)),
            o.beat.eq(beat),
            o.first.eq(self.part == 0),
            o.final.eq(last_part),
        ]

        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), done.eq(0), beat.eq(0)]
            m.d.sync += [self.block.eq(0), self.part.eq(0)]
        with m.Elif(take):
            m.d.sync += [done.eq(done + self.lanes), beat.eq(beat + 1)]
            with m.If(final):
                m.d.sync += [done.eq(0), beat.eq(0), self.part.eq(self.part + 1)]
                with m.If(last_part):
                    m.d.sync += [self.part.eq(0), self.block.eq(self.block + 1)]
                    with m.If(end):
                        m.d.sync += self.busy.eq(0)
        return m
