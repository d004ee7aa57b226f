# SPDX-License-Identifier: Apache-2.0
"""Results of emulated tiles on their way to the controller."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from golden.hardware import beats
from rtl.tile_port import TilePort

from .decoder import READ
from .layout import TileLayout
from .tiles_layout import KINDS, TilesLayout

__all__ = ["TileOutputs"]


class TileOutput(wiring.Component):
    """Keep the results of one operation until the controller takes them.

    Parameters
    ----------
    layout : TileLayout

    Members
    -------
    codes : ``In(data.ArrayLayout(signed(12), lanes))``, valid : ``In(1)``
        A word of results; there is room for those of one operation.
    read : ``In(1)``
        They are of READ.
    empty : ``Out(1)``
        All results were taken.
    y, r : ``Out``
        See :class:`rtl.tile_port.TilePort`.
    """

    def __init__(self, layout: TileLayout):
        self.layout = layout
        port = TilePort(layout.lanes, layout.transfer_lanes).flip()
        super().__init__({
            "codes": In(data.ArrayLayout(signed(12), layout.lanes)),
            "valid": In(1),
            "read": In(1),
            "empty": Out(1),
            "y": port.members["y"],
            "r": port.members["r"],
        })

    def elaborate(self, platform):
        m = Module()
        layout, lanes, narrow = self.layout, self.layout.lanes, self.layout.transfer_lanes
        m.submodules.fifo = fifo = SyncFIFO(width=12 * lanes + 1, depth=layout.beats)
        codes = data.View(self.codes.shape(), fifo.r_data[:-1])
        is_read = fifo.r_data[-1]
        total = beats(layout.cols, narrow)
        sent, part = Signal(range(total)), Signal(range(lanes // narrow))
        row_over, word_over = Signal(), Signal()
        m.d.comb += [
            fifo.w_data.eq(Cat(self.codes, self.read)),
            fifo.w_en.eq(self.valid),
            self.empty.eq(~fifo.r_rdy),
            self.y.valid.eq(fifo.r_rdy & ~is_read),
            self.r.valid.eq(fifo.r_rdy & is_read),
            self.r.payload.eq(fifo.r_data[:-1].word_select(part, 12 * narrow)),
            row_over.eq(sent == total - 1),
            word_over.eq(row_over | (part == lanes // narrow - 1)),
        ]
        m.d.comb += [self.y.payload[k].eq(codes[k][:8]) for k in range(lanes)]
        with m.If(self.r.valid & self.r.ready):
            m.d.comb += fifo.r_en.eq(word_over)
            m.d.sync += [
                sent.eq(Mux(row_over, 0, sent + 1)),
                part.eq(Mux(word_over, 0, part + 1)),
            ]
        with m.If(self.y.valid & self.y.ready):
            m.d.comb += fifo.r_en.eq(1)
        return m


class TileOutputs(wiring.Component):
    """Keep the results of all tiles.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    codes : ``In(data.ArrayLayout(signed(12), lanes))``, valid : ``In(1)``, converter : ``In``
        A word of results, and which converter it is from.
    tile : ``In``, empty : ``Out(1)``
        Whether all results of this tile were taken.
    y, r : ``Out``, one a tile
        See :class:`rtl.tile_port.TilePort`.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        tiles = len(layout.tiles)
        port = TilePort(layout.lanes, layout.transfer_lanes).flip()
        super().__init__({
            "codes": In(data.ArrayLayout(signed(12), layout.lanes)),
            "valid": In(1),
            "converter": In(range(KINDS * tiles)),
            "tile": In(range(max(2, tiles))),
            "empty": Out(1),
            **{name: port.members[name].array(tiles) for name in ("y", "r")},
        })

    def elaborate(self, platform):
        m = Module()
        outputs = [TileOutput(each) for each in self.layout.tiles]
        m.d.comb += self.empty.eq(Array(output.empty for output in outputs)[self.tile])
        for t, output in enumerate(outputs):
            m.submodules[f"tile_{t}"] = output
            mine = (self.converter >= KINDS * t) & (self.converter < KINDS * (t + 1))
            m.d.comb += [
                output.codes.eq(self.codes),
                output.valid.eq(self.valid & mine),
                output.read.eq(self.converter == KINDS * t + READ),
            ]
            for name in ("y", "r"):
                wiring.connect(m, getattr(output, name), wiring.flipped(getattr(self, name)[t]))
        return m
