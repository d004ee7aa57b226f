# SPDX-License-Identifier: Apache-2.0
"""Serial receiver and transmitter: 8 data bits, no parity, 1 stop bit."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from analog_models.config import check

__all__ = ["MIN_CYCLES", "Receiver", "Transmitter", "Uart", "check_rate"]

#: Clock cycles that a bit must have: one of uncertainty at its start is little enough then.
MIN_CYCLES = 6


class _BitClock(Elaboratable):
    """Phase of a bit: an accumulator whose step is rounded to better than 0.05 %.

    While ``reset`` is 1 a bit begins with the next cycle. ``middle`` is 1 in the cycle in which
    half of a bit is over, ``end`` in its last one.
    """

    def __init__(self, clock, baud):
        self.width = (1024 * clock // baud).bit_length()
        self.step = (2 * (baud << self.width) + clock) // (2 * clock)
        self.reset, self.middle, self.end = Signal(), Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        phase = Signal(self.width)
        total = Signal(self.width + 1)
        m.d.comb += [
            total.eq(phase + self.step),
            self.middle.eq(total[-2] & ~phase[-1]),
            self.end.eq(total[-1]),
        ]
        m.d.sync += phase.eq(total)
        with m.If(self.reset):
            m.d.sync += phase.eq(0)
        return m


def check_rate(clock: int, baud: int) -> None:
    """Refuse a clock (Hz) and a rate (Bd) that do not go together."""
    check(isinstance(clock, int) and clock > 0, "clock", "a positive whole number (Hz)", clock)
    check(isinstance(baud, int) and baud > 0, "baud", "a positive whole number (Bd)", baud)
    highest = clock // MIN_CYCLES
    check(baud <= highest, "baud", f"at most {highest} (clock / {MIN_CYCLES})", baud)


class Receiver(wiring.Component):
    """Bytes from a pin.

    The pin goes through two flip-flops and a majority of three samples, which removes pulses of
    one cycle; every bit is looked at in its middle. What does not begin with half a start bit, or
    has no stop bit, is no byte. Works up to 4 % off the rate at 8 cycles a bit.

    Parameters
    ----------
    clock : int, Hz
    baud : int, Bd, at most ``clock / MIN_CYCLES``

    Members
    -------
    rx : ``In(1)``
        From the pin, of any clock; 1 is idle.
    data : ``Out(8)``, valid : ``Out(1)``
        A byte, valid for one cycle, in the middle of its stop bit.
    error : ``Out(1)``
        1 for one cycle: the stop bit was 0. The next byte begins once the line was 1.
    """

    def __init__(self, clock: int, baud: int):
        check_rate(clock, baud)
        self.clock, self.baud = clock, baud
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.bit = bit = _BitClock(self.clock, self.baud)
        now = Signal(init=1)
        m.submodules.sync = FFSynchronizer(self.rx, now, init=1)
        before = Signal(2, init=3)
        line = Signal(init=1)
        m.d.sync += [
            before.eq(Cat(now, before[0])),
            line.eq((now & before[0]) | (now & before[1]) | (before[0] & before[1])),
            self.valid.eq(0),
            self.error.eq(0),
        ]
        left = Signal(3)
        with m.FSM():
            with m.State("IDLE"):
                # The line fell half a cycle before it is seen, on average, and the middle comes
                # half a cycle late: so the cycle in which it is seen counts as well.
                m.d.comb += bit.reset.eq(line)
                with m.If(~line):
                    m.next = "START"

            with m.State("START"):
                m.d.comb += bit.reset.eq(bit.middle & line)
                with m.If(bit.middle):
                    m.d.sync += left.eq(7)
                    m.next = "DATA"
                    with m.If(line):
                        m.next = "IDLE"

            with m.State("DATA"):
                with m.If(bit.middle):
                    m.d.sync += [self.data.eq(Cat(self.data[1:], line)), left.eq(left - 1)]
                    with m.If(left == 0):
                        m.next = "STOP"

            with m.State("STOP"):
                m.d.comb += bit.reset.eq(bit.middle)  # the next byte may begin at once
                with m.If(bit.middle):
                    m.d.sync += [self.valid.eq(line), self.error.eq(~line)]
                    m.next = "IDLE"
                    with m.If(~line):
                        m.next = "BREAK"

            with m.State("BREAK"):
                m.d.comb += bit.reset.eq(1)
                with m.If(line):
                    m.next = "IDLE"
        return m


class Transmitter(wiring.Component):
    """Bytes to a pin; every bit boundary is at most a cycle late, bytes follow without a gap.

    Parameters
    ----------
    clock : int, Hz
    baud : int, Bd, at most ``clock / MIN_CYCLES``

    Members
    -------
    i : ``In(stream.Signature(8))``
        Taken while the stop bit of the last byte ends, or the line is idle.
    tx : ``Out(1)``
        To the pin, registered.
    """

    def __init__(self, clock: int, baud: int):
        check_rate(clock, baud)
        self.clock, self.baud = clock, baud
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.bit = bit = _BitClock(self.clock, self.baud)
        bits = Signal(9, init=0x1FF)  # those after the one on the line
        left, busy = Signal(range(10)), Signal()
        m.d.comb += self.i.ready.eq(~busy | (bit.end & (left == 0)))
        m.d.comb += bit.reset.eq(~busy)  # otherwise the phase goes on: its remainder is not lost
        with m.If(self.i.ready):
            m.d.sync += busy.eq(self.i.valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.tx.eq(0), bits.eq(Cat(self.i.payload, 1)), left.eq(9)]
        with m.Elif(bit.end & busy):
            m.d.sync += [self.tx.eq(bits[0]), bits.eq(Cat(bits[1:], 1)), left.eq(left - 1)]
        return m


class Uart(wiring.Component):
    """A :class:`Receiver` and a :class:`Transmitter` of one rate.

    Parameters
    ----------
    clock : int, Hz
    baud : int, Bd, at most ``clock / MIN_CYCLES``

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
    i : ``In(stream.Signature(8))``
        Bytes to send.
    o : ``Out(stream.Signature(8))``
        Bytes that came; the reader must be ready, what it does not take is lost.
    """

    def __init__(self, clock: int, baud: int):
        check_rate(clock, baud)
        self.clock, self.baud = clock, baud
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(self.clock, self.baud)
        m.submodules.transmitter = transmitter = Transmitter(self.clock, self.baud)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            self.o.payload.eq(receiver.data),
            self.o.valid.eq(receiver.valid),
        ]
        return m
