# SPDX-License-Identifier: Apache-2.0
"""Bells: the noise of the next conversion, drawn ahead of it."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from analog_models.prng import GOLDEN

from .mixer import BELL_LATENCY
from .tiles_layout import TilesLayout

__all__ = ["Bells", "bell_ports", "bell_tag"]


def bell_tag(layout: TilesLayout):
    """Layout of what goes through the mixer along with a word."""
    return data.StructLayout({
        "head": 1,  # the word is what others are counted from
        "tile": range(max(2, len(layout.tiles))),
        "beat": range(layout.first_bell[-1]),
        "lane": range(layout.lanes),
    })


def bell_ports(layout: TilesLayout):
    """Members by which every tile has its bells drawn, arrays; see :class:`Bells`."""
    tiles = len(layout.tiles)
    return {
        "conversions": In(32).array(tiles),
        "bell_keys": In(32).array(tiles),
        "restart": In(1).array(tiles),
        "drawn": Out(range(layout.lines + 1)).array(tiles),
    }


class Bells(wiring.Component):
    """Draw one bell for every result of a tile's next conversion, whenever the mixer is free.

    Golden: ``words(key, conversions, ...)`` in
    :meth:`analog_models.fixed_tile.FixedTile._convert`. The number of a conversion is known
    before it begins, so that its noise costs no time.

    Parameters
    ----------
    layout : TilesLayout
    tile : int
        Whose.

    Members
    -------
    restart : ``In(1)``
        ``conversions`` has changed: draw anew.
    key : ``In(32)``, conversions : ``In(32)``
    drawn : ``Out``
        Bells that are written, from the first one on.
    pause : ``In(1)``
        The mixer is not free.
    wants : ``Out(1)``, word : ``Out(32)``, tag : ``Out(bell_tag(layout))``
        Request to the mixer; it is taken at once unless ``pause``.
    head_valid : ``In(1)``, head : ``In(32)``
        The mixed word of a request that was a head.
    bell_valid : ``In(1)``
        The bell of a request that was none comes out of the mixer.
    write : ``Out(1)``
        It is one of this conversion, to be kept at the place that its tag says.
    """

    def __init__(self, layout: TilesLayout, tile: int):
        self.layout, self.tile = layout, tile
        super().__init__({
            "restart": In(1),
            "key": In(32),
            "conversions": In(32),
            "drawn": Out(range(layout.lines + 1)),
            "pause": In(1),
            "wants": Out(1),
            "word": Out(32),
            "tag": Out(bell_tag(layout)),
            "head_valid": In(1),
            "head": In(32),
            "bell_valid": In(1),
            "write": Out(1),
        })

    def elaborate(self, platform):
        return ResetInserter(self.restart)(self._machine())

    def _machine(self):
        m = Module()
        layout, tile = self.layout, self.layout.tiles[self.tile]
        most, first = max(tile.rows, tile.cols), layout.first_bell[self.tile]
        word, left, more = Signal(32), Signal(range(most + 1)), Signal()
        # a register before the mixer
        settle = Signal(range(BELL_LATENCY + 2), init=BELL_LATENCY + 1)
        beat = Signal(range(layout.first_bell[-1]), init=first)
        lane = Signal(range(layout.lanes))
        taken = Signal()
        m.d.comb += [self.tag.tile.eq(self.tile), self.tag.beat.eq(beat), self.tag.lane.eq(lane)]
        m.d.comb += [self.word.eq(word), taken.eq(self.wants & ~self.pause)]
        with m.FSM():
            with m.State("SETTLE"):  # until what was drawn before is out of the mixer
                m.d.sync += [settle.eq(settle - 1), word.eq(self.key + self.conversions)]
                with m.If(settle == 0):
                    m.next = "HEAD"
            with m.State("HEAD"):
                m.d.comb += [self.wants.eq(1), self.tag.head.eq(1)]
                with m.If(taken):
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(self.head_valid):
                    m.d.sync += [word.eq(self.head), left.eq(most), more.eq(1)]
                    m.next = "WORDS"
            with m.State("WORDS"):
                m.d.comb += [self.wants.eq(more), self.write.eq(self.bell_valid)]
                with m.If(taken):
                    m.d.sync += [
                        word.eq(word + GOLDEN),
                        left.eq(left - 1),
                        more.eq(left != 1),
                        Cat(lane, beat).eq(Cat(lane, beat) + 1),
                    ]
        with m.If(self.write):
            m.d.sync += self.drawn.eq(self.drawn + 1)
        return m
