# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The emulated tile does what the fixed tile does, bit for bit."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from analog_models.presets import IDEAL, PAPER, SWITCHES, TUNED, TWO_PCM, without
from cosim.verilog_bench import load, simulate_verilog
from fpga.tile_layout import Register, TileLayout
from rtl.tile_port import TileOp

WORK = Path(__file__).parent / "tile_work.py"
Work, compare, make_tile, operate = (
    load(f"{WORK}:{name}") for name in ("Work", "compare", "make_tile", "operate")
)

#: Operations of a random sequence, by how often they come in training and transfer.
OPS = [TileOp.FORWARD] * 4 + [TileOp.BACKWARD] * 3 + [TileOp.UPDATE] * 5 + [TileOp.TUNE] * 3
OPS += [TileOp.READ] * 3 + [TileOp.PROGRAM] * 4 + [TileOp.AGE] * 3
OPS += [TileOp.POLARITY, TileOp.INIT]
#: Sequences in one bench.
RUNS = 12


def vectors(op, rng, rows, cols):
    """Random vectors of an operation: dense, sparse, or all zero."""
    share = rng.choice([0.0, 0.1, 0.5, 1.0])

    def some(low, high, n):
        return np.where(rng.random(n) < share, rng.integers(low, high + 1, n), 0)

    if op == TileOp.FORWARD:
        return (some(-127, 127, rows),)
    if op == TileOp.BACKWARD:
        return (some(-127, 127, cols),)
    if op == TileOp.UPDATE:
        return some(-1, 1, rows), some(-31, 31, cols)
    if op == TileOp.PROGRAM:
        codes = rng.choice([1, 2, 17, 40, 63, 127], (2, cols))
        return tuple(np.where(rng.random((2, cols)) < share, codes, 0))
    if op == TileOp.TUNE:
        return (some(-31, 31, cols),)
    return ()


def scramble(tile, rng):
    """Put a tile into a random state that is within its bounds."""
    t = tile.tables
    shape = tile.v.shape
    tile.v[...] = rng.integers(t.v_min, t.v_max + 1, shape)
    tile.v_ref[...] = rng.integers(-60, 60, tile.rows)
    for g in (tile.g_plus, tile.g_minus):
        g[...] = rng.integers(0, t.g_max + 1, shape)
    tile.sign = int(rng.choice([-1, 1]))
    tile.conversions, tile.writes, tile.pulses = (int(n) for n in rng.integers(0, 1 << 31, 3))
    # near the ages at which drift acts
    ages = [0, *(int(n) - 1 for n in t.drift_ticks[:20])]
    tile.age_ticks = int(rng.choice(ages))
    return tile


def random_work(tile, layout, rng, n):
    work = Work(tile, layout.lanes, layout.transfer_lanes)
    for op in rng.choice(OPS, n):
        work.add(
            op,
            *vectors(op, rng, layout.rows, layout.cols),
            row=int(rng.integers(layout.rows)),
            log2_reads=int(rng.integers(7)),
            sign=int(rng.choice([-1, 1])),
        )
    work.after = tile.state()
    return work


def bench(shape, config, seed, *, runs=RUNS, length=20, stall=0, late=False):
    """Run sequences of random operations one after another, each from a random state."""
    layout = TileLayout(*shape[:2], config, 16, 12, *shape[2:])
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        tile = scramble(make_tile(layout, seed=int(rng.integers(1 << 40))), rng)
        start = make_tile(layout, seed=1)
        start.keys = tile.keys
        for name in ("up", "down", "offset", "leak", "leak_ref"):
            setattr(start, name, getattr(tile, name))
        for name in ("forward_adc", "backward_adc", "read_adc"):
            setattr(start, name, getattr(tile, name))
        start.restore(tile.state())
        work = random_work(tile, layout, rng, length)
        compare(layout, [work], operate(layout, start, [work], stall=stall, late=late))


#: rows, columns, lanes, transfer lanes: with and without rests, one word and many.
SHAPES = [(13, 10, 4, 2), (5, 3, 4, 4), (9, 16, 8, 1), (1, 1, 2, 1), (34, 7, 2, 2)]
BENCHES = [
    *(
        partial(bench, shape, config, seed, stall=seed % 3, late=bool(seed % 2))
        for seed, (shape, config) in enumerate([
            *((shape, TUNED) for shape in SHAPES),
            *((shape, PAPER) for shape in SHAPES[:3]),
            (SHAPES[0], IDEAL),
        ])
    ),
]
