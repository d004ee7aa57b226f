# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Beats and commands reach the tiles in step, as codes or as the golden pulse counts."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import signed

from cosim.bench import pack, simulate, take
from golden.pulses import column_pulses
from rtl.pulses import Rate
from rtl.reader import read_beat
from rtl.sender import Sender, masked
from rtl.tile_port import Beat, Command, TileOp

LANES, DEPTH, TILES = 4, 16, 3
SHAPE = Beat(signed(8), LANES)


@dataclass(frozen=True)
class Job:
    """One instruction: how its blocks (lengths in codes) are sent."""

    blocks: tuple[int, ...]
    op: TileOp | None  # None sends no command
    rate: tuple[int, int, int] | None = None  # mult, shift, most; None sends codes
    stochastic: bool = False
    ends: bool = False  # all codes are ends of their range


FORWARD = Job((4, 7, 1), TileOp.FORWARD)
BACKWARD = Job((9, 4), TileOp.BACKWARD)
ROWS = Job((6, 4), TileOp.UPDATE, (1, 7, 1), True)
UPDATE = Job((4, 9, 2), None, (21, 5, 31), True)
#: Rounded half up, bounded early, without shift.
HALF, BOUND, WHOLE = (
    Job((8, 3), None, (19, 8, 31)),
    Job((5,), None, (31, 2, 3), True),
    Job((4, 4), None, (2, 0, 31), True),
)
#: Pulses that add up to the most, asked and applied.
MOST = Job((4, 8, 3), None, (255, 0, 31), True, ends=True)

#: Every random bit decides, with few and many bits.
FINE, FINER = (Job((32, 28), None, (255, shift, 31), True) for shift in (14, 24))


def decisive(codes, words, rate, rng):
    """Let the random bits of every code just reach the next pulse, or just not."""
    mult, shift, _ = rate
    u = (-np.abs(codes) * mult - rng.integers(0, 2, codes.size)) % (1 << shift)
    return (u << (32 - shift) | words.astype(np.int64) >> shift).astype(np.uint32)


def check_sender(jobs, *, gap=0, x_how=(0, False), cmd_how=(0, False), cut=None):
    """Send jobs; ``cut`` resets while beat ``cut`` waits, then everything comes again."""
    rng = np.random.default_rng(7)
    beats, commands, xs, commits = [], [], [], []
    for job in jobs:
        for n in job.blocks:
            mask = int(rng.integers(1, 1 << TILES))
            if job.op is not None:
                commands.append((job.op, mask))
            for k in range(0, n, LANES):
                count = min(LANES, n - k)
                codes = np.zeros(LANES, np.int64)
                codes[:count] = rng.integers(-127, 128, count)
                codes[0] = rng.choice([-127, 127, 0, codes[0]])
                if job.ends:
                    codes[:count] = rng.choice([-127, 127], count)
                words = rng.integers(0, 2**32, LANES, dtype=np.uint32)
                sent = codes
                if job.rate is not None:
                    mult, shift, most = job.rate
                    words = decisive(codes, words, job.rate, rng)
                    state = words if job.stochastic else None
                    sent, asked = column_pulses(codes, mult, shift, most, state)
                    commits.append((int(asked.sum()), int(np.abs(sent).sum())))
                beats.append((job, codes.tolist(), count, k == 0, k + LANES >= n, mask, words))
                xs.append((sent.tolist(), int(k + LANES >= n), mask))
    read = read_beat(LANES, DEPTH)
    cycle, moved, committed = 0, [], []
    got_x, got_cmd, x_at, cmd_at = [], [], [], []
    encodes = False

    def offer(pins, beat, words_only=False):
        nonlocal encodes
        job, codes, count, first, last, mask, words = beat
        encodes = job.rate is not None
        mult, shift, most = job.rate or (255, 3, 17)
        pins["encode"], pins["stochastic"] = encodes, job.stochastic
        pins["rate"] = Rate.const({"mult": mult, "shift": shift, "most": most}).as_bits()
        pins["command"] = Command.const({"op": job.op or TileOp.AGE, "row": mask}).as_bits()
        pins["with_command"] = job.op is not None
        pins["mask"], pins["words"] = mask, pack(words, 32)
        fields = {"data": codes, "count": count, "beat": 5}
        pins["i.payload"] = read.const({**fields, "first": first, "last": last}).as_bits()
        pins["i.valid"] = 1

    junk = read.const({"first": 1}).as_bits()

    def feed(pins):
        if cut is not None:
            # nobody takes anything: the command and the beat are left behind
            offer(pins, beats[cut])
            for _ in range(3):
                yield
            pins["i.valid"], pins["rst"] = 0, 1
            yield
            pins["rst"] = 0
            committed.clear()
        yield
        assert not pins["x.valid"]
        assert not pins["cmd.valid"]
        for n, beat in enumerate(beats):
            announced = sum(first and bool(job.op) for job, _, _, first, *_ in beats[:n])
            for _ in range(gap):
                yield
                assert not pins["cmd.valid"] or len(got_cmd) < announced
            while n and beat[0] is not beats[n - 1][0] and pins["busy"]:
                yield  # what changes with the job must hold
            offer(pins, beat)
            yield
            while not pins["i.ready"]:
                yield
            moved.append(cycle)
            pins["i.valid"] = 0
            pins["i.payload"], pins["mask"], pins["words"] = junk, 0, 0

    def taker(name, n, into, at, how):
        def run(pins):
            if cut is not None:
                for _ in range(6):
                    yield
            for _ in range(n):
                for _ in take(pins, name, 1, into, stall=how[0], late=how[1]):
                    yield
                at.append(cycle)

        return run

    def finish(pins):
        while len(got_x) < len(xs) or len(got_cmd) < len(commands):
            yield
        for _ in range(3):
            yield
            assert not pins["x.valid"]
            assert not pins["cmd.valid"]
            assert not pins["commit"]
            assert not pins["busy"]

    def clock(pins):
        nonlocal cycle
        while True:
            yield
            cycle += 1

    def watch(pins):
        seen = 0
        while True:
            yield
            assert pins["busy"] >= pins["x.valid"]
            if pins["counted"]:
                committed.append((pins["asked"], pins["applied"]))
            if cut is None:
                taken = len(moved) > seen
                assert not pins["commit"] or taken, "commit comes with the beat that moves"
                seen = len(moved)

    simulate(
        Sender(LANES, depth=DEPTH, tiles=TILES),
        feed,
        taker("x", len(xs), got_x, x_at, x_how),
        taker("cmd", len(commands), got_cmd, cmd_at, cmd_how),
        finish,
        background=[clock, watch],
        limit=3000,
    )
    layout = masked(SHAPE, TILES)
    out = []
    for b in map(layout.from_bits, got_x):
        out.append(([b.payload.data[k] for k in range(LANES)], b.payload.last, b.mask))
    assert out == xs
    layout = masked(Command, TILES)
    assert [(c.payload.op, c.mask) for c in map(layout.from_bits, got_cmd)] == commands
    assert [c.payload.row for c in map(layout.from_bits, got_cmd)] == [m for _, m in commands]
    assert committed == commits
    # a command comes a cycle after the move of its first beat, but for two that wait
    firsts = [moved[i] for i, (job, _, _, first, *_) in enumerate(beats) if first and job.op]
    for before, move, at in zip([0, 0, *cmd_at], firsts, cmd_at, strict=False):
        assert before <= move
        if cmd_how == (0, False) and cut is None:
            assert at <= move + 1
    if gap == 0 and cut is None and x_how == cmd_how == (0, False):
        same = [a[0] is b[0] for a, b in pairwise(beats)]
        assert set(np.diff(moved)[same]) == {1}, "one beat a cycle"
        latencies = [1 if job.rate is None else 4 for job, *_ in beats]
        assert [x - m for x, m in zip(x_at, moved, strict=True)] == latencies


JOBS = [FORWARD, BACKWARD, ROWS, UPDATE, HALF, FORWARD, BOUND, WHOLE, MOST, FINE, FINER]
JOBS += [ROWS, BACKWARD]
WAYS = {
    "nobody waits": {},
    "gaps": {"gap": 2},
    "x late": {"x_how": (2, False)},
    "command late": {"cmd_how": (3, False)},
    "both late": {"x_how": (1, True), "cmd_how": (2, True)},
    "x later": {"x_how": (5, True), "cmd_how": (1, False), "gap": 1},
}


@pytest.mark.parametrize("way", WAYS)
def test_sender_sends_commands_and_beats(way):
    check_sender(JOBS, **WAYS[way])


@pytest.mark.parametrize("job", [FORWARD, UPDATE, ROWS], ids=["forward", "update", "rows"])
def test_sender_begins_anew_after_reset(job):
    check_sender([job], cut=0)


def test_sender_forgets_a_command_that_was_taken_before_reset():
    """The command of the block was taken, its beat was not: after reset it comes again."""
    layout = read_beat(LANES, DEPTH)

    def drive(pins):
        pins["with_command"], pins["mask"] = 1, 1
        pins["i.payload"] = layout.const({"first": 1, "count": 1}).as_bits()
        pins["i.valid"], pins["cmd.ready"] = 1, 1
        yield
        for k in range(2):  # nobody takes x, but there is room for two beats
            assert pins["cmd.valid"] == (k > 0)
            assert pins["i.ready"]
            yield
        # now x waits, and the third block's command is taken
        for valid in (1, 1, 0):
            assert pins["cmd.valid"] == valid
            assert not pins["i.ready"]
            yield
        pins["rst"] = 1
        yield
        pins["rst"] = 0
        yield
        assert not pins["cmd.valid"]
        assert pins["i.ready"]
        assert not pins["x.valid"]
        yield
        assert pins["cmd.valid"]

    simulate(Sender(LANES, depth=DEPTH, tiles=TILES), drive)


BENCHES = [
    *(partial(test_sender_sends_commands_and_beats, way) for way in WAYS),
    *(partial(test_sender_begins_anew_after_reset, job) for job in [FORWARD, UPDATE]),
    test_sender_forgets_a_command_that_was_taken_before_reset,
]
