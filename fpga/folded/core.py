# SPDX-License-Identifier: Apache-2.0
"""The core of the folded emulator: one instruction a cycle, on words of 32 bits."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .isa import INSTRUCTION_BITS, MEMORY_WORDS, PROGRAM_WORDS, SILENT, WORD_BITS, WORDS, Op

__all__ = ["Core", "Encoded"]


class Encoded(data.Struct):
    """An instruction; see :meth:`fpga.folded.isa.Instruction.encode`."""

    op: 5
    shift: 5
    width: 5
    dst: 11
    a: 11
    b: 11


class Core(wiring.Component):
    """Run a program over and over: once is one cycle of the design.

    Golden: :class:`fpga.folded.model.CoreModel`. Stages of an instruction: its word comes from the
    program; words A and B are read; ``a`` is cut out, and LOAD asks the memory; the result is
    written. A result can be read by the third instruction behind (``LATENCY``).

    Members
    -------
    run : ``In(1)``
        0: nothing happens, and the program is at its beginning.
    pc : ``Out``, instruction : ``In(48)``
        Of the program, a cycle later.
    address : ``Out``, w_data : ``Out(16)``, w_en : ``Out(1)``, r_data : ``In(16)``
        Of the memory, a cycle later.
    word : ``In``, word_data : ``In(32)``, word_en : ``In(1)``
        Write a word, while ``run`` is 0.
    i : ``In(32)``, taken : ``Out(1)``
        What IN reads in this cycle.
    o : ``Out(32)``, sent : ``Out(1)``
        What OUT says in this cycle.
    """

    run: In(1)
    pc: Out(range(PROGRAM_WORDS))
    instruction: In(INSTRUCTION_BITS)
    address: Out(range(MEMORY_WORDS))
    w_data: Out(16)
    w_en: Out(1)
    r_data: In(16)
    word: In(range(WORDS))
    word_data: In(WORD_BITS)
    word_en: In(1)
    i: In(WORD_BITS)
    taken: Out(1)
    o: Out(WORD_BITS)
    sent: Out(1)

    def elaborate(self, platform):
        m = Module()

        # --- the program's word: fetched when its stage before was in the program
        fetched = Signal()
        now = Encoded(self.instruction)
        m.d.sync += [
            fetched.eq(self.run),
            self.pc.eq(Mux(self.run & ~(fetched & (now.op == Op.END)), self.pc + 1, 0)),
        ]

        # --- words, two reads of the same
        write = Signal(range(WORDS))
        result, write_en = Signal(WORD_BITS), Signal()
        words = []
        for number in (now.a, now.b):
            memory = Memory(shape=WORD_BITS, depth=WORDS, init=[], attrs={"no_rw_check": 1})
            m.submodules += memory
            reader, writer = memory.read_port(), memory.write_port()
            m.d.comb += [
                reader.addr.eq(number),
                reader.en.eq(1),
                writer.addr.eq(Mux(self.run, write, self.word)),
                writer.data.eq(Mux(self.run, result, self.word_data)),
                writer.en.eq(Mux(self.run, write_en, self.word_en)),
            ]
            words.append(reader.data)

        # --- cut: a number of 0..31 shifts to the right, what is above the width goes
        cut = Signal(Encoded)
        cutting = Signal()
        m.d.sync += [cut.eq(self.instruction), cutting.eq(fetched & self.run)]
        whole, b = words
        dynamic = Signal()
        m.d.comb += dynamic.eq(cut.op == Op.SHR)
        shifted, mask = Signal(WORD_BITS), Signal(WORD_BITS)
        m.d.comb += [
            shifted.eq(whole >> Mux(dynamic, b[:5], cut.shift)),
            # ones below the width; 0 is 32
            mask.eq(Cat((cut.width > k) | (cut.width == 0) for k in range(WORD_BITS))),
        ]
        a = Signal(WORD_BITS)
        m.d.comb += a.eq(shifted & mask & ~(dynamic & b[5:].any()).replicate(WORD_BITS))

        # --- do
        do = Signal(Encoded)
        doing, flag = Signal(), Signal()
        x, y = Signal(WORD_BITS), Signal(WORD_BITS)
        m.d.sync += [do.eq(cut), doing.eq(cutting & self.run), x.eq(a), y.eq(b)]
        m.d.comb += [
            write.eq(do.dst),
            write_en.eq(doing & ~Cat(do.op == op for op in sorted(SILENT)).any()),
        ]
        m.d.comb += result.eq(self._result(m, do, x, y, flag))
        with m.If(doing & (do.op == Op.TEST)):
            m.d.sync += flag.eq(x != y)
        store = Signal()
        m.d.comb += [
            store.eq(doing & (do.op == Op.STORE)),
            self.address.eq(Mux(store, Cat(C(0, 3), do.dst) | x, a | b)),
            self.w_data.eq(y),
            self.w_en.eq(store & flag),
            self.taken.eq(doing & (do.op == Op.IN)),
            self.sent.eq(doing & (do.op == Op.OUT)),
            self.o.eq(x),
        ]
        return m

    def _result(self, m, do, x, y, flag):
        """Return the result of the last stage."""
        out = Signal(WORD_BITS)
        up = Signal(WORD_BITS)  # y to the left
        by = Signal(6)
        m.d.comb += [
            by.eq(Mux(do.op == Op.SHL, x, Cat(do.width, do.width == 0))),
            up.eq(Mux(by[5], 0, y << by[:5])),
        ]
        # a - b or b - a or a + b, with the borrow
        p, q = Signal(WORD_BITS), Signal(WORD_BITS)
        swap, plus = Signal(), Signal()
        m.d.comb += [
            swap.eq((do.op == Op.RSUB) | (do.op == Op.GTU) | (do.op == Op.GTS)),
            plus.eq(do.op == Op.ADD),
            p.eq(Mux(swap, y, x)),
            q.eq(Mux(swap, x, y) ^ (~plus).replicate(WORD_BITS)),
        ]
        total = Signal(WORD_BITS + 1)
        m.d.comb += total.eq(p + q + ~plus)
        borrow = ~total[WORD_BITS]
        signs = p[-1] ^ ~q[-1]  # of what is compared: they differ
        product = Signal(32)
        m.d.comb += product.eq(x[:16] * y[:16])
        sign = Signal()
        m.d.comb += sign.eq(x.bit_select((do.width - 1)[:5], 1))
        above = Cat((do.width <= k) & (do.width != 0) for k in range(WORD_BITS))
        equal = Signal()
        m.d.comb += equal.eq(x == y)
        with m.Switch(do.op):
            with m.Case(Op.CAT):
                m.d.comb += out.eq(up | x)
            with m.Case(Op.SHL):
                m.d.comb += out.eq(up)
            with m.Case(Op.AND):
                m.d.comb += out.eq(x & y)
            with m.Case(Op.OR):
                m.d.comb += out.eq(x | y)
            with m.Case(Op.XOR):
                m.d.comb += out.eq(x ^ y)
            with m.Case(Op.ADD, Op.SUB, Op.RSUB):
                m.d.comb += out.eq(total)
            with m.Case(Op.EQ, Op.NE):
                m.d.comb += out.eq(equal ^ (do.op == Op.NE))
            with m.Case(Op.LTU, Op.GTU):
                m.d.comb += out.eq(borrow)
            with m.Case(Op.LTS, Op.GTS):
                m.d.comb += out.eq(borrow ^ signs)
            with m.Case(Op.MUL):
                m.d.comb += out.eq(product)
            with m.Case(Op.SXT):
                m.d.comb += out.eq(x | (above & sign.replicate(WORD_BITS)))
            with m.Case(Op.SHR):
                m.d.comb += out.eq(x)
            with m.Case(Op.SEL):
                m.d.comb += out.eq(Mux(flag, x, y))
            with m.Case(Op.SELN):
                m.d.comb += out.eq(Mux(flag, y, x))
            with m.Case(Op.LOAD):
                m.d.comb += out.eq(self.r_data)
            with m.Case(Op.IN):
                m.d.comb += out.eq(self.i)
        return out
