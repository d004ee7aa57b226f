# SPDX-License-Identifier: Apache-2.0
"""Work for the bridge to a tile: what a controller sends, and what comes back."""

from itertools import count

import numpy as np

from analog_models.fixed_tile import FixedTile
from analog_models.presets import TUNED
from cosim.bench import pack, put, simulate, take, unpack
from cosim.bridge import bridge_widths
from golden.hardware import beats
from rtl.tile_port import Command, TileOp

__all__ = [
    "COLS",
    "LANES",
    "MOST",
    "ROWS",
    "SPARE",
    "TRANSFER_LANES",
    "Noise",
    "Work",
    "around",
    "make_tile",
    "run",
    "split",
]

ROWS, COLS, LANES, TRANSFER_LANES = 13, 10, 4, 2
#: Lines that the bridge has room for beyond those of the tile.
SPARE = 17
MOST = (ROWS + SPARE, COLS + SPARE, LANES, TRANSFER_LANES)


def make_tile(rows=ROWS, cols=COLS, config=TUNED):
    return FixedTile(rows, cols, config, forward_shift=16, backward_shift=12, seed=3, tile=5)


def command(op, row=0, log2_reads=0, sign=1):
    return Command.const({
        "op": op,
        "row": row,
        "log2_reads": log2_reads,
        "negative": sign < 0,
    }).as_value()


def words(values, width, lanes):
    """Beats of one vector as payloads; what is beyond its end is noise."""
    fill = [-86] * (-len(values) % lanes)
    codes = [*(int(v) for v in values), *fill]
    cut = [codes[k : k + lanes] for k in range(0, len(codes), lanes)]
    return [pack(c, width) | (k == len(cut) - 1) << (width * lanes) for k, c in enumerate(cut)]


class Work:
    """Operations as a controller sends them, and what a twin of the tile answers."""

    def __init__(self, tile, lanes=LANES, transfer_lanes=TRANSFER_LANES):
        self.tile, self.rows, self.cols = tile, tile.rows, tile.cols
        self.lanes, self.transfer_lanes = lanes, transfer_lanes
        self.commands, self.x, self.w = [], [], []
        self.y, self.r = [], []  # expected codes of each operation with results

    def add(self, op, *vectors, row=0, log2_reads=0, sign=1):
        self.commands.append(command(op, row, log2_reads, sign).value)
        tile = self.tile
        if op in (TileOp.FORWARD, TileOp.BACKWARD, TileOp.UPDATE):
            for v in vectors:
                self.x += words(v, 8, self.lanes)
        if op == TileOp.FORWARD:
            self.y.append(tile.forward(*vectors))
        elif op == TileOp.BACKWARD:
            self.y.append(tile.backward(*vectors))
        elif op == TileOp.UPDATE:
            tile.update(*vectors)
        elif op == TileOp.READ:
            self.r.append(tile.read(row, log2_reads))
        elif op == TileOp.PROGRAM:
            pairs = [int(p) | int(q) << 7 for p, q in zip(*vectors, strict=True)]
            self.w += words(pairs, 14, self.transfer_lanes)
            tile.program(row, *vectors)
        elif op == TileOp.TUNE:
            counts = [int(n) & 127 | 0x55 << 7 for n in vectors[0]]
            self.w += words(counts, 14, self.transfer_lanes)
            tile.tune(row, *vectors)
        elif op == TileOp.INIT:
            tile.init(row)
        elif op == TileOp.POLARITY:
            tile.polarity(sign)
        elif op == TileOp.AGE:
            tile.age(1)

    def random(self, n, seed):
        """Add ``n`` random operations, and one of each kind before them."""
        rng = np.random.default_rng(seed)
        rows, cols = self.rows, self.cols
        for op in [*TileOp, *rng.choice([*TileOp], n)]:
            vectors = {
                TileOp.FORWARD: lambda: (rng.integers(-127, 128, rows),),
                TileOp.BACKWARD: lambda: (rng.integers(-127, 128, cols),),
                TileOp.UPDATE: lambda: (rng.integers(-1, 2, rows), rng.integers(-31, 32, cols)),
                TileOp.PROGRAM: lambda: rng.choice([0, 1, 17, 63, 127], (2, cols)),
                TileOp.TUNE: lambda: (rng.integers(-31, 32, cols),),
            }.get(op, lambda: ())()
            row, reads = int(rng.integers(rows)), int(rng.integers(4))
            self.add(op, *vectors, row=row, log2_reads=reads, sign=int(rng.choice([-1, 1])))
        return self


class Noise:
    """Operations with noise in every bit, and a model that answers with noise.

    Parameters
    ----------
    ops : iterable of int
        Codes of operations; those that no tile has come without vectors and results.
    seed
    rows, cols : int
        Lines of the tile.
    longest : int
        Most cycles of an operation.
    count : int
        Operations before these.
    """

    def __init__(self, ops, seed, *, rows=MOST[0], cols=MOST[1], longest=6, count=0):
        self.rng = np.random.default_rng(seed)
        self.rows, self.cols, self.longest, self.count = rows, cols, longest, count
        self.lanes, self.transfer_lanes = LANES, TRANSFER_LANES
        self.commands, self.x, self.w = [], [], []
        self.y, self.r = [], []  # expected codes, those beyond the end of the tile included
        self.expected = []  # command, malformed, vector and its bits, result: of each operation
        for op in ops:
            self.add(int(op))

    def bits(self, n):
        return int.from_bytes(self.rng.bytes(-(-n // 8)), "little") & ((1 << n) - 1)

    def add(self, code):
        rows, cols = beats(self.rows, LANES), beats(self.cols, LANES)
        pairs = beats(self.cols, TRANSFER_LANES)
        op = TileOp(code) if code in {op.value for op in TileOp} else None
        lengths = {
            TileOp.FORWARD: [rows],
            TileOp.BACKWARD: [cols],
            TileOp.UPDATE: [rows, cols],
            TileOp.PROGRAM: [pairs],
            TileOp.TUNE: [pairs],
        }.get(op, [])
        into, width = self.x, 8 * LANES
        if op in (TileOp.PROGRAM, TileOp.TUNE):
            into, width = self.w, 14 * TRANSFER_LANES
        # One vector in eight has any number of beats, also more than the bridge has room for.
        sent = [n if self.rng.integers(8) else int(self.rng.integers(1, 20)) for n in lengths]
        data = [[self.bits(width) for _ in range(n)] for n in sent]
        for vector in data:
            into += [*vector[:-1], vector[-1] | 1 << width]

        command = self.bits(13) << 4 | code
        self.commands.append(command)
        known = sum(lengths) * width if sent == lengths else 0
        mask = (1 << known) - 1
        packed = pack([beat for vector in data for beat in vector], width) & mask
        result = self.bits(bridge_widths(*MOST)[1])
        if op in (TileOp.FORWARD, TileOp.BACKWARD):
            n = LANES * (cols if op == TileOp.FORWARD else rows)
            self.y.append(unpack(result, 8, n))
        elif op == TileOp.READ:
            self.r.append(unpack(result, 12, TRANSFER_LANES * pairs))
        self.expected.append((command, sent != lengths, packed, mask, result))

    def serve(self, operation, vector):
        """Check what the bridge passes on of the next operation; return result and duration."""
        command, malformed, want, mask, result = self.expected.pop(0)
        assert operation == command | malformed << 17 | self.count << 18
        assert vector & mask == want
        self.count += 1
        return result, int(self.rng.integers(1, self.longest + 1))


def around(work, y, r, *, stall=0, late=False, port="port"):
    """Return processes that send all of ``work`` to a port and take its results."""
    n_y = sum(beats(len(v), work.lanes) for v in work.y)
    n_r = sum(beats(len(v), work.transfer_lanes) for v in work.r)
    return [
        lambda pins: put(pins, f"{port}.cmd", work.commands, stall=stall),
        lambda pins: put(pins, f"{port}.x", work.x, stall=stall),
        lambda pins: put(pins, f"{port}.w", work.w, stall=2 * stall),
        lambda pins: take(pins, f"{port}.y", n_y, y, stall=stall, late=late),
        lambda pins: take(pins, f"{port}.r", n_r, r, stall=stall, late=late),
    ]


def run(work, server, bridge, *, stall=0, late=False, watch=None, stuck=(), limit=20_000):
    """Send all of ``work``; return the y and r codes, and the cycles of the requests."""
    y, r, requests = [], [], []
    cycle = -1

    def serve(pins):
        nonlocal cycle
        cycle += 1
        if pins["request"]:
            requests.append(cycle)
            codes, duration = server.serve(pins["operation"], pins["vector"])
            pins["result"], pins["duration"] = codes, duration
        if watch is not None:
            watch(cycle, pins)

    def hold(pins):
        pins["rows"], pins["cols"] = work.rows, work.cols
        for now in count():
            pins["stuck"] = now in stuck
            yield

    def wait(pins):
        while len(requests) < len(work.commands):
            yield
        yield

    simulate(
        bridge,
        *around(work, y, r, stall=stall, late=late),
        wait,
        background=[hold],
        reflex=serve,
        limit=limit,
    )
    return (*split(work, y, r), requests)


def split(work, y, r):
    """Codes of each vector of y and of r; lanes beyond its end must be zero."""

    def vectors(payloads, like, width, lanes):
        at, out = 0, []
        for v in like:
            n = beats(len(v), lanes)
            codes = [c for p in payloads[at : at + n] for c in unpack(p, width, lanes)]
            assert not any(codes[len(v) :])
            out.append(codes[: len(v)])
            at += n
        return out

    return vectors(y, work.y, 8, work.lanes), vectors(r, work.r, 12, work.transfer_lanes)
