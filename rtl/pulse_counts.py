# SPDX-License-Identifier: Apache-2.0
"""Counts the pulses that cells get: those of their row times those of their column."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .reduce import or_tree
from .statistics import LayerEvents

__all__ = ["PulseCounts", "pick"]


def pick(values, index):
    """Return ``values[index]``; 0 beyond the end."""
    return or_tree([Mux(index == i, value, 0) for i, value in enumerate(values)])


class PulseCounts(wiring.Component):
    """Add up the pulses of vectors; multiply those of a layer's rows and of its columns.

    Golden: ``pulses_asked`` and ``pulses_applied`` of :meth:`golden.machine.Machine.update`.

    Parameters
    ----------
    layers : int
    lanes : int
        Codes in a beat.

    Members
    -------
    start : ``In(1)``
        A vector begins.
    en : ``In(1)``, asked, applied : ``In``
        Pulses of a beat, see :class:`rtl.sender.Sender`.
    rows, update : ``In(1)``
        Pulse: the vector was that of the rows of ``layer``, of its columns.
    layer : ``In(4)``
    valid : ``Out(1)``, events : ``Out(LayerEvents)``
        What an ``update`` comes to, 2 cycles later; a reset in between does not forget it.
    """

    def __init__(self, layers, lanes):
        self.layers = layers
        grown = (lanes - 1).bit_length()
        super().__init__({
            "start": In(1),
            "en": In(1),
            "asked": In(15 + grown),
            "applied": In(5 + grown),
            "rows": In(1),
            "update": In(1),
            "layer": In(4),
            "valid": Out(1),
            "events": Out(LayerEvents),
        })

    def elaborate(self, platform):
        m = Module()
        asked, applied = Signal(27), Signal(17)
        with m.If(self.start):
            m.d.sync += [asked.eq(0), applied.eq(0)]
        with m.Elif(self.en):
            m.d.sync += [asked.eq(asked + self.asked), applied.eq(applied + self.applied)]
        fired = Signal(data.ArrayLayout(13, self.layers))
        with m.If(self.rows):
            for layer in range(self.layers):
                with m.If(self.layer == layer):
                    m.d.sync += fired[layer].eq(applied)

        # The multipliers lie between registers that a reset leaves as they are.
        rows_fired = Signal(13, reset_less=True)
        all_asked, all_applied = Signal(27, reset_less=True), Signal(17, reset_less=True)
        layer, updated = Signal(4, reset_less=True), Signal(reset_less=True)
        valid, events = Signal(reset_less=True), Signal(LayerEvents, reset_less=True)
        m.d.sync += [
            rows_fired.eq(pick([fired[k] for k in range(self.layers)], self.layer)),
            all_asked.eq(asked),
            all_applied.eq(applied),
            layer.eq(self.layer),
            updated.eq(self.update),
            valid.eq(updated),
            events.layer.eq(layer),
            events.pulses_asked.eq(all_asked * rows_fired),
            events.pulses_applied.eq(all_applied * rows_fired),
        ]
        m.d.comb += [self.valid.eq(valid), self.events.eq(events)]
        return m
