# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong ends the run, is named, and stays until it is cleared."""

import random

from cosim.bench import simulate
from golden.errors import ErrorCode
from golden.program import Op
from rtl.supervisor import Supervisor

TILES, MOVES = 5, 9
#: Inputs of a cycle, and their largest values.
INPUTS = {
    "start": 1,
    "done": 1,
    "running": 1,
    "op": 15,
    "pc": 255,
    "moves": 2**MOVES - 1,
    "limit": 6,
    "waiting": 2**TILES - 1,
    "holding": 1,
    "bad_packet": 1,
    "bad_instruction": 1,
    "clear": 1,
    "reset": 1,
}


class Model:
    """What the supervisor does, in the words of its documentation."""

    def __init__(self):
        self.code, self.tile, self.at, self.ended = ErrorCode.NONE, 0, 0, 0
        self.limit = self.waits = 0
        self.abandon = self.forget = 0

    def cause(self, i):
        if self.abandon:
            return ErrorCode.NONE
        if i["bad_packet"] and (not i["running"] or i["op"] == Op.LOAD):
            return ErrorCode.BAD_PACKET
        if i["bad_instruction"]:
            return ErrorCode.BAD_INSTRUCTION
        if not 0 < self.limit <= self.waits:
            return ErrorCode.NONE
        if i["waiting"]:
            return ErrorCode.TILE
        if i["holding"]:
            return ErrorCode.RESULTS
        late = {Op.WRITE: ErrorCode.GOALS, Op.LOAD: ErrorCode.EXAMPLES}
        return late.get(i["op"], ErrorCode.STALLED)

    def outputs(self):
        return {
            "code": self.code,
            "error": self.code != ErrorCode.NONE,
            "tile": self.tile,
            "at": self.at,
            "ended": self.ended,
            "abandon": self.abandon,
            "forget": self.forget,
        }

    def step(self, i):
        cause = self.cause(i)
        self.ended = int(i["done"] or (self.ended and not i["clear"] and not i["start"]))
        if i["clear"]:
            self.code = ErrorCode.NONE
        if self.code == ErrorCode.NONE and cause != ErrorCode.NONE:
            self.code, self.at = cause, i["pc"]
            self.tile = next((t for t in range(TILES) if i["waiting"] >> t & 1), 0)
        if self.abandon:
            self.limit = self.waits = 0
        elif not i["running"] or i["moves"]:
            self.limit, self.waits = i["limit"], 0
        else:
            self.waits += 1
        between = cause in (ErrorCode.BAD_PACKET, ErrorCode.EXAMPLES, ErrorCode.RESULTS)
        self.abandon = i["reset"] or cause != ErrorCode.NONE
        self.forget = self.abandon and i["running"] and (i["reset"] or not between)


def supervise(cycles):
    """Run cycles, each a dict of the inputs that are not 0."""
    seen = set()

    def drive(pins):
        model = Model()
        for number, given in enumerate([*cycles, {}]):
            inputs = dict.fromkeys(INPUTS, 0) | given
            for name, value in inputs.items():
                pins[name] = value
            yield
            want = {name: int(value) for name, value in model.outputs().items()}
            assert {name: pins[name] for name in want} == want, f"cycle {number}"
            model.step(inputs)
            seen.add(model.code)

    simulate(Supervisor(TILES, MOVES), drive)
    return seen


def test_supervisor_names_every_error():
    cycles = []
    for op in range(16):
        for waiting in (0, 1, 6, 16):
            for holding in (0, 1):
                run = {"running": 1, "op": op, "waiting": waiting, "holding": holding, "pc": 77}
                cycles += [{"limit": 2, "clear": 1}, run | {"limit": 2}, *[run] * 4]
                cycles += [{"clear": 1}, run | {"bad_packet": 1}, {}]
                cycles += [{"clear": 1}, run | {"bad_instruction": 1}, {}]
                cycles += [{"clear": 1}, {"op": op, "bad_packet": 1}, {}]
    assert supervise(cycles) == set(ErrorCode)


def test_supervisor_sees_every_move():
    cycles = [{"limit": 3}]
    run = {"running": 1, "op": int(Op.FORWARD), "limit": 3}
    for bit in range(MOVES):
        cycles += [*[run] * 2, run | {"moves": 1 << bit}] * 3
    cycles += [run] * 5
    assert supervise(cycles) == {ErrorCode.NONE, ErrorCode.STALLED}


def test_supervisor_waits_as_long_as_its_limit():
    cycles = []
    for limit in (1, 32, 33, 63, 64, 257):
        run = {"running": 1, "limit": limit}
        cycles += [{"limit": limit}, *[run] * (limit - 1), run | {"moves": 1}, *[run] * limit]
        cycles += [run | {"clear": 1}] * 2
    for bit in range(10, 32):
        cycles += [{"limit": 1 << bit}, *[{"running": 1}] * 5]
    supervise(cycles)


def test_supervisor_blames_the_first_tile_that_waits():
    cycles = []
    for waiting in range(1, 1 << TILES):
        run = {"running": 1, "waiting": waiting, "limit": 1, "pc": waiting}
        cycles += [{"clear": 1, "limit": 1}, *[run] * 3]
    supervise(cycles)


def test_supervisor_keeps_the_first_error():
    bad, packet = {"bad_instruction": 1, "pc": 5}, {"bad_packet": 1, "pc": 9}
    cycles = [bad, packet, packet | {"clear": 1}, {}, bad, {"clear": 1}, {}, packet, {}]
    supervise([{"running": 1, "waiting": 8, "op": int(Op.LOAD)} | c for c in cycles])


def test_supervisor_remembers_that_a_run_ended():
    done, both = {"done": 1}, {"done": 1, "clear": 1}
    supervise([done, {}, {"start": 1}, {}, done, {}, {"clear": 1}, {}, both, {}, {"reset": 1}, {}])


def test_supervisor_of_random_cycles():
    rng = random.Random(3)
    rare = {"bad_packet", "bad_instruction", "clear", "reset", "start", "done"}
    cycles, held = [], dict.fromkeys(INPUTS, 0)
    for _ in range(8000):
        for name, most in INPUTS.items():
            if name in rare:
                held[name] = int(rng.random() < 0.03)
            elif name == "moves":
                held[name] = rng.choice([0, 0, 0, 1 << rng.randrange(MOVES)])
            elif rng.random() < 0.2:
                held[name] = rng.choice([0, rng.randint(0, most)])
        held["running"] = int(rng.random() < 0.9)
        cycles.append(dict(held))
    assert supervise(cycles) == set(ErrorCode)


BENCHES = [
    test_supervisor_names_every_error,
    test_supervisor_sees_every_move,
    test_supervisor_waits_as_long_as_its_limit,
    test_supervisor_blames_the_first_tile_that_waits,
    test_supervisor_keeps_the_first_error,
    test_supervisor_remembers_that_a_run_ended,
    test_supervisor_of_random_cycles,
]
