# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The emulated tile does what the fixed tile does, bit for bit."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from analog_models.presets import IDEAL, PAPER, TUNED
from cosim.bench import put, simulate, take
from cosim.verilog_bench import load, simulate_verilog
from fpga.tile.layout import TileLayout
from fpga.tile.tiles import EmulatedTiles
from fpga.tile.tiles_layout import TilesLayout
from golden.hardware import beats
from rtl.tile_port import TileOp

WORK = Path(__file__).parent / "tile_work.py"
Work, compare, make_tile, operate, read_state, scramble, split, write_image = (
    load(f"{WORK}:{name}")
    for name in (
        "Work", "compare", "make_tile", "operate", "read_state", "scramble", "split", "write_image"
    )
)  # fmt: skip

#: Operations of a random sequence, by how often they come in training and transfer.
OPS = [TileOp.FORWARD] * 4 + [TileOp.BACKWARD] * 3 + [TileOp.UPDATE] * 5 + [TileOp.TUNE] * 3
OPS += [TileOp.READ] * 3 + [TileOp.PROGRAM] * 4 + [TileOp.AGE] * 3
OPS += [TileOp.POLARITY, TileOp.INIT]
#: Sequences in one bench, and operations in one.
RUNS, LENGTH = 16, 14


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


def bench(layouts, seed, *, runs=RUNS, length=LENGTH, stall=0, late=False):
    """Run sequences of random operations on every tile, each from a random state."""
    rng = np.random.default_rng(seed)
    seed = int(rng.integers(1 << 60))

    def sequence(number, layout):
        tile, start = (make_tile(layout, seed=seed, tile=number) for _ in range(2))
        start.restore(scramble(tile, rng).state())
        return start, random_work(tile, layout, rng, length)

    work = [[sequence(*pair) for pair in enumerate(layouts)] for _ in range(runs)]
    compare_all(work, operate(layouts, work, stall=stall, late=late))


def compare_all(work, got):
    for run, results in zip(work, got, strict=True):
        for (_, expected), result in zip(run, results, strict=True):
            compare(expected, result)


def rare_bench():
    """Vectors without a code, and every age at which drift acts twice."""
    layouts = SHAPES[0]
    runs = []
    for layout in layouts:
        tile, start = make_tile(layout), make_tile(layout)
        start.restore(scramble(tile, np.random.default_rng(1)).state())
        work = Work(tile, layout.lanes, layout.transfer_lanes)
        none = np.zeros(layout.rows, int), np.zeros(layout.cols, int)
        for op, *given in (
            (TileOp.FORWARD, none[0]),
            (TileOp.BACKWARD, none[1]),
            (TileOp.UPDATE, *none),
            (TileOp.UPDATE, none[0] + 1, none[1]),
            (TileOp.UPDATE, none[0], none[1] + 3),
            (TileOp.PROGRAM, none[1], none[1]),
            *[(TileOp.AGE,)] * 40,
            (TileOp.TUNE, none[1]),
            (TileOp.FORWARD, none[0] + 127),
            (TileOp.BACKWARD, none[1] - 127),
        ):
            work.add(op, *given)
        work.after = tile.state()
        runs.append((start, work))
    compare_all([runs], operate(layouts, [runs]))


def forget_bench():
    """Forget at any moment: no command, vector or result leaves a trace."""
    layouts = SHAPES[0]
    layout = layouts[0]
    rng = np.random.default_rng(9)
    # after a command alone, within its vector, while it is executed, while its results wait; then
    # while the first random words of a row are drawn, which would be taken for those of another
    moments = [(0, 1), (2, 3), (4, 8), (4, 25), (4, 60), *((5, cycles) for cycles in range(4, 20))]
    left = iter(moments)

    def before(pins):
        sent, cycles = next(left)
        payloads = Work(make_tile(layout), 4, 2)
        if sent < 5:
            payloads.add(TileOp.FORWARD, rng.integers(1, 127, layout.rows))
        else:  # devices that are left alone
            payloads.add(TileOp.PROGRAM, *np.zeros((2, layout.cols), int))
        pins["tiles.0.y.ready"] = 0
        yield from put(pins, "tiles.0.cmd", payloads.commands)
        yield from put(pins, "tiles.0.x", payloads.x[:sent])
        yield from put(pins, "tiles.0.w", payloads.w)
        for _ in range(cycles):
            yield
        pins["forget"] = 1
        yield
        pins["forget"] = 0
        yield

    seed = 77
    work = []
    for k in range(len(moments)):
        run = []
        for number, each in enumerate(layouts):
            tile, start = (make_tile(each, seed=seed, tile=number) for _ in range(2))
            start.restore(scramble(tile, rng).state())
            if k < 5:
                run.append((start, random_work(tile, each, rng, 6)))
                continue
            given = Work(tile, each.lanes, each.transfer_lanes)  # all random words anew, at once
            given.add(TileOp.INIT, row=1)
            given.after = tile.state()
            run.append((start, given))
        work.append(run)
    # a conversion that had been made before it was forgotten counts
    for run, n in zip(work, [0, 0, 0, 0, 1, *[0] * (len(moments) - 5)], strict=True):
        run[0][0].conversions -= n
    compare_all(work, operate(layouts, work, before=before))


def behind_bench(seed):
    """Multiply behind an UPDATE, as training does: no row is read before it has been written."""
    layouts = SHAPES[0]
    rng = np.random.default_rng(seed)
    runs = []
    for number, layout in enumerate(layouts):
        tile, start = (make_tile(layout, tile=number) for _ in range(2))
        start.restore(scramble(tile, rng).state())
        work = Work(tile, layout.lanes, layout.transfer_lanes)
        for _ in range(60):
            n = 1 if seed == number else rng.integers(2, 4)  # or nothing but UPDATE
            for op in (TileOp.UPDATE, TileOp.FORWARD, TileOp.BACKWARD)[:n]:
                work.add(op, *vectors(op, rng, layout.rows, layout.cols))
        work.after = tile.state()
        runs.append((start, work))
    compare_all([runs], operate(layouts, [runs], stall=seed))


def end_bench(held):
    """Let the last codes come in every cycle about the end of the UPDATE before them."""
    layouts = SHAPES[0]
    layout = layouts[0]
    tile, start = (make_tile(layout) for _ in range(2))
    work = Work(tile, layout.lanes, layout.transfer_lanes)
    codes = np.full(layout.rows, 127)
    codes[1 : (beats(layout.rows, 4) - held) * 4] = 0  # the first one begins it
    for k in range(90):
        for op, *given in (
            (TileOp.UPDATE, np.ones(layout.rows, int), np.full(layout.cols, 31 - 62 * (k % 2))),
            (TileOp.FORWARD, codes),
        ):
            work.add(op, *given)
    work.after = tile.state()
    vectors = beats(layout.rows, 4), beats(layout.cols, 4), beats(layout.rows, 4) - held, held
    y, out = [], []

    def process(pins):
        yield from write_image(pins, 0, layout.image(start))
        yield from write_image(pins, 1, layouts[1].image(make_tile(layouts[1])))
        commands, x = iter(work.commands), iter(work.x)
        for k in range(90):
            rows, columns, first, last = ([next(x) for _ in range(n)] for n in vectors)
            yield from put(pins, "tiles.0.cmd", [next(commands)])
            yield from put(pins, "tiles.0.x", rows + columns)
            yield from put(pins, "tiles.0.cmd", [next(commands)])
            yield from put(pins, "tiles.0.x", first)
            for _ in range(k):
                yield
            yield from put(pins, "tiles.0.x", last)
            yield from take(pins, "tiles.0.y", beats(layout.cols, 4), y)
        out.append((yield from read_state(pins, 0, layout)))

    simulate(EmulatedTiles(TilesLayout(tuple(layouts))), process, limit=100_000)
    compare(work, (*split(work, y, []), *out[0]))


def forget_update_bench():
    """Forget while cells are stepped: once they are written anew, there is no trace of it."""
    layouts = SHAPES[0]
    rng = np.random.default_rng(11)
    moments = [None, 6, None, 9, None, 14, None, 20]  # cycles behind its last beat
    left = iter(reversed(moments))

    def before(pins):
        cycles = next(left)
        if cycles is None:
            return
        work = Work(make_tile(layouts[0]), 4, 2)
        work.add(TileOp.UPDATE, np.ones(13, int), np.full(10, 9))
        yield from put(pins, "tiles.0.cmd", work.commands)
        yield from put(pins, "tiles.0.x", work.x)
        for _ in range(cycles):
            yield
        pins["forget"] = 1
        yield
        pins["forget"] = 0
        yield

    runs = []
    for cycles in reversed(moments):
        run = []
        for number, layout in enumerate(layouts):
            tile, start = (make_tile(layout, seed=78, tile=number) for _ in range(2))
            start.restore(scramble(tile, rng).state())
            run.append((start, random_work(tile, layout, rng, 6 if cycles is None else 0)))
        runs.append(run)
    got = operate(layouts, runs, before=before)
    compare_all(runs[1::2], got[1::2])
    begun = [state["v"] for (*_, state, _), _ in got[::2]]
    starts = [start.state()["v"] for (start, _), _ in runs[::2]]
    assert any((a != b).any() for a, b in zip(begun, starts, strict=True))  # it had begun


def turns_bench():
    """Let a FORWARD wait for its codes: it keeps no tile from a command that it has already."""
    layouts = SHAPES[0]
    work = [Work(make_tile(layout, tile=t), 4, 2) for t, layout in enumerate(layouts)]
    work[0].add(TileOp.FORWARD, np.ones(layouts[0].rows, int))
    work[1].add(TileOp.UPDATE, np.ones(layouts[1].rows, int), np.ones(layouts[1].cols, int))
    work[1].add(TileOp.BACKWARD, np.ones(layouts[1].cols, int))
    updates = len(work[1].x) - beats(layouts[1].cols, 4)
    got = []

    def process(pins):
        for t, layout in enumerate(layouts):
            image = layout.image(make_tile(layout, tile=t))
            yield from write_image(pins, t, image)
        yield from put(pins, "tiles.1.cmd", work[1].commands[:1])
        yield from put(pins, "tiles.1.x", work[1].x[:updates])
        yield from put(pins, "tiles.1.cmd", work[1].commands[1:])
        yield from put(pins, "tiles.0.cmd", work[0].commands)
        yield from put(pins, "tiles.0.x", work[0].x[:1])
        yield from put(pins, "tiles.1.x", work[1].x[updates:])
        for t in (1, 0):  # the first tile's other codes come when the other one has answered
            y = []
            yield from take(pins, f"tiles.{t}.y", beats(len(work[t].y[0]), 4), y)
            got.append((t, y))
            if t:
                yield from put(pins, "tiles.0.x", work[0].x[1:])

    simulate(EmulatedTiles(TilesLayout(tuple(layouts))), process, limit=20_000)
    for t, y in got:
        assert split(work[t], y, [])[0][0] == list(work[t].y[0])


#: Tiles that share lanes: with rests and without, one word a row and several. Each set is built
#: once.
SHAPES = [
    [TileLayout(13, 10, TUNED, 16, 12, 4, 2), TileLayout(5, 7, TUNED, 17, 13, 4, 2)],
    [TileLayout(5, 3, PAPER, 16, 12, 4, 4)],
    [TileLayout(r, c, IDEAL, 16, b, 2, 1) for r, c, b in ((7, 4, 12), (3, 9, 11), (2, 2, 12))],
]
BENCHES = [
    *(partial(bench, SHAPES[min(k % 4, 2)], k, stall=k % 3, late=bool(k % 2)) for k in range(13)),
    rare_bench,
    *(partial(behind_bench, k) for k in range(3)),
    *(partial(end_bench, k) for k in (1, 2)),
    forget_bench,
    forget_update_bench,
    turns_bench,
]


@pytest.mark.slow
def test_tile_equals_fixed_tile():
    """On more than 200 sequences of random operations, from random states."""
    assert RUNS * (len(BENCHES) - 9) >= 200
    simulate_verilog(f"{__file__}:BENCHES")
