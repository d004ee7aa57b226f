# SPDX-License-Identifier: Apache-2.0
"""The emulated tile: cells in block RAM, multipliers beside them, behind the port of a tile."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.tile_port import TileOp, TilePort

from .amplitude import Amplitude
from .cells import Task
from .lane import STEP_STAGE, Mode
from .picker import Picker
from .tile_array import TileArray
from .tile_input import COLUMN, TileInput
from .tile_layout import Plane, TileLayout
from .tile_output import TileOutput
from .tile_registers import TileRegisters
from .walker import Walker

__all__ = ["EmulatedTile", "HostPort"]

#: Cycles from the index of a word to what the memories hold.
_HOST_LATENCY = 5
#: Kinds of conversions, in the order of :attr:`TileLayout.shifts`.
_FORWARD, _BACKWARD, _READ = range(3)


class HostPort(wiring.Signature):
    """Signature of the memory of a tile, seen from the host.

    Members
    -------
    valid : ``Out(1)``, ready : ``In(1)``
        A request, and its end; it waits while the tile works.
    write : ``Out(1)``, plane : ``Out(3)``, index : ``Out(18)``
        See :class:`fpga.tile_layout.Plane`.
    w_data : ``Out(32)``, r_data : ``In(32)``
        The latter together with ``ready``; 0 where the plane is write only.
    """

    def __init__(self):
        super().__init__({
            "valid": Out(1),
            "ready": In(1),
            "write": Out(1),
            "plane": Out(3),
            "index": Out(18),
            "w_data": Out(32),
            "r_data": In(32),
        })


class EmulatedTile(wiring.Component):
    """A tile in logic: :class:`analog_models.fixed_tile.FixedTile`, bit for bit.

    FORWARD visits the words of all rows with a code, BACKWARD and UPDATE those words of all rows,
    of rows with a pulse, in which a column has one; a word takes a cycle. A conversion adds about
    15 cycles, and up to ``square`` and root (about 30) where there are fewer words than that.
    Row pulses of UPDATE are -1, 0 or 1 (:func:`golden.pulses.row_pulses`).

    Parameters
    ----------
    layout : TileLayout

    Members
    -------
    port : ``In(TilePort(lanes, transfer_lanes))``
    host : ``In(HostPort())``
        Its cells and registers, while it has no command.
    forget : ``In(1)``
        Drop command, vectors and results. What an operation has done to cells by then, stays.
    """

    def __init__(self, layout: TileLayout):
        self.layout = layout
        super().__init__({
            "port": In(TilePort(layout.lanes, layout.transfer_lanes)),
            "host": In(HostPort()),
            "forget": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = TileRegisters(self.layout)
        m.submodules.engine = ResetInserter(self.forget)(self._engine(registers))
        return m

    def _engine(self, registers):
        m = Module()
        layout = self.layout
        port, host = wiring.flipped(self.port), wiring.flipped(self.host)
        m.submodules.input = given = TileInput(layout)
        m.submodules.output = output = TileOutput(layout)
        m.submodules.picker = picker = Picker(layout.beats, layout.lanes, COLUMN)
        m.submodules.walker = walker = Walker(layout)
        m.submodules.array = array = TileArray(layout)
        m.submodules.amplitude = amplitude = Amplitude(
            layout.powers, layout.tables.read_power, layout.square_bits, layout.power_bits
        )
        for name in ("cmd", "x", "w"):
            wiring.connect(m, getattr(port, name), getattr(given, name))
        wiring.connect(m, output.y, port.y)
        wiring.connect(m, output.r, port.r)

        command = given.command
        op = command.op
        drift_row = Signal(range(layout.rows))
        cells = Signal()  # cells are handled one by one
        forward, backward, read = (op == o for o in (TileOp.FORWARD, TileOp.BACKWARD, TileOp.READ))
        converts = forward | backward | read

        # --- rows and columns to visit
        single = Signal()  # the row of the command is to be visited
        dense = Signal()
        m.d.comb += [
            dense.eq((op == TileOp.AGE) | (op == TileOp.INIT) | backward),
            picker.all.eq(dense),
            picker.count.eq(Mux(cells, layout.cols, layout.rows)),
            picker.available.eq(Mux(forward, given.available, layout.beats)),
            given.row_beat.eq(picker.beat),
            given.column_beat.eq(Mux(cells, picker.beat, walker.visit.word)),
            walker.wanted.eq(
                given.flags | (forward | read | (op == TileOp.AGE)).replicate(layout.words)
            ),
        ]
        for k in range(layout.lanes):
            row = given.rows[k]
            code = Cat(row, row[-1].replicate(COLUMN - 8))
            m.d.comb += picker.codes[k].eq(Mux(cells, given.columns[k], code))
        with m.If(cells):
            m.d.comb += [
                array.columns.valid.eq(picker.o.valid),
                array.columns.payload.eq(picker.o.payload),
                picker.o.ready.eq(array.columns.ready),
            ]
        with m.Elif(single):
            m.d.comb += [
                walker.rows.valid.eq(1),
                walker.rows.p.row.eq(command.row),
                walker.rows.p.code.eq(Mux(read, 128, 1)),
            ]
            with m.If(walker.rows.ready):
                m.d.sync += single.eq(0)
        with m.Else():
            picked = picker.o.p
            m.d.comb += [
                walker.rows.valid.eq(picker.o.valid),
                walker.rows.p.row.eq(Cat(picked.lane, picked.beat)),
                walker.rows.p.code.eq(picked.code),
                picker.o.ready.eq(walker.rows.ready),
            ]

        # --- the array
        task = Signal(Task)
        with m.Switch(op):
            with m.Case(TileOp.PROGRAM):
                m.d.comb += task.eq(Task.PROGRAM)
            with m.Case(TileOp.INIT):
                m.d.comb += task.eq(Task.INIT)
            with m.Default():
                m.d.comb += task.eq(Task.DRIFT)
        mode = Signal(Mode)
        with m.Switch(op):
            with m.Case(TileOp.BACKWARD):
                m.d.comb += mode.eq(Mode.BACKWARD)
            with m.Case(TileOp.UPDATE, TileOp.TUNE):
                m.d.comb += mode.eq(Mode.STEP)
            with m.Case(TileOp.AGE):
                m.d.comb += mode.eq(Mode.LEAK)
            with m.Default():
                m.d.comb += mode.eq(Mode.FORWARD)
        kind = Signal(2)
        m.d.comb += kind.eq(Mux(read, _READ, Mux(backward, _BACKWARD, _FORWARD)))
        empty = Signal()  # no word was visited
        with m.If(walker.visit.valid):
            m.d.sync += empty.eq(0)
        m.d.comb += [
            array.mode.eq(mode),
            array.negative.eq(registers.negative),
            array.visit.eq(walker.visit),
            array.task.eq(task),
            array.row.eq(Mux(op == TileOp.AGE, drift_row, command.row)),
            array.columns_busy.eq(picker.busy),
            array.writes.eq(registers.writes),
            array.conversions.eq(registers.conversions),
            array.keys.eq(registers.keys),
            array.kind.eq(kind),
            array.empty.eq(empty),
            array.amp.eq(amplitude.amp),
            output.codes.eq(array.y),
            output.valid.eq(array.y_valid),
            output.read.eq(array.y_kind == _READ),
            registers.multiply.eq(walker.visit.valid & (forward | backward)),
        ]
        m.d.comb += [array.codes[k].eq(given.columns[k]) for k in range(layout.lanes)]

        # --- noise of a conversion: as soon as all codes are known
        asked = Signal()
        m.d.comb += [
            amplitude.kind.eq(kind),
            amplitude.square.eq(Mux(read, 1 << 14, given.square)),
            amplitude.shift.eq(Mux(read, command.log2_reads, 0)),
        ]

        # --- what to do
        beat = Signal(range(layout.beats))
        last_beat = Mux(backward, layout.row_beats - 1, layout.words - 1)
        wanted = Mux(backward, layout.rows, layout.cols)
        wait = Signal(range(_HOST_LATENCY))
        m.d.comb += array.beat.eq(beat)

        def done():
            m.d.comb += given.release.eq(1)
            m.next = "IDLE"

        # Stages that must be empty before what follows may begin. It takes some cycles to reach the
        # same place: sums are read 3 after the decision to convert, cells 4 after the end.
        behind = Mux(forward | read, 0b1111, 0b111111)
        behind = Mux(op == TileOp.AGE, (1 << STEP_STAGE + 1) - 1, behind)

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [asked.eq(0), empty.eq(1), beat.eq(0), drift_row.eq(0), wait.eq(0)]
                with m.If(given.arrived & (given.complete | forward)):
                    with m.Switch(op):
                        with m.Case(TileOp.POLARITY):
                            m.d.comb += [
                                registers.polarity.eq(1),
                                registers.new_negative.eq(command.negative),
                            ]
                            done()
                        with m.Case(TileOp.READ, TileOp.TUNE):
                            m.d.comb += walker.start.eq(1)
                            m.d.sync += single.eq(1)
                            m.next = "WALK"
                        with m.Case(TileOp.PROGRAM, TileOp.INIT):
                            m.d.comb += cells.eq(1)
                            m.d.comb += [picker.start.eq(1), array.start.eq(1)]
                            m.next = "CELLS"
                        with m.Default():
                            m.d.comb += [picker.start.eq(1), walker.start.eq(1)]
                            m.next = "WALK"
                with m.Elif(host.valid & given.idle & ~array.moving.any()):
                    m.next = "HOST"

            with m.State("HOST"):
                m.d.comb += [array.host.eq(1), array.host_write.eq(host.write & (wait == 0))]
                m.d.sync += wait.eq(wait + 1)
                with m.If((wait == _HOST_LATENCY - 1) | (host.write & (wait == 1))):
                    m.d.comb += host.ready.eq(1)
                    m.next = "IDLE"

            with m.State("WALK"):
                with m.If(converts & ~asked & (given.squared | read)):
                    m.d.comb += amplitude.start.eq(1)
                    m.d.sync += asked.eq(1)
                with m.If(~single & ~picker.busy & ~walker.busy):
                    m.next = "DRAIN"

            with m.State("DRAIN"):
                with m.If(converts & ~asked & (given.squared | read)):
                    m.d.comb += amplitude.start.eq(1)
                    m.d.sync += asked.eq(1)
                with m.If(~(array.moving & behind).any()):
                    with m.If(converts):
                        with m.If(asked & amplitude.done & (array.drawn >= wanted) & output.empty):
                            m.next = "CONVERT"
                    with m.Elif(op == TileOp.AGE):
                        m.d.comb += registers.tick.eq(1)
                        m.next = "AGED"
                    with m.Else():
                        m.d.comb += registers.pulse.eq(1)
                        done()

            with m.State("CONVERT"):
                m.d.comb += array.convert.eq(1)
                m.d.sync += beat.eq(beat + 1)
                with m.If(beat == last_beat):
                    m.d.comb += registers.convert.eq(1)
                    done()

            with m.State("CELLS"):
                m.d.comb += cells.eq(1)
                with m.If(~array.busy):
                    m.d.comb += [
                        registers.program.eq(op == TileOp.PROGRAM),
                        registers.init.eq(op == TileOp.INIT),
                    ]
                    done()

            # the age has changed: the table of drift steps answers a cycle later
            with m.State("AGED"):
                m.next = "LOOK"
            with m.State("LOOK"):
                m.next = "DUE"
            with m.State("DUE"):
                m.d.sync += drift_row.eq(0)
                with m.If(registers.drift_due):
                    m.next = "ROW"
                with m.Else():
                    done()
            with m.State("ROW"):
                m.d.comb += cells.eq(1)
                m.d.comb += [picker.start.eq(1), array.start.eq(1)]
                m.next = "DRIFT"
            with m.State("DRIFT"):
                m.d.comb += cells.eq(1)
                with m.If(~array.busy):
                    m.d.sync += drift_row.eq(drift_row + 1)
                    m.next = "ROW"
                    with m.If(drift_row == layout.rows - 1):
                        m.d.comb += registers.drift.eq(1)
                        m.next = "AGED"

        working = ~fsm.ongoing("IDLE") & ~fsm.ongoing("HOST")
        m.d.comb += registers.active.eq((forward | backward) & working)

        # --- the host
        written = array.host_write & (host.plane == Plane.REGISTERS)
        m.d.comb += [
            array.plane.eq(host.plane),
            array.index.eq(host.index),
            array.w_data.eq(host.w_data),
            registers.index.eq(host.index),
            registers.w_data.eq(host.w_data),
            registers.w_en.eq(written),
            array.restart.eq(registers.convert | written),
            host.r_data.eq(Mux(host.plane == Plane.REGISTERS, registers.r_data, array.r_data)),
        ]
        return m
