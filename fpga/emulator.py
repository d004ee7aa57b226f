# SPDX-License-Identifier: Apache-2.0
"""The emulator: the controller of a chip, and tiles in logic at its ports."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.axi import AxiLite, AxiStream
from rtl.controller import ChipController, host_bytes

from .tile.layout import Plane, TileLayout
from .tile.tiles import EmulatedTiles
from .tile.tiles_layout import TilesLayout

__all__ = ["TILE_BASE", "Emulator", "layouts", "tile_address"]

#: Byte address of the first tile's memory; the controller's registers lie below.
TILE_BASE = 1 << 28
#: log2 of the bytes of a plane, and of a tile.
_PLANE, _TILE = 20, 23


def tile_address(tile: int, plane: Plane, index: int = 0) -> int:
    """Byte address of a word of a tile's memory."""
    return TILE_BASE + (tile << _TILE) + (int(plane) << _PLANE) + 4 * int(index)


def layouts(chip: ChipConfig, hw: ControllerConfig) -> list[TileLayout]:
    """Layouts of the tiles of a chip, in the order of the controller's ports."""
    out = []
    for layer in range(len(chip.layers) - 1):
        rows, cols = chip.grid(layer)
        for r0, r1 in pairwise(rows):
            for c0, c1 in pairwise(cols):
                out.append(
                    TileLayout(
                        r1 - r0,
                        c1 - c0,
                        chip.tile,
                        chip.forward_shift[layer],
                        chip.backward_shift[layer],
                        hw.lanes,
                        hw.transfer_lanes,
                    )
                )
    return out


class Emulator(wiring.Component):
    """A chip in logic behind one bus.

    The memory of tile ``t`` lies at :func:`tile_address`, the registers of the controller at 0. A
    tile answers when it has no command. A word that its memory does not have may be another one of
    the tiles': a host must keep to :meth:`fpga.tile.layout.TileLayout.image`.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig

    Members
    -------
    bus : ``In(AxiLite(32))``
        One access at a time. Where there is neither a register nor a tile, the answer is SLVERR.
    examples, goals, results, irq
        See :class:`rtl.controller.ChipController`.
    """

    def __init__(self, chip: ChipConfig, hw: ControllerConfig):
        self.chip, self.hw = chip, hw
        self.layouts = layouts(chip, hw)
        self.tiles_layout = TilesLayout(tuple(self.layouts))
        super().__init__({
            "bus": In(AxiLite(32)),
            "examples": In(AxiStream(host_bytes(hw.lanes))),
            "goals": In(AxiStream(2)),
            "results": Out(AxiStream(4)),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = ChipController(self.hw)
        for name in ("examples", "goals", "results"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(controller, name))
        m.d.comb += self.irq.eq(controller.irq)
        m.submodules.tiles = tiles = EmulatedTiles(self.tiles_layout)
        for t in range(len(self.layouts)):
            wiring.connect(m, controller.tiles[t], tiles.tiles[t])
        m.d.comb += tiles.forget.eq(controller.abandon)

        bus, inner = self.bus, controller.bus
        address, data, write = Signal(32), Signal(32), Signal()
        narrow = len(inner.awaddr)
        in_controller = ~address[narrow:].any()
        number = address[_TILE:28]
        in_tiles = (address[28:] == TILE_BASE >> 28) & (number < len(self.layouts))
        m.d.comb += [
            inner.awaddr.eq(address),
            inner.araddr.eq(address),
            inner.wdata.eq(data),
            inner.wstrb.eq(15),
            inner.bready.eq(1),
            inner.rready.eq(1),
        ]
        m.d.comb += [
            tiles.host.write.eq(write),
            tiles.host.tile.eq(number),
            tiles.host.plane.eq(address[_PLANE:_TILE]),
            tiles.host.index.eq(address[2:_PLANE]),
            tiles.host.w_data.eq(data),
        ]

        def respond(error, word=0):
            m.d.sync += [
                bus.bvalid.eq(write),
                bus.rvalid.eq(~write),
                bus.bresp.eq(Mux(error, 2, 0)),
                bus.rresp.eq(Mux(error, 2, 0)),
                bus.rdata.eq(word),
            ]
            m.next = "RESPOND"

        with m.FSM():
            with m.State("IDLE"):
                with m.If(bus.awvalid & bus.wvalid):
                    m.d.comb += [bus.awready.eq(1), bus.wready.eq(1)]
                    m.d.sync += [address.eq(bus.awaddr), data.eq(bus.wdata), write.eq(1)]
                    m.next = "DECODE"
                with m.Elif(bus.arvalid):
                    m.d.comb += bus.arready.eq(1)
                    m.d.sync += [address.eq(bus.araddr), write.eq(0)]
                    m.next = "DECODE"
            with m.State("DECODE"):
                with m.If(in_controller):
                    m.next = "CONTROLLER"
                with m.Elif(in_tiles):
                    m.next = "TILE"
                with m.Else():
                    respond(1)
            with m.State("CONTROLLER"):
                aw, w = Signal(), Signal()  # were taken
                m.d.comb += [
                    inner.awvalid.eq(write & ~aw),
                    inner.wvalid.eq(write & ~w),
                    inner.arvalid.eq(~write & ~aw),
                ]
                with m.If((inner.awvalid & inner.awready) | (inner.arvalid & inner.arready)):
                    m.d.sync += aw.eq(1)
                with m.If(inner.wvalid & inner.wready):
                    m.d.sync += w.eq(1)
                with m.If(inner.bvalid | inner.rvalid):
                    m.d.sync += [aw.eq(0), w.eq(0)]
                    respond(Mux(write, inner.bresp, inner.rresp).any(), inner.rdata)
            with m.State("TILE"):
                m.d.comb += tiles.host.valid.eq(1)
                with m.If(tiles.host.ready):
                    respond(0, tiles.host.r_data)
            with m.State("RESPOND"):
                with m.If(Mux(write, bus.bready, bus.rready)):
                    m.d.sync += [bus.bvalid.eq(0), bus.rvalid.eq(0)]
                    m.next = "IDLE"
        return m
