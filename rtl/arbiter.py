# SPDX-License-Identifier: Apache-2.0
"""Tile port arbiter: several tiles at once, each with its own transfer unit."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .sender import masked
from .tile_port import Beat, Command

__all__ = ["Broadcast", "TileArbiter"]


class Broadcast(wiring.Component):
    """Send each payload to all tiles of its mask; each takes it when it can.

    Combinational; a payload is taken when its last tile takes it.

    Parameters
    ----------
    shape : Shape
    tiles : int

    Members
    -------
    i : ``In(stream.Signature(masked(shape, tiles)))``
    o : ``Out(stream.Signature(shape))``, one a tile
    """

    def __init__(self, shape, tiles):
        self.tiles = tiles
        super().__init__({
            "i": In(stream.Signature(masked(shape, tiles))),
            "o": Out(stream.Signature(shape)).array(tiles),
        })

    def elaborate(self, platform):
        m = Module()
        taken = Signal(self.tiles)
        takes = Cat(o.valid & o.ready for o in self.o)
        for t in range(self.tiles):
            m.d.comb += [
                self.o[t].payload.eq(self.i.p.payload),
                self.o[t].valid.eq(self.i.valid & self.i.p.mask[t] & ~taken[t]),
            ]
        m.d.comb += self.i.ready.eq((self.i.p.mask & ~(taken | takes)) == 0)
        # Without valid nobody takes anything, and nobody has: what is offered stays.
        m.d.sync += taken.eq(Mux(self.i.ready, 0, taken | takes))
        return m


class TileArbiter(wiring.Component):
    """Give each tile's command stream to the sender or to the tile's transfer unit.

    Combinational.

    Parameters
    ----------
    lanes, tiles : int

    Members
    -------
    transfer : ``In(1)``
        The transfer units have the tiles. Not while a command is offered.
    cmd : ``In(stream.Signature(masked(Command, tiles)))``
    x : ``In(stream.Signature(masked(Beat(signed(8), lanes), tiles)))``
    units : ``In(stream.Signature(Command))``, one a tile
        Commands of the transfer units.
    tiles : ``Out(stream.Signature(Command))``, ``xs`` : ``Out(stream.Signature(Beat))``
        To the tiles' ports, one each.
    waiting : ``Out(tiles)``
        Tiles that something is offered to but that do not take it.
    """

    def __init__(self, lanes, tiles):
        self.lanes, self.count = lanes, tiles
        beat = Beat(signed(8), lanes)
        super().__init__({
            "transfer": In(1),
            "cmd": In(stream.Signature(masked(Command, tiles))),
            "x": In(stream.Signature(masked(beat, tiles))),
            "units": In(stream.Signature(Command)).array(tiles),
            "tiles": Out(stream.Signature(Command)).array(tiles),
            "xs": Out(stream.Signature(beat)).array(tiles),
            "waiting": Out(tiles),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.cmd = cmd = Broadcast(Command, self.count)
        m.submodules.x = x = Broadcast(Beat(signed(8), self.lanes), self.count)
        wiring.connect(m, wiring.flipped(self.cmd), cmd.i)
        wiring.connect(m, wiring.flipped(self.x), x.i)
        waiting = []
        for t in range(self.count):
            wiring.connect(m, x.o[t], wiring.flipped(self.xs[t]))
            source, unit = cmd.o[t], self.units[t]
            tile = self.tiles[t]
            m.d.comb += [
                tile.payload.eq(
                    Mux(self.transfer, unit.payload.as_value(), source.payload.as_value())
                ),
                tile.valid.eq(Mux(self.transfer, unit.valid, source.valid)),
                source.ready.eq(tile.ready & ~self.transfer),
                unit.ready.eq(tile.ready & self.transfer),
            ]
            waiting.append((tile.valid & ~tile.ready) | (x.o[t].valid & ~x.o[t].ready))
        m.d.comb += self.waiting.eq(Cat(waiting))
        return m
