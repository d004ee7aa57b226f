# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Trees of any size give what a loop gives."""

from functools import partial

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Shape, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from cosim.bench import pack, simulate, unpack
from rtl.reduce import add_tree, argmax_tree, is_below, or_tree, several


class Reductions(wiring.Component):
    """All reductions of ``n`` values, with outputs wider than any result."""

    def __init__(self, n, shape):
        self.n = n
        super().__init__({
            "values": In(data.ArrayLayout(shape, n)),
            "total": Out(signed(24)),
            "union": Out(16),
            "index": Out(8),
            "largest": Out(signed(16)),
        })

    def elaborate(self, platform):
        m = Module()
        values = [self.values[k] for k in range(self.n)]
        index, largest = argmax_tree(m, indexed(values))
        m.d.comb += [
            self.total.eq(add_tree(values)),
            self.union.eq(or_tree([Value.cast(v)[:] for v in values])),
            self.index.eq(index),
            self.largest.eq(largest),
        ]
        return m


def indexed(values):
    return [(Const(i, range(max(2, len(values)))), v) for i, v in enumerate(values)]


def vectors(n, shape):
    """Every place of the largest, ties, the ends of the range, and anything."""
    rng = np.random.default_rng(1)
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    yield from ([end] * n for end in (low, high, -1 if shape.signed else 1, 0))
    for k in range(n):
        for a, b in ((low, high), (low, low + 1), (high - 1, high), (high, low)):
            yield [b if i == k else a for i in range(n)]
    for _ in range(100):
        few = rng.integers(low, high + 1, 2)
        yield rng.choice([low, high, *few], n).tolist()
        yield rng.integers(low, high + 1, n).tolist()


@pytest.mark.parametrize("shape", [signed(8), Shape(5)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
def test_reductions_match_numpy(n, shape):
    def drive(pins):
        for values in vectors(n, shape):
            pins["values"] = pack(values, shape.width)
            yield
            assert unpack(pins["total"], 24, 1) == [sum(values)], values
            assert pins["union"] == np.bitwise_or.reduce(
                np.array(values) & ((1 << shape.width) - 1)
            )
            assert pins["index"] == np.argmax(values), values
            assert unpack(pins["largest"], 16, 1) == [max(values)]

    simulate(Reductions(n, shape), drive)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13])
def test_sum_grows_a_bit_a_level(n):
    m = Module()
    values = [Reductions(n, Shape(5)).values[k] for k in range(n)]
    assert len(add_tree(values)) == 5 + (n - 1).bit_length()
    index, value = argmax_tree(m, indexed(values))
    assert (len(index), len(value)) == (max(1, (n - 1).bit_length()), 5)


@pytest.mark.parametrize("most", [1, 2, 5, 16])
def test_below_is_a_comparison(most):
    class Below(wiring.Component):
        def __init__(self):
            super().__init__({"count": In(range(most + 1)), "below": Out(most + 1)})

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.below.eq(Cat(is_below(k, self.count) for k in range(most + 1)))
            return m

    def drive(pins):
        for count in range(most + 1):
            pins["count"] = count
            yield
            assert pins["below"] == (1 << count) - 1

    simulate(Below(), drive)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_several_are_two_or_more(n):
    class Several(wiring.Component):
        def __init__(self):
            super().__init__({"bits": In(n), "several": Out(1)})

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.several.eq(several(self.bits))
            return m

    def drive(pins):
        for bits in range(1 << n):
            pins["bits"] = bits
            yield
            assert pins["several"] == (bits.bit_count() > 1)

    simulate(Several(), drive)


BENCHES = [partial(test_reductions_match_numpy, n, signed(8)) for n in (5, 8)]
