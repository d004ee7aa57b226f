# SPDX-License-Identifier: Apache-2.0
"""Cuts a vector anew: from the blocks of one layer's tiles to those of another's."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from analog_models.config import check

__all__ = ["Scatter", "counted_beat"]


def counted_beat(shape, lanes):
    """Layout of ``lanes`` codes of which the first ``count`` count."""
    return data.StructLayout({
        "data": data.ArrayLayout(shape, lanes),
        "count": range(lanes + 1),
    })


class Scatter(wiring.Component):
    """Write a stream of codes into a vector memory in which every block starts a beat.

    The codes of all beats are one vector, whatever the beats' ``count``; it is cut into blocks of
    ``length`` codes. Each cycle writes as much of the beat as fits one beat of memory, so a beat
    that lies within one takes one cycle, and ``k`` cycles if it is spread over ``k``.
    Combinational from ``i`` to the write port: latency 0.

    Parameters
    ----------
    shape : Shape
        One code.
    lanes : int, a power of two
        Codes in a beat of memory.
    source_lanes : int, a power of two, 1..lanes
        Codes in a beat of ``i``.
    depth : int
        Beats of memory.

    Members
    -------
    i : ``In(stream.Signature(counted_beat(shape, source_lanes)))``
        ``count`` 0 is allowed and writes nothing.
    start : ``In(1)``
        Begin a vector: at block 0 and at beat ``base``. Not while a beat is offered.
    base : ``In(range(depth))``
    block : ``Out(10)``, ``length`` : ``In(range(1024))``
        The block that is being filled, and how many codes it has: 0 leaves a beat free.
    addr, data, en : ``Out``
        Write port of the memory; ``en`` has one bit a lane.
    """

    def __init__(self, shape, lanes, *, depth, source_lanes=None):
        source_lanes = lanes if source_lanes is None else source_lanes
        for name, n in (("lanes", lanes), ("source_lanes", source_lanes)):
            check(n > 0 and n & (n - 1) == 0, name, "a power of two", n)
        check(source_lanes <= lanes, "source_lanes", f"at most {lanes}", source_lanes)
        self.lanes, self.source_lanes, self.depth = lanes, source_lanes, depth
        super().__init__({
            "i": In(stream.Signature(counted_beat(shape, source_lanes))),
            "start": In(1),
            "base": In(range(depth)),
            "block": Out(10),
            "length": In(range(1024)),
            "addr": Out(range(depth)),
            "data": Out(data.ArrayLayout(shape, lanes)),
            "en": Out(lanes),
        })

    def elaborate(self, platform):
        m = Module()

        lane = Signal(range(self.lanes))  # next lane of the beat in memory
        taken = Signal(range(self.source_lanes))  # codes of the beat that are written
        filled = Signal(range(1024))  # codes of the block that are written
        address = Signal(range(self.depth))

        left = Signal(range(self.source_lanes + 1))
        space = Signal(range(self.lanes + 1))
        missing = Signal(range(1024))
        fits = Signal(range(self.lanes + 1))
        chunk = Signal(range(self.lanes + 1))
        m.d.comb += [
            left.eq(self.i.p.count - taken),
            space.eq(self.lanes - lane),
            missing.eq(self.length - filled),
            fits.eq(Mux(left < space, left, space)),
            chunk.eq(Mux(missing < fits, missing, fits)),
        ]

        width = len(self.data.as_value()) // self.lanes
        rotation = Signal(range(self.source_lanes))  # which divides lanes
        codes = self.i.p.data.as_value()
        rotated = (codes.replicate(2) >> (rotation * width))[: len(codes)]
        m.d.comb += [
            rotation.eq(taken - lane),
            self.data.as_value().eq(rotated.replicate(self.lanes // self.source_lanes)),
            self.addr.eq(address),
            self.en.eq(Mux(self.i.valid, ((1 << chunk) - 1) << lane, 0)),
            self.i.ready.eq(chunk == left),
        ]

        with m.If(self.start):
            m.d.sync += [address.eq(self.base), self.block.eq(0)]
            m.d.sync += [lane.eq(0), taken.eq(0), filled.eq(0)]
        with m.Elif(self.i.valid):
            m.d.sync += [taken.eq(Mux(self.i.ready, 0, taken + chunk))]
            with m.If(missing == chunk):  # the block is full, or empty
                m.d.sync += [filled.eq(0), self.block.eq(self.block + 1)]
                m.d.sync += [lane.eq(0), address.eq(address + 1)]
            with m.Else():
                m.d.sync += [filled.eq(filled + chunk), lane.eq(lane + chunk)]
                with m.If(space == chunk):
                    m.d.sync += address.eq(address + 1)

        return m
