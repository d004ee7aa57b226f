# SPDX-License-Identifier: Apache-2.0
"""What an emulated tile has been given: the command that it executes, and the next one."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.skid import Skid
from rtl.tile_port import Command, TileOp, TilePort

from .layout import TileLayout
from .squares import Squares

__all__ = ["COLUMN", "PULSES", "TileInput"]

#: Bits of a column: a code or a count of pulses, or a pair of PROGRAM codes.
COLUMN = 14
#: Bits of a count of pulses, signed.
PULSES = 6


class TileInput(wiring.Component):
    """Take commands and their vectors into two banks.

    The older one is executed, and with an UPDATE a FORWARD that is behind it: cells are stepped
    and multiplied by different parts. What is told of them is a cycle old, or of what is left in
    the cycle after ``release`` or ``updated``.

    Parameters
    ----------
    layout : TileLayout

    Members
    -------
    cmd, x, w : ``In``
        See :class:`rtl.tile_port.TilePort`.
    command : ``Out(Command)``, arrived : ``Out(1)``, second : ``Out(1)``
        What to execute but for UPDATE, whether there is anything, and whether it is behind an
        UPDATE; ``lit``, ``complete``, ``available``, ``first``, ``square``, ``squared``, ``flags``,
        ``rows`` and ``columns`` are of it.
    idle : ``Out(1)``, calm : ``Out(1)``
        There is no command in either bank, or none but UPDATE, as of now.
    lit : ``Out(1)``, complete : ``Out(1)``
        A code of its rows that is not zero has arrived; all of its vectors have.
    available : ``Out``
        Beats of rows that have arrived.
    first : ``Out``
        A beat of rows: those before it have no code that is not zero.
    square : ``Out``, squared : ``Out(1)``
        Sum of the squares of the codes of FORWARD and BACKWARD, when it is known.
    flags : ``Out(layout.words)``
        Words of the columns with a code that is not zero.
    row_beat : ``In``, rows : ``Out(data.ArrayLayout(8, lanes))``
    pulsed : ``Out(lanes)``, untouched : ``Out(lanes)``
        Which rows of ``row_beat`` have a pulse of the UPDATE before it, and which have none; both
        are 0 if it is executed by now.
    column_beat : ``In``, columns : ``Out(data.ArrayLayout(COLUMN, lanes))``
        Asynchronous read ports of the vectors.
    release : ``In(1)``
        It is executed; not while ``second``.
    update : ``Out(1)``, updated : ``In(1)``
        The older command is an UPDATE that is complete; it is executed.
    awaits : ``Out(1)``, full : ``Out(1)``
        There is an UPDATE that is not complete; both banks are in use.
    update_first, update_flags, update_row_beat, update_rows, update_word, update_columns
        The same of an UPDATE.
    """

    def __init__(self, layout: TileLayout):
        self.layout = layout
        port = TilePort(layout.lanes, layout.transfer_lanes).flip()
        super().__init__({
            **{name: port.members[name] for name in ("cmd", "x", "w")},
            "command": Out(Command),
            "arrived": Out(1),
            "second": Out(1),
            "idle": Out(1),
            "calm": Out(1),
            "lit": Out(1),
            "complete": Out(1),
            "available": Out(range(layout.row_beats + 1)),
            "first": Out(range(layout.row_beats + 1)),
            "square": Out(layout.square_bits),
            "squared": Out(1),
            "flags": Out(layout.words),
            "row_beat": In(range(layout.row_beats)),
            "rows": Out(data.ArrayLayout(8, layout.lanes)),
            "pulsed": Out(layout.lanes),
            "untouched": Out(layout.lanes),
            "column_beat": In(range(layout.words)),
            "columns": Out(data.ArrayLayout(COLUMN, layout.lanes)),
            "release": In(1),
            "update": Out(1),
            "updated": In(1),
            "awaits": Out(1),
            "full": Out(1),
            "update_first": Out(range(layout.row_beats + 1)),
            "update_flags": Out(layout.words),
            "update_row_beat": In(range(layout.row_beats)),
            "update_rows": Out(data.ArrayLayout(2, layout.lanes)),
            "update_word": In(range(layout.words)),
            "update_columns": Out(data.ArrayLayout(PULSES, layout.lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        layout, lanes, narrow = self.layout, self.layout.lanes, self.layout.transfer_lanes
        fill, oldest, chosen = Signal(), Signal(), Signal()  # the last one is that of ``command``
        commands = Array(Signal(Command, name=f"command_{i}") for i in range(2))
        available = Array(Signal.like(self.available, name=f"available_{i}") for i in range(2))
        first = Array(Signal.like(self.first, name=f"first_{i}") for i in range(2))
        squares = Array(Signal.like(self.square, name=f"square_{i}") for i in range(2))
        flags = Array(Signal(layout.words, name=f"flags_{i}") for i in range(2))
        used, complete, squared = Signal(2), Signal(2), Signal(2)
        updates, forwards = Signal(2), Signal(2)  # their operations

        # A beat comes from far: it is kept in a register, and which of its codes are not zero. Who
        # sends it learns from a register, too, that it is taken.
        lit, dark_beat = Signal(lanes), Signal()
        x = stream.Signature(self.x.payload.shape()).create()
        opened = Signal()  # nothing is taken while all of this is being reset
        m.d.sync += opened.eq(1)
        m.submodules.skid = skid = Skid(self.x.payload.shape())
        m.d.comb += [
            skid.i.valid.eq(self.x.valid & opened),
            skid.i.payload.eq(self.x.payload),
            self.x.ready.eq(skid.i.ready & opened),
            skid.o.ready.eq(~x.valid | x.ready),
        ]
        with m.If(skid.o.ready):
            m.d.sync += [x.valid.eq(skid.o.valid), x.payload.eq(skid.o.payload)]
            m.d.sync += lit.eq(Cat(code.any() for code in skid.o.p.data))
            m.d.sync += dark_beat.eq(~skid.o.p.data.as_value().any() & ~skid.o.p.last)

        # --- the vectors: rows a beat a word, columns with a write enable for every narrow beat
        row_bits = (layout.row_beats - 1).bit_length()
        col_bits = (layout.words - 1).bit_length()
        m.submodules.rows = rows = Memory(shape=8 * lanes, depth=2 << row_bits, init=[])
        m.submodules.columns = columns = Memory(shape=COLUMN * lanes, depth=2 << col_bits, init=[])
        row_write, col_write = rows.write_port(), columns.write_port(granularity=COLUMN * narrow)
        # The same of an UPDATE, but only the bits that count: of a row, -1, 0 or 1, these are two.
        m.submodules.signs = signs = Memory(shape=2 * lanes, depth=2 << row_bits, init=[])
        m.submodules.pulses = pulses = Memory(shape=PULSES * lanes, depth=2 << col_bits, init=[])
        sign_write, pulse_write = signs.write_port(), pulses.write_port()
        for memory, bits, beat, bank, out in (
            (rows, row_bits, self.row_beat, chosen, self.rows),
            (signs, row_bits, self.update_row_beat, oldest, self.update_rows),
            (columns, col_bits, self.column_beat, chosen, self.columns),
            (pulses, col_bits, self.update_word, oldest, self.update_columns),
        ):
            read = memory.read_port(domain="comb")
            m.d.comb += [read.addr.eq(Cat(beat[:bits], bank)), out.eq(read.data)]

        sign_read, pulsed = signs.read_port(domain="comb"), Signal(lanes)
        m.d.comb += [
            sign_read.addr.eq(Cat(self.row_beat[:row_bits], oldest)),
            pulsed.eq(sign_read.data[::2]),
            self.pulsed.eq(Mux(self.second, pulsed, 0)),
            self.untouched.eq(Mux(self.second, ~pulsed, 0)),
        ]

        at = Signal(range(max(layout.row_beats, layout.words * lanes // narrow)))
        parts = exact_log2(lanes // narrow)  # narrow beats of a word, log2
        word = Signal(range(layout.words))
        converts, counts = Signal(), Signal()  # of the command whose vectors come
        m.d.comb += [
            row_write.addr.eq(Cat(at[:row_bits], fill)),
            col_write.addr.eq(Cat(word[:col_bits], fill)),
            sign_write.addr.eq(row_write.addr),
            sign_write.en.eq(row_write.en),
            pulse_write.addr.eq(col_write.addr),
            pulse_write.en.eq(col_write.en.any()),
        ]
        m.submodules.squares = square = Squares(lanes, layout.square_bits)
        codes = Signal(data.ArrayLayout(8, lanes))  # 0 beyond the end of the vector
        m.d.comb += [
            row_write.data.eq(codes),
            sign_write.data.eq(Cat(Cat(code[0], code[-1]) for code in codes)),
            pulse_write.data.eq(Cat(code[:PULSES] for code in codes)),
            square.codes.eq(codes),
            square.last.eq(x.p.last),
        ]
        on_rows, known = Signal(), Signal(lanes)
        # In this cycle comes the first code that is not zero; the end of a vector of BACKWARD, who
        # has more to do than others before it looks at it.
        lights, completes = Signal(), Signal()
        for k in range(lanes):
            in_rows, in_cols = (k < (n - 1) % lanes + 1 for n in (layout.rows, layout.cols))
            there = ~x.p.last | Mux(on_rows, in_rows, in_cols)
            m.d.comb += [codes[k].eq(Mux(there, x.p.data[k], 0)), known[k].eq(there & lit[k])]

        stores, some = Signal(), Signal()  # columns; the beat has a code that is not zero
        darks = Signal(2)  # no code of the rows was other than zero
        dark = darks.bit_select(fill, 1)
        # Whether there is a beat comes late: it is noted a cycle later, before anybody looks.
        noted, noted_word, noted_in = Signal(), Signal.like(word), Signal()
        m.d.sync += [noted.eq(stores & some), noted_word.eq(word), noted_in.eq(fill)]
        with m.If(noted):
            m.d.sync += flags[noted_in].eq(flags[noted_in] | (1 << noted_word))

        def finish():
            m.d.sync += [fill.eq(~fill), complete.bit_select(fill, 1).eq(1)]

        with m.FSM():
            with m.State("COMMAND"):
                m.d.comb += self.cmd.ready.eq(opened & ~used.bit_select(fill, 1))
                with m.If(self.cmd.valid & self.cmd.ready):
                    m.d.comb += square.clear.eq(1)
                    m.d.sync += [
                        commands[fill].eq(self.cmd.payload),
                        available[fill].eq(0),
                        first[fill].eq(0),
                        dark.eq(1),
                        flags[fill].eq(0),
                        at.eq(0),
                        used.bit_select(fill, 1).eq(1),
                        updates.bit_select(fill, 1).eq(self.cmd.p.op == TileOp.UPDATE),
                        forwards.bit_select(fill, 1).eq(self.cmd.p.op == TileOp.FORWARD),
                        squared.bit_select(fill, 1).eq(0),
                        converts.eq(
                            (self.cmd.p.op == TileOp.FORWARD) | (self.cmd.p.op == TileOp.BACKWARD)
                        ),
                        counts.eq(self.cmd.p.op == TileOp.TUNE),
                    ]
                    with m.Switch(self.cmd.p.op):
                        with m.Case(TileOp.FORWARD, TileOp.UPDATE):
                            m.next = "ROWS"
                        with m.Case(TileOp.BACKWARD):
                            m.next = "COLUMNS"
                        with m.Case(TileOp.PROGRAM, TileOp.TUNE):
                            m.next = "NARROW"
                        with m.Default():
                            finish()

            with m.State("ROWS"):
                m.d.comb += on_rows.eq(1)
                m.d.comb += x.ready.eq(square.ready | ~converts | dark_beat)
                with m.If(dark):
                    m.d.sync += first[fill].eq(at)
                with m.If(x.valid & x.ready):
                    m.d.comb += [row_write.en.eq(1), square.take.eq(converts & ~dark_beat)]
                    m.d.sync += [at.eq(at + 1), available[fill].eq(at + 1)]
                    m.d.comb += lights.eq(known.any())
                    m.d.sync += dark.eq(dark & ~known.any())
                    with m.If(x.p.last):
                        m.d.sync += at.eq(0)
                        m.next = "COLUMNS"
                        with m.If(converts):
                            m.next = "SQUARES"

            with m.State("COLUMNS"):
                m.d.comb += [
                    word.eq(at),
                    some.eq(known.any()),
                    x.ready.eq(square.ready | ~converts),
                    col_write.data.eq(Cat(Cat(code, C(0, COLUMN - 8)) for code in codes)),
                ]
                with m.If(x.valid & x.ready):
                    m.d.comb += [
                        stores.eq(1),
                        col_write.en.eq(-1),
                        square.take.eq(converts),
                    ]
                    m.d.sync += at.eq(at + 1)
                    with m.If(x.p.last):
                        with m.If(converts):  # BACKWARD may begin
                            m.d.comb += completes.eq(1)
                            m.d.sync += complete.bit_select(fill, 1).eq(1)
                            m.next = "SQUARES"
                        with m.Else():
                            finish()
                            m.next = "COMMAND"

            with m.State("SQUARES"):
                with m.If(square.done):
                    finish()
                    m.d.sync += [
                        squares[fill].eq(square.sum),
                        squared.bit_select(fill, 1).eq(1),
                    ]
                    m.next = "COMMAND"

            with m.State("NARROW"):
                # a count of pulses is kept as a code of 8 bits
                pairs = Cat(
                    Cat(pair.plus, Mux(counts, pair.plus[-1], pair.minus[0]), pair.minus[1:])
                    for pair in self.w.p.data
                )
                m.d.comb += [
                    word.eq(at >> parts),
                    some.eq(self.w.p.data.as_value().any()),
                    self.w.ready.eq(1),
                    stores.eq(self.w.valid),
                    col_write.data.eq(pairs.replicate(1 << parts)),
                    col_write.en.eq(Mux(self.w.valid, 1 << (at[:parts] if parts else C(0, 1)), 0)),
                ]
                with m.If(self.w.valid):
                    m.d.sync += at.eq(at + 1)
                    with m.If(self.w.p.last):
                        finish()
                        m.next = "COMMAND"

        # What is executed is looked up a cycle ahead, so that it is decoded from registers. What it
        # waits for is seen as it comes.
        ends, next_oldest, next_chosen = Signal(), Signal(), Signal()
        there, updating, behind, filling = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            ends.eq(self.release | self.updated),  # the oldest one, in either case
            next_oldest.eq(oldest ^ ends),
            there.eq(used.bit_select(next_oldest, 1)),
            updating.eq(there & updates.bit_select(next_oldest, 1)),
            behind.eq(~ends & used.bit_select(~oldest, 1) & forwards.bit_select(~oldest, 1)),
            next_chosen.eq(next_oldest ^ updating),
            filling.eq(fill == next_chosen),
            self.idle.eq(~used.any()),
            self.calm.eq(~(used & ~updates).any()),
        ]
        with m.If(ends):
            m.d.sync += [
                used.bit_select(oldest, 1).eq(0),
                complete.bit_select(oldest, 1).eq(0),
            ]
        m.d.sync += [
            oldest.eq(next_oldest),
            chosen.eq(next_chosen),
            self.command.eq(commands[next_chosen]),
            self.arrived.eq(Mux(updating, behind, there)),
            self.second.eq(updating),
            self.lit.eq(~darks.bit_select(next_chosen, 1) | (lights & filling)),
            self.complete.eq(complete.bit_select(next_chosen, 1) | (completes & filling)),
            self.available.eq(available[next_chosen]),
            self.first.eq(Mux(filling & on_rows & dark, at, first[next_chosen])),
            self.square.eq(squares[next_chosen]),
            self.squared.eq(squared.bit_select(next_chosen, 1)),
            self.flags.eq(flags[next_chosen]),
            self.update.eq(updating & complete.bit_select(next_oldest, 1)),
            self.awaits.eq((used & updates & ~complete).any()),
            self.full.eq(used.all() & ~ends),
            self.update_first.eq(first[next_oldest]),
            self.update_flags.eq(flags[next_oldest]),
        ]
        return m
