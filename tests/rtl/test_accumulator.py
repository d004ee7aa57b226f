# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Partial sums add up, saturate and are counted as in the reference machine."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from analog_models import presets
from cosim.bench import pack, put, simulate, take, unpack
from golden.config import ChipConfig
from golden.machine import Machine
from rtl.accumulator import Accumulator, partial_beat

DEPTH = 5
LATENCY = 2
#: Sums on either side of every bound, of the codes and of what counts as a clip.
LIMITS = (-130, -129, -128, -127, -126, -125, -1, 0, 1, 125, 126, 127, 128, 129)

STALLS = [
    {},
    {"i_stall": 2},
    {"o_stall": 3},
    {"i_stall": 1, "o_stall": 1, "late": True},
]


class Script:
    """Tile that answers with given codes."""

    def __init__(self, rows, cols, config, *, tile, **_):
        self.codes = None

    def forward(self, x):
        return self.codes

    backward = forward


@dataclass(frozen=True)
class Block:
    """Codes (tiles, lines) of the tiles that add to a block."""

    codes: np.ndarray
    backward: bool = False

    def golden(self):
        """Saturated sums and the number of clips of the reference machine."""
        parts, n = self.codes.shape
        rows, cols = (n + 1, 1) if self.backward else (1, n)  # the bias row is dropped
        layers = (n, parts) if self.backward else (parts - 1, n)
        if layers[0] == 0:  # a single tile, next to one that adds nothing
            layers = (1, n)
        tile = replace(presets.TUNED, rows=rows, cols=cols)
        config = ChipConfig(layers=layers, forward_shift=(16,), backward_shift=(12,), tile=tile)
        machine = Machine(config, Script)
        tiles = [t for *_, t in machine.blocks(0)]
        for t, codes in zip(tiles, [*self.codes, *np.zeros_like(self.codes[:1])], strict=False):
            t.codes = np.append(codes, 127) if self.backward else codes
        if self.backward:
            machine.backward(0)
            return machine.e.tolist(), int(machine.layer_counters[0, 1])
        machine.forward(0)
        return machine.z.tolist(), int(machine.layer_counters[0, 0])

    def length(self, lanes):
        """Beats of a tile; the last one may have but the bias row, which does not count."""
        n = self.codes.shape[1]
        return min(n // lanes + 1, DEPTH) if self.backward else -(-n // lanes)

    def beats(self, lanes, rng):
        """Yield payloads; lanes that do not count hold anything, preferably a clip."""
        layout = partial_beat(lanes, DEPTH)
        parts = len(self.codes)
        for part in range(parts):
            for beat in range(self.length(lanes)):
                codes = self.codes[part, beat * lanes : (beat + 1) * lanes].tolist()
                fields = {
                    "data": pack([*codes, *rng.choice([-128, 127], lanes - len(codes))], 8),
                    "count": len(codes),
                    "beat": beat,
                    "first": part == 0,
                    "final": part == parts - 1,
                }
                yield sum(int(value) << layout[name].offset for name, value in fields.items())


def parts_of(total, parts, rng):
    """Split a sum into random codes."""
    codes = []
    for rest in range(parts - 1, -1, -1):
        low, high = max(-128, total - 127 * rest), min(127, total + 128 * rest)
        codes.append(int(rng.integers(low, high + 1)))
        total -= codes[-1]
    return codes


def block(parts, n, rng, *, backward=False, totals=None):
    """Block whose sums are ``totals``, or, half of them, at the limits."""
    low, high = -128 * parts, 127 * parts
    if totals is None:
        near = [*(t for t in LIMITS if low <= t <= high), low, high]
        totals = np.where(rng.random(n) < 0.5, rng.choice(near, n), rng.integers(low, high + 1, n))
    codes = [parts_of(int(t), parts, rng) for t in totals]
    return Block(np.array(codes).T, backward)


def run(lanes, tiles, blocks, *, i_stall=0, o_stall=0, late=False, apart=False, seed=1):
    """Send blocks, back to back while they go the same way, unless ``apart``.

    Returns
    -------
    sums : list of list of int
    clips : dict
        Clips so far, by the number of blocks that had left.
    cycles : int
    """
    rng = np.random.default_rng(seed)
    sent = [list(b.beats(lanes, rng)) for b in blocks]
    words: list = []
    counted = cycles = 0
    clips = {}

    def send(pins):
        for n, (beats, of) in enumerate(zip(sent, blocks, strict=True)):
            if n and (apart or of.backward != blocks[n - 1].backward):
                yield
                while pins["busy"]:
                    yield
                clips[n] = counted
                assert len(words) == sum(b.length(lanes) for b in blocks[:n]), "busy until taken"
            pins["backward"] = of.backward
            yield from put(pins, "i", beats, stall=i_stall)

    def watch(pins):
        nonlocal counted, cycles
        while True:
            yield
            cycles += 1
            counted += pins["clips"]

    count = sum(b.length(lanes) for b in blocks)
    receive = partial(take, name="o", n=count, into=words, stall=o_stall, late=late)
    simulate(Accumulator(lanes, depth=DEPTH, tiles=tiles), send, receive, background=[watch])
    clips[len(blocks)] = counted
    sums: list = []
    for b in blocks:
        sums.append([])
        for _ in range(b.length(lanes)):
            word = words.pop(0)
            sums[-1] += unpack(word, 8, lanes)[: word >> (8 * lanes)]
    return sums, clips, cycles


def agrees(lanes, tiles, blocks, **options):
    golden = [b.golden() for b in blocks]
    sums, clips, _ = run(lanes, tiles, blocks, **options)
    assert sums == [want for want, _ in golden]
    assert clips == {n: sum(k for _, k in golden[:n]) for n in clips}


@pytest.mark.parametrize("stalls", STALLS, ids=str)
@pytest.mark.parametrize(("lanes", "tiles"), [(2, 1), (4, 4), (3, 5)])
def test_accumulator_matches_machine(lanes, tiles, stalls):
    rng = np.random.default_rng(3)
    blocks = [
        block(parts, int(rng.integers(1, DEPTH * lanes + 1)), rng, backward=backward)
        for backward in (False, True)
        for parts in [1, tiles, *rng.integers(1, tiles + 1, 8), tiles]
    ]
    agrees(lanes, tiles, blocks, **stalls)


@pytest.mark.parametrize(("lanes", "tiles"), [(1, 1), (4, 4), (3, 5)])
def test_accumulator_bounds_and_counts_every_sum_near_a_bound(lanes, tiles):
    """Each alone, so that a clip too many cannot make up for one too few."""
    rng = np.random.default_rng(4)
    ends = (-128 * tiles, 127 * tiles)
    totals = [*(t for t in LIMITS if ends[0] <= t <= ends[1]), *ends]
    blocks = [
        block(tiles, 1, rng, backward=backward, totals=[total])
        for backward in (False, True)
        for total in totals
    ]
    agrees(lanes, tiles, blocks, apart=True)


@pytest.mark.parametrize("lanes", [4])
def test_accumulator_of_hand_worked_sums(lanes):
    """100 + 27 is 127, which counts as a clip; 28 more does not change it; -128 ends forward."""
    codes = np.array([[100, -100], [27, -28]])
    assert run(lanes, 4, [Block(codes)])[:2] == ([[127, -128]], {1: 2})


@pytest.mark.parametrize("lanes", [4])
def test_accumulator_of_hand_worked_sums_backward(lanes):
    codes = np.array([[100, -100], [26, -28]])
    assert run(lanes, 4, [Block(codes, True)])[:2] == ([[126, -127]], {1: 1})


@pytest.mark.parametrize("lanes", [4])
def test_accumulator_turns_around(lanes):
    """Forward and backward in turn, each after the other has left."""
    rng = np.random.default_rng(5)
    blocks = [block(3, 2 * lanes + 1, rng, backward=bool(n % 2)) for n in range(6)]
    agrees(lanes, 4, blocks, o_stall=2)
    agrees(lanes, 4, blocks)


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("lanes", [1, 4])
def test_accumulator_of_single_beats_takes_a_beat_a_cycle(lanes, parts):
    """A beat of memory is read in the cycle in which it is written."""
    rng = np.random.default_rng(6)
    blocks = [block(parts, lanes, rng) for _ in range(20)]
    sums, _, cycles = run(lanes, 4, blocks)
    assert sums == [b.golden()[0] for b in blocks]
    assert cycles == parts * 20 + LATENCY


@pytest.mark.parametrize("lanes", [4])
def test_accumulator_latency_and_busy(lanes):
    rng = np.random.default_rng(7)
    one, two = Block(np.array([[5, -6]])), Block(np.array([[100, 1], [100, 1]]))

    def drive(pins):
        (word,) = one.beats(lanes, rng)
        pins["i.payload"], pins["i.valid"], pins["o.ready"] = word, 1, 0
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
            assert pins["clips"] == 0
            assert unpack(pins["o.payload"], 8, 2) == [5, -6]
        yield
        assert not pins["busy"]
        assert not pins["o.valid"]
        # a beat that is not final is on its way for a cycle
        first, last = two.beats(lanes, rng)
        pins["i.payload"], pins["i.valid"] = first, 1
        yield
        pins["i.valid"] = 0
        yield
        assert pins["busy"]
        yield
        assert not pins["busy"]
        pins["i.payload"], pins["i.valid"] = last, 1
        yield
        pins["i.valid"] = 0
        yield
        assert pins["clips"] == 0
        assert not pins["o.valid"]
        yield
        assert pins["clips"] == 1, "clips count when the beat has come into the output"
        assert unpack(pins["o.payload"], 8, 2) == [127, 2]
        yield
        assert pins["clips"] == 0
        assert not pins["o.valid"]

    simulate(Accumulator(lanes, depth=DEPTH, tiles=4), drive)


@pytest.mark.parametrize("lanes", [4])
def test_accumulator_takes_a_second_sum_and_a_beat_while_one_waits(lanes):
    """With the output stalled: one sum in it, all of the next, and a beat that waits behind it."""
    rng = np.random.default_rng(8)
    one, two = Block(np.array([[7, -7]])), Block(np.array([[1, 2], [10, 20], [100, 101]]))
    words = [*one.beats(lanes, rng), *two.beats(lanes, rng), *one.beats(lanes, rng)]
    got = []

    def drive(pins):
        pins["o.ready"] = 0
        for word, ready in zip([*words, words[-1]], (1, 1, 1, 1, 1, 0), strict=True):
            pins["i.payload"], pins["i.valid"] = word, 1
            yield
            assert pins["i.ready"] == ready
        pins["i.valid"] = 0
        yield from take(pins, "o", 3, got)
        yield
        assert not pins["o.valid"]

    simulate(Accumulator(lanes, depth=DEPTH, tiles=4), drive)
    assert [unpack(word, 8, 2) for word in got] == [[7, -7], [111, 123], [7, -7]]


@pytest.mark.parametrize("lanes", [4])
def test_accumulator_starts_again_after_a_reset(lanes):
    rng = np.random.default_rng(9)
    blocks = [block(3, 2 * lanes, rng) for _ in range(2)]
    got = []

    def drive(pins):
        for stop in (8, 6, 5, 3, 1):  # beats that come before the reset; of 8, one waits
            pins["o.ready"] = 0
            for word in [*blocks[0].beats(lanes, rng), *blocks[0].beats(lanes, rng)][:stop]:
                pins["i.payload"], pins["i.valid"] = word, 1
                yield
            pins["i.valid"], pins["rst"] = 0, 1
            yield
            pins["rst"] = 0
            for ready in (0, 1):
                pins["o.ready"] = ready
                yield
                assert not pins["o.valid"]
                assert not pins["busy"]
            for _ in put(pins, "i", blocks[1].beats(lanes, rng)):
                yield
                if pins["o.valid"]:
                    got.append(pins["o.payload"])
            while pins["busy"]:
                yield
                if pins["o.valid"]:
                    got.append(pins["o.payload"])

    simulate(Accumulator(lanes, depth=DEPTH, tiles=4), drive)
    want, _ = blocks[1].golden()
    codes = [unpack(word, 8, lanes) for word in got]
    assert codes == [want[:lanes], want[lanes:]] * 5


BENCHES = [
    *(
        partial(test, lanes, tiles, *rest)
        for lanes, tiles in [(4, 4), (3, 5)]
        for test, *rest in [
            *((test_accumulator_matches_machine, stalls) for stalls in STALLS),
            (test_accumulator_bounds_and_counts_every_sum_near_a_bound,),
        ]
    ),
    *(
        partial(test_accumulator_of_single_beats_takes_a_beat_a_cycle, 4, parts)
        for parts in (1, 2, 4)
    ),
    *(
        partial(test, 4)
        for test in (
            test_accumulator_of_hand_worked_sums,
            test_accumulator_of_hand_worked_sums_backward,
            test_accumulator_turns_around,
            test_accumulator_latency_and_busy,
            test_accumulator_takes_a_second_sum_and_a_beat_while_one_waits,
            test_accumulator_starts_again_after_a_reset,
        )
    ),
]
