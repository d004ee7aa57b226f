# SPDX-License-Identifier: Apache-2.0
"""What the emulated tiles have been given, and whose turn it is."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.tile_port import Command, TileOp, TilePort

from .input import COLUMN, PULSES, TileInput
from .tiles_layout import TilesLayout

__all__ = ["TileInputs"]


class TileInputs(wiring.Component):
    """Take commands of all tiles, and choose whose is executed, and whose UPDATE.

    What is told of the tile in turn is a cycle old. A tile is ready when its command is complete.
    A FORWARD may begin with its first code, but only while no other tile has a command that is
    executed in turn: one that waits for its codes must not keep another from the work that makes
    room for them.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    cmd, x, w : ``In``, one a tile
        See :class:`rtl.tile_port.TilePort`.
    following : ``Out``, tile : ``Out``
        The tile in turn in the next cycle, and in this one. All that follows is of the latter, and
        a cycle late but for ``available``, ``first``, and what is of a beat.
    ready : ``Out(1)``
        It has a command that can be executed.
    upcoming : ``Out(4)``, first : ``Out``
        Operation of ``command`` in the next cycle, and with which beat its rows begin.
    command, second, available, square, squared, flags, row_beat, rows, pulsed, untouched,
    column_beat, columns, release
        See :class:`fpga.tile.input.TileInput`.
    search : ``In(1)``
        Nothing is executed: if the tile is not ready, choose another that is, or one that has a
        command, UPDATE aside, if the tile has none.
    claim : ``In(1)``, claimed : ``In``
        Nothing is executed: choose this tile.
    idle : ``Out(1)``
        No tile has a command.
    step_search : ``In(1)``, step_tile : ``Out``, step_ready : ``Out(1)``
        Choose a tile that has an UPDATE; the one that was chosen; it has one. In the cycle after
        ``updated`` none is ready.
    update_first, update_flags, update_row_beat, update_rows, update_word, update_columns, updated
        Of that tile, see :class:`fpga.tile.input.TileInput`; the first two are a cycle late.
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
            "second": Out(1),
            "available": Out(range(layout.beats + 1)),
            "first": Out(range(layout.beats + 1)),
            "square": Out(layout.square_bits),
            "squared": Out(1),
            "flags": Out(layout.words),
            "row_beat": In(range(layout.beats)),
            "rows": Out(data.ArrayLayout(8, layout.lanes)),
            "pulsed": Out(layout.lanes),
            "untouched": Out(layout.lanes),
            "column_beat": In(range(layout.words)),
            "columns": Out(data.ArrayLayout(COLUMN, layout.lanes)),
            "release": In(1),
            "search": In(1),
            "claim": In(1),
            "claimed": In(number),
            "idle": Out(1),
            "step_search": In(1),
            "step_tile": Out(number),
            "step_ready": Out(1),
            "update_first": Out(range(layout.beats + 1)),
            "update_flags": Out(layout.words),
            "update_row_beat": In(range(layout.beats)),
            "update_rows": Out(data.ArrayLayout(2, layout.lanes)),
            "update_word": In(range(layout.words)),
            "update_columns": Out(data.ArrayLayout(PULSES, layout.lanes)),
            "updated": In(1),
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
            others = Cat(other.calm for other in inputs if other is not given)
            m.d.comb += [
                early[t].eq((given.command.op == TileOp.FORWARD) & given.lit & others.all()),
                ready[t].eq(given.arrived & (given.complete | early[t])),
                given.row_beat.eq(self.row_beat),
                given.column_beat.eq(self.column_beat),
                given.release.eq(self.release & (self.tile == t)),
                given.update_row_beat.eq(self.update_row_beat),
                given.update_word.eq(self.update_word),
                given.updated.eq(self.updated & (self.step_tile == t)),
            ]
        m.d.comb += self.idle.eq(Cat(given.idle for given in inputs).all())

        def of(tile, name):
            return Array(getattr(given, name) for given in inputs)[tile]

        operations = Array(given.command.op for given in inputs)
        m.d.comb += [
            *(
                getattr(self, name).eq(of(self.tile, name))
                for name in ("available", "first", "rows", "pulsed", "untouched", "columns")
            ),
            self.upcoming.eq(operations[self.tile]),
            self.update_rows.eq(of(self.step_tile, "update_rows")),
            self.update_columns.eq(of(self.step_tile, "update_columns")),
        ]
        # Everything hangs on these, so that they are registers.
        for tile, names in (
            (self.tile, ("command", "second", "square", "squared", "flags")),
            (self.step_tile, ("update_first", "update_flags")),
        ):
            m.d.sync += [getattr(self, name).eq(of(tile, name)) for name in names]
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
                            with m.If(inputs[t].calm & ~inputs[other].calm):
                                m.d.comb += self.following.eq(other)
                        for other in others:
                            with m.If(ready[other]):
                                m.d.comb += self.following.eq(other)
        m.d.sync += self.tile.eq(self.following)

        # A tile that has an UPDATE. One that nothing waits for is left until those that still come
        # are through: they are of layers below, whose FORWARD comes first.
        with m.If(self.step_search):
            m.d.sync += self.step_ready.eq(0)
            for t, given in reversed(list(enumerate(inputs))):
                others = Cat(other.awaits for other in inputs if other is not given)
                with m.If(given.update & (given.full | ~others.any())):
                    m.d.sync += [self.step_tile.eq(t), self.step_ready.eq(1)]
        with m.If(self.updated):
            m.d.sync += self.step_ready.eq(0)
        return m
