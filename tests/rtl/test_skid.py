# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A skid buffer passes everything on, in order, and its ready does not wait for anybody."""

from functools import partial

import pytest
from amaranth.hdl import unsigned

from cosim.bench import put, simulate, take
from rtl.skid import Skid

WORDS = [7, 200, 0, 255, 1, 2, 3, 90]


@pytest.mark.parametrize("i_stall", [0, 1, 3])
@pytest.mark.parametrize(("o_stall", "late"), [(0, False), (1, False), (2, True), (3, False)])
def test_skid_passes_everything_on_in_order(i_stall, o_stall, late):
    got = []

    def send(pins):
        yield from put(pins, "i", WORDS, stall=i_stall)

    receive = partial(take, name="o", n=len(WORDS), into=got, stall=o_stall, late=late)
    simulate(Skid(unsigned(8)), send, receive)
    assert got == WORDS


def test_skid_has_no_latency_and_takes_one_that_nobody_takes():
    def drive(pins):
        pins["i.valid"], pins["o.ready"] = 1, 1
        for word in WORDS:
            pins["i.payload"] = word
            yield
            assert (pins["o.valid"], pins["o.payload"], pins["i.ready"]) == (1, word, 1)
        pins["o.ready"], pins["i.payload"] = 0, 11
        yield
        assert pins["i.ready"]
        assert not pins["full"]
        pins["i.payload"] = 12
        for ready in (0, 0, 1):
            pins["o.ready"] = ready
            yield
            assert (pins["i.ready"], pins["full"]) == (0, 1)
            assert (pins["o.valid"], pins["o.payload"]) == (1, 11)
        yield
        assert (pins["i.ready"], pins["full"]) == (1, 0)
        assert (pins["o.valid"], pins["o.payload"]) == (1, 12)
        pins["i.valid"] = 0
        yield
        assert not pins["o.valid"]

    simulate(Skid(unsigned(8)), drive)


def test_skid_forgets_at_a_reset():
    def drive(pins):
        pins["i.payload"], pins["i.valid"] = 5, 1
        yield
        pins["i.valid"] = 0
        yield
        assert pins["o.valid"]
        pins["rst"] = 1
        yield
        pins["rst"] = 0
        yield
        assert not pins["o.valid"]
        assert pins["i.ready"]

    simulate(Skid(unsigned(8)), drive)


BENCHES = [
    *(
        partial(test_skid_passes_everything_on_in_order, i_stall, *how)
        for i_stall in (0, 1, 3)
        for how in [(0, False), (1, False), (2, True), (3, False)]
    ),
    test_skid_has_no_latency_and_takes_one_that_nobody_takes,
    test_skid_forgets_at_a_reset,
]
