# SPDX-License-Identifier: Apache-2.0
"""What an emulated tile remembers besides its cells: counters, keys, polarity."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .layout import KEYS, Register, TileLayout

__all__ = ["TileRegisters"]


class TileRegisters(wiring.Component):
    """Registers of a tile; with the keys, its counters fix every random bit to come.

    Golden: the counters of :class:`analog_models.fixed_tile.FixedTile`.

    Parameters
    ----------
    layout : TileLayout

    Members
    -------
    polarity : ``In(1)``, new_negative : ``In(1)``
        Set the polarity.
    convert, program, init, pulse, tick, drift : ``In(1)``
        An operation of that kind is over, once for each cycle that it is 1.
    multiply, active : ``In(1)``
        Count a cycle as BUSY, as PASS.
    negative : ``Out(1)``, conversions, writes : ``Out(32)``
    keys : ``Out(data.ArrayLayout(32, len(KEYS)))``
    drift_due : ``Out(1)``
        A drift step acts at this age; 2 cycles after ``tick`` or ``drift``.
    index : ``In(4)``, w_data : ``In(32)``, w_en : ``In(1)``
        Write a register, see :class:`fpga.tile.layout.Register`.
    r_data : ``Out(32)``
        The register of ``index``, a cycle later; keys read as 0.
    """

    EVENTS = (
        "polarity", "convert", "program", "init", "pulse", "tick", "drift", "multiply", "active"
    )  # fmt: skip

    def __init__(self, layout: TileLayout):
        self.layout = layout
        super().__init__({
            **{name: In(1) for name in self.EVENTS},
            "new_negative": In(1),
            "negative": Out(1),
            "conversions": Out(32),
            "writes": Out(32),
            "keys": Out(data.ArrayLayout(32, len(KEYS))),
            "drift_due": Out(1),
            "index": In(4),
            "w_data": In(32),
            "w_en": In(1),
            "r_data": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        pulses, age, busy, active = (Signal(32, name=n) for n in ("pulses", "age", "busy", "pass_"))
        ticks = [int(n) for n in self.layout.tables.drift_ticks]
        drifts = Signal(range(len(ticks) + 1))
        # no age is 0 when a tick has passed: the entry behind the last one never acts
        m.submodules.ticks = table = Memory(shape=17, depth=len(ticks) + 1, init=[*ticks, 0])
        read = table.read_port()
        m.d.comb += [read.addr.eq(drifts), self.drift_due.eq(read.data == age)]

        counters = (
            (self.conversions, self.convert),
            (self.writes, self.program | self.init),
            (pulses, self.pulse),
            (age, self.tick),
            (drifts, self.drift),
            (busy, self.multiply),
            (active, self.active),
        )
        for counter, event in counters:
            m.d.sync += counter.eq(counter + event)
        with m.If(self.program):
            m.d.sync += [age.eq(0), drifts.eq(0)]
        with m.If(self.polarity):
            m.d.sync += self.negative.eq(self.new_negative)

        held = {
            Register.NEGATIVE: self.negative,
            Register.CONVERSIONS: self.conversions,
            Register.WRITES: self.writes,
            Register.PULSES: pulses,
            Register.AGE_TICKS: age,
            Register.DRIFTS: drifts,
            Register.BUSY: busy,
            Register.PASS: active,
        }
        m.d.sync += self.r_data.eq(Mux(self.index == Register.LAYOUT, self.layout.digest, 0))
        for register, signal in held.items():
            with m.If(self.index == register):
                m.d.sync += self.r_data.eq(signal)
                with m.If(self.w_en):
                    m.d.sync += signal.eq(self.w_data)
        for k in range(len(KEYS)):
            with m.If(self.w_en & (self.index == Register.KEY + k)):
                m.d.sync += self.keys[k].eq(self.w_data)
        return m
