# SPDX-License-Identifier: Apache-2.0
"""What lies between a design and the pins of a board: clock, reset, serial port, lights."""

from amaranth import *
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In, Out

from .boards import Board

__all__ = ["BoardTop", "Heartbeat"]

#: Cycles that the reset lasts once the clock is steady. The iCE40's block RAM answers with zeros
#: for some microseconds after configuration; 1024 cycles are 10 us at 100 MHz.
RESET_CYCLES = 1024


class Heartbeat(wiring.Component):
    """A light that goes on and off once a second.

    Parameters
    ----------
    clock : float, Hz

    Members
    -------
    light : ``Out(1)``
    """

    def __init__(self, clock):
        self.clock = clock
        super().__init__({"light": Out(1)})

    def elaborate(self, platform):
        m = Module()
        half = int(self.clock) // 2
        count = Signal(range(half))
        m.d.sync += count.eq(count + 1)
        with m.If(count == half - 1):
            m.d.sync += [count.eq(0), self.light.eq(~self.light)]
        return m


class Wake(wiring.Component):
    """Hold the design's reset for :data:`RESET_CYCLES` after its own.

    Members
    -------
    rst : ``Out(1)``
    """

    rst: Out(1, init=1)

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(RESET_CYCLES))
        with m.If(count == RESET_CYCLES - 1):
            m.d.sync += self.rst.eq(0)
        with m.Else():
            m.d.sync += count.eq(count + 1)
        return m


class BoardTop(Elaboratable):
    """A design on a board: in domain ``sync``, at the serial port, with two lights.

    ``sync`` begins when the clock has been steady for :data:`RESET_CYCLES` cycles: its reset holds
    until then or, on an ECP5, its clock does. Light 0
    is a heartbeat, light 1 is on while the design is busy.

    Parameters
    ----------
    design : wiring.Component
        With members ``rx`` (``In(1)``), ``tx`` (``Out(1)``) and ``busy`` (``Out(1)``); ``rx`` comes
        in step with the clock. If there is a member ``flash``
        (:data:`fpga.folded.image.FlashPins`), it gets the board's flash memory.
    board : Board
    clock : int, MHz, optional
        One of ``board.clocks``; the board's default unless given.
    """

    def __init__(self, design, board: Board, clock: int | None = None):
        wanted = {"rx": In(1), "tx": Out(1), "busy": Out(1)}
        members = getattr(getattr(design, "signature", None), "members", {})
        for name, member in wanted.items():
            have = members[name] if name in members else None
            if have is None or (have.flow, have.shape) != (member.flow, member.shape):
                raise ValueError(f"design must have a member {name} : {member!r}")
        self.design, self.board = design, board
        self.clock = board.check_clock(clock)

    def elaborate(self, platform):
        m = Module()
        pll = self.board.clocks[self.clock]
        if pll is None:
            clk, locked = self._oscillator(m, platform), Const(1)
        elif self.board.family == "ecp5":
            clk, locked = self._ecp5(m, platform, pll)
        else:
            clk, locked = self._ice40(m, platform, pll)

        m.domains.wake = ClockDomain()
        m.submodules.wake_reset = ResetSynchronizer(~locked, domain="wake")
        m.submodules.wake = wake = DomainRenamer("wake")(Wake())
        m.d.comb += ClockSignal("wake").eq(clk)
        if self.board.family == "ecp5":
            # All registers of an ECP5 begin with their values, so that its clock may begin late
            # instead: a reset of tens of thousands of registers is a long wire to each of them.
            m.domains.sync = ClockDomain(reset_less=True)
            m.submodules.gate = Instance(
                "DCCA", i_CLKI=clk, i_CE=~wake.rst, o_CLKO=ClockSignal("sync")
            )
        else:
            m.domains.sync = ClockDomain()
            m.d.comb += [ClockSignal("sync").eq(clk), ResetSignal("sync").eq(wake.rst)]

        m.submodules.design = design = self.design
        m.submodules.heartbeat = heartbeat = Heartbeat(self.clock * 1e6)
        uart = platform.request("uart", dir="-")
        m.submodules.rx_pin = rx = io.Buffer("i", uart.rx)
        m.submodules.rx = FFSynchronizer(rx.i, design.rx, init=1)
        leds = [platform.request(self.board.lights, k, dir="-") for k in range(2)]
        if self.board.lights == "rgb_led":
            leds = [led.g for led in leds]
        for name, pin, value in (
            ("tx", uart.tx, design.tx),
            ("light_0", leds[0], heartbeat.light),
            ("light_1", leds[1], design.busy),
        ):
            m.submodules[name] = buffer = io.Buffer("o", pin)
            m.d.comb += buffer.o.eq(value)
        if "flash" in self.design.signature.members:
            self._flash(m, platform)
        return m

    def _flash(self, m, platform):
        """Connect the flash memory's pins; it is neither write-protected nor held."""
        pins, flash = platform.request("spi_flash_1x", dir="-"), self.design.flash
        m.submodules.cipo = cipo = io.Buffer("i", pins.cipo)
        m.d.comb += flash.cipo.eq(cipo.i)
        for name in ("cs", "clk", "copi", "wp", "hold"):
            m.submodules[name] = buffer = io.Buffer("o", getattr(pins, name))
            m.d.comb += buffer.o.eq(getattr(flash, name, 0))

    def _oscillator(self, m, platform):
        """Return the oscillator's signal."""
        pad = platform.request(platform.default_clk, dir="-")
        m.submodules.oscillator = buffer = io.Buffer("i", pad)
        return buffer.i

    def _ecp5(self, m, platform, pll):
        """Return clock and lock of an EHXPLLL: output CLKOP closes the loop, CLKOS is the clock."""
        loop, clk, locked = (Signal(name=f"pll_{name}") for name in ("loop", "clk", "locked"))
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12",  # loop filter as ecppll sets it
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=1,
            p_CLKFB_DIV=1,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=pll.feedback,
            p_CLKOP_CPHASE=pll.feedback - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=pll.output,
            p_CLKOS_CPHASE=pll.output - 1,
            p_CLKOS_FPHASE=0,
            i_CLKI=self._oscillator(m, platform),
            i_CLKFB=loop,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=loop,
            o_CLKOS=clk,
            o_LOCK=locked,
        )
        return clk, locked

    def _ice40(self, m, platform, pll):
        """Return clock and lock of an SB_PLL40_PAD, the PLL at the oscillator's pin."""
        clk, locked = (Signal(name=f"pll_{name}") for name in ("clk", "locked"))
        pad = platform.request(platform.default_clk, dir="-")
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(0, 4),
            p_DIVF=Const(pll.feedback - 1, 7),
            p_DIVQ=Const(pll.output.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(1, 3),  # for 10..17 MHz at the phase detector
            io_PACKAGEPIN=pad.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=clk,
            o_LOCK=locked,
        )
        return clk, locked
