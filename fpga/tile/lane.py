# SPDX-License-Identifier: Apache-2.0
"""Lane: the cells of every so-many-th column of the emulated tiles, and their arithmetic."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from analog_models.calibration import STEP_FRAC
from analog_models.tile import V_FRAC, W_FRAC

from .input import PULSES
from .near import later
from .tiles_layout import TilesLayout

__all__ = ["CONVERT_STAGES", "STEP_STAGE", "Convert", "Lane", "Store", "Walk"]

#: Stage in which a lane writes the capacitor of a cell back; 0 is that of the address.
STEP_STAGE = 9
#: Cycles from the bell of a conversion to its code.
CONVERT_STAGES = 5


class Walk(data.Struct):
    """What happens to the cells in one stage of the lanes."""

    valid: 1
    fresh: 1  # FORWARD: the first row, whose products start the sums
    word: 9  # FORWARD: the word of the row


class Convert(data.Struct):
    """Which sum a stage of the conversion handles."""

    valid: 1
    converter: 7  # see TilesLayout
    beat: 9  # of the result
    bell: 10  # where its noise is
    empty: 1  # no cell was multiplied


class Store(data.Struct):
    """What is written into all memories of cells at once."""

    v: 1
    g_plus: 1
    g_minus: 1
    step: 1
    fixed: 1


class Lane(wiring.Component):
    """Cells in memory, their weights, and what multiplies, steps and converts them.

    Golden: :class:`analog_models.fixed_tile.FixedTile`. Two pipelines, of one cell a cycle each:
    one multiplies, the other moves capacitors. Both read a memory of capacitors of their own, and
    what the second one writes goes into both. Stage ``k`` is ``k`` cycles after the address.

    ======  ===========================  ==================================
    stage   multiplies                   steps, or leaks
    ======  ===========================  ==================================
    1, 2    the memories answer          the same
    3, 4    fast and slow part, F        state * slope; pulses * step
    5       weight and code              factor and step; distance and leak
    6       product                      product
    7       added to the sum             size of the step
    8       (the tile adds up lanes)     new state
    9                                    written, within its bounds
    ======  ===========================  ==================================

    A sum is converted in five stages: its noise is a bell times an amplitude, for which the
    multiplier of the weights is used.

    Parameters
    ----------
    layout : TilesLayout
    cells : bool
        Whether there are cells; a lane without only converts.

    Members
    -------
    forward : ``In(1)``
        Multiply by the row's code, and add up; or else by the column's.
    leaks : ``In(1)``
        Move capacitors by a tick of leakage, of the cells that are multiplied, or else by pulses.
    negative, step_negative : ``In(1)``
        Polarity of the cells that are multiplied, and of those that are stepped.
    addr, step_addr : ``In``
        Stage 0.
    column : ``In(signed(8))``, pulses : ``In(signed(PULSES))``
        Stage 0: code of the lane's column, and its pulses.
    opposite : ``In(1)``
        Stage 0: the row's pulse is negative.
    code : ``In(signed(9))``
        Stage 4: code of the row.
    v_ref : ``In(signed(16))``
        Stage 2: reference cell of the row.
    walk : ``In(Walk)``
        Stage 6.
    sum : ``In``
        The sum to read: stage 2 of the conversion if there is one, or else stage 6.
    write : ``In(1)``, write_addr : ``In``
        Stage 9: write the new state.
    store : ``In(Store)``, bus : ``In(32)``
        Write to ``write_addr`` from outside.
    v, g_plus, g_minus : ``Out``
        Stage 2: what the memories hold.
    product : ``Out(signed(26))``
        Stage 6.
    total : ``In(signed(32))``, total_en : ``In(1)``, total_beat : ``In``
        A sum from outside.
    bell_data : ``In(signed(11))``, bell_en : ``In(1)``, bell_beat : ``In``
        Noise of a result to come.
    convert : ``In(data.ArrayLayout(Convert, 5))``
        Stages of the conversion.
    amp : ``In``
        Amplitude of the noise.
    offset : ``In(signed)``
        Conversion stage 2: offset of the converter, and half an LSB.
    y : ``Out(signed(12))``
        Conversion stage 5: the code.
    """

    def __init__(self, layout: TilesLayout, *, cells=True):
        self.layout, self.cells = layout, cells
        super().__init__({
            "forward": In(1),
            "leaks": In(1),
            "negative": In(1),
            "step_negative": In(1),
            "addr": In(range(layout.first_word[-1])),
            "step_addr": In(range(layout.first_word[-1])),
            "column": In(signed(8)),
            "pulses": In(signed(PULSES)),
            "opposite": In(1),
            "code": In(signed(9)),
            "v_ref": In(signed(16)),
            "walk": In(Walk),
            "sum": In(range(layout.beats)),
            "write": In(1),
            "write_addr": In(range(layout.first_word[-1])),
            "store": In(Store),
            "bus": In(32),
            "v": Out(signed(16)),
            "g_plus": Out(layout.common.g_bits),
            "g_minus": Out(layout.common.g_bits),
            "product": Out(signed(26)),
            "total": In(signed(32)),
            "total_en": In(1),
            "total_beat": In(range(layout.beats)),
            "bell_data": In(signed(11)),
            "bell_en": In(1),
            "bell_beat": In(range(layout.first_bell[-1])),
            "convert": In(data.ArrayLayout(Convert, CONVERT_STAGES)),
            "amp": In(layout.power_bits // 2),
            "offset": In(signed(layout.adc_offset_bits)),
            "y": Out(signed(12)),
        })

    def elaborate(self, platform):
        m = Module()
        layout = self.layout

        # --- a multiplier, and what it gets
        left, right, product = _multiplier(m, "product")
        m.d.comb += self.product.eq(product)
        if self.cells:
            self._cells(m, platform, left, right)

        # --- sums
        m.submodules.sums = sums = Memory(shape=signed(32), depth=layout.beats, init=[])
        sum_write, sum_read = sums.write_port(), sums.read_port(domain="comb")
        with m.If(self.total_en):
            m.d.comb += [
                sum_write.addr.eq(self.total_beat),
                sum_write.data.eq(self.total),
                sum_write.en.eq(1),
            ]
        with m.Else():
            m.d.comb += [
                sum_write.addr.eq(self.walk.word),
                sum_write.data.eq(Mux(self.walk.fresh, 0, sum_read.data) + product),
                sum_write.en.eq(self.walk.valid & self.forward),
            ]

        # --- conversion: noise is bell * amp; what the multiplier has no bits for, in adders
        low = min(17, len(self.amp))
        m.submodules.bells = bells = Memory(shape=signed(11), depth=layout.first_bell[-1], init=[])
        bell_write, bell_read = bells.write_port(), bells.read_port(domain="comb")
        c = self.convert
        m.d.comb += [
            bell_write.addr.eq(self.bell_beat),
            bell_write.data.eq(self.bell_data),
            bell_write.en.eq(self.bell_en),
            bell_read.addr.eq(c[0].bell),
            sum_read.addr.eq(self.sum),
        ]
        with m.If(c[0].valid):
            m.d.sync += [left.eq(bell_read.data), right.eq(self.amp[:low])]
        bell, rest = Signal(signed(11)), Signal(signed(11 + len(self.amp) - low))
        m.d.comb += bell.eq(left)
        m.d.sync += rest.eq(sum(Mux(bit, bell << i, 0) for i, bit in enumerate(self.amp[low:])))
        noise, base = Signal(signed(11 + len(self.amp))), Signal(signed(32))
        total = Signal(signed(32))
        m.d.sync += [
            noise.eq(product + (rest << low) + 128),
            base.eq(Mux(c[2].empty, 0, sum_read.data) + self.offset),
            total.eq(base + (noise >> 8)),
        ]
        with m.Switch(c[4].converter):
            for (shift, bits), converters in layout.ranges.items():
                with m.Case(*converters):
                    m.d.sync += self.y.eq(_clip(total >> shift, bits))
        return m

    def _cells(self, m, platform, left, right):
        layout, t = self.layout, self.layout.common.tables
        g, step, leak = layout.common.g_bits, layout.common.step_bits, layout.common.leak_bits

        # Nobody uses a word that is read while it is written, of which block RAM promises nothing:
        # to give what was there before would take a comparator and multiplexers in each lane.
        # Where it is simulated, it gives what is wrong for sure.
        def memory(name, shape, field, data, addr):
            m.submodules[name] = memory = Memory(
                shape=shape,
                depth=layout.first_word[-1],
                init=[],
                attrs={"no_rw_check": 1},  # yosys: as said above
            )
            # with the register behind it, a block RAM
            read, write = memory.read_port(domain="comb"), memory.write_port()
            word, out = Signal(shape, name=f"{name}_1"), Signal(shape, name=f"{name}_2")
            collides = C(0) if platform is not None else (addr == self.write_addr) & field
            m.d.comb += [
                read.addr.eq(addr),
                write.addr.eq(self.write_addr),
                write.data.eq(data),
                write.en.eq(field),
            ]
            m.d.sync += [word.eq(Mux(collides, ~read.data, read.data)), out.eq(word)]
            return out

        state = Signal(signed(16))  # stage 9
        moved = self.store.v | self.write, Mux(self.write, state, self.bus[:16].as_signed())
        v_2 = memory("v", signed(16), *moved, self.addr)
        step_v_2 = memory("step_v", signed(16), *moved, self.step_addr)
        plus_2 = memory("g_plus", g, self.store.g_plus, self.bus[:g], self.addr)
        minus_2 = memory("g_minus", g, self.store.g_minus, self.bus[16 : 16 + g], self.addr)
        low = layout.common.leak_low
        width = 2 * step + low
        steps_2 = memory("steps", width, self.store.step, self.bus[:width], self.step_addr)
        offset = layout.common.offset_bits
        fixed = Cat(self.bus[:offset], self.bus[16 : 16 + leak - low])
        fixed_2 = memory("fixed", offset + leak - low, self.store.fixed, fixed, self.addr)
        m.d.comb += [self.v.eq(v_2), self.g_plus.eq(plus_2), self.g_minus.eq(minus_2)]

        # --- weight: fast and slow part
        slow_3, slow_4 = Signal(signed(g + 1)), Signal(signed(g + 1 + t.gain.bit_length()))
        fast_3, fast_4 = Signal(signed(16)), Signal(signed(17))
        offset_3 = Signal(signed(offset))
        half = 1 << (V_FRAC - W_FRAC - 1)
        m.d.sync += [
            slow_3.eq(plus_2 - minus_2),
            fast_3.eq((v_2 - self.v_ref + half) >> (V_FRAC - W_FRAC)),
            offset_3.eq(fixed_2[:offset].as_signed()),
            slow_4.eq(sum(slow_3 << i for i in range(t.gain.bit_length()) if t.gain >> i & 1)),
            fast_4.eq(fast_3 + offset_3),
        ]
        weight_4 = Signal(signed(16))
        column = later(m, self.column, 4)
        m.d.comb += weight_4.eq(_plus_or_minus(slow_4, fast_4, self.negative))
        m.d.sync += [left.eq(Mux(self.forward, self.code, column[4])), right.eq(weight_4)]

        # --- step: pulses times step in adders, in stage 4
        pulses = later(m, self.pulses, 2)
        up_0 = Signal()
        m.d.comb += up_0.eq((self.pulses[-1] ^ self.opposite ^ self.step_negative) == 0)
        up = later(m, up_0, 7)
        v = [None, None, *later(m, step_v_2, 5)]  # by stage
        pulses_2, chosen_2 = Signal(5), Signal(step)
        m.d.comb += [
            pulses_2.eq(abs(pulses[2])),
            chosen_2.eq(Mux(up[2], steps_2[:step], steps_2[step : 2 * step])),
        ]
        parts = [Signal(step + 4, name=f"part_{i}") for i in range(3)]
        stepped_4 = Signal(step + 5)
        for i, part in enumerate(parts):
            bits = range(2 * i, min(2 * i + 2, 5))
            m.d.sync += part.eq(sum(Mux(pulses_2[k], chosen_2 << (k - 2 * i), 0) for k in bits))
        m.d.sync += stepped_4.eq(parts[0] + (parts[1] << 2) + (parts[2] << 4))
        a_left, a_right, a = _multiplier(m, "a")
        b_left, b_right, b = _multiplier(m, "b")
        factor = Signal(signed(18))  # from the product of stage 4
        m.d.comb += factor.eq(_plus_or_minus(C(16384, 16), (a >> 15)[:18].as_signed(), up[4]))
        leak_3, leak_4, away_4 = Signal(leak), Signal(leak), Signal(signed(17))
        m.d.sync += [
            leak_3.eq(Cat(steps_2[2 * step :], fixed_2[offset:])),
            leak_4.eq(leak_3),
            away_4.eq(t.v_leak - v[3]),
        ]

        leaks = self.leaks
        m.d.sync += [
            a_left.eq(step_v_2),
            a_right.eq(Mux(up[2], C(t.slope_up, signed(18)), C(t.slope_down, signed(18)))),
            b_left.eq(Mux(leaks, away_4, stepped_4)),
            b_right.eq(Mux(leaks, leak_4, factor)),
        ]

        # --- the new state
        size_7, moved_8 = Signal(signed(17)), Signal(signed(18))
        grow = 14 + STEP_FRAC
        rounded = Signal(signed(36))
        m.d.comb += rounded.eq(b + Mux(leaks, 1 << 15, 1 << (grow - 1)))
        m.d.sync += [
            size_7.eq(Mux(leaks, rounded >> 16, rounded >> grow)),
            moved_8.eq(_plus_or_minus(v[7], size_7, ~leaks & ~up[7])),
        ]
        with m.If(~leaks & (moved_8 < t.v_min)):
            m.d.sync += state.eq(t.v_min)
        with m.Elif(~leaks & (moved_8 > t.v_max)):
            m.d.sync += state.eq(t.v_max)
        with m.Else():
            m.d.sync += state.eq(moved_8)


def _multiplier(m, name):
    """Return what a multiplier takes, and in the cycle after it the product: registers."""
    left, right, product = (
        Signal(signed(bits), name=f"{name}_{part}")
        for part, bits in (("left", 18), ("right", 18), ("out", 36))
    )
    m.d.sync += product.eq(left * right)
    return left, right, product


def _plus_or_minus(a, b, minus):
    """Return ``a - b`` if ``minus``, otherwise ``a + b``, in one adder."""
    carry = minus.any()
    width = max(len(a), len(b)) + 1
    flipped = b ^ carry.replicate(width).as_signed()
    return (
        (Cat(carry, a) if not a.shape().signed else Cat(carry, a).as_signed())
        + Cat(carry, flipped).as_signed()
    ) >> 1


def _clip(value, bits):
    """Saturate to ``bits`` bits, signed: where the bits above the sign differ from it."""
    high = value[bits - 1 :]
    sign = value[-1]
    limit = Cat(sign.replicate(bits - 1) ^ ((1 << (bits - 1)) - 1), sign)
    return Mux(high.all() | ~high.any(), value[:bits], limit).as_signed()
