# SPDX-License-Identifier: Apache-2.0
"""Example loader: takes examples from the host ahead of their use."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .scatter import Scatter

__all__ = ["Loader", "host_beat"]


def host_beat(size):
    """Layout of one beat of a packet: ``size`` bytes, and whether it is the last."""
    return data.StructLayout({"data": data.ArrayLayout(8, size), "last": 1})


class Loader(wiring.Component):
    """Write examples into a memory of two banks, one in use and one that fills.

    A packet is one beat whose first two bytes are the label, little endian, then the pixels. A
    pixel is halved to a code (golden: :func:`golden.machine.input_codes`). A packet that ends too
    early or too late is refused: ``bad`` rises, and nothing more is taken.

    Parameters
    ----------
    size : int, a power of two, 2..lanes
        Bytes in a beat from the host.
    lanes : int
        Codes in a beat of memory.
    inputs : int
        Beats of a bank.

    Members
    -------
    i : ``In(stream.Signature(host_beat(size)))``
    pixels : ``In(13)``
        Pixels of an example.
    block, length : ``Out(10)``, ``In(10)``
        The row block of the first layer that is filled next, and its rows; the bias row
        is the last one of the last block and gets nothing.
    ready : ``Out(1)``
        An example is complete, and written.
    take : ``In(1)``
        Use it, when it is ready: it becomes the current one, whose bank no longer fills.
    bank : ``Out(1)``, label : ``Out(13)``
        Of the current example.
    bad : ``Out(1)``
    addr, data, en : ``Out``
        Write port of the memory; bank 1 starts at beat ``inputs``. What came before ``bad`` is
        still written.
    """

    def __init__(self, size, lanes, inputs):
        self.size, self.lanes, self.inputs = size, lanes, inputs
        super().__init__({
            "i": In(stream.Signature(host_beat(size))),
            "pixels": In(13),
            "block": Out(10),
            "length": In(10),
            "ready": Out(1),
            "take": In(1),
            "bank": Out(1),
            "label": Out(13),
            "bad": Out(1),
            "addr": Out(range(2 * inputs)),
            "data": Out(data.ArrayLayout(signed(8), lanes)),
            "en": Out(lanes),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.scatter = scatter = Scatter(
            signed(8), self.lanes, depth=2 * self.inputs, source_lanes=self.size
        )
        left, label = Signal(13), Signal(13)
        last = Signal()
        m.d.comb += [
            scatter.base.eq(Mux(self.bank, 0, self.inputs)),  # the bank that is not in use
            scatter.length.eq(self.length),
            self.block.eq(scatter.block),
            self.addr.eq(scatter.addr),
            self.data.eq(scatter.data),
            self.en.eq(scatter.en),
            last.eq(left <= self.size),
            scatter.i.p.count.eq(Mux(last, left, self.size)),
        ]
        for k in range(self.size):
            m.d.comb += scatter.i.p.data[k].eq(self.i.p.data[k] >> 1)

        with m.If(self.take):
            m.d.sync += [self.bank.eq(~self.bank), self.label.eq(label), self.ready.eq(0)]

        with m.FSM():
            with m.State("LABEL"):
                m.d.comb += self.i.ready.eq(~self.ready)
                m.d.comb += scatter.start.eq(self.i.valid & self.i.ready)
                with m.If(scatter.start):
                    m.d.sync += [label.eq(self.i.p.data.as_value()[:16]), left.eq(self.pixels)]
                    with m.If(self.i.p.last):
                        m.next = "BAD"
                    with m.Else():
                        m.next = "PIXELS"

            with m.State("PIXELS"):
                m.d.comb += scatter.i.valid.eq(self.i.valid)
                m.d.comb += self.i.ready.eq(scatter.i.ready)
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += left.eq(left - self.size)
                    with m.If(self.i.p.last != last):
                        m.next = "BAD"
                    with m.Elif(last):
                        m.next = "WRITE"

            with m.State("WRITE"):
                with m.If(~scatter.busy):
                    m.d.sync += self.ready.eq(1)
                    m.next = "LABEL"

            with m.State("BAD"):
                m.d.comb += self.bad.eq(1)
        return m
