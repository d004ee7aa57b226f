# SPDX-License-Identifier: Apache-2.0
"""From cells of any width, as RTLIL has them, to steps on words of 32 bits."""

from collections.abc import Sequence

from .isa import WORD_BITS, Op
from .netlist import Bit, Cell
from .values import Operand, Values

__all__ = ["results"]

#: Bits of the number of a bit in a word.
_BITS = 5


def results(v: Values, cell: Cell) -> list[int]:
    """Return the values that are a cell's output, a word each; steps are added as it takes.

    Raises
    ------
    ValueError
        If a cell of that kind, or as wide, cannot be folded.
    """
    kind, ports, width = cell.kind, cell.ports, len(cell.ports["Y"])
    size = [min(WORD_BITS, width - k) for k in range(0, width, WORD_BITS)]
    match kind:
        case "$mux" | "$pmux":
            return _choose(v, ports["S"], ports["A"], ports["B"], size)
        case "$not" | "$neg":
            a = v.chunks(v.extend(ports["A"], cell.signed[0], width))
            if kind == "$neg":
                return _add(v, [v.number(0, WORD_BITS)] * len(a), a, size, minus=True)
            ones = v.chunks([1] * width)
            return [v.emit(Op.XOR, x, one.value) for x, one in zip(a, ones, strict=True)]
        case "$logic_not" | "$reduce_or" | "$reduce_bool" | "$reduce_and":
            a = v.chunks(ports["A"])
            same = kind == "$reduce_and"
            b = v.chunks([int(same)] * len(ports["A"]))
            op = Op.EQ if same or kind == "$logic_not" else Op.NE
            return _bit(v, _equal(v, op, a, b), size)
        case "$shl" | "$shr" | "$sshr" | "$shift":
            return _shift(v, cell)
        case "$eq" | "$ne" | "$lt" | "$le" | "$gt" | "$ge":
            return _bit(v, _compare(v, cell), size)
        case "$and" | "$or" | "$xor" | "$add" | "$sub" | "$mul":
            signed = all(cell.signed)
            x, y = (v.extend(ports[p], signed, width) for p in "AB")
            if kind == "$mul":
                least = [width if signed else min(width, len(ports[p])) for p in "AB"]
                return _multiply(v, x[: least[0]], y[: least[1]], size)
            words = v.chunks(x), v.chunks(y), size
            if kind in ("$add", "$sub"):
                return _add(v, *words, minus=kind == "$sub")
            op = {"$and": Op.AND, "$or": Op.OR, "$xor": Op.XOR}[kind]
            return [v.binary(op, a, b, n) for a, b, n in zip(*words, strict=True)]
    raise ValueError(f"the design must have cells that can be folded, not a {kind}")


def _bit(v: Values, bit: int, size: list[int]) -> list[int]:
    """Return a bit, and zeros above it."""
    return [bit, *[v.constant(0)] * (len(size) - 1)]


def _choose(v: Values, select, a, b, size: list[int]) -> list[int]:
    """Return ``a``, or the part of ``b`` whose bit of ``select`` is 1; one is, at most."""
    y, width = v.chunks(a), sum(size)
    for k in reversed(range(len(select))):
        there = v.chunks(b[k * width : (k + 1) * width])
        y = [
            Operand(_mux(v, select[k], x, word, n), 0, n)
            for word, x, n in zip(y, there, size, strict=True)
        ]
    return [word.value for word in y]


def _mux(v: Values, select: Bit, a: Operand, b: Operand, width: int) -> int:
    """Return ``a if select else b``."""
    if width == 1:
        if b.value == v.constant(0):
            return v.binary(Op.AND, v.gather((select,)), a)
        if a.value == v.constant(1):
            return v.binary(Op.OR, v.gather((select,)), b)
    op, test = v.select(select)
    if v.free(a, width) and not v.free(b, width):
        a, b = b, a
        op = Op.SELN if op is Op.SEL else Op.SEL
    return v.emit(op, a, v.word(b, width), test=test)


def _equal(v: Values, op: Op, a: list[Operand], b: list[Operand]) -> int:
    """Return whether all words are equal (EQ), or any is not (NE)."""
    first, *others = (v.binary(op, x, y) for x, y in zip(a, b, strict=True))
    for value in others:
        first = v.emit(Op.AND if op is Op.EQ else Op.OR, Operand(value, 0, 1), first)
    return first


def _compare(v: Values, cell: Cell) -> int:
    """Return the bit that a comparison is."""
    kind, signed = cell.kind, all(cell.signed)
    equality = kind in ("$eq", "$ne")
    width = max(len(cell.ports["A"]), len(cell.ports["B"]))
    if signed and not equality:  # the sign of a word
        width = max(width, WORD_BITS)
    a, b = (v.chunks(v.extend(cell.ports[p], signed, width)) for p in "AB")
    if equality:
        return _equal(v, Op.EQ if kind == "$eq" else Op.NE, a, b)
    if len(a) > 1:
        raise ValueError(f"the design must compare 32 bits at most, not {len(a)} words")
    ops = [Op.LTS, Op.GTS] if signed else [Op.LTU, Op.GTU]
    if kind in ("$gt", "$le"):
        ops.reverse()
    x, y = a[0], b[0]
    if v.free(x) and not v.free(y):
        out = v.emit(ops[1], y, v.word(x))
    else:
        out = v.emit(ops[0], x, v.word(y))
    return v.emit(Op.XOR, Operand(out, 0, 1), v.constant(1)) if kind in ("$le", "$ge") else out


def _add(
    v: Values, a: list[Operand], b: list[Operand], size: list[int], *, minus: bool = False
) -> list[int]:
    """Return the words of ``a + b``, or ``a - b``, of which so many bits are meant."""
    out: list[int] = []
    carry = None  # or what is borrowed
    for k, (p, q) in enumerate(zip(a, b, strict=True)):
        swap = v.free(p, size[k]) and not v.free(q, size[k])
        x, y = (q, v.word(p, size[k])) if swap else (p, v.word(q, size[k]))
        op = Op.ADD if not minus else Op.RSUB if swap else Op.SUB
        first = total = v.emit(op, x, y)
        if carry is not None:
            total = v.emit(Op.RSUB if minus else Op.ADD, Operand(carry, 0, 1), first)
        out.append(total)
        if k + 1 == len(a):
            break
        if minus:
            over = v.emit(Op.GTU if swap else Op.LTU, x, y)
        else:
            over = v.emit(Op.LTU, Operand(first, 0, WORD_BITS), y)
        if carry is not None:
            op = Op.GTU if minus else Op.LTU
            again = v.emit(op, Operand(total, 0, WORD_BITS), first)
            over = v.emit(Op.OR, Operand(again, 0, 1), over)
        carry = over
    return out


def _multiply(v: Values, a: Sequence[Bit], b: Sequence[Bit], size: list[int]) -> list[int]:
    """Return the words of the product of numbers without sign, from halves of words."""
    zero, width = v.number(0, WORD_BITS), sum(size)
    total = [zero] * len(size)
    halves = [(i, j) for i in range(0, len(a), 16) for j in range(0, len(b), 16) if i + j < width]
    for i, j in halves:
        product = v.binary(Op.MUL, v.gather(a[i : i + 16]), v.gather(b[j : j + 16]), 16)
        part = [zero] * len(size)
        at, half = divmod(i + j, WORD_BITS)
        if half:
            low = v.emit(Op.CAT, v.number(0, 16), product)
            part[at : at + 2] = [Operand(low, 0, WORD_BITS), Operand(product, 16, 16)]
        else:
            part[at] = Operand(product, 0, WORD_BITS)
        part = part[: len(size)]
        if (i, j) != halves[0]:
            words = _add(v, total, part, [WORD_BITS] * len(size))
            part = [Operand(word, 0, WORD_BITS) for word in words]
        total = part
    return [v.word(word) for word in total]


def _shift(v: Values, cell: Cell) -> list[int]:
    """Return a number moved by whole words first, and then by bits."""
    a, by, width = cell.ports["A"], cell.ports["B"], len(cell.ports["Y"])
    if cell.kind == "$shift" and cell.signed[1]:
        raise ValueError("the design must shift by a number without sign")
    up = cell.kind == "$shl"
    wide = width if up else max(width, len(a))
    if cell.kind in ("$sshr", "$shift") and cell.signed[0]:  # signs come in
        wide += 1 << len(by)
    words = v.chunks(v.extend(a, cell.signed[0], wide))
    zero = v.number(0, WORD_BITS)
    for k, bit in enumerate(by[_BITS:]):
        step = -(1 << k) if up else 1 << k
        far = dict(enumerate(words))
        moved = [
            _mux(v, bit, far.get(n + step, zero), word, WORD_BITS) for n, word in enumerate(words)
        ]
        words = [Operand(value, 0, WORD_BITS) for value in moved]
    amount = v.gather(by[:_BITS])
    rest = Operand(v.emit(Op.RSUB, amount, v.constant(WORD_BITS)), 0, _BITS + 1)
    out = []
    for k, word in enumerate(words[: -(-width // WORD_BITS)]):
        value = _moved(v, word, amount, up)
        if 0 <= (near := k - 1 if up else k + 1) < len(words):
            more = _moved(v, words[near], rest, not up)
            value = v.emit(Op.OR, Operand(value, 0, WORD_BITS), more)
        out.append(value)
    return out


def _moved(v: Values, word: Operand, by: Operand, up: bool) -> int:
    """Return a word moved by 0..32 bits; what comes in is 0."""
    if up:
        return v.emit(Op.SHL, by, v.word(word))
    return v.emit(Op.SHR, Operand(v.word(word), 0, WORD_BITS), v.word(by))
