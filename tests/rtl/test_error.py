# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Answers and errors are those of the reference machine, wherever the beats are cut."""

from functools import partial

import numpy as np
import pytest

from analog_models import presets
from cosim.bench import pack, simulate, unpack
from golden.config import ChipConfig
from golden.machine import COUNTERS, Machine
from rtl.error import ErrorUnit, Scorer


class NoTile:
    """Tile that is never asked."""

    def __init__(self, *_, **__):
        pass


def golden(sums, outputs, label):
    """Whether the reference machine finds ``label`` in ``sums``, and its errors of ``outputs``."""
    config = ChipConfig(
        layers=(1, len(sums)), forward_shift=(16,), backward_shift=(12,), tile=presets.TUNED
    )
    machine = Machine(config, NoTile)
    machine.z, machine.x[-1][:-1] = np.array(sums), outputs
    machine.error(label)
    return bool(machine.counters[COUNTERS.index("correct")]), machine.delta[-1].tolist()


def cut(codes, lanes, rng=None):
    """Cut into whole beats and a last one, or into beats of any size."""
    beats, at = [], 0
    while at < len(codes):
        n = lanes if rng is None else int(rng.integers(lanes + 1))
        beats.append(list(codes[at : at + n]))
        at += n
    return beats


def begin(pins):
    pins["start"], pins["en"] = 1, 0
    yield
    pins["start"] = 0


def offer(pins, beat, lanes, fill):
    """Offer one beat for a cycle; lanes that do not count hold ``fill``."""
    pins["codes"] = pack([*beat, *[fill] * (lanes - len(beat))], 8)
    pins["count"], pins["en"] = len(beat), 1
    yield


def idle(pins, fill, cycles=1):
    """Let cycles pass whose codes must not matter."""
    pins["en"], pins["codes"] = 0, pack([fill] * 16, 8)
    for _ in range(cycles):
        yield


def answers(lanes, vectors, stall=0):
    """Return the scorer's answer to each vector, which is a list of beats."""
    got = []

    def drive(pins):
        for beats in vectors:
            yield from begin(pins)
            for beat in beats:
                yield from offer(pins, beat, lanes, 127)
                yield from idle(pins, 127, stall)
            pins["en"] = 0
            for _ in range(Scorer(lanes).latency):
                yield
            got.append(pins["answer"])
            yield from idle(pins, 127)
            assert pins["answer"] == got[-1], "the answer must hold"

    simulate(Scorer(lanes), drive)
    return got


def sums(rng, n):
    """Random sums with many ties for the largest."""
    top = int(rng.choice([-128, -127, -1, 0, 1, 126, 127]))
    codes = rng.integers(-128, top + 1, n)
    return np.where(rng.random(n) < rng.choice([0.1, 0.6]), top, codes).tolist()


@pytest.mark.parametrize("stall", [0, 1])
@pytest.mark.parametrize("lanes", [1, 3, 4, 8])
def test_scorer_matches_machine(lanes, stall):
    rng = np.random.default_rng(1)
    vectors = [sums(rng, n) for n in [1, lanes, lanes + 1, *rng.integers(1, 40, 60)]]
    cuts = [cut(v, lanes, rng if n % 2 else None) for n, v in enumerate(vectors)]
    for vector, answer in zip(vectors, answers(lanes, cuts, stall), strict=True):
        assert answer == np.argmax(vector)
        assert golden(vector, 0, answer)[0]


@pytest.mark.parametrize(("lanes", "latency"), [(1, 3), (2, 3), (4, 4), (16, 6), (64, 8), (128, 9)])
def test_scorer_latency(lanes, latency):
    seen = []

    def drive(pins):
        yield from begin(pins)
        yield from offer(pins, [0] * (lanes - 1) + [1], lanes, 0)
        pins["en"] = 0
        yield from offer(pins, [0] * (lanes - 1) + [2], lanes, 0)
        pins["en"] = 0
        for _ in range(latency):
            yield
            seen.append(pins["answer"])

    simulate(Scorer(lanes), drive)
    assert Scorer(lanes).latency == latency
    assert seen == [0] * (latency - 2) + [lanes - 1, 2 * lanes - 1]


@pytest.mark.parametrize("lanes", [4])
def test_scorer_breaks_ties_by_the_lowest_index(lanes):
    """Every pair of places in three beats, at both ends of the range."""
    vectors, want = [], []
    for low, top in ((-128, -127), (126, 127), (-1, 0)):
        for a in range(3 * lanes):
            for b in range(a, 3 * lanes):
                codes = [low] * (3 * lanes)
                codes[a] = codes[b] = top
                vectors.append(cut(codes, lanes))
                want.append(a)
    assert answers(lanes, vectors) == want


@pytest.mark.parametrize("lanes", [4])
def test_scorer_counts_as_far_as_13_bits_go(lanes):
    """The last of 8192 wins, and the first of as many -128."""
    last = [[0] * lanes] * (8192 // lanes - 1) + [[0] * (lanes - 1) + [1]]
    assert answers(lanes, [last, [[-128] * lanes] * 3]) == [8191, 0]


@pytest.mark.parametrize("lanes", [4])
def test_scorer_begins_anew_and_after_a_reset(lanes):
    """A vector that was cut short leaves nothing, not even a larger sum."""

    def drive(pins):
        for reset in (False, True):
            yield from begin(pins)
            for _ in range(2):
                yield from offer(pins, [1, 2, 127, 0], lanes, 0)
            pins["en"] = 0
            for _ in range(Scorer(lanes).latency):
                yield
            assert pins["answer"] == 2
            if not reset:  # one that is still on its way
                yield from offer(pins, [1, 2, 127, 127], lanes, 0)
            if reset:
                pins["rst"] = 1
                yield
                pins["rst"] = 0
                yield
            yield from begin(pins)
            yield
            assert pins["answer"] == 0
            yield from offer(pins, [-128, -127], lanes, 127)
            pins["en"] = 0
            for _ in range(Scorer(lanes).latency):
                yield
            assert pins["answer"] == 1

    simulate(Scorer(lanes), drive)


def errors(lanes, examples, stall=0, fill=127):
    """Return ``(delta, nonzero)`` of examples ``(label, beats of outputs)``."""
    got = []

    def drive(pins):
        for label, beats in examples:
            pins["label"] = label
            yield from begin(pins)
            delta, nonzero, before = [], 0, 0
            for beat in beats:
                for _ in offer(pins, beat, lanes, fill):
                    yield
                    assert pins["nonzero"] == before, "nonzero must come 2 cycles later"
                    delta += unpack(pins["delta"], 8, lanes)[: len(beat)]
                before, nonzero = nonzero, int(any(delta))
                for _ in idle(pins, fill, stall):
                    yield
                    before = nonzero
            for _ in idle(pins, fill, 2):
                yield
                assert pins["nonzero"] == before
                before = nonzero
            yield
            assert pins["nonzero"] == nonzero
            yield from idle(pins, fill, 1)
            got.append((delta, pins["nonzero"]))

    simulate(ErrorUnit(lanes), drive)
    return got


def outputs(rng, n, label):
    """Make outputs, at the ends and anywhere; some are right."""
    kind = rng.integers(4)
    y = rng.choice([-127, -126, -1, 0, 1, 126, 127], n) if kind < 2 else rng.integers(-127, 128, n)
    if kind == 0:
        y = np.zeros(n, int)
        if label < n:
            y[label] = rng.choice([127, 127, 126, -127])
    return y.tolist()


@pytest.mark.parametrize("stall", [0, 1])
@pytest.mark.parametrize("lanes", [1, 3, 4, 8])
def test_error_matches_machine(lanes, stall):
    rng = np.random.default_rng(2)
    examples, want = [], []
    for n in [1, lanes, lanes + 1, *rng.integers(1, 40, 60)]:
        label = int(rng.integers(n))
        y = outputs(rng, int(n), label)
        examples.append((label, cut(y, lanes, rng if len(want) % 2 else None)))
        _, delta = golden([0] * len(y), y, label)
        want.append((delta, int(any(delta))))
    assert errors(lanes, examples, stall) == want


@pytest.mark.parametrize("lanes", [4])
def test_error_of_a_label_in_every_beat_and_lane(lanes):
    """127 where the label is: 254 saturates to 127. A label that nothing has finds none."""
    examples, want = [], []
    for y, hit, miss in ((-127, 127, 127), (0, 127, 0), (126, 1, -126), (127, 0, -127)):
        for label in [*range(3 * lanes), 3 * lanes, 4096, 8191]:
            examples.append((label, cut([y] * (3 * lanes), lanes)))
            delta = [hit if k == label else miss for k in range(3 * lanes)]
            want.append((delta, int(any(delta))))
    assert errors(lanes, examples) == want


@pytest.mark.parametrize("lanes", [4])
def test_error_of_the_last_label_of_many(lanes):
    n = 4096
    right = [0] * (n - 1) + [127]
    wrong = [0] * (n - 1) + [126]
    got = errors(lanes, [(n - 1, cut(y, lanes)) for y in (right, wrong)])
    assert got == [([0] * n, 0), ([0] * (n - 1) + [1], 1)]


@pytest.mark.parametrize("lanes", [4])
def test_error_is_zero_whatever_the_lanes_that_do_not_count(lanes):
    """Also where the label comes to lie in one of them, before its beat comes."""
    examples = [(2, [[0], [], [0, 127], [0, 0, 0]]), (0, [[127]])]
    for fill in (0, 127, -127, 1):
        assert errors(lanes, examples, fill=fill) == [([0] * 6, 0), ([0], 0)]


@pytest.mark.parametrize("lanes", [4])
def test_error_of_each_lane_alone_is_noticed(lanes):
    """Every bit of an error in every lane, in the first and in the last of two beats."""
    examples = []
    for place in range(2 * lanes):
        for value in (1, -1, 2, 4, 8, 16, 32, 64, -64, 127):
            y = [0] * (2 * lanes)
            y[place] = value
            examples.append((4096, cut(y, lanes)))
    assert all(nonzero for _, nonzero in errors(lanes, examples))


@pytest.mark.parametrize("lanes", [4])
def test_error_begins_anew_and_after_a_reset(lanes):
    def drive(pins):
        pins["label"] = 1
        for reset in (False, True):
            yield from begin(pins)
            yield from offer(pins, [1, 2, 3], lanes, 0)
            pins["en"] = 0
            for _ in range(2):
                yield
            assert pins["nonzero"]
            yield from offer(pins, [1, 2, 3], lanes, 0)  # is still on its way
            pins["en"] = 0
            if reset:
                pins["rst"] = 1
                yield
                pins["rst"] = 0
                yield
                assert not pins["nonzero"]
            yield from begin(pins)
            yield from offer(pins, [0, 127, 0], lanes, 0)
            assert unpack(pins["delta"], 8, lanes)[:3] == [0, 0, 0]
            pins["en"] = 0
            for _ in range(3):
                yield
            assert not pins["nonzero"]

    simulate(ErrorUnit(lanes), drive)


BENCHES = [
    *(
        partial(test, 4, stall)
        for test in (test_scorer_matches_machine, test_error_matches_machine)
        for stall in (0, 1)
    ),
    *(
        partial(test, 4)
        for test in (
            test_scorer_breaks_ties_by_the_lowest_index,
            test_scorer_counts_as_far_as_13_bits_go,
            test_scorer_begins_anew_and_after_a_reset,
            test_error_of_a_label_in_every_beat_and_lane,
            test_error_of_the_last_label_of_many,
            test_error_is_zero_whatever_the_lanes_that_do_not_count,
            test_error_of_each_lane_alone_is_noticed,
            test_error_begins_anew_and_after_a_reset,
        )
    ),
]
