# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The transfer unit asks of a tile what the golden transfer asks, in the same order."""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest

from analog_models.fixed_tile import FixedTile
from analog_models.presets import TILES
from cosim.bench import pack, put, signed, simulate, take, unpack
from golden.config import ChipConfig, TransferConfig
from golden.hardware import beats
from golden.transfer import TransferTables, transfer_row, transfer_tables
from rtl.tile_port import TileOp
from rtl.transfer import TransferUnit

ROWS, COLS = 5, 9
pytestmark = pytest.mark.slow


COUNTERS = ("set_shots", "tune_pulses", "error_sq", "failed")


class Recorder:
    """Tile that writes down what is asked of it."""

    def __init__(self, tile):
        self.tile, self.cols, self.log = tile, tile.cols, []

    def __getattr__(self, name):
        def ask(*args):
            self.log.append((name, *(np.array(a).tolist() for a in args)))
            return getattr(self.tile, name)(*args)

        return ask


class Script:
    """Tile that does nothing; ``reading(n, cols)`` is what it reads the nth time."""

    def __init__(self, cols, reading):
        self.cols, self.reading, self.reads = cols, reading, 0

    def read(self, row, log2_reads):
        self.reads += 1
        return np.array(self.reading(self.reads - 1, self.cols))

    def ignore(self, *args):
        pass

    program = init = tune = polarity = ignore

    def state(self):
        return {}


def always(*codes):
    return lambda n, cols: np.resize(codes, cols)


def wild(seed):
    """Read anything, more often than not an end of the range."""

    def reading(n, cols):
        rng = np.random.default_rng((seed, n))
        ends = rng.choice([-2048, 2047], cols)
        return np.where(rng.random(cols) < 0.7, ends, rng.integers(-2048, 2048, cols))

    return reading


def chip(tile="ideal", **transfer):
    return ChipConfig(
        layers=(7, 6),
        forward_shift=(15,),
        backward_shift=(13,),
        tile=TILES[tile],
        transfer=TransferConfig(**transfer),
    )


def tables(*, top=127, tune_mult=64):
    """Durations without any order; some are HOLD."""
    duration = np.random.default_rng(1).integers(0, top + 1, 256).astype(np.int32)
    duration[[0, 254, 255]] = 1, top - 1, top
    return TransferTables(duration=duration, tune_mult=tune_mult, drift_loss=0.0)


TABLES = tables()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One transfer: the tile, by default that of the chip, and what the golden is told."""

    config: ChipConfig = field(default_factory=chip)
    tables: TransferTables = TABLES
    rows: int = 1
    cols: int = COLS
    old: int = 1
    new: int = 1
    gain: int = 0
    transfers: int = 0
    goal: np.ndarray | None = None
    reading: object = None
    seed: int = 1

    def tile(self):
        if self.reading is not None:
            return Recorder(Script(self.cols, self.reading))
        shifts = {"forward_shift": 15, "backward_shift": 13}
        tile = FixedTile(self.rows, self.cols, self.config.tile, seed=self.seed, **shifts)
        rng = np.random.default_rng(self.seed)
        tile.g_plus[...], tile.g_minus[...] = rng.integers(0, 6000, (2, self.rows, self.cols))
        tile.v[...] = rng.integers(-16_000, 16_001, (self.rows, self.cols))
        return Recorder(tile)

    @property
    def capacitor(self):
        return self.config.tile.cell.update_device == "capacitor"


def real(tile, **job):
    """Transfer of a :class:`FixedTile`; arguments of the configuration are picked out."""
    names = TransferConfig.__dataclass_fields__
    config = chip(tile, **{k: v for k, v in job.items() if k in names})
    rest = {k: v for k, v in job.items() if k not in names}
    return Job(config=config, tables=transfer_tables(config), **rest)


def scripted(*, tune_mult=64, goal=None, **job):
    """Transfer of a :class:`Script`; by default of the row of goals ``goal``."""
    names = TransferConfig.__dataclass_fields__
    config = chip(**{k: v for k, v in job.items() if k in names})
    rest = {k: v for k, v in job.items() if k not in names}
    if goal is not None:
        rest |= {"goal": np.atleast_2d(goal), "cols": np.shape(goal)[-1]}
    return Job(config=config, tables=tables(tune_mult=tune_mult), **rest)


def golden(job):
    """Return what a tile is asked, what is left of it, and the counters."""
    tile, count = job.tile(), np.zeros(4, np.int64)
    for row in range(job.rows):
        error, shots, pulses = transfer_row(
            tile,
            row,
            job.config,
            job.tables,
            old=job.old,
            new=job.new,
            goal=None if job.goal is None else job.goal[row],
            gain=job.gain,
            transfers=job.transfers,
        )
        failed = np.abs(error) > job.config.transfer.fail_tolerance
        count += [shots, pulses, error @ error, failed.sum()]
    return tile.log, tile.tile.state(), dict(zip(COUNTERS, count.tolist(), strict=True))


def registers(job):
    """Raw bits of the configuration."""
    t = job.config.transfer
    word = at = 0
    for value, width in (
        (job.old < 0, 1),
        (job.new < 0, 1),
        (job.capacitor, 1),
        (t.log2_reads, 3),
        (t.retries, 5),
        (t.tune_rounds, 4),
        (t.set_tolerance, 12),
        (t.small_target, 12),
        (t.tune_tolerance, 12),
        (t.fail_tolerance, 12),
        (t.offset, 12),
        (job.tables.tune_mult, 12),
        (job.gain, 15),
        (job.transfers, 4),
    ):
        word |= pack([value], width) << at
        at += width
    return word


def idle(stall, seed):
    """Idle cycles before each beat: always as many, or any up to 3."""
    rng = np.random.default_rng(seed)
    return (lambda: int(rng.integers(0, 4))) if stall == "random" else (lambda: stall)


def serve(pins, tile, lanes, stall):
    """Put ``tile`` behind its port."""
    count = beats(tile.cols, lanes)

    def one(name):
        n, got = stall(), []
        yield from take(pins, name, 1, got, stall=n, late=n > 1)
        return got[0]

    def vector():
        """Take one vector: the codes for G+ and G- of the columns that exist."""
        codes = []
        for k in range(count):
            beat = yield from one("w")
            codes += unpack(beat, 7, 2 * lanes, sign=False)
            assert beat >> (14 * lanes) == (k == count - 1), "the final beat must be the last"
        assert not any(codes[2 * tile.cols :]), "lanes beyond cols must be 0"
        return [np.array(codes[k : 2 * tile.cols : 2]) for k in (0, 1)]

    while True:
        word = yield from one("cmd")
        op, row = TileOp(word & 15), word >> 4 & 511
        if op == TileOp.READ:
            codes = [*tile.read(row, word >> 13 & 7), *[-2048] * (-tile.cols % lanes)]
            for k in range(0, len(codes), lanes):
                yield from put(pins, "r", [pack(codes[k : k + lanes], 12)], stall=stall())
        elif op == TileOp.PROGRAM:
            tile.program(row, *(yield from vector()))
        elif op == TileOp.TUNE:
            pulses, rest = yield from vector()
            assert not rest.any()
            tile.tune(row, np.array([signed(int(n), 7) for n in pulses]))
        elif op == TileOp.INIT:
            tile.init(row)
        else:
            assert op == TileOp.POLARITY
            tile.polarity(-1 if word >> 16 else 1)


def host(pins, job, stall):
    """Send the goals, if there are any."""
    for code in [] if job.goal is None else np.ravel(job.goal):
        yield from put(pins, "goals", [pack([code], 13)], stall=stall())


@dataclass
class Result:
    tile: Recorder
    counters: dict
    cycles: int
    waited: int


def drive(pins, job, lanes, into, stall, *, cut=None, again=()):
    """Run a job; reset the unit after ``cut`` cycles, start it ``again`` though it is busy."""
    tile, cycles, waited = job.tile(), 0, 0
    quiet = dict.fromkeys(("cmd.ready", "w.ready", "r.valid", "goals.valid"), 0)
    pins.written |= quiet
    pins["rows"], pins["cols"], pins["config"] = job.rows, job.cols, registers(job)
    pins["from_host"], pins["start"] = job.goal is not None, 1
    yield
    assert not pins["busy"]
    sides = [serve(pins, tile, lanes, stall), host(pins, job, stall)]
    while cycles != cut:
        pins["start"] = cycles in again
        for side in sides:
            next(side, None)
        yield
        if not pins["busy"]:
            break
        cycles += 1
        waited += pins["waiting"]
    if cut is None:
        assert next(sides[1], "done") == "done", "all goals must be taken"
        into.append(Result(tile, {name: pins[name] for name in COUNTERS}, cycles, waited))
        return
    assert cycles == cut, "the reset must come in the middle"
    pins.written |= quiet
    pins["start"], pins["rst"] = 0, 1
    yield
    pins["rst"] = 0
    yield
    assert not any(pins[name] for name in ("busy", "cmd.valid", "w.valid", "waiting", *COUNTERS))


def play(lanes, jobs, *, stall=0, cuts=(), again=(), rows=ROWS, cols=COLS):
    """Run jobs one after the other; before that the first one up to each of ``cuts``."""
    results = []

    def bench(pins):
        loaded = None
        for k, job in enumerate([jobs[0]] * len(cuts) + list(jobs)):
            if job.tables.duration.tolist() != loaded:
                loaded = job.tables.duration.tolist()
                for address, code in enumerate(loaded):
                    pins["table_addr"], pins["table_data"], pins["table_en"] = address, code, 1
                    yield
                pins["table_en"], pins["table_data"] = 0, 99
            cut = cuts[k] if k < len(cuts) else None
            yield from drive(pins, job, lanes, results, idle(stall, k), cut=cut, again=again)

    simulate(TransferUnit(lanes, cols, rows), bench, limit=200_000)
    return results


def formula(job, lanes):
    """Cycles of a transfer whose tile and host never make it wait, as the docstring says."""
    ops = Counter(name for name, *_ in golden(job)[0])
    shots, rounds, vector = ops["program"] // 2, ops["tune"], beats(job.cols, lanes) + 5
    plain = 2 * (2 + job.capacitor)
    all_rows = job.rows * (plain + 2 * vector) + (3 * shots + 2 * rounds) * vector
    host_row = job.cols - (vector + 2)
    return all_rows + (job.rows * host_row if job.goal is not None else 0)


def compare(lanes, jobs, **kwargs):
    results = play(lanes, jobs, **kwargs)
    for job, result in zip(jobs, results, strict=True):
        log, state, counters = golden(job)
        assert result.tile.log == log
        assert result.counters == counters
        for name, value in state.items():
            np.testing.assert_array_equal(result.tile.tile.state()[name], value)
        if job.goal is None or not kwargs.get("stall"):
            assert result.cycles == formula(job, lanes) + result.waited
        if not kwargs.get("stall"):
            assert result.waited == 0


#: Codes on both sides of a bound of 10, so that readings of 0 leave errors there.
AROUND_10 = [-11, -10, -9, -1, 0, 1, 9, 10, 11]
#: Aims at steps of the table of durations and at its end.
ENTRIES = [7, 8, -15, -16, 2031, 2032, -2039, -2040, 4095]
LOOSE = {"set_tolerance": 2047, "tune_tolerance": 2047}
TIGHT = {"set_tolerance": 0, "tune_tolerance": 0, "fail_tolerance": 0, "small_target": 0}

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
        scripted(goal=AROUND_10, reading=always(0), small_target=n, retries=0) for n in (0, 10)
    ],
    "bounds of the error": [
        scripted(goal=AROUND_10, reading=always(0), tune_tolerance=10, fail_tolerance=9),
        scripted(goal=AROUND_10, reading=always(0), tune_tolerance=9, fail_tolerance=10),
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


def any_job(seed):
    """Draw a transfer: a tile with or without noise, or one that reads anything."""
    rng = np.random.default_rng(seed)

    def n(top):
        return int(rng.integers(0, top + 1))

    rows, cols = 1 + n(ROWS - 1), 1 + n(COLS - 1)
    job = {
        "log2_reads": n(6),
        "retries": n(31) if seed % 4 == 0 else n(3),
        "set_tolerance": n(100),
        "small_target": n(60),
        "offset": n(200),
        "tune_rounds": n(15),
        "tune_tolerance": n(3),
        "fail_tolerance": n(10),
        "rows": rows if seed % 4 else 1,
        "cols": cols,
        "old": 1 - 2 * n(1),
        "new": 1 - 2 * n(1),
        "gain": n(20479) - 4096,
        "transfers": n(99),
        "seed": seed,
    }
    if n(2) == 0:
        job["goal"] = rng.integers(-4096, 4096, (job["rows"], cols))
    if n(2) == 0:
        return scripted(reading=wild(seed), tune_mult=1 + n(2047), **job)
    return real(str(rng.choice(list(TILES))), **job)


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
    partial(smallest, 2),
]
