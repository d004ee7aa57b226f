# SPDX-License-Identifier: Apache-2.0
"""The scoreboard passes what is equal, and names the first thing that is not."""

from dataclasses import replace

import numpy as np
import pytest

from analog_models.physical_tile import PhysicalTile
from analog_models.presets import TUNED
from cosim.golden_log import GoldenLog
from cosim.scoreboard import Mismatch, Scoreboard, digest
from golden.config import ChipConfig, TransferConfig
from golden.engine import MachineEngine
from golden.machine import COUNTERS, LAYER_COUNTERS, Machine
from golden.schedule import initial_weights
from golden.trainer import AnalogClassifier
from rtl.tile_port import TileOp

#: Layers of 2 x 2 and 2 x 1 tiles; a tick every other example, a transfer every third.
CHIP = ChipConfig(
    layers=(6, 5, 3),
    forward_shift=(15, 15),
    backward_shift=(11, 11),
    tile=TUNED.but(rows=(4, "test"), cols=(3, "test"), age_periods=(2, "test")),
    transfer=TransferConfig(interval=3, retries=1, tune_rounds=2),
    seed=4,
)
EXAMPLES = 4
RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 256, (EXAMPLES, 6), dtype=np.uint8)
LABELS = RNG.integers(0, 3, EXAMPLES)
WEIGHTS = initial_weights(CHIP.layers, CHIP.seed)


@pytest.fixture(scope="module")
def gateware():
    """Log what a right controller does: what the machine itself does."""
    golden = GoldenLog(Machine(CHIP))
    golden.write_weights(WEIGHTS)
    golden.run(PIXELS, LABELS)
    return golden


def scoreboard(calls=None):
    """Scoreboard whose golden machine runs on one example at a time."""
    golden = GoldenLog(Machine(CHIP))

    def jobs():
        golden.write_weights(WEIGHTS)
        yield
        for k in range(EXAMPLES):
            golden.run(PIXELS[k : k + 1], LABELS[k : k + 1])
            if calls is not None:
                calls.append(k)
            yield

    at = jobs()
    return Scoreboard(golden, lambda: next(at, "over") is None)


def operations(gateware, tile):
    return [e.operation for e in gateware.expected[tile]]


def replay(board, logs, order=None):
    """Feed the operations of each tile, tile by tile or in the order of tile numbers."""
    logs = [list(log) for log in logs]
    for tile in order or [t for t, log in enumerate(logs) for _ in log]:
        k = board.compared[tile]
        board.log(tile)(k, logs[tile][k])


def all_logs(gateware):
    return [operations(gateware, tile) for tile in range(len(gateware.tiles))]


def test_scoreboard_passes_equal_logs(gateware):
    board, logs = scoreboard(), all_logs(gateware)
    assert {op.op for log in logs for op in log} == set(TileOp)
    replay(board, logs)
    board.finish()
    board.compare_counters(gateware.machine.counters, gateware.machine.layer_counters)
    board.compare_lanes(gateware.machine.row_lanes, gateware.machine.column_lanes)
    board.compare_states(gateware.tiles)
    assert board.mismatch is None
    assert board.compared == [len(log) for log in logs]


def test_scoreboard_accepts_any_order_across_tiles(gateware):
    board, logs = scoreboard(), all_logs(gateware)
    order = np.repeat(np.arange(len(logs)), [len(log) for log in logs])
    np.random.default_rng(2).shuffle(order)
    replay(board, logs, order.tolist())
    board.finish()


def test_scoreboard_runs_the_golden_machine_when_it_must(gateware):
    calls = []
    board, log = scoreboard(calls), operations(gateware, 0)
    first = next(k for k, e in enumerate(gateware.expected[0]) if e.phase == "forward")
    for k, operation in enumerate(log):
        assert (calls == []) == (k <= first)
        board.compare(0, k, operation)
    assert calls == [0, 1, 2, 3]


def test_golden_log_tags_examples_and_phases(gateware):
    for tile, layer in enumerate(gateware.layer):
        seen = list(dict.fromkeys((e.example, e.phase) for e in gateware.expected[tile]))
        assert seen[0] == (0, "write")
        assert [n for n, phase in seen if phase == "forward"] == [0, 1, 2, 3]
        assert [n for n, phase in seen if phase == "transfer"] == [2]
        assert [n for n, phase in seen if phase == "age"] == [1, 3]
        assert any(phase == "backward" for _, phase in seen) == (layer == 1)
    assert gateware.layer == [0, 0, 0, 0, 1, 1]
    assert gateware.machine.counters[COUNTERS.index("skipped")] == 0


def bumped(vectors, part, index):
    vectors = [v.copy() for v in vectors]
    vectors[part][index] += 1
    return tuple(vectors)


def first(log, op, skip=0):
    return [k for k, o in enumerate(log) if o.op == op][skip]


@pytest.mark.parametrize(
    ("op", "part", "what"),
    [
        (TileOp.FORWARD, 0, "row code"),
        (TileOp.BACKWARD, 0, "column code"),
        (TileOp.UPDATE, 0, "row pulse count"),
        (TileOp.UPDATE, 1, "column pulse count"),
        (TileOp.PROGRAM, 0, r"G+ code"),
        (TileOp.PROGRAM, 1, r"G- code"),
        (TileOp.TUNE, 0, "pulse count"),
    ],
)
def test_scoreboard_finds_a_wrong_input(gateware, op, part, what):
    tile, index = 4, 2
    logs = all_logs(gateware)
    k = first(logs[tile], op, skip=1)
    expected = gateware.expected[tile][k]
    right = logs[tile][k]
    logs[tile][k] = replace(right, inputs=bumped(right.inputs, part, index))
    board = scoreboard()
    with pytest.raises(Mismatch) as caught:
        replay(board, logs)
    found = caught.value
    assert found is board.mismatch
    assert (found.tile, found.layer, found.k, found.operation) == (tile, 1, k, op.name)
    assert (found.what, found.index) == (what, (index,))
    value = int(right.inputs[part][index])
    assert (found.golden, found.rtl) == (value, value + 1)
    assert (found.example, found.phase) == (expected.example, expected.phase)
    row = f", row {right.row}" if op in (TileOp.PROGRAM, TileOp.TUNE) else ""
    assert str(found) == (
        f"example {expected.example}, {expected.phase}, layer 1, tile 4, operation {k}, {op.name}"
        f"{row}: {what}[2] must be {value}, not {value + 1}"
    )


@pytest.mark.parametrize("op", [TileOp.FORWARD, TileOp.BACKWARD, TileOp.READ])
def test_scoreboard_finds_a_wrong_result(gateware, op):
    logs = all_logs(gateware)
    k = first(logs[5], op)
    right = logs[5][k]
    logs[5][k] = replace(right, output=right.output - (np.arange(right.output.size) == 1))
    with pytest.raises(Mismatch, match=rf"tile 5, operation {k}, .*result .*\[1\] must be "):
        replay(scoreboard(), logs)


@pytest.mark.parametrize(
    ("op", "change", "what", "golden", "rtl"),
    [
        (TileOp.POLARITY, {"sign": -1}, "polarity", 1, -1),
        (TileOp.READ, {"row": 2}, "row", 0, 2),
        (TileOp.PROGRAM, {"row": 1}, "row", 0, 1),
        (TileOp.INIT, {"row": 3}, "row", 0, 3),
        (TileOp.READ, {"log2_reads": 0}, "log2_reads", 2, 0),
        (TileOp.INIT, {"op": TileOp.AGE}, "operation", "INIT", "AGE"),
    ],
)
def test_scoreboard_finds_a_wrong_command(gateware, op, change, what, golden, rtl):
    logs = all_logs(gateware)
    k = first(logs[0], op)
    logs[0][k] = replace(logs[0][k], **change)
    with pytest.raises(Mismatch, match=f"{what} must be {golden}, not {rtl}$") as caught:
        replay(scoreboard(), logs)
    found = caught.value
    assert (found.what, found.golden, found.rtl) == (what, golden, rtl)
    assert (found.tile, found.k, found.operation) == (0, k, op.name)


def test_scoreboard_finds_a_vector_of_another_length(gateware):
    logs = all_logs(gateware)
    k = first(logs[1], TileOp.FORWARD)
    logs[1][k] = replace(logs[1][k], inputs=(logs[1][k].inputs[0][:-1],))
    with pytest.raises(Mismatch, match=r"row code must be of shape \(3,\), not of shape \(2,\)$"):
        replay(scoreboard(), logs)


def test_scoreboard_finds_a_wrong_order(gateware):
    logs = all_logs(gateware)
    k = first(logs[4], TileOp.BACKWARD)
    assert logs[4][k + 1].op == TileOp.UPDATE
    logs[4][k : k + 2] = logs[4][k + 1], logs[4][k]
    with pytest.raises(
        Mismatch, match=f"operation {k}, BACKWARD: operation must be BACKWARD, not UPDATE$"
    ):
        replay(scoreboard(), logs)


def test_scoreboard_finds_a_missing_operation(gateware):
    logs = all_logs(gateware)
    k = first(logs[2], TileOp.UPDATE)
    want = logs[2][k + 1].op.name
    del logs[2][k]
    with pytest.raises(Mismatch, match=f"operation {k}, .* must be UPDATE, not {want}$"):
        replay(scoreboard(), logs)


def test_scoreboard_finds_a_missing_operation_at_the_end(gateware):
    logs = all_logs(gateware)
    last = logs[3].pop()
    board = scoreboard()
    replay(board, logs)
    with pytest.raises(Mismatch, match=f"must be {last.op.name}, not absent$") as caught:
        board.finish()
    assert (caught.value.tile, caught.value.k) == (3, len(logs[3]))
    assert caught.value.example == EXAMPLES - 1


def test_scoreboard_finds_missing_examples(gateware):
    board = scoreboard()
    with pytest.raises(Mismatch, match=r"^example 0, write, layer 0, tile 0, operation 0, "):
        board.finish()


def test_scoreboard_finds_an_extra_operation(gateware):
    logs = all_logs(gateware)
    logs[3].append(logs[3][-1])
    with pytest.raises(
        Mismatch,
        match=rf"^layer 0, tile 3, .*: operation must be absent, not {logs[3][-1].op.name}$",
    ):
        replay(scoreboard(), logs)


def test_scoreboard_rejects_a_number_that_is_not_the_next(gateware):
    with pytest.raises(ValueError, match=r"^k must be 0, the next operation, not 1$"):
        scoreboard().compare(0, 1, operations(gateware, 0)[1])


def finished(gateware):
    board = scoreboard()
    replay(board, all_logs(gateware))
    board.finish()
    return board


@pytest.mark.parametrize("named", [True, False])
def test_scoreboard_finds_a_wrong_counter(gateware, named):
    board = finished(gateware)
    counters = gateware.machine.counters.copy()
    counters[COUNTERS.index("ticks")] += 1
    layers = gateware.machine.layer_counters.copy()
    layers[1, 2] -= 1
    asked = layers[1, 2]
    if named:
        counters = dict(zip(COUNTERS, counters, strict=True))
        layers = [dict(zip(LAYER_COUNTERS, row, strict=True)) for row in layers]
    with pytest.raises(Mismatch, match=r"^counter ticks must be 2, not 3$"):
        board.compare_counters(counters, layers)
    with pytest.raises(
        Mismatch, match=f"^layer 1: counter pulses_asked must be {asked + 1}, not {asked}$"
    ):
        board.compare_counters({"examples": 4}, layers)


def test_scoreboard_finds_a_wrong_lane(gateware):
    board = finished(gateware)
    lanes = [lane.copy() for lane in gateware.machine.column_lanes]
    lanes[1][2] ^= 4
    with pytest.raises(Mismatch, match=r"^layer 1: column lane\[2\] must be \d+, not \d+$"):
        board.compare_lanes(gateware.machine.row_lanes, lanes)


def test_scoreboard_finds_a_wrong_state(gateware):
    board = finished(gateware)
    tiles = [tile.tile for tile in gateware.tiles]
    value = int(tiles[5].g_minus[2, 1])
    tiles[5].g_minus[2, 1] += 1
    try:
        with pytest.raises(
            Mismatch,
            match=rf"^layer 1, tile 5: state g_minus\[2, 1\] must be {value}, not {value + 1}$",
        ):
            board.compare_states(tiles)
    finally:
        tiles[5].g_minus[2, 1] -= 1


def test_logged_machine_ends_like_a_bare_one(gateware):
    """Logging changes nothing, and the digest is the trainer's."""
    trainer = AnalogClassifier(CHIP)
    trainer.engine_ = MachineEngine(CHIP)
    trainer.engine_.write_weights(WEIGHTS)
    trainer.engine_.train(PIXELS, LABELS, np.arange(EXAMPLES))
    m = gateware.machine
    lanes, counters = (m.row_lanes, m.column_lanes), (m.counters, m.layer_counters)
    assert digest(gateware.tiles, lanes, counters, m.sign) == trainer.digest()
    assert digest(gateware.tiles, lanes, counters, -m.sign) != trainer.digest()


def test_golden_log_works_with_physical_tiles():
    golden = GoldenLog(Machine(CHIP, PhysicalTile))
    trainer = AnalogClassifier(CHIP)
    trainer.engine_ = MachineEngine(CHIP, PhysicalTile)
    for chip in (golden, trainer.engine_):
        chip.write_weights(WEIGHTS)
    golden.run(PIXELS[:1], LABELS[:1])
    trainer.engine_.train(PIXELS, LABELS, np.arange(1))
    m = golden.machine
    lanes, counters = (m.row_lanes, m.column_lanes), (m.counters, m.layer_counters)
    assert digest(golden.tiles, lanes, counters, m.sign) == trainer.digest()
