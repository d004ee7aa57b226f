# SPDX-License-Identifier: Apache-2.0
"""Squares: sums of squares of codes, on which the noise of a product depends."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Squares"]

#: Codes that are squared in a cycle: a beat of 16 takes as long as the first word of a tile.
_AT_ONCE = 4


class Squares(wiring.Component):
    """Add up the squares of codes, a few a cycle, in adders: multipliers are scarce.

    ``done`` follows 5 cycles after the last codes of the last beat.

    Parameters
    ----------
    lanes : int
    bits : int
        Of the sum.

    Members
    -------
    clear : ``In(1)``
        A vector begins.
    codes : ``In(data.ArrayLayout(signed(8), lanes))``, take : ``In(1)``, last : ``In(1)``
        A beat, taken while ``ready``.
    ready : ``Out(1)``
    sum : ``Out(bits)``, done : ``Out(1)``
        ``done`` holds until ``clear``.
    """

    def __init__(self, lanes, bits):
        self.lanes, self.bits = lanes, bits
        super().__init__({
            "clear": In(1),
            "codes": In(data.ArrayLayout(signed(8), lanes)),
            "take": In(1),
            "last": In(1),
            "ready": Out(1),
            "sum": Out(bits),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        group = min(_AT_ONCE, self.lanes)
        groups = self.lanes // group
        waiting, last = Signal(8 * self.lanes), Signal()
        left = Signal(range(groups + 1))
        m.d.comb += self.ready.eq(left <= 1)
        # whether there is a beat at all, comes from far: it decides about ``left`` alone
        m.d.sync += waiting.eq(Mux(self.ready, self.codes, waiting >> 8 * group))
        with m.If(left.any()):
            m.d.sync += left.eq(left - 1)
        with m.If(self.take):
            m.d.sync += [left.eq(groups), last.eq(self.last)]

        squares = []
        for k in range(group):
            code, size = Signal(signed(8)), Signal(8)
            low, high, square = Signal(12), Signal(12), Signal(16)
            m.d.comb += code.eq(waiting.word_select(k, 8))
            m.d.sync += [
                size.eq(Mux(left.any(), abs(code), 0)),
                low.eq(sum(Mux(size[i], size << i, 0) for i in range(4))),
                high.eq(sum(Mux(size[i + 4], size << i, 0) for i in range(4))),
                square.eq(low + (high << 4)),
            ]
            squares.append(square)
        total = Signal(16 + group.bit_length())
        m.d.sync += [total.eq(sum(squares)), self.sum.eq(self.sum + total)]

        end = Signal(4)  # the last codes, on their way
        m.d.sync += end.eq(Cat((left == 1) & last, end[:-1]))
        with m.If(end[-1]):
            m.d.sync += self.done.eq(1)
        with m.If(self.clear):
            m.d.sync += [self.sum.eq(0), self.done.eq(0), left.eq(0), end.eq(0)]
        return m
