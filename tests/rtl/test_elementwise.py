# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Errors are scaled by the derivatives that lie in memory, each by its own."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import pack, put, simulate, take, unpack
from golden.formats import round_shift
from rtl.elementwise import Multiplier

LATENCY = 2
ERRORS = (-127, -126, -65, -64, -63, -2, -1, 0, 1, 2, 63, 64, 65, 126, 127)
SLOPES = (0, 1, 2, 31, 32, 63, 64, 65, 96, 127, 128)

STALLS = [{}, {"i_stall": 2}, {"o_stall": 3}, {"i_stall": 1, "o_stall": 1, "late": True}]


def ramp(depth, lanes, seed=1):
    """Make derivatives (depth, lanes) that differ from beat to beat."""
    return np.random.default_rng(seed).permutation(depth * lanes).reshape(depth, lanes) % 129


def memory(slopes):
    """Answer as the memory does: data come a cycle after ``en`` and then hold."""

    def answer(pins):
        while True:
            yield
            if pins["en"]:
                pins["slopes"] = pack(slopes[pins["addr"] % len(slopes)], 8)

    return answer


def offered(errors, lanes):
    """Payload of one beat; lanes that do not count hold anything."""
    return pack([*errors, *[85] * (lanes - len(errors))], 8) | len(errors) << (8 * lanes)


def codes_of(word, lanes):
    return unpack(word, 8, lanes)[: word >> (8 * lanes)]


def begin(pins, base):
    pins["base"], pins["start"] = base, 1
    yield
    pins["start"], pins["base"] = 0, ~base


def golden(errors, slopes):
    """Products of beats with the derivatives ``slopes`` (beats, lanes)."""
    pairs = zip(errors, slopes, strict=True)
    return [round_shift(np.array(e) * s[: len(e)], 7).tolist() for e, s in pairs]


def multiplied(lanes, depth, slopes, vectors, *, i_stall=0, o_stall=0, late=False):
    """Send vectors ``(base, beats of errors)``; return all beats that come, and the cycles."""
    words: list = []
    cycles = 0

    def send(pins):
        nonlocal cycles
        for base, beats in vectors:
            yield from begin(pins, base)
            for _ in put(pins, "i", [offered(errors, lanes) for errors in beats], stall=i_stall):
                yield
                cycles += 1

    n = sum(len(beats) for _, beats in vectors)
    receive = partial(take, name="o", n=n, into=words, stall=o_stall, late=late)
    simulate(Multiplier(lanes, depth=depth), send, receive, background=[memory(slopes)])
    return [codes_of(word, lanes) for word in words], cycles


@pytest.mark.parametrize("wide", ["errors", "slopes"])
@pytest.mark.parametrize("lanes", [4])
def test_multiplier_of_corners_matches_golden(lanes, wide):
    """All errors with corner derivatives, and the other way round."""
    errors = range(-127, 128) if wide == "errors" else ERRORS
    slopes = SLOPES if wide == "errors" else range(129)
    pairs = np.array([(e, s) for e in errors for s in slopes])
    pairs = np.resize(pairs, (-(-len(pairs) // lanes) * lanes, 2)).reshape(-1, lanes, 2)
    depth = 64
    for_all, sent = [], []
    for at in range(0, len(pairs), depth):
        part = pairs[at : at + depth]
        sent.append(part[..., 0].tolist())
        for_all.append(part[..., 1])
    words: list = []
    now = np.zeros((depth, lanes), np.int64)

    def send(pins):
        for beats, slopes in zip(sent, for_all, strict=True):
            yield from begin(pins, 0)
            now[: len(slopes)] = slopes
            yield from put(pins, "i", [offered(errors, lanes) for errors in beats])
            yield  # the last beat reads before the memory changes

    receive = partial(take, name="o", n=len(pairs), into=words)
    simulate(Multiplier(lanes, depth=depth), send, receive, background=[memory(now)])
    want = golden(pairs[..., 0].tolist(), pairs[..., 1])
    assert [codes_of(word, lanes) for word in words] == want


@pytest.mark.parametrize("lanes", [2])
def test_multiplier_of_hand_worked_products(lanes):
    """Halves round up: 0.5 is 1, -0.5 is 0, -1.5 is -1."""
    slopes = np.array([[64, 64], [64, 128], [128, 127]])
    beats = [[1, -1], [-3, -127], [127, 127]]
    got, _ = multiplied(lanes, 3, slopes, [(0, beats)])
    assert got == [[1, 0], [-1, -127], [127, 126]]


@pytest.mark.parametrize("stalls", STALLS, ids=str)
@pytest.mark.parametrize(("lanes", "depth"), [(1, 2), (4, 20), (3, 16)])
def test_multiplier_reads_from_base_on(lanes, depth, stalls):
    """Vectors of whole and partial beats, each at a base of its own, back to back."""
    rng = np.random.default_rng(2)
    slopes = ramp(depth, lanes)
    vectors, want = [], []
    for base in [0, depth - 1, *rng.integers(0, depth, 6).tolist()]:
        n = int(rng.integers(1, depth - base + 1))
        counts = rng.choice([lanes, lanes, 1], n)
        beats = [rng.choice([*ERRORS, 99, -99, 50], k).tolist() for k in counts]
        vectors.append((base, beats))
        want += golden(beats, slopes[base : base + n])
    got, _ = multiplied(lanes, depth, slopes, vectors, **stalls)
    assert got == want


@pytest.mark.parametrize(("lanes", "depth"), [(4, 20)])
def test_multiplier_takes_a_beat_a_cycle(lanes, depth):
    slopes = ramp(depth, lanes)
    beats = [[127 - n] * lanes for n in range(depth)]
    got, cycles = multiplied(lanes, depth, slopes, [(0, beats)])
    assert got == golden(beats, slopes)
    assert cycles == depth


@pytest.mark.parametrize(("lanes", "depth"), [(4, 20)])
def test_multiplier_latency_and_busy(lanes, depth):
    slopes = ramp(depth, lanes)
    (want,) = golden([[127, -127, 1, 100]], slopes[7:8])

    def drive(pins):
        yield from begin(pins, 7)
        pins["i.payload"], pins["i.valid"] = offered([127, -127, 1, 100], lanes), 1
        yield
        assert pins["i.ready"]
        assert not pins["busy"]
        pins["i.valid"] = 0
        for _ in range(LATENCY - 1):
            yield
            assert pins["busy"]
            assert not pins["o.valid"]
        for ready in (0, 0, 1):
            pins["o.ready"] = ready
            yield
            assert pins["o.valid"]
            assert pins["busy"]
            assert codes_of(pins["o.payload"], lanes) == want
        yield
        assert not pins["o.valid"]
        assert not pins["busy"]

    simulate(Multiplier(lanes, depth=depth), drive, background=[memory(slopes)])


@pytest.mark.parametrize(("lanes", "depth"), [(4, 20)])
def test_multiplier_begins_anew_and_after_a_reset(lanes, depth):
    """A beat that a reset finds on its way is lost; one that ``start`` finds is not."""
    slopes = ramp(depth, lanes)
    errors = [127, 126, 125, 124]
    words: list = []

    def drive(pins):
        for reset in (False, True, True):
            yield from begin(pins, 3)
            pins["o.ready"] = 0
            full = [offered(errors, lanes)] * 2
            yield from put(pins, "i", full[: 1 + reset])
            if reset:  # a beat in the output, and one before it
                pins["i.payload"], pins["i.valid"] = full[0], 1
                yield
                assert pins["o.valid"]
                assert not pins["i.ready"]
                pins["i.valid"], pins["rst"] = 0, 1
                yield
                pins["rst"], pins["o.ready"] = 0, 1
                yield
                assert not pins["busy"]
                assert not pins["o.valid"]
                yield
                assert not pins["o.valid"]
                pins["o.ready"] = 0
            yield from begin(pins, 11)
            yield from put(pins, "i", [offered(errors[::-1], lanes)])
            yield from take(pins, "o", 1 if reset else 2, words)
            assert pins["busy"]
            yield
            assert not pins["busy"]

    simulate(Multiplier(lanes, depth=depth), drive, background=[memory(slopes)])
    at_3, at_11 = golden([errors, errors[::-1]], slopes[[3, 11]])
    assert [codes_of(word, lanes) for word in words] == [at_3, at_11, at_11, at_11]


BENCHES = [  # all of one depth, so that one netlist gets all of them
    *(partial(test_multiplier_of_corners_matches_golden, 4, wide) for wide in ("errors", "slopes")),
    *(partial(test_multiplier_reads_from_base_on, 4, 64, stalls) for stalls in STALLS),
    *(
        partial(test, 4, 64)
        for test in (
            test_multiplier_takes_a_beat_a_cycle,
            test_multiplier_latency_and_busy,
            test_multiplier_begins_anew_and_after_a_reset,
        )
    ),
]
