# SPDX-License-Identifier: Apache-2.0
"""What a board is loaded with: the emulator behind a serial port."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.controller import host_bytes

from .emulator import Emulator
from .link.link import UartLink
from .link.uart import check_rate

__all__ = ["Top"]


class Top(wiring.Component):
    """An :class:`fpga.emulator.Emulator` behind a :class:`fpga.link.link.UartLink`.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig
    clock : int, Hz
    baud : int, Bd
    **sizes
        As those of :class:`fpga.link.link.UartLink`.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        Pins of the serial port.
    busy : ``Out(1)``
        A request is being executed.
    """

    def __init__(self, chip: ChipConfig, hw: ControllerConfig, clock: int, baud: int, **sizes):
        check_rate(clock, baud)
        self.chip, self.hw, self.clock, self.baud, self.sizes = chip, hw, clock, baud, sizes
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.emulator = emulator = Emulator(self.chip, self.hw)
        m.submodules.link = link = UartLink(
            self.clock, self.baud, host_bytes(self.hw.lanes), **self.sizes
        )
        for name in ("bus", "examples", "goals", "results"):
            wiring.connect(m, getattr(link, name), getattr(emulator, name))
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx), self.busy.eq(link.busy)]
        return m
