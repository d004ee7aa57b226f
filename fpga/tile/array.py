# SPDX-License-Identifier: Apache-2.0
"""The array of all emulated tiles: lanes, and everything that works on all of them."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.reduce import add_tree, or_tree

from .bells import bell_ports
from .cells import Item, row_ports
from .draws import Draws
from .input import COLUMN, PULSES
from .lane import CONVERT_STAGES, STEP_STAGE, Convert, Lane, Store
from .layout import Plane
from .near import group, near, stages_of
from .offsets import Offsets
from .reference import LEAK_STAGE, Reference
from .tiles_layout import KINDS, TilesLayout
from .walker import Visit, row_address

__all__ = ["VISIT_STAGES", "TileArray"]

#: Stage of the lanes in which their products are there, and in which they are added up.
_PRODUCT, _TOTAL = 6, 8
#: The last stage of a visit.
VISIT_STAGES = _TOTAL


class TileArray(wiring.Component):
    """Lanes, reference cells, converters, cell engine and the mixer that these share.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    tile : ``In``
        Whose rows of cells, and whose words of the host.
    forget : ``In(1)``
        Drop the row of cells that is under way; 24 cycles at least, in which all else runs out.
    forward, backward : ``In(1)``, negative : ``In(1)``
        Add up in each lane, or over the lanes; polarity of the cells. They hold while ``moving``.
    visit : ``In(Visit)``
        Stage 0 of the lanes: cells to multiply.
    upcoming : ``In(18)``
        Address of ``visit`` in the next cycle.
    codes : ``In(data.ArrayLayout(COLUMN, lanes))``
        Stage 0: codes of the columns of the word.
    moving : ``Out(VISIT_STAGES + 1)``
        The stages that have a visit.
    step_visit, step_upcoming, pulses, step_negative
        The same for cells to step, with the pulses of the columns.
    leaks : ``In(1)``
        Steps are a tick of leakage; ``visit`` and ``step_visit`` are the same then.
    stepping : ``Out(STEP_STAGE + 1)``, written : ``Out(Visit)``
        The stages that have a step, and the one that is written.
    by_cell : ``In(1)``
        Cells are handled one by one.
    start, task, row, cols, columns, columns_busy, busy, writes, keys
        See :class:`fpga.tile.cells.CellEngine`.
    conversions, bell_keys, restart, drawn : ``In`` and ``Out``, one a tile
        See :class:`fpga.tile.bells.Bells`.
    convert : ``In(1)``, converter : ``In``, beat : ``In``, bell : ``In``
        Convert the sums of a beat, with the noise that was drawn for it.
    empty : ``In(1)``, amp : ``In``
        All sums are 0; amplitude of the noise.
    y : ``Out(data.ArrayLayout(signed(12), lanes))``, y_valid : ``Out(1)``, y_converter : ``Out``
        Codes, 6 cycles later.
    host : ``In(1)``, plane, index, w_data : ``In``, host_write : ``In(1)``
        The host has the memories; write a word of them.
    r_data : ``Out(32)``
        What is there, 6 cycles later.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        tiles = len(layout.tiles)
        converter = range(KINDS * tiles)
        super().__init__({
            "tile": In(range(max(2, tiles))),
            "forget": In(1),
            "forward": In(1),
            "backward": In(1),
            "negative": In(1),
            "visit": In(Visit),
            "upcoming": In(18),
            "codes": In(data.ArrayLayout(COLUMN, layout.lanes)),
            "moving": Out(VISIT_STAGES + 1),
            "step_visit": In(Visit),
            "step_upcoming": In(18),
            "pulses": In(data.ArrayLayout(PULSES, layout.lanes)),
            "step_negative": In(1),
            "leaks": In(1),
            "stepping": Out(STEP_STAGE + 1),
            "written": Out(Visit),
            "by_cell": In(1),
            **row_ports(layout),
            **bell_ports(layout),
            "convert": In(1),
            "converter": In(converter),
            "beat": In(range(layout.beats)),
            "bell": In(range(layout.first_bell[-1])),
            "empty": In(1),
            "amp": In(layout.power_bits // 2),
            "y": Out(data.ArrayLayout(signed(12), layout.lanes)),
            "y_valid": Out(1),
            "y_converter": Out(converter),
            "host": In(1),
            "plane": In(3),
            "index": In(18),
            "w_data": In(32),
            "host_write": In(1),
            "r_data": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        self._line = Signal(range(layout.first_row[-1]))  # of the host, or of the row of cells
        lanes = [Lane(layout, cells=k < layout.cell_lanes) for k in range(layout.lanes)]
        for k, lane in enumerate(lanes):
            m.submodules[f"lane_{k}"] = lane
        self._draw(m, lanes)
        self._walk(m, lanes)
        self._convert(m, lanes)
        self._store(m, lanes)
        return m

    def _draw(self, m, lanes):
        """Draw random words for cells and conversions."""
        m.submodules.draws = draws = self._draws = Draws(self.layout)
        wiring.connect(m, wiring.flipped(self.columns), draws.columns)
        names = ("forget", "start", "task", "row", "cols", "columns_busy", "writes", "keys")
        m.d.comb += [getattr(draws, name).eq(getattr(self, name)) for name in names]
        m.d.comb += self.busy.eq(draws.busy)
        for t in range(len(self.layout.tiles)):
            for name in ("conversions", "bell_keys", "restart"):
                m.d.comb += getattr(draws, name)[t].eq(getattr(self, name)[t])
            m.d.comb += self.drawn[t].eq(draws.drawn[t])
        place = draws.bell_place
        for k, lane in enumerate(lanes):
            m.d.comb += [
                lane.bell_data.eq(draws.bell),
                lane.bell_beat.eq(place.beat),
                lane.bell_en.eq(draws.bell_en & (place.lane == k)),
            ]

    def _walk(self, m, lanes):
        """Pass visits on from stage to stage; add up the lanes' products."""
        layout = self.layout
        visits = self._visits = stages_of(m, "visit", self.visit, VISIT_STAGES)
        steps = self._steps = stages_of(m, "step", self.step_visit, STEP_STAGE)
        m.d.comb += [
            self.moving.eq(Cat(v.valid for v in visits)),
            self.stepping.eq(Cat(v.valid for v in steps)),
            self.written.eq(steps[STEP_STAGE]),
        ]
        m.submodules.reference = reference = self._reference = Reference(layout)
        leak = visits[LEAK_STAGE]
        m.d.comb += [
            reference.row.eq(Mux(self.host, self._line, self.visit.line)),
            reference.leak.eq(leak.valid & leak.first & self.leaks),
            reference.leak_row.eq(leak.line),
        ]
        forward, leaks = near(m, "forward", self.forward), near(m, "leaks", self.leaks)
        writes = near(m, "writes", steps[STEP_STAGE - 1].valid)
        for k, lane in enumerate(lanes):
            g = group(k, layout.lanes)
            m.d.comb += [
                lane.forward.eq(forward[g]),
                lane.negative.eq(self.negative),
                lane.column.eq(self.codes[k][:8]),
                lane.code.eq(visits[4].code),
                lane.v_ref.eq(reference.v),
                lane.walk.valid.eq(visits[_PRODUCT].valid),
                lane.walk.fresh.eq(visits[_PRODUCT].fresh),
                lane.walk.word.eq(visits[_PRODUCT].word),
                lane.leaks.eq(leaks[g]),
                lane.step_negative.eq(self.step_negative),
                lane.pulses.eq(self.pulses[k]),
                lane.opposite.eq(self.step_visit.code[-1]),
                lane.write.eq(writes[g]),
            ]

        # BACKWARD: all lanes of a word, then all words of a row
        products = [lane.product for lane in lanes[: layout.cell_lanes]]
        fours = []
        for k in range(0, len(products), 4):
            four = Signal(signed(28), name=f"four_{k}")
            m.d.sync += four.eq(add_tree(products[k : k + 4]))
            fours.append(four)
        word, row, total = Signal(signed(32)), Signal(signed(32)), Signal(signed(32))
        sent, sent_row, over = Signal(signed(32)), Signal(9), Signal()
        visit = visits[_TOTAL]
        m.d.sync += word.eq(add_tree(fours))
        m.d.comb += total.eq(Mux(visit.first, 0, row) + word)
        with m.If(visit.valid):
            m.d.sync += row.eq(total)
        shift = exact_log2(layout.lanes)
        m.d.sync += [
            sent.eq(total),
            sent_row.eq(visit.row),
            over.eq(visit.valid & visit.last & self.backward),
        ]
        for k, lane in enumerate(lanes):
            m.d.comb += [
                lane.total.eq(sent),
                lane.total_beat.eq(sent_row >> shift),
                lane.total_en.eq(over & (sent_row[:shift] == k)),
            ]

    def _convert(self, m, lanes):
        """Pass conversions on from stage to stage."""
        layout = self.layout
        first = Signal(Convert, name="convert_0")
        m.d.sync += [
            first.valid.eq(self.convert),
            first.converter.eq(self.converter),
            first.beat.eq(self.beat),
            first.bell.eq(self.bell),
            first.empty.eq(self.empty),
        ]
        stages = stages_of(m, "convert", first, CONVERT_STAGES)
        m.submodules.offsets = offsets = Offsets(layout)
        m.d.comb += [
            offsets.converter.eq(stages[0].converter),
            offsets.beat.eq(stages[0].beat),
            offsets.tile.eq(self.tile),
            offsets.index.eq(self.index),
            offsets.w_data.eq(self.w_data),
            offsets.w_en.eq(self.host_write & (self.plane == Plane.OFFSET)),
        ]
        m.d.comb += [
            self.y_valid.eq(stages[-1].valid),
            self.y_converter.eq(stages[-1].converter),
        ]
        beat = Signal(range(layout.beats))
        m.d.comb += beat.eq(Mux(stages[1].valid, stages[1].beat, self._visits[_PRODUCT - 1].word))
        sums = near(m, "sum", beat)
        for k, lane in enumerate(lanes):
            m.d.comb += [lane.convert[i].eq(stages[i]) for i in range(CONVERT_STAGES)]
            m.d.comb += [
                lane.amp.eq(self.amp),
                lane.offset.eq(offsets.o[k]),
                lane.sum.eq(sums[group(k, layout.lanes)]),
                self.y[k].eq(lane.y),
            ]

    def _store(self, m, lanes):
        """Let the cell engine and the host at the memories."""
        layout, cells, reference = self.layout, self._draws, self._reference
        shift = exact_log2(layout.lanes)
        base, addr, store_addr, where = (
            Signal(range(layout.first_word[-1]), name=name)
            for name in ("base", "addr", "store_addr", "where")
        )
        m.d.sync += [
            base.eq(row_address(layout, self.tile, self.row)),
            # of the host
            where.eq((self.index >> shift) + Array(layout.first_word)[self.tile]),
        ]
        storing, bus = Signal(), Signal(32)
        place = cells.place
        capacitor = (place.kind == Item.INIT) | (place.kind == Item.REFERENCE)
        with m.If(self.host):
            m.d.comb += addr.eq(where)
        with m.Else():
            m.d.comb += addr.eq(Mux(self.by_cell, base + cells.look.beat, self.upcoming))
        addrs, step_addrs = near(m, "addr", addr), near(m, "step_addr", self.step_upcoming)
        # What is stored goes through registers: it comes from far, and there is time.
        m.d.sync += storing.eq(self.host_write | cells.store)
        with m.If(self.host):
            m.d.sync += [store_addr.eq(where), bus.eq(self.w_data)]
        with m.Else():
            m.d.sync += [
                store_addr.eq(base + place.beat),
                bus[:16].eq(Mux(capacitor, cells.v, cells.g)),
                bus[16:].eq(cells.g),
            ]
        write_addr, stored = Signal.like(addr), Signal(32)
        m.d.sync += stored.eq(bus)
        m.d.sync += write_addr.eq(Mux(storing, store_addr, self._steps[STEP_STAGE - 1].addr))
        for k, lane in enumerate(lanes):
            m.d.comb += [
                lane.addr.eq(addrs[group(k, layout.lanes)]),
                lane.step_addr.eq(step_addrs[group(k, layout.lanes)]),
                lane.write_addr.eq(write_addr),
                lane.bus.eq(stored),
            ]
            store = Signal(Store, name=f"store_{k}")
            with m.If(self.host):
                here = self.host_write & (self.index[:shift] == k)
                m.d.sync += [
                    store.v.eq(here & (self.plane == Plane.V)),
                    store.g_plus.eq(here & (self.plane == Plane.G)),
                    store.g_minus.eq(here & (self.plane == Plane.G)),
                    store.step.eq(here & (self.plane == Plane.STEP)),
                    store.fixed.eq(here & (self.plane == Plane.FIXED)),
                ]
            with m.Else():
                here = cells.store & (place.lane == k)
                m.d.sync += [
                    store.v.eq(here & (place.kind == Item.INIT)),
                    store.g_plus.eq(here & ~capacitor & ~place.minus),
                    store.g_minus.eq(here & ~capacitor & place.minus),
                    store.step.eq(0),
                    store.fixed.eq(0),
                ]
            m.d.sync += lane.store.eq(store)
        from_host, reference_cell, line = Signal(), Signal(), Signal.like(self._line)
        m.d.sync += [
            from_host.eq(self.host),
            self._line.eq(
                Mux(self.host, self.index, self.row) + Array(layout.first_row)[self.tile]
            ),
            line.eq(self._line),
            reference_cell.eq(
                Mux(
                    self.host,
                    self.host_write & (self.plane == Plane.REFERENCE),
                    cells.store & (place.kind == Item.REFERENCE),
                )
            ),
        ]
        m.d.comb += [
            reference.bus.eq(bus),
            reference.store_leak.eq(from_host),
            reference.store_row.eq(line),
            reference.store.eq(reference_cell),
        ]

        # one lane's cell, for the cell engine and the host
        lane_of, minus = Signal(range(layout.lanes)), Signal()
        seek_minus = Signal()
        m.d.sync += [
            lane_of.eq(Mux(self.host, self.index[:shift], cells.seek_lane)),
            seek_minus.eq(cells.seek_minus),
        ]
        g_plus, g_minus = Signal(layout.common.g_bits), Signal(layout.common.g_bits)
        v, plane = Signal(signed(16)), self.plane

        def chosen(name):
            values = [getattr(lane, name) for lane in lanes[: layout.cell_lanes]]
            return or_tree([Mux(lane_of == k, value, 0) for k, value in enumerate(values)])

        m.d.sync += [
            g_plus.eq(chosen("g_plus")),
            g_minus.eq(chosen("g_minus")),
            v.eq(chosen("v")),
            minus.eq(seek_minus),
        ]
        m.d.comb += cells.old.eq(Mux(minus, g_minus, g_plus))
        with m.Switch(plane):
            with m.Case(Plane.V):
                m.d.sync += self.r_data.eq(v)
            with m.Case(Plane.G):
                m.d.sync += [self.r_data[:16].eq(g_plus), self.r_data[16:].eq(g_minus)]
            with m.Case(Plane.REFERENCE):
                m.d.sync += self.r_data.eq(reference.v)
            with m.Default():
                m.d.sync += self.r_data.eq(0)
