# SPDX-License-Identifier: Apache-2.0
"""The update unit: from codes to pulse counts."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .reduce import add_tree

__all__ = ["PulseEncoder", "Rate"]


class Rate(data.Struct):
    """Registers of a rate: pulses a code = mult / 2**shift, at most ``most`` pulses."""

    mult: 8
    shift: 5
    most: 5


class PulseEncoder(wiring.Component):
    """Signed pulse counts of one beat of codes; combinational.

    Golden: :func:`golden.pulses.column_pulses`; with rate 1 / 2**7 and at most one pulse it is
    :func:`golden.pulses.row_pulses`. The random bits ``u`` are the highest ``shift`` bits of a
    lane, so ``(p + u) >> shift`` is the upper half of ``(p << (32 - shift)) + lane``: what lies
    below ``u`` cannot carry.

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
            "asked": Out(16 + grown),
            "applied": Out(5 + grown),
        })

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(33))
        m.d.comb += left.eq(32 - self.rate.shift)
        asked, applied = [], []
        for k in range(self.lanes):
            size = Signal(7, name=f"size_{k}")
            word = Signal(32, name=f"word_{k}")
            total = Signal(48, name=f"total_{k}")
            count = Signal(5, name=f"count_{k}")
            code = self.codes[k]
            m.d.comb += [
                size.eq(Mux(code < 0, -code, code)),
                word.eq(Mux(self.stochastic, self.words[k], 1 << 31)),
                total.eq(((size * self.rate.mult) << left) + word),
                count.eq(Mux(total[32:] > self.rate.most, self.rate.most, total[32:])),
                self.pulses[k].eq(Mux(code < 0, -count, count)),
            ]
            asked.append(total[32:])
            applied.append(count)
        m.d.comb += [self.asked.eq(add_tree(asked)), self.applied.eq(add_tree(applied))]
        return m
