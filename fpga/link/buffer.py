# SPDX-License-Identifier: Apache-2.0
"""Memory for the words of one frame."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .fifo import check_depth

__all__ = ["FrameBuffer"]


class FrameBuffer(wiring.Component):
    """Words that are written anywhere and then read in order, one a cycle.

    Parameters
    ----------
    words : int, a power of two
        Capacity.

    Members
    -------
    w_addr, w_data, w_en : ``In``
        Write port; while it is used nothing is read (see :class:`fpga.link.fifo.LinkFifo`).
    length : ``In(range(words + 1))``
        Words to read; must hold while they are read.
    start : ``In(1)``
        Read from the first word on; what was offered is forgotten. The first word is offered
        two cycles later.
    o : ``Out(stream.Signature(32))``
        The memory's output.
    exhausted : ``Out(1)``
        All ``length`` words were taken.
    """

    def __init__(self, words: int):
        check_depth("words", words)
        self.words = words
        super().__init__({
            "w_addr": In(range(words)),
            "w_data": In(32),
            "w_en": In(1),
            "length": In(range(words + 1)),
            "start": In(1),
            "o": Out(stream.Signature(32)),
            "exhausted": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self.words, init=[])
        w_port, r_port = memory.write_port(), memory.read_port()
        at = Signal(range(self.words + 1))
        pending = Signal()
        m.d.comb += [
            w_port.addr.eq(self.w_addr),
            w_port.data.eq(self.w_data),
            w_port.en.eq(self.w_en),
            r_port.addr.eq(at),
            self.o.payload.eq(r_port.data),
            pending.eq(at != self.length),
            r_port.en.eq(pending & (~self.o.valid | self.o.ready) & ~self.w_en),
            self.exhausted.eq(~pending & ~self.o.valid),
        ]
        with m.If(r_port.en):
            m.d.sync += [at.eq(at + 1), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.start):
            m.d.sync += [at.eq(0), self.o.valid.eq(0)]
        return m
