# SPDX-License-Identifier: Apache-2.0
"""Vector unit: everything between the vector memories and the tiles."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.hardware import ControllerConfig
from golden.program import Op

from .accumulator import Accumulator
from .activation import Activated, Activation
from .collector import Collector
from .elementwise import Multiplier
from .error import ErrorUnit, Scorer
from .geometry import Geometry, Place, Size
from .layer_setup import LayerSetup
from .pulse_counts import PulseCounts, pick
from .pulses import Rate
from .random_lanes import RandomLanes
from .reader import VectorReader
from .reduce import or_tree
from .scatter import Scatter
from .sender import Sender, masked
from .sequencer import Word
from .statistics import LayerEvents
from .tile_port import Beat, Command, TileOp

__all__ = ["VectorUnit"]


class VectorUnit(wiring.Component):
    """Executes FORWARD, ACTIVATE, ERROR, BACKWARD, MULTIPLY, ROWS and UPDATE.

    FORWARD and BACKWARD send vectors and do not wait for results; ACTIVATE and MULTIPLY take
    them. Golden: the methods of :class:`golden.machine.Machine` with these names.

    Parameters
    ----------
    hw : ControllerConfig

    Members
    -------
    word : ``In(Word)``, launch : ``In(1)``, finish : ``In(1)``
        Instruction, and the first and last cycle of its execution. The units start in the cycle
        after ``launch``.
    busy : ``Out(1)``
    layers : ``In(data.ArrayLayout(LayerSetup, hw.layers))``
    place, size : ``In``
        See :class:`rtl.geometry.Geometry`.
    stochastic : ``In(1)``, delta_max : ``In(5)``
    bank : ``In(1)``, label : ``In(13)``
        Of the current example.
    input_addr, input_data, input_en : ``In``
        Write port of the memory of examples.
    input_block : ``In(10)``, input_length : ``Out(10)``
        Rows of a row block of the first layer.
    table_addr, table_data, table_en : ``In``
        See :class:`rtl.activation.Activation`.
    host_addr, host_data, host_en, host_r_addr, host_r_en, host_r_data
        See :class:`rtl.random_lanes.RandomLanes`.
    cmd, x : ``Out(stream)``
        To the tiles of ``mask``.
    y : ``In(stream)``, one a tile
    waiting : ``Out(hw.tiles)``
        Tile whose results are waited for.
    answer : ``Out(13)``, nonzero : ``Out(1)``
        See :class:`rtl.error.Scorer` and :class:`rtl.error.ErrorUnit`.
    events : ``Out(LayerEvents)``
        For :class:`rtl.statistics.Statistics`; up to 3 cycles late, and not forgotten by a reset.
    """

    def __init__(self, hw: ControllerConfig):
        self.hw = hw
        lanes = hw.lanes
        super().__init__({
            "word": In(Word),
            "launch": In(1),
            "finish": In(1),
            "busy": Out(1),
            "layers": In(data.ArrayLayout(LayerSetup, hw.layers)),
            "place": In(data.ArrayLayout(Place, hw.tiles)),
            "size": In(data.ArrayLayout(Size, hw.tiles)),
            "stochastic": In(1),
            "delta_max": In(5),
            "bank": In(1),
            "label": In(13),
            "input_addr": In(range(2 * hw.inputs)),
            "input_data": In(data.ArrayLayout(signed(8), lanes)),
            "input_en": In(lanes),
            "input_block": In(10),
            "input_length": Out(10),
            "table_addr": In(range(hw.tables * 256)),
            "table_data": In(Activated),
            "table_en": In(1),
            "host_addr": In(range(hw.random_depth * lanes)),
            "host_data": In(32),
            "host_en": In(1),
            "host_r_addr": In(range(hw.random_depth * lanes)),
            "host_r_en": In(1),
            "host_r_data": Out(32),
            "cmd": Out(stream.Signature(masked(Command, hw.tiles))),
            "x": Out(stream.Signature(masked(Beat(signed(8), lanes), hw.tiles))),
            "y": In(stream.Signature(data.ArrayLayout(signed(8), lanes))).array(hw.tiles),
            "waiting": Out(hw.tiles),
            "answer": Out(13),
            "nonzero": Out(1),
            "events": Out(LayerEvents),
        })

    def elaborate(self, platform):
        m = Module()
        hw, lanes = self.hw, self.hw.lanes
        most = max(hw.depth, hw.inputs)
        block_beats = -(-max(hw.rows, hw.cols) // lanes)

        m.submodules.geometry = geometry = Geometry(hw.tiles, 4)
        m.submodules.random = random = RandomLanes(lanes, hw.random_depth)
        m.submodules.reader = reader = VectorReader(lanes, depth=most)
        m.submodules.sender = sender = Sender(lanes, depth=most, tiles=hw.tiles)
        m.submodules.collector = collector = Collector(lanes, depth=block_beats, tiles=hw.tiles)
        m.submodules.accumulator = accumulator = Accumulator(
            lanes, depth=block_beats, tiles=hw.tiles
        )
        m.submodules.activation = activation = Activation(lanes, hw.tables)
        m.submodules.multiplier = multiplier = Multiplier(lanes, depth=hw.depth)
        m.submodules.scatter = scatter = Scatter(Activated, lanes, depth=hw.depth)
        m.submodules.scorer = scorer = Scorer(lanes)
        m.submodules.error = error = ErrorUnit(lanes)
        m.submodules.counts = counts = PulseCounts(hw.layers, lanes)

        memories = {}
        for name, depth in (
            ("inputs", 2 * hw.inputs),
            ("x", hw.depth),
            ("slope", hw.depth),
            ("delta", hw.depth),
        ):
            memory = Memory(shape=unsigned(8 * lanes), depth=depth, init=[])
            m.submodules[f"{name}_memory"] = memory
            memories[name] = memory.read_port(), memory.write_port(granularity=8)
        (inputs, inputs_w), (x, x_w) = memories["inputs"], memories["x"]
        (slope, slope_w), (delta, delta_w) = memories["slope"], memories["delta"]

        # An instruction is decoded into registers, a cycle before the units start.
        word, launch, finish = Signal(Word), Signal(), Signal()
        above = Signal(5)  # the layer after this one
        m.d.sync += [word.eq(self.word), launch.eq(self.launch), finish.eq(self.finish)]
        m.d.sync += above.eq(self.word.layer + 1)

        def op(*ops):
            """Return a register that says whether the instruction is one of ``ops``."""
            is_op = Signal(name="is_" + "_".join(o.name.lower() for o in ops))
            m.d.sync += is_op.eq(or_tree([self.word.op == o for o in ops]))
            return is_op

        m.d.comb += [geometry.place.eq(self.place), geometry.size.eq(self.size)]
        layers = [self.layers[i] for i in range(hw.layers)]
        here = Signal(LayerSetup)
        below_top = Signal()  # there is a layer above
        multiplies = self.word.op == Op.MULTIPLY  # with results of the layer above
        blocks, parts = Signal(10), Signal(10)  # of the results that are taken
        rows, cols = ([getattr(each, f"{n}_blocks") for each in layers] for n in ("row", "col"))
        rows_above, cols_above = (pick(each, self.word.layer + 1) for each in (rows, cols))
        m.d.sync += [
            here.as_value().eq(pick([layer.as_value() for layer in layers], self.word.layer)),
            below_top.eq(rows_above != 0),
            blocks.eq(Mux(multiplies, rows_above, pick(cols, self.word.layer))),
            parts.eq(Mux(multiplies, cols_above, pick(rows, self.word.layer))),
        ]

        # --- memories to tiles: FORWARD, BACKWARD, ROWS, UPDATE; and ERROR
        by_row, encode = op(Op.FORWARD, Op.ROWS), op(Op.ROWS, Op.UPDATE)
        scoring, updates = op(Op.ERROR), op(Op.UPDATE)
        first_layer = Signal()
        m.d.comb += [
            first_layer.eq(by_row & (word.layer == 0)),
            reader.start.eq(launch & op(Op.FORWARD, Op.BACKWARD, Op.ROWS, Op.UPDATE, Op.ERROR)),
            reader.blocks.eq(Mux(by_row, here.row_blocks, here.col_blocks)),
            reader.bias.eq(by_row),
            reader.length.eq(Mux(by_row, geometry.found[0].rows, geometry.found[0].cols)),
        ]
        query = geometry.query[0]
        m.d.comb += [
            query.layer.eq(word.layer),
            query.by_row.eq(by_row),
            query.by_col.eq(~by_row),
            query.row_block.eq(reader.block),
            query.col_block.eq(reader.block),
        ]
        asked_tiles, read_tiles = Signal(hw.tiles), Signal(hw.tiles)  # of block, of beat
        with m.If(reader.load):
            m.d.sync += asked_tiles.eq(geometry.mask[0])
        with m.If(reader.en):
            m.d.sync += read_tiles.eq(asked_tiles)
        # registers that are there before the first beat, as rate below
        x_base, lanes_base = Signal.like(here.x_read), Signal.like(here.row_lanes)
        m.d.sync += x_base.eq(Mux(scoring, here.x_write, here.x_read))
        m.d.sync += lanes_base.eq(Mux(by_row, here.row_lanes, here.col_lanes))
        m.d.comb += [
            inputs.addr.eq(Mux(self.bank, hw.inputs, 0) + reader.beat),
            x.addr.eq(x_base + reader.beat),
            delta.addr.eq(here.d_base + reader.beat),
            random.addr.eq(lanes_base + reader.beat),
            random.en.eq(reader.en),
        ]
        m.d.comb += [port.en.eq(reader.en) for port in (inputs, x, delta)]
        with m.If(first_layer):
            m.d.comb += reader.codes.eq(inputs.data)
        with m.Elif(by_row | scoring):
            m.d.comb += reader.codes.eq(x.data)
        with m.Else():
            m.d.comb += reader.codes.eq(delta.data)

        m.d.comb += [
            sender.i.valid.eq(reader.o.valid & ~scoring),
            sender.i.payload.eq(reader.o.payload),
            reader.o.ready.eq(sender.i.ready | scoring),
            sender.mask.eq(read_tiles),
            sender.words.eq(random.words),
            sender.encode.eq(encode),
            sender.stochastic.eq(self.stochastic),
            random.commit.eq(sender.commit & self.stochastic),
            sender.with_command.eq(~updates),
        ]
        with m.Switch(word.op):
            with m.Case(Op.FORWARD):
                m.d.comb += sender.command.op.eq(TileOp.FORWARD)
            with m.Case(Op.BACKWARD):
                m.d.comb += sender.command.op.eq(TileOp.BACKWARD)
            with m.Default():
                m.d.comb += sender.command.op.eq(TileOp.UPDATE)
        rate = Signal(Rate)
        with m.If(by_row):  # |x| + u reaches 2**7 or not
            m.d.sync += [rate.mult.eq(1), rate.shift.eq(7), rate.most.eq(1)]
        with m.Else():
            m.d.sync += [rate.mult.eq(here.mult), rate.shift.eq(here.shift)]
            m.d.sync += rate.most.eq(self.delta_max)
        m.d.comb += sender.rate.eq(rate)
        wiring.connect(m, sender.cmd, wiring.flipped(self.cmd))
        wiring.connect(m, sender.x, wiring.flipped(self.x))

        m.d.comb += [
            error.start.eq(launch),
            error.label.eq(self.label),
            self.nonzero.eq(error.nonzero),
        ]
        error_beat, read = Signal.like(reader.o.p.beat), reader.o.p
        m.d.sync += [error.codes.eq(read.data), error.count.eq(read.count)]
        m.d.sync += [error.en.eq(reader.o.valid & scoring), error_beat.eq(read.beat)]

        # --- tiles to memories: ACTIVATE of this layer, MULTIPLY with results of the one above
        activate, multiply = op(Op.ACTIVATE), op(Op.MULTIPLY)
        layer = Signal(5)  # whose results are taken
        m.d.sync += layer.eq(self.word.layer + multiplies)
        m.d.comb += [
            collector.start.eq(launch & (activate | multiply)),
            collector.backward.eq(multiply),
            collector.blocks.eq(blocks),
            collector.parts.eq(parts),
            collector.mask.eq(geometry.mask[1]),
            collector.length.eq(Mux(multiply, geometry.found[1].rows, geometry.found[1].cols)),
            geometry.query[1].layer.eq(layer),
            geometry.query[1].by_row.eq(1),
            geometry.query[1].by_col.eq(1),
            geometry.query[1].row_block.eq(Mux(multiply, collector.block, collector.part)),
            geometry.query[1].col_block.eq(Mux(multiply, collector.part, collector.block)),
            accumulator.backward.eq(multiply),
        ]
        for t in range(hw.tiles):
            wiring.connect(m, wiring.flipped(self.y[t]), collector.y[t])
        wiring.connect(m, collector.o, accumulator.i)
        m.d.comb += self.waiting.eq(Mux(collector.busy & ~collector.o.valid, collector.taking, 0))

        m.d.comb += [
            activation.i.payload.eq(accumulator.o.payload),
            activation.i.valid.eq(accumulator.o.valid & activate),
            activation.select.eq(here.table),
            activation.table_addr.eq(self.table_addr),
            activation.table_data.eq(self.table_data),
            activation.table_en.eq(self.table_en),
            scorer.start.eq(launch & activate),
            scorer.codes.eq(accumulator.o.p.data),
            scorer.count.eq(accumulator.o.p.count),
            scorer.en.eq(activation.i.valid & activation.i.ready),
            self.answer.eq(scorer.answer),
            multiplier.i.payload.eq(accumulator.o.payload),
            multiplier.i.valid.eq(accumulator.o.valid & multiply),
            accumulator.o.ready.eq(Mux(multiply, multiplier.i.ready, activation.i.ready)),
            multiplier.start.eq(launch),
            multiplier.base.eq(here.x_write),
            slope.addr.eq(multiplier.addr),
            slope.en.eq(multiplier.en),
            multiplier.slopes.eq(slope.data),
        ]

        m.d.comb += [
            scatter.start.eq(launch),
            scatter.base.eq(Mux(multiply, here.d_base, here.x_write)),
            scatter.i.valid.eq(Mux(multiply, multiplier.o.valid, activation.o.valid)),
            scatter.i.p.count.eq(Mux(multiply, multiplier.o.p.count, activation.o.p.count)),
            activation.o.ready.eq(scatter.i.ready),
            multiplier.o.ready.eq(scatter.i.ready),
        ]
        for k in range(lanes):
            m.d.comb += [
                scatter.i.p.data[k].value.eq(
                    Mux(multiply, multiplier.o.p.data[k], activation.o.p.data[k].value)
                ),
                scatter.i.p.data[k].slope.eq(activation.o.p.data[k].slope),
            ]
            m.d.sync += [
                x_w.data[8 * k : 8 * k + 8].eq(scatter.data[k].value),
                slope_w.data[8 * k : 8 * k + 8].eq(scatter.data[k].slope),
            ]

        # outputs are cut as the inputs of the next layer are, or, in the last, as they came
        next_layer = Signal()
        m.d.comb += [
            next_layer.eq(activate & below_top),
            geometry.query[2].layer.eq(Mux(next_layer, above, word.layer)),
            geometry.query[2].by_row.eq(next_layer),
            geometry.query[2].by_col.eq(~next_layer),
            geometry.query[2].row_block.eq(scatter.block),
            geometry.query[2].col_block.eq(scatter.block),
            # room for the bias row stays empty
            scatter.length.eq(Mux(next_layer, geometry.found[2].rows, geometry.found[2].cols)),
        ]
        m.d.sync += [  # a register more, before the next instruction reads
            x_w.addr.eq(scatter.addr),
            slope_w.addr.eq(scatter.addr),
            x_w.en.eq(Mux(activate, scatter.en, 0)),
            slope_w.en.eq(Mux(activate, scatter.en, 0)),
        ]
        with m.If(multiply):
            m.d.sync += [delta_w.addr.eq(scatter.addr), delta_w.en.eq(scatter.en)]
            m.d.sync += [
                delta_w.data[8 * k : 8 * k + 8].eq(scatter.data[k].value) for k in range(lanes)
            ]
        with m.Else():
            m.d.sync += [
                delta_w.addr.eq(here.d_base + error_beat),
                delta_w.data.eq(error.delta),
                delta_w.en.eq(error.en.replicate(lanes)),
            ]

        # --- the host's side
        m.d.comb += [
            inputs_w.addr.eq(self.input_addr),
            inputs_w.data.eq(self.input_data),
            inputs_w.en.eq(self.input_en),
            geometry.query[3].layer.eq(0),
            geometry.query[3].by_row.eq(1),
            geometry.query[3].row_block.eq(self.input_block),
            self.input_length.eq(geometry.found[3].rows),
            random.host_addr.eq(self.host_addr),
            random.host_data.eq(self.host_data),
            random.host_en.eq(self.host_en),
            random.host_r_addr.eq(self.host_r_addr),
            random.host_r_en.eq(self.host_r_en),
            self.host_r_data.eq(random.host_r_data),
        ]

        # --- what to count
        m.d.comb += [
            counts.start.eq(launch),
            counts.en.eq(sender.counted),
            counts.asked.eq(sender.asked),
            counts.applied.eq(sender.applied),
            counts.rows.eq(finish & op(Op.ROWS)),
            counts.update.eq(finish & updates),
            counts.layer.eq(word.layer),
            self.events.layer.eq(layer),
        ]
        with m.If(counts.valid):  # long before the next results come
            m.d.comb += self.events.eq(counts.events)
        with m.Elif(multiply):
            m.d.comb += self.events.backward_clips.eq(accumulator.clips)
        with m.Else():
            m.d.comb += self.events.forward_clips.eq(accumulator.clips)

        m.d.comb += self.busy.eq(
            launch
            | reader.busy
            | error.en
            | sender.busy
            | collector.busy
            | accumulator.busy
            | activation.o.valid
            | multiplier.busy
            | scatter.busy
        )
        return m
