# SPDX-License-Identifier: Apache-2.0
"""Error and scoring units: what the network answers, and how far it is off."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.formats import CODE_MAX

from .reduce import argmax_tree, or_tree

__all__ = ["ErrorUnit", "Scorer"]


class Scorer(wiring.Component):
    """Find the neuron with the largest sum; the lowest index wins ties.

    Golden: :meth:`golden.machine.Machine.error`. ``answer`` is valid a cycle after the last beat.

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
        codes = []
        for k in range(self.lanes):
            code = Signal(signed(8), name=f"code_{k}")
            m.d.comb += code.eq(Mux(k < self.count, self.codes[k], lowest))
            codes.append(code)
        index, value = argmax_tree(m, codes)

        best, seen = Signal(signed(8)), Signal(13)
        with m.If(self.start):
            m.d.sync += [best.eq(lowest), seen.eq(0), self.answer.eq(0)]
        with m.Elif(self.en):
            m.d.sync += seen.eq(seen + self.count)
            with m.If(value > best):
                m.d.sync += [best.eq(value), self.answer.eq(seen + index)]
        return m


class ErrorUnit(wiring.Component):
    """Subtract outputs from the one-hot target.

    Golden: :meth:`golden.machine.Machine.error`. ``delta`` is combinational; ``nonzero`` is
    valid a cycle after the last beat.

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
        seen = Signal(13)
        place = Signal(13)  # of the label in this beat, if it is there
        m.d.comb += place.eq(self.label - seen)
        wrong = []
        for k in range(self.lanes):
            delta = Signal(signed(9), name=f"delta_{k}")
            m.d.comb += [
                delta.eq(Mux(place == k, CODE_MAX, 0) - self.codes[k]),
                self.delta[k].eq(Mux(delta > CODE_MAX, CODE_MAX, delta)),
            ]
            wrong.append((k < self.count) & (delta != 0))
        with m.If(self.start):
            m.d.sync += [seen.eq(0), self.nonzero.eq(0)]
        with m.Elif(self.en):
            m.d.sync += seen.eq(seen + self.count)
            m.d.sync += self.nonzero.eq(self.nonzero | or_tree(wrong))
        return m
