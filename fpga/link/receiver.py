# SPDX-License-Identifier: Apache-2.0
"""Frames from bytes: nothing of a frame is used before its sum was found right."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from analog_models.config import check

from .crc import ByteCrc
from .frames import MARK

__all__ = ["FrameHead", "FrameReceiver"]


class FrameHead(data.Struct):
    """The fields of a header that the CRC covers."""

    kind: 8
    sequence: 8
    words: 16


class FrameReceiver(wiring.Component):
    """Check frames (:mod:`fpga.link.frames`) and put their payload into a memory.

    Bytes that come while a frame, or the news of damage, waits to be taken are lost.

    Parameters
    ----------
    words : int
        Longest payload.
    gap : int, cycles
        Silence that ends a frame: more than the sender pauses within one. Rounded up to a power
        of two.

    Members
    -------
    data : ``In(8)``, valid : ``In(1)``
        A byte; at most every second cycle has one.
    w_addr, w_data, w_en : ``Out``
        Write port of the memory.
    head : ``Out(FrameHead)``
        Of the frame that waits.
    frame : ``Out(1)``
        A frame is complete and right.
    damaged : ``Out(1)``
        A frame was not, and the line has been quiet for ``gap`` since.
    take : ``In(1)``
        Hunt for the next frame.
    """

    def __init__(self, words: int, gap: int):
        check(words > 0, "words", "positive", words)
        check(gap > 0, "gap", "positive (cycles)", gap)
        self.words, self.gap = words, gap
        super().__init__({
            "data": In(8),
            "valid": In(1),
            "w_addr": Out(range(words)),
            "w_data": Out(32),
            "w_en": Out(1),
            "head": Out(FrameHead),
            "frame": Out(1),
            "damaged": Out(1),
            "take": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.sum = crc = ByteCrc()
        lane, last = Signal(2), Signal()  # of a group of four bytes
        at, word = Signal(range(self.words + 1)), Signal(24)
        silence = Signal((self.gap - 1).bit_length() + 1)
        quiet = silence[-1]
        m.d.comb += [
            crc.data.eq(self.data),
            last.eq(lane == 3),
            self.w_addr.eq(at),
            self.w_data.eq(Cat(word, self.data)),
        ]
        m.d.sync += silence.eq(silence + 1)
        with m.If(self.valid):
            m.d.sync += [silence.eq(0), lane.eq(lane + 1), word.eq(Cat(word[8:], self.data))]

        def quiet_ends():
            with m.If(quiet & ~self.valid):
                m.next = "REPORT"

        with m.FSM() as fsm:
            hunting = fsm.ongoing("HUNT")
            m.d.comb += [crc.start.eq(hunting & ~crc.busy), crc.valid.eq(self.valid & ~hunting)]
            with m.State("HUNT"):
                with m.If(self.valid & (self.data == MARK)):
                    m.d.sync += [lane.eq(0), at.eq(0)]
                    m.next = "HEAD"

            with m.State("HEAD"):
                quiet_ends()
                with m.If(self.valid):
                    m.d.sync += self.head.eq(Cat(self.head.as_value()[8:], self.data))
                    with m.If(last):
                        m.next = "CHECK"

            with m.State("CHECK"):  # of use to the host alone; here the gap ends what never comes
                quiet_ends()
                with m.If(self.valid & lane[0]):
                    m.d.sync += lane.eq(0)
                    m.next = "PAYLOAD"
                    with m.If(self.head.words == 0):
                        m.next = "SUM"
                    with m.If(self.head.words > self.words):
                        m.next = "DAMAGED"

            with m.State("PAYLOAD"):
                m.d.comb += self.w_en.eq(self.valid & last)
                quiet_ends()
                with m.If(self.w_en):
                    m.d.sync += at.eq(at + 1)
                    with m.If(at + 1 == self.head.words):
                        m.next = "SUM"

            with m.State("SUM"):
                quiet_ends()
                with m.If(self.valid & last):
                    m.next = "SETTLE"

            with m.State("SETTLE"):  # the CRC
                m.next = "SUMMED"

            with m.State("SUMMED"):
                m.next = "DAMAGED"
                with m.If(crc.right):
                    m.next = "FRAME"

            with m.State("FRAME"):
                m.d.comb += self.frame.eq(1)
                with m.If(self.take):
                    m.next = "HUNT"

            with m.State("DAMAGED"):
                quiet_ends()

            with m.State("REPORT"):
                m.d.comb += self.damaged.eq(1)
                with m.If(self.take):
                    m.next = "HUNT"
        return m
