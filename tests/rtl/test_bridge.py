# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A tile behind a bridge does what the same tile does when it is called directly."""

import re
from functools import partial

import numpy as np
import pytest

from analog_models.fixed_tile import FixedTile
from analog_models.presets import TUNED
from cosim.bench import pack, put, simulate, take, unpack
from cosim.bridge import BridgeOperation, TileBridge
from cosim.tile_server import TileServer
from cosim.timing import SHORT, FlatTiming
from golden.hardware import beats
from rtl.tile_port import Command, TileOp

ROWS, COLS, LANES, TRANSFER_LANES = 13, 10, 4, 2


pytestmark = pytest.mark.slow


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
        self.tile, self.lanes, self.transfer_lanes = tile, lanes, transfer_lanes
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
        rows, cols = self.tile.rows, self.tile.cols
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


def run(work, server, bridge, *, stall=0, late=False, watch=None, stuck=(), limit=20_000):
    """Send all of ``work``; return the y and r codes, and the cycles of the requests."""
    lanes, transfer_lanes = bridge.lanes, bridge.transfer_lanes
    y, r, requests = [], [], []
    cycle = -1

    def serve(pins):
        nonlocal cycle
        cycle += 1
        pins["stuck"] = cycle in stuck
        pins["rows"], pins["cols"] = server.tile.rows, server.tile.cols
        if pins["request"]:
            requests.append(cycle)
            codes, duration = server.serve(pins["operation"], pins["vector"])
            pins["result"], pins["duration"] = codes, duration
        if watch is not None:
            watch(cycle, pins)

    def wait(pins):
        while len(requests) < len(work.commands):
            yield
        yield

    n_y = sum(beats(len(v), lanes) for v in work.y)
    n_r = sum(beats(len(v), transfer_lanes) for v in work.r)
    simulate(
        bridge,
        lambda pins: put(pins, "port.cmd", work.commands, stall=stall),
        lambda pins: put(pins, "port.x", work.x, stall=stall),
        lambda pins: put(pins, "port.w", work.w, stall=2 * stall),
        lambda pins: take(pins, "port.y", n_y, y, stall=stall, late=late),
        lambda pins: take(pins, "port.r", n_r, r, stall=stall, late=late),
        wait,
        reflex=serve,
        limit=limit,
    )
    return split(y, work.y, 8, lanes), split(r, work.r, 12, transfer_lanes), requests


def split(payloads, vectors, width, lanes):
    """Codes of each vector; lanes beyond its end must be zero."""
    at, out = 0, []
    for v in vectors:
        n = beats(len(v), lanes)
        codes = [c for p in payloads[at : at + n] for c in unpack(p, width, lanes)]
        assert not any(codes[len(v) :])
        out.append(codes[: len(v)])
        at += n
    return out


def assert_same(got, want):
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert list(a) == list(b)


#: How long operations take, and how slow what is around the bridge is.
PACES = [(SHORT, 0, False), (FlatTiming(1), 2, True), (FlatTiming(40), 1, False)]
SIZES = [(13, 10, 4, 2), (9, 8, 4, 4), (3, 18, 16, 1), (1, 1, 1, 1)]


@pytest.mark.parametrize(("timing", "stall", "late"), PACES)
@pytest.mark.parametrize("spare", [0, 17])
@pytest.mark.parametrize("sizes", SIZES)
def test_bridge_equals_direct_calls(sizes, spare, timing, stall, late):
    rows, cols, lanes, transfer_lanes = sizes
    work = Work(make_tile(rows, cols), lanes, transfer_lanes).random(40, seed=rows)
    tile, log = make_tile(rows, cols), []
    server = TileServer(tile, timing, lambda k, op: log.append((k, op.op)), lanes=lanes)
    bridge = TileBridge(rows + spare, cols + spare, lanes, transfer_lanes)
    y, r, requests = run(work, server, bridge, stall=stall, late=late)
    assert_same(y, work.y)
    assert_same(r, work.r)
    for name, array in work.tile.state().items():
        np.testing.assert_array_equal(tile.state()[name], array, name)
    n = len(work.commands)
    assert len(requests) == server.count == n
    assert [k for k, _ in log] == list(range(n))
    assert [op.value for _, op in log] == [c & 15 for c in work.commands]


def test_bridge_packs_as_documented():
    work = Work(make_tile())
    x = np.arange(-6, 7)
    px, pd = np.arange(13) % 3 - 1, np.arange(-5, 5)
    work.add(TileOp.FORWARD, x)
    work.add(TileOp.UPDATE, px, pd)
    work.add(TileOp.PROGRAM, np.arange(10), np.array([*range(55, 64), 127]), row=12)
    work.add(TileOp.READ, row=7, log2_reads=5)
    work.add(TileOp.POLARITY, sign=-1)
    seen = []

    def watch(_, pins):
        if pins["request"]:
            seen.append((BridgeOperation.from_bits(pins["operation"]), pins["vector"]))

    bridge = TileBridge(ROWS, COLS, LANES, TRANSFER_LANES)
    run(work, TileServer(make_tile(), SHORT, lanes=LANES), bridge, watch=watch)
    assert [op.command.op for op, _ in seen] == [TileOp(c & 15) for c in work.commands]
    assert [op.count for op, _ in seen] == [0, 1, 2, 3, 4]
    assert unpack(seen[0][1], 8, 13) == x.tolist()
    assert unpack(seen[1][1], 8, 13) == px.tolist()
    assert unpack(seen[1][1] >> 16 * 8, 8, 10) == pd.tolist()
    pairs = unpack(seen[2][1], 7, 20, sign=False)
    assert pairs[::2] == list(range(10))
    assert pairs[1::2] == [*range(55, 64), 127]
    assert seen[2][0].command.row == 12
    assert (seen[3][0].command.row, seen[3][0].command.log2_reads) == (7, 5)
    assert seen[4][0].command.negative == 1


DURATIONS = [1, 2, 9, 300]


@pytest.mark.parametrize("duration", DURATIONS)
def test_bridge_answers_after_duration(duration):
    """First beat ``duration`` cycles after the request, one a cycle; then the next request."""
    work = Work(make_tile())
    for _ in range(3):
        work.add(TileOp.FORWARD, np.ones(ROWS, int))
    valid = []

    def watch(cycle, pins):
        if pins["port.y.valid"]:
            valid.append(cycle)

    server = TileServer(make_tile(), FlatTiming(duration), lanes=LANES)
    _, _, requests = run(work, server, TileBridge(ROWS, COLS, LANES, TRANSFER_LANES), watch=watch)
    n = beats(COLS, LANES)
    starts = [r + duration for r in requests]
    assert valid == [s + k for s in starts for k in range(n)]
    load = 1 + beats(ROWS, LANES) + 1  # command, vector, request
    gap = max(duration + n, load)
    assert np.diff(requests).tolist() == [gap, gap]


@pytest.mark.parametrize("duration", [1, 2, 3, 20])
def test_bridge_requests_operations_without_results_back_to_back(duration):
    work = Work(make_tile())
    for row in range(4):
        work.add(TileOp.INIT, row=row)
    server = TileServer(make_tile(), FlatTiming(duration), lanes=LANES)
    _, _, requests = run(work, server, TileBridge(ROWS, COLS, LANES, TRANSFER_LANES))
    assert np.diff(requests).tolist() == [max(duration, 2)] * 3


def test_bridge_loads_one_operation_while_it_executes_another():
    """Row pulses are taken during a conversion; the command after them waits for its turn."""
    work = Work(make_tile())
    work.add(TileOp.FORWARD, np.full(ROWS, 100))
    work.add(TileOp.UPDATE, np.ones(ROWS, int), np.ones(COLS, int))
    work.add(TileOp.AGE)
    commands, vectors = [], []

    def watch(cycle, pins):
        if pins["port.cmd.ready"] and len(commands) < 3:
            commands.append(cycle)
        if pins["port.x.ready"]:
            vectors.append(cycle)

    server = TileServer(make_tile(), FlatTiming(200), lanes=LANES)
    y, _, requests = run(work, server, TileBridge(ROWS, COLS, LANES, TRANSFER_LANES), watch=watch)
    assert_same(y, work.y)
    first, second, third = requests
    assert first < commands[1] < first + 4
    assert max(vectors) < first + 20 < first + 200 < second
    assert second < commands[2] <= second + 1
    assert third == second + 200


def test_bridge_holds_the_result_until_it_is_taken():
    """A slow consumer gets the codes of its own operation though another one is waiting."""
    work = Work(make_tile())
    for k in range(4):
        work.add(TileOp.FORWARD, np.full(ROWS, 30 * k))
        work.add(TileOp.READ, row=k, log2_reads=1)
    server = TileServer(make_tile(), FlatTiming(1), lanes=LANES)
    bridge = TileBridge(ROWS, COLS, LANES, TRANSFER_LANES)
    y, r, _ = run(work, server, bridge, stall=9, late=True)
    assert_same(y, work.y)
    assert_same(r, work.r)


#: First cycle of a bridge that is stuck for good: before it starts, while it executes.
STUCK = [0, 10]


@pytest.mark.parametrize("first", STUCK)
def test_stuck_bridge_never_answers(first):
    work = Work(make_tile())
    work.add(TileOp.FORWARD, np.ones(ROWS, int))
    server = TileServer(make_tile(), FlatTiming(30), lanes=LANES)
    bridge = TileBridge(ROWS, COLS, LANES, TRANSFER_LANES)
    with pytest.raises(TimeoutError, match="processes must end"):
        run(work, server, bridge, stuck=range(first, 10**6), limit=300)
    assert server.count == (first > 0)


def test_stuck_bridge_goes_on_afterwards():
    work = Work(make_tile())
    work.add(TileOp.FORWARD, np.ones(ROWS, int))
    work.add(TileOp.BACKWARD, np.ones(COLS, int))
    server = TileServer(make_tile(), FlatTiming(30), lanes=LANES)
    bridge = TileBridge(ROWS, COLS, LANES, TRANSFER_LANES)
    y, _, (first, second) = run(work, server, bridge, stuck=range(10, 110))
    assert_same(y, work.y)
    assert second - first == 30 + beats(COLS, LANES) + 100


CHANGES = ["short", "long", "late half"]


@pytest.mark.parametrize("change", CHANGES)
def test_server_rejects_a_vector_with_a_wrong_number_of_beats(change):
    work = Work(make_tile())
    work.add(TileOp.UPDATE, np.zeros(ROWS, int), np.zeros(COLS, int))
    last = 1 << (8 * LANES)
    if change == "short":
        work.x[-2:] = [last]
    elif change == "long":
        work.x[-1:] = [0] * 40 + [last]
    else:
        work.x[3:4] = [0, last]
    server = TileServer(make_tile(), SHORT, lanes=LANES)
    with pytest.raises(ValueError, match=r"^vector of UPDATE must have as many beats as the tile"):
        run(work, server, TileBridge(ROWS, COLS, LANES, TRANSFER_LANES))


def test_bridge_forgets_a_wrong_number_of_beats():
    flags = []

    class Lenient(TileServer):
        def serve(self, operation_word, vector_word):
            flags.append(BridgeOperation.from_bits(operation_word).malformed)
            return 0, 1

    work = Work(make_tile())
    work.add(TileOp.TUNE, np.zeros(COLS, int))
    work.w[-2:] = [1 << (14 * TRANSFER_LANES)]
    work.add(TileOp.TUNE, np.zeros(COLS, int))
    bridge = TileBridge(ROWS, COLS, LANES, TRANSFER_LANES)
    run(work, Lenient(make_tile(), SHORT, lanes=LANES), bridge)
    assert flags == [1, 0]


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((0, 1, 1, 1), "most_rows must be within 1..512, not 0"),
        ((1, 513, 1, 1), "most_cols must be within 1..512, not 513"),
        ((1, 1, 6, 1), "lanes must be a power of two, not 6"),
        ((1, 1, 1, 0), "transfer_lanes must be a power of two, not 0"),
    ],
)
def test_bridge_rejects_impossible_sizes(sizes, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        TileBridge(*sizes)


BENCHES = [
    *(
        partial(test_bridge_equals_direct_calls, SIZES[0], spare, *pace)
        for spare in [0, 17]
        for pace in PACES
    ),
    test_bridge_packs_as_documented,
    *(partial(test_bridge_answers_after_duration, duration) for duration in DURATIONS),
    *(
        partial(test_bridge_requests_operations_without_results_back_to_back, duration)
        for duration in [1, 2, 3, 20]
    ),
    test_bridge_loads_one_operation_while_it_executes_another,
    test_bridge_holds_the_result_until_it_is_taken,
    *(partial(test_stuck_bridge_never_answers, first) for first in STUCK),
    test_stuck_bridge_goes_on_afterwards,
    *(partial(test_server_rejects_a_vector_with_a_wrong_number_of_beats, c) for c in CHANGES),
    test_bridge_forgets_a_wrong_number_of_beats,
]
