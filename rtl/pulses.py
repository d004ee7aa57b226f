# SPDX-License-Identifier: Apache-2.0
"""The update unit: from codes to pulse counts."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .reduce import add_tree

__all__ = ["PulseEncoder", "Rate"]

#: Most fractional bits of a rate.
MAX_SHIFT = 24
#: Lanes that share registers of the rate.
_NEAR = 4


class Rate(data.Struct):
    """Registers of a rate: pulses a code = mult / 2**shift, at most ``most`` pulses."""

    mult: 8
    shift: 5
    most: 5


class PulseEncoder(wiring.Component):
    """Signed pulse counts of one beat of codes, in four stages that step together.

    Golden: :func:`golden.pulses.column_pulses`; with rate 1 / 2**7 and at most one pulse it is
    :func:`golden.pulses.row_pulses`. The random bits ``u`` are the highest ``shift`` bits of a
    lane, so ``(p + u) >> shift`` is ``(p + (lane >> (32 - shift))) >> shift``.

    Parameters
    ----------
    lanes : int
        Codes in a beat.

    Members
    -------
    step : ``In(1)``
        All beats go to the next stage; ``pulses`` belong to the codes of 3 steps before.
    codes : ``In(data.ArrayLayout(signed(8), lanes))``, -127..127
    words : ``In(data.ArrayLayout(32, lanes))``
        Random lanes after their step.
    stochastic : ``In(1)``
        0 rounds half up.
    rate : ``In(Rate)``
        ``shift`` within 0..24. All three inputs hold while beats are on their way.
    pulses : ``Out(data.ArrayLayout(signed(8), lanes))``, -31..31
        Combinational: to be registered with the next step.
    counting : ``In(1)``
        With ``step``: ``pulses`` are a beat's.
    counted : ``Out(1)``
        1 for the cycle, 2 after that step, in which ``asked`` and ``applied`` count.
    asked, applied : ``Out``
        Sums over the lanes of the counts before and after the bound.
    """

    def __init__(self, lanes):
        self.lanes = lanes
        grown = (lanes - 1).bit_length()
        super().__init__({
            "step": In(1),
            "codes": In(data.ArrayLayout(signed(8), lanes)),
            "words": In(data.ArrayLayout(32, lanes)),
            "stochastic": In(1),
            "rate": In(Rate),
            "pulses": Out(data.ArrayLayout(signed(8), lanes)),
            "counting": In(1),
            "counted": Out(1),
            "asked": Out(15 + grown),
            "applied": Out(5 + grown),
        })

    def elaborate(self, platform):
        m = Module()
        # Of each few lanes, registers of their own: from one place to all lanes is far, and a
        # shift is slow. Unequal at first, so that tools do not make one of them.
        rates, unused = [], []
        for k in range(0, self.lanes, _NEAR):
            rate = Signal(Rate, name=f"rate_{k}", init={"shift": k // _NEAR})
            below = Signal(range(MAX_SHIFT + 1), name=f"unused_{k}", init=k // _NEAR)
            m.d.sync += [rate.eq(self.rate), below.eq(MAX_SHIFT - self.rate.shift)]
            rates.append(rate)
            unused.append(below)  # random bits below u
        asked, applied = [], []
        # |code| is one more than ~code where it is negative; the one is added as a rate, to the
        # bits, where there is time for an adder.
        for k in range(self.lanes):

            def signal(shape, name, k=k):
                return Signal(shape, name=f"{name}_{k}", reset_less=True)

            code, rate, below = self.codes[k], rates[k // _NEAR], unused[k // _NEAR]
            size, word = signal(7, "size"), signal(MAX_SHIFT, "word")
            product, bits = signal(15, "product"), signal(MAX_SHIFT + 1, "bits")
            total = signal(MAX_SHIFT + 2, "total")
            whole, count = signal(15, "whole"), signal(5, "count")
            signs = signal(3, "signs")  # of the codes in the stages
            m.d.comb += [
                total.eq(product + bits),
                count.eq(Mux(whole > rate.most, rate.most, whole)),
                self.pulses[k].eq(Mux(signs[2], -count, count)),
            ]
            with m.If(self.step):
                m.d.sync += [
                    signs.eq(Cat(code < 0, signs)),
                    size.eq(Mux(code < 0, ~code, code)),
                    word.eq(Mux(self.stochastic, self.words[k][-MAX_SHIFT:], 1 << (MAX_SHIFT - 1))),
                    product.eq(size * rate.mult),
                    bits.eq((word >> below) + Mux(signs[0], rate.mult, 0)),
                    whole.eq(total >> rate.shift),
                ]
            asked.append(whole)
            applied.append(count)

        # the sums, off the way of the beats
        halfway = Signal()
        m.d.sync += [halfway.eq(self.step & self.counting), self.counted.eq(halfway)]
        for values, total in ((asked, self.asked), (applied, self.applied)):
            parts = []
            for k in range(0, self.lanes, 4):
                part = add_tree(values[k : k + 4])
                parts.append(Signal.like(part, name="part"))
                m.d.sync += parts[-1].eq(part)
            m.d.sync += total.eq(add_tree(parts))
        return m
