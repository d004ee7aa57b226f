# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Results come from tile after tile in the order in which they add up."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import pack, put, simulate, take
from rtl.accumulator import partial_beat
from rtl.collector import Collector

LANES, DEPTH, TILES = 4, 256, 5
#: Tile of (block, part), by parts, and over again; one tile always belongs to another layer.
GRIDS = {
    1: [[3], [0], [4], [1]],
    2: [[3, 0], [4, 1]],
    3: [[4, 2, 0]],
    4: [[1, 0, 4, 3]],
    600: [[3, 0, 1, 4]],
}


def tile_of(parts, block, part):
    grid = GRIDS[parts]
    return grid[block % len(grid)][part % len(grid[0])]


def drained(job):
    """Golden: (tile, count, beat, first, final) of every beat of a job."""
    lengths, parts, backward = job
    out = []
    for block, n in enumerate(lengths):
        for part in range(parts):
            for beat, k in enumerate(range(0, n, LANES)):
                dropped = backward and k + LANES >= n and block == len(lengths) - 1
                count = min(LANES, n - k) - dropped
                tile = tile_of(parts, block, part)
                out.append((tile, count, beat, int(part == 0), int(part == parts - 1)))
    return out


def check_collector(jobs, *, stall=0, late=False, tile_stalls=(0,) * TILES, cut=None):
    """Do jobs ``(lengths, parts, backward)``; ``cut`` resets after so many beats of the first."""
    rng = np.random.default_rng(3)
    plans = [drained(job) for job in jobs]
    queues = [[] for _ in range(TILES)]
    want = []
    if cut is not None:
        jobs, plans = [jobs[0], *jobs], [plans[0][:cut], *plans]
    for plan in plans:
        want.append([])
        for tile, *rest in plan:
            codes = rng.integers(-128, 128, LANES).tolist()
            queues[tile].append(pack(codes, 8))
            want[-1].append((codes, *rest))
    other = next(t for t in range(TILES) if not queues[t])
    queues[other] = [0x12345678] * 99  # what the tile of another layer has
    now = {"parts": 1, "lengths": [1], "ready": 0}
    running = False

    def watch(pins):
        while True:
            before = running
            yield
            assert pins["busy"] == before
            ready = [pins[f"y.{t}.ready"] for t in range(TILES)]
            assert sum(ready) <= before
            assert all(not r or pins["taking"] == 1 << t for t, r in enumerate(ready))
            if not before:
                assert not pins["o.valid"]

    def drive(pins):
        nonlocal running
        for i, ((lengths, parts, backward), beats) in enumerate(zip(jobs, want, strict=True)):
            now.update(parts=parts, lengths=lengths)
            pins["blocks"], pins["parts"], pins["backward"] = len(lengths), parts, backward
            pins["start"] = 1
            yield
            pins["start"], running = 0, True
            got, cycles = [], 0
            for _ in take(pins, "o", len(beats), got, stall=stall, late=late):
                yield
                cycles += 1
            layout = partial_beat(LANES, DEPTH)
            got = [
                ([b.data[k] for k in range(LANES)], b.count, b.beat, b.first, b.final)
                for b in map(layout.from_bits, got)
            ]
            assert got == beats
            if not stall and not late and not any(tile_stalls):
                assert cycles == len(beats)  # one beat a cycle, latency 0
            if cut is not None and i == 0:
                pins["rst"] = 1
                yield
                pins["rst"] = 0
            running = False
            pins["blocks"], pins["parts"], pins["backward"] = 9, 9, 1 - backward
            pins["o.ready"] = 1
            for _ in range(i % 3):
                yield
            pins["o.ready"] = 0
        yield

    def geometry(pins):
        parts, block, part = now["parts"], pins["block"], pins["part"]
        if block < len(now["lengths"]) and part < parts:
            pins["mask"], pins["length"] = 1 << tile_of(parts, block, part), now["lengths"][block]
        else:
            pins["mask"], pins["length"] = 1 << tile_of(parts, 0, 0), 1  # must not matter

    def streams(pins):
        alive = [put(pins, f"y.{t}", queues[t], stall=tile_stalls[t]) for t in range(TILES)]
        while True:
            alive = [p for p in alive if next(p, True) is None]
            yield

    dut = Collector(LANES, depth=DEPTH, tiles=TILES)
    simulate(dut, drive, background=[streams, watch], reflex=geometry, limit=3000)


JOBS = [
    ([7, 4], 2, 0),
    ([7, 4], 2, 1),
    ([3], 3, 0),
    ([5], 3, 1),  # the last beat has no code left
    ([8, 9], 2, 1),
    ([1], 4, 1),
    ([1], 4, 0),
    ([4, 4, 12, 2], 1, 0),
    ([4, 4, 12, 2], 1, 1),
    ([32], 3, 0),  # as deep as it gets
]
STALLS = [
    {},
    {"stall": 1},
    {"stall": 2, "late": True},
    {"tile_stalls": (0, 3, 1, 2, 1)},
    {"stall": 1, "tile_stalls": (2, 0, 1, 1, 3)},
]


@pytest.mark.parametrize("how", STALLS, ids=str)
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_collector_takes_tile_after_tile(parts, how):
    check_collector([job for job in JOBS if job[1] == parts] * 2, **how)


LARGE = [([1023, 997], 1, 1), ([1] * 700, 1, 0), ([2], 600, 1)]


@pytest.mark.parametrize("large", range(len(LARGE)))
def test_collector_counts_as_far_as_it_must(large):
    check_collector([LARGE[large]])


def test_collector_changes_layers():
    check_collector([JOBS[0], JOBS[5], JOBS[1], JOBS[6]], stall=1)


@pytest.mark.parametrize("cut", [1, 3, 4])
def test_collector_begins_anew_after_reset(cut):
    check_collector([JOBS[0], JOBS[1]], cut=cut)


BENCHES = [
    *(
        partial(test_collector_takes_tile_after_tile, parts, how)
        for parts in [1, 2, 3, 4]
        for how in STALLS
    ),
    test_collector_changes_layers,
    *(partial(test_collector_begins_anew_after_reset, cut) for cut in [1, 3]),
    *(partial(test_collector_counts_as_far_as_it_must, large) for large in range(len(LARGE))),
]
