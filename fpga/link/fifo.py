# SPDX-License-Identifier: Apache-2.0
"""Queue in block RAM that needs no logic for a read and a write of one address at a time."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from analog_models.config import check

__all__ = ["LinkFifo", "check_depth"]


def check_depth(name: str, depth: int) -> None:
    """Refuse what is no depth of a memory of the link."""
    check(depth > 1 and depth.bit_count() == 1, name, "a power of two above 1", depth)
    check(depth <= 1 << 15, name, "at most 32768", depth)


class LinkFifo(wiring.Component):
    """Keep words in order; while one is written, none leaves the memory.

    Block RAMs do not say what a read of the address that is being written gives, so Yosys adds a
    bypass to ``amaranth.lib.fifo.SyncFIFOBuffered``, about two LUTs and two flip-flops a bit. It
    sees that this queue never does both.

    Parameters
    ----------
    width : int, bits
    depth : int, a power of two

    Members
    -------
    data : ``In(width)``, en : ``In(1)``
        Write a word; it is lost if the queue is full.
    full : ``Out(1)``
    o : ``Out(stream.Signature(width))``
        The memory's output, two cycles after the word was written at the earliest.
    level : ``Out(range(depth + 1))``
        Words that were written and not taken.
    """

    def __init__(self, width: int, depth: int):
        check_depth("depth", depth)
        self.width, self.depth = width, depth
        super().__init__({
            "data": In(width),
            "en": In(1),
            "full": Out(1),
            "o": Out(stream.Signature(width)),
            "level": Out(range(depth + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[])
        w_port, r_port = memory.write_port(), memory.read_port()
        produce, consume = Signal(range(self.depth)), Signal(range(self.depth))
        taken, stored = Signal(), Signal()
        m.d.comb += [
            self.full.eq(self.level[-1]),
            w_port.addr.eq(produce),
            w_port.data.eq(self.data),
            w_port.en.eq(self.en & ~self.full),
            self.o.payload.eq(r_port.data),
            taken.eq(self.o.valid & self.o.ready),
            stored.eq(self.level[1:].any() | (self.level[0] & ~self.o.valid)),
            r_port.addr.eq(consume),
            r_port.en.eq(stored & (~self.o.valid | taken) & ~w_port.en),
        ]
        with m.If(w_port.en):
            m.d.sync += produce.eq(produce + 1)
        with m.If(r_port.en):
            m.d.sync += [consume.eq(consume + 1), self.o.valid.eq(1)]
        with m.Elif(taken):
            m.d.sync += self.o.valid.eq(0)
        with m.If(w_port.en != taken):
            m.d.sync += self.level.eq(self.level + Mux(taken, -1, 1))
        return m
