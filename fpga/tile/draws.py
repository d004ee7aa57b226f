# SPDX-License-Identifier: Apache-2.0
"""Draws: all that needs random words, and the mixer that it shares."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.reduce import or_tree

from .bells import Bells, bell_ports, bell_tag
from .cells import CellEngine, Task, cell_ports, item, row_ports
from .mixer import Mixer
from .tiles_layout import TilesLayout

__all__ = ["Draws"]


class Draws(wiring.Component):
    """Share the mixer: cells first, then the noise of conversions.

    Parameters
    ----------
    layout : TilesLayout

    Members
    -------
    forget : ``In(1)``
        Drop the row of cells that is under way.
    start, task, row, cols, columns, columns_busy, busy, writes, keys
        See :class:`fpga.tile.cells.CellEngine`; ``task`` counts a cycle late.
    look, seek_lane, seek_minus, old, store, place, g, v
        See :class:`fpga.tile.cells.CellEngine`.
    conversions, bell_keys, restart, drawn : ``In`` and ``Out``, one a tile
        See :class:`fpga.tile.bells.Bells`.
    bell : ``Out(signed(11))``, bell_place : ``Out(bell_tag(layout))``, bell_en : ``Out(1)``
        Noise of a conversion to come, and where it is kept.
    """

    def __init__(self, layout: TilesLayout):
        self.layout = layout
        super().__init__({
            "forget": In(1),
            **row_ports(layout),
            **cell_ports(layout),
            **bell_ports(layout),
            "bell": Out(signed(11)),
            "bell_place": Out(bell_tag(layout)),
            "bell_en": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        layout = self.layout
        places = data.UnionLayout({"bell": bell_tag(layout), "item": item(layout)})
        tag = data.StructLayout({"cells": 1, "head": 1, "place": places})
        m.submodules.mixer = mixer = Mixer(tag)
        task = Signal(Task)  # a cycle late: before the first column
        m.d.sync += task.eq(self.task)
        cells = CellEngine(layout)
        m.submodules.cells = ResetInserter(self.forget)(cells)
        wiring.connect(m, wiring.flipped(self.columns), cells.columns)
        inputs = ("start", "row", "cols", "columns_busy", "writes", "keys", "old")
        outputs = ("busy", "look", "seek_lane", "seek_minus", "store", "place", "g", "v")
        m.d.comb += [
            cells.task.eq(task),
            *(getattr(cells, name).eq(getattr(self, name)) for name in inputs),
            *(getattr(self, name).eq(getattr(cells, name)) for name in outputs),
        ]

        # --- requests, through registers; those of the first layers unless others want more
        bells = [Bells(layout, t) for t in range(len(layout.tiles))]
        first, *others = [
            [
                mixer.i_word.eq(each.word),
                mixer.i_tag.cells.eq(0),
                mixer.i_tag.head.eq(each.tag.head),
                mixer.i_tag.place.bell.eq(each.tag),
            ]
            for each in bells
        ]
        m.d.sync += first
        for each, request in zip(bells[1:], others, strict=True):
            with m.If(each.wants):
                m.d.sync += request
        with m.If(cells.valid):
            m.d.sync += [
                mixer.i_word.eq(cells.word),
                mixer.i_tag.cells.eq(1),
                mixer.i_tag.head.eq(cells.head),
                mixer.i_tag.place.item.eq(cells.tag),
            ]
        head = mixer.word_valid & mixer.word_tag.head
        bell = mixer.bell_valid & ~mixer.bell_tag.head
        m.d.comb += [
            cells.head_valid.eq(head & mixer.word_tag.cells),
            cells.head_word.eq(mixer.word),
            cells.bell_valid.eq(bell & mixer.bell_tag.cells),
            cells.bell.eq(mixer.bell),
            cells.bell_item.eq(mixer.bell_tag.place.item),
        ]
        drawing = Signal()
        m.d.sync += drawing.eq(cells.busy)  # a cycle late: before the first word of the cells
        m.d.sync += mixer.i_valid.eq(cells.valid | ~drawing & or_tree(b.wants for b in bells))
        asked, place = mixer.word_tag.place.bell, mixer.bell_tag.place.bell
        for t, each in enumerate(bells):
            m.submodules[f"bells_{t}"] = each
            m.d.comb += [
                each.restart.eq(self.restart[t]),
                each.key.eq(self.bell_keys[t]),
                each.conversions.eq(self.conversions[t]),
                # the last layers first: they convert again before the first ones do
                each.pause.eq(drawing | Cat(later.wants for later in bells[t + 1 :]).any()),
                self.drawn[t].eq(each.drawn),
                each.head_valid.eq(head & ~mixer.word_tag.cells & (asked.tile == t)),
                each.head.eq(mixer.word),
                each.bell_valid.eq(bell & ~mixer.bell_tag.cells & (place.tile == t)),
            ]
        m.d.comb += [
            self.bell.eq(mixer.bell),
            self.bell_place.eq(place),
            self.bell_en.eq(or_tree(each.write for each in bells)),
        ]
        return m
