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


def _is_op(encoded, *ops):
    """Whether an encoded instruction is one of some."""
    return Cat(encoded.op == op for op in sorted(ops)).any()


class Core(wiring.Component):
    """Run a program over and over: once is one cycle of the design.

    Golden: :class:`fpga.folded.model.CoreModel`. Stages of an instruction: it comes from the
    program; words A and B are read; they are there; A is shifted; ``a`` is cut out, and LOAD asks
    the memory; the result is there; it is written. It can be read by the sixth instruction behind
    (``LATENCY``).

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
        write, write_data, write_en = Signal(range(WORDS)), Signal(WORD_BITS), Signal()
        words = []
        for number in (now.a, now.b):
            memory = Memory(shape=WORD_BITS, depth=WORDS, init=[], attrs={"no_rw_check": 1})
            m.submodules += memory
            reader, writer = memory.read_port(), memory.write_port()
            m.d.comb += [
                reader.addr.eq(number),
                reader.en.eq(1),
                writer.addr.eq(write),
                writer.data.eq(write_data),
                writer.en.eq(write_en),
            ]
            word = Signal(WORD_BITS)
            m.d.sync += word.eq(reader.data)
            words.append(word)
        read, reading = Signal(Encoded), Signal()
        m.d.sync += [read.eq(self.instruction), reading.eq(fetched & self.run)]

        # --- shift: to the right, by a number of the instruction or of B
        shift, shifting = Signal(Encoded), Signal()
        m.d.sync += [shift.eq(read), shifting.eq(reading & self.run)]
        dynamic = _is_op(shift, Op.SHR)
        shifted, kept = Signal(WORD_BITS), Signal(WORD_BITS)
        m.d.sync += [
            shifted.eq(words[0] >> Mux(dynamic, words[1][:5], shift.shift)),
            kept.eq(words[1]),
        ]

        # --- cut: what is above the width goes; all of it, if there was nothing left
        cut, cutting = Signal(Encoded), Signal()
        m.d.sync += [cut.eq(shift), cutting.eq(shifting & self.run)]
        nothing = _is_op(cut, Op.SHR) & kept[5:].any()
        below = Cat((cut.width > k) | (cut.width == 0) for k in range(WORD_BITS))  # 0 is 32
        a, b = Signal(WORD_BITS), kept
        m.d.comb += a.eq(Mux(nothing, 0, shifted & below))

        # --- do; what the adder adds is chosen a cycle before, as b - a and what compares so
        do = Signal(Encoded)
        doing, flag, silent = Signal(), Signal(), Signal()
        x, y = Signal(WORD_BITS), Signal(WORD_BITS)
        terms, minus = Array(Signal(WORD_BITS, name=f"term_{k}") for k in range(2)), Signal()
        swap = _is_op(cut, Op.RSUB, Op.GTU, Op.GTS)
        plus = _is_op(cut, Op.ADD)
        m.d.sync += [
            do.eq(cut),
            doing.eq(cutting & self.run),
            silent.eq(_is_op(cut, *SILENT)),
            x.eq(a),
            y.eq(b),
            terms[0].eq(Mux(swap, b, a)),
            terms[1].eq(Mux(swap, a, b) ^ (~plus).replicate(WORD_BITS)),
            minus.eq(~plus),
        ]
        result = Signal(WORD_BITS)
        m.d.comb += result.eq(self._result(m, do, x, y, flag, terms, minus))
        with m.If(doing & _is_op(do, Op.TEST)):
            m.d.sync += flag.eq(x != y)
        store = Signal()
        m.d.comb += [
            store.eq(doing & _is_op(do, Op.STORE)),
            self.address.eq(Mux(store, Cat(C(0, 3), do.dst) | x, a | b)),
            self.w_data.eq(y),
            self.w_en.eq(store & flag),
            self.taken.eq(doing & _is_op(do, Op.IN)),
            self.sent.eq(doing & _is_op(do, Op.OUT)),
            self.o.eq(x),
        ]

        # --- write
        m.d.sync += [
            write.eq(Mux(self.run, do.dst, self.word)),
            write_data.eq(Mux(self.run, result, self.word_data)),
            write_en.eq(Mux(self.run, doing & ~silent, self.word_en)),
        ]
        return m

    def _result(self, m, do, x, y, flag, terms, minus):
        """Return what the instruction writes."""
        by, up = Signal(6), Signal(WORD_BITS)
        total = Signal(WORD_BITS + 1)
        product, equal, sign = Signal(WORD_BITS), Signal(), Signal()
        m.d.comb += [
            by.eq(Mux(_is_op(do, Op.SHL), x, Cat(do.width, do.width == 0))),
            up.eq(Mux(by[5], 0, y << by[:5])),
            total.eq(terms[0] + terms[1] + minus),
            product.eq(x[:16] * y[:16]),
            equal.eq(x == y),
            sign.eq(x.bit_select((do.width - 1)[:5], 1)),
        ]
        less = ~total[WORD_BITS]
        differ = terms[0][-1] ^ ~terms[1][-1]  # the signs of what is compared
        above = Cat((do.width <= k) & (do.width != 0) for k in range(WORD_BITS))
        results = {
            (Op.CAT,): up | x,
            (Op.SHL,): up,
            (Op.AND,): x & y,
            (Op.OR,): x | y,
            (Op.XOR,): x ^ y,
            (Op.ADD, Op.SUB, Op.RSUB): total,
            (Op.EQ,): equal,
            (Op.NE,): ~equal,
            (Op.LTU, Op.GTU): less,
            (Op.LTS, Op.GTS): less ^ differ,
            (Op.MUL,): product,
            (Op.SXT,): x | (above & sign.replicate(WORD_BITS)),
            (Op.SHR,): x,
            (Op.SEL,): Mux(flag, x, y),
            (Op.SELN,): Mux(flag, y, x),
            (Op.LOAD,): self.r_data,
            (Op.IN,): self.i,
        }
        out = Signal(WORD_BITS)
        with m.Switch(do.op):
            for ops, value in results.items():
                with m.Case(*ops):
                    m.d.comb += out.eq(value)
        return out
