# SPDX-License-Identifier: Apache-2.0
"""Registers: near the lanes, for each group of neighbours, and one behind another."""

from amaranth import *
from amaranth.lib import data

__all__ = ["GROUPS", "group", "later", "near", "stages_of"]

#: Groups of neighbouring lanes.
GROUPS = 8


def group(lane: int, lanes: int) -> int:
    """Return the group of one of ``lanes`` lanes."""
    return GROUPS * lane // lanes


def near(m, name, value):
    """Return a register of ``value`` for each group: from one place to all lanes is far."""
    value = Value.cast(value)
    # unequal at first, so that tools do not make one of them
    copies = [
        Signal(len(value), init=k % (1 << len(value)), name=f"{name}_{k}") for k in range(GROUPS)
    ]
    m.d.sync += [each.eq(value) for each in copies]
    return copies


def later(m, value, stages: int):
    """Return a list with the value after 0, 1, ... ``stages`` cycles, all of its shape.

    Stages share registers of 32 bits: the folded emulator has a word for each register.
    """
    value = Value.cast(value)
    width, shape = len(value), value.shape()
    out = [value]
    while len(out) <= stages:
        n = min(max(1, 32 // max(1, width)), stages + 1 - len(out))
        held = Signal(n * width)
        m.d.sync += held.eq(Cat(out[-1], held)[: n * width])
        parts = [held[k * width : (k + 1) * width] for k in range(n)]
        out += [part.as_signed() if shape.signed else part for part in parts]
    return out


def stages_of(m, name, first, last: int):
    """Return a structure in all stages from 0, which is ``first``, to ``last``."""
    layout = data.Layout.cast(first.shape())
    stages = [first, *(Signal(layout, name=f"{name}_{k}") for k in range(1, last + 1))]
    for field, _ in layout:
        for stage, value in zip(stages[1:], later(m, first[field], last)[1:], strict=True):
            m.d.comb += stage[field].eq(value)
    return stages
