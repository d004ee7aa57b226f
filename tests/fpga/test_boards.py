# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Boards are what their data sheets say, and designs get clock, reset, pins and lights of them."""

import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosim.bench import simulate
from fpga.board_top import RESET_CYCLES, BoardTop, Heartbeat, Wake
from fpga.boards import BOARDS
from fpga.folded.image import FlashPins
from golden.controllers import CONTROLLERS


class Echo(wiring.Component):
    """Sends what it receives."""

    rx: In(1)
    tx: Out(1)
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.tx.eq(self.rx)
        m.d.comb += self.busy.eq(~self.rx)
        return m


@pytest.mark.parametrize("name", BOARDS)
def test_board_clocks_are_what_their_dividers_make(name):
    board = BOARDS[name]
    low, high = {"ecp5": (400e6, 800e6), "ice40": (533e6, 1066e6)}[board.family]
    assert board.clock in board.clocks
    assert board.clocks.get(int(board.oscillator / 1e6)) is None
    for clock, pll in board.clocks.items():
        if pll is not None:
            vco = board.oscillator * pll.feedback
            assert low <= vco <= high
            assert vco / pll.output == clock * 1e6
            assert board.family == "ecp5" or pll.output in (1, 2, 4, 8, 16, 32, 64)


@pytest.mark.parametrize("name", BOARDS)
def test_board_has_a_network_of_its_own(name):
    assert BOARDS[name].preset in CONTROLLERS


@pytest.mark.parametrize("name", BOARDS)
def test_board_has_the_platform_of_its_device(name):
    board = BOARDS[name]
    platform = board.make_platform()
    device, package = {
        "ulx3s-85f": ("LFE5U-85F", "BG381"),
        "ulx3s-12f": ("LFE5U-12F", "BG381"),
        "ecpix5-85f": ("LFE5UM5G-85F", "BG554"),
        "icebreaker": ("iCE40UP5K", "SG48"),
    }[name]
    assert (platform.device, platform.package) == (device, package)
    assert platform.default_clk_frequency == board.oscillator


def test_board_rejects_a_clock_that_it_cannot_make():
    with pytest.raises(
        ValueError, match=r"^clock must be one of 24, 30 \(MHz\) on icebreaker, not 80$"
    ):
        BOARDS["icebreaker"].check_clock(80)
    assert BOARDS["icebreaker"].check_clock(None) == 24


ULX3S = {"clk25_0__io": "G2", "uart_0__rx__io": "M1", "uart_0__tx__io": "L4"}
PINS = {
    "ulx3s-85f": ULX3S,
    "ulx3s-12f": ULX3S,
    "ecpix5-85f": {"clk100_0__io": "K23", "uart_0__rx__io": "R26", "uart_0__tx__io": "R24"},
    "icebreaker": {"clk12_0__io": "35", "uart_0__rx__io": "6", "uart_0__tx__io": "9"},
}


@pytest.mark.parametrize(("name", "clock"), [(n, c) for n in BOARDS for c in BOARDS[n].clocks])
def test_top_has_the_pins_and_the_clock_of_its_board(name, clock):
    board = BOARDS[name]
    top = BoardTop(Echo(), board, clock)
    plan = board.make_platform().build(top, name="top", do_build=False, emit_src=False)
    netlist = plan.files["top.il"]
    if board.family == "ecp5":
        sites = re.findall(r'LOCATE COMP "(\w+)" SITE "(\w+)"', plan.files["top.lpf"])
    else:
        sites = re.findall(r"set_io (\w+) (\w+)", plan.files["top.pcf"])
    assert PINS[name].items() <= dict(sites).items()
    lights = {"led": "led_{}__io", "rgb_led": "rgb_led_{}__g__io"}[board.lights]
    assert {lights.format(k) for k in range(2)} <= dict(sites).keys()
    pll = board.clocks[clock]
    assert netlist.count("EHXPLLL") + netlist.count("SB_PLL40_PAD") == (pll is not None)
    if pll is not None and board.family == "ecp5":
        assert f"parameter \\CLKOP_DIV {pll.feedback}\n" in netlist.replace("signed ", "")
        assert f"parameter \\CLKOS_DIV {pll.output}\n" in netlist.replace("signed ", "")


class Reader(Echo):
    """Reads the flash memory, of which it sends a bit."""

    flash: Out(FlashPins)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.flash.cs.eq(1), self.flash.clk.eq(self.rx), self.flash.copi.eq(self.rx)]
        m.d.sync += self.tx.eq(self.flash.cipo)
        return m


def test_top_has_the_pins_of_the_flash_memory():
    board = BOARDS["icebreaker"]
    plan = board.make_platform().build(
        BoardTop(Reader(), board), name="top", do_build=False, emit_src=False
    )
    sites = dict(re.findall(r"set_io (\w+) (\w+)", plan.files["top.pcf"]))
    wanted = {"cs": "16", "clk": "15", "copi": "14", "cipo": "17", "wp": "12", "hold": "13"}
    assert {f"spi_flash_1x_0__{name}__io": site for name, site in wanted.items()}.items() <= (
        sites.items()
    )


@pytest.mark.parametrize("lacking", ["rx", "tx", "busy"])
def test_top_rejects_a_design_without_its_members(lacking):
    members = {"rx": In(1), "tx": Out(1), "busy": Out(1)}
    wanted = f"{lacking} : {members[lacking]!r}"
    del members[lacking]

    class Other(wiring.Component):
        def __init__(self):
            super().__init__(members)

    with pytest.raises(ValueError, match=f"^design must have a member {re.escape(wanted)}$"):
        BoardTop(Other(), BOARDS["icebreaker"])


def test_top_rejects_a_clock_of_another_board():
    with pytest.raises(ValueError, match=r"^clock must be one of 24, 30 .*, not 80$"):
        BoardTop(Echo(), BOARDS["icebreaker"], 80)


def test_wake_holds_the_reset_for_its_cycles():
    held = []

    def drive(pins):
        for _ in range(2):
            pins["rst"] = 1  # the clock is not steady
            for _ in range(3):
                yield
            pins["rst"] = 0
            n = 0
            yield
            while pins["rst_out"]:
                n += 1
                yield
            held.append(n)

    class Renamed(wiring.Component):  # the bench has a rst of its own
        rst_out: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.submodules.wake = wake = Wake()
            m.d.comb += self.rst_out.eq(wake.rst)
            return m

    simulate(Renamed(), drive)
    assert held == [RESET_CYCLES] * 2


def test_heartbeat_beats_once_a_second():
    seen = []

    def drive(pins):
        for _ in range(40):
            yield
            seen.append(pins["light"])

    simulate(Heartbeat(20), drive)
    assert seen == ([0] * 10 + [1] * 10) * 2
