# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What the tiles of a small network are sent is what the reference machine sends its tiles."""

import random
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import pytest
from amaranth.hdl import signed
from amaranth.lib import data

from analog_models import presets
from cosim.bench import pack, put, simulate
from golden.config import ChipConfig, UpdateConfig
from golden.hardware import ControllerConfig, tables_of
from golden.machine import LAYER_COUNTERS, Machine, input_codes
from golden.placement import Placement
from golden.program import Op
from rtl.geometry import Place, Size
from rtl.sender import masked
from rtl.sequencer import Word
from rtl.statistics import LayerEvents
from rtl.tile_port import Beat, Command, TileOp
from rtl.vectors import LayerSetup, VectorUnit

pytestmark = pytest.mark.slow


LANES = 4
BEAT = Beat(signed(8), LANES)
#: Tiles smaller than a layer in both directions, smaller and larger than a beat.
CHIPS = {
    "two layers": ((9, 6, 5), 4, 3),
    "three layers": ((6, 11, 7, 13), 3, 12),
    "one layer": ((5, 9), 3, 6),
}
FASTEST = {"cmd": 1.0, "x": 1.0, "think": 0, "stall": 0}
SLOW_TILES = {"cmd": 1.0, "x": 1.0, "think": 9, "stall": 2}
SLOW_PORTS = {"cmd": 0.3, "x": 0.4, "think": 1, "stall": 0}


class ScriptedTile:
    """Answers with codes drawn beforehand; keeps what it was sent, and its answers."""

    def __init__(self, rows, cols, config, *, forward_shift, backward_shift, seed, tile):
        self.rows, self.cols = rows, cols
        self.rng = np.random.default_rng((seed, tile))
        self.log, self.answers = [], []
        self.perfect = None  # columns' codes that make the right answer

    def _answer(self, n, low):
        top = self.rng.choice([8, 60, 128])  # some sums are out of range, some are not
        codes = self.rng.integers(-top, top, n).clip(low, 127)
        codes[0] = self.rng.choice([-100, 100])
        self.answers.append(codes.tolist())
        return codes

    def forward(self, x):
        self.log.append((TileOp.FORWARD, [x.tolist()]))
        if self.perfect is None:
            return self._answer(self.cols, -128)
        self.answers.append(self.perfect.tolist())
        return self.perfect

    def backward(self, d):
        self.log.append((TileOp.BACKWARD, [d.tolist()]))
        return self._answer(self.rows, -127)

    def update(self, px, pd):
        self.log.append((TileOp.UPDATE, [px.tolist(), pd.tolist()]))


@lru_cache
def golden(name, stochastic):
    """Let machines go through three examples, the second of which has no error.

    Returns
    -------
    machine, fresh : Machine
        After the last example, and before the first.
    steps : list of tuple
        Instructions ``(op, layer, what to know of it)``.
    sums : set of int
        Codes that are looked up in tables.
    """
    layers, rows, cols = CHIPS[name]
    n = len(layers) - 1
    chip = ChipConfig(
        layers=layers,
        forward_shift=(*[14] * (n - 1), 17),
        backward_shift=(12, *[13] * (n - 1)),
        tile=replace(presets.TUNED, rows=rows, cols=cols),
        update=UpdateConfig(learning_rate=0.05, delta_max=11, stochastic=stochastic),
        seed=len(layers),
    )
    machine = Machine(chip, ScriptedTile)
    fresh = Machine(chip, ScriptedTile)
    rng = np.random.default_rng(9)
    images = rng.integers(0, 256, (3, layers[0]))
    images[:, 0] = 255
    steps, sums = [], {0, 127, -128}
    for i, (image, label) in enumerate(zip(images, [1, layers[-1] - 1, 0], strict=True)):
        for _, columns, tile in machine.blocks(n - 1):
            right = np.arange(layers[-1])[columns] == label
            tile.perfect = np.where(right, 127, -128) if i == 1 else None
        for p in machine.program:
            if p.op == Op.LOAD:
                machine.x[0][:-1] = input_codes(image)
                steps.append((p.op, 0, (input_codes(image), label)))
            elif p.op == Op.ERROR:
                machine.error(label)
                told = int(np.argmax(machine.z)), bool(machine.delta[-1].any())
                steps.append((p.op, p.layer, told))
            elif p.op == Op.SKIP_ZERO:
                if not machine.delta[-1].any():
                    break
            elif p.op not in (Op.AGE, Op.TRANSFER, Op.JUMP):
                getattr(machine, p.op.name.lower())(p.layer)
                steps.append((p.op, p.layer, None))
                sums |= set(machine.z.tolist())
    assert [told[1] for op, _, told in steps if op == Op.ERROR] == [True, False, True]
    return machine, fresh, steps, sums


class Tiles:
    """Tiles behind ``cmd``, ``x`` and ``y``; they work at the same time, each in order."""

    def __init__(self, machine, connected, pace):
        layers = range(len(machine.tiles))
        self.golden = [t for layer in layers for *_, t in machine.blocks(layer)]
        self.connected, self.pace, self.rng = connected, pace, random.Random(1)
        self.restart()

    def restart(self):
        n = len(self.golden)
        self.log = [[] for _ in range(n)]
        self.commands, self.parts = [[] for _ in range(n)], [[] for _ in range(n)]
        self.vectors = [[] for _ in range(n)]
        self.answers = [list(t.answers) for t in self.golden]
        self.offering = [False] * n
        self.processes = None

    def port(self, pins, name, layout, handle):
        while True:
            ready = self.rng.random() < self.pace[name]
            pins[f"{name}.ready"] = ready
            yield
            if ready and pins[f"{name}.valid"]:
                beat = layout.from_bits(pins[f"{name}.payload"])
                assert beat.mask, "somebody must get it"
                for t in range(len(self.golden)):
                    if beat.mask >> t & 1:
                        handle(t, beat.payload)

    def beat(self, t, payload):
        self.parts[t] += [payload.data[k] for k in range(LANES)]
        if payload.last:
            self.vectors[t].append(self.parts[t])
            self.parts[t] = []

    def tile(self, pins, t):
        while True:
            while not self.commands[t]:
                yield
            op = self.commands[t].pop(0)
            need = 2 if op == TileOp.UPDATE else 1
            while len(self.vectors[t]) < need:
                yield
            self.log[t].append((op, self.vectors[t][:need]))
            del self.vectors[t][:need]
            if op == TileOp.UPDATE:
                continue
            for _ in range(self.rng.randrange(self.pace["think"] + 1)):
                yield
            codes = self.answers[t].pop(0)
            codes = codes + [self.rng.randrange(-128, 128) for _ in range(-len(codes) % LANES)]
            for k in range(0, len(codes), LANES):
                for _ in range(self.pace["stall"]):
                    yield
                self.offering[t] = True
                yield from put(pins, f"y.{t}", [pack(codes[k : k + LANES], 8)])
                self.offering[t] = False

    def __call__(self, pins):
        while True:
            if self.processes is None:
                count = len(self.golden)
                cmd, x = masked(Command, self.connected), masked(BEAT, self.connected)
                self.processes = [
                    self.port(pins, "cmd", cmd, lambda t, c: self.commands[t].append(c.op)),
                    self.port(pins, "x", x, self.beat),
                    *(self.tile(pins, t) for t in range(count)),
                ]
                for t in range(count):
                    pins[f"y.{t}.valid"] = 0
            for process in self.processes:
                next(process)
            yield


def padded(vector, ends):
    """Codes of a vector that is cut at ``ends``, in beats, zero where there is none."""
    out = []
    for a, b in pairwise(ends):
        out += [*map(int, vector[a:b]), *[0] * (-(b - a) % LANES)]
    return out


def check_vectors(name, stochastic, pace, *, spare=False, cut=None):
    """Run the golden steps; ``cut`` first resets after so many of them."""
    machine, fresh, steps, sums = golden(name, stochastic)
    chip = machine.config
    n = len(chip.layers) - 1
    hw = ControllerConfig.of(chip, lanes=LANES)
    if spare:
        more = {"layers": n + 1, "tiles": hw.tiles + 2, "depth": hw.depth + 3, "tables": 3}
        hw = replace(hw, **more, inputs=hw.inputs + 1, random_depth=hw.random_depth + 5)
    where = Placement(chip, hw)
    grids = [chip.grid(layer) for layer in range(n)]
    tiles = Tiles(machine, hw.tiles, pace)
    counters = np.zeros((n, len(LAYER_COUNTERS)), np.int64)
    used_tables = sorted(set(tables_of(chip)))
    to_load, waiting, waited = [], False, 0

    def configure(pins):
        setups, places, sizes = [], [], []
        for layer, (rows, cols) in enumerate(grids):
            mult, shift = fresh.rates[layer]
            setups.append({
                "row_blocks": len(rows) - 1,
                "col_blocks": len(cols) - 1,
                "x_read": int(where.x[layer]),
                "x_write": int(where.x[layer + 1]),
                "d_base": int(where.d[layer]),
                "row_lanes": int(where.row_lanes[layer][0]) // LANES,
                "col_lanes": int(where.col_lanes[layer][0]) // LANES,
                "mult": mult,
                "shift": shift,
                "table": used_tables.index(tables_of(chip)[layer]),
            })
            for i, (r0, r1) in enumerate(pairwise(rows)):
                for j, (c0, c1) in enumerate(pairwise(cols)):
                    place = {"used": 1, "layer": layer, "row_block": i, "col_block": j}
                    places.append(place)
                    sizes.append({"rows": r1 - r0, "cols": c1 - c0})
        unused = hw.tiles - len(places)
        places += [{"used": 0}] * unused  # as if a part of layer 0
        sizes += [{"rows": 511, "cols": 511}] * unused
        setups += [{}] * (hw.layers - n)
        for port, shape, values in (
            ("layers", LayerSetup, setups),
            ("place", Place, places),
            ("size", Size, sizes),
        ):
            pins[port] = data.ArrayLayout(shape, len(values)).const(values).as_bits()
        pins["stochastic"], pins["delta_max"] = stochastic, chip.update.delta_max
        for k, table in enumerate(used_tables):
            value, slope = machine.activations[tables_of(chip).index(table)]
            pins["table_en"] = 1
            for i in sorted(code & 255 for code in sums):
                pins["table_addr"] = 256 * k + i
                pins["table_data"] = int(value[i]) & 255 | int(slope[i]) << 8
                yield
        pins["table_en"] = 0
        for block, (a, b) in enumerate(pairwise(grids[0][0])):
            pins["input_block"] = block
            yield
            assert pins["input_length"] == b - a

    def seed_lanes(pins):
        pins["host_en"] = 1
        for at, state in lanes_of(fresh):
            pins["host_addr"], pins["host_data"] = at, state
            yield
        pins["host_en"] = 0

    def lanes_of(m):
        for places, states in ((where.row_lanes, m.row_lanes), (where.col_lanes, m.column_lanes)):
            for place, state in zip(places, states, strict=True):
                yield from zip(map(int, place), map(int, state), strict=True)

    def example(codes, bank):
        words = padded(codes, [*grids[0][0][:-1], len(codes)])
        for k in range(0, len(words), LANES):
            to_load.append((hw.inputs * bank + k // LANES, pack(words[k : k + LANES], 8)))

    def load(pins):
        while True:
            pins["input_en"] = 0
            if to_load:
                pins["input_addr"], pins["input_data"] = to_load.pop(0)
                pins["input_en"] = (1 << LANES) - 1
            yield

    def execute(pins, op, layer):
        nonlocal waiting
        pins["word"] = Word.const({"op": op, "layer": layer}).as_bits()
        pins["launch"] = 1
        yield
        assert not pins["busy"]
        pins["launch"], waiting = 0, True
        yield
        while pins["busy"]:
            yield
        waiting, pins["finish"] = False, 0

    def run(pins, some):
        loads = [codes for op, _, (codes, _) in (s for s in steps if s[0] == Op.LOAD)]
        bank, at = 1, 1
        example(loads[0], bank)
        for op, layer, told in some:
            if op == Op.LOAD:
                while to_load:
                    yield
                yield
                pins["bank"], pins["label"] = bank, told[1]
                bank = 1 - bank
                if at < len(loads):
                    example(loads[at], bank)  # fills while this one is used
                at += 1
                yield
                continue
            yield from execute(pins, op, layer)
            if op == Op.ERROR:
                yield
                assert (pins["answer"], pins["nonzero"]) == told

    def drive(pins):
        nonlocal waiting
        yield from configure(pins)
        if cut is not None:
            yield from seed_lanes(pins)
            yield from run(pins, steps[:cut])
            op, layer, _ = steps[cut]  # and begin the next one
            one = execute(pins, op, layer)
            for _ in range(6):
                next(one)
                yield
            pins["rst"], waiting = 1, False
            yield
            pins["rst"] = pins["finish"] = 0
            to_load.clear()
            tiles.restart()
            counters[...] = 0
        yield from seed_lanes(pins)
        yield from run(pins, steps)
        for _ in range(20):
            yield
        pins["host_r_en"] = 1
        for at, state in lanes_of(machine):
            pins["host_addr"] = at
            yield
            yield
            assert pins["host_r_data"] == state, "random lanes must have stepped alike"

    def watch(pins):
        nonlocal waited
        while True:
            yield
            events = LayerEvents.from_bits(pins["events"])
            counted = [getattr(events, name) for name in LAYER_COUNTERS]
            if any(counted):
                counters[events.layer] += counted
            if pins["waiting"]:
                t = pins["waiting"].bit_length() - 1
                assert pins["waiting"] == 1 << t
                assert waiting
                assert not tiles.offering[t]
                waited += 1

    def finish(pins):
        if waiting:
            pins["finish"] = not pins["busy"]

    simulate(VectorUnit(hw), drive, background=[watch, load, tiles], reflex=finish)
    at = 0
    for layer, (rows, cols) in enumerate(grids):
        for _ in range((len(rows) - 1) * (len(cols) - 1)):
            want = [
                (op, [padded(v, [0, len(v)]) for v in vectors])
                for op, vectors in tiles.golden[at].log
            ]
            assert tiles.log[at] == want, f"tile {at} of layer {layer}"
            assert not tiles.answers[at]
            at += 1
    assert counters.tolist() == machine.layer_counters.tolist()
    assert counters[:, 2:].all()
    if pace["think"] > 5:
        assert waited


RUNS = {
    "fast": ("two layers", True, FASTEST),
    "fast, half up": ("two layers", False, FASTEST),
    "slow tiles": ("two layers", True, SLOW_TILES),
    "slow ports": ("two layers", True, SLOW_PORTS),
    "three layers": ("three layers", True, FASTEST),
    "three layers, slow tiles, half up": ("three layers", False, SLOW_TILES),
    "one layer": ("one layer", True, SLOW_TILES),
}


@pytest.mark.parametrize("run", RUNS)
def test_vectors_send_tiles_what_the_machine_sends(run):
    check_vectors(*RUNS[run])


def test_vectors_leave_what_is_not_used_alone():
    check_vectors("two layers", True, FASTEST, spare=True)


@pytest.mark.parametrize("cut", [3, 8])
def test_vectors_begin_anew_after_reset(cut):
    check_vectors("two layers", True, SLOW_TILES, cut=cut)


BENCHES = [
    *(partial(test_vectors_send_tiles_what_the_machine_sends, run) for run in RUNS),
    test_vectors_leave_what_is_not_used_alone,
    *(partial(test_vectors_begin_anew_after_reset, cut) for cut in [3, 8]),
]
