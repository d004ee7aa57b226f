# SPDX-License-Identifier: Apache-2.0
"""Statistics counters of the chip and of its layers."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

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
        adds = [(name, self.chip[name]) for name in COUNTERS]
        for layer in range(self.layers):
            for name in LAYER_COUNTERS:
                part = Mux(self.layer.layer == layer, self.layer[name], 0)
                adds.append((f"{name}_{layer}", part))
        adds += [(f"cycles_{op.name.lower()}", self.phase == op) for op in Op]
        adds.append(("cycles_idle", self.phase == IDLE))

        counters = [Signal(COUNTER_BITS, name=name, init=self.start) for name, _ in adds]
        for counter, (_, add) in zip(counters, adds, strict=True):
            m.d.sync += counter.eq(Mux(self.clear, self.start, counter + add))
        m.d.sync += self.value.eq(Array(counters)[self.index])
        return m
