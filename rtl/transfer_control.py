# SPDX-License-Identifier: Apache-2.0
"""Transfer control: the transfer units of all tiles, and what they count."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .reduce import or_tree

__all__ = ["TransferControl", "TransferCounts"]


class TransferCounts(data.Struct):
    """What one transfer unit counts."""

    set_shots: 32
    tune_pulses: 32
    error_sq: 48
    failed: 32


class TransferControl(wiring.Component):
    """Start the units, wait for them, add up their counts.

    A transfer runs all units at once and is busy as long as the slowest one, 2 cycles, and one
    for every tile. With ``from_host`` they run one after another, as the goals come: busy as long
    as all of them together, and 3 cycles for every tile, used or not.

    Parameters
    ----------
    tiles : int

    Members
    -------
    start, from_host : ``In(1)``
    busy : ``Out(1)``
    used : ``In(tiles)``
        Tiles that have a layer.
    unit_start : ``Out(tiles)``, unit_busy : ``In(tiles)``
    counts : ``In(data.ArrayLayout(TransferCounts, tiles))``
        Of each unit, since its start.
    add : ``Out(TransferCounts)``
        To be added to the statistics in this cycle.
    turn : ``Out(tiles)``
        With ``from_host``: the unit that gets the goals.
    finish : ``Out(1)``
        1 for the last cycle.
    """

    def __init__(self, tiles):
        self.tiles = tiles
        super().__init__({
            "start": In(1),
            "from_host": In(1),
            "busy": Out(1),
            "used": In(tiles),
            "unit_start": Out(tiles),
            "unit_busy": In(tiles),
            "counts": In(data.ArrayLayout(TransferCounts, tiles)),
            "add": Out(TransferCounts),
            "turn": Out(tiles),
            "finish": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        here = Signal(self.tiles)  # one tile, as a bit that wanders
        last = here[-1]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))

            with m.State("IDLE"):
                m.d.sync += here.eq(1)
                with m.If(self.start):
                    m.next = "START"

            with m.State("START"):
                which = Mux(self.from_host, here, ~0)
                m.d.comb += self.unit_start.eq(self.used & which)
                m.next = "WAIT"

            with m.State("WAIT"):
                m.d.comb += self.turn.eq(Mux(self.from_host, here, 0))
                with m.If(self.unit_busy == 0):
                    with m.If(self.from_host & ~last):
                        m.d.sync += here.eq(here << 1)
                        m.next = "START"
                    with m.Else():
                        m.d.sync += here.eq(1)
                        m.next = "COUNT"

            with m.State("COUNT"):
                chosen = [
                    Mux(here[t] & self.used[t], self.counts[t].as_value(), 0)
                    for t in range(self.tiles)
                ]
                m.d.comb += self.add.as_value().eq(or_tree(chosen))
                m.d.sync += here.eq(here << 1)
                with m.If(last):
                    m.d.comb += self.finish.eq(1)
                    m.next = "IDLE"
        return m
