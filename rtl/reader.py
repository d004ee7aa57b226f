# SPDX-License-Identifier: Apache-2.0
"""Vector reader: streams a layer's vector out of memory, block by block."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.formats import BIAS

__all__ = ["VectorReader", "read_beat"]


def read_beat(lanes, depth):
    """Layout of a beat that was read; ``beat`` counts the beats of the whole vector."""
    return data.StructLayout({
        "data": data.ArrayLayout(signed(8), lanes),
        "count": range(lanes + 1),
        "beat": range(depth),
        "block": 10,
        "first": 1,
        "last": 1,
    })


class VectorReader(wiring.Component):
    """Read the blocks of a vector one after another.

    ``first`` and ``last`` mark the ends of a block. Lanes beyond ``count`` are 0. If the vector has
    a ``bias``, the last code of its last block is :data:`golden.formats.BIAS`, whatever lies there.
    Latency 2 cycles from ``start`` to the first beat, then one beat a cycle.

    Parameters
    ----------
    lanes : int
        Codes in a beat.
    depth : int
        Beats of the largest memory.

    Members
    -------
    start : ``In(1)``
        Begin; ``blocks`` and ``bias`` hold until ``busy`` falls.
    busy : ``Out(1)``
        Beats are still to come: from the cycle after ``start`` until the last one is taken.
    blocks : ``In(10)``, bias : ``In(1)``
    block : ``Out(10)``, length : ``In(10)``
        Block that is being read, and how many codes it has, at least 1.
    beat, en : ``Out``, codes : ``In(data.ArrayLayout(signed(8), lanes))``
        Read port of the memory, latency 1: ``beat`` counts from the beginning of the vector;
        ``codes`` hold while ``en`` is 0.
    o : ``Out(stream.Signature(read_beat(lanes, depth)))``
    """

    def __init__(self, lanes, *, depth):
        self.lanes, self.depth = lanes, depth
        super().__init__({
            "start": In(1),
            "busy": Out(1),
            "blocks": In(10),
            "bias": In(1),
            "block": Out(10),
            "length": In(10),
            "beat": Out(range(depth)),
            "en": Out(1),
            "codes": In(data.ArrayLayout(signed(8), lanes)),
            "o": Out(stream.Signature(read_beat(lanes, depth))),
        })

    def elaborate(self, platform):
        m = Module()
        more = Signal()  # beats are left to ask for
        done = Signal(10)  # codes of the block that were asked for
        left = Signal(10)
        final = Signal()  # the last beat of its block
        end = Signal()  # the last block
        m.d.comb += [
            left.eq(self.length - done),
            final.eq(left <= self.lanes),
            end.eq(self.block == self.blocks - 1),
            self.en.eq(~self.o.valid | self.o.ready),
            self.busy.eq(more | self.o.valid),
        ]

        o, biased = self.o.p, Signal()
        with m.If(self.start):
            m.d.sync += [more.eq(1), done.eq(0), self.beat.eq(0), self.block.eq(0)]
        with m.Elif(self.en & more):
            m.d.sync += [done.eq(done + self.lanes), self.beat.eq(self.beat + 1)]
            with m.If(final):
                m.d.sync += [done.eq(0), self.block.eq(self.block + 1), more.eq(~end)]
        with m.If(self.en):
            m.d.sync += [
                self.o.valid.eq(more),
                o.count.eq(Mux(final, left, self.lanes)),
                o.beat.eq(self.beat),
                o.block.eq(self.block),
                o.first.eq(done == 0),
                o.last.eq(final),
                biased.eq(self.bias & final & end),
            ]
        for k in range(self.lanes):
            with m.If(biased & (o.count == k + 1)):
                m.d.comb += o.data[k].eq(BIAS)
            with m.Elif(k < o.count):
                m.d.comb += o.data[k].eq(self.codes[k])
        return m
