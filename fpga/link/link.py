# SPDX-License-Identifier: Apache-2.0
"""The host link: from a serial line to the emulator's buses."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from analog_models.config import check
from rtl.axi import AxiLite, AxiStream

from .buffer import FrameBuffer
from .executor import Executor
from .feeder import Feeder
from .fifo import LinkFifo, check_depth
from .frames import IDENTIFY_WORDS, TRAILER_WORDS, Kind
from .receiver import FrameHead, FrameReceiver
from .sender import FrameSender
from .uart import Uart, check_rate

__all__ = ["Link", "UartLink"]


def _buses(host_bytes):
    """Members that are not the line."""
    return {
        "bus": Out(AxiLite(32)),
        "examples": Out(AxiStream(host_bytes)),
        "goals": Out(AxiStream(2)),
        "results": In(AxiStream(4)),
        "busy": Out(1),
    }


class Link(wiring.Component):
    """Execute requests that arrive as bytes, each once, and answer them (:mod:`fpga.link.frames`).

    Golden: :class:`fpga.link.model.LinkModel`. Bytes that arrive while a request is executed, or
    waits for the answer before to be sent, are lost; the host repeats its frame.

    Parameters
    ----------
    host_bytes : int, 2..8
        Bytes of a beat of ``examples``.
    gap : int, cycles
        Silence on ``i`` that ends a frame: more than the host pauses within one. Rounded up to a
        power of two.
    request_words, response_words : int, powers of two up to 32768
        Longest payloads.
    capacity : int, bytes, a power of two up to 32768
        Coded bytes of examples or goals that are kept.
    results_kept : int, a power of two up to 32768
        Results that are kept until the host asks.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes from the host. Always ready, one in two cycles at most.
    o : ``Out(stream.Signature(8))``
        Bytes to the host.
    bus : ``Out(AxiLite(32))``
        One access at a time.
    examples : ``Out(AxiStream(host_bytes))``, goals : ``Out(AxiStream(2))``
        See :class:`fpga.link.feeder.Feeder`.
    results : ``In(AxiStream(4))``
        A beat a result; TLAST means nothing.
    busy : ``Out(1)``
        A frame is being executed or answered.
    """

    def __init__(
        self,
        host_bytes: int,
        gap: int,
        *,
        request_words: int = 1024,
        response_words: int = 512,
        capacity: int = 8192,
        results_kept: int = 512,
    ):
        check(host_bytes in range(2, 9), "host_bytes", "within 2..8", host_bytes)
        check(gap > 0, "gap", "positive (cycles)", gap)
        check_depth("request_words", request_words)
        check_depth("response_words", response_words)
        least = TRAILER_WORDS + IDENTIFY_WORDS
        check(response_words >= least, "response_words", f"at least {least}", response_words)
        check_depth("capacity", capacity)
        check_depth("results_kept", results_kept)
        self.host_bytes, self.gap = host_bytes, gap
        self.request_words, self.response_words = request_words, response_words
        self.capacity, self.results_kept = capacity, results_kept
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            **_buses(host_bytes),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver(self.request_words, self.gap)
        m.submodules.request = request = FrameBuffer(self.request_words)
        m.submodules.executor = executor = Executor(
            self.host_bytes,
            self.request_words,
            self.response_words,
            self.capacity,
            self.results_kept,
        )
        m.submodules.feeder = feeder = Feeder(self.host_bytes, self.capacity)
        m.submodules.response = response = FrameBuffer(self.response_words)
        m.submodules.sender = sender = FrameSender()
        results = LinkFifo(32, self.results_kept)
        m.submodules.results = ResetInserter(executor.flush_results)(results)

        # --- from the line to the line
        wiring.connect(m, request.o, executor.i)
        wiring.connect(m, response.o, sender.i)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        m.d.comb += [
            self.i.ready.eq(1),
            receiver.data.eq(self.i.payload),
            receiver.valid.eq(self.i.valid),
            request.w_addr.eq(receiver.w_addr),
            request.w_data.eq(receiver.w_data),
            request.w_en.eq(receiver.w_en),
            request.length.eq(receiver.head.words),
            request.start.eq(executor.start),
            executor.exhausted.eq(request.exhausted),
            response.w_addr.eq(executor.w_addr),
            response.w_data.eq(executor.w_data),
            response.w_en.eq(executor.w_en),
            response.start.eq(sender.start),
            sender.exhausted.eq(response.exhausted),
        ]

        # --- to the buses
        wiring.connect(m, executor.bus, wiring.flipped(self.bus))
        wiring.connect(m, feeder.examples, wiring.flipped(self.examples))
        wiring.connect(m, feeder.goals, wiring.flipped(self.goals))
        wiring.connect(m, results.o, executor.results)
        m.d.comb += [
            feeder.data.eq(executor.feed),
            feeder.valid.eq(executor.feed_en),
            feeder.goals_next.eq(executor.goals_next),
            feeder.flush.eq(executor.flush_inputs),
            executor.level.eq(feeder.level),
            executor.idle.eq(feeder.idle),
            results.data.eq(self.results.tdata),
            results.en.eq(self.results.tvalid),
            self.results.tready.eq(~results.full),
            executor.waiting.eq(results.level),
        ]

        # --- what to do with a frame
        opened, last = Signal(), Signal(8)  # a session, and the number of its last request
        length = Signal.like(executor.length)  # of the response that is kept
        answer = Signal(FrameHead)
        opens, asks, repeats, follows = Signal(), Signal(), Signal(), Signal()
        seen = Signal()  # the frame is there since a cycle at least, and these are of it
        head = receiver.head
        m.d.sync += [
            opens.eq(head.kind == Kind.OPEN),
            asks.eq((head.kind == Kind.REQUEST) & opened),
            repeats.eq(head.sequence == last),
            follows.eq(head.sequence == (last + 1)[:8]),
            seen.eq(receiver.frame),
        ]
        m.d.comb += [
            sender.head.eq(answer),
            response.length.eq(answer.words),
        ]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE") | sender.busy)
            with m.State("IDLE"):
                with m.If(~sender.busy):
                    m.d.sync += [answer.sequence.eq(last), answer.words.eq(0)]
                    with m.If(receiver.damaged):
                        m.d.sync += answer.kind.eq(Kind.DAMAGED)
                        m.next = "SEND"
                    with m.Elif(receiver.frame & seen):
                        m.d.sync += answer.kind.eq(Kind.REFUSED)
                        m.next = "SEND"
                        with m.If(asks & repeats):
                            m.d.sync += [answer.kind.eq(Kind.RESPONSE), answer.words.eq(length)]
                        with m.Elif(opens | (asks & follows)):
                            m.d.comb += executor.start.eq(1)
                            m.d.sync += [opened.eq(1), last.eq(head.sequence)]
                            m.next = "EXECUTE"

            with m.State("EXECUTE"):
                m.d.sync += [
                    answer.kind.eq(Kind.RESPONSE),
                    answer.sequence.eq(last),
                    answer.words.eq(executor.length),
                    length.eq(executor.length),
                ]
                with m.If(executor.done):
                    m.next = "SEND"

            with m.State("SEND"):
                m.d.comb += [sender.start.eq(1), receiver.take.eq(1)]
                m.next = "IDLE"
        return m


class UartLink(wiring.Component):
    """A :class:`Link` behind a UART.

    By Yosys 0.70, ECP5, as it comes: 801 LUT4 and 129 carry cells of two, 662 flip-flops, 8 block
    RAMs; alone it is placed at 100 MHz. iCE40 with ``host_bytes=2, request_words=256,
    response_words=256, capacity=512, results_kept=256``: 956 LUT4, 590 flip-flops, 7 block RAMs;
    37 MHz (UP5K).

    Parameters
    ----------
    clock : int, Hz
    baud : int, Bd
        At most ``clock / 6``.
    host_bytes : int, 2..8
    gap : float, s
        Silence that ends a frame: more than a loaded host pauses within one.
    **sizes
        As those of :class:`Link`.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        Pins; ``rx`` of any clock.
    bus, examples, goals, results, busy
        As those of :class:`Link`.
    """

    def __init__(self, clock: int, baud: int, host_bytes: int, *, gap: float = 0.01, **sizes: int):
        check_rate(clock, baud)
        check(gap >= 20 / baud, "gap", f"at least {20 / baud:.3g} (s), two bytes", gap)
        self.clock, self.baud, self.host_bytes, self.gap = clock, baud, host_bytes, gap
        self.sizes = sizes
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), **_buses(host_bytes)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart = uart = Uart(self.clock, self.baud)
        cycles = max(1, round(self.gap * self.clock))
        m.submodules.link = link = Link(self.host_bytes, cycles, **self.sizes)
        wiring.connect(m, uart.o, link.i)
        wiring.connect(m, link.o, uart.i)
        for name in ("bus", "examples", "goals", "results"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(link, name))
        m.d.comb += [uart.rx.eq(self.rx), self.tx.eq(uart.tx), self.busy.eq(link.busy)]
        return m
