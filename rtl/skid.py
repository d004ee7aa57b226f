# SPDX-License-Identifier: Apache-2.0
"""Skid buffer: ends a chain of ready signals."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Skid"]


class Skid(wiring.Component):
    """Pass a stream on at once; keep the payload that comes while nobody takes it.

    Latency 0, one payload a cycle. ``i.ready`` is a register, so that it does not wait for
    whatever ``o.ready`` depends on.

    Parameters
    ----------
    shape : Shape

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    full : ``Out(1)``
        A payload is kept.
    """

    def __init__(self, shape):
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "full": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        kept = Signal.like(Value.cast(self.i.payload), reset_less=True)
        ready = Signal(init=1)
        m.d.comb += [
            self.i.ready.eq(ready),
            self.full.eq(~ready),
            self.o.valid.eq(self.full | self.i.valid),
            Value.cast(self.o.payload).eq(Mux(self.full, kept, self.i.payload)),
        ]
        with m.If(ready):
            m.d.sync += [kept.eq(self.i.payload), ready.eq(~self.i.valid | self.o.ready)]
        with m.Elif(self.o.ready):
            m.d.sync += ready.eq(1)
        return m
