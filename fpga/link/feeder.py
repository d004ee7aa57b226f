# SPDX-License-Identifier: Apache-2.0
"""Input buffer: coded bytes from the link, beats of examples or goals to the controller."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from analog_models.config import check
from rtl.axi import AxiStream

from .fifo import LinkFifo, check_depth
from .zero_decoder import ZeroDecoder

__all__ = ["Feeder"]


class Feeder(wiring.Component):
    """Keep coded bytes (:mod:`fpga.link.zero_code`), decode them, and offer them as beats.

    Decodes a byte a cycle, so a beat takes ``host_bytes`` cycles and one more.

    Parameters
    ----------
    host_bytes : int, 2..8
        Bytes of a beat of ``examples``; packets must be made of whole beats.
    capacity : int, bytes, a power of two up to 32768
        Coded bytes that it keeps.

    Members
    -------
    data : ``In(8)``, valid : ``In(1)``
        A coded byte. It is lost if there is no room for it.
    goals_next : ``In(1)``
        The bytes are goals, low byte first; changes only while ``idle``.
    level : ``Out(range(capacity + 1))``
        Coded bytes that are kept.
    idle : ``Out(1)``
        Nothing is kept, offered, or begun, a cycle ago.
    flush : ``In(1)``
        Forget everything. A beat of an example that is offered stays, as AXI demands, and a packet
        that has begun gets one more beat, of any content, that ends it. A goal is withdrawn.
    examples : ``Out(AxiStream(host_bytes))``
    goals : ``Out(AxiStream(2))``
        TLAST means nothing.
    """

    def __init__(self, host_bytes: int, capacity: int):
        check(host_bytes in range(2, 9), "host_bytes", "within 2..8", host_bytes)
        check_depth("capacity", capacity)
        self.host_bytes, self.capacity = host_bytes, capacity
        super().__init__({
            "data": In(8),
            "valid": In(1),
            "goals_next": In(1),
            "level": Out(range(capacity + 1)),
            "idle": Out(1),
            "flush": In(1),
            "examples": Out(AxiStream(host_bytes)),
            "goals": Out(AxiStream(2)),
        })

    def elaborate(self, platform):
        m = Module()
        fifo = LinkFifo(8, self.capacity)
        m.submodules.fifo = ResetInserter(self.flush)(fifo)
        m.d.comb += [fifo.data.eq(self.data), fifo.en.eq(self.valid), self.level.eq(fifo.level)]

        decoder = ZeroDecoder()
        m.submodules.decoder = ResetInserter(self.flush)(decoder)
        wiring.connect(m, fifo.o, decoder.i)

        beat = Signal(8 * self.host_bytes)
        full, ends = Signal(), Signal()  # a beat is offered, the last one of a packet
        filled, enough = Signal(range(self.host_bytes)), Signal()
        inside, ending = Signal(), Signal()  # a packet is partly taken; a flush must end it
        taken = Signal()
        m.d.comb += [
            self.examples.tdata.eq(beat),
            self.examples.tlast.eq(ends),
            self.examples.tvalid.eq(full & ~self.goals_next),
            self.goals.tdata.eq(beat[-16:]),
            self.goals.tlast.eq(1),
            self.goals.tvalid.eq(full & self.goals_next),
            taken.eq(full & Mux(self.goals_next, self.goals.tready, self.examples.tready)),
            decoder.o.ready.eq(~full & ~ending),
            enough.eq(Mux(self.goals_next, filled[0], filled == self.host_bytes - 1)),
        ]
        with m.If(decoder.o.valid & decoder.o.ready):
            m.d.sync += [
                beat.eq(Cat(beat[8:], decoder.o.p.byte)),
                ends.eq(decoder.o.p.last),
                filled.eq(Mux(enough, 0, filled + 1)),
                full.eq(enough),
            ]
        with m.If(taken):
            m.d.sync += [full.eq(0), inside.eq(~ends & ~self.goals_next)]
        with m.If(ending & ~full):
            m.d.sync += [ending.eq(0), full.eq(inside), ends.eq(1)]
        with m.If(self.flush):
            m.d.sync += [
                filled.eq(0),
                ending.eq(1),
                full.eq(full & ~taken & ~self.goals_next),
            ]
        m.d.sync += self.idle.eq(
            (fifo.level == 0) & decoder.idle & (filled == 0) & ~full & ~inside & ~ending
        )
        return m
