# SPDX-License-Identifier: Apache-2.0
"""Instructions of the folded emulator, bit for bit: what the compiler writes and the core reads.

An instruction reads words ``A`` and ``B`` (32 bits), cuts ``a = (A >> shift)[:width]`` out of the
first one, and writes a word ``dst``. The result is cut to 32 bits, not to the width of a signal: a
word may have anything above the bits that are meant.
"""

from dataclasses import dataclass
from enum import IntEnum

from analog_models.config import check

__all__ = [
    "INSTRUCTION_BITS",
    "LATENCY",
    "MEMORY_WORDS",
    "NOP",
    "PROGRAM_WORDS",
    "DELAY_SLOTS",
    "SILENT",
    "WORDS",
    "WORD_BITS",
    "Instruction",
    "Op",
    "Program",
    "TooLargeError",
]

#: Bits of a word, and words that there are: seven block RAMs deep, twice, for two reads a cycle.
WORD_BITS, WORDS = 32, 1792
#: Three single-port RAMs hold instructions, the fourth one memories, in pieces of 16 bits.
INSTRUCTION_BITS, PROGRAM_WORDS, MEMORY_WORDS = 48, 16384, 16384
#: Instructions from one that writes a word to the first one that reads it.
LATENCY = 6
#: Instructions behind END that are executed before the first one.
DELAY_SLOTS = 1


class TooLargeError(ValueError):
    """A design does not fit the core."""


class Op(IntEnum):
    """What an instruction does; ``b`` is all of ``B``. ``flag`` is the one bit of state."""

    CAT = 0  #: ``B << width | a``
    AND = 1
    OR = 2
    XOR = 3
    ADD = 4
    SUB = 5  #: ``a - b``
    RSUB = 6  #: ``b - a``
    EQ = 7
    NE = 8
    LTU = 9  #: ``a < b``, unsigned
    GTU = 10
    LTS = 11  #: ``a < b``, signed
    GTS = 12
    MUL = 13  #: ``a[:16] * b[:16]``, unsigned
    SXT = 14  #: ``a`` with its sign, bit ``width - 1``
    SHR = 15  #: ``A >> b``, then cut to ``width``
    SHL = 16  #: ``b << a[:6]``
    TEST = 17  #: ``flag = a != b``; writes nothing
    SEL = 18  #: ``a if flag else b``
    SELN = 19  #: ``b if flag else a``
    LOAD = 20  #: ``memory[b | a]``; never behind STORE at once
    STORE = 21  #: ``if flag: memory[dst * 8 | a] = b[:16]``; writes nothing
    IN = 22  #: what came: see :class:`fpga.folded.core.Core`
    OUT = 23  #: send ``a``; writes nothing
    END = 24  #: begin again, DELAY_SLOTS instructions later; writes nothing


#: Those that write no word.
SILENT = frozenset({Op.TEST, Op.STORE, Op.OUT, Op.END})


@dataclass(frozen=True)
class Instruction:
    """One instruction; word 0 is 0, and what has no meaning is 0, too.

    Parameters
    ----------
    op : Op
    dst, a, b : int
        Numbers of words, 0..2047.
    shift : int, 0..31
    width : int, 1..32
    """

    op: Op
    dst: int = 0
    a: int = 0
    b: int = 0
    shift: int = 0
    width: int = WORD_BITS

    def encode(self) -> int:
        """Return the 48 bits: op, shift, width (32 as 0), dst, a, b, from the lowest bit on."""
        fields = (self.op, 5), (self.shift, 5), (self.width % 32, 5)
        out = at = 0
        for value, bits in (*fields, (self.dst, 11), (self.a, 11), (self.b, 11)):
            check(0 <= value < 1 << bits, "a field", f"of {bits} bits", value)
            out |= value << at
            at += bits
        return out


#: No operation: writes 0 into word 0, which is 0.
NOP = Instruction(Op.CAT)


@dataclass(frozen=True)
class Program:
    """One cycle of a design.

    Parameters
    ----------
    instructions : tuple of Instruction
        Those behind END are executed, too.
    words : tuple of int, 0..2**32 - 1
        What words begin with.
    memory : tuple of int, 0..65535
        What memories begin with.
    """

    instructions: tuple[Instruction, ...]
    words: tuple[int, ...]
    memory: tuple[int, ...]
