# SPDX-License-Identifier: Apache-2.0
"""What the emulated tiles have been given, and whose turn it is."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.tile_port import Command, TileOp, TilePort

from .input import COLUMN, TileInput
from .tiles_layout import TilesLayout

__all__ = ["TileInputs"]


class TileInputs(wiring.Component):
    """Take commands of all tiles, and choose the tile whose command is executed.

    What is told of the tile in turn is a cycle old. A tile is ready when its command is complete.
    A FORWARD may begin with its first codes, but only while no other tile has a command: one that
    waits for its codes must not keep another from the work that makes room for them.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    cmd, x, w : ``In``, one a tile
        See :class:`rtl.tile_port.TilePort`.
    following : ``Out``, tile : ``Out``
        The tile in turn in the next cycle, and in this one. All that follows is of the latter, and
        but for ``rows`` and ``columns`` a cycle late.
    ready : ``Out(1)``
        It has a command that can be executed.
    upcoming : ``Out(4)``, first : ``Out``
        Operation of ``command`` in the next cycle, and with which beat its rows begin.
    command, available, square, squared, flags, row_beat, rows, column_beat, columns, release
        See :class:`fpga.tile.input.TileInput`.
    search : ``In(1)``
        Nothing is executed: if the tile is not ready, choose another that is, or has a command if
        the tile has none.
    claim : ``In(1)``, claimed : ``In``
        Nothing is executed: choose this tile.
    idle : ``Out(1)``
        No tile has a command.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        tiles = len(layout.tiles)
        port = TilePort(layout.lanes, layout.transfer_lanes).flip()
        members = {name: port.members[name] for name in ("cmd", "x", "w")}
        number = range(max(2, tiles))
        super().__init__({
            **{name: member.array(tiles) for name, member in members.items()},
            "following": Out(number),
            "tile": Out(number),
            "ready": Out(1),
            "upcoming": Out(4),
            "command": Out(Command),
            "available": Out(range(layout.beats + 1)),
            "first": Out(range(layout.beats + 1)),
            "square": Out(layout.square_bits),
            "squared": Out(1),
            "flags": Out(layout.words),
            "row_beat": In(range(layout.beats)),
            "rows": Out(data.ArrayLayout(8, layout.lanes)),
            "column_beat": In(range(layout.words)),
            "columns": Out(data.ArrayLayout(COLUMN, layout.lanes)),
            "release": In(1),
            "search": In(1),
            "claim": In(1),
            "claimed": In(number),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        tiles = len(self.layout.tiles)
        inputs = [TileInput(layout) for layout in self.layout.tiles]
        early, ready = Signal(tiles), Signal(tiles)
        for t, given in enumerate(inputs):
            m.submodules[f"tile_{t}"] = given
            for name in ("cmd", "x", "w"):
                wiring.connect(m, wiring.flipped(getattr(self, name)[t]), getattr(given, name))
            others = Cat(other.idle for other in inputs if other is not given)
            m.d.comb += [
                early[t].eq((given.command.op == TileOp.FORWARD) & others.all()),
                ready[t].eq(given.arrived & (given.complete | early[t])),
                given.row_beat.eq(self.row_beat),
                given.column_beat.eq(self.column_beat),
                given.release.eq(self.release & (self.tile == t)),
            ]
        m.d.comb += self.idle.eq(Cat(given.idle for given in inputs).all())

        def of_tile(name):
            return Array(getattr(given, name) for given in inputs)[self.tile]

        operations = Array(given.command.op for given in inputs)
        m.d.comb += [
            self.rows.eq(of_tile("rows")),
            self.columns.eq(of_tile("columns")),
            self.upcoming.eq(operations[self.tile]),
            self.first.eq(of_tile("first")),
        ]
        # Everything hangs on these, so that they are registers.
        names = ("command", "available", "square", "squared", "flags")
        m.d.sync += [getattr(self, name).eq(of_tile(name)) for name in names]
        ready_now, stays = ready.bit_select(self.tile, 1), self.following == self.tile
        m.d.sync += self.ready.eq(ready_now & stays & ~self.release)

        # the next one that is ready, from the present one on
        m.d.comb += self.following.eq(self.tile)
        with m.If(self.claim):
            m.d.comb += self.following.eq(self.claimed)
        with m.Elif(self.release | (self.search & ~self.ready & ~ready_now)):
            with m.Switch(self.tile):
                for t in range(tiles):
                    with m.Case(t):
                        others = [(t + k) % tiles for k in reversed(range(1, tiles))]
                        for other in others:  # it may be ready soon
                            with m.If(inputs[t].idle & ~inputs[other].idle):
                                m.d.comb += self.following.eq(other)
                        for other in others:
                            with m.If(ready[other]):
                                m.d.comb += self.following.eq(other)
        m.d.sync += self.tile.eq(self.following)
        return m
