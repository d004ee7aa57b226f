# SPDX-License-Identifier: Apache-2.0
"""Boards that the chip is emulated on: their clocks, their pins, and what fits into them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from analog_models.config import check

__all__ = ["BOARDS", "Board", "Pll"]


@dataclass(frozen=True)
class Pll:
    """Dividers that make a design clock of the oscillator.

    Parameters
    ----------
    feedback : int
        The VCO runs at ``feedback`` times the oscillator.
    output : int
        The design clock is the VCO's over ``output``.
    """

    feedback: int
    output: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with an FPGA that free tools know.

    Parameters
    ----------
    name : str
    meaning : str
    family : str
        ``"ecp5"`` or ``"ice40"``: which tools make its bitstreams.
    platform : str
        Module and class of amaranth-boards; it knows the pins.
    place : tuple of str
        Device, package and speed as nextpnr's options. ``--tmg-ripup`` where a clock takes all that
        there is: the router looks after connections that it has sent far around. If there is no
        way at all to reach the clock, it comes to no end.
    oscillator : float, Hz
    clocks : mapping of int to Pll or None
        Design clocks in MHz that can be had, and how; None is the oscillator itself.
    clock : int, MHz
        The one that a design gets unless told otherwise.
    luts, block_rams, single_port_rams, dsps : int
        What the FPGA has; ``single_port_rams`` are 16 bits wide and 16384 words deep.
    lights : str
        What amaranth-boards calls the lights: ``"led"``, or ``"rgb_led"``, whose green is used.
    loaders : tuple of str
        Commands that load a bitstream ``{file}``, the usual one first.
    preset : str
        The network that a board gets unless told otherwise, of
        :data:`golden.controllers.CONTROLLERS`.
    folded : bool
        Chips are folded (:mod:`fpga.folded`): no one would fit as it is.
    seed : int
        Where nextpnr begins: one of those with which the preset reaches the board's clock.
    """

    name: str
    meaning: str
    family: str
    platform: str
    place: tuple[str, ...]
    oscillator: float
    clocks: Mapping[int, Pll | None]
    clock: int
    luts: int
    block_rams: int
    single_port_rams: int
    dsps: int
    lights: str = "led"
    loaders: tuple[str, ...]
    preset: str
    folded: bool = False
    seed: int = 1

    def make_platform(self):
        """Return a new platform of amaranth-boards.

        Raises
        ------
        ImportError
            If amaranth-boards is not installed.
        """
        module, _, name = self.platform.partition(":")
        return getattr(importlib.import_module(module), name)()

    def check_clock(self, clock: int | None) -> int:
        """Return a design clock in MHz, the default if None; refuse one that cannot be had."""
        if clock is None:
            return self.clock
        possible = ", ".join(map(str, self.clocks))
        check(clock in self.clocks, "clock", f"one of {possible} (MHz) on {self.name}", clock)
        return int(clock)

    def check_seed(self, seed: int | None) -> int:
        """Return where nextpnr begins, the board's if None; refuse what it would not take."""
        if seed is None:
            return self.seed
        check(0 <= seed < 1 << 31, "seed", "within 0..2**31-1", seed)
        return int(seed)


# The VCO must lie within 400..800 MHz and the phase detector at 10 MHz or more (Lattice
# FPGA-DS-02012, sysCLOCK PLL timing), so it gets the 25 MHz as they are.
_ULX3S = MappingProxyType({
    25: None,
    40: Pll(32, 20),
    50: Pll(32, 16),
    60: Pll(24, 10),
    65: Pll(26, 10),
    70: Pll(28, 10),
    75: Pll(30, 10),
    80: Pll(32, 10),
    85: Pll(17, 5),
    90: Pll(18, 5),
    95: Pll(19, 5),
    100: Pll(32, 8),
})

_ULX3S_85F = Board(
    name="ulx3s-85f",
    meaning="Radiona ULX3S with a Lattice ECP5 LFE5U-85F",
    family="ecp5",
    platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
    place=("--85k", "--package", "CABGA381", "--speed", "6"),
    oscillator=25e6,
    clocks=_ULX3S,
    clock=40,
    luts=83_640,
    block_rams=208,
    single_port_rams=0,
    dsps=156,
    loaders=("openFPGALoader -b ulx3s {file}", "fujprog {file}"),
    preset="small",
)

BOARDS = {
    board.name: board
    for board in (
        _ULX3S_85F,
        # Sold with 12,000 LUTs; the chip has 24,288, and free tools use them all.
        replace(
            _ULX3S_85F,
            name="ulx3s-12f",
            meaning="Radiona ULX3S with a Lattice ECP5 LFE5U-12F",
            platform="amaranth_boards.ulx3s:ULX3S_12F_Platform",
            place=("--12k", "--package", "CABGA381", "--speed", "6"),
            luts=24_288,
            block_rams=56,
            dsps=28,
            preset="micro",
        ),
        # The fastest ECP5-85F that is sold on a board: all ECP5-5G are of speed 8.
        replace(
            _ULX3S_85F,
            name="ecpix5-85f",
            meaning="LambdaConcept ECPIX-5 with a Lattice ECP5-5G LFE5UM5G-85F",
            platform="amaranth_boards.ecpix5:ECPIX585Platform",
            place=("--um5g-85k", "--package", "CABGA554", "--speed", "8", "--tmg-ripup"),
            oscillator=100e6,
            clocks=MappingProxyType({
                40: Pll(8, 20),
                50: Pll(8, 16),
                60: Pll(6, 10),
                70: Pll(7, 10),
                75: Pll(6, 8),
                80: Pll(8, 10),
                100: None,
            }),
            clock=80,
            lights="rgb_led",
            loaders=("openFPGALoader -b ecpix5 {file}",),
            seed=2,
        ),
        Board(
            name="icebreaker",
            meaning="1BitSquared iCEBreaker with a Lattice iCE40 UP5K",
            family="ice40",
            platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
            place=("--up5k", "--package", "sg48"),
            oscillator=12e6,
            # The VCO must lie within 533..1066 MHz (Lattice FPGA-DS-02008, sysCLOCK PLL timing);
            # the output divider is a power of two. Slower ones are too slow for a folded chip
            # (fpga.folded.top.check_speed).
            clocks=MappingProxyType({
                24: Pll(64, 32),
                30: Pll(80, 32),
            }),
            clock=24,
            luts=5_280,
            block_rams=30,
            single_port_rams=4,
            dsps=8,
            loaders=("iceprog {file}", "openFPGALoader -b ice40_generic {file}"),
            preset="micro",
            folded=True,
        ),
    )
}
