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
    that lies within one takes one cycle, and ``k`` cycles if it is spread over ``k``. Latency 2
    cycles from ``i`` to the write port.

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
        Begin a vector: at block 0 and at beat ``base``. Not while a beat is offered; one that is
        not yet written is forgotten.
    busy : ``Out(1)``
        A beat is not yet written; its last codes are in the cycle in which it falls.
    base : ``In(range(depth))``
    block : ``Out(10)``, ``length`` : ``In(range(1024))``
        The block that is filled next, and how many codes it has: 0 leaves a beat free.
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
            "busy": Out(1),
            "base": In(range(depth)),
            "block": Out(10),
            "length": In(range(1024)),
            "addr": Out(range(depth)),
            "data": Out(data.ArrayLayout(shape, lanes)),
            "en": Out(lanes),
        })

    def elaborate(self, platform):
        m = Module()
        # no reset where a value counts only with another signal
        front = Signal.like(self.i.payload, reset_less=True)
        spare = Signal.like(self.i.payload, reset_less=True)
        valid, ready = Signal(), Signal(init=1)  # of front; spare is free
        waits = ~ready
        width = len(self.data.as_value()) // self.lanes

        # What is left, as registers: of the beat, of the beat of memory, of the block.
        left = Signal(range(self.source_lanes + 1))
        space = Signal(range(self.lanes + 1), init=self.lanes)
        missing = Signal(range(1024))
        taken = Signal(range(self.source_lanes))  # codes of the beat that are written
        lane = Signal(range(self.lanes))  # next lane of the beat in memory
        address = Signal(range(self.depth))
        fresh = Signal()  # a vector has begun: the length of its first block is to come

        # The smallest of the three is written. Compared and subtracted pair by pair, all at once:
        # what is left of each is chosen, not computed from the smallest.
        chunk = Signal(range(self.lanes + 1))
        step, done, full, end = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            step.eq(valid & ~fresh),
            done.eq((left <= space) & (left <= missing)),
            full.eq((missing <= space) & (missing <= left)),
            end.eq((space <= left) & (space <= missing)),
            chunk.eq(Mux(done, left, Mux(full, missing, space))),
            self.i.ready.eq(ready),
            self.busy.eq(valid),
        ]

        # beats in: the one at work, and one that waits, so that ready is a register
        with m.If(~valid | (step & done)):
            m.d.sync += [
                valid.eq(waits | self.i.valid),
                front.eq(Mux(waits, spare, self.i.payload)),
                left.eq(Mux(waits, spare.count, self.i.p.count)),
                taken.eq(0),
                ready.eq(1),
            ]
        with m.Else():
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [spare.eq(self.i.payload), ready.eq(0)]
            with m.If(step):
                m.d.sync += [
                    left.eq(Mux(full, left - missing, left - space)),
                    taken.eq(Mux(full, taken + missing, taken + space)),
                ]

        # codes out
        rotation = Signal(range(self.source_lanes))  # which divides lanes
        codes = front.data.as_value()
        rotated = (codes.replicate(2) >> (rotation * width))[: len(codes)]
        writes, first, count = Signal(), Signal.like(lane), Signal.like(chunk)
        m.d.comb += [
            rotation.eq(taken - lane),
            self.en.eq(Mux(writes, ((1 << count) - 1) << first, 0)),
        ]
        m.d.sync += [
            self.data.as_value().eq(rotated.replicate(self.lanes // self.source_lanes)),
            self.addr.eq(address),
            writes.eq(step),
            first.eq(lane),
            count.eq(chunk),
        ]
        with m.If(step):
            with m.If(full):  # also if it is empty
                m.d.sync += [missing.eq(self.length), self.block.eq(self.block + 1)]
                m.d.sync += [lane.eq(0), space.eq(self.lanes), address.eq(address + 1)]
            with m.Else():
                m.d.sync += [
                    missing.eq(Mux(done, missing - left, missing - space)),
                    lane.eq(Mux(end, 0, lane + left)),
                    space.eq(Mux(end, self.lanes, space - left)),
                ]
                with m.If(end):
                    m.d.sync += address.eq(address + 1)

        with m.If(fresh):
            m.d.sync += [fresh.eq(0), missing.eq(self.length), self.block.eq(1)]
        with m.If(self.start):
            m.d.sync += [address.eq(self.base), self.block.eq(0), fresh.eq(1)]
            m.d.sync += [lane.eq(0), space.eq(self.lanes), valid.eq(0), ready.eq(1), writes.eq(0)]

        return m
