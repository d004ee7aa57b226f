# SPDX-License-Identifier: Apache-2.0
"""The update unit: from codes to pulse counts."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .reduce import add_tree

__all__ = ["PulseEncoder", "Rate"]

#: Most fractional bits of a rate.
MAX_SHIFT = 24


class Rate(data.Struct):
    """Registers of a rate: pulses a code = mult / 2**shift, at most ``most`` pulses."""

    mult: 8
    shift: 5
    most: 5


class PulseEncoder(wiring.Component):
    """Signed pulse counts of one beat of codes; combinational.

    Golden: :func:`golden.pulses.column_pulses`; with rate 1 / 2**7 and at most one pulse it is
    :func:`golden.pulses.row_pulses`. The random bits ``u`` are the highest ``shift`` bits of a
    lane, so ``(p + u) >> shift`` is the upper part of ``(p << (24 - shift)) + lane[8:]``: what
    lies below ``u`` cannot carry.

    Parameters
    ----------
    lanes : int
        Codes in a beat.

    Members
    -------
    codes : ``In(data.ArrayLayout(signed(8), lanes))``, -127..127
    words : ``In(data.ArrayLayout(32, lanes))``
        Random lanes after their step.
    stochastic : ``In(1)``
        0 rounds half up.
    rate : ``In(Rate)``
        ``shift`` within 0..24.
    pulses : ``Out(data.ArrayLayout(signed(8), lanes))``, -31..31
    asked, applied : ``Out``
        Sums over the lanes of the counts before and after the bound.
    """

    def __init__(self, lanes):
        self.lanes = lanes
        grown = (lanes - 1).bit_length()
        super().__init__({
            "codes": In(data.ArrayLayout(signed(8), lanes)),
            "words": In(data.ArrayLayout(32, lanes)),
            "stochastic": In(1),
            "rate": In(Rate),
            "pulses": Out(data.ArrayLayout(signed(8), lanes)),
            "asked": Out(15 + grown),
            "applied": Out(5 + grown),
        })

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(MAX_SHIFT + 1))
        m.d.comb += left.eq(MAX_SHIFT - self.rate.shift)
        asked, applied = [], []
        for k in range(self.lanes):
            size = Signal(7, name=f"size_{k}")
            word = Signal(MAX_SHIFT, name=f"word_{k}")
            total = Signal(MAX_SHIFT + 15, name=f"total_{k}")
            whole = total[MAX_SHIFT:]
            count = Signal(5, name=f"count_{k}")
            code = self.codes[k]
            m.d.comb += [
                size.eq(Mux(code < 0, -code, code)),
                word.eq(Mux(self.stochastic, self.words[k][-MAX_SHIFT:], 1 << (MAX_SHIFT - 1))),
                total.eq(((size * self.rate.mult) << left) + word),
                count.eq(Mux(whole > self.rate.most, self.rate.most, whole)),
                self.pulses[k].eq(Mux(code < 0, -count, count)),
            ]
            asked.append(whole)
            applied.append(count)
        m.d.comb += [self.asked.eq(add_tree(asked)), self.applied.eq(add_tree(applied))]
        return m
