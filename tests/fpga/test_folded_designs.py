# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A folded design does in each of its cycles what the design does, bit for bit."""

import random
import re
from functools import partial
from itertools import pairwise

import pytest
from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from cosim.bench import simulate
from fpga.folded.fold import fold
from fpga.folded.isa import DELAY_SLOTS, LATENCY, NOP, SILENT, Instruction, Op
from fpga.folded.model import CoreModel


class Mixed(wiring.Component):
    """Registers, a memory and a lot of logic by chance."""

    i: In(32)
    o: Out(32)

    def __init__(self, seed):
        self.seed = seed
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        rng = random.Random(self.seed)
        shapes = [Shape(n, rng.random() < 0.4) for n in (1, 1, 2, 5, 8, 16, 17, 32, 40, 64)]
        low = [-(1 << shape.width - 1) if shape.signed else 0 for shape in shapes]
        state = [
            Signal(shape, name=f"state_{k}", init=least + rng.getrandbits(shape.width))
            for k, (shape, least) in enumerate(zip(shapes, low, strict=True))
        ]
        clocked = rng.random() < 0.5
        m.submodules.memory = memory = Memory(
            shape=rng.choice([5, 16, 20, 40]), depth=rng.choice([4, 16]), init=[1, 2, 3]
        )
        write = memory.write_port()
        read = memory.read_port(
            domain="sync" if clocked else "comb",
            transparent_for=(write,) if clocked and rng.random() < 0.5 else (),
        )
        known = [self.i[:12], self.i[12:], self.i[5:9], *state, read.data]
        m.d.comb += read.addr.eq(rng.choice(state))
        for k in range(120):
            value = self._expression(rng, *(rng.choice(known) for _ in range(3)))
            signal = Signal(Shape(min(len(value), 64), value.shape().signed), name=f"comb_{k}")
            m.d.comb += signal.eq(value)
            known.append(signal)
        for signal in state:
            with m.Switch(rng.choice(known)[:2]):
                with m.Case(0):
                    m.d.sync += signal.eq(rng.choice(known))
                with m.Case(1):
                    m.d.sync += signal[: (len(signal) + 1) // 2].eq(rng.choice(known))
                with m.Default():
                    m.d.sync += signal.eq(rng.choice([signal, *known]))
        if clocked:
            m.d.comb += read.en.eq(rng.choice(known)[0])
        m.d.comb += [
            write.addr.eq(rng.choice(known)),
            write.data.eq(rng.choice(known)),
            write.en.eq(rng.choice(known)[0]),
        ]
        out = 0
        for signal in [*state, read.data, *known[-20:]]:
            out = out ^ signal.as_unsigned()[:32] ^ signal.as_unsigned()[32:]
        m.d.comb += self.o.eq(out)
        return m

    def _expression(self, rng, a, b, c):
        few = rng.choice([7, 16, 18])
        return rng.choice([
            lambda: a + b,
            lambda: a - b,
            lambda: a & b,
            lambda: a | b,
            lambda: a ^ b,
            lambda: Mux(c.any(), a, b),
            lambda: Cat(a, b)[: rng.randrange(1, 40)],
            lambda: a == b,
            lambda: a[:20] < b[:20],
            lambda: a[:30].as_signed() >= b[:30].as_signed(),
            lambda: a[:18].as_signed() * b[:few].as_signed(),
            lambda: a[:18] * b[:14],
            lambda: a >> b[:4],
            lambda: a[:40] << b[:3],
            lambda: ~a,
            lambda: a.any() | b.all(),
            lambda: -a,
            lambda: a.bit_select(b[:4], 3),
        ])()


class OnePlace(wiring.Component):
    """A memory that is read where it is written."""

    i: In(32)
    o: Out(32)

    def __init__(self, transparent):
        self.transparent = transparent
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=20, depth=4, init=[7, 8, 9])
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,) if self.transparent else ())
        m.d.comb += [
            write.addr.eq(self.i),
            write.data.eq(self.i[4:]),
            write.en.eq(self.i[2]),
            read.addr.eq(self.i),
            read.en.eq(self.i[3]),
            self.o.eq(read.data),
        ]
        return m


class Narrow(wiring.Component):
    """Less than a word is kept of a sum: in a register that is wider, in a memory."""

    i: In(32)
    o: Out(32)

    def __init__(self, enabled):
        self.enabled = enabled
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=5, depth=8, init=[])
        write, read = memory.write_port(), memory.read_port()
        few, wide = Signal(5), Signal(8, init=0xFF)
        m.d.comb += [
            few.eq(self.i[3:19] + self.i[5:21]),
            write.addr.eq(self.i),
            write.data.eq(few),
            write.en.eq(1),
            read.addr.eq(self.i[4:]),
            read.en.eq(self.i[30] if self.enabled else 1),
            self.o.eq(read.data * self.i[8:15] + (read.data >> 1) + (wide << 16)),
        ]
        m.d.sync += wide.eq(few)
        return m


@pytest.mark.slow
@pytest.mark.parametrize("enabled", [False, True])
def test_what_is_above_the_bits_that_are_kept_is_nothing(enabled):
    assert_same(partial(Narrow, enabled), 1)


@pytest.mark.slow
@pytest.mark.parametrize("transparent", [False, True])
def test_folded_memory_is_the_memory(transparent):
    assert_same(partial(OnePlace, transparent), 3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_folded_design_is_the_design(seed):
    assert_same(partial(Mixed, seed), seed)


def assert_same(design, seed):
    """Compare a design, folded, with Amaranth's simulation of it."""
    rng = random.Random(seed)
    inputs = [rng.getrandbits(32) for _ in range(100)]
    want = []

    def drive(pins):
        for x in inputs:
            pins["i"] = x
            yield
            want.append(pins["o"])

    simulate(design(), drive)
    core = CoreModel(program := fold(design()))
    assert [core.cycle(x)[0] for x in inputs] == want
    assert_nobody_reads_too_early(program)


def assert_nobody_reads_too_early(program):
    """Check that no word is read while it is on its way to block RAM, or written there."""
    code = program.instructions
    assert [k for k, i in enumerate(code) if i.op is Op.END] == [len(code) - 1 - DELAY_SLOTS]
    last = max(k for k, i in enumerate(code) if i.op not in SILENT and i != NOP)
    assert len(code) - last >= LATENCY, "the first instruction may read what the last one writes"
    written = {}
    for k, i in enumerate((*code, *code[:LATENCY])):
        for word in (i.a, i.b):
            assert k - written.get(word, -LATENCY) >= LATENCY or word == 0
        if i.op not in SILENT:
            written[i.dst] = k
    assert not any(a.op is Op.STORE and b.op is Op.LOAD for a, b in pairwise(code))


def test_instruction_is_what_was_encoded():
    every = Instruction(Op.GTS, 1791, 1024, 513, 31, 32)
    assert every.encode() == 12 | 31 << 5 | 0 << 10 | 1791 << 15 | 1024 << 26 | 513 << 37
    with pytest.raises(ValueError, match=re.escape("a field must be of 11 bits, not 2048")):
        Instruction(Op.CAT, 2048).encode()
