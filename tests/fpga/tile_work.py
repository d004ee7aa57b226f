# SPDX-License-Identifier: Apache-2.0
"""Work for an emulated tile: loads its memory, operates it, and reads its state."""

from pathlib import Path

import numpy as np

from analog_models.fixed_tile import FixedTile
from cosim.bench import simulate, unpack
from cosim.verilog_bench import load
from fpga.tile.layout import Plane, Register, TileLayout
from fpga.tile.tiles import EmulatedTiles
from fpga.tile.tiles_layout import TilesLayout
from golden.hardware import beats

# By path, as this file is loaded itself within a simulator, where no folder of tests is searched.
_BRIDGE = Path(__file__).parents[1] / "rtl" / "bridge_work.py"
Work, around = (load(f"{_BRIDGE}:{name}") for name in ("Work", "around"))

__all__ = ["Work", "compare", "make_tile", "operate", "scramble"]


def make_tile(layout: TileLayout, *, seed=3, tile=5):
    return FixedTile(
        layout.rows,
        layout.cols,
        layout.config,
        forward_shift=layout.forward_shift,
        backward_shift=layout.backward_shift,
        seed=seed,
        tile=tile,
    )


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


def host(pins, tile, plane, index, data=None):
    """Write or read a word of a tile's memory."""
    pins["host.tile"], pins["host.plane"], pins["host.index"] = tile, int(plane), int(index)
    pins["host.write"], pins["host.w_data"] = int(data is not None), int(data or 0)
    pins["host.valid"] = 1
    yield
    while not pins["host.ready"]:
        yield
    pins["host.valid"] = 0
    return pins["host.r_data"]


def write_image(pins, tile, image):
    for plane, (indices, words) in image.items():
        for index, word in zip(indices, words, strict=True):
            yield from host(pins, tile, plane, index, word)


def read_state(pins, tile, layout):
    """State as :meth:`FixedTile.state` gives it."""
    planes = {}
    cells = layout.depth * layout.lanes
    for plane, n in ((Plane.V, cells), (Plane.G, cells), (Plane.REFERENCE, layout.rows)):
        planes[plane] = []
        for index in range(n):
            planes[plane].append((yield from host(pins, tile, plane, index)))
    registers = {}
    for register in Register:
        if register < Register.KEY:
            registers[register] = yield from host(pins, tile, Plane.REGISTERS, register)
    state = layout.state(planes[Plane.V], planes[Plane.G], planes[Plane.REFERENCE], registers)
    return state, registers


def operate(layouts, runs, *, stall=0, late=False, limit=5_000_000, before=None):
    """Do runs, one after another, on emulated tiles that share their lanes.

    Parameters
    ----------
    layouts : list of TileLayout
    runs : list of list of (FixedTile, Work)
        What each tile is when a run begins, of the same devices all the time, and what it does.
    before : process, optional
        Comes before the work of every run.

    Returns
    -------
    list of list of (y, r, state, registers)
        Of each run, and each tile.
    """
    images = [
        [layout.image(start) for layout, (start, _) in zip(layouts, run, strict=True)]
        for run in runs
    ]
    for image in (image for run in images[1:] for image in run):
        for plane in (Plane.STEP, Plane.FIXED, Plane.OFFSET):  # which never change
            del image[plane]
    out = []

    def process(pins):
        for run, start in zip(runs, images, strict=True):
            for tile, image in enumerate(start):
                yield from write_image(pins, tile, image)
            if before is not None:
                yield from before(pins)
            got = [([], []) for _ in run]
            parts = [
                process(pins)
                for tile, ((_, work), (y, r)) in enumerate(zip(run, got, strict=True))
                for process in around(work, y, r, stall=stall, late=late, port=f"tiles.{tile}")
            ]
            while parts:
                parts = [p for p in parts if next(p, True) is None]
                if parts:
                    yield
            out.append([])
            for tile, ((_, work), (y, r)) in enumerate(zip(run, got, strict=True)):
                state, registers = yield from read_state(pins, tile, layouts[tile])
                out[-1].append((*split(work, y, r), state, registers))

    simulate(EmulatedTiles(TilesLayout(tuple(layouts))), process, limit=limit)
    return out


def split(work, y, r):
    """Codes of each vector of y and of r."""

    def vectors(payloads, like, width, lanes):
        at, out = 0, []
        for v in like:
            n = beats(len(v), lanes)
            codes = [c for p in payloads[at : at + n] for c in unpack(p, width, lanes)]
            out.append(codes[: len(v)])
            at += n
        return out

    return vectors(y, work.y, 8, work.lanes), vectors(r, work.r, 12, work.transfer_lanes)


def compare(work, got):
    """Check the results of every operation, and the state that follows from them."""
    y, r, state, _ = got
    for name, have, want in (("y", y, work.y), ("r", r, work.r)):
        assert len(have) == len(want)
        for k, (a, b) in enumerate(zip(have, want, strict=True)):
            assert list(a) == list(b), f"{name} {k} must be {list(b)}, not {list(a)}"
    for name, array in work.after.items():
        np.testing.assert_array_equal(state[name], array, name)
