# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Every cycle of a run: what is executed, and which units, examples and jumps that needs."""

import random
from functools import partial

import pytest

from cosim.bench import simulate
from golden.config import ChipConfig
from golden.program import Op, compile_program
from rtl.sequencer import Sequencer, Word

DEPTH = 256
#: Instructions that start a unit whenever they come.
UNITS = set(Op) - {Op.LOAD, Op.SKIP_ZERO, Op.AGE, Op.TRANSFER, Op.JUMP}


class Script:
    """Inputs and outputs of every cycle, written by a model of the sequencer.

    Inputs that an instruction does not look at are random.
    """

    def __init__(self, program, *, seed=0, wait=3, unit=3):
        self.program = program
        self.rng = random.Random(seed)
        self.wait, self.unit = wait, unit
        self.cycles = []
        self.stopping = False

    def add(self, inputs, **outputs):
        bits = {name: self.rng.randrange(2) for name in ("busy", "ready", "nonzero")}
        bits |= {"age_due": self.rng.randrange(2), "transfer_due": self.rng.randrange(2)}
        bits |= {"start": 0, "start_pc": self.rng.randrange(256), "stop": 0, "rst": 0}
        bits |= {"examples": self.rng.randrange(1, 9)}
        expected = dict.fromkeys(("done", "launch", "finish", "over", "take", "bad"), 0)
        self.cycles.append((bits | inputs, expected | {"running": 1} | outputs))

    def idle(self, n=1, **inputs):
        for _ in range(n):
            self.add(inputs, running=0)

    def run(self, start_pc, examples, *, stop=None, cut=None):
        """Run; stop in cycle ``stop`` of the run, or reset in cycle ``cut``."""
        begin = len(self.cycles)
        self.add({"start": 1, "start_pc": start_pc, "examples": examples}, running=0)
        pc, left, visits = start_pc, examples, []
        while True:
            visits.append(pc)
            op, layer, target = self.program[pc]
            here = {"pc": pc, "word": op | layer << 4 | target << 8}
            first = len(self.cycles)
            pc += 1
            ended = False
            if op == Op.LOAD:
                stopping = stop is not None and stop < first - begin
                waits = 0
                if left and not stopping:
                    waits = self.rng.randrange(self.wait + 1)
                    if stop is not None and first - begin + waits > stop:
                        waits = stop - (first - begin) + 1
                        stopping = True
                    for _ in range(waits):
                        self.add({"ready": 0}, **here)
                if not left or stopping:
                    self.add({}, **here, done=1)
                    ended = True
                else:
                    self.add({"ready": 1}, **here, take=1, finish=1)
                    left -= 1
            elif op == Op.JUMP:
                self.add({}, **here, finish=1)
                pc = target
            elif op == Op.SKIP_ZERO:
                nonzero = self.rng.randrange(2)
                self.add({"nonzero": nonzero}, **here, finish=1)
                pc = pc if nonzero else target
            else:
                due = self.rng.randrange(2)
                inputs = {Op.AGE: {"age_due": due}, Op.TRANSFER: {"transfer_due": due}}.get(op)
                if inputs is None and op not in UNITS:
                    for _ in range(5):
                        self.add({}, **here, bad=1)
                    ended = True
                elif inputs is not None and not due:
                    self.add(inputs, **here, finish=1)
                else:
                    self.add(inputs or {}, **here, launch=1)
                    for _ in range(self.rng.randrange(self.unit + 1)):
                        self.add({"busy": 1}, **here)
                    self.add({"busy": 0}, **here, finish=1, over=1)
            if stop is not None and len(self.cycles) > begin + stop:
                self.cycles[begin + stop][0]["stop"] = 1
            if cut is not None and len(self.cycles) > begin + cut:
                del self.cycles[begin + cut + 1 :]
                self.cycles[-1][0]["rst"] = 1
                return visits
            if ended:
                return visits


def check_sequencer(script):
    def drive(pins):
        pins["program_en"] = 1
        for at, (op, layer, target) in enumerate(script.program):
            pins["program_addr"] = at
            pins["program_data"] = Word.const({
                "op": op,
                "layer": layer,
                "target": target,
            }).as_bits()
            yield
        pins["program_en"] = 0
        for cycle, (inputs, outputs) in enumerate(script.cycles):
            for name, value in inputs.items():
                pins[name] = value
            yield
            seen = {name: pins[name] for name in outputs}
            assert seen == outputs, f"cycle {cycle}"

    simulate(Sequencer(DEPTH), drive)


def training(layers=(5, 4, 3), at=2):
    """Words of a training program that starts at ``at``, like in a controller."""
    n = len(layers) - 1
    chip = ChipConfig(layers=layers, forward_shift=(16,) * n, backward_shift=(12,) * n)
    code = [(Op.WRITE, 0, 0), (Op.LOAD, 0, 0)]
    for p in compile_program(chip):
        jumps = p.op in (Op.JUMP, Op.SKIP_ZERO)
        code.append((p.op, p.layer, p.target + at if jumps else 0))
    return code


@pytest.mark.parametrize(("wait", "unit"), [(0, 0), (0, 4), (4, 0), (5, 6)])
def test_sequencer_runs_a_training_program(wait, unit):
    script = Script(training(), seed=1, wait=wait, unit=unit)
    script.idle(2)
    visits = script.run(2, 12)
    assert {op for op, *_ in (script.program[pc] for pc in visits)} == set(Op) - {Op.WRITE}
    script.idle(2, stop=1)  # a stop between runs means nothing
    script.run(2, 1)
    script.run(0, 0)  # only WRITE
    script.idle()
    script.run(2, 0)
    script.run(2, 3)
    script.idle(3)
    check_sequencer(script)


@pytest.mark.parametrize("stop", [*range(1, 16), 40, 41, 42, 43, 44])
def test_sequencer_stops_at_the_next_load(stop):
    """Wherever a stop comes; the run after it is whole."""
    script = Script(training((3, 2)), seed=stop)
    visits = script.run(2, 20, stop=stop)
    assert visits.count(2) < 20
    script.idle(stop % 2)
    script.run(2, 2)
    script.idle()
    check_sequencer(script)


def test_sequencer_counts_any_number_of_examples():
    script = Script([(Op.LOAD, 0, 0), (Op.JUMP, 0, 0)], wait=0)
    for bit in range(3, 32):
        script.run(0, 1 << bit, stop=3)
        script.run(0, (1 << bit) - 1, stop=3)
    script.run(0, 70)
    script.run(0, 600)
    script.idle()
    check_sequencer(script)


def test_sequencer_ends_while_it_waits_for_an_example():
    script = Script([(Op.LOAD, 0, 0), (Op.JUMP, 0, 0)], wait=0)
    here = {"pc": 0, "word": 0}
    script.add({"start": 1, "start_pc": 0, "examples": 3}, running=0)
    for stop in [0, 0, 0, 1]:
        script.add({"ready": 0, "stop": stop}, **here)
    script.add({"ready": 1}, **here, done=1)
    script.run(0, 4)
    script.idle(2)
    check_sequencer(script)


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 8, 13, 21])
def test_sequencer_begins_anew_after_reset(cut):
    """The program stays."""
    script = Script(training(), seed=cut)
    script.run(2, 9, stop=max(1, cut - 4), cut=cut)
    script.idle()
    script.run(2, 4)
    script.idle()
    check_sequencer(script)


@pytest.mark.parametrize("op", range(len(Op), 16))
def test_sequencer_stands_at_what_is_no_instruction(op):
    script = Script([(Op.FORWARD, 3, 7), (op, 15, 255), (Op.LOAD, 0, 0), (Op.JUMP, 0, 2)])
    script.run(0, 1)
    script.cycles[-1][0]["rst"] = 1
    script.idle()
    script.run(2, 2)
    check_sequencer(script)


def test_sequencer_reaches_every_word():
    """Random words without a way to stand still, up to the end of the memory."""
    rng = random.Random(3)
    ops = sorted(UNITS | {Op.AGE, Op.TRANSFER})
    program = [(rng.choice(ops), rng.randrange(16), rng.randrange(256)) for _ in range(DEPTH)]
    for at in (5, 17, 23):
        program[at] = (Op.SKIP_ZERO, rng.randrange(16), at + 4)
    program[14], program[15] = (Op.LOAD, 2, 9), (Op.JUMP, 9, 16)
    program[-2:] = (Op.LOAD, 1, 1), (Op.JUMP, 0, 0)
    script = Script(program, seed=4)
    visits = script.run(DEPTH - 3, 9)
    assert set(visits) == set(range(DEPTH))
    script.idle()
    check_sequencer(script)


BENCHES = [
    *(partial(test_sequencer_runs_a_training_program, *how) for how in [(0, 0), (5, 6)]),
    *(partial(test_sequencer_stops_at_the_next_load, stop) for stop in [1, 2, 3, 5, 9, 40]),
    test_sequencer_ends_while_it_waits_for_an_example,
    test_sequencer_counts_any_number_of_examples,
    *(partial(test_sequencer_begins_anew_after_reset, cut) for cut in [2, 8, 21]),
    *(partial(test_sequencer_stands_at_what_is_no_instruction, op) for op in range(len(Op), 16)),
    test_sequencer_reaches_every_word,
]
