# SPDX-License-Identifier: Apache-2.0
"""Packets from Python into an AXI4-Stream, a whole packet at a time."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi import AxiStream

__all__ = ["PacketFeeder"]


class PacketFeeder(wiring.Component):
    """Stream packets that Python hands over; for simulation only.

    Python writes ``packet`` and ``beats`` and inverts ``turn``; the next packet may follow as soon
    as ``request`` has risen. One beat a cycle.

    Parameters
    ----------
    size : int
        Bytes in a beat.
    most : int
        Beats of the longest packet.

    Members
    -------
    packet : ``In(8 * size * most)``, beats : ``In(range(most + 1))``
        The first byte lowest.
    turn : ``In(1)``
    request : ``Out(1)``
        One cycle: the last beat was taken.
    o : ``Out(AxiStream(size))``
    """

    def __init__(self, size, most):
        self.size, self.most = size, most
        super().__init__({
            "packet": In(8 * size * most),
            "beats": In(range(most + 1)),
            "turn": In(1),
            "request": Out(1),
            "o": Out(AxiStream(size)),
        })

    def elaborate(self, platform):
        m = Module()
        seen = Signal()
        beat = Signal(range(self.most + 1))
        left = Signal(len(self.packet))
        m.d.comb += [
            self.o.tdata.eq(left),
            self.o.tlast.eq(beat == self.beats - 1),
        ]
        m.d.sync += self.request.eq(0)
        with m.FSM():
            with m.State("WAIT"):
                with m.If(self.turn != seen):
                    m.d.sync += [seen.eq(self.turn), left.eq(self.packet), beat.eq(0)]
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.tvalid.eq(1)
                with m.If(self.o.tready):
                    m.d.sync += [beat.eq(beat + 1), left.eq(left >> (8 * self.size))]
                    with m.If(self.o.tlast):
                        m.d.sync += self.request.eq(1)
                        m.next = "WAIT"
        return m
