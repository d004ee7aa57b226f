# SPDX-License-Identifier: Apache-2.0
"""The emulated tiles: cells in block RAM, multipliers beside them, behind the ports of tiles."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.skid import Skid
from rtl.tile_port import TileOp, TilePort

from .amplitude import Amplitude
from .array import TileArray
from .decoder import READ, TileDecoder
from .host_port import HostPort
from .input import COLUMN
from .inputs import TileInputs
from .layout import Plane
from .output import TileOutput
from .picker import Picker
from .registers import TileRegisters
from .tiles_layout import KINDS, TilesLayout
from .walker import Walker

__all__ = ["FORGET_CYCLES", "EmulatedTiles"]

#: Cycles from the index of a word to what the memories hold.
_HOST_LATENCY = 7
#: Stages of lanes and mixer, and some more.
FORGET_CYCLES = 24


class EmulatedTiles(wiring.Component):
    """Tiles in logic, :class:`analog_models.fixed_tile.FixedTile` each, bit for bit.

    They share one array of lanes: one operation at a time, of tiles in turn. FORWARD visits the
    words of all rows with a code, BACKWARD and UPDATE those words of all rows, of rows with a
    pulse, in which a column has one; a word takes a cycle. A conversion adds about 15 cycles, and
    up to ``square`` and root (about 30) where there are fewer words than that. Row pulses of
    UPDATE are -1, 0 or 1 (:func:`golden.pulses.row_pulses`).

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
        m.submodules.picker = picker = Picker(layout.beats, layout.lanes, COLUMN)
        m.submodules.walker = walker = Walker(layout)
        m.submodules.amplitude = amplitude = Amplitude(
            layout.powers, layout.common.tables.read_power, layout.square_bits, layout.power_bits
        )
        tile = given.tile
        outputs = [TileOutput(each) for each in layout.tiles]
        for t, output in enumerate(outputs):
            m.submodules[f"output_{t}"] = output
            port = wiring.flipped(self.tiles[t])
            for name in ("cmd", "x", "w"):
                wiring.connect(m, getattr(port, name), getattr(given, name)[t])
            wiring.connect(m, output.y, port.y)
            wiring.connect(m, output.r, port.r)

        def size(values):
            """Return a register with the value of the tile in turn."""
            out = Signal(range(max(values) + 1), init=values[0])
            m.d.sync += out.eq(Array(values)[given.following])
            return out

        rows, cols = (size([getattr(each, n) for each in layout.tiles]) for n in ("rows", "cols"))

        # --- registers of the tile in turn
        negative, drift_due = Signal(), Signal()
        writes, r_data, keys = Signal(32), Signal(32), Signal.like(array.keys)

        def of_tile(name):
            return Array(getattr(each, name) for each in all_registers)[tile]

        m.d.comb += r_data.eq(of_tile("r_data"))
        m.d.sync += [
            drift_due.eq(of_tile("drift_due")),
            negative.eq(of_tile("negative")),
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

        command = given.command
        m.submodules.decoder = op = TileDecoder()
        m.d.comb += op.upcoming.eq(given.upcoming)
        drift_row = Signal(range(layout.most(lambda each: each.rows)))
        cells = Signal()  # cells are handled one by one
        all_words = size([(1 << each.words) - 1 for each in layout.tiles])

        # --- rows and columns to visit
        single = Signal()  # the row of the command is to be visited
        m.d.comb += [
            picker.all.eq(op.dense),
            picker.count.eq(Mux(cells, cols, rows)),
            picker.available.eq(Mux(op.forward, given.available, layout.beats)),
            picker.first.eq(given.first),
            given.row_beat.eq(picker.beat),
            given.column_beat.eq(Mux(cells, picker.beat, walker.visit.word)),
            walker.tile.eq(tile),
            walker.wanted.eq(given.flags | Mux(op.whole_rows, all_words, 0)),
        ]
        for k in range(layout.lanes):
            row = given.rows[k]
            code = Cat(row, row[-1].replicate(COLUMN - 8))
            m.d.comb += picker.codes[k].eq(Mux(cells, given.columns[k], code))
        m.submodules.columns = columns = Skid(picker.o.payload.shape())
        wiring.connect(m, columns.o, array.columns)
        with m.If(cells):
            m.d.comb += [
                columns.i.valid.eq(picker.o.valid),
                columns.i.payload.eq(picker.o.payload),
                picker.o.ready.eq(columns.i.ready),
            ]
        with m.Elif(single):
            m.d.comb += [
                walker.rows.valid.eq(1),
                walker.rows.p.row.eq(command.row),
                walker.rows.p.code.eq(Mux(op.read, 128, 1)),
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
        converter = Signal(range(KINDS * len(layout.tiles)))
        first_converter = size([KINDS * t for t in range(len(layout.tiles))])
        m.d.comb += converter.eq(first_converter + op.kind)
        empty = Signal()  # no word was visited
        with m.If(walker.visit.valid):
            m.d.sync += empty.eq(0)
        m.d.comb += [
            array.mode.eq(op.mode),
            array.tile.eq(tile),
            array.negative.eq(negative),
            array.visit.eq(walker.visit),
            array.upcoming.eq(walker.upcoming),
            array.by_cell.eq(cells),
            array.task.eq(op.task),
            array.row.eq(Mux(op.ages, drift_row, command.row)),
            array.columns_busy.eq(picker.busy | columns.full),
            array.cols.eq(cols),
            array.writes.eq(writes),
            array.keys.eq(keys),
            array.converter.eq(converter),
            array.empty.eq(empty),
            array.amp.eq(amplitude.amp),
            events["multiply"].eq(walker.visit.valid & (op.forward | op.backward)),
        ]
        for t, output in enumerate(outputs):
            mine = (array.y_converter >= KINDS * t) & (array.y_converter < KINDS * (t + 1))
            m.d.comb += [
                output.codes.eq(array.y),
                output.valid.eq(array.y_valid & mine),
                output.read.eq(array.y_converter == KINDS * t + READ),
            ]
        m.d.comb += [array.codes[k].eq(given.columns[k]) for k in range(layout.lanes)]

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
            drawn.eq(Array(array.drawn)[tile] >= Mux(op.backward, rows, cols)),
            taken.eq(Array(output.empty for output in outputs)[tile]),
        ]
        wait = Signal(range(_HOST_LATENCY))
        m.d.comb += [array.beat.eq(beat), array.bell.eq(size(layout.first_bell[:-1]) + beat)]

        # An operation ends in this cycle. What is given next hangs on it, so it is a register, set
        # in the cycle before.
        ended = Signal()
        m.d.comb += given.release.eq(ended)
        m.d.sync += ended.eq(0)

        over = Signal()  # what must be out of the lanes is
        m.d.sync += over.eq(~(array.moving & op.behind).any())
        # The first visit of the next one comes 3 cycles after it begins, 5 with the picker, and all
        # others must be out of the lanes then: modes do not mix. An update behind that of another
        # tile need not wait; what is not an update is out of the lanes when it ends.
        clear, nearly, begins = Signal(), Signal(), Signal()
        stepped = Signal.like(tile)  # whose cells were stepped last
        m.d.sync += [clear.eq(~array.moving[:6].any()), nearly.eq(~array.moving[:4].any())]
        m.d.comb += begins.eq(Mux(op.picks, nearly, clear) | (op.updates & (tile != stepped)))

        # All words were visited, the last one in this cycle: before it, it was the only one left.
        walked, walks_out = Signal(), Signal()
        m.d.comb += walks_out.eq(~single & ~picker.busy & walker.rows.ready & ~walked)
        hosts = Signal()  # the memories are the host's
        quiet = Signal()  # no cell of the row is under way
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [asked.eq(0), empty.eq(1), beat.eq(0), drift_row.eq(0), wait.eq(0)]
                m.d.sync += walked.eq(0)
                m.d.comb += given.search.eq(1)
                with m.If(given.ready & begins):
                    with m.Switch(command.op):
                        with m.Case(TileOp.POLARITY):
                            m.d.sync += ended.eq(1)
                            m.next = "POLARITY"
                        with m.Case(TileOp.READ, TileOp.TUNE):
                            m.d.comb += walker.start.eq(1)
                            m.d.sync += single.eq(1)
                            m.next = "WALK"
                        with m.Case(TileOp.PROGRAM, TileOp.INIT):
                            m.d.sync += cells.eq(1)
                            m.next = "ROW"
                        with m.Default():
                            m.d.comb += [picker.start.eq(1), walker.start.eq(1)]
                            m.next = "WALK"
                with m.Elif(host.valid & given.idle & ~array.moving.any()):
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
                m.d.sync += [walked.eq(walks_out), ended.eq(walks_out & op.steps)]
                with m.If(walked):
                    m.next = "DRAIN"
                    with m.If(op.steps):  # the last columns are used in this cycle
                        m.d.comb += events["pulse"].eq(1)
                        m.d.sync += stepped.eq(tile)
                        m.next = "IDLE"

            with m.State("DRAIN"):
                with m.If(op.converts & ~asked & (given.squared | op.read)):
                    m.d.comb += amplitude.start.eq(1)
                    m.d.sync += asked.eq(1)
                with m.If(over):
                    with m.If(op.converts):
                        with m.If(asked & amplitude.done & drawn & taken):
                            m.d.sync += ended.eq(last_beat == 0)
                            m.next = "CONVERT"
                    with m.Else():
                        m.d.comb += events["tick"].eq(1)
                        m.next = "AGED"

            with m.State("CONVERT"):
                m.d.comb += array.convert.eq(1)
                m.d.sync += [beat.eq(beat + 1), ended.eq((beat + 1 == last_beat) & ~ended)]
                with m.If(ended):
                    m.d.comb += events["convert"].eq(1)
                    m.next = "IDLE"

            with m.State("ROW"):
                m.d.comb += [picker.start.eq(1), array.start.eq(1)]
                m.d.sync += quiet.eq(0)
                m.next = "CELLS"
            with m.State("CELLS"):
                m.d.sync += quiet.eq(~array.busy)
                m.d.sync += ended.eq(~array.busy & ~quiet & ~op.ages)
                with m.If(quiet):
                    with m.If(op.ages):
                        m.d.sync += drift_row.eq(drift_row + 1)
                        m.next = "ROW"
                        with m.If(drift_row == rows - 1):
                            m.d.comb += events["drift"].eq(1)
                            m.d.sync += cells.eq(0)
                            m.next = "AGED"
                    with m.Else():
                        m.d.comb += [events["program"].eq(op.programs), events["init"].eq(op.inits)]
                        m.d.sync += cells.eq(0)
                        m.next = "IDLE"

            # the age changes: the table of drift steps is looked up in four cycles
            with m.State("AGED"):
                m.next = "COUNT"
            with m.State("COUNT"):
                m.next = "LOOK"
            with m.State("LOOK"):
                m.next = "FIND"
            with m.State("FIND"):
                m.d.sync += ended.eq(~of_tile("drift_due"))
                m.next = "DUE"
            with m.State("DUE"):
                m.d.sync += drift_row.eq(0)
                with m.If(drift_due):
                    m.d.sync += cells.eq(1)
                    m.next = "ROW"
                with m.Else():
                    m.next = "IDLE"
        working = ~fsm.ongoing("IDLE") & ~fsm.ongoing("HOST")
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
