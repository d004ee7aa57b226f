# SPDX-License-Identifier: Apache-2.0
"""What is folded: the emulator and its link, from bytes to bytes."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.controller import host_bytes

from ..emulator import Emulator
from ..link.link import Link

__all__ = ["FoldedDesign", "FromLine", "ToLine"]

#: Cycles of silence that end a frame; a byte takes two of them, or some more.
_GAP = 64
#: The link's memories: small, as all of them share one of 16,384 words of 16 bits.
_SIZES = {"request_words": 128, "response_words": 128, "capacity": 512, "results_kept": 64}


class FromLine(data.Struct):
    """What the design gets in each of its cycles.

    Attributes
    ----------
    byte : unsigned(8), valid : unsigned(1)
        A byte came, in one of two cycles at most.
    ready : unsigned(1)
        A byte that is sent in this cycle will be taken.
    """

    byte: 8
    valid: 1
    ready: 1


class ToLine(data.Struct):
    """What the design says in each of its cycles.

    Attributes
    ----------
    byte : unsigned(8), valid : unsigned(1)
        A byte to send.
    busy : unsigned(1)
        A request is being executed.
    """

    byte: 8
    valid: 1
    busy: 1


class FoldedDesign(wiring.Component):
    """An :class:`fpga.emulator.Emulator` behind a :class:`fpga.link.link.Link`.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig

    Members
    -------
    i : ``In(FromLine)``
    o : ``Out(ToLine)``
    """

    i: In(FromLine)
    o: Out(ToLine)

    def __init__(self, chip: ChipConfig, hw: ControllerConfig):
        self.chip, self.hw = chip, hw
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.emulator = emulator = Emulator(self.chip, self.hw)
        m.submodules.link = link = Link(host_bytes(self.hw.lanes), _GAP, **_SIZES)
        for name in ("bus", "examples", "goals", "results"):
            wiring.connect(m, getattr(link, name), getattr(emulator, name))
        m.d.comb += [
            link.i.payload.eq(self.i.byte),
            link.i.valid.eq(self.i.valid),
            link.o.ready.eq(self.i.ready),
            self.o.byte.eq(link.o.payload),
            self.o.valid.eq(link.o.valid),
            self.o.busy.eq(link.busy),
        ]
        return m
