# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A vector keeps its codes, in order, whatever the blocks on either side."""

from functools import partial

import numpy as np
import pytest
from amaranth.hdl import signed

from cosim.bench import pack, put, simulate, unpack
from rtl.scatter import Scatter

DEPTH = 512


def beats_of(codes, cuts, lanes):
    """Beats (count, codes) of a vector whose blocks end at ``cuts``."""
    out = []
    for a, b in zip([0, *cuts[:-1]], cuts, strict=True):
        out += [codes[k : min(k + lanes, b)] for k in range(a, b, lanes)]
    return out


def layout(codes, lengths, lanes):
    """Golden: memory (beats, lanes) in which every block starts a beat; None is unwritten."""
    rows, at = [], 0
    for n in lengths:
        part = codes[at : at + n]
        at += n
        for k in range(0, max(n, 1), lanes):
            beat = list(part[k : k + lanes])
            rows.append(beat + [None] * (lanes - len(beat)))
    return rows


def scattered(codes, cuts, lengths, *, lanes, source_lanes, base=3, stall=0):
    """Send a vector through :class:`Scatter`; return memory as written, and the cycles."""
    memory = [[None] * lanes for _ in range(DEPTH)]
    cycles = 0

    def send(pins):
        pins["base"], pins["start"] = base, 1
        yield
        pins["start"] = 0
        beats = beats_of(codes, cuts, source_lanes)
        words = [pack(b, 8) | len(b) << (8 * source_lanes) for b in beats]
        yield from put(pins, "i", words, stall=stall)
        yield
        while pins["busy"]:
            yield
        yield
        assert not pins["busy"]

    def watch(pins):
        nonlocal cycles
        while True:
            yield
            cycles += bool(pins["en"])
            for k, code in enumerate(unpack(pins["data"], 8, lanes)):
                if pins["en"] >> k & 1:
                    assert memory[pins["addr"]][k] is None, "a code must be written once"
                    memory[pins["addr"]][k] = code

    def geometry(pins):
        pins["length"] = [*lengths, 0, 0, 0][pins["block"]]

    dut = Scatter(signed(8), lanes, depth=DEPTH, source_lanes=source_lanes)
    simulate(dut, send, background=[watch], reflex=geometry)
    return memory[base:], cycles


CUTS = {
    "same blocks": ([13], [13]),
    "whole beats": ([8, 16], [8, 8]),
    "split": ([20], [7, 6, 7]),
    "joined": ([7, 13, 20], [20]),
    "other blocks": ([7, 14, 20], [10, 10]),
    "single codes": ([9], [1] * 9),
    "bias alone in the last block": ([6], [3, 3, 0]),
    "empty block in between": ([6], [3, 0, 3]),
    "empty block between beats": ([16], [8, 0, 8]),
    "a long block": ([11, 118], [101, 17]),
    # so that a beat of memory becomes full with 33, 65, 129 and 257 codes left of a block
    "a very long block": ([300], [263, 37]),
    "blocks that differ": ([28], [1, 2, 3, 4, 5, 6, 7]),
}


@pytest.mark.parametrize("stall", [0, 2])
@pytest.mark.parametrize(("lanes", "source_lanes"), [(4, 4), (8, 2), (2, 1), (8, 8)])
@pytest.mark.parametrize("name", CUTS)
def test_scatter_keeps_every_code_in_order(name, lanes, source_lanes, stall):
    cuts, lengths = CUTS[name]
    codes = np.random.default_rng(1).integers(-128, 128, cuts[-1]).tolist()
    codes[:2] = [-128, 127]
    memory, _ = scattered(codes, cuts, lengths, lanes=lanes, source_lanes=source_lanes, stall=stall)
    want = layout(codes, lengths, lanes)
    if lengths[-1] == 0:
        want = want[:-1]  # nothing comes that would fill it
    assert memory[: len(want)] == want
    assert all(code is None for beat in memory[len(want) :] for code in beat)


@pytest.mark.parametrize(("cuts", "lengths", "cycles"), [([16], [16], 4), ([16], [3, 13], 8)])
def test_scatter_takes_a_cycle_for_every_beat_of_memory_that_a_beat_touches(cuts, lengths, cycles):
    """Codes 0-3 lie in blocks of 3 and 13 as 0-2 and 3; 4-7 as 4-6 and 7, and so on."""
    _, took = scattered(list(range(16)), cuts, lengths, lanes=4, source_lanes=4)
    assert took == cycles


def test_scatter_latency_and_busy():
    """2 cycles to the write port; one beat at work and one that waits are taken at once."""
    word = pack([1, 2, 3, 4], 8) | 4 << 32

    def drive(pins):
        pins["length"], pins["start"] = 2, 1  # a beat takes two cycles
        yield
        pins["start"] = 0
        yield
        pins["i.payload"], pins["i.valid"] = word, 1
        seen = []
        for _ in range(8):
            yield
            seen.append((pins["i.ready"], pins["busy"], pins["en"]))
            if len(seen) == 3:
                pins["i.valid"] = 0
        ready, busy, en = zip(*seen, strict=True)
        assert ready == (1, 1, 0, 1, 1, 1, 1, 1)
        assert busy == (0, 1, 1, 1, 1, 0, 0, 0)
        assert en == (0, 0, 3, 3, 3, 3, 0, 0)

    simulate(Scatter(signed(8), 4, depth=DEPTH), drive)


def written(pins, into):
    """Note what is written in the next cycles."""
    for _ in range(3):
        yield
        if pins["en"]:
            into.append((pins["addr"], pins["en"], unpack(pins["data"], 8, 4)[:3]))


def test_scatter_begins_anew():
    """What is left of a vector that was cut short does not matter."""
    seen = []

    def send(pins):
        word = pack([1, 2, 3, 4], 8) | 3 << 32
        pins["length"] = 9
        for base in (1, 5):
            pins["base"], pins["start"] = base, 1
            yield
            pins["start"] = 0
            yield from put(pins, "i", [word])
            yield from written(pins, seen)

    simulate(Scatter(signed(8), 4, depth=DEPTH), send)
    assert seen == [(1, 0b111, [1, 2, 3]), (5, 0b111, [1, 2, 3])]


def test_scatter_begins_anew_in_the_middle_of_a_beat():
    """The rest of a beat that lies in two blocks is forgotten, and so is the beat behind it."""
    seen = []

    def send(pins):
        pins["length"], pins["base"], pins["start"] = 3, 1, 1
        yield
        pins["start"] = 0
        yield from put(pins, "i", [pack([1, 2, 3, 4], 8) | 4 << 32] * 2)
        assert pins["busy"]  # the fourth code is left
        pins["base"], pins["start"] = 5, 1
        yield
        pins["start"] = 0
        for _ in range(2):
            yield
            assert not pins["busy"]
            assert not pins["en"]
        yield from put(pins, "i", [pack([5, 6, 7, 8], 8) | 3 << 32])
        yield from written(pins, seen)

    simulate(Scatter(signed(8), 4, depth=DEPTH), send)
    assert seen == [(5, 0b111, [5, 6, 7])]


@pytest.mark.parametrize(("lanes", "source"), [(6, 6), (4, 3), (0, 0)])
def test_scatter_rejects_lanes_that_are_no_power_of_two(lanes, source):
    with pytest.raises(ValueError, match=r"lanes must be a power of two, not "):
        Scatter(signed(8), lanes, depth=8, source_lanes=source)


BENCHES = [
    *(
        partial(test_scatter_keeps_every_code_in_order, name, lanes, source_lanes, stall)
        for lanes, source_lanes in [(4, 4), (8, 2)]
        for stall in [0, 2]
        for name in CUTS
    ),
    partial(
        test_scatter_takes_a_cycle_for_every_beat_of_memory_that_a_beat_touches, [16], [3, 13], 8
    ),
    test_scatter_latency_and_busy,
    test_scatter_begins_anew,
    test_scatter_begins_anew_in_the_middle_of_a_beat,
]
