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
        The tile whose results are taken next: its block across and along.
    mask : ``In(tiles)``, length : ``In(10)``
        That tile, one-hot, and its number of results.
    taking : ``Out(tiles)``
        The tile whose results are being taken, while ``busy``.
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
            "taking": Out(tiles),
            "y": In(stream.Signature(data.ArrayLayout(signed(8), lanes))).array(tiles),
            "o": Out(stream.Signature(partial_beat(lanes, depth))),
        })

    def elaborate(self, platform):
        m = Module()
        left = Signal(10)  # codes of the block that were not yet taken from this tile
        beat = Signal(range(self.depth))
        final, take, load = Signal(), Signal(), Signal()
        first_part, last_part, end = Signal(), Signal(), Signal()
        m.d.comb += [
            final.eq(left <= self.lanes),
            take.eq(self.o.valid & self.o.ready),
            load.eq(self.start | (take & final & ~(last_part & end))),
        ]

        o = self.o.p
        for t in range(self.tiles):
            m.d.comb += self.y[t].ready.eq(self.busy & self.taking[t] & self.o.ready)
            with m.If(self.taking[t]):
                m.d.comb += [
                    self.o.valid.eq(self.busy & self.y[t].valid),
                    o.data.eq(self.y[t].payload),
                ]
        m.d.comb += [
            o.count.eq(Mux(final, left, self.lanes) - (final & end & self.backward)),
            o.beat.eq(beat),
            o.first.eq(first_part),
            o.final.eq(last_part),
        ]

        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(take):
            m.d.sync += [left.eq(left - self.lanes), beat.eq(beat + 1)]
            with m.If(final & last_part & end):
                m.d.sync += self.busy.eq(0)
        # The next tile is looked up ahead; after the last one it is the first one again.
        last = Signal()
        m.d.comb += last.eq(self.part == self.parts - 1)
        with m.If(load):
            m.d.sync += [left.eq(self.length), beat.eq(0), self.taking.eq(self.mask)]
            m.d.sync += [first_part.eq(self.part == 0), last_part.eq(last)]
            m.d.sync += [end.eq(self.block == self.blocks - 1), self.part.eq(self.part + 1)]
            with m.If(last):
                last_block = self.block == self.blocks - 1
                m.d.sync += [self.part.eq(0), self.block.eq(Mux(last_block, 0, self.block + 1))]
        return m
