# SPDX-License-Identifier: Apache-2.0
"""Watchdog: no wait lasts for ever."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Count cycles without progress.

    ``expired`` rises in the cycle after ``limit`` cycles in a row that were busy and without
    ``progress``, and falls in the cycle after one that is idle or has progress.

    Members
    -------
    busy, progress : ``In(1)``
    limit : ``In(32)``
        0 turns the watchdog off. Taken over in cycles that are idle or have progress; it is off
        from a reset to the first of those.
    expired : ``Out(1)``
    left : ``Out(32)``
        Cycles until it expires; 0 also if it is off. For benches, which cannot wait for as long
        as the high bits last.
    """

    busy: In(1)
    progress: In(1)
    limit: In(32)
    expired: Out(1)
    left: Out(32)

    def elaborate(self, platform):
        m = Module()
        more = self.left[1:].any()
        with m.If(~self.busy | self.progress):
            m.d.sync += [self.left.eq(self.limit), self.expired.eq(0)]
        with m.Elif(more | self.left[0]):
            m.d.sync += [self.left.eq(self.left - 1), self.expired.eq(~more)]
        return m
