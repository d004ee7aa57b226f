# SPDX-License-Identifier: Apache-2.0
"""From cells of any width to steps of the folded emulator's arithmetic unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import groupby

from .isa import MEMORY_WORDS, WORD_BITS, Op, TooLargeError
from .netlist import Bit, Cell, Memory, Netlist

__all__ = ["Lowered", "Operand", "Step", "lower"]

#: More bits than a word has: those above it are 0.
_ALL = WORD_BITS + 1
#: Bits of a piece of memory.
_PIECE = 16


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
        Which of :attr:`Lowered.tests` it goes by: SEL, SELN, STORE.
    base : int
        STORE: where the memory begins.
    memory : int
        LOAD, STORE: number of the memory.
    """

    op: Op
    a: Operand
    b: int
    test: int = -1
    base: int = 0
    memory: int = -1


@dataclass
class Lowered:
    """A design as steps.

    Parameters
    ----------
    constants : dict of int to int
        Value and what it is.
    init : dict of int to int
        Value of a register, and what it begins with.
    steps : dict of int to Step
        In an order in which they can be taken.
    tests : list of tuple of Operand and int
        What TEST compares.
    next : dict of int to Operand
        A register's value and what it becomes.
    after_store : set of int
        LOADs that see what is written.
    memory : list of int
    places : dict of int to tuple of int
        Of a wire: value and bit.
    """

    constants: dict[int, int]
    init: dict[int, int]
    steps: dict[int, Step]
    tests: list[tuple[Operand, int]]
    next: dict[int, Operand]
    after_store: set[int]
    memory: list[int]
    places: dict[Bit, tuple[int, int]]


def lower(netlist: Netlist) -> Lowered:
    """Return a design's steps.

    The ports ``i`` and ``o`` of the design are bytes to and from the line
    (:class:`fpga.folded.core.Core`).
    """
    dirty: frozenset[int] = frozenset()
    while True:
        lowering = _Lowering(netlist, dirty)
        out = lowering.run()
        more = frozenset(
            q for q, d in out.next.items() if d.shift or lowering.bits[d.value] > d.width
        )
        more = frozenset(q for q in more if out.next[q].value in out.steps) | dirty
        if more == dirty:
            return out
        dirty = more


class _Lowering:
    def __init__(self, netlist: Netlist, dirty: frozenset[int]):
        self.netlist, self.dirty = netlist, dirty
        self.out = Lowered({}, {}, {}, [], {}, set(), [], {})
        self.bits: dict[int, int] = {}  # of a value: those above are 0
        self.interned: dict = {}
        self.gathered: dict[tuple[Bit, ...], Operand] = {}
        self.known: dict[tuple, int] = {}
        self.test_numbers: dict[tuple[Operand, int], int] = {}
        self.driver: dict[Bit, Cell] = {}

    # --- values

    def fresh(self, bits: int) -> int:
        value = len(self.bits)
        self.bits[value] = bits
        return value

    def constant(self, number: int) -> int:
        if number not in self.interned:
            self.interned[number] = value = self.fresh(number.bit_length())
            self.out.constants[value] = number
        return self.interned[number]

    def number(self, number: int, width: int) -> Operand:
        return Operand(self.constant(number), 0, width)

    def emit(self, op: Op, a: Operand, b: int, **more) -> int:
        """Return the value of a step, an earlier one if it is the same."""
        key = op, a, b, *more.items()
        if key in self.known:
            return self.known[key]
        value = self.fresh(self._bound(op, a.width, self.bits[b]))
        self.out.steps[value] = Step(op, a, b, **more)
        if op is not Op.STORE:
            self.known[key] = value
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
                return _PIECE
        return WORD_BITS

    def word(self, a: Operand, meant: int = _ALL) -> int:
        """Return a value that is the operand in its lowest ``meant`` bits."""
        return a.value if self.free(a, meant) else self.emit(Op.CAT, a, self.constant(0))

    def free(self, a: Operand, meant: int = _ALL) -> bool:
        """Whether :meth:`word` takes no step."""
        return a.shift == 0 and (meant <= a.width or self.bits[a.value] <= a.width)

    def binary(self, op: Op, a: Operand, b: Operand, meant: int = _ALL) -> int:
        """Return the value of an operation that does not mind which is first."""
        if self.free(a, meant) and not self.free(b, meant):
            a, b = b, a
        return self.emit(op, a, self.word(b, meant))

    # --- bits

    def place(self, bits: Sequence[Bit], value: int, at: int = 0) -> None:
        for k, bit in enumerate(bits):
            self.out.places[bit] = (value, at + k)

    def pieces(self, bits: Sequence[Bit]) -> list[tuple]:
        """Cut into constants (None, number, length), neighbours, and repetitions of a bit."""
        out, k, places = [], 0, self.out.places
        while k < len(bits):
            n = k + 1
            if bits[k] < 2:
                while n < len(bits) and bits[n] < 2:
                    n += 1
                out.append((None, sum(b << j for j, b in enumerate(bits[k:n])), n - k))
            elif n < len(bits) and bits[n] == bits[k]:
                while n < len(bits) and bits[n] == bits[k]:
                    n += 1
                value, at = places[bits[k]]
                out.append((self.emit(Op.SXT, Operand(value, at, 1), self.constant(0)), 0, n - k))
            else:
                value, at = places[bits[k]]
                while (
                    n < len(bits)
                    and bits[n] > 1
                    and bits[n] != bits[n - 1]
                    and places[bits[n]] == (value, at + n - k)
                ):
                    n += 1
                if n < len(bits) and bits[n] == bits[n - 1] and n - k > 1:
                    n -= 1  # the sign goes with its repetitions
                out.append((value, at, n - k))
            k = n
        return out

    def gather(self, bits: Sequence[Bit]) -> Operand:
        """Return an operand that is these bits, 32 at most; above them is anything."""
        bits = tuple(bits)
        assert 0 < len(bits) <= WORD_BITS
        if bits not in self.gathered:
            self.gathered[bits] = self._gather(bits)
        return self.gathered[bits]

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
        *rest, (value, at, n) = self.pieces(bits)
        if not rest:
            return Operand(value, at, n)
        if value is None:
            acc = self.constant(at)
        else:
            acc = self.word(Operand(value, at, n), n)
        for value, at, n in reversed(rest):
            a = self.number(at, n) if value is None else Operand(value, at, n)
            acc = self.emit(Op.CAT, a, acc)
        return Operand(acc, 0, width)

    def extend(self, bits: Sequence[Bit], signed: bool, width: int) -> list[Bit]:
        top = bits[-1] if signed and bits else 0
        return [*bits[:width], *[top] * (width - len(bits))]

    def chunks(self, bits: Sequence[Bit]) -> list[Operand]:
        return [self.gather(bits[k : k + WORD_BITS]) for k in range(0, len(bits), WORD_BITS)]

    # --- the design

    def run(self) -> Lowered:
        netlist, out = self.netlist, self.out
        self.constant(0)
        q_words = []
        for register in netlist.registers:
            for k in range(0, len(register.q), WORD_BITS):
                q = register.q[k : k + WORD_BITS]
                value = self.fresh(len(q))
                if value in self.dirty:
                    self.bits[value] = WORD_BITS
                out.init[value] = sum(b << j for j, b in enumerate(register.init[k : k + WORD_BITS]))
                self.place(q, value)
                q_words.append((value, register.d[k : k + WORD_BITS]))
        loads = self._memories()
        self._receive()
        for node in self._order():
            if isinstance(node, Cell):
                self.cell(node)
            else:
                self._load(*node)
        for value, d in q_words:
            out.next[value] = self.gather(d)
        for memory, port, values in loads:
            self._clocked(memory, port, values)
        self._stores()
        self._send()
        return out

    def _order(self):
        """Cells and unclocked reads, each behind what it reads."""
        source: dict[Bit, int] = {}
        nodes: list = list(self.netlist.cells)
        inputs = [[b for p, bits in c.ports.items() if p != "Y" for b in bits] for c in nodes]
        outputs: list = [c.ports["Y"] for c in nodes]
        for number, memory in enumerate(self.netlist.memories):
            for port in memory.reads:
                if not port.clocked:
                    nodes.append((number, port))
                    inputs.append(list(port.address))
                    outputs.append(port.data)
        for k, bits in enumerate(outputs):
            for b in bits:
                source[b] = k
                if isinstance(nodes[k], Cell):
                    self.driver[b] = nodes[k]
        graph = {k: {source[b] for b in bits if b in source} for k, bits in enumerate(inputs)}
        return [nodes[k] for k in TopologicalSorter(graph).static_order()]

    # --- memories

    def _memories(self) -> list:
        """Lay memories out; return the clocked reads with the words of what they read."""
        self.columns: list[list[tuple[int, int, int]]] = []  # first bit, bits, base
        memory = self.out.memory
        clocked = []
        cut = []
        for number, mem in enumerate(self.netlist.memories):
            enables = mem.writes[0].enable if mem.writes else (0,) * mem.width
            at = 0
            for _, group in groupby(enables):
                length = len(list(group))
                for k in range(0, length, _PIECE):
                    cut.append((max(8, 1 << (len(mem.init) - 1).bit_length()), number, at + k,
                                min(_PIECE, length - k)))
                at += length
            self.columns.append([])
        base = 0
        for depth, number, at, n in sorted(cut, key=lambda c: -c[0]):
            self.columns[number].append((at, n, base))
            init = self.netlist.memories[number].init
            memory += [v >> at & ((1 << n) - 1) for v in init] + [0] * (depth - len(init))
            base += depth
        if base > MEMORY_WORDS:
            raise TooLargeError(
                f"its memories take {base:,} words of {_PIECE} bits and there are {MEMORY_WORDS:,}"
            )
        for number, mem in enumerate(self.netlist.memories):
            self.columns[number].sort()
            for port in mem.reads:
                if port.clocked:
                    values = []
                    for at, n, _ in self.columns[number]:
                        value = self.fresh(_PIECE)
                        self.out.init[value] = 0
                        self.place(port.data[at : at + n], value)
                        values.append(value)
                    clocked.append((number, port, values))
        return clocked

    def _address(self, port, base: int) -> tuple[Operand, int]:
        return self.gather(port.address), self.constant(base)

    def _load(self, number, port) -> None:
        for at, n, base in self.columns[number]:
            a, b = self._address(port, base)
            self.place(port.data[at : at + n], self.emit(Op.LOAD, a, b, memory=number))

    def _clocked(self, number, port, values) -> None:
        for value, (_, n, base) in zip(values, self.columns[number], strict=True):
            a, b = self._address(port, base)
            more = {"memory": number} if not port.transparent else {"memory": number, "base": 1}
            read = self.emit(Op.LOAD, a, b, **more)
            if port.transparent:
                self.out.after_store.add(read)
            if port.enable != 1:
                op, test = self.select(port.enable)
                read = self.emit(op, Operand(read, 0, _PIECE), value, test=test)
            self.out.next[value] = Operand(read, 0, _PIECE)

    def _stores(self) -> None:
        for number, mem in enumerate(self.netlist.memories):
            for port in mem.writes:
                for at, n, base in self.columns[number]:
                    if port.enable[at] == 0:
                        continue
                    data = self.word(self.gather(port.data[at : at + n]), n)
                    op, test = self.select(port.enable[at])
                    if op is Op.SELN:  # STORE goes by the flag as it is
                        test = self.test(self.gather((port.enable[at],)), self.constant(0))
                    a = self.gather(port.address)
                    self.emit(Op.STORE, a, data, test=test, base=base, memory=number)

    # --- line

    def _receive(self) -> None:
        """Give the design its inputs: ``i`` from outside, and no reset."""
        for name, bits in self.netlist.inputs.items():
            if name == "i":
                zero = self.number(0, 1)
                self.place(bits, self.emit(Op.IN, zero, zero.value))
            elif name == "rst":
                self.place(bits, self.constant(0))
            elif name != "clk":
                raise ValueError(f"the design must have inputs i, clk and rst, not {name}")

    def _send(self) -> None:
        for name, bits in self.netlist.outputs.items():
            if name != "o":
                raise ValueError(f"the design must have one output, o, not {name}")
            self.emit(Op.OUT, self.gather(bits), self.constant(0))

    # --- tests

    def test(self, a: Operand, b: int) -> int:
        key = a, b
        if key not in self.test_numbers:
            self.test_numbers[key] = len(self.out.tests)
            self.out.tests.append(key)
        return self.test_numbers[key]

    def select(self, bit: Bit) -> tuple[Op, int]:
        """Return SEL or SELN and a test: ``a`` if the bit is 1."""
        cell = self.driver.get(bit)
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

    def mux(self, select: Bit, a: Operand, b: Operand, width: int) -> Operand:
        """Return ``a if select else b``."""
        if width == 1:
            if b.value == self.constant(0):
                return Operand(self.binary(Op.AND, self.gather((select,)), a), 0, 1)
            if a.value == self.constant(1):
                return Operand(self.binary(Op.OR, self.gather((select,)), b), 0, 1)
        op, test = self.select(select)
        if self.free(a, width) and not self.free(b, width):
            a, b = b, a
            op = Op.SELN if op is Op.SEL else Op.SEL
        value = self.emit(op, a, self.word(b, width), test=test)
        return Operand(value, 0, width)

    # --- cells

    def cell(self, cell: Cell) -> None:
        y = cell.ports["Y"]
        for k, value in enumerate(self.results(cell)):
            part = y[k * WORD_BITS : (k + 1) * WORD_BITS]
            if isinstance(value, int):
                value = Operand(value, 0, WORD_BITS)
            self.place(part, value.value, value.shift)

    def results(self, cell: Cell) -> list:
        kind, ports, width = cell.kind, cell.ports, len(cell.ports["Y"])
        zero = self.constant(0)
        signed = all(cell.signed) if "B" in ports else cell.signed[0]
        n = range(-(-width // WORD_BITS))
        size = [min(WORD_BITS, width - k * WORD_BITS) for k in n]
        match kind:
            case "$mux":
                a, b = self.chunks(ports["A"]), self.chunks(ports["B"])
                return [self.mux(ports["S"][0], b[k], a[k], size[k]) for k in n]
            case "$pmux":
                y = self.chunks(ports["A"])
                for j in range(len(ports["S"]) - 1, -1, -1):
                    b = self.chunks(ports["B"][j * width : (j + 1) * width])
                    y = [self.mux(ports["S"][j], b[k], y[k], size[k]) for k in n]
                return y
            case "$logic_not":
                return self.padded(self.equal(Op.EQ, self.chunks(ports["A"]), None), width)
            case "$reduce_or" | "$reduce_bool":
                return self.padded(self.equal(Op.NE, self.chunks(ports["A"]), None), width)
            case "$reduce_and":
                a = ports["A"]
                ones = self.chunks([1] * len(a))
                return self.padded(self.equal(Op.EQ, self.chunks(a), ones), width)
            case "$mul":
                return self.multiply(
                    self.extend(ports["A"], signed, width) if signed else ports["A"][:width],
                    self.extend(ports["B"], signed, width) if signed else ports["B"][:width],
                    width,
                )
            case "$shl" | "$shr" | "$shift":
                return self.shift(cell)
            case "$not" | "$neg":
                a = self.chunks(self.extend(ports["A"], cell.signed[0], width))
                if kind == "$not":
                    masks = self.chunks([1] * width)
                    return [self.emit(Op.XOR, a[k], masks[k].value) for k in n]
                return self.subtract([Operand(zero, 0, WORD_BITS)] * len(a), a, size)
        if "B" not in ports or kind not in _BINARY:
            raise ValueError(f"the design must have cells that can be folded, not a {kind}")
        op = _BINARY[kind]
        if kind in ("$eq", "$ne", "$lt", "$le", "$gt", "$ge"):
            width = max(len(ports["A"]), len(ports["B"]))
            wide = max(width, WORD_BITS) if signed and kind not in ("$eq", "$ne") else width
            a = self.chunks(self.extend(ports["A"], signed, wide))
            b = self.chunks(self.extend(ports["B"], signed, wide))
            if kind in ("$eq", "$ne"):
                return self.padded(self.equal(op, a, b), len(ports["Y"]))
            return self.padded(self.order(kind, signed, a, b), len(ports["Y"]))
        a = self.chunks(self.extend(ports["A"], signed, width))
        b = self.chunks(self.extend(ports["B"], signed, width))
        if kind == "$sub":
            return self.subtract(a, b, size)
        if kind == "$add":
            return self.add(a, b, size)
        return [self.binary(op, a[k], b[k], size[k]) for k in n]

    def padded(self, bit: int, width: int) -> list:
        """Return a bit, and zeros above it."""
        zeros = self.constant(0)
        return [bit, *[zeros] * ((width - 1) // WORD_BITS)]

    def equal(self, op: Op, a: list[Operand], b: list[Operand] | None) -> int:
        b = b or [self.number(0, 1)] * len(a)
        found = [self.binary(op, x, y) for x, y in zip(a, b, strict=True)]
        out = found[0]
        for value in found[1:]:
            out = self.emit(Op.AND if op is Op.EQ else Op.OR, Operand(value, 0, 1), out)
        return out

    def order(self, kind: str, signed: bool, a: list[Operand], b: list[Operand]) -> int:
        if len(a) > 1:
            raise ValueError(f"the design must compare 32 bits at most, not {len(a)} words")
        less, greater = (Op.LTS, Op.GTS) if signed else (Op.LTU, Op.GTU)
        x, y = a[0], b[0]
        op = less if kind in ("$lt", "$ge") else greater
        if self.free(x) and not self.free(y):
            x, y = y, x
            op = greater if op is less else less
        out = self.emit(op, x, self.word(y))
        if kind in ("$le", "$ge"):
            out = self.emit(Op.XOR, Operand(out, 0, 1), self.constant(1))
        return out

    def add(self, a: list[Operand], b: list[Operand], size: list[int]) -> list[int]:
        """Return the words of a sum; ``size`` says how many bits of each are meant."""
        out: list[int] = []
        carry = None
        for k, (p, q) in enumerate(zip(a, b, strict=True)):
            last = k + 1 == len(a)
            meant = size[k] if last else _ALL
            x, y = (q, p) if self.free(p, meant) and not self.free(q, meant) else (p, q)
            y_word = self.word(y, meant)
            first = total = self.emit(Op.ADD, x, y_word)
            if carry is not None:
                total = self.emit(Op.ADD, Operand(carry, 0, 1), first)
            if not last:
                over = self.emit(Op.LTU, Operand(first, 0, WORD_BITS), y_word)
                if carry is not None:
                    again = self.emit(Op.LTU, Operand(total, 0, WORD_BITS), first)
                    over = self.emit(Op.OR, Operand(again, 0, 1), over)
                carry = over
            out.append(total)
        return out

    def subtract(self, a: list[Operand], b: list[Operand], size: list[int]) -> list[int]:
        """Return the words of a difference, as :meth:`add`."""
        out: list[int] = []
        borrow = None
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            last = k + 1 == len(a)
            meant = size[k] if last else _ALL
            if self.free(x, meant) and not self.free(y, meant):
                x_word = self.word(x, meant)
                first = total = self.emit(Op.RSUB, y, x_word)
                below = Op.GTU, y, x_word
            else:
                y_word = self.word(y, meant)
                first = total = self.emit(Op.SUB, x, y_word)
                below = Op.LTU, x, y_word
            if borrow is not None:
                total = self.emit(Op.RSUB, Operand(borrow, 0, 1), first)
            if not last:
                under = self.emit(*below)
                if borrow is not None:
                    again = self.emit(Op.GTU, Operand(total, 0, WORD_BITS), first)
                    under = self.emit(Op.OR, Operand(again, 0, 1), under)
                borrow = under
            out.append(total)
        return out

    def multiply(self, a: Sequence[Bit], b: Sequence[Bit], width: int) -> list[int]:
        """Return the product of numbers without sign, from halves of words."""
        words = -(-width // WORD_BITS)
        zero = self.number(0, 1)
        total: list[int] | None = None
        for i in range(0, len(a), 16):
            for j in range(0, len(b), 16):
                at = i + j
                if at >= width:
                    continue
                x, y = self.gather(a[i : i + 16]), self.gather(b[j : j + 16])
                value = self.binary(Op.MUL, x, y, 16)
                part = [zero] * words
                k, odd = divmod(at, WORD_BITS)
                if odd:
                    low = self.emit(Op.CAT, self.number(0, 16), value)
                    part[k] = Operand(low, 0, WORD_BITS)
                    if k + 1 < words:
                        part[k + 1] = Operand(value, 16, 16)
                else:
                    part[k] = Operand(value, 0, WORD_BITS)
                if total is None:
                    total = [self.word(p) for p in part]
                else:
                    total = self.add([Operand(t, 0, WORD_BITS) for t in total], part, [WORD_BITS] * words)
        return total

    def shift(self, cell: Cell) -> list:
        a, b, width = cell.ports["A"], cell.ports["B"], len(cell.ports["Y"])
        if cell.signed[1] or len(b) > 5:
            raise ValueError("the design must shift by 0..31, without sign")
        by = self.gather(b)
        if cell.kind == "$shl":
            a = self.chunks(self.extend(a, cell.signed[0], width))
            out = [self.emit(Op.SHL, by, self.word(x)) for x in a]
            if len(a) > 1:
                raise ValueError("the design must shift 32 bits at most to the left")
            return out
        wide = max(width, len(a))
        a = self.chunks(self.extend(a, cell.signed[0], wide))
        out = []
        amount = self.word(by)
        for k in range(-(-width // WORD_BITS)):
            x = self.emit(Op.SHR, Operand(self.word(a[k]), 0, WORD_BITS), amount)
            if k + 1 < len(a):
                rest = self.emit(Op.RSUB, by, self.constant(WORD_BITS))
                high = self.emit(Op.SHL, Operand(rest, 0, 6), self.word(a[k + 1]))
                x = self.emit(Op.OR, Operand(x, 0, WORD_BITS), high)
            out.append(x)
        return out


_BINARY = {
    "$and": Op.AND,
    "$or": Op.OR,
    "$xor": Op.XOR,
    "$add": Op.ADD,
    "$sub": Op.SUB,
    "$eq": Op.EQ,
    "$ne": Op.NE,
    "$lt": Op.LTU,
    "$le": Op.LTU,
    "$gt": Op.GTU,
    "$ge": Op.GTU,
}
