# SPDX-License-Identifier: Apache-2.0
"""Supervisor: ends a run that goes wrong, and says why."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.errors import ErrorCode
from golden.program import Op

from .reduce import or_tree
from .watchdog import Watchdog

__all__ = ["Supervisor"]

#: Errors between the examples, when the tiles owe nothing.
_BETWEEN = (ErrorCode.BAD_PACKET, ErrorCode.EXAMPLES, ErrorCode.RESULTS)


class Supervisor(wiring.Component):
    """Watch a run; the first error stays until it is cleared.

    Parameters
    ----------
    tiles : int
    moves : int
        Handshakes that are watched.

    Members
    -------
    start, done : ``In(1)``
        A run starts, has come to its end.
    running : ``In(1)``, op : ``In(4)``, pc : ``In(8)``
        What the sequencer executes.
    moves : ``In(moves)``
        Bits that show progress; a run without any for ``limit`` cycles has failed.
    limit : ``In(32)``
        See :class:`rtl.watchdog.Watchdog`.
    waiting : ``In(tiles)``
        Tiles whose answer is missing: to blame if nothing moves.
    holding : ``In(1)``
        The host has not taken the last result, which holds up the next.
    bad_packet, bad_instruction : ``In(1)``
        A bad packet waits for its turn: the example before it is still trained on.
    clear, reset : ``In(1)``
        Forget the error, and that a run has ended; end the run.
    ended : ``Out(1)``
        A run has come to its end, since ``clear`` and ``start``.
    error : ``Out(1)``, code : ``Out(ErrorCode)``, tile : ``Out(6)``, at : ``Out(8)``
        What went wrong, the first tile that was waiting, and the instruction.
    abandon : ``Out(1)``
        An error or ``reset`` ends a run: 1 in the cycle after, in which no other error counts.
    forget : ``Out(1)``
        As ``abandon``, but not between examples, where no tile owes anything.
    """

    def __init__(self, tiles, moves):
        self.tiles = tiles
        super().__init__({
            "start": In(1),
            "done": In(1),
            "running": In(1),
            "op": In(4),
            "pc": In(8),
            "moves": In(moves),
            "limit": In(32),
            "waiting": In(tiles),
            "holding": In(1),
            "bad_packet": In(1),
            "bad_instruction": In(1),
            "clear": In(1),
            "reset": In(1),
            "ended": Out(1),
            "error": Out(1),
            "code": Out(ErrorCode),
            "tile": Out(6),
            "at": Out(8),
            "abandon": Out(1),
            "forget": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        watchdog = Watchdog()
        m.submodules.watchdog = ResetInserter(self.abandon)(watchdog)
        m.d.comb += [
            watchdog.busy.eq(self.running),
            watchdog.progress.eq(self.moves.any()),
            watchdog.limit.eq(self.limit),
        ]
        cause, between, early = Signal(ErrorCode), Signal(), Signal()
        with m.If(early):
            m.d.comb += cause.eq(ErrorCode.BAD_PACKET)
        with m.Elif(self.bad_instruction):
            m.d.comb += cause.eq(ErrorCode.BAD_INSTRUCTION)
        with m.Elif(watchdog.expired):
            with m.If(self.waiting.any()):
                m.d.comb += cause.eq(ErrorCode.TILE)
            with m.Elif(self.holding):
                m.d.comb += cause.eq(ErrorCode.RESULTS)
            with m.Elif(self.op == Op.WRITE):
                m.d.comb += cause.eq(ErrorCode.GOALS)
            with m.Elif(self.op == Op.LOAD):
                m.d.comb += cause.eq(ErrorCode.EXAMPLES)
            with m.Else():
                m.d.comb += cause.eq(ErrorCode.STALLED)
        failed = Signal()
        m.d.comb += [
            early.eq(self.bad_packet & (~self.running | (self.op == Op.LOAD))),
            failed.eq((early | self.bad_instruction | watchdog.expired) & ~self.abandon),
            self.error.eq(self.code != ErrorCode.NONE),
            between.eq(or_tree([cause == e for e in _BETWEEN])),
        ]
        # Of a register: a reset of everything hangs on it.
        m.d.sync += [
            self.abandon.eq(self.reset | failed),
            self.forget.eq(self.running & (self.reset | (failed & ~between))),
        ]
        with m.If(self.clear | self.start):
            m.d.sync += self.ended.eq(0)
        with m.If(self.done):
            m.d.sync += self.ended.eq(1)
        with m.If(self.clear):
            m.d.sync += self.code.eq(ErrorCode.NONE)
        with m.If((~self.error | self.clear) & failed):
            m.d.sync += [self.code.eq(cause), self.at.eq(self.pc), self.tile.eq(0)]
            for t in reversed(range(self.tiles)):
                with m.If(self.waiting[t]):
                    m.d.sync += self.tile.eq(t)
        return m
