# SPDX-License-Identifier: Apache-2.0
"""Picker: the codes of a vector that are not zero, one a cycle."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.reduce import or_tree, several

__all__ = ["Picker", "pick"]


def pick(beats, lanes, bits):
    """Layout of a code and its place."""
    return data.StructLayout({"beat": range(beats), "lane": range(lanes), "code": bits})


class Picker(wiring.Component):
    """Pick the codes of a vector in order, or only those that are not zero.

    Latency 2 cycles from ``start``, then one code a cycle; a beat without a code takes a cycle.

    Parameters
    ----------
    beats, lanes : int
        Beats of the longest vector, and codes in a beat, a power of two.
    bits : int
        Of a code.

    Members
    -------
    start : ``In(1)``
        Begin, if ``busy`` was 0 in the cycle before; the inputs below hold until it falls again.
        The first beat, if it is ``available``, is looked up in this cycle.
    busy : ``Out(1)``
        From the cycle after ``start`` until the last code is taken.
    all : ``In(1)``
        Codes that are zero too.
    count : ``In``
        Codes in the vector.
    available : ``In``
        Beats of it that have arrived.
    first : ``In``
        The beat to begin with, in the cycle before ``start`` and when it begins ``again``.
    twice : ``In(1)``, again : ``Out(1)``
        Go through the vector a second time; ``beat`` is looked up for that.
    beat : ``Out``, codes : ``In(data.ArrayLayout(bits, lanes))``
        Asynchronous read port of the memory of the vector.
    o : ``Out(stream.Signature(pick(beats, lanes, bits)))``
    """

    def __init__(self, beats, lanes, bits):
        self.beats, self.lanes, self.bits = beats, lanes, bits
        super().__init__({
            "start": In(1),
            "busy": Out(1),
            "all": In(1),
            "count": In(range(beats * lanes + 1)),
            "available": In(range(beats + 1)),
            "first": In(range(beats + 1)),
            "twice": In(1),
            "again": Out(1),
            "beat": Out(range(beats)),
            "codes": In(data.ArrayLayout(bits, lanes)),
            "o": Out(stream.Signature(pick(beats, lanes, bits))),
        })

    def elaborate(self, platform):
        m = Module()
        mask, codes, beat = Signal(self.lanes), Signal.like(self.codes), Signal.like(self.beat)
        lowest, rest = Signal(self.lanes), Signal(self.lanes)
        pop, load, stays = Signal(), Signal(), Signal()
        # A beat is looked up ahead, with which of its codes are in the vector. The start is late:
        # what is next, and whether it can be looked up, is known before.
        at, end = Signal(range(self.beats + 1)), Signal(range(self.beats + 1))
        waiting = Signal(init=1)  # for the start
        can_fetch, fetch, fetched, free = Signal(), Signal(), Signal(), Signal()
        there, at_last, more = Signal(self.lanes), Signal(), Signal()
        ahead, ahead_beat = Signal.like(self.codes), Signal.like(self.beat)
        wanted = Cat((self.all | ahead[k].any()) & there[k] for k in range(self.lanes))
        last = (self.count - 1)[: exact_log2(self.lanes)]  # lane of the last code
        m.d.comb += [
            rest.eq(mask & (mask - 1)),
            lowest.eq(mask & ~rest),
            stays.eq(several(mask)),
            pop.eq(mask.any() & (~self.o.valid | self.o.ready)),
            load.eq(fetched & (~mask.any() | (pop & ~stays))),
            free.eq(~fetched | load),
            end.eq((self.count + self.lanes - 1) >> exact_log2(self.lanes)),
            self.beat.eq(at),
            at_last.eq(at == end - 1),
            more.eq(at != end),
            can_fetch.eq(more & (at < self.available) & free),
            fetch.eq((self.start | ~waiting) & can_fetch),
            self.busy.eq((~waiting & more) | fetched | mask.any() | self.o.valid),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(pop):
            picked = [Mux(lowest[k], codes[k], 0) for k in range(self.lanes)]
            index = [Mux(lowest[k], k, 0) for k in range(self.lanes)]
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.p.beat.eq(beat),
                self.o.p.lane.eq(or_tree(index)),
                self.o.p.code.eq(or_tree(picked)),
                mask.eq(rest),
            ]
        with m.If(load):
            m.d.sync += [
                mask.eq(wanted),
                codes.eq(ahead),
                beat.eq(ahead_beat),
                fetched.eq(0),
            ]
        with m.If(free):  # nobody looks at what was not fetched
            m.d.sync += [
                ahead.eq(self.codes),
                ahead_beat.eq(at),
                there.eq(Mux(at_last, Cat(last >= k for k in range(self.lanes)), -1)),
            ]
        with m.If(~self.busy):
            m.d.sync += [waiting.eq(1), at.eq(self.first), self.again.eq(0)]
        with m.If(fetch):
            m.d.sync += [fetched.eq(1), at.eq(at + 1)]
            with m.If(at_last & self.twice & ~self.again):
                m.d.sync += [at.eq(self.first), self.again.eq(1)]
        with m.If(self.start):
            m.d.sync += waiting.eq(0)
        return m
