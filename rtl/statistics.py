# SPDX-License-Identifier: Apache-2.0
"""Statistics counters of the chip and of its layers."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from golden.machine import COUNTERS, LAYER_COUNTERS
from golden.program import Op

__all__ = ["COUNTER_BITS", "IDLE", "PHASES", "ChipEvents", "LayerEvents", "Statistics"]

#: Bits of a counter.
COUNTER_BITS = 48
#: Phase in which no program runs; the others are the instructions.
IDLE = len(Op)
PHASES = len(Op) + 1


#: What to add to each counter of the chip; sums of transfers come at once.
ChipEvents = data.StructLayout({
    name: {"set_shots": 32, "tune_pulses": 32, "transfer_error_sq": 48, "failed_cells": 32}.get(
        name, 1
    )
    for name in COUNTERS
})
#: What to add to each counter of ``layer``; pulses come as products of two sums.
LayerEvents = data.StructLayout(
    {"layer": 4} | dict(zip(LAYER_COUNTERS, (8, 8, 42, 42), strict=True))
)


class Statistics(wiring.Component):
    """Count what happens, and the cycles of every phase.

    Golden: :attr:`golden.machine.Machine.counters` and ``layer_counters``; the cycles have no twin.
    Counters come in the order of :data:`golden.machine.COUNTERS`, then, layer after layer,
    :data:`golden.machine.LAYER_COUNTERS`, then cycles by :class:`golden.program.Op`, then idle.

    Parameters
    ----------
    layers : int
    start : int
        What all counters hold after reset and after ``clear``. Benches start near the end of the
        range, as they cannot count up to the high bits.

    Members
    -------
    clear : ``In(1)``
    chip : ``In(ChipEvents)``, ``layer`` : ``In(LayerEvents)``
        What to add in this cycle; nothing for a layer that is not there.
    phase : ``In(range(PHASES))``
        Whose cycle this is; nobody's if it is none of these.
    index : ``In``, ``value`` : ``Out(48)``
        Read one counter, a cycle later.
    """

    def __init__(self, layers, *, start=0):
        self.layers = layers
        self.start = start
        self.count = len(COUNTERS) + layers * len(LAYER_COUNTERS) + PHASES
        super().__init__({
            "clear": In(1),
            "chip": In(ChipEvents),
            "layer": In(LayerEvents),
            "phase": In(range(PHASES)),
            "index": In(range(self.count)),
            "value": Out(COUNTER_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        layers, per_layer = self.layers, len(LAYER_COUNTERS)
        chips = len(COUNTERS)

        # --- of the chip: any number of them at once
        counters = [Signal(COUNTER_BITS, name=name, init=self.start) for name in COUNTERS]
        for name, counter in zip(COUNTERS, counters, strict=True):
            m.d.sync += counter.eq(Mux(self.clear, self.start, counter + self.chip[name]))

        # --- of a layer, and cycles: one layer and one phase at a time, so that memories will do
        in_layers = Signal(range(layers * per_layer))
        m.d.comb += in_layers.eq(self.index - chips)
        asked = in_layers >> exact_log2(per_layer)
        of_layer = [
            self._bank(m, name, layers, self.layer.layer, self.layer[name], asked)
            for name in LAYER_COUNTERS
        ]
        cycles = self._bank(
            m, "cycles", PHASES, self.phase, C(1), self.index - chips - layers * per_layer
        )

        # chosen in two steps, with registers between them
        of_chip, is_chip, is_layer = Signal(COUNTER_BITS), Signal(), Signal()
        layer, cycle = Signal(COUNTER_BITS), Signal(COUNTER_BITS)
        m.d.sync += [
            is_chip.eq(self.index < chips),
            is_layer.eq(self.index < chips + layers * per_layer),
            of_chip.eq(Array(counters)[self.index]),
            layer.eq(Array(of_layer)[in_layers[: exact_log2(per_layer)]]),
            cycle.eq(cycles),
        ]
        m.d.comb += self.value.eq(Mux(is_chip, of_chip, Mux(is_layer, layer, cycle)))
        return m

    def _bank(self, m, name, depth, where, add, asked):
        """Count in a memory: ``add`` to entry ``where``; return entry ``asked``.

        An entry that nothing was added to since ``clear`` is not looked at: its content is old.
        """
        m.submodules[name] = memory = Memory(shape=COUNTER_BITS, depth=depth, init=[])
        write, old = memory.write_port(), memory.read_port(domain="comb")
        shown = memory.read_port(domain="comb")
        used, there = Signal(depth, name=f"{name}_used"), Signal(name=f"{name}_there")
        m.d.comb += [
            there.eq((where < depth) & ~self.clear),
            old.addr.eq(where),
            write.addr.eq(where),
            write.data.eq(Mux(used.bit_select(old.addr, 1), old.data, self.start) + add),
            write.en.eq(there),
            shown.addr.eq(asked),
        ]
        with m.If(there):
            m.d.sync += used.bit_select(old.addr, 1).eq(1)
        with m.If(self.clear):
            m.d.sync += used.eq(0)
        return Mux(used.bit_select(shown.addr, 1), shown.data, self.start)
