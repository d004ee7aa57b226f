# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What the tiles of a small network are sent is what the reference machine sends its tiles."""

import random
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cosim.bench import pack, simulate
from cosim.verilog_bench import load
from golden.hardware import ControllerConfig
from golden.machine import LAYER_COUNTERS
from golden.program import Op
from rtl.sequencer import Word
from rtl.statistics import LayerEvents
from rtl.vectors import VectorUnit

SCRIPT = Path(__file__).with_name("vector_script.py")
CHIPS, golden, lanes_of = (load(f"{SCRIPT}:{name}") for name in ["CHIPS", "golden", "lanes_of"])
Tiles = load(f"{Path(__file__).with_name('scripted_tiles.py')}:Tiles")

pytestmark = pytest.mark.slow

LANES = 4
FASTEST = {"cmd": 1.0, "x": 1.0, "think": 0, "stall": 0}
SLOW_TILES = {"cmd": 1.0, "x": 1.0, "think": 9, "stall": 3}
SLOW_PORTS = {"cmd": 0.3, "x": 0.4, "think": 1, "stall": 0}


def padded(vector, ends):
    """Codes of a vector that is cut at ``ends``, in beats, zero where there is none."""
    out = []
    for a, b in pairwise(ends):
        out += [*map(int, vector[a:b]), *[0] * (-(b - a) % LANES)]
    return out


class Run:
    """Processes that take the unit through a script; ``cut`` first resets after so many steps."""

    def __init__(self, script, hw, pace, cut=None):
        self.script, self.hw, self.cut = script, hw, cut
        # Tiles may be connected in any order; another one for every script and pace.
        order = random.Random(len(script.steps) + sum(pace.values()))
        ports = order.sample(range(hw.tiles), len(script.tiles))
        self.tiles = Tiles(script.tiles, ports, hw, pace)
        self.counters = np.zeros((len(script.grids), len(LAYER_COUNTERS)), np.int64)
        self.to_load = []  # beats of examples on their way to memory
        self.waiting, self.waited = False, 0  # an instruction is being executed

    def configure(self, pins):
        for name, value in self.script.registers(self.hw, self.tiles.ports).items():
            pins[name] = value
        pins["table_en"] = 1
        for pins["table_addr"], pins["table_data"] in self.script.tables():
            yield
        pins["table_en"] = 0
        for block, (a, b) in enumerate(pairwise(self.script.grids[0][0])):
            pins["input_block"] = block
            yield
            assert pins["input_length"] == b - a

    def seed_lanes(self, pins, states):
        pins["host_en"] = 1
        for pins["host_addr"], pins["host_data"] in self.script.lanes(self.hw, states):
            yield
        pins["host_en"] = 0

    def check_lanes(self, pins):
        pins["host_r_en"] = 1
        for at, state in self.script.lanes(self.hw, lanes_of(self.script.machine)):
            pins["host_r_addr"] = at
            yield
            yield
            assert pins["host_r_data"] == state, "random lanes must have stepped alike"

    def example(self, codes, bank):
        words = padded(codes, [*self.script.grids[0][0][:-1], len(codes)])
        for k in range(0, len(words), LANES):
            beat = pack(words[k : k + LANES], 8)
            self.to_load.append((self.hw.inputs * bank + k // LANES, beat))

    def load(self, pins):
        while True:
            pins["input_en"] = 0
            if self.to_load:
                pins["input_addr"], pins["input_data"] = self.to_load.pop(0)
                pins["input_en"] = (1 << LANES) - 1
            yield

    def execute(self, pins, op, layer):
        pins["word"] = Word.const({"op": op, "layer": layer}).as_bits()
        pins["launch"] = 1
        yield
        assert not pins["busy"]
        pins["launch"], self.waiting = 0, True
        yield
        while pins["busy"]:
            yield
        self.waiting, pins["finish"] = False, 0

    def steps(self, pins, some):
        examples = [told[0] for op, _, told in self.script.steps if op == Op.LOAD]
        bank, at = 1, 1
        self.example(examples[0], bank)
        for op, layer, told in some:
            if op is None:
                yield from self.seed_lanes(pins, told)
                continue
            if op == Op.LOAD:
                while self.to_load:
                    yield
                yield
                pins["bank"], pins["label"] = bank, told[1]
                bank = 1 - bank
                if at < len(examples):
                    self.example(examples[at], bank)  # fills while this one is used
                at += 1
                yield
                continue
            yield from self.execute(pins, op, layer)
            if op == Op.ERROR:
                yield
                assert (pins["answer"], pins["nonzero"]) == told

    def begin_and_reset(self, pins):
        yield from self.seed_lanes(pins, lanes_of(self.script.fresh))
        yield from self.steps(pins, self.script.steps[: self.cut])
        op, layer, _ = self.script.steps[self.cut]  # and begin the next one
        one = self.execute(pins, op, layer)
        for _ in range(6):
            next(one)
            yield
        pins["rst"], self.waiting = 1, False
        yield
        pins["rst"] = pins["finish"] = 0
        yield
        assert not pins["nonzero"]
        assert not pins["answer"]
        self.to_load.clear()
        self.tiles.restart()
        self.counters[...] = 0

    def drive(self, pins):
        yield from self.configure(pins)
        if self.cut is not None:
            yield from self.begin_and_reset(pins)
        yield from self.seed_lanes(pins, lanes_of(self.script.fresh))
        yield from self.steps(pins, self.script.steps)
        for _ in range(20):
            yield
        yield from self.check_lanes(pins)

    def watch(self, pins):
        while True:
            yield
            events = LayerEvents.from_bits(pins["events"])
            counted = [getattr(events, name) for name in LAYER_COUNTERS]
            if any(counted):
                self.counters[events.layer] += counted
            if pins["waiting"]:
                t = pins["waiting"].bit_length() - 1
                assert pins["waiting"] == 1 << t
                assert self.waiting
                assert t not in self.tiles.offering
                self.waited += 1

    def finish(self, pins):
        if self.waiting:
            pins["finish"] = not pins["busy"]


def fitting(name):
    """Return the smallest hardware for the chip of a script."""
    chip = golden(name, True).machine.config
    return ControllerConfig.of(chip, lanes=LANES, transfer_lanes=LANES)


def shared(*names, **spare):
    """Return hardware that is large enough for several chips, and larger by ``spare``."""
    chips = [vars(fitting(name)) for name in names]
    most = {field: max(chip[field] for chip in chips) for field in chips[0]}
    return ControllerConfig(**{field: n + spare.get(field, 0) for field, n in most.items()})


def check_vectors(name, stochastic, pace, *, hw=None, cut=None, **more):
    """Run the golden steps on the smallest hardware, or on ``hw``."""
    script = golden(name, stochastic, **more)
    hw = fitting(name) if hw is None else hw
    run = Run(script, hw, pace, cut)
    background = [run.watch, run.load, run.tiles]
    simulate(VectorUnit(hw), run.drive, background=background, reflex=run.finish)
    for t, tile in enumerate(script.tiles):
        want = [(op, [padded(v, [0, len(v)]) for v in vectors]) for op, vectors in tile.log]
        assert run.tiles.log[t] == want, f"tile {t}"
        assert not run.tiles.answers[t]
    assert run.counters.tolist() == script.machine.layer_counters.tolist()
    assert run.counters[:, 2:].all()
    if pace["think"] > 5:
        assert run.waited


SMALL = ["two layers", "three layers", "one layer"]
RUNS = {
    "fast": ("two layers", True, FASTEST),
    "fast, half up": ("two layers", False, FASTEST),
    "slow tiles": ("two layers", True, SLOW_TILES),
    "slow ports": ("two layers", True, SLOW_PORTS),
    "three layers": ("three layers", True, FASTEST),
    "three layers, slow tiles, half up": ("three layers", False, SLOW_TILES),
    "one layer": ("one layer", True, SLOW_TILES),
    "large tiles": ("large tiles", True, FASTEST),
    "many tiles": ("many tiles", True, FASTEST),
    "many layers": ("many layers", True, FASTEST),
}


@pytest.mark.parametrize("run", RUNS)
def test_vectors_send_tiles_what_the_machine_sends(run):
    check_vectors(*RUNS[run])


def test_vectors_leave_what_is_not_used_alone():
    spare = {"layers": 1, "tiles": 2, "depth": 3, "tables": 1, "inputs": 1, "random_depth": 5}
    check_vectors("two layers", True, FASTEST, hw=shared("two layers", **spare))


@pytest.mark.parametrize("run", RUNS)
def test_vectors_of_any_network_that_fits_run_on_the_same_hardware(run):
    check_vectors(*RUNS[run], hw=shared(*CHIPS))


@pytest.mark.parametrize("name", SMALL)
def test_vectors_fire_pulses_by_every_bit_that_is_drawn(name):
    check_vectors(name, True, FASTEST, hw=shared(*CHIPS), rounds=8)


@pytest.mark.parametrize("name", SMALL)
def test_vectors_score_many_answers(name):
    check_vectors(name, True, FASTEST, hw=shared(*CHIPS), answers=30)


@pytest.mark.parametrize("cut", [3, 8])
def test_vectors_begin_anew_after_reset(cut):
    check_vectors("two layers", True, SLOW_TILES, hw=shared(*CHIPS), cut=cut)


BENCHES = [
    *(partial(test_vectors_of_any_network_that_fits_run_on_the_same_hardware, run) for run in RUNS),
    *(partial(test_vectors_fire_pulses_by_every_bit_that_is_drawn, name) for name in SMALL),
    *(partial(test_vectors_score_many_answers, name) for name in SMALL),
    *(partial(test_vectors_begin_anew_after_reset, cut) for cut in [3, 8]),
]
