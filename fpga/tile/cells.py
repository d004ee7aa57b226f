# SPDX-License-Identifier: Apache-2.0
"""Cell engine: what happens to cells one by one, with random numbers for each."""

import numpy as np
from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from analog_models.fixed_tile import Stream
from analog_models.prng import GOLDEN
from analog_models.tile import HOLD, RESET

from .input import COLUMN
from .layout import KEYS
from .near import later, stages_of
from .picker import pick
from .tiles_layout import TilesLayout

__all__ = ["CellEngine", "Item", "Task", "cell_ports", "item", "row_ports"]


class Task(enum.Enum, shape=2):
    """What is done to the cells of a row."""

    PROGRAM = 0
    INIT = 1
    DRIFT = 2


class Item(enum.Enum, shape=3):
    """What a random word is for."""

    RESPONSE = 0  # of the device that the next item SETs
    SET = 1
    RESET = 2
    INIT = 3
    REFERENCE = 4  # INIT of the reference cell
    DRIFT = 5


def item(layout: TilesLayout):
    """Layout of what goes through the mixer along with a word."""
    return data.StructLayout({
        "kind": Item,
        "minus": 1,
        "beat": range(layout.words),
        "lane": range(layout.lanes),
        "code": 7,  # duration of a SET
    })


def row_ports(layout: TilesLayout):
    """Members that say which row to work on; see :class:`CellEngine`."""
    return {
        "start": In(1),
        "busy": Out(1),
        "task": In(Task),
        "row": In(9),
        "cols": In(range(layout.cols + 1)),
        "writes": In(32),
        "keys": In(data.ArrayLayout(32, len(KEYS))),
        "columns": In(stream.Signature(pick(layout.beats, layout.lanes, COLUMN))),
        "columns_busy": In(1),
    }


def cell_ports(layout: TilesLayout):
    """Members through which cells are read and written; see :class:`CellEngine`."""
    places = item(layout)
    return {
        "look": Out(places),
        "seek_lane": Out(range(layout.lanes)),
        "seek_minus": Out(1),
        "old": In(layout.common.g_bits),
        "store": Out(1),
        "place": Out(places),
        "g": Out(layout.common.g_bits),
        "v": Out(signed(16)),
    }


class CellEngine(wiring.Component):
    """Program, initialise or drift the cells of one row: a random word a cycle.

    Golden: ``program``, ``init`` and the drift in ``age`` of
    :class:`analog_models.fixed_tile.FixedTile`. A device that is RESET takes one cycle, one that
    is SET two; one that is left alone, none. About 35 cycles more for each row.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    start : ``In(1)``
        Begin; the inputs below hold until ``busy`` falls.
    busy : ``Out(1)``
        From the cycle after ``start`` until everything is written.
    task : ``In(Task)``, row : ``In(9)``, cols : ``In``, writes : ``In(32)``
    keys : ``In(data.ArrayLayout(32, len(KEYS)))``
        Of the streams :data:`fpga.tile.layout.KEYS`.
    columns : ``In(stream)``
        Columns to work on, with their PROGRAM codes; :class:`fpga.tile.picker.Picker`.
    columns_busy : ``In(1)``
        There may be more of them.
    valid : ``Out(1)``, word : ``Out(32)``, head : ``Out(1)``, tag : ``Out(item(layout))``
        Request to the mixer.
    head_valid : ``In(1)``, head_word : ``In(32)``
        A mixed head.
    bell_valid : ``In(1)``, bell : ``In(signed(11))``, bell_item : ``In(item(layout))``
    look : ``Out(item(layout))``
        The cell whose state is needed, 4 cycles later: that is ``old``.
    seek_lane : ``Out``, seek_minus : ``Out(1)``
        Which of the lanes, 2 cycles after ``look``.
    old : ``In(layout.common.g_bits)``
    store : ``Out(1)``, place : ``Out(item(layout))``
        Write ``g`` or ``v`` there.
    g : ``Out(layout.common.g_bits)``, v : ``Out(signed(16))``
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        places = item(layout)
        super().__init__({
            **row_ports(layout),
            "valid": Out(1),
            "word": Out(32),
            "head": Out(1),
            "tag": Out(places),
            "head_valid": In(1),
            "head_word": In(32),
            "bell_valid": In(1),
            "bell": In(signed(11)),
            "bell_item": In(places),
            **cell_ports(layout),
        })

    def elaborate(self, platform):
        m = Module()
        retired = self._devices(m)
        drawn = self._draw(m)
        flying = Signal(6)  # items that were asked for and are not done
        m.d.sync += flying.eq(flying + drawn - retired)
        with m.If(flying.any()):
            m.d.comb += self.busy.eq(1)
        return m

    def _draw(self, m):
        """Ask for the words of the row; return whether one is asked for in this cycle."""
        layout, task = self.layout, self.task
        heads = Array(Signal(32, name=f"head_{k}") for k in range(3))
        asked, got = Signal(2), Signal(2)
        drift = task == Task.DRIFT
        key = {stream: self.keys[k] for k, stream in enumerate(KEYS)}

        # lane * GOLDEN of every column, and of the reference cell
        lanes = np.arange(layout.cols + 1, dtype=np.uint64) * GOLDEN & 0xFFFFFFFF
        m.submodules.steps = steps = Memory(
            shape=32,
            depth=layout.cols + 1,
            init=[int(x) for x in lanes],
            attrs={"rom_style": "block"},  # in LUTs it is slow
        )
        step = steps.read_port()
        current, loaded = Signal(pick(layout.beats, layout.lanes, COLUMN)), Signal()
        plus, minus = current.code[:7], current.code[7:]
        second, on_minus = Signal(), Signal()  # where in the column we are
        code = Signal(7)
        plus_sets, minus_sets, with_minus = Signal(), Signal(), Signal()  # of the column
        sets, more, issue = Signal(), Signal(), Signal()
        kind, after = Signal(Item), Signal()  # after: the next item is of another column
        m.d.comb += [
            code.eq(Mux(on_minus, minus, plus)),
            sets.eq(Mux(on_minus, minus_sets, plus_sets)),
            more.eq(~on_minus & with_minus),
            after.eq(~(sets & ~second) & ~more),
        ]
        with m.Switch(task):
            with m.Case(Task.PROGRAM):
                m.d.comb += kind.eq(Mux(sets, Mux(second, Item.SET, Item.RESPONSE), Item.RESET))
            with m.Case(Task.INIT):
                m.d.comb += kind.eq(Item.INIT)
            with m.Case(Task.DRIFT):
                m.d.comb += kind.eq(Item.DRIFT)

        # what is asked for: the sum of two words, a cycle later
        asks, is_head = Signal(), Signal()
        left, right = Signal(32), Signal(32)
        place = Signal.like(self.tag)
        m.d.sync += [
            asks.eq(0),
            is_head.eq(0),
            self.valid.eq(asks),
            self.head.eq(is_head),
            self.word.eq(left + right),
            self.tag.eq(place),
        ]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [asked.eq(0), got.eq(0)]
                    m.next = "HEADS"
            with m.State("HEADS"):
                with m.If(asked < 3):
                    m.d.sync += [asked.eq(asked + 1), asks.eq(1), is_head.eq(1)]
                with m.Switch(asked):
                    with m.Case(0):
                        m.d.sync += [left.eq(key[Stream.WRITE]), right.eq(self.writes)]
                    with m.Case(1):
                        plus_key = Mux(drift, key[Stream.DRIFT_PLUS], key[Stream.RESPONSE_PLUS])
                        m.d.sync += [left.eq(plus_key), right.eq(self.row)]
                    with m.Case(2):
                        minus_key = Mux(drift, key[Stream.DRIFT_MINUS], key[Stream.RESPONSE_MINUS])
                        m.d.sync += [left.eq(minus_key), right.eq(self.row)]
                with m.If(self.head_valid):
                    m.d.sync += [got.eq(got + 1), heads[got].eq(self.head_word)]
                    with m.If(got == 2):
                        m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.comb += [
                    issue.eq(loaded),
                    self.columns.ready.eq(~loaded | after),
                ]
                with m.If(~self.columns_busy & ~loaded):
                    m.next = "END"
                    with m.If(task == Task.INIT):
                        m.next = "REFERENCE"
            with m.State("REFERENCE"):
                m.d.comb += [issue.eq(1), kind.eq(Item.REFERENCE)]
                m.next = "END"
            with m.State("END"):  # the request is under way
                m.next = "IDLE"

        take = self.columns.valid & self.columns.ready
        m.d.comb += [
            step.addr.eq(Mux(self.columns.valid, self._column(), self.cols)),
            step.en.eq(~loaded | after),
        ]
        with m.If(take):
            m.d.sync += [current.eq(self.columns.payload), loaded.eq(1), second.eq(0)]
            first, second_code = self.columns.p.code[:7], self.columns.p.code[7:]
            programs = task == Task.PROGRAM
            m.d.sync += [
                on_minus.eq(programs & (first == HOLD)),
                plus_sets.eq(programs & (first != RESET)),
                minus_sets.eq(programs & (second_code != RESET)),
                with_minus.eq(Mux(programs, second_code != HOLD, task == Task.DRIFT)),
            ]
        with m.Elif(issue):
            with m.If(sets & ~second):
                m.d.sync += second.eq(1)
            with m.Elif(more):
                m.d.sync += [second.eq(0), on_minus.eq(1)]
            with m.Else():
                m.d.sync += loaded.eq(0)

        # the devices of a column have neighbouring words, its response and drift one of their own
        pair = (kind == Item.SET) | (kind == Item.RESET)
        own = (kind == Item.RESPONSE) | (kind == Item.DRIFT)
        # head of the minus devices; which of the four heads
        second_head, which = Signal(32), Signal(2)
        m.d.sync += second_head.eq(heads[0] + GOLDEN)
        m.d.comb += which.eq(Mux(own, Mux(on_minus, 2, 1), Mux(pair & on_minus, 3, 0)))
        with m.If(issue):
            m.d.sync += [
                asks.eq(1),
                left.eq(Array([*heads, second_head])[which]),
                right.eq(Mux(pair, step.data << 1, step.data)),
                place.kind.eq(kind),
                place.minus.eq(on_minus),
                place.beat.eq(current.beat),
                place.lane.eq(current.lane),
                place.code.eq(code),
            ]
        with m.If(~fsm.ongoing("IDLE")):
            m.d.comb += self.busy.eq(1)
        return issue

    def _column(self):
        """Return the number of the column that is offered."""
        return Cat(self.columns.p.lane, self.columns.p.beat)

    def _devices(self, m):
        """Turn bells into states; return whether an item is done in this cycle."""
        layout, t = self.layout, self.layout.common.tables
        valid = later(m, self.bell_valid, 9)  # by stage
        at = stages_of(m, "item", self.bell_item, 9)
        m.d.comb += [
            self.look.eq(at[0]),
            self.seek_lane.eq(at[2].lane),
            self.seek_minus.eq(at[2].minus),
        ]

        # --- stages 0 to 4: bell * amplitude
        codes = len(t.set_mean)
        m.submodules.set_amp = amps = Memory(
            shape=max(1, int(t.set_amp.max()).bit_length()),
            depth=codes,
            init=[int(x) for x in t.set_amp],
        )
        m.submodules.set_mean = means = Memory(
            shape=layout.common.g_bits, depth=codes, init=[int(x) for x in t.set_mean]
        )
        amp_read, mean_read = amps.read_port(), means.read_port()
        m.d.comb += [
            amp_read.addr.eq(self.bell_item.code),
            mean_read.addr.eq(self.bell_item.code),
        ]
        mean = [None, *later(m, mean_read.data, 6)]  # stages 1 to 7
        bell = later(m, self.bell, 1)
        bell_2, amp_2 = Signal(signed(11)), Signal(17)
        product_3, scaled_4 = Signal(signed(28)), Signal(signed(20))
        with m.Switch(at[1].kind):
            for kind, amp in (
                (Item.RESPONSE, t.response_amp),
                (Item.SET, amp_read.data),
                (Item.RESET, t.reset_amp),
                (Item.DRIFT, t.drift_amp),
            ):
                with m.Case(kind):
                    m.d.sync += amp_2.eq(amp)
            with m.Default():
                m.d.sync += amp_2.eq(t.init_amp)
        m.d.sync += [
            bell_2.eq(bell[1]),
            product_3.eq(bell_2 * amp_2),
            scaled_4.eq((product_3 + 128) >> 8),
        ]

        # --- stages 5 to 7: mean * response, or conductance * loss
        old = [None] * 4 + later(m, self.old, 4)  # stages 4 to 8
        scaled = [None] * 4 + later(m, scaled_4, 3)  # stages 4 to 7
        left_5, right_5 = Signal(layout.common.g_bits), Signal(signed(18))
        product_6, change_7 = Signal(signed(layout.common.g_bits + 18)), Signal(signed(20))
        loss = Signal(signed(20))
        m.d.comb += loss.eq(t.drift_mean + scaled_4)
        with m.If(at[4].kind == Item.DRIFT):
            m.d.sync += [left_5.eq(self.old), right_5.eq(Mux(loss < 0, 0, loss))]
        with m.Else():
            m.d.sync += [left_5.eq(mean[4]), right_5.eq(scaled_4)]
        m.d.sync += product_6.eq(left_5 * right_5)
        with m.If(at[6].kind == Item.DRIFT):
            m.d.sync += change_7.eq((product_6 + 32768) >> 16)
        with m.Else():
            m.d.sync += change_7.eq((product_6 + 2048) >> 12)

        # --- stages 8 and 9: the new state, within its bounds
        grown, sum_8, state_9 = Signal(signed(20)), Signal(signed(20)), Signal(signed(20))
        with m.Switch(at[7].kind):
            with m.Case(Item.RESPONSE):
                m.d.sync += grown.eq(mean[7] + change_7)
            with m.Case(Item.SET):
                m.d.sync += sum_8.eq(grown + scaled[7])
            with m.Case(Item.RESET):
                m.d.sync += sum_8.eq(t.g_reset + scaled[7])
            with m.Case(Item.DRIFT):
                m.d.sync += sum_8.eq(old[7] - change_7)
            with m.Default():
                m.d.sync += sum_8.eq(scaled[7])
        capacitor = (at[8].kind == Item.INIT) | (at[8].kind == Item.REFERENCE)
        low, high = Signal(signed(20)), Signal(signed(20))
        m.d.comb += [low.eq(0), high.eq(t.g_max)]
        with m.If(capacitor):
            m.d.comb += [low.eq(t.v_min), high.eq(t.v_max)]
        with m.Elif(at[8].kind == Item.SET):  # a SET never lowers the conductance
            m.d.comb += low.eq(old[8])
        with m.If(sum_8 > high):
            m.d.sync += state_9.eq(high)
        with m.Elif(sum_8 < low):
            m.d.sync += state_9.eq(low)
        with m.Else():
            m.d.sync += state_9.eq(sum_8)
        m.d.comb += [
            self.store.eq(valid[9] & (at[9].kind != Item.RESPONSE)),
            self.place.eq(at[9]),
            self.g.eq(state_9),
            self.v.eq(state_9),
        ]
        return valid[9]
