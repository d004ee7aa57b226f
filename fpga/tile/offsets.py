# SPDX-License-Identifier: Apache-2.0
"""Offsets of the converters of all lanes, and half an LSB each."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .near import GROUPS, group, near
from .tiles_layout import KINDS, TilesLayout

__all__ = ["Offsets"]


class Offsets(wiring.Component):
    """Memory of offsets, one part for each group of lanes.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    converter, beat : ``In``
        Of the results.
    o : ``Out(data.ArrayLayout(signed(layout.adc_offset_bits), lanes))``
        Their offsets, 2 cycles later.
    tile, index, w_data : ``In``, w_en : ``In(1)``
        Write word ``index`` of a tile, by lanes, its converters one after another.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        tiles = len(layout.tiles)
        super().__init__({
            "converter": In(range(KINDS * tiles)),
            "beat": In(range(layout.beats)),
            "o": Out(data.ArrayLayout(signed(layout.adc_offset_bits), layout.lanes)),
            "tile": In(range(max(2, tiles))),
            "index": In(18),
            "w_data": In(signed(layout.adc_offset_bits)),
            "w_en": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self.layout.lanes
        *starts, depth = self.layout.first_offset
        shift = exact_log2(lanes)
        read_at, write_at = Signal(range(depth)), Signal(range(depth))
        m.d.comb += [
            read_at.eq(self.beat + Array(starts)[self.converter]),
            write_at.eq((self.index >> shift) + Array(starts[::KINDS])[self.tile]),
        ]
        read_addr = near(m, "read_addr", read_at)
        write_addr = near(m, "write_addr", write_at)
        values = near(m, "value", self.w_data)
        size = -(-lanes // GROUPS)
        for first in range(0, lanes, size):
            k = group(first, lanes)
            m.submodules[f"memory_{k}"] = memory = Memory(
                shape=data.ArrayLayout(signed(self.layout.adc_offset_bits), size),
                depth=depth,
                init=[],
            )
            read, write = memory.read_port(), memory.write_port(granularity=1)
            m.d.comb += [read.addr.eq(read_addr[k]), write.addr.eq(write_addr[k])]
            for i in range(size):
                m.d.comb += [write.data[i].eq(values[k]), self.o[first + i].eq(read.data[i])]
                m.d.sync += write.en[i].eq(self.w_en & (self.index[:shift] == first + i))
        return m
