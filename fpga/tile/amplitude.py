# SPDX-License-Identifier: Apache-2.0
"""Amplitude: how strong the noise of a conversion is."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .near import later

__all__ = ["Amplitude"]


def _times(m, signal, constant):
    """Return ``signal * constant`` and its latency, in adders: multipliers are scarce."""
    terms = [signal << i for i in range(constant.bit_length()) if constant >> i & 1] or [C(0)]
    latency = 0
    while len(terms) > 1 or not latency:
        sums = []
        for pair in zip(terms[::2], [*terms[1::2], C(0)], strict=False):
            total = Signal(Shape.cast((pair[0] + pair[1]).shape()))
            m.d.sync += total.eq(pair[0] + pair[1])
            sums.append(total)
        terms, latency = sums, latency + 1
    return terms[0], latency


class Amplitude(wiring.Component):
    """Compute ``isqrt((power + read_power * square) >> shift)``, two bits of the root a cycle.

    Golden: :meth:`analog_models.fixed_tile.FixedTile._convert`. Latency ``3 + bits / 4`` cycles,
    and one for each doubling of the ones in ``read_power`` beyond two.

    Parameters
    ----------
    powers : tuple of int
        Noise power of each kind of conversion.
    read_power : int
    square_bits : int
    bits : int, a multiple of 4
        Of the sum under the root.

    Members
    -------
    start : ``In(1)``
        Begin; the inputs below are taken in this cycle.
    kind : ``In``, square : ``In(square_bits)``, shift : ``In(3)``
    done : ``Out(1)``, amp : ``Out(bits / 2)``
        Hold from the end on until the next ``start``.
    """

    def __init__(self, powers, read_power, square_bits, bits):
        self.powers, self.read_power, self.bits = powers, read_power, bits
        self.square_bits = square_bits
        super().__init__({
            "start": In(1),
            "kind": In(range(max(2, len(powers)))),
            "square": In(square_bits),
            "shift": In(3),
            "done": Out(1),
            "amp": Out(bits // 2),
        })

    def elaborate(self, platform):
        m = Module()
        half = self.bits // 2
        scaled, latency = _times(m, self.square, self.read_power)
        powers = Array(C(p, self.bits) for p in self.powers)
        power = later(m, powers[self.kind], latency)[-1]
        shift = later(m, self.shift, latency + 1)[-1]
        total, begin = Signal(self.bits), Signal(latency + 1)
        m.d.sync += [total.eq(scaled + power), begin.eq(Cat(self.start, begin[:-1]))]

        # The schoolbook root, a bit a step: bring down two bits, try to subtract 4 * root + 1.
        left, rest = Signal(range(half + 2)), Signal(half + 2)
        bits = Signal(self.bits)
        value, remainder, root = bits, rest, self.amp
        for _ in range(2):
            brought = Signal(half + 4)
            trial = Signal(signed(half + 5))
            fits = Signal()
            m.d.comb += [
                brought.eq(Cat(value[-2:], remainder)),
                trial.eq(brought - Cat(C(1, 2), root)),
                fits.eq(trial >= 0),
            ]
            remainder = Mux(fits, trial, brought)[: half + 2]
            root = Cat(fits, root)[:half]
            value = (value << 2)[: self.bits]
        with m.If(left.any()):
            m.d.sync += [
                bits.eq(value),
                rest.eq(remainder),
                self.amp.eq(root),
                left.eq(left - 1),
                self.done.eq(left == 1),
            ]
        with m.If(begin[-1]):
            m.d.sync += [
                bits.eq(total >> shift),
                rest.eq(0),
                self.amp.eq(0),
                left.eq(half // 2),
            ]
        with m.If(self.start):
            m.d.sync += [self.done.eq(0), left.eq(0)]
        return m
