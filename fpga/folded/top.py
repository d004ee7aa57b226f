# SPDX-License-Identifier: Apache-2.0
"""What the smallest board is loaded with: the core, for any program, behind a serial port."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..link.uart import Uart, check_rate
from .design import FromLine, ToLine
from .image import FlashPins, Loader
from .machine import Machine

__all__ = ["FOLDED_BAUD", "FoldedTop", "check_speed"]

#: Rate of the serial port, Bd.
FOLDED_BAUD = 9600


def check_speed(clock: int, baud: int, instructions: int) -> None:
    """Refuse a clock (Hz) at which bytes of the line come faster than a design takes them.

    It takes one in two of its cycles, which are ``instructions`` cycles of the clock.
    """
    least = 2 * instructions * baud / 10
    if clock < least:
        raise ValueError(
            f"clock must be at least {least / 1e6:.1f} MHz, not {clock / 1e6:g}: a byte at "
            f"{baud:,} Bd must last two cycles of the chip, of {instructions:,} instructions each"
        )


class FoldedTop(wiring.Component):
    """Load a program from the flash memory, and run it behind a UART.

    Parameters
    ----------
    clock : int, Hz
    baud : int, Bd
        See :func:`check_speed`.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        Pins of the serial port.
    busy : ``Out(1)``
        A request is being executed; or there is no program, or not all of it.
    flash : ``Out(FlashPins)``
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    busy: Out(1)
    flash: Out(FlashPins)

    def __init__(self, clock: int, baud: int):
        check_rate(clock, baud)
        self.clock, self.baud = clock, baud
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.machine = machine = Machine()
        m.submodules.loader = loader = Loader()
        m.submodules.uart = uart = Uart(self.clock, self.baud)
        wiring.connect(m, loader.flash, wiring.flipped(self.flash))
        m.d.comb += machine.run.eq(loader.done)
        for name in ("at", "piece", "word", "memory", "program"):
            m.d.comb += getattr(machine, name).eq(getattr(loader, name))

        # --- the line: a byte is offered until IN takes it
        offered, busy = Signal(), Signal(init=1)
        byte, full, told = Signal(8), Signal(), Signal()
        received, said = Signal(FromLine), ToLine(machine.o[: ToLine.as_shape().size])
        with m.If(machine.taken):
            m.d.sync += offered.eq(0)
        with m.If(uart.o.valid):
            m.d.sync += [offered.eq(1), received.byte.eq(uart.o.payload)]
        m.d.comb += [
            uart.o.ready.eq(1),
            received.valid.eq(offered),
            received.ready.eq(~full),
            machine.i.eq(received),
            self.tx.eq(uart.tx),
            uart.rx.eq(self.rx),
            self.busy.eq(busy),
        ]
        # and a byte of OUT waits for the transmitter, if IN said that it might come
        m.d.comb += [uart.i.payload.eq(byte), uart.i.valid.eq(full)]
        with m.If(machine.taken):
            m.d.sync += told.eq(~full)
        with m.If(uart.i.ready & full):
            m.d.sync += full.eq(0)
        with m.If(machine.sent):
            m.d.sync += busy.eq(said.busy)
            with m.If(said.valid & told):
                m.d.sync += [full.eq(1), byte.eq(said.byte)]
        return m
