# SPDX-License-Identifier: Apache-2.0
"""Transfers for the transfer unit: tiles, their configuration, and what the golden asks of them."""

from dataclasses import dataclass, field, replace

import numpy as np

from analog_models.fixed_tile import FixedTile
from analog_models.presets import TILES
from cosim.bench import pack
from golden.config import ChipConfig, TransferConfig
from golden.transfer import TransferTables, transfer_row, transfer_tables

__all__ = ["COLS", "ROWS", "Job", "alone", "always", "any_job", "real", "scripted", "wild"]

#: Lines of the largest tile.
ROWS, COLS = 5, 9


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
    """Read the same again and again."""
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


@dataclass(frozen=True, kw_only=True)
class Job:
    """One transfer: the tile, by default that of the chip, and what the golden is told."""

    config: ChipConfig = field(default_factory=chip)
    tables: TransferTables = field(default_factory=tables)
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

    @property
    def registers(self):
        """Raw bits of the configuration."""
        t = self.config.transfer
        word = at = 0
        for value, width in (
            (self.old < 0, 1),
            (self.new < 0, 1),
            (self.capacitor, 1),
            (t.log2_reads, 3),
            (t.retries, 5),
            (t.tune_rounds, 4),
            (t.set_tolerance, 12),
            (t.small_target, 12),
            (t.tune_tolerance, 12),
            (t.fail_tolerance, 12),
            (t.offset, 12),
            (self.tables.tune_mult, 12),
            (self.gain, 15),
            (self.transfers, 4),
        ):
            word |= pack([value], width) << at
            at += width
        return word

    def golden(self):
        """Return what a tile is asked, what is left of it, and the unit's four counters."""
        tile, count = self.tile(), np.zeros(4, np.int64)
        for row in range(self.rows):
            error, shots, pulses = transfer_row(
                tile,
                row,
                self.config,
                self.tables,
                old=self.old,
                new=self.new,
                goal=None if self.goal is None else self.goal[row],
                gain=self.gain,
                transfers=self.transfers,
            )
            failed = np.abs(error) > self.config.transfer.fail_tolerance
            count += [shots, pulses, error @ error, failed.sum()]
        return tile.log, tile.tile.state(), count.tolist()


def real(tile, **job):
    """Transfer of a :class:`FixedTile`; arguments of the configuration are picked out."""
    transfer, rest = _picked(job)
    config = chip(tile, **transfer)
    return Job(config=config, tables=transfer_tables(config), **rest)


def scripted(*, tune_mult=64, goal=None, **job):
    """Transfer of a :class:`Script`; by default of the row of goals ``goal``."""
    transfer, rest = _picked(job)
    if goal is not None:
        rest |= {"goal": np.atleast_2d(goal), "cols": np.shape(goal)[-1]}
    return Job(config=chip(**transfer), tables=tables(tune_mult=tune_mult), **rest)


def _picked(job):
    """Split arguments into those of the configuration and the rest."""
    names = TransferConfig.__dataclass_fields__
    transfer = {name: value for name, value in job.items() if name in names}
    return transfer, {name: value for name, value in job.items() if name not in names}


def alone(job, col):
    """Make the first weight of a column a tile of its own."""

    def reading(n, cols):
        return job.reading(n, job.cols)[col : col + 1]

    return replace(
        job,
        rows=1,
        cols=1,
        goal=None if job.goal is None else job.goal[:1, col : col + 1],
        reading=None if job.reading is None else reading,
        seed=job.seed + col,
    )


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
