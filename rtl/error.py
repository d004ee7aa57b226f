# SPDX-License-Identifier: Apache-2.0
"""Error and scoring units: what the network answers, and how far it is off."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.formats import CODE_MAX

from .reduce import argmax_tree, is_below

__all__ = ["ErrorUnit", "Scorer"]


class Scorer(wiring.Component):
    """Find the neuron with the largest sum; the lowest index wins ties.

    Golden: :meth:`golden.machine.Machine.error`. ``answer`` is valid
    ``latency`` cycles after the last beat: three, and one for each doubling of the lanes beyond
    two.

    Parameters
    ----------
    lanes : int
        Codes in a beat.

    Members
    -------
    start : ``In(1)``
        Begin a vector. Not together with ``en``.
    codes : ``In(data.ArrayLayout(signed(8), lanes))``, count, en : ``In``
        One beat of saturated sums when ``en`` is 1.
    answer : ``Out(13)``
    """

    def __init__(self, lanes):
        self.lanes = lanes
        self.latency = 2 + max(1, (lanes - 1).bit_length())
        super().__init__({
            "start": In(1),
            "codes": In(data.ArrayLayout(signed(8), lanes)),
            "count": In(range(lanes + 1)),
            "en": In(1),
            "answer": Out(13),
        })

    def elaborate(self, platform):
        m = Module()
        # The answer begins as 0 and lanes without a code come last, so the ties go as they should.
        lowest = -128
        found = []
        for k in range(self.lanes):
            code = Signal(signed(8), name=f"code_{k}")
            m.d.sync += code.eq(Mux(is_below(k, self.count), self.codes[k], lowest))
            found.append((Const(k, range(max(2, self.lanes))), code))

        # a register before and after every comparison of the tree
        en, count = Signal(), Signal.like(self.count)
        m.d.sync += [en.eq(self.en & ~self.start), count.eq(self.count)]
        for _ in range(self.latency - 2):
            groups = [found[k : k + 2] for k in range(0, len(found), 2)]
            found = []
            for group in groups:
                place, top = Signal(range(max(2, self.lanes))), Signal(signed(8))
                m.d.sync += Cat(place, top).eq(Cat(*argmax_tree(m, group)))
                found.append((place, top))
            before, en = en, Signal(name="en_stage")
            with m.If(~self.start):
                m.d.sync += en.eq(before)
            with m.Else():
                m.d.sync += en.eq(0)
            before, count = count, Signal.like(count, name="count_stage")
            m.d.sync += count.eq(before)
        ((index, value),) = found

        best, seen = Signal(signed(8)), Signal(13)
        with m.If(self.start):
            m.d.sync += [best.eq(lowest), seen.eq(0), self.answer.eq(0)]
        with m.Elif(en):
            m.d.sync += seen.eq(seen + count)
            with m.If(value > best):
                m.d.sync += [best.eq(value), self.answer.eq(seen + index)]
        return m


class ErrorUnit(wiring.Component):
    """Subtract outputs from the one-hot target.

    Golden: :meth:`golden.machine.Machine.error`. ``delta`` is combinational; ``nonzero`` is
    valid 2 cycles after the last beat.

    Parameters
    ----------
    lanes : int
        Codes in a beat.

    Members
    -------
    start : ``In(1)``
        Begin a vector. Not together with ``en``.
    label : ``In(13)``
    codes, count, en : ``In``
        One beat of outputs when ``en`` is 1, -127..127.
    delta : ``Out(data.ArrayLayout(signed(8), lanes))``, -127..127
    nonzero : ``Out(1)``
        Some error of the vector is not zero.
    """

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__({
            "start": In(1),
            "label": In(13),
            "codes": In(data.ArrayLayout(signed(8), lanes)),
            "count": In(range(lanes + 1)),
            "en": In(1),
            "delta": Out(data.ArrayLayout(signed(8), lanes)),
            "nonzero": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        place = Signal(13)  # of the label in this beat, if it is there
        wrong = []
        for k in range(self.lanes):
            delta = Signal(signed(9), name=f"delta_{k}")
            m.d.comb += [
                delta.eq(Mux(place == k, CODE_MAX, 0) - self.codes[k]),
                # 128..254, by its bits: quicker than a comparison
                self.delta[k].eq(Mux(delta[7] & ~delta[8], CODE_MAX, delta)),
            ]
            wrong.append(is_below(k, self.count) & (delta != 0))
        found = Signal(self.lanes)
        with m.If(self.start):
            m.d.sync += [place.eq(self.label), found.eq(0), self.nonzero.eq(0)]
        with m.Else():
            m.d.sync += [found.eq(0), self.nonzero.eq(self.nonzero | found.any())]
            with m.If(self.en):
                m.d.sync += [place.eq(place - self.count), found.eq(Cat(wrong))]
        return m
