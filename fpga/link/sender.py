# SPDX-License-Identifier: Apache-2.0
"""Bytes of a frame."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .crc import ByteCrc
from .frames import MARK
from .receiver import FrameHead

__all__ = ["FrameSender"]


class FrameSender(wiring.Component):
    """Frame words (:mod:`fpga.link.frames`).

    Members
    -------
    start : ``In(1)``, head : ``In(FrameHead)``
        Send a frame, if not ``busy``; ``head`` holds for the cycle after ``start``.
    i : ``In(stream.Signature(32))``, exhausted : ``In(1)``
        The payload, and that it is over; for ``head.words`` words.
    o : ``Out(stream.Signature(8))``
        Payload and valid do not depend on ``ready`` of the same cycle.
    busy : ``Out(1)``
        From the cycle after ``start`` until the last byte was taken.
    """

    start: In(1)
    head: In(FrameHead)
    i: In(stream.Signature(32))
    exhausted: In(1)
    o: Out(stream.Signature(8))
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.sum = crc = ByteCrc()
        word, left = Signal(32), Signal(2)  # bytes that follow the one offered
        moves = Signal()
        check, over = Signal(), Signal()  # the header's check is sent; the sum
        low = crc.value[:8]
        # What the CRC of a byte leaves of it depends on that byte xor its own low byte: with their
        # inverse it takes nothing in and moves on by a byte. So the check comes out of it, and the
        # sum does.
        m.d.comb += [
            self.o.payload.eq(word[:8]),
            crc.data.eq(word[:8]),
            moves.eq(self.o.valid & self.o.ready),
        ]
        with m.If(check | over):
            m.d.comb += [self.o.payload.eq(low ^ check.replicate(8)), crc.data.eq(~low)]

        with m.If(moves):
            m.d.sync += [word.eq(word[8:]), left.eq(left - 1)]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.sync += [check.eq(0), over.eq(0)]
                with m.If(self.start):
                    m.next = "MARK"

            with m.State("MARK"):
                m.d.comb += [self.o.payload.eq(MARK), self.o.valid.eq(1), crc.start.eq(1)]
                m.d.sync += [word.eq(self.head), left.eq(3)]
                with m.If(self.o.ready):
                    m.next = "HEAD"

            with m.State("HEAD"):
                m.d.comb += self.o.valid.eq(~crc.busy)
                with m.If(moves & (left == 0)):
                    m.d.sync += [check.eq(1), left.eq(1)]
                    m.next = "BYTES"

            with m.State("BYTES"):
                m.d.comb += self.o.valid.eq(~crc.busy)
                with m.If(moves & (left == 0)):
                    m.d.sync += check.eq(0)
                    m.next = "NEXT"
                    with m.If(over):
                        m.next = "IDLE"

            with m.State("NEXT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [word.eq(self.i.payload), left.eq(3)]
                with m.If(self.i.valid):
                    m.next = "BYTES"
                with m.Elif(self.exhausted):
                    m.d.sync += over.eq(1)
                    m.next = "BYTES"

            m.d.comb += crc.valid.eq(moves & ~fsm.ongoing("MARK"))
        return m
