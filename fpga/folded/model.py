# SPDX-License-Identifier: Apache-2.0
"""Golden model of the core: a program, instruction by instruction."""

from collections import deque

from .isa import LATENCY, MEMORY_WORDS, SILENT, WORD_BITS, WORDS, Op, Program

__all__ = ["CoreModel"]

_ONES = (1 << WORD_BITS) - 1


def _signed(value: int, width: int) -> int:
    return value - ((value >> (width - 1) & 1) << width)


class CoreModel:
    """Runs a program; a word that is read too early is the one before, as in the core.

    Attributes
    ----------
    words, memory : list of int
    flag : bool
    sent : list of int
        What OUT said in this cycle of the design.
    """

    def __init__(self, program: Program):
        self.program = program
        self.words = [*program.words, *[0] * (WORDS - len(program.words))]
        self.memory = [*program.memory, *[0] * (MEMORY_WORDS - len(program.memory))]
        self.flag = False
        self.sent: list[int] = []
        self._before = Op.END
        # what is on its way into words
        self._late: deque[tuple[int, int] | None] = deque([None] * (LATENCY - 1))

    def cycle(self, received: int) -> list[int]:
        """Run one cycle of the design; return what it sent."""
        self.sent = []
        for instruction in self.program.instructions:
            written = self._execute(instruction, received)
            self._late.append(written)
            if (done := self._late.popleft()) is not None:
                self.words[done[0]] = done[1]
        return self.sent

    def _execute(self, instruction, received: int) -> tuple[int, int] | None:
        op, width = instruction.op, instruction.width
        assert not (op is Op.LOAD and self._before is Op.STORE), "the memory has one port"
        self._before = op
        whole, b = self.words[instruction.a], self.words[instruction.b]
        if op is Op.SHR:
            a = whole >> b if b < WORD_BITS else 0
        else:
            a = whole >> instruction.shift
        a &= (1 << width) - 1
        match op:
            case Op.TEST:
                self.flag = a != b
            case Op.STORE if self.flag:
                self.memory[(instruction.dst * 8 | a) % MEMORY_WORDS] = b & 0xFFFF
            case Op.OUT:
                self.sent.append(a)
        if op in SILENT:
            return None
        return instruction.dst, self._result(op, a, b, width, received) & _ONES

    def _result(self, op: Op, a: int, b: int, width: int, received: int) -> int:
        match op:
            case Op.CAT:
                return b << width | a
            case Op.AND:
                return a & b
            case Op.OR:
                return a | b
            case Op.XOR:
                return a ^ b
            case Op.ADD:
                return a + b
            case Op.SUB:
                return a - b
            case Op.RSUB:
                return b - a
            case Op.EQ:
                return a == b
            case Op.NE:
                return a != b
            case Op.LTU:
                return a < b
            case Op.GTU:
                return a > b
            case Op.LTS:
                return _signed(a, WORD_BITS) < _signed(b, WORD_BITS)
            case Op.GTS:
                return _signed(a, WORD_BITS) > _signed(b, WORD_BITS)
            case Op.MUL:
                return (a & 0xFFFF) * (b & 0xFFFF)
            case Op.SXT:
                return _signed(a, width)
            case Op.SHR:
                return a
            case Op.SHL:
                return b << a % 64
            case Op.SEL:
                return a if self.flag else b
            case Op.SELN:
                return b if self.flag else a
            case Op.LOAD:
                return self.memory[(a | b) % MEMORY_WORDS]
        assert op is Op.IN
        return received
