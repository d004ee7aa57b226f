# SPDX-License-Identifier: Apache-2.0
"""A memory with one port: the iCE40's large block, or what simulates it."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["SinglePort"]

#: What one block is: SB_SPRAM256KA.
_DEPTH, _WIDTH = 16384, 16


class SinglePort(wiring.Component):
    """16384 words, of as many bits as it takes blocks of 16.

    A word that is written is not read in that cycle.

    Parameters
    ----------
    width : int
        A multiple of 16.

    Members
    -------
    address : ``In``, w_data : ``In(width)``, w_en : ``In(1)``
    r_data : ``Out(width)``
        A cycle later.
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__({
            "address": In(range(_DEPTH)),
            "w_data": In(width),
            "w_en": In(1),
            "r_data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        if platform is None:
            m.submodules.memory = memory = Memory(shape=self.width, depth=_DEPTH, init=[])
            reader, writer = memory.read_port(), memory.write_port()
            m.d.comb += [
                reader.addr.eq(self.address),
                reader.en.eq(~self.w_en),
                self.r_data.eq(reader.data),
                writer.addr.eq(self.address),
                writer.data.eq(self.w_data),
                writer.en.eq(self.w_en),
            ]
            return m
        for k in range(0, self.width, _WIDTH):
            m.submodules[f"block_{k}"] = Instance(
                "SB_SPRAM256KA",
                i_CLOCK=ClockSignal(),
                i_ADDRESS=self.address,
                i_DATAIN=self.w_data[k : k + _WIDTH],
                i_MASKWREN=Const(15, 4),
                i_WREN=self.w_en,
                i_CHIPSELECT=Const(1),
                i_STANDBY=Const(0),
                i_SLEEP=Const(0),
                i_POWEROFF=Const(1),  # low is off
                o_DATAOUT=self.r_data[k : k + _WIDTH],
            )
        return m
