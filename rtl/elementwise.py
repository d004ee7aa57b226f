# SPDX-License-Identifier: Apache-2.0
"""Elementwise unit: errors times derivatives."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .scatter import counted_beat

__all__ = ["Multiplier"]


class Multiplier(wiring.Component):
    """Multiply beats of errors with beats of derivatives that lie in memory.

    ``(e * slope + 64) >> 7``. Golden: :meth:`golden.machine.Machine.multiply`. Latency 2 cycles,
    one beat a cycle.

    Parameters
    ----------
    lanes : int
        Codes in a beat.
    depth : int
        Beats of the memory of derivatives.

    Members
    -------
    i : ``In(stream.Signature(counted_beat(signed(8), lanes)))``, -127..127
    o : ``Out(stream.Signature(counted_beat(signed(8), lanes)))``, -127..127
    start : ``In(1)``, ``base`` : ``In(range(depth))``
        Begin a vector: its derivatives lie from beat ``base`` on.
    busy : ``Out(1)``
        A beat is on its way to ``o``, or waits there.
    addr, en : ``Out``; slopes : ``In(data.ArrayLayout(8, lanes))``, 0..128
        Read port of the memory, latency 1; ``slopes`` hold while ``en`` is 0.
    """

    def __init__(self, lanes, *, depth):
        self.lanes, self.depth = lanes, depth
        super().__init__({
            "i": In(stream.Signature(counted_beat(signed(8), lanes))),
            "o": Out(stream.Signature(counted_beat(signed(8), lanes))),
            "start": In(1),
            "busy": Out(1),
            "base": In(range(depth)),
            "addr": Out(range(depth)),
            "en": Out(1),
            "slopes": In(data.ArrayLayout(8, lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        valid, beat = Signal(), Signal.like(self.i.payload)  # in step with the memory
        step = Signal()
        m.d.comb += [
            step.eq(~valid | ~self.o.valid | self.o.ready),
            self.i.ready.eq(step),
            self.en.eq(step),
            self.busy.eq(valid | self.o.valid),
        ]
        with m.If(step):
            m.d.sync += [valid.eq(self.i.valid), beat.eq(self.i.payload)]
        with m.If(self.start):
            m.d.sync += self.addr.eq(self.base)
        with m.Elif(step & self.i.valid):
            m.d.sync += self.addr.eq(self.addr + 1)

        # rounded after the register: a multiplier leaves no time for an adder
        products = [
            Signal(signed(17), name=f"product_{k}", reset_less=True) for k in range(self.lanes)
        ]
        m.d.comb += [self.o.p.data[k].eq((p + 64) >> 7) for k, p in enumerate(products)]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [self.o.valid.eq(valid), self.o.p.count.eq(beat.count)]
            for k in range(self.lanes):
                m.d.sync += products[k].eq(beat.data[k] * self.slopes[k])
        return m
