# SPDX-License-Identifier: Apache-2.0
"""Steps of the folded emulator, and where the bits of a design are in what they make."""

from collections.abc import Sequence
from dataclasses import dataclass

from .isa import WORD_BITS, Op
from .netlist import Bit, Cell

__all__ = ["PIECE", "Operand", "Step", "Values"]

#: More bits than a word has: those above the ones that are meant are 0.
_ALL_BITS = WORD_BITS + 1
#: Bits of a word of memory.
PIECE = 16


@dataclass(frozen=True)
class Operand:
    """Bits ``shift .. shift + width - 1`` of a value."""

    value: int
    shift: int
    width: int


@dataclass(frozen=True)
class Step:
    """An instruction whose words are values: constants, registers or other steps.

    Parameters
    ----------
    op : Op
    a : Operand
    b : int
        A value.
    test : int
        SEL, SELN, STORE: which of :attr:`Values.tests` the flag is of.
    base : int
        STORE: where the memory begins.
    memory : int
        LOAD, STORE: number of the memory.
    late : bool
        LOAD: see what is written in this cycle.
    """

    op: Op
    a: Operand
    b: int
    test: int = -1
    base: int = 0
    memory: int = -1
    late: bool = False


class Values:
    """What is known while a design becomes steps; what is the same, is there once.

    A value has 32 bits, of which those above :attr:`bits` are 0 and those above what is meant may
    be anything: an operand is cut to its width when it is used.

    Attributes
    ----------
    constants : dict of int to int
        Value, and what it is.
    steps : dict of int to Step
        By value, in an order in which they can be taken.
    tests : dict of (Operand, int) to int
        What TEST compares, and its number.
    bits : dict of int to int
    places : dict of Bit to tuple of int
        Value of a wire, and bit in it.
    drivers : dict of Bit to Cell
        The cell that drives a wire.
    """

    def __init__(self):
        self.constants: dict[int, int] = {}
        self.steps: dict[int, Step] = {}
        self.tests: dict[tuple[Operand, int], int] = {}
        self.bits: dict[int, int] = {}
        self.places: dict[Bit, tuple[int, int]] = {}
        self.drivers: dict[Bit, Cell] = {}
        self._interned: dict[int, int] = {}
        self._gathered: dict[tuple[Bit, ...], Operand] = {}
        self._known: dict[tuple, int] = {}

    def fresh(self, bits: int) -> int:
        """Return a new value; bits above its lowest ``bits`` are 0."""
        value = len(self.bits)
        self.bits[value] = bits
        return value

    def constant(self, number: int) -> int:
        """Return the value of a constant."""
        if number not in self._interned:
            self._interned[number] = value = self.fresh(number.bit_length())
            self.constants[value] = number
        return self._interned[number]

    def number(self, number: int, width: int) -> Operand:
        """Return an operand that is a constant."""
        return Operand(self.constant(number), 0, width)

    def emit(self, op: Op, a: Operand, b: int, **more) -> int:
        """Return the value of a step, an earlier one if it is the same."""
        key = op, a, b, *more.items()
        if key in self._known:
            return self._known[key]
        value = self.fresh(self._bound(op, a.width, self.bits[b]))
        self.steps[value] = Step(op, a, b, **more)
        if op is not Op.STORE:
            self._known[key] = value
        return value

    @staticmethod
    def _bound(op, a, b) -> int:
        match op:
            case Op.CAT:
                return min(WORD_BITS, a + b)
            case Op.AND:
                return min(a, b)
            case Op.OR | Op.XOR | Op.SEL | Op.SELN:
                return max(a, b)
            case Op.ADD:
                return min(WORD_BITS, max(a, b) + 1)
            case Op.EQ | Op.NE | Op.LTU | Op.GTU | Op.LTS | Op.GTS:
                return 1
            case Op.MUL:
                return min(16, a) + min(16, b)
            case Op.SHR:
                return a
            case Op.LOAD:
                return PIECE
        return WORD_BITS

    def word(self, a: Operand, meant: int = _ALL_BITS) -> int:
        """Return a value that is the operand in its lowest ``meant`` bits."""
        return a.value if self.free(a, meant) else self.emit(Op.CAT, a, self.constant(0))

    def free(self, a: Operand, meant: int = _ALL_BITS) -> bool:
        """Whether :meth:`word` takes no step."""
        return a.shift == 0 and (meant <= a.width or self.bits[a.value] <= a.width)

    def binary(self, op: Op, a: Operand, b: Operand, meant: int = _ALL_BITS) -> int:
        """Return the value of an operation that does not mind which is first."""
        if self.free(a, meant) and not self.free(b, meant):
            a, b = b, a
        return self.emit(op, a, self.word(b, meant))

    def place(self, bits: Sequence[Bit], value: int, at: int = 0) -> None:
        """Note where wires are: in a value, from bit ``at`` on."""
        for k, bit in enumerate(bits):
            self.places[bit] = (value, at + k)

    def pieces(self, bits: Sequence[Bit]) -> list[Operand]:
        """Cut into constants, repetitions of a bit, and bits that are neighbours in a value."""
        out, k, places = [], 0, self.places
        while k < len(bits):
            first, n = bits[k], k + 1
            if first < 2:
                while n < len(bits) and bits[n] < 2:
                    n += 1
                out.append(self.number(sum(b << j for j, b in enumerate(bits[k:n])), n - k))
            elif n < len(bits) and bits[n] == first:
                while n < len(bits) and bits[n] == first:
                    n += 1
                spread = self.emit(Op.SXT, Operand(*places[first], 1), self.constant(0))
                out.append(Operand(spread, 0, n - k))
            else:
                value, at = places[first]
                while n < len(bits) and places.get(bits[n]) == (value, at + n - k):
                    n += 1
                if n < len(bits) and bits[n] == bits[n - 1] and n - k > 1:
                    n -= 1  # the sign goes with its repetitions
                out.append(Operand(value, at, n - k))
            k = n
        return out

    def gather(self, bits: Sequence[Bit]) -> Operand:
        """Return an operand that is these bits, 32 at most; above them is anything."""
        bits = tuple(bits) or (0,)
        assert len(bits) <= WORD_BITS
        if bits not in self._gathered:
            self._gathered[bits] = self._gather(bits)
        return self._gathered[bits]

    def _gather(self, bits) -> Operand:
        width = len(bits)
        top = bits[-1]
        if all(b < 2 for b in bits):
            return self.number(sum(b << k for k, b in enumerate(bits)), width)
        if top == 0:
            while bits[-1] == 0:
                bits = bits[:-1]
            return self.gather(bits)
        same = next(k for k, b in enumerate((*reversed(bits), None)) if b != top)
        if same > 1 and top > 1:
            low = self.gather(bits[: width - same + 1])
            if low.width < width - same + 1:
                low = Operand(self.word(low), 0, width - same + 1)
            return Operand(self.emit(Op.SXT, low, self.constant(0)), 0, width)
        *rest, high = self.pieces(bits)
        if not rest:
            return high
        value = self.word(high, high.width)
        for low in reversed(rest):
            value = self.emit(Op.CAT, low, value)
        return Operand(value, 0, width)

    def extend(self, bits: Sequence[Bit], signed: bool, width: int) -> list[Bit]:
        """Return so many bits of a number: fewer, or more with its sign or 0."""
        top = bits[-1] if signed and bits else 0
        return [*bits[:width], *[top] * (width - len(bits))]

    def chunks(self, bits: Sequence[Bit]) -> list[Operand]:
        """Return operands that are the words of some bits."""
        return [self.gather(bits[k : k + WORD_BITS]) for k in range(0, len(bits), WORD_BITS)]

    def test(self, a: Operand, b: int) -> int:
        """Return the number of the test whether ``a`` and ``b`` differ."""
        return self.tests.setdefault((a, b), len(self.tests))

    def select(self, bit: Bit) -> tuple[Op, int]:
        """Return SEL or SELN and a test: ``a`` if the bit is 1."""
        cell = self.drivers.get(bit)
        flip = {Op.SEL: Op.SELN, Op.SELN: Op.SEL}
        if cell is not None and bit == cell.ports["Y"][0]:
            a = cell.ports["A"]
            short = len(a) <= WORD_BITS
            match cell.kind:
                case "$eq" | "$ne" if short and len(cell.ports["B"]) <= WORD_BITS:
                    if not any(cell.signed) or len(a) == len(cell.ports["B"]):
                        x, y = self.gather(a), self.gather(cell.ports["B"])
                        if self.free(x) and not self.free(y):
                            x, y = y, x
                        test = self.test(x, self.word(y))
                        return (Op.SEL if cell.kind == "$ne" else Op.SELN), test
                case "$not" | "$logic_not" if len(a) == 1:
                    op, test = self.select(a[0])
                    return flip[op], test
                case "$logic_not" if short:
                    return Op.SELN, self.test(self.gather(a), self.constant(0))
                case "$reduce_or" | "$reduce_bool" if short:
                    return Op.SEL, self.test(self.gather(a), self.constant(0))
        return Op.SEL, self.test(self.gather((bit,)), self.constant(0))
