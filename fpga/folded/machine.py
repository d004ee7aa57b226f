# SPDX-License-Identifier: Apache-2.0
"""The core with its program and its memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .core import Core
from .isa import INSTRUCTION_BITS, PROGRAM_WORDS, WORD_BITS
from .ram import SinglePort

__all__ = ["Machine"]


class Machine(wiring.Component):
    """Run the program that was loaded over and over: once is one cycle of the design.

    Members
    -------
    run : ``In(1)``
    at : ``In``, piece : ``In(48)``, word : ``In(1)``, memory : ``In(1)``, program : ``In(1)``
        While ``run`` is 0: write a word, 16 bits of memory or an instruction. They are the upper
        bits of ``piece``.
    i, taken, o, sent
        As those of :class:`fpga.folded.core.Core`.
    """

    run: In(1)
    at: In(range(PROGRAM_WORDS))
    piece: In(INSTRUCTION_BITS)
    word: In(1)
    memory: In(1)
    program: In(1)
    i: In(WORD_BITS)
    taken: Out(1)
    o: Out(WORD_BITS)
    sent: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core()
        m.submodules.program = program = SinglePort(INSTRUCTION_BITS)
        m.submodules.memory = memory = SinglePort(16)
        m.d.comb += [
            core.run.eq(self.run),
            program.address.eq(Mux(self.run, core.pc, self.at)),
            program.w_data.eq(self.piece),
            program.w_en.eq(self.program),
            core.instruction.eq(program.r_data),
            memory.address.eq(Mux(self.run, core.address, self.at)),
            memory.w_data.eq(Mux(self.run, core.w_data, self.piece[-16:])),
            memory.w_en.eq(core.w_en | self.memory),
            core.r_data.eq(memory.r_data),
            core.word.eq(self.at),
            core.word_data.eq(self.piece[-WORD_BITS:]),
            core.word_en.eq(self.word),
            core.i.eq(self.i),
            self.taken.eq(core.taken),
            self.o.eq(core.o),
            self.sent.eq(core.sent),
        ]
        return m
