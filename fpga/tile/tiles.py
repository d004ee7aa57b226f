# SPDX-License-Identifier: Apache-2.0
"""The emulated tiles: cells in block RAM, multipliers beside them, behind the ports of tiles."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.tile_port import TileOp, TilePort

from .amplitude import Amplitude
from .array import TileArray
from .decoder import TileDecoder
from .host_port import HostPort
from .inputs import TileInputs
from .layout import Plane
from .output import TileOutputs
from .registers import TileRegisters
from .rows import Rows
from .stepper import Stepper
from .tiles_layout import KINDS, TilesLayout
from .walker import Walker

__all__ = ["FORGET_CYCLES", "EmulatedTiles"]

#: Cycles from the index of a word to what the memories hold.
_HOST_LATENCY = 7
#: Stages of lanes and mixer, and some more.
FORGET_CYCLES = 24


class EmulatedTiles(wiring.Component):
    """Tiles in logic, :class:`analog_models.fixed_tile.FixedTile` each, bit for bit.

    They share one array of lanes: one operation at a time, of tiles in turn, and beside it one
    UPDATE, before which a FORWARD behind it does not come. FORWARD visits the words of all rows
    with a code, BACKWARD and UPDATE those words of all rows, of rows with a pulse, in which a
    column has one; a word takes a cycle. A conversion adds about 15 cycles, and up to ``square``
    and root (about 30) where there are fewer words than that. Row pulses of UPDATE are -1, 0 or 1
    (:func:`golden.pulses.row_pulses`).

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    tiles : ``In(TilePort(lanes, transfer_lanes))``, one a tile
    host : ``In(HostPort())``
        Their cells and registers, while no tile has a command.
    forget : ``In(1)``
        Drop commands, vectors and results, those of the cycle after it too; then nothing is taken
        for :data:`FORGET_CYCLES` cycles. What an operation has done to cells by then, stays.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        port = TilePort(layout.lanes, layout.transfer_lanes)
        super().__init__({
            "tiles": In(port).array(len(layout.tiles)),
            "host": In(HostPort()),
            "forget": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        registers = [TileRegisters(layout) for layout in self.layout.tiles]
        for t, part in enumerate(registers):
            m.submodules[f"registers_{t}"] = part
        # Lanes keep no commands: what is in their stages comes out while the rest is being reset,
        # for so long that nothing can be taken for what follows.
        left = Signal(range(FORGET_CYCLES + 1))
        with m.If(self.forget):
            m.d.sync += left.eq(FORGET_CYCLES)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        reset = Signal()
        m.d.sync += reset.eq(self.forget | left.any())
        m.submodules.array = array = TileArray(self.layout)
        m.d.comb += array.forget.eq(reset)
        m.submodules.engine = ResetInserter(reset)(self._engine(array, registers))
        return m

    def _engine(self, array, all_registers):
        m = Module()
        layout, host = self.layout, wiring.flipped(self.host)
        m.submodules.given = given = TileInputs(layout)
        m.submodules.rows = rows = Rows(layout)
        m.submodules.walker = walker = Walker(layout)
        m.submodules.stepper = stepper = Stepper(layout)
        m.submodules.amplitude = amplitude = Amplitude(
            layout.powers, layout.common.tables.read_power, layout.square_bits, layout.power_bits
        )
        tile = given.tile
        m.submodules.results = results = TileOutputs(layout)
        for t in range(len(layout.tiles)):
            port = wiring.flipped(self.tiles[t])
            for name in ("cmd", "x", "w"):
                wiring.connect(m, getattr(port, name), getattr(given, name)[t])
            for name in ("y", "r"):
                wiring.connect(m, getattr(results, name)[t], getattr(port, name))

        def size(values):
            """Return a register with the value of the tile in turn."""
            out = Signal(range(max(values) + 1), init=values[0])
            m.d.sync += out.eq(Array(values)[given.following])
            return out

        tile_rows, tile_cols = (
            size([getattr(each, name) for each in layout.tiles]) for name in ("rows", "cols")
        )

        # --- registers of the tile in turn
        negative, step_negative, drift_due = Signal(), Signal(), Signal()
        writes, r_data, keys = Signal(32), Signal(32), Signal.like(array.keys)

        def of_tile(name):
            return Array(getattr(each, name) for each in all_registers)[tile]

        m.d.comb += r_data.eq(of_tile("r_data"))
        m.d.sync += [
            drift_due.eq(of_tile("drift_due")),
            negative.eq(of_tile("negative")),
            step_negative.eq(Array(each.negative for each in all_registers)[given.step_tile]),
            writes.eq(of_tile("writes")),
            keys.eq(of_tile("keys")),
        ]
        written = Signal()  # one of them, by the host
        events = {name: Signal(name=f"event_{name}") for name in TileRegisters.EVENTS}
        for t, each in enumerate(all_registers):
            m.d.comb += [
                each.new_negative.eq(given.command.negative),
                each.index.eq(host.index),
                each.w_data.eq(host.w_data),
                array.conversions[t].eq(each.conversions),
                array.bell_keys[t].eq(each.keys[0]),
            ]
            m.d.sync += [  # a cycle late: a command takes longer
                each.w_en.eq(written & (tile == t)),
                array.restart[t].eq(each.convert | each.w_en),
                *(getattr(each, name).eq(event & (tile == t)) for name, event in events.items()),
            ]
            with m.If(stepper.updated & (given.step_tile == t)):
                m.d.sync += each.pulse.eq(1)

        command = given.command
        m.submodules.decoder = op = TileDecoder()
        m.d.comb += op.upcoming.eq(given.upcoming)
        drift_row = Signal(range(layout.most(lambda each: each.rows)))
        cells = Signal()  # cells are handled one by one
        all_words = size([(1 << each.words) - 1 for each in layout.tiles])

        # --- UPDATE beside the operation in turn
        m.d.comb += [
            stepper.ready.eq(given.step_ready),
            stepper.tile.eq(given.step_tile),
            stepper.first.eq(given.update_first),
            stepper.flags.eq(given.update_flags),
            stepper.rows.eq(given.update_rows),
            stepper.moving.eq(array.stepping.any()),
            stepper.written.eq(array.written),
            given.update_row_beat.eq(stepper.row_beat),
            given.update_word.eq(stepper.visit.word),
            given.updated.eq(stepper.updated),
            given.step_search.eq(stepper.search),
        ]

        # --- rows and columns to visit
        same = given.step_tile == tile
        m.d.comb += [
            rows.by_cell.eq(cells),
            rows.all.eq(op.dense),
            rows.count.eq(Mux(cells, tile_cols, tile_rows)),
            rows.available.eq(Mux(op.forward, given.available, layout.beats)),
            rows.first.eq(given.first),
            rows.row.eq(command.row),
            rows.code.eq(Mux(op.read, 128, 0)),
            rows.second.eq(given.second),
            rows.codes.eq(given.rows),
            rows.pulsed.eq(given.pulsed),
            rows.untouched.eq(given.untouched),
            rows.columns.eq(given.columns),
            rows.at.eq(stepper.at),
            given.row_beat.eq(rows.beat),
            given.column_beat.eq(Mux(cells, rows.beat, walker.visit.word)),
            walker.tile.eq(tile),
            walker.wanted.eq(given.flags | Mux(op.whole_rows, all_words, 0)),
        ]
        m.d.sync += [  # a cycle late: what was stepped comes long before what is behind it
            rows.stepped.eq(stepper.busy & same & op.passes),  # others have it all alone
            rows.walking.eq(stepper.walking & same),
        ]
        wiring.connect(m, rows.o, walker.rows)
        wiring.connect(m, rows.column, array.columns)

        # --- the array; other operations that step have it alone
        steps = Signal()
        converter = Signal(range(KINDS * len(layout.tiles)))
        first_converter = size([KINDS * t for t in range(len(layout.tiles))])
        empty = Signal()  # no word was visited
        with m.If(walker.visit.valid):
            m.d.sync += empty.eq(0)
        m.d.comb += [
            array.forward.eq(op.adds),
            array.backward.eq(op.backward),
            array.tile.eq(tile),
            array.negative.eq(negative),
            array.visit.eq(walker.visit),
            array.upcoming.eq(walker.upcoming),
            array.leaks.eq(steps & op.ages),
            array.step_visit.eq(Mux(steps, walker.visit.as_value(), stepper.visit.as_value())),
            array.step_upcoming.eq(Mux(steps, walker.upcoming, stepper.upcoming)),
            array.step_negative.eq(Mux(steps, negative, step_negative)),
            array.by_cell.eq(cells),
            array.task.eq(op.task),
            array.row.eq(Mux(op.ages, drift_row, command.row)),
            array.columns_busy.eq(rows.busy),
            array.cols.eq(tile_cols),
            array.writes.eq(writes),
            array.keys.eq(keys),
            converter.eq(first_converter + op.kind),
            array.converter.eq(converter),
            array.empty.eq(empty),
            array.amp.eq(amplitude.amp),
            results.codes.eq(array.y),
            results.valid.eq(array.y_valid),
            results.converter.eq(array.y_converter),
            results.tile.eq(tile),
            events["multiply"].eq(walker.visit.valid & (op.forward | op.backward)),
        ]
        for k in range(layout.lanes):
            codes, pulses = given.columns[k], given.update_columns[k]
            m.d.comb += [array.codes[k].eq(codes), array.pulses[k].eq(Mux(steps, codes, pulses))]

        # --- noise of a conversion: as soon as all codes are known
        asked = Signal()
        m.d.comb += [
            amplitude.kind.eq(converter),
            amplitude.square.eq(Mux(op.read, 1 << 14, given.square)),
            amplitude.shift.eq(Mux(op.read, command.log2_reads, 0)),
        ]

        # --- what to do
        beat = Signal(range(layout.beats))
        last_beat = Signal.like(beat)  # there long before the first beat
        m.d.sync += last_beat.eq(
            Mux(
                op.backward,
                size([each.row_beats - 1 for each in layout.tiles]),
                size([each.words - 1 for each in layout.tiles]),
            )
        )
        drawn, taken = Signal(), Signal()  # noise of all lines; results of the tile before
        m.d.sync += [
            drawn.eq(Array(array.drawn)[tile] >= Mux(op.backward, tile_rows, tile_cols)),
            taken.eq(results.empty),
        ]
        wait = Signal(range(_HOST_LATENCY))
        m.d.comb += [array.beat.eq(beat), array.bell.eq(size(layout.first_bell[:-1]) + beat)]

        # An operation ends in this cycle. What is given next hangs on it, so it is a register, set
        # in the cycle before.
        ended = Signal()
        m.d.comb += given.release.eq(ended)
        m.d.sync += ended.eq(0)

        over = Signal()  # what must be out of the lanes is
        m.d.sync += over.eq(~((array.moving & op.behind).any() | (steps & array.stepping.any())))
        begins = Signal()
        m.d.comb += begins.eq(op.passes | ~stepper.busy)

        # All words were visited, the last one in this cycle: before it, it was the only one left.
        walked, walks_out = Signal(), Signal()
        m.d.comb += walks_out.eq(~rows.busy & walker.rows.ready & ~walked)
        hosts = Signal()  # the memories are the host's
        quiet = Signal()  # no cell of the row is under way
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [asked.eq(0), empty.eq(1), beat.eq(0), drift_row.eq(0), wait.eq(0)]
                m.d.sync += walked.eq(0)
                m.d.comb += given.search.eq(1)
                m.d.comb += stepper.hold.eq(given.ready & ~op.passes)
                with m.If(given.ready & begins):
                    m.d.sync += steps.eq(op.steps)
                    with m.Switch(command.op):
                        with m.Case(TileOp.POLARITY):
                            m.d.sync += ended.eq(1)
                            m.next = "POLARITY"
                        with m.Case(TileOp.READ, TileOp.TUNE):
                            m.d.comb += [rows.start_one.eq(1), walker.start.eq(1)]
                            m.next = "WALK"
                        with m.Case(TileOp.PROGRAM, TileOp.INIT):
                            m.d.sync += cells.eq(1)
                            m.next = "ROW"
                        with m.Default():
                            m.d.comb += [rows.start.eq(1), walker.start.eq(1)]
                            m.next = "WALK"
                with m.Elif(host.valid & given.idle & ~array.moving.any() & ~stepper.busy):
                    m.d.comb += given.claim.eq(1)
                    m.d.sync += hosts.eq(1)
                    m.next = "HOST"

            with m.State("POLARITY"):
                m.d.comb += events["polarity"].eq(1)
                m.next = "IDLE"

            with m.State("HOST"):
                m.d.comb += array.host_write.eq(host.write & (wait == 1))
                m.d.sync += wait.eq(wait + 1)
                with m.If((wait == _HOST_LATENCY - 1) | (host.write & (wait == 3))):
                    m.d.comb += host.ready.eq(1)
                    m.d.sync += hosts.eq(0)
                    m.next = "IDLE"

            with m.State("WALK"):
                with m.If(op.converts & ~asked & (given.squared | op.read)):
                    m.d.comb += amplitude.start.eq(1)
                    m.d.sync += asked.eq(1)
                m.d.sync += walked.eq(walks_out)
                with m.If(walked):
                    m.next = "DRAIN"

            with m.State("DRAIN"):
                with m.If(op.converts & ~asked & (given.squared | op.read)):
                    m.d.comb += amplitude.start.eq(1)
                    m.d.sync += asked.eq(1)
                with m.If(over):
                    with m.If(op.converts):
                        with m.If(asked & amplitude.done & drawn & taken & ~given.second):
                            m.d.sync += ended.eq(last_beat == 0)
                            m.next = "CONVERT"
                    with m.Elif(op.tunes):
                        m.d.sync += ended.eq(1)
                        m.next = "TUNED"
                    with m.Else():
                        m.d.comb += events["tick"].eq(1)
                        m.next = "AGED"

            with m.State("TUNED"):
                m.d.comb += events["pulse"].eq(1)
                m.d.sync += steps.eq(0)
                m.next = "IDLE"

            with m.State("CONVERT"):
                m.d.comb += array.convert.eq(1)
                m.d.sync += [beat.eq(beat + 1), ended.eq(beat + 1 == last_beat)]
                with m.If(ended):
                    m.d.comb += events["convert"].eq(1)
                    m.next = "IDLE"

            with m.State("ROW"):
                m.d.comb += [rows.start.eq(1), array.start.eq(1)]
                m.d.sync += quiet.eq(0)
                m.next = "CELLS"
            with m.State("CELLS"):
                m.d.sync += quiet.eq(~array.busy)
                m.d.sync += ended.eq(~array.busy & ~quiet & ~op.ages)
                with m.If(quiet):
                    with m.If(op.ages):
                        m.d.sync += drift_row.eq(drift_row + 1)
                        m.next = "ROW"
                        with m.If(drift_row == tile_rows - 1):
                            m.d.comb += events["drift"].eq(1)
                            m.d.sync += cells.eq(0)
                            m.next = "AGED"
                    with m.Else():
                        m.d.comb += [events["program"].eq(op.programs), events["init"].eq(op.inits)]
                        m.d.sync += cells.eq(0)
                        m.next = "IDLE"

            # the age changes: the table of drift steps is looked up in four cycles
            with m.State("AGED"):
                m.d.sync += [steps.eq(0), wait.eq(wait + 1)]
                with m.If(wait == 3):
                    m.d.sync += [ended.eq(~of_tile("drift_due")), wait.eq(0)]
                    m.next = "DUE"
            with m.State("DUE"):
                m.d.sync += drift_row.eq(0)
                with m.If(drift_due):
                    m.d.sync += cells.eq(1)
                    m.next = "ROW"
                with m.Else():
                    m.next = "IDLE"
        working = ~fsm.ongoing("IDLE") & ~fsm.ongoing("HOST")
        with m.If(working & ~op.passes):
            m.d.comb += stepper.hold.eq(1)
        m.d.comb += events["active"].eq((op.forward | op.backward) & working)

        # --- the host
        m.d.comb += [
            given.claimed.eq(host.tile),
            array.host.eq(hosts),
            array.plane.eq(host.plane),
            array.index.eq(host.index),
            array.w_data.eq(host.w_data),
            written.eq(array.host_write & (host.plane == Plane.REGISTERS)),
            host.r_data.eq(Mux(host.plane == Plane.REGISTERS, r_data, array.r_data)),
        ]
        return m
