# SPDX-License-Identifier: Apache-2.0
"""Decoder of zero-coded bytes."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Decoded", "ZeroDecoder"]


class Decoded(data.Struct):
    """A byte, and whether it ends a packet."""

    byte: 8
    last: 1


class ZeroDecoder(wiring.Component):
    """Expand runs of zeros. Golden: :class:`fpga.link.zero_code.ZeroDecoder`.

    A literal takes a cycle, a run two cycles more than it is long. ``i`` is registered, as it
    comes from a block RAM, the slowest of all sources; so a byte takes a cycle longer.

    Members
    -------
    i : ``In(stream.Signature(8))``
    o : ``Out(stream.Signature(Decoded))``
    idle : ``Out(1)``
        No pair has begun.
    """

    i: In(stream.Signature(8))
    o: Out(stream.Signature(Decoded))
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        count, ends = Signal(7), Signal()
        byte, valid, ready = Signal(8), Signal(), Signal()
        m.d.comb += [self.i.ready.eq(~valid | ready), self.o.p.byte.eq(byte)]
        with m.If(self.i.ready):
            m.d.sync += [byte.eq(self.i.payload), valid.eq(self.i.valid)]
        with m.FSM():
            with m.State("LITERAL"):
                m.d.comb += self.idle.eq(~valid)
                with m.If(byte == 0):
                    m.d.comb += ready.eq(1)
                    with m.If(valid):
                        m.next = "COUNT"
                with m.Else():
                    m.d.comb += [self.o.valid.eq(valid), ready.eq(self.o.ready)]

            with m.State("COUNT"):
                m.d.comb += ready.eq(1)
                m.d.sync += [count.eq(byte[:7]), ends.eq(byte[7])]
                with m.If(valid):
                    m.next = "RUN"
                    with m.If(byte == 0):
                        m.next = "LITERAL"
                    with m.Elif(byte == 128):
                        m.next = "LAST"

            with m.State("RUN"):
                m.d.comb += [
                    self.o.p.byte.eq(0),
                    self.o.p.last.eq(ends & (count == 1)),
                    self.o.valid.eq(1),
                ]
                with m.If(self.o.ready):
                    m.d.sync += count.eq(count - 1)
                    with m.If(count == 1):
                        m.next = "LITERAL"

            with m.State("LAST"):
                m.d.comb += [
                    self.o.p.last.eq(1),
                    self.o.valid.eq(valid),
                    ready.eq(self.o.ready),
                ]
                with m.If(valid & self.o.ready):
                    m.next = "LITERAL"
        return m
