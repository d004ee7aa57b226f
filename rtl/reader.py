# SPDX-License-Identifier: Apache-2.0
"""Vector reader: streams a layer's vector out of memory, block by block."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.formats import BIAS

from .reduce import is_below

__all__ = ["VectorReader", "read_beat"]


def read_beat(lanes, depth):
    """Layout of a beat that was read; ``beat`` counts the beats of the whole vector."""
    return data.StructLayout({
        "data": data.ArrayLayout(signed(8), lanes),
        "count": range(lanes + 1),
        "beat": range(depth),
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
        Block that is read next, and how many codes it has, at least 1.
    load : ``Out(1)``
        That block begins: ``length`` counts in this cycle only.
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
            "load": Out(1),
            "beat": Out(range(depth)),
            "en": Out(1),
            "codes": In(data.ArrayLayout(signed(8), lanes)),
            "o": Out(stream.Signature(read_beat(lanes, depth))),
        })

    def elaborate(self, platform):
        m = Module()
        more = Signal()  # beats are left to ask for
        left = Signal(10)  # codes of the block that were not yet asked for
        first, final = Signal(), Signal()  # beat of its block
        end, last = Signal(), Signal()  # the block that is being read is the last one; the next is
        m.d.comb += [
            final.eq(left <= self.lanes),
            last.eq(self.block == self.blocks - 1),
            self.en.eq(~self.o.valid | self.o.ready),
            self.load.eq(self.start | (self.en & more & final & ~end)),
            self.busy.eq(more | self.o.valid),
        ]

        o, biased = self.o.p, Signal()
        with m.If(self.start):
            m.d.sync += [more.eq(1), self.beat.eq(0)]
        with m.Elif(self.en & more):
            m.d.sync += self.beat.eq(self.beat + 1)
            with m.If(final):
                m.d.sync += more.eq(~end)
        with m.If(self.load):
            # back to the first one, whose length is there when the next vector starts
            m.d.sync += self.block.eq(Mux(last, 0, self.block + 1))
        # whether a beat is asked for is late; after the last one nobody looks at these
        with m.If(self.start | self.en):
            m.d.sync += first.eq(self.start | final)
            with m.If(self.start | final):
                m.d.sync += [left.eq(self.length), end.eq(last)]
            with m.Else():
                m.d.sync += left.eq(left - self.lanes)
        with m.If(self.en):
            m.d.sync += [
                self.o.valid.eq(more),
                o.count.eq(Mux(final, left, self.lanes)),
                o.beat.eq(self.beat),
                o.first.eq(first),
                o.last.eq(final),
                biased.eq(self.bias & final & end),
            ]
        for k in range(self.lanes):
            with m.If(biased & (o.count == k + 1)):
                m.d.comb += o.data[k].eq(BIAS)
            with m.Elif(is_below(k, o.count)):
                m.d.comb += o.data[k].eq(self.codes[k])
        return m
