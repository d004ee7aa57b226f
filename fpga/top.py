# SPDX-License-Identifier: Apache-2.0
"""What a board is loaded with: the emulator behind a serial port."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.controller import host_bytes

from .emulator import Emulator
from .link import UartLink

__all__ = ["Top"]


class Top(wiring.Component):
    """An :class:`fpga.emulator.Emulator` behind a :class:`fpga.link.UartLink`.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig
    clock : int, Hz
    baud : int, Bd
    **sizes
        As those of :class:`fpga.link.UartLink`.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        Pins of the serial port.
    busy : ``Out(1)``
        A request is being executed.
    """

    def __init__(self, chip: ChipConfig, hw: ControllerConfig, clock: int, baud: int, **sizes):
        self.emulator = Emulator(chip, hw)
        self.link = UartLink(clock, baud, host_bytes(hw.lanes), **sizes)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.emulator, m.submodules.link = self.emulator, self.link
        for name in ("bus", "examples", "goals", "results"):
            wiring.connect(m, getattr(self.link, name), getattr(self.emulator, name))
        m.d.comb += [
            self.link.rx.eq(self.rx),
            self.tx.eq(self.link.tx),
            self.busy.eq(self.link.busy),
        ]
        return m
