# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The core does what its model does, and begins with what the flash memory holds."""

import random
from dataclasses import replace

import pytest

from cosim.bench import simulate
from fpga.folded.image import IMAGE_ADDRESS, Loader, image
from fpga.folded.isa import (
    DELAY_SLOTS,
    MEMORY_WORDS,
    NOP,
    SILENT,
    WORDS,
    Instruction,
    Op,
    Program,
)
from fpga.folded.machine import Machine
from fpga.folded.model import CoreModel
from fpga.folded.top import check_speed

#: Words that programs use, and how many of them they write; values that make a difference.
USED, WRITTEN = 40, 12
SPECIAL = (1, 2, 31, 32, 33, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x10000)


def program_by_chance(seed):
    rng = random.Random(seed)
    used = rng.sample(range(1, WORDS), USED)
    written, bases = used[:WRITTEN], used[-2:]
    code = []
    for k in range(600):
        op = Op.OUT if k % 2 else rng.choice([op for op in Op if op is not Op.END])
        if op is Op.LOAD and code and code[-1].op is Op.STORE:
            continue
        a, b, dst = rng.choice(used), rng.choice(used), rng.choice(written)
        width, shift = rng.choice([1, 5, 16, 31, 32, 32]), rng.choice([0, 0, 7, 31])
        if op is Op.OUT:
            a, width, shift = rng.choice(written), 32, 0
        elif op is Op.STORE:  # where LOAD comes, too
            dst, width = rng.choice([0, 1025]), 2
        elif op is Op.LOAD:
            b, width = rng.choice(bases), 2
        code.append(Instruction(op, dst, a, b, shift, width))
    code += [Instruction(Op.END), *[NOP] * DELAY_SLOTS]
    words = [0] * WORDS
    for k in used:
        words[k] = rng.choice([*SPECIAL, rng.getrandbits(32)])
    words[bases[0]], words[bases[1]] = 0, 8 * 1025
    memory = [0] * MEMORY_WORDS
    for k in (*range(4), *range(8 * 1025, 8 * 1025 + 4)):
        memory[k] = rng.getrandbits(16)
    return Program(tuple(code), tuple(words), tuple(memory))


def program_of_corners():
    """Every operation on every pair of the values at which something turns over, every width."""
    values = (0, 1, 32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    first = 1000  # words that are written
    operations = [
        (op, a, b, 0, 32)
        for op in Op
        if op not in (*SILENT, Op.LOAD, Op.IN)
        for a in range(1, 1 + len(values))
        for b in range(1, 1 + len(values))
    ]
    operations += [(Op.SXT, a, 0, 1, width) for width in range(1, 33) for a in (4, 5)]
    code = []
    for k in range(0, len(operations), 8):
        batch = operations[k : k + 8]
        code += [Instruction(op, first + n, *rest) for n, (op, *rest) in enumerate(batch)]
        code += [Instruction(Op.OUT, a=first + n) for n in range(8)]
    code += [Instruction(Op.END), *[NOP] * DELAY_SLOTS]
    return Program(tuple(code), (0, *values), ())


def run_core(program, received):
    """Return what OUT said in each cycle of the design, one for each of ``received``."""
    said = [[] for _ in received]

    def drive(pins):
        for kind, values in (
            ("word", [word << 16 for word in program.words]),
            ("memory", [piece << 32 for piece in program.memory]),
            ("program", [i.encode() for i in program.instructions]),
        ):
            for at, value in enumerate(values):
                if value:
                    pins["at"], pins["piece"], pins[kind] = at, value, 1
                    yield
            pins[kind] = 0
        yield
        yield
        pins["run"] = 1
        each = len(program.instructions)
        for _ in range(5):  # from the program counter to OUT
            yield
        for k, x in enumerate(received):
            pins["i"] = x
            for _ in range(each):
                yield
                if pins["sent"]:
                    said[k].append(pins["o"])

    simulate(Machine(), drive)
    return said


def run_model(program, received):
    model = CoreModel(program)
    return [model.cycle(x) for x in received]


def bench_chance(seeds=range(4)):
    for seed in seeds:
        rng = random.Random(seed)
        received = [rng.getrandbits(32) for _ in range(6)]
        program = program_by_chance(seed)
        assert run_core(program, received) == run_model(program, received)


def bench_corners():
    program = program_of_corners()
    assert run_core(program, [5]) == run_model(program, [5])


@pytest.mark.parametrize("bench", [bench_chance, bench_corners])
def test_core_equals_its_model(bench):
    bench()


@pytest.mark.parametrize("op", [op for op in Op if op not in (Op.OUT, Op.END)])
def test_every_instruction_changes_what_comes_out(op):
    """Programs without it come to something else: the test above would notice a wrong one."""
    program = program_by_chance(1)
    less = tuple(NOP if i.op is op else i for i in program.instructions)
    assert op in {i.op for i in program.instructions}
    received = [7, 8]
    without = Program(less, program.words, program.memory)
    assert run_model(without, received) != run_model(program, received)


def test_clock_must_let_the_design_take_every_byte():
    check_speed(17_280_000, 9600, 9000)
    message = (
        r"^clock must be at least 17\.3 MHz, not 12: a byte at 9,600 Bd must last two cycles of "
        r"the chip, of 9,000 instructions each$"
    )
    with pytest.raises(ValueError, match=message):
        check_speed(12_000_000, 9600, 9000)


# --- the flash memory

SIZES = (3, 20, 5)
CODE = tuple(Instruction(Op(k + 3), 100 * k, 7, 2000, 31, 5) for k in range(4))
PROGRAM = Program(CODE, (0x12345678, 0xFFFFFFFF), (0xABCD, 1, 0x8000, *range(700, 715)))


def run_loader(content):
    """Return what the loader writes of a flash memory that holds ``content`` at its place.

    And what it asks for, each time, with the cycles for which it did not before.
    """
    wrote, asked = [], []
    state = {"bits": [], "clk": 0, "pause": 0}

    def flash(pins):
        if not pins["flash.cs"]:
            if state["bits"]:
                asked.append((state["bits"], state["pause"]))
                state["pause"] = 0
            state["bits"] = []
            state["pause"] += 1
        elif pins["flash.clk"] and not state["clk"]:
            state["bits"].append(pins["flash.copi"])
        elif state["clk"] and not pins["flash.clk"] and len(state["bits"]) >= 32:
            at = len(state["bits"]) - 32
            byte = content[at // 8] if at // 8 < len(content) else 0xFF
            pins["flash.cipo"] = byte >> (7 - at % 8) & 1
        state["clk"] = pins["flash.clk"]

    def drive(pins):
        for _ in range(1024 + 200 + 16 * len(content) + 50):
            yield
            flash(pins)
            for name in ("word", "memory", "program"):
                if pins[name]:
                    wrote.append((name, pins["at"], pins["piece"]))
        asked.append((state["bits"], state["pause"]))
        wrote.append(("done", pins["done"], 0))

    simulate(Loader(SIZES), drive)
    return wrote, asked


def bench_loader():
    wrote, asked = run_loader(image(PROGRAM, SIZES))
    words = [(n, at, v >> 16) for n, at, v in wrote if n == "word"]
    assert words == [("word", 0, 0x12345678), ("word", 1, 0xFFFFFFFF), ("word", 2, 0)]
    pieces = [(at, v >> 32) for n, at, v in wrote if n == "memory"]
    assert pieces == [*enumerate(PROGRAM.memory), (18, 0), (19, 0)]
    code = [(at, v) for n, at, v in wrote if n == "program"]
    assert code == [*((k, i.encode()) for k, i in enumerate(CODE)), (4, 0)]
    assert wrote[-1] == ("done", 1, 0)
    wake, read = (sum(b << k for k, b in enumerate(reversed(bits[:32]))) for bits, _ in asked[:2])
    assert (wake, len(asked[0][0])) == (0xAB, 8), "release from power-down"
    assert read == 0x03 << 24 | IMAGE_ADDRESS
    assert asked[1][1] in range(1020, 1030), "the flash memory takes its time to wake up"
    assert len(asked[1][0]) in range(32 + 16 * 42, 34 + 16 * 42), "nothing is read behind the image"


def test_loader_writes_what_the_flash_memory_holds():
    bench_loader()


def bench_damage(bits=range(16)):
    """Each bit of a piece counts, wherever the piece is; without damage all is well."""
    for bit in bits:
        words = tuple(random.Random(bit).getrandbits(32) for _ in range(3))
        content = bytearray(image(replace(PROGRAM, words=words), SIZES))
        wrote, _ = run_loader(bytes(content))
        assert wrote[-1] == ("done", 1, 0)
        content[(6 * bit) % len(content) & ~1 | bit // 8] ^= 1 << bit % 8
        wrote, _ = run_loader(bytes(content))
        assert wrote[-1] == ("done", 0, 0)


def test_loader_notices_any_bit():
    bench_damage([0, 3, 9])


@pytest.mark.parametrize("at", [0, 13, 30, -1])
def test_loader_is_not_done_with_a_damaged_image(at):
    content = bytearray(image(PROGRAM, SIZES))
    content[at] ^= 0x10
    wrote, _ = run_loader(bytes(content))
    assert wrote[-1] == ("done", 0, 0)


def test_loader_is_not_done_without_an_image():
    wrote, _ = run_loader(b"")
    assert wrote[-1] == ("done", 0, 0)


BENCHES = [bench_chance, bench_corners, bench_loader, bench_damage]
