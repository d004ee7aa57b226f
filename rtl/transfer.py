# SPDX-License-Identifier: Apache-2.0
"""The transfer unit: rewrites a tile row by row."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from analog_models.config import check

from .reduce import add_tree, or_tree
from .tile_port import Beat, Command, TileOp, program_lane
from .transfer_lane import Cell, Step, TransferLane, TransferRegisters, goal_shape, pulse_shape

__all__ = ["TransferUnit"]

#: What a step asks of the tile.
OPERATION = {
    Step.OLD: TileOp.POLARITY,
    Step.GOAL: TileOp.READ,
    Step.NEW: TileOp.POLARITY,
    Step.INIT: TileOp.INIT,
    Step.ERASE: TileOp.PROGRAM,
    Step.LEFT: TileOp.READ,
    Step.SET: TileOp.PROGRAM,
    Step.VERIFY: TileOp.READ,
    Step.RETRY: TileOp.PROGRAM,
    Step.TUNE: TileOp.TUNE,
    Step.TUNED: TileOp.READ,
}
#: What comes after a step, unless the readings decide.
FOLLOWS = {
    Step.OLD: Step.GOAL,
    Step.GOAL: Step.NEW,
    Step.INIT: Step.ERASE,
    Step.ERASE: Step.LEFT,
    Step.LEFT: Step.SET,
    Step.SET: Step.VERIFY,
    Step.RETRY: Step.SET,
    Step.TUNE: Step.TUNED,
}


class TransferUnit(wiring.Component):
    """Move the weights of one tile into its phase-change devices.

    Golden: :func:`golden.transfer.transfer_row` for rows 0, 1, ...: the same operations in the
    same order. A row of ``B = ceil(cols / lanes)`` beats takes

        ``2 * (2 + capacitor) + (B + 5) * (3 * shots + 2 * rounds + 2)``

    cycles plus those in which ``waiting`` is 1, with 1 .. retries + 1 ``shots`` and
    0 .. tune_rounds ``rounds``. With goals from the host it takes ``B + 7`` less, and ``cols``
    plus those in which it waits for ``goals``.

    Parameters
    ----------
    lanes : int, a power of two
        Codes in a beat of ``w`` and ``r``.
    cols, rows : int, 1..512
        Lines of the largest tile.

    Members
    -------
    start : ``In(1)``
        Pulse: transfer a tile and count from 0. Ignored while ``busy``.
    busy : ``Out(1)``
        From the cycle after ``start`` until the last reading was taken and judged. ``from_host``,
        ``rows``, ``cols``, ``config`` and the table must not change meanwhile.
    from_host : ``In(1)``
        Program the weights that come from ``goals`` instead of those that the tile has.
    rows, cols : ``In(10)``
        Lines of the tile, 1 .. those of the largest.
    config : ``In(TransferRegisters)``
    table_addr, table_data, table_en : ``In``
        Write port of the table: SET code for a target of ``addr * 8 ..`` read codes.
    goals : ``In(stream.Signature(goal_shape))``
        Row by row, ``cols`` codes each, no padding.
    cmd, w, r
        Of :class:`rtl.tile_port.TilePort`. Lanes beyond ``cols`` of ``w`` are 0, those of ``r``
        do not matter.
    waiting : ``Out(1)``, combinational
        The tile could go on, but does not: it takes no command or beat, or gives none.
    set_shots, tune_pulses, failed : ``Out(32)``, error_sq : ``Out(48)``
        Sums since ``start``: SET shots, capacitor pulses, and, of the rows that are done, weights
        that are further off than ``fail_tolerance`` and squares of the errors in read codes.
    """

    def __init__(self, lanes, cols, rows):
        check(lanes > 0 and lanes & (lanes - 1) == 0, "lanes", "a power of two", lanes)
        check(1 <= cols <= 512, "cols", "within 1..512", cols)
        check(1 <= rows <= 512, "rows", "within 1..512", rows)
        # a name of its own for what is a port, too
        self.lanes, self.max_cols, self.max_rows = lanes, cols, rows
        super().__init__({
            "start": In(1),
            "busy": Out(1),
            "from_host": In(1),
            "rows": In(10),
            "cols": In(10),
            "config": In(TransferRegisters),
            "table_addr": In(8),
            "table_data": In(7),
            "table_en": In(1),
            "goals": In(stream.Signature(goal_shape)),
            "cmd": Out(stream.Signature(Command)),
            "w": Out(stream.Signature(Beat(program_lane, lanes))),
            "r": In(stream.Signature(data.ArrayLayout(signed(12), lanes))),
            "waiting": Out(1),
            "set_shots": Out(32),
            "tune_pulses": Out(32),
            "error_sq": Out(48),
            "failed": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, config = self.lanes, self.config
        depth = -(-self.max_cols // lanes)
        bits = (lanes - 1).bit_length()

        row, step, op = Signal(range(self.max_rows)), Signal(Step), Signal(TileOp)
        column = Signal(range(self.max_cols))  # of the goal that comes from the host
        attempt, rounds = Signal.like(config.retries), Signal.like(config.tune_rounds)
        final = Signal(10)  # the last column
        reads, sends = Signal(), Signal()
        with m.Switch(step):
            for s, operation in OPERATION.items():
                with m.Case(s):
                    m.d.comb += op.eq(operation)
        m.d.comb += [
            final.eq(self.cols - 1),
            reads.eq(op == TileOp.READ),
            sends.eq((op == TileOp.PROGRAM) | (op == TileOp.TUNE)),
        ]

        # a beat enters; each move takes it to the next of the three stages of the lanes
        place = data.StructLayout({"valid": 1, "beat": range(depth), "last": 1})
        stages = entry, one, two, three = [Signal(place, name=f"stage_{k}") for k in range(4)]
        beat, move, enters = Signal(range(depth)), Signal(), Signal()
        m.d.comb += [
            entry.beat.eq(beat),
            entry.last.eq(beat == final[bits:]),
            move.eq(~self.w.valid | self.w.ready),
            enters.eq(entry.valid & move),
        ]
        codes = Signal.like(self.r.payload)
        row_phase, phase = Signal(4), Signal(4)  # of the dither: of the row, of stage 3
        m.d.sync += row_phase.eq(row + (config.transfers << 2) + config.transfers)
        with m.If(move):
            m.d.sync += [b.eq(a) for a, b in pairwise(stages)]
            m.d.sync += [codes.eq(self.r.payload), phase.eq(row_phase + two.beat * lanes)]
        with m.If(enters):
            m.d.sync += beat.eq(beat + 1)

        # what a row remembers; only a READ writes, and nothing stalls a READ within the stages
        def remember(name, shape, where, when, **kwargs):
            memory = Memory(shape=data.ArrayLayout(shape, lanes), depth=depth, init=[])
            m.submodules[name] = memory
            read, write = memory.read_port(), memory.write_port(**kwargs)
            written = where.valid & or_tree(step == s for s in when)
            m.d.comb += [
                read.addr.eq(beat),
                read.en.eq(move),
                write.addr.eq(where.beat),
                write.en.eq(written.replicate(len(write.en))),
            ]
            return read.data, write

        goal, goal_write = remember("goal", goal_shape, three, [Step.GOAL], granularity=1)
        cell, cell_write = remember("cell", Cell, two, [Step.LEFT, Step.VERIFY])
        pulses, pulses_write = remember("pulses", pulse_shape, three, [Step.VERIFY, Step.TUNED])

        units = [TransferLane() for _ in range(lanes)]
        for k, unit in enumerate(units):
            m.submodules[f"lane_{k}"] = unit
            m.submodules[f"table_{k}"] = table = Memory(shape=7, depth=256, init=[])
            table_read, table_write = table.read_port(), table.write_port()
            m.d.comb += [
                table_write.addr.eq(self.table_addr),
                table_write.data.eq(self.table_data),
                table_write.en.eq(self.table_en),
                table_read.addr.eq(unit.index),
                table_read.en.eq(move),
                unit.config.eq(config),
                unit.step.eq(step),
                unit.move.eq(move),
                unit.used.eq(~one.last | (final[:bits] >= k if k else 1)),
                unit.code.eq(codes[k]),
                unit.goal.eq(goal[k]),
                unit.cell.eq(cell[k]),
                unit.pulses.eq(pulses[k]),
                unit.duration.eq(table_read.data),
                unit.phase.eq(phase + k),
                goal_write.data[k].eq(unit.goal_next),
                cell_write.data[k].eq(unit.cell_next),
                pulses_write.data[k].eq(unit.pulses_next),
                self.w.p.data[k].eq(unit.w),
            ]

        # what the last reading adds up to, and what was spent
        missed, tunes = Signal(), Signal()
        more = Signal(lanes)  # columns of the beat before for which pulses are left
        m.d.sync += more.eq(Cat(three.valid & u.pulses_next.any() for u in units))
        m.d.sync += tunes.eq(tunes | more.any())
        row_sq, row_failed = Signal(26 + 9), Signal(range(self.max_cols + 1))
        with m.If(two.valid):
            m.d.sync += missed.eq(missed | or_tree(u.cell_next.todo for u in units))
        with m.If(three.valid):
            m.d.sync += [
                row_sq.eq(row_sq + add_tree(u.square for u in units)),
                row_failed.eq(row_failed + add_tree(u.failed for u in units)),
            ]
        # Three registers from the tile's answer to the sums: it is long before their end, and the
        # step holds for the first two.
        spent = [Signal.like(u.spent, name=f"spent_{k}") for k, u in enumerate(units)]
        sent, total = Signal(), add_tree(spent)
        shots, tuned = Signal.like(total), Signal.like(total)
        m.d.sync += [s.eq(u.spent) for s, u in zip(spent, units, strict=True)]
        m.d.sync += [
            sent.eq(self.w.valid & self.w.ready),
            shots.eq(Mux(sent & (step == Step.SET), total, 0)),
            tuned.eq(Mux(sent & (step == Step.TUNE), total, 0)),
            self.set_shots.eq(self.set_shots + shots),
            self.tune_pulses.eq(self.tune_pulses + tuned),
        ]

        def begin_row():
            m.d.sync += [step.eq(Step.OLD), attempt.eq(0), rounds.eq(0)]
            m.next = "COMMAND"
            with m.If(self.from_host):
                m.next = "LOAD"

        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [row.eq(0), self.set_shots.eq(0), self.tune_pulses.eq(0)]
                    m.d.sync += [self.error_sq.eq(0), self.failed.eq(0)]
                    begin_row()

            with m.State("LOAD"):
                m.d.comb += [
                    self.goals.ready.eq(1),
                    goal_write.addr.eq(column[bits:]),
                    goal_write.en.eq(self.goals.valid << column[:bits]),
                ]
                m.d.comb += [goal_write.data[k].eq(self.goals.payload) for k in range(lanes)]
                with m.If(self.goals.valid):
                    m.d.sync += column.eq(column + 1)
                    with m.If(column == final):
                        m.d.sync += [column.eq(0), step.eq(Step.NEW)]
                        m.next = "COMMAND"

            with m.State("COMMAND"):
                m.d.comb += self.cmd.valid.eq(1)
                m.d.sync += [beat.eq(0), missed.eq(0), tunes.eq(0)]
                m.d.sync += [row_sq.eq(0), row_failed.eq(0)]
                with m.If(self.cmd.ready):
                    m.next = "JUDGE"
                    with m.If(reads | sends):
                        m.next = "VECTOR"

            with m.State("VECTOR"):
                m.d.comb += [self.r.ready.eq(reads), entry.valid.eq(~reads | self.r.valid)]
                with m.If(enters & entry.last):
                    m.next = "DRAIN"

            with m.State("DRAIN"):
                with m.If(three.valid & three.last & move):
                    m.next = "JUDGE"

            with m.State("JUDGE"):
                m.next = "COMMAND"
                with m.Switch(step):
                    for s, following in FOLLOWS.items():
                        with m.Case(s):
                            m.d.sync += step.eq(following)
                    with m.Case(Step.NEW):
                        m.d.sync += step.eq(Mux(config.capacitor, Step.INIT, Step.ERASE))
                    with m.Default():  # VERIFY; TUNED, when none missed or no retry is left
                        with m.If(missed & (attempt != config.retries)):
                            m.d.sync += [attempt.eq(attempt + 1), step.eq(Step.RETRY)]
                        with m.Elif(
                            config.capacitor & (tunes | more.any()) & (rounds != config.tune_rounds)
                        ):
                            m.d.sync += [rounds.eq(rounds + 1), step.eq(Step.TUNE)]
                        with m.Else():
                            m.d.sync += [
                                row.eq(row + 1),
                                self.error_sq.eq(self.error_sq + row_sq),
                                self.failed.eq(self.failed + row_failed),
                            ]
                            begin_row()
                            # a size that cannot be must not make it go on for ever
                            with m.If((row + 1 >= self.rows) | (row == self.max_rows - 1)):
                                m.next = "IDLE"

        m.d.comb += [
            self.busy.eq(~fsm.ongoing("IDLE")),
            self.cmd.p.op.eq(op),
            self.cmd.p.row.eq(row),
            self.cmd.p.log2_reads.eq(config.log2_reads),
            self.cmd.p.negative.eq(Mux(step == Step.OLD, config.old, config.new)),
            self.w.valid.eq(three.valid & sends),
            self.w.p.last.eq(three.last),
            self.waiting.eq(
                (self.cmd.valid & ~self.cmd.ready)
                | (self.w.valid & ~self.w.ready)
                | (self.r.ready & ~self.r.valid)
            ),
        ]
        return m
