# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The transfer unit asks of a tile what the golden transfer asks, in the same order."""

import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cosim.verilog_bench import load
from golden.hardware import beats
from rtl.transfer import TransferUnit

# By path, as this file is loaded itself within a simulator, where no folder of tests is searched.
HERE = Path(__file__).parent
ROWS, COLS, alone, always, any_job, real, scripted, wild = (
    load(f"{HERE / 'transfer_jobs.py'}:{name}")
    for name in ("ROWS", "COLS", "alone", "always", "any_job", "real", "scripted", "wild")
)
play = load(f"{HERE / 'transfer_bench.py'}:play")

pytestmark = pytest.mark.slow


def formula(job, lanes):
    """Cycles of a transfer whose tile and host never make it wait, as the docstring says."""
    ops = Counter(name for name, *_ in job.golden()[0])
    shots, rounds, vector = ops["program"] // 2, ops["tune"], beats(job.cols, lanes) + 5
    plain = 2 * (2 + job.capacitor)
    all_rows = job.rows * (plain + 2 * vector) + (3 * shots + 2 * rounds) * vector
    host_row = job.cols - (vector + 2)
    return all_rows + (job.rows * host_row if job.goal is not None else 0)


def compare(lanes, jobs, *, rows=ROWS, cols=COLS, stall=0, **kwargs):
    results = play(lanes, jobs, rows=rows, cols=cols, stall=stall, **kwargs)
    for job, result in zip(jobs, results, strict=True):
        log, state, counters = job.golden()
        assert result.tile.log == log
        assert result.counters == counters
        for name, value in state.items():
            np.testing.assert_array_equal(result.tile.tile.state()[name], value)
        if job.goal is None or not stall:
            assert result.cycles == formula(job, lanes) + result.waited
        if not stall:
            assert result.waited == 0


def around(bound):
    """Codes on both sides of a bound, so that readings of 0 leave errors there."""
    sides = [bound - 1, bound, bound + 1]
    return [-n for n in reversed(sides)] + [-1, 0, 1] + sides


AROUND_10 = around(10)
#: Aims at steps of the table of durations and at its end.
ENTRIES = [7, 8, -15, -16, 2031, 2032, -2039, -2040, 4095]
BOUNDS = ("set_tolerance", "small_target", "tune_tolerance", "fail_tolerance")
LOOSE = {"set_tolerance": 2047, "tune_tolerance": 2047}
TIGHT = dict.fromkeys(BOUNDS, 0)

CORNERS = {
    "a tile with noise": [real("tuned", rows=3, old=-1, gain=300, transfers=7)],
    "a tile without": [real("ideal", rows=2, cols=8, new=-1), real("ideal", rows=2, cols=1)],
    "no capacitor": [real("two-pcm", rows=3, set_tolerance=5), real("two-pcm", cols=2, old=-1)],
    "no retries, no tuning": [real("tuned", rows=2, retries=0, tune_rounds=0)],
    "offset": [real("paper", offset=60, new=s, rows=2, log2_reads=6) for s in (1, -1)],
    "large offset": [
        scripted(reading=wild(s), offset=2047, new=s - 2, rows=2, **TIGHT) for s in (1, 3)
    ],
    "aims that grow": [
        scripted(goal=[4095, 4094, 0], reading=always(-2048), retries=31, offset=2047, new=-1),
        scripted(goal=[-4096, -1, 0], reading=always(2047), retries=31, offset=2047, new=1),
    ],
    "aims that come and go": [scripted(reading=wild(4), retries=31, rows=2, **TIGHT)],
    "bound of the miss": [scripted(goal=AROUND_10, reading=always(0), set_tolerance=10)],
    "bound of small targets": [
        scripted(goal=AROUND_10, reading=always(0), small_target=n, retries=0)
        for n in (0, 9, 10, 11)
    ],
    "bounds of the error": [
        scripted(goal=AROUND_10, reading=always(0), tune_tolerance=10, fail_tolerance=9),
        scripted(goal=AROUND_10, reading=always(0), tune_tolerance=9, fail_tolerance=10),
    ],
    "bits of the bounds": [
        scripted(goal=around(n), reading=always(0), **dict.fromkeys(BOUNDS, n))
        for n in (682, 1365, 2047)
    ],
    "entries of the table": [
        scripted(goal=ENTRIES, reading=always(0), retries=1),
        scripted(goal=-np.array(ENTRIES), reading=always(0), retries=1),
    ],
    "pulses that round": [
        scripted(goal=[1, -1, 3, -3, 20, 21, -31, 6, 5], reading=always(0), tune_mult=n, **TIGHT)
        for n in (32, 96, 31, 33)
    ],
    "few and many pulses": [
        scripted(reading=wild(5), rows=2, gain=700, tune_mult=n, tune_rounds=15, **TIGHT)
        for n in (1, 2048)
    ],
    "largest errors": [
        scripted(goal=[2048, 4095, -4096], reading=always(*r), tune_mult=2048, **TIGHT)
        for r in ([-2048, -2048, 2047], [-2047, 2047, 0])
    ],
    "nothing to tune": [scripted(goal=[[3] * 9, [4] * 9], rows=2, reading=always(3), **TIGHT)],
    "one lane": [
        scripted(goal=np.eye(9, dtype=int)[k] * n, reading=always(0), tune_rounds=rounds)
        for k in (0, 8)
        for n, rounds in ((2, 1), (90, 0))
    ],
    "goals at both ends": [
        scripted(goal=[[-4096, 4095] * 3] * 2, rows=2, reading=wild(6), new=s, **TIGHT)
        for s in (1, -1)
    ],
    "goals of a tile with noise": [
        real("tuned", goal=np.arange(27).reshape(3, 9) * 60 - 800, rows=3, offset=30)
    ],
    "largest gains": [
        scripted(reading=always(-2048, 2047, -1, 0, 1), gain=g, transfers=t, rows=2, **LOOSE)
        for g in (-4096, 16383)
        for t in (0, 9)
    ],
}


def corners(lanes, stall):
    compare(lanes, [job for jobs in CORNERS.values() for job in jobs], stall=stall)


def random_jobs(lanes, stall):
    compare(lanes, [any_job(10 * lanes + k) for k in range(8)], stall=stall)


def dithers(lanes):
    """Read the same for ever, so that the error is what the gain adds."""
    part = {"reading": always(5, -300, 300), "gain": 500, "tune_rounds": 1, **TIGHT}
    compare(lanes, [scripted(transfers=t, rows=2 - (t > 0), **part) for t in range(17)])


def resets(lanes):
    """Cut the first transfer short, anywhere; that must leave nothing behind."""
    jobs = [real("tuned", rows=2, old=-1), scripted(goal=ENTRIES, reading=wild(7))]
    cuts = [0, 1, 2, 5, 9, 20, 23, 24, 25, 26, 38, 45, 60, 78, 99, 130, 177]
    for first, then in (jobs, jobs[::-1]):
        compare(lanes, [first, then], stall=1, cuts=cuts)


def starts_again(lanes):
    compare(lanes, [real("ideal", rows=2, cols=5)] * 2, again=[0, 1, 7, 30, 31, 32, 33])


def smallest(lanes):
    one = real("tuned", cols=1)
    compare(lanes, [one, replace(one, goal=np.array([[77]]))], rows=1, cols=1)


def corners_alone(lanes):
    """Weights of all corners, one by one."""
    jobs = [job for jobs in CORNERS.values() for job in jobs]
    cells = [alone(job, k) for job in jobs for k in range(job.cols)]
    compare(lanes, cells, rows=1, cols=1, stall="random")


@pytest.mark.parametrize(("lanes", "stall"), [(1, 0), (4, "random")])
def test_transfer_matches_the_golden(lanes, stall):
    corners(lanes, stall)


@pytest.mark.parametrize(("lanes", "stall"), [(1, "random"), (2, 2), (4, 0)])
def test_transfer_matches_the_golden_on_random_jobs(lanes, stall):
    random_jobs(lanes, stall)


def test_transfer_dithers_by_row_column_and_transfer():
    dithers(2)


def test_transfer_runs_clean_after_a_reset():
    resets(2)


def test_transfer_ignores_start_while_busy():
    starts_again(4)


def test_transfer_of_a_single_weight():
    smallest(1)
    smallest(4)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3, 8, 8), "lanes must be a power of two, not 3"),
        ((0, 8, 8), "lanes must be a power of two, not 0"),
        ((4, 513, 8), "cols must be within 1..512, not 513"),
        ((4, 0, 8), "cols must be within 1..512, not 0"),
        ((4, 8, 513), "rows must be within 1..512, not 513"),
    ],
)
def test_transfer_rejects_sizes(sizes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TransferUnit(*sizes)


BENCHES = [
    *(partial(corners, lanes, stall) for lanes in (1, 2) for stall in (0, "random")),
    *(partial(random_jobs, lanes, "random") for lanes in (1, 2)),
    partial(dithers, 2),
    partial(starts_again, 2),
    partial(corners_alone, 1),
]
