# SPDX-License-Identifier: Apache-2.0
"""The controller of a chip: from the host's buses to the tiles' ports."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.hardware import ControllerConfig
from golden.program import Op
from golden.registers import register_map

from .arbiter import TileArbiter
from .axi import AxiStream
from .intervals import Intervals
from .loader import Loader
from .reduce import or_tree
from .registers import RegisterFile
from .sequencer import Sequencer
from .skid import Skid
from .statistics import IDLE, Statistics
from .supervisor import Supervisor
from .tile_port import TileOp, TilePort
from .transfer import TransferUnit
from .transfer_control import TransferControl
from .vectors import VectorUnit

__all__ = ["ChipController", "host_bytes"]


def host_bytes(lanes):
    """Bytes in one beat of ``examples``: eight, or as many as there are lanes."""
    return min(8, lanes)


class ChipController(wiring.Component):
    """Everything digital between an example on a bus and pulses at a tile.

    Trains any network that fits ``hw``; the registers (:func:`golden.registers.register_map`,
    filled by :class:`golden.placement.Placement`) say which.

    Parameters
    ----------
    hw : ControllerConfig

    Members
    -------
    bus : ``In(AxiLite)``
        Registers. Writing settings while the controller is busy is refused.
    examples : ``In(AxiStream(host_bytes(lanes)))``
        A packet an example: one beat whose first two bytes are the label, then the pixels.
    goals : ``In(AxiStream(2))``
        Initial weights in read codes, signed, tile by tile, row by row, for WRITE; they are
        counted, TLAST means nothing.
    results : ``Out(AxiStream(4))``
        One beat an example: answer (bits 0-12), label (13-25), whether they agree (31).
    tiles : ``Out(TilePort)``, one a tile
    irq : ``Out(1)``
        Level: STATUS.done or STATUS.error, where IRQ_ENABLE says so.
    abandon : ``Out(1)``
        1 for the cycle in which an error or CONTROL.reset ends a run between a command and the
        results: the tiles forget both, as the controller does; cells stay as they are. Where a run
        ends between examples (BAD_PACKET, EXAMPLES, RESULTS) the tiles finish what they have.

    After an error or CONTROL.reset what is left of a packet of ``examples`` is dropped, up to its
    TLAST; packets after it count for the next run. A result that was offered stays until it is
    taken. ``goals`` must offer nothing until the next WRITE.
    """

    def __init__(self, hw: ControllerConfig):
        self.hw = hw
        self.registers = register_map(hw)
        registers = RegisterFile(self.registers)
        self._registers = registers
        super().__init__({
            "bus": registers.signature.members["bus"],
            "examples": In(AxiStream(host_bytes(hw.lanes))),
            "goals": In(AxiStream(2)),
            "results": Out(AxiStream(4)),
            "tiles": Out(TilePort(hw.lanes, hw.transfer_lanes)).array(hw.tiles),
            "irq": Out(1),
            "abandon": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        hw = self.hw
        m.submodules.registers = regs = self._registers
        m.submodules.statistics = statistics = Statistics(hw.layers)
        loader, sequencer = Loader(host_bytes(hw.lanes), hw.lanes, hw.inputs), Sequencer(hw.program)
        vectors, arbiter = VectorUnit(hw), TileArbiter(hw.lanes, hw.tiles)
        control = TransferControl(hw.tiles)
        streams = [s for p in self.tiles for s in (p.cmd, p.x, p.y, p.w, p.r)]
        moves = [
            sequencer.finish,
            loader.i.valid & loader.i.ready,
            self.goals.tvalid & self.goals.tready,
            self.results.tvalid & self.results.tready,
            *(s.valid & s.ready for s in streams),
        ]
        m.submodules.supervisor = supervisor = Supervisor(hw.tiles, len(moves))
        abandon = supervisor.abandon
        reset = ResetInserter(abandon)
        m.submodules.loader = reset(loader)
        m.submodules.sequencer = reset(sequencer)
        m.submodules.vectors = reset(vectors)
        m.submodules.arbiter = reset(arbiter)
        m.submodules.transfer_control = reset(control)
        units = [TransferUnit(hw.transfer_lanes, rows=hw.rows, cols=hw.cols) for _ in self.tiles]
        for t, unit in enumerate(units):
            m.submodules[f"transfer_{t}"] = reset(unit)

        wiring.connect(m, wiring.flipped(self.bus), regs.bus)
        word, finish = sequencer.word, sequencer.finish

        def op(*ops):
            return or_tree([word.op == o for o in ops])

        # the instruction of a cycle before: the same from the second cycle of its execution on
        is_error, is_transfer = Signal(), Signal()
        m.d.sync += [is_error.eq(op(Op.ERROR)), is_transfer.eq(op(Op.TRANSFER))]

        # --- state that outlives a run
        m.submodules.intervals = intervals = Intervals()
        negative = intervals.negative
        scored = Signal()
        m.d.comb += [
            scored.eq(sequencer.over & is_error),
            intervals.scored.eq(scored),
            intervals.transferred.eq(control.finish & is_transfer),
            intervals.invert.eq(regs.transfer.invert),
            intervals.periods.eq(regs.age_periods.n),
            intervals.interval.eq(regs.interval.n),
            intervals.load.eq(regs.control.load & ~sequencer.running),
            intervals.load_aged.eq(regs.restore_age.n),
            intervals.load_trained.eq(regs.restore_interval.n),
            intervals.load_negative.eq(regs.restore_state.negative),
            intervals.load_transfers.eq(regs.restore_state.transfers),
        ]

        # --- sequencer
        m.d.comb += [
            sequencer.program_addr.eq(regs.program_addr),
            sequencer.program_data.eq(regs.program_data),
            sequencer.program_en.eq(regs.program_en),
            sequencer.start.eq(regs.control.start & ~supervisor.error),
            sequencer.start_pc.eq(regs.start_pc.pc),
            sequencer.examples.eq(regs.examples.n),
            sequencer.stop.eq(regs.control.stop),
            sequencer.ready.eq(loader.ready),
            sequencer.nonzero.eq(vectors.nonzero),
            sequencer.age_due.eq(intervals.age_due),
            sequencer.transfer_due.eq(intervals.transfer_due),
            regs.busy.eq(sequencer.running),
        ]

        # --- examples in, results out
        inside, dropping = Signal(), Signal()  # of a packet; what is left of it
        taken = self.examples.tvalid & self.examples.tready
        with m.If(taken):
            m.d.sync += inside.eq(~self.examples.tlast)
            with m.If(self.examples.tlast):
                m.d.sync += dropping.eq(0)
        with m.If(abandon):
            m.d.sync += dropping.eq(Mux(taken, ~self.examples.tlast, inside))
        m.d.comb += [
            loader.i.p.data.as_value().eq(self.examples.tdata),
            loader.i.p.last.eq(self.examples.tlast),
            loader.i.valid.eq(self.examples.tvalid & ~dropping),
            self.examples.tready.eq(loader.i.ready),  # and 1 while it sees nothing of a packet
            loader.pixels.eq(regs.inputs.n),
            loader.length.eq(vectors.input_length),
            loader.take.eq(sequencer.take),
            vectors.input_block.eq(loader.block),
            vectors.input_addr.eq(loader.addr),
            vectors.input_data.eq(loader.data),
            vectors.input_en.eq(loader.en),
            vectors.bank.eq(loader.bank),
            vectors.label.eq(loader.label),
        ]
        correct, holding = Signal(), Signal()
        m.d.comb += [
            correct.eq(vectors.answer == loader.label),
            self.results.tlast.eq(1),
            holding.eq(is_error & self.results.tvalid),  # the result before this one
        ]
        with m.If(scored):
            m.d.sync += [
                self.results.tvalid.eq(1),
                self.results.tdata.eq(Cat(vectors.answer, loader.label, Const(0, 5), correct)),
            ]
        with m.Elif(self.results.tready):
            m.d.sync += self.results.tvalid.eq(0)

        # --- vector unit
        ageing = Signal()
        m.d.comb += [
            vectors.word.eq(word),
            vectors.launch.eq(sequencer.launch),
            vectors.finish.eq(finish),
            vectors.stochastic.eq(regs.update.stochastic),
            vectors.delta_max.eq(regs.update.delta_max),
            vectors.table_addr.eq(regs.table_addr),
            vectors.table_data.eq(regs.table_data),
            vectors.table_en.eq(regs.table_en),
            vectors.host_addr.eq(regs.lanes_addr),
            vectors.host_r_addr.eq(regs.lanes_r_addr),
            vectors.host_data.eq(regs.lanes_data),
            vectors.host_en.eq(regs.lanes_en),
            vectors.host_r_en.eq(regs.lanes_r_en),
            regs.lanes_r_data.eq(vectors.host_r_data),
            sequencer.busy.eq(vectors.busy | ageing | control.busy | holding),
        ]
        for i in range(hw.layers):
            setup, rate = vectors.layers[i], regs.layer_rate[i]
            m.d.comb += [
                setup.row_blocks.eq(regs.layer_blocks[i].row_blocks),
                setup.col_blocks.eq(regs.layer_blocks[i].col_blocks),
                setup.x_read.eq(regs.layer_x[i].read),
                setup.x_write.eq(regs.layer_x[i].write),
                setup.d_base.eq(regs.layer_d[i].base),
                setup.row_lanes.eq(regs.layer_lanes[i].rows),
                setup.col_lanes.eq(regs.layer_lanes[i].cols),
                setup.mult.eq(rate.mult),
                setup.shift.eq(rate.shift),
                setup.table.eq(rate.table),
            ]
        used = Signal(hw.tiles)
        for t in range(hw.tiles):
            m.d.comb += [
                vectors.place[t].eq(regs.tile_place[t]),
                vectors.size[t].eq(regs.tile_size[t]),
                used[t].eq(regs.tile_place[t].used),
            ]

        # --- tiles
        with m.If(sequencer.launch & op(Op.AGE)):
            m.d.sync += ageing.eq(1)
        with m.Elif(arbiter.cmd.ready):
            m.d.sync += ageing.eq(0)
        with m.If(abandon):
            m.d.sync += ageing.eq(0)
        m.d.comb += [
            arbiter.transfer.eq(control.busy),
            arbiter.cmd.valid.eq(ageing | vectors.cmd.valid),
            arbiter.cmd.payload.eq(vectors.cmd.payload),
            vectors.cmd.ready.eq(arbiter.cmd.ready),
        ]
        with m.If(ageing):
            m.d.comb += [
                arbiter.cmd.p.payload.op.eq(TileOp.AGE),
                arbiter.cmd.p.mask.eq(used),
            ]
        wiring.connect(m, vectors.x, arbiter.x)
        for t, unit in enumerate(units):
            port = wiring.flipped(self.tiles[t])
            wiring.connect(m, arbiter.tiles[t], port.cmd)
            wiring.connect(m, arbiter.xs[t], port.x)
            wiring.connect(m, port.y, vectors.y[t])
            wiring.connect(m, unit.cmd, arbiter.units[t])
            wiring.connect(m, unit.w, port.w)
            wiring.connect(m, port.r, unit.r)

        # --- transfer
        goals = Skid(unsigned(16))
        m.submodules.goals = reset(goals)
        m.d.comb += [
            goals.i.payload.eq(self.goals.tdata),
            goals.i.valid.eq(self.goals.tvalid),
            self.goals.tready.eq(goals.i.ready),
            control.start.eq(sequencer.launch & op(Op.TRANSFER, Op.WRITE)),
            control.from_host.eq(op(Op.WRITE)),
            control.used.eq(used),
        ]
        for t, unit in enumerate(units):
            m.d.comb += [
                unit.start.eq(control.unit_start[t]),
                unit.from_host.eq(op(Op.WRITE)),
                unit.rows.eq(regs.tile_size[t].rows),
                unit.cols.eq(regs.tile_size[t].cols),
                unit.config.old.eq(negative),
                unit.config.new.eq(negative ^ (regs.transfer.invert & op(Op.TRANSFER))),
                unit.config.capacitor.eq(regs.transfer.capacitor),
                unit.config.log2_reads.eq(regs.transfer.log2_reads),
                unit.config.retries.eq(regs.transfer.retries),
                unit.config.tune_rounds.eq(regs.transfer.tune_rounds),
                unit.config.set_tolerance.eq(regs.transfer_set.set_tolerance),
                unit.config.small_target.eq(regs.transfer_set.small_target),
                unit.config.tune_tolerance.eq(regs.transfer_tune.tune_tolerance),
                unit.config.fail_tolerance.eq(regs.transfer_tune.fail_tolerance),
                unit.config.offset.eq(regs.transfer_goal.offset),
                unit.config.tune_mult.eq(regs.transfer_goal.tune_mult),
                unit.config.gain.eq(regs.gain.gain),
                unit.config.transfers.eq(intervals.transfers),
                unit.table_addr.eq(regs.duration_addr),
                unit.table_data.eq(regs.duration_data),
                unit.table_en.eq(regs.duration_en),
                control.unit_busy[t].eq(unit.busy),
                control.counts[t].set_shots.eq(unit.set_shots),
                control.counts[t].tune_pulses.eq(unit.tune_pulses),
                control.counts[t].error_sq.eq(unit.error_sq),
                control.counts[t].failed.eq(unit.failed),
                unit.goals.payload.eq(goals.o.payload),
                unit.goals.valid.eq(goals.o.valid & control.turn[t]),
            ]
        goal_ready = or_tree([u.goals.ready & control.turn[t] for t, u in enumerate(units)])
        m.d.comb += goals.o.ready.eq(goal_ready)

        # --- counters
        events = statistics.chip
        m.d.comb += [
            statistics.clear.eq(regs.control.clear_counters),
            statistics.index.eq(regs.counter_index),
            regs.counter_value.eq(statistics.value),
        ]
        phase = Signal.like(statistics.phase, init=IDLE)
        m.d.comb += statistics.phase.eq(phase)
        m.d.sync += [  # a cycle late
            phase.eq(Mux(sequencer.running, word.op, IDLE)),
            statistics.layer.eq(vectors.events),
            events.examples.eq(scored),
            events.correct.eq(scored & correct),
            events.skipped.eq(finish & op(Op.SKIP_ZERO) & ~vectors.nonzero),
            events.ticks.eq(finish & op(Op.AGE) & intervals.age_due),
            events.transfers.eq(control.finish & is_transfer),
            events.set_shots.eq(control.add.set_shots),
            events.tune_pulses.eq(control.add.tune_pulses),
            events.transfer_error_sq.eq(control.add.error_sq),
            events.failed_cells.eq(control.add.failed),
        ]

        # --- what goes wrong
        m.d.sync += [  # a cycle late: they come from everywhere
            supervisor.moves.eq(Cat(moves)),
            supervisor.waiting.eq(
                arbiter.waiting | vectors.waiting | Cat(u.waiting for u in units)
            ),
            supervisor.bad_instruction.eq(sequencer.bad & ~abandon),
        ]
        m.d.comb += [
            supervisor.start.eq(regs.control.start),
            supervisor.done.eq(sequencer.done),
            supervisor.running.eq(sequencer.running),
            supervisor.op.eq(word.op),
            supervisor.pc.eq(sequencer.pc),
            supervisor.limit.eq(regs.watchdog.cycles),
            supervisor.holding.eq(holding),
            supervisor.bad_packet.eq(loader.bad),
            supervisor.clear.eq(regs.control.clear),
            supervisor.reset.eq(regs.control.reset),
            self.abandon.eq(supervisor.forget),
            regs.status.busy.eq(sequencer.running),
            regs.status.done.eq(supervisor.ended),
            regs.status.error.eq(supervisor.error),
            regs.status.polarity.eq(negative),
            regs.error.code.eq(supervisor.code),
            regs.error.tile.eq(supervisor.tile),
            regs.error.pc.eq(supervisor.at),
            self.irq.eq(
                (supervisor.ended & regs.irq_enable.done)
                | (supervisor.error & regs.irq_enable.error)
            ),
        ]
        return m
