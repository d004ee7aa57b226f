# SPDX-License-Identifier: Apache-2.0
"""Executes the operations of a request and writes the payload of the response."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.axi import OKAY, AxiLite

from .frames import TRAILER_WORDS, VERSION, Op, Status

__all__ = ["Executor"]


class Executor(wiring.Component):
    """Do a list of operations (:mod:`fpga.link.frames`).

    Golden: :class:`fpga.link.model.LinkModel`.

    A word of WRITE or READ takes three cycles and those of the bus, a byte of EXAMPLES or GOALS
    one, a result one or two.

    Parameters
    ----------
    host_bytes : int
        Bytes of a beat of examples; only told to the host, as are all others but
        ``response_words`` and ``capacity``.
    request_words, response_words : int
        Longest payloads.
    capacity : int, bytes
        Of the input buffer.
    results : int
        Results that are kept.

    Members
    -------
    start : ``In(1)``
        Begin; the first word comes at least a cycle later.
    i : ``In(stream.Signature(32))``, exhausted : ``In(1)``
        Words of the request, and that all were taken.
    done : ``Out(1)``
        1 for the cycle after the last word was written.
    length : ``Out(range(response_words + 1))``
        Words of the response, while ``done`` and until the next ``start``.
    w_addr, w_data, w_en : ``Out``
        Write port of the response, registered.
    bus : ``Out(AxiLite(32))``
    feed : ``Out(8)``, feed_en : ``Out(1)``
        A byte for the input buffer, registered.
    goals_next : ``Out(1)``
        It belongs to goals; so does all that follows.
    level, idle : ``In``
        Of the input buffer, see :class:`fpga.link.feeder.Feeder`.
    flush_inputs, flush_results : ``Out(1)``
        1 for a cycle: forget what is kept.
    results : ``In(stream.Signature(32))``, waiting : ``In(range(results + 1))``
        Results and how many there are.
    """

    def __init__(self, host_bytes, request_words, response_words, capacity, results):
        self.response_words, self.capacity = response_words, capacity
        self.identity = (VERSION | host_bytes << 8, request_words | response_words << 16)
        self.identity = (*self.identity, capacity | results << 16)
        super().__init__({
            "start": In(1),
            "i": In(stream.Signature(32)),
            "exhausted": In(1),
            "done": Out(1),
            "length": Out(range(response_words + 1)),
            "w_addr": Out(range(response_words)),
            "w_data": Out(32),
            "w_en": Out(1),
            "bus": Out(AxiLite(32)),
            "feed": Out(8),
            "feed_en": Out(1),
            "goals_next": Out(1),
            "level": In(range(capacity + 1)),
            "idle": In(1),
            "flush_inputs": Out(1),
            "flush_results": Out(1),
            "results": In(stream.Signature(32)),
            "waiting": In(range(results + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        bus, i = self.bus, self.i
        op, count, argument = Signal(8), Signal(16), Signal(32)
        ops, status = Signal(8), Signal(Shape.cast(range(len(Status))))
        lane = Signal(2)
        none, full = Signal(), Signal()
        m.d.comb += [
            none.eq(count == 0),
            full.eq(self.length == self.response_words - TRAILER_WORDS),
            bus.awaddr.eq(argument),
            bus.araddr.eq(argument),
            bus.wstrb.eq(0xF),
        ]
        m.d.sync += [
            self.w_en.eq(0),
            self.feed.eq(i.payload.word_select(lane, 8)),
            self.feed_en.eq(0),
        ]

        def emit(word):
            m.d.sync += [
                self.w_data.eq(word),
                self.w_addr.eq(self.length),
                self.w_en.eq(1),
                self.length.eq(self.length + 1),
            ]

        def fail(why):
            m.d.sync += status.eq(why)
            m.next = "TRAILER"

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [self.length.eq(0), ops.eq(0), status.eq(Status.OK)]
                    m.d.sync += count.eq(0)
                    m.next = "OP"

            with m.State("OP"):
                m.d.comb += i.ready.eq(1)
                m.d.sync += lane.eq(0)
                with m.If(i.valid):
                    m.d.sync += [op.eq(i.payload[:8]), count.eq(i.payload[16:])]
                    m.next = "ARGUMENT"
                with m.Elif(self.exhausted):
                    m.next = "TRAILER"

            with m.State("ARGUMENT"):
                m.d.comb += i.ready.eq(1)
                m.d.sync += argument.eq(i.payload)
                with m.If(i.valid):
                    m.next = "DISPATCH"
                with m.Elif(self.exhausted):
                    fail(Status.MALFORMED)

            with m.State("DISPATCH"):
                with m.Switch(op):
                    with m.Case(Op.WRITE):
                        m.next = "WRITE"
                    with m.Case(Op.READ):
                        m.next = "READ"
                    with m.Case(Op.EXAMPLES, Op.GOALS):
                        goals = op == Op.GOALS
                        fits = self.level + count <= self.capacity
                        with m.If(fits & (self.idle | (goals == self.goals_next))):
                            m.d.sync += self.goals_next.eq(goals)
                            m.next = "FEED"
                        with m.Else():
                            fail(Status.NO_ROOM)
                    with m.Case(Op.RESULTS):
                        m.next = "RESULTS"
                    with m.Case(Op.FLUSH):
                        m.d.comb += [
                            self.flush_inputs.eq(count[0]),
                            self.flush_results.eq(count[1]),
                        ]
                        m.next = "END"
                    with m.Case(Op.IDENTIFY):
                        m.next = "IDENTIFY"
                    with m.Default():
                        fail(Status.MALFORMED)

            with m.State("END"):
                m.d.sync += [ops.eq(ops + 1), count.eq(0)]
                m.next = "OP"

            with m.State("WRITE"):
                with m.If(none):
                    m.next = "END"
                with m.Elif(i.valid):
                    m.d.sync += [bus.awvalid.eq(1), bus.wvalid.eq(1), bus.wdata.eq(i.payload)]
                    m.next = "WRITTEN"
                with m.Elif(self.exhausted):
                    fail(Status.MALFORMED)

            with m.State("WRITTEN"):
                m.d.comb += bus.bready.eq(1)
                with m.If(bus.awready):
                    m.d.sync += bus.awvalid.eq(0)
                with m.If(bus.wready):
                    m.d.sync += bus.wvalid.eq(0)
                with m.If(bus.bvalid):
                    m.next = "WRITE"
                    with m.If(bus.bresp == OKAY):
                        m.d.comb += i.ready.eq(1)
                        m.d.sync += [count.eq(count - 1), argument.eq(argument + 4)]
                    with m.Else():
                        fail(Status.BUS)

            with m.State("READ"):
                with m.If(none):
                    m.next = "END"
                with m.Elif(full):
                    fail(Status.MALFORMED)
                with m.Else():
                    m.d.sync += bus.arvalid.eq(1)
                    m.next = "READING"

            with m.State("READING"):
                m.d.comb += bus.rready.eq(1)
                with m.If(bus.arready):
                    m.d.sync += bus.arvalid.eq(0)
                with m.If(bus.rvalid):
                    m.next = "READ"
                    with m.If(bus.rresp == OKAY):
                        emit(bus.rdata)
                        m.d.sync += [count.eq(count - 1), argument.eq(argument + 4)]
                    with m.Else():
                        fail(Status.BUS)

            with m.State("FEED"):
                with m.If(none):
                    m.d.comb += i.ready.eq(lane != 0)  # what fills up the last word
                    m.next = "END"
                with m.Elif(i.valid):
                    m.d.comb += i.ready.eq(lane == 3)
                    m.d.sync += [lane.eq(lane + 1), count.eq(count - 1), self.feed_en.eq(1)]
                with m.Elif(self.exhausted):
                    fail(Status.MALFORMED)

            with m.State("RESULTS"):
                with m.If(none):
                    m.next = "END"
                with m.Elif(full | (self.waiting == 0)):
                    fail(Status.MALFORMED)
                with m.Elif(self.results.valid):
                    m.d.comb += self.results.ready.eq(1)
                    emit(self.results.payload)
                    m.d.sync += count.eq(count - 1)

            with m.State("IDENTIFY"):
                with m.If(full):
                    fail(Status.MALFORMED)
                with m.Else():
                    emit(Array(self.identity)[lane])
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == len(self.identity) - 1):
                        m.next = "END"

            with m.State("TRAILER"):
                emit(Cat(status, Const(0, 8 - len(status)), ops, count))
                m.next = "LEVELS"

            with m.State("LEVELS"):
                emit(Cat(self.level, Const(0, 16 - len(self.level)), self.waiting))
                m.next = "DONE"

            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m
