# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Activations and derivatives are those of the golden tables."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import pack, put, simulate, take, unpack
from golden.tables import activation_table
from rtl.activation import Activation

LATENCY = 1
NAMES = [("pl-tanh", 16), ("hard-sigmoid", 16), ("tanh", 17)]
#: Entries (value, slope) of every table, as golden makes them; but the second is one that uses
#: every bit, as no function's does.
GOLDEN = [np.stack(activation_table(*of), axis=1) for of in NAMES]
GOLDEN[1] = np.random.default_rng(2).integers([-128, 0], [128, 256], (256, 2))

STALLS = [{}, {"i_stall": 2}, {"o_stall": 3}, {"i_stall": 1, "o_stall": 1, "late": True}]


def entry(value, slope):
    return pack([value, slope], 8)


def fill(pins, tables):
    """Write all tables, the last entry first."""
    for table in range(tables):
        for code in reversed(range(256)):
            pins["table_addr"], pins["table_data"] = table * 256 + code, entry(*GOLDEN[table][code])
            pins["table_en"] = 1
            yield
    # neither without the other
    pins["table_en"], pins["table_data"], pins["table_addr"] = 0, 0xA5C3, 17


def offered(codes, lanes):
    """Payload of one beat; lanes that do not count hold anything."""
    return pack([*codes, *[85] * (lanes - len(codes))], 8) | len(codes) << (8 * lanes)


def answers(word, lanes):
    """Count, and the entries ``[value, slope]`` of the lanes that count."""
    count = word >> (16 * lanes)
    parts = unpack(word, 16, lanes, sign=False)[:count]
    return [[unpack(p, 8, 2)[0], unpack(p, 8, 2, sign=False)[1]] for p in parts]


def want(beats):
    return [GOLDEN[table][np.array(codes) & 255].tolist() for table, codes in beats]


@pytest.mark.parametrize("stalls", STALLS, ids=str)
@pytest.mark.parametrize(("lanes", "tables"), [(4, 2), (3, 3)])
def test_activation_matches_golden_tables(lanes, tables, stalls):
    """All codes with all tables, the table chosen anew for every beat."""
    rng = np.random.default_rng(1)
    beats = []
    for table in range(tables):
        left = rng.permutation(np.arange(-128, 128)).tolist()
        while left:
            n = int(rng.choice([lanes, lanes, rng.integers(1, lanes + 1)]))
            beats.append((table, left[:n]))
            left = left[n:]
    beats = [beats[i] for i in rng.permutation(len(beats))]
    assert sum(len(codes) for _, codes in beats) == 256 * tables
    words: list = []

    def send(pins):
        yield from fill(pins, tables)
        for table, codes in beats:
            pins["select"] = table
            yield from put(pins, "i", [offered(codes, lanes)], stall=stalls.get("i_stall", 0))
            pins["select"] = table + 1  # without a beat it must not matter

    consumer = {"stall": stalls.get("o_stall", 0), "late": stalls.get("late", False)}
    receive = partial(take, name="o", n=len(beats), into=words, **consumer)
    simulate(Activation(lanes, tables), send, receive)
    assert [answers(word, lanes) for word in words] == want(beats)


@pytest.mark.parametrize(("lanes", "tables"), [(1, 1), (4, 2)])
def test_activation_latency_and_a_beat_a_cycle(lanes, tables):
    codes = [[n - 128] * lanes for n in range(0, 256, 17)]

    def drive(pins):
        yield from fill(pins, tables)
        pins["o.ready"] = 1
        for n in range(len(codes) + LATENCY):
            pins["i.valid"] = n < len(codes)
            pins["i.payload"] = offered(codes[n % len(codes)], lanes)
            yield
            assert pins["i.ready"]
            assert pins["o.valid"] == (n >= LATENCY)
            if n >= LATENCY:
                assert [answers(pins["o.payload"], lanes)] == want([(0, codes[n - LATENCY])])
        yield
        assert not pins["o.valid"]

    simulate(Activation(lanes, tables), drive)


@pytest.mark.parametrize(("lanes", "tables"), [(4, 2)])
def test_activation_holds_while_tables_are_written(lanes, tables):
    """What waits for the consumer stays; what comes later sees the new entry."""

    def drive(pins):
        yield from fill(pins, tables)
        word = offered([-5] * lanes, lanes)
        pins["select"], pins["o.ready"] = 1, 0
        for _ in put(pins, "i", [word]):
            yield
        pins["select"] = 0
        pins["table_addr"], pins["table_data"], pins["table_en"] = 256 + 251, entry(-127, 128), 1
        yield
        pins["table_en"] = 0
        pins["i.payload"], pins["i.valid"], pins["select"] = word, 1, 1
        for ready in (0, 1):
            pins["o.ready"] = ready
            yield
            assert pins["o.valid"]
            assert pins["i.ready"] == ready
            assert [answers(pins["o.payload"], lanes)] == want([(1, [-5] * lanes)])
        pins["i.valid"] = 0
        yield
        assert answers(pins["o.payload"], lanes) == [[-127, 128]] * lanes

    simulate(Activation(lanes, tables), drive)


@pytest.mark.parametrize(("lanes", "tables"), [(4, 2)])
def test_activation_starts_again_after_a_reset(lanes, tables):
    """Tables stay."""
    words: list = []

    def drive(pins):
        yield from fill(pins, tables)
        pins["o.ready"] = 0
        for _ in put(pins, "i", [offered([1] * lanes, lanes)]):
            yield
        pins["rst"] = 1
        yield
        pins["rst"], pins["o.ready"], pins["select"] = 0, 1, 1
        yield
        assert not pins["o.valid"]
        pins["o.ready"] = 0
        for _ in put(pins, "i", [offered([-2, 3], lanes)]):
            yield
        yield from take(pins, "o", 1, words)

    simulate(Activation(lanes, tables), drive)
    assert [answers(word, lanes) for word in words] == want([(1, [-2, 3])])


BENCHES = [
    *(partial(test_activation_matches_golden_tables, 4, 2, stalls) for stalls in STALLS),
    partial(test_activation_latency_and_a_beat_a_cycle, 4, 2),
    partial(test_activation_holds_while_tables_are_written, 4, 2),
    partial(test_activation_starts_again_after_a_reset, 4, 2),
]
