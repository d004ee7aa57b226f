# SPDX-License-Identifier: Apache-2.0
"""Mixer: the random words of :mod:`analog_models.prng`, one a cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .near import later

__all__ = ["BELL_LATENCY", "WORD_LATENCY", "Mixer"]

#: Cycles from a word to the mixed word, and to its bell.
WORD_LATENCY = 7
BELL_LATENCY = 9

#: Of ``lowbias32``: shift and multiplier of each round, and the last shift.
_ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B))
_LAST = 16


def _product(m, a, constant):
    """Return ``a * constant`` modulo 2**32, two cycles later, from products of 16 bits."""
    low, high = constant & 0xFFFF, constant >> 16
    ll, lh, hl = Signal(32), Signal(16), Signal(16)
    out = Signal(32)
    m.d.sync += [
        ll.eq(a[:16] * low),
        lh.eq(a[:16] * high),
        hl.eq(a[16:] * low),
        out.eq(Cat(ll[:16], (ll[16:] + lh + hl)[:16])),
    ]
    return out


class Mixer(wiring.Component):
    """Mix words, and sum the bytes of the mixed word to a bell.

    Golden: :func:`analog_models.prng.mix32` and :func:`analog_models.prng.bell`.

    Parameters
    ----------
    tag : ShapeLike
        What goes along with a word.

    Members
    -------
    i_valid : ``In(1)``, i_word : ``In(32)``, i_tag : ``In(tag)``
    word_valid, word, word_tag : ``Out``
        After :data:`WORD_LATENCY` cycles: ``mix32(i_word)``.
    bell_valid, bell, bell_tag : ``Out``
        After :data:`BELL_LATENCY` cycles: its bell, signed, 11 bits.
    """

    def __init__(self, tag):
        self.tag = tag
        super().__init__({
            "i_valid": In(1),
            "i_word": In(32),
            "i_tag": In(tag),
            "word_valid": Out(1),
            "word": Out(32),
            "word_tag": Out(tag),
            "bell_valid": Out(1),
            "bell": Out(signed(11)),
            "bell_tag": Out(tag),
        })

    def elaborate(self, platform):
        m = Module()
        word = self.i_word
        for shift, constant in _ROUNDS:
            mixed = Signal(32)
            m.d.sync += mixed.eq(word ^ (word >> shift))
            word = _product(m, mixed, constant)
        m.d.sync += self.word.eq(word ^ (word >> _LAST))

        low, high = Signal(9), Signal(9)
        m.d.sync += [
            low.eq(self.word[0:8] + self.word[8:16]),
            high.eq(self.word[16:24] + self.word[24:32]),
            self.bell.eq(low + high - 510),
        ]

        valid = later(m, self.i_valid, BELL_LATENCY)
        tag = later(m, self.i_tag, BELL_LATENCY)
        m.d.comb += [
            self.word_valid.eq(valid[WORD_LATENCY]),
            self.word_tag.eq(tag[WORD_LATENCY]),
            self.bell_valid.eq(valid[BELL_LATENCY]),
            self.bell_tag.eq(tag[BELL_LATENCY]),
        ]
        return m
