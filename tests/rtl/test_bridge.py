# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A tile behind a bridge does what the same tile does when it is called directly."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cosim.bench import put, run_cycles, simulate, unpack
from cosim.bridge import BridgeOperation, TileBridge
from cosim.tile_server import TileServer
from cosim.timing import SHORT, FlatTiming
from cosim.verilog_bench import load
from golden.hardware import beats
from rtl.tile_port import TileOp

# By path, as this file is loaded itself within a simulator, where no folder of tests is searched.
WORK = Path(__file__).parent / "bridge_work.py"
ROWS, COLS, LANES, TRANSFER_LANES, SPARE, MOST = (
    load(f"{WORK}:{name}") for name in ("ROWS", "COLS", "LANES", "TRANSFER_LANES", "SPARE", "MOST")
)
Noise, Work, around, make_tile, run, split = (
    load(f"{WORK}:{name}") for name in ("Noise", "Work", "around", "make_tile", "run", "split")
)

pytestmark = pytest.mark.slow


def assert_same(got, want):
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert list(a) == list(b)


#: How long operations take, and how slow what is around the bridge is.
PACES = [(SHORT, 0, False), (FlatTiming(1), 2, True), (FlatTiming(40), 1, False)]
SIZES = [(ROWS, COLS, LANES, TRANSFER_LANES), (9, 8, 4, 4), (3, 18, 16, 1), (1, 1, 1, 1)]


@pytest.mark.parametrize(("timing", "stall", "late"), PACES)
@pytest.mark.parametrize("spare", [0, SPARE])
@pytest.mark.parametrize("sizes", SIZES)
def test_bridge_equals_direct_calls(sizes, spare, timing, stall, late):
    rows, cols, lanes, transfer_lanes = sizes
    work = Work(make_tile(rows, cols), lanes, transfer_lanes).random(25, seed=rows)
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


#: Rows and columns of tiles behind one bridge, and how slow what is around it is.
NOISE = [(*MOST[:2], 0), (*MOST[:2], 2), (1, 1, 0), (16, 21, 1), (21, 16, 0), (8, 7, 0)]


@pytest.mark.parametrize(("rows", "cols", "stall"), NOISE)
def test_bridge_passes_on_every_bit(rows, cols, stall):
    """Also those that no tile makes use of, and operations and vectors that are wrong."""
    rng = np.random.default_rng(rows)
    noise = Noise([*range(16), *rng.integers(0, 9, 60)], stall, rows=rows, cols=cols)
    bridge = TileBridge(*MOST)
    y, r, _ = run(noise, noise, bridge, stall=stall, late=stall > 0)
    assert (y, r) == (noise.y, noise.r)


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

    bridge = TileBridge(*MOST)
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
    _, _, requests = run(work, server, TileBridge(*MOST), watch=watch)
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
    _, _, requests = run(work, server, TileBridge(*MOST))
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
    y, _, requests = run(work, server, TileBridge(*MOST), watch=watch)
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
    bridge = TileBridge(*MOST)
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
    bridge = TileBridge(*MOST)
    with pytest.raises(TimeoutError, match="processes must end"):
        run(work, server, bridge, stuck=range(first, 10**6), limit=300)
    assert server.count == (first > 0)


def test_stuck_bridge_goes_on_afterwards():
    work = Work(make_tile())
    work.add(TileOp.FORWARD, np.ones(ROWS, int))
    work.add(TileOp.BACKWARD, np.ones(COLS, int))
    server = TileServer(make_tile(), FlatTiming(30), lanes=LANES)
    bridge = TileBridge(*MOST)
    y, _, (first, second) = run(work, server, bridge, stuck=range(10, 110))
    assert_same(y, work.y)
    assert second - first == 30 + beats(COLS, LANES) + 100


def test_stuck_bridge_gives_results_that_are_on_their_way():
    work, valid = Work(make_tile()), []
    for _ in range(2):
        work.add(TileOp.FORWARD, np.ones(ROWS, int))

    def watch(cycle, pins):
        if pins["port.y.valid"]:
            valid.append(cycle)

    server = TileServer(make_tile(), FlatTiming(5), lanes=LANES)
    bridge = TileBridge(*MOST)
    first = 1 + beats(ROWS, LANES)  # after the command and its vector
    begin = first + 5
    y, _, requests = run(work, server, bridge, watch=watch, stuck=range(begin, 50))
    assert_same(y, work.y)
    assert valid[:3] == [begin, begin + 1, begin + 2]
    assert requests == [first, 50]


#: Two operations each: while one executes, the next is collected.
ABANDONED = [
    (TileOp.FORWARD, TileOp.UPDATE),
    (TileOp.READ, TileOp.PROGRAM),
    (TileOp.UPDATE, TileOp.BACKWARD),
    (TileOp.TUNE, TileOp.INIT),
]


@pytest.mark.parametrize("pin", ["forget", "rst"])
def test_bridge_forgets_at_any_moment(pin):
    """A command, vectors and results that are half through leave no trace in what comes next."""
    rng = np.random.default_rng(1)
    noise = Noise([], 0)

    def renew(ops):
        nonlocal noise
        noise = Noise(ops, rng.integers(1 << 30), count=noise.count)

    def serve(pins):
        if pins["request"]:
            pins["result"], pins["duration"] = noise.serve(pins["operation"], pins["vector"])

    def abandon(pins, ops, moment):
        """Return whether all operations were executed by that moment."""
        renew(op.value for op in ops)
        begun = run_cycles(pins, around(noise, [], []))
        for cycle in range(moment + 1):
            pins[pin] = cycle == moment
            sent = next(begun, "sent")
            yield
        pins[pin] = 0
        for name in ("cmd.valid", "x.valid", "w.valid", "y.ready", "r.ready"):
            pins[f"port.{name}"] = 0
        return sent and not noise.expected

    def host(pins):
        for ops in ABANDONED:
            over, moment = False, 0
            while not over:
                over = yield from abandon(pins, ops, moment)
                moment += 1
                noise.count *= pin == "forget"
                renew(rng.integers(0, 9, 2))
                y, r = [], []
                anew = run_cycles(pins, around(noise, y, r))
                yield next(anew)
                assert pins["port.cmd.ready"], "it must be ready in the next cycle"
                yield from anew
                while noise.expected:
                    yield
                assert split(noise, y, r) == (noise.y, noise.r)

    simulate(TileBridge(*MOST), host, reflex=serve)


def test_bridge_executes_for_millions_of_cycles():
    """Every bit of the duration counts; an operation is forgotten once that is seen."""
    requests = []

    def serve(pins):
        if pins["request"]:
            requests.append(pins["operation"])

    def host(pins):
        for k in range(4, 24):
            for duration in [(1 << k) + 1, (1 << k) + 3]:
                pins["duration"] = duration
                yield from put(pins, "port.cmd", [TileOp.AGE.value] * 2)
                for _ in range(8):
                    yield
                pins["forget"] = 1
                yield
                pins["forget"] = 0
                assert len(requests) == 1, f"it must take {duration} cycles"
                requests.clear()

    simulate(TileBridge(*MOST), host, reflex=serve)


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
        run(work, server, TileBridge(*MOST))


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
    bridge = TileBridge(*MOST)
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
    *(partial(test_bridge_equals_direct_calls, SIZES[0], SPARE, *pace) for pace in PACES),
    *(partial(test_bridge_passes_on_every_bit, *noise) for noise in NOISE),
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
    test_stuck_bridge_gives_results_that_are_on_their_way,
    *(partial(test_bridge_forgets_at_any_moment, pin) for pin in ["forget", "rst"]),
    test_bridge_executes_for_millions_of_cycles,
    *(partial(test_server_rejects_a_vector_with_a_wrong_number_of_beats, c) for c in CHANGES),
    test_bridge_forgets_a_wrong_number_of_beats,
]
