# SPDX-License-Identifier: Apache-2.0
"""Reductions over lanes as balanced trees."""

from amaranth import *

__all__ = ["add_tree", "argmax_tree", "is_below", "or_tree", "several"]


def _tree(values, join):
    values = list(values)
    while len(values) > 1:
        pairs = [join(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + ([values[-1]] if len(values) % 2 else [])
    return values[0]


def add_tree(values):
    """Return the exact sum of ``values``; it grows one bit a level."""
    return _tree(values, lambda a, b: a + b)


def or_tree(values):
    """Return the bitwise OR of ``values``."""
    return _tree(values, lambda a, b: a | b)


def several(bits):
    """Return whether two bits or more are 1; quicker than to take one away and look."""
    if len(bits) == 1:
        return C(0)
    low, high = bits[: len(bits) // 2], bits[len(bits) // 2 :]
    return several(low) | several(high) | (low.any() & high.any())


def is_below(k, count):
    """Return ``k < count`` for a number ``k``: a table of ``count``, quicker than a comparator."""
    ones = (1 << (1 << len(count))) - 1
    return Const(ones & ~((1 << (k + 1)) - 1), 1 << len(count)).bit_select(count, 1)


def argmax_tree(m, pairs):
    """Return the one of ``pairs`` of index and value with the largest value; the first wins ties.

    Adds one comparator and two multiplexers to ``m`` for each two.
    """

    def join(a, b):
        later = Signal()
        m.d.comb += later.eq(b[1] > a[1])
        index = Signal(max(len(a[0]), len(b[0])))
        value = Signal.like(a[1])
        m.d.comb += [index.eq(Mux(later, b[0], a[0])), value.eq(Mux(later, b[1], a[1]))]
        return index, value

    return _tree(pairs, join)
