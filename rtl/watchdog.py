# SPDX-License-Identifier: Apache-2.0
"""Watchdog: no wait lasts for ever."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Count cycles without progress.

    ``expired`` rises in the cycle after ``limit`` cycles in a row that were busy and without
    ``progress``.

    Members
    -------
    busy, progress : ``In(1)``
    limit : ``In(32)``
        0 turns the watchdog off.
    expired : ``Out(1)``
    """

    busy: In(1)
    progress: In(1)
    limit: In(32)
    expired: Out(1)

    def elaborate(self, platform):
        m = Module()
        count = Signal(32)
        m.d.comb += self.expired.eq((self.limit != 0) & (count >= self.limit))
        with m.If(~self.busy | self.progress):
            m.d.sync += count.eq(0)
        with m.Elif(~self.expired):
            m.d.sync += count.eq(count + 1)
        return m
