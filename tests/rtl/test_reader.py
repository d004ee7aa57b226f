# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A vector comes out of memory block by block, whatever the blocks and whoever waits."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import pack, simulate, take
from golden.formats import BIAS
from rtl.reader import VectorReader, read_beat

DEPTH = 1024


def beats_of(memory, lengths, bias, lanes):
    """Golden: (codes, count, beat, first, last) of every beat."""
    out = []
    for block, n in enumerate(lengths):
        for k in range(0, n, lanes):
            count, last = min(lanes, n - k), k + lanes >= n
            codes = memory[len(out)][:count] + [0] * (lanes - count)
            if bias and last and block == len(lengths) - 1:
                codes[count - 1] = BIAS
            out.append((codes, count, len(out), int(k == 0), int(last)))
    return out


def beats(words, lanes):
    layout = read_beat(lanes, DEPTH)
    for b in map(layout.from_bits, words):
        yield [b.data[k] for k in range(lanes)], b.count, b.beat, b.first, b.last


def check_reader(vectors, *, lanes, stall=0, late=False, idle=0, cut=None):
    """Read vectors ``(lengths, bias)``; ``cut`` resets after so many beats of the first."""
    # all lanes hold something, also those beyond a block
    memory = np.random.default_rng(len(vectors)).integers(-128, 127, (DEPTH, lanes)).tolist()
    now = {"lengths": [1]}
    running = False  # what busy should be

    def vector(pins, lengths, bias, n):
        """Start a vector and take ``n`` beats."""
        nonlocal running
        now["lengths"] = lengths
        pins["blocks"], pins["bias"], pins["start"] = len(lengths), bias, 1
        yield
        assert not pins["busy"]
        assert not pins["o.valid"]
        pins["start"], running = 0, True
        got, cycles = [], 0
        for _ in take(pins, "o", n, got, stall=stall, late=late):
            yield
            cycles += 1
            if cycles <= 2:  # latency 2 from start
                assert pins["o.valid"] == (cycles == 2)
            assert pins["busy"]
        want = beats_of(memory, lengths, bias, lanes)
        assert list(beats(got, lanes)) == want[:n]
        if n == len(want):
            running = False
            if not stall and not late:
                assert cycles == n + 1

    def drive(pins):
        nonlocal running
        if cut is not None:
            yield from vector(pins, *vectors[0], cut)
            pins["rst"] = 1
            yield
            pins["rst"], running = 0, False
        for lengths, bias in vectors:
            yield from vector(pins, lengths, bias, sum(-(-n // lanes) for n in lengths))
            pins["blocks"], pins["bias"] = 5, not bias
            for _ in range(idle):
                yield
                assert not pins["o.valid"]
        yield

    def watch(pins):
        while True:
            before = running
            yield
            assert pins["busy"] == before

    def answer(pins):
        while True:
            yield
            if pins["en"]:
                pins["codes"] = pack(memory[pins["beat"]], 8)

    def geometry(pins):
        pins["length"] = [*now["lengths"], 1023][min(pins["block"], len(now["lengths"]))]

    dut = VectorReader(lanes, depth=DEPTH)
    simulate(dut, drive, background=[watch, answer], reflex=geometry, limit=3000)


VECTORS = [
    ([4], 0),
    ([4], 1),
    ([5], 1),
    ([1], 1),
    ([1], 0),
    ([3, 9, 4, 1], 1),
    ([7, 6, 7], 0),
    ([8, 8], 1),
    ([1, 1, 1, 2], 1),
    ([13, 1], 1),
    ([2, 12], 0),
    ([2, 7], 1),
]


@pytest.mark.parametrize("lanes", [2, 4])
@pytest.mark.parametrize(
    ("stall", "late", "idle"), [(0, False, 0), (0, False, 2), (1, False, 0), (2, True, 1)]
)
def test_reader_gives_the_beats_of_all_blocks(lanes, stall, late, idle):
    check_reader(VECTORS, lanes=lanes, stall=stall, late=late, idle=idle)


@pytest.mark.parametrize("cut", [0, 2, 3])
def test_reader_begins_anew_after_reset(cut):
    check_reader([VECTORS[5], VECTORS[3]], lanes=4, cut=cut)


#: Many codes, many blocks, all of memory.
LARGE = [([1023, 1022], 1), ([1] * 700, 0), ([2] * 324, 1), ([3] * 342 + [1023, 1], 1)]


@pytest.mark.parametrize("large", range(len(LARGE)))
def test_reader_counts_as_far_as_it_must(large):
    check_reader([LARGE[large]], lanes=4)


def test_reader_goes_to_the_end_of_memory():
    check_reader([([1000, 1000, 40, 8], 1), ([5], 0)], lanes=2)


BENCHES = [
    *(
        partial(test_reader_gives_the_beats_of_all_blocks, 4, *how)
        for how in [(0, False, 0), (1, False, 0), (2, True, 1)]
    ),
    *(partial(test_reader_begins_anew_after_reset, cut) for cut in [0, 2]),
    *(partial(test_reader_counts_as_far_as_it_must, large) for large in range(len(LARGE))),
]
