# SPDX-License-Identifier: Apache-2.0
"""Registers: near the lanes, for each group of neighbours, and one behind another."""

from amaranth import *

__all__ = ["GROUPS", "group", "later", "near"]

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
    """Return a list with the value after 0, 1, ... ``stages`` cycles."""
    out = [value]
    for _ in range(stages):
        following = Signal(Shape.cast(value.shape()))
        m.d.sync += following.eq(out[-1])
        out.append(following)
    return out
