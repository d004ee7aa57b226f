# SPDX-License-Identifier: Apache-2.0
"""Folded cells, registers and memories do what RTLIL says that they do."""

import random
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpga.folded.isa import WORDS, TooLargeError
from fpga.folded.lower import lower
from fpga.folded.model import CoreModel
from fpga.folded.netlist import Cell, Memory, Netlist, ReadPort, Register, WritePort
from fpga.folded.schedule import compile_steps


def integer(value, width, signed):
    return value - (1 << width) if signed and value >> (width - 1) & 1 else value


def meaning(kind, a, b, s, wide):
    """Return Y of a cell; ``a`` and ``b`` are numbers, extended as the cell wants it."""
    match kind:
        case "$and":
            return a & b
        case "$or":
            return a | b
        case "$xor":
            return a ^ b
        case "$add":
            return a + b
        case "$sub":
            return a - b
        case "$mul":
            return a * b
        case "$eq":
            return a == b
        case "$ne":
            return a != b
        case "$lt":
            return a < b
        case "$le":
            return a <= b
        case "$gt":
            return a > b
        case "$ge":
            return a >= b
        case "$shl":
            return a << b
        case "$shr":
            return (a & ((1 << wide) - 1)) >> b
        case "$sshr" | "$shift":
            return a >> b
        case "$not":
            return ~a
        case "$neg":
            return -a
        case "$logic_not":
            return a == 0
        case "$reduce_or" | "$reduce_bool":
            return a != 0
        case "$reduce_and":
            return a & ((1 << wide) - 1) == (1 << wide) - 1
        case "$mux":
            return b if s else a
    raise AssertionError(kind)


UNARY = ["$not", "$neg", "$logic_not", "$reduce_or", "$reduce_bool", "$reduce_and"]
COMPARED = ["$lt", "$le", "$gt", "$ge"]
SHIFTED = ["$shl", "$shr", "$sshr", "$shift"]
BINARY = ["$and", "$or", "$xor", "$add", "$sub", "$mul", "$eq", "$ne", *COMPARED, *SHIFTED]


def registers(numbers):
    """Return registers that keep numbers, and the wires of each."""
    wires = count(2)
    bits = [tuple(next(wires) for _ in range(width)) for _, width in numbers]
    made = tuple(
        Register(q, q, tuple(number >> k & 1 for k in range(width)))
        for q, (number, width) in zip(bits, numbers, strict=True)
    )
    return made, bits, wires


def run(netlist, received=(0,)):
    core = CoreModel(compile_steps(lower(netlist)))
    return [core.cycle(x)[0] for x in received]


@pytest.mark.parametrize("kind", [*UNARY, *BINARY, "$mux"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_cell_does_what_rtlil_says(kind, data):
    draw = data.draw
    widest = 32 if kind in COMPARED else 70
    width_a, width_b, width = (draw(st.integers(1, widest)) for _ in range(3))
    if kind == "$mux":
        width_b = width = width_a
    if kind in SHIFTED:
        width_b = min(width_b, 7)
    signed = draw(st.booleans()) and kind != "$mux"

    # words often have a meaning: all ones, one, the sign alone
    def word(n):
        special = st.sampled_from([0, 1, (1 << n) - 1, 1 << (n - 1)])
        return draw(st.one_of(special, st.integers(0, (1 << n) - 1)))

    a, b, s = word(width_a), word(width_b), draw(st.integers(0, 1))
    if kind in ("$eq", "$ne") and draw(st.booleans()):
        b = a & ((1 << width_b) - 1)
    made, (bits_a, bits_b, bits_s), wires = registers([(a, width_a), (b, width_b), (s, 1)])
    y = tuple(next(wires) for _ in range(width))
    ports = {"A": bits_a, "Y": y}
    if kind not in UNARY:
        ports["B"] = bits_b
    if kind == "$mux":
        ports["S"] = bits_s
    b_signed = signed and kind not in SHIFTED
    at = draw(st.integers(0, width - 1))
    seen = y[at : at + 32]
    cell = Cell(kind, ports, (signed, b_signed))
    netlist = Netlist({}, {"o": seen}, (cell,), made, ())
    wide = max(width, width_a) if kind in SHIFTED else width_a
    number_a, number_b = integer(a, width_a, signed), integer(b, width_b, b_signed)
    want = int(meaning(kind, number_a, number_b, s, wide)) & ((1 << width) - 1)
    assert run(netlist) == [want >> at & ((1 << len(seen)) - 1)]


@pytest.mark.parametrize(
    ("kind", "a", "b"),
    [("$add", (1 << 70) - 1, 1), ("$add", (1 << 64) - 1, 1), ("$sub", 0, 1), ("$sub", 1 << 64, 1)],
)
@pytest.mark.parametrize("at", [0, 32, 64])
def test_carry_goes_through_a_word_that_is_full(kind, a, b, at):
    made, bits, wires = registers([(a, 70), (b, 70)])
    y = tuple(next(wires) for _ in range(70))
    cell = Cell(kind, {"A": bits[0], "B": bits[1], "Y": y}, (False, False))
    want = meaning(kind, a, b, 0, 70) >> at & ((1 << min(32, 70 - at)) - 1)
    assert run(Netlist({}, {"o": y[at : at + 32]}, (cell,), made, ())) == [want]


@pytest.mark.parametrize("first", ["$add", "$sub", "$mul", "$xor", "$not", "$neg", "$shl", "$shr"])
@given(
    second=st.sampled_from(["$eq", "$lt", "$gt", "$and", "$or", "$mul", "$shr"]),
    width=st.integers(1, 12),
    narrow=st.integers(1, 20),
    swap=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_what_is_above_the_bits_of_a_result_is_not_seen(first, second, width, narrow, swap, seed):
    rng = random.Random(seed)
    a, b = (rng.choice([rng.getrandbits(width), (1 << width) - 1]) for _ in range(2))
    part = int(meaning(first, a, b, 0, max(width, narrow))) & ((1 << narrow) - 1)
    c = rng.choice([part, rng.getrandbits(5)])
    made, bits, wires = registers([(a, width), (b, width), (c, 20)])
    between = tuple(next(wires) for _ in range(narrow))
    y = tuple(next(wires) for _ in range(16))
    ports = {"A": bits[0], "Y": between} | ({} if first in UNARY else {"B": bits[1]})
    sides = [between, bits[2]] if swap else [bits[2], between]
    cells = (
        Cell(first, ports, (False, False)),
        Cell(second, {"A": sides[0], "B": sides[1], "Y": y}, (False, False)),
    )
    numbers = [part, c] if swap else [c, part]
    want = int(meaning(second, *numbers, 0, 20)) & 0xFFFF
    assert run(Netlist({}, {"o": y}, cells, made, ())) == [want]


def test_product_that_is_cut_equals_what_is_left_of_it():
    made, (a, b, left), wires = registers([(4095, 12), (4095, 12), (4095**2 % 2**18, 18)])
    product, same = tuple(next(wires) for _ in range(18)), (next(wires),)
    cells = (
        Cell("$mul", {"A": a, "B": b, "Y": product}, (False, False)),
        Cell("$eq", {"A": left, "B": product, "Y": same}, (False, False)),
    )
    assert run(Netlist({}, {"o": same}, cells, made, ())) == [1]


@given(
    width=st.integers(1, 40),
    choices=st.integers(1, 5),
    chosen=st.integers(0, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_one_of_several_is_chosen(width, choices, chosen, seed):
    rng = random.Random(seed)
    values = [rng.getrandbits(width) for _ in range(choices + 1)]
    hot = 1 << chosen if chosen < choices else 0
    numbers = [(values[0], width), *[(v, width) for v in values[1:]], (hot, choices)]
    made, bits, wires = registers(numbers)
    y = tuple(next(wires) for _ in range(width))
    b = tuple(bit for part in bits[1:-1] for bit in part)
    cell = Cell("$pmux", {"A": bits[0], "B": b, "S": bits[-1], "Y": y}, (False, False))
    want = values[1 + chosen] if chosen < choices else values[0]
    assert run(Netlist({}, {"o": y[:32]}, (cell,), made, ())) == [want & 0xFFFFFFFF]


@given(order=st.permutations(range(5)), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_registers_follow_each_other_in_any_order(order, seed):
    rng = random.Random(seed)
    numbers = [(rng.getrandbits(6), 6) for _ in order]
    made, bits, _ = registers(numbers)
    turned = tuple(replace(r, d=bits[k]) for r, k in zip(made, order, strict=True))
    values = [n for n, _ in numbers]
    out = tuple(bit for part in bits for bit in part)
    got = run(Netlist({}, {"o": out}, (), turned, ()), (0,) * 4)
    for seen in got:
        assert seen == sum(v << (6 * k) for k, v in enumerate(values))
        values = [values[k] for k in order]


def test_register_is_read_as_it_was_left_in_the_cycle_before():
    made, (q,), wires = registers([(5, 8)])
    turned = tuple(next(wires) for _ in range(8))
    cells = (Cell("$not", {"A": q, "Y": turned}, (False, False)),)
    got = run(Netlist({}, {"o": q}, cells, (replace(made[0], d=turned),), ()), (0,) * 4)
    assert got == [5, 250, 5, 250]


def test_register_is_read_as_it_was_beside_what_it_becomes():
    made, (q, one), wires = registers([(5, 8), (1, 8)])
    total, changed = (tuple(next(wires) for _ in range(8)) for _ in range(2))
    cells = (
        Cell("$add", {"A": q, "B": one, "Y": total}, (False, False)),
        Cell("$xor", {"A": total, "B": q, "Y": changed}, (False, False)),
    )
    counting = (replace(made[0], d=total), made[1])
    got = run(Netlist({}, {"o": changed}, cells, counting, ()), (0,) * 9)
    assert got == [k ^ k + 1 for k in range(5, 14)]


@pytest.mark.parametrize("clocked", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("width", [5, 16, 20])
def test_memory_reads_what_was_there_or_what_comes(clocked, transparent, width):
    rng = random.Random(width)
    init = tuple(rng.getrandbits(width) for _ in range(11))
    enable = (26,) * 3 + (27,) * (width - 3)  # two parts that are written alone
    wires = tuple(range(100, 100 + width))
    i = tuple(range(2, 34))
    read = ReadPort(i[:4], wires, i[26] if clocked else 1, clocked, transparent and clocked)
    data = tuple(i[4 + k % 20] for k in range(width))
    write = WritePort(i[:4], data, tuple(2 + e for e in enable))
    memory = Memory("m", init, width, (read,), (write,))
    netlist = Netlist({"i": i}, {"o": wires}, (), (), (memory,))
    words, seen = list(init), 0
    inputs = [rng.getrandbits(32) & ~15 | rng.randrange(11) for _ in range(60)]
    got = run(netlist, inputs)
    for x, found in zip(inputs, got, strict=True):
        at = x & 15
        now = words[at]
        value = sum((x >> (4 + k % 20) & 1) << k for k in range(width))
        mask = sum((x >> e & 1) << k for k, e in enumerate(enable))
        fresh = now & ~mask | value & mask
        assert found == (seen if clocked else now)
        if x >> 26 & 1:
            seen = fresh if transparent else now
        words[at] = fresh


@pytest.mark.parametrize("kind", ["$not", "$logic_not", "$eq", "$ne", "$reduce_or"])
def test_memory_is_written_where_a_cell_says_so(kind):
    i, wires = tuple(range(2, 34)), count(40)
    enable, one = (next(wires),), (1,)
    ports = {"A": i[8:9], "Y": enable} | ({"B": one} if kind in ("$eq", "$ne") else {})
    data = tuple(next(wires) for _ in range(4))
    memory = Memory(
        "m",
        (9,) * 8,
        4,
        (ReadPort(i[:3], data, 1, False, False),),
        (WritePort(i[:3], i[4:8], enable * 4),),
    )
    cell = Cell(kind, ports, (False, False))
    rng = random.Random(kind)
    inputs, words = [rng.getrandbits(9) for _ in range(60)], [9] * 8
    netlist = Netlist({"i": i}, {"o": data}, (cell,), (), (memory,))
    for x, found in zip(inputs, run(netlist, inputs), strict=True):
        assert found == words[x & 7]
        if int(meaning(kind, x >> 8 & 1, 1, 0, 1)) & 1:
            words[x & 7] = x >> 4 & 15


def test_what_cannot_be_folded_is_refused():
    made, bits, wires = registers([(0, 40), (0, 40)])
    y = (next(wires),)

    def cell(kind, *signed):
        return Cell(kind, {"A": bits[0], "B": bits[1], "Y": y}, signed or (False, False))

    for wrong, message in (
        (cell("$lt"), "compare 32 bits at most, not 2 words"),
        (cell("$shift", False, True), "shift by a number without sign"),
        (cell("$div"), r"cells that can be folded, not a \$div"),
    ):
        with pytest.raises(ValueError, match=f"^the design must (have )?{message}$"):
            run(Netlist({}, {"o": y}, (wrong,), made, ()))
    for inputs, outputs, message in (
        ({"x": (2,)}, {}, "^the design must have inputs i, clk and rst, not x$"),
        ({}, {"y": (1,)}, "^the design must have one output, o, not y$"),
    ):
        with pytest.raises(ValueError, match=message):
            run(Netlist(inputs, outputs, (), (), ()))


def test_what_does_not_fit_is_refused_with_the_arithmetic():
    made, bits, _ = registers([(k, 12) for k in range(WORDS)])
    chain = tuple(replace(r, d=bits[k - 1]) for k, r in enumerate(made))
    message = "^its constants and registers take 1,793 words and there are 1,792$"
    with pytest.raises(TooLargeError, match=message):
        run(Netlist({}, {"o": bits[0]}, (), chain, ()))
    memory = Memory("m", (0,) * 9000, 17, (), (WritePort((0,) * 14, (0,) * 17, (1,) * 17),))
    message = "^its memories take 32,768 words of 16 bits and there are 16,384$"
    with pytest.raises(TooLargeError, match=message):
        run(Netlist({}, {"o": (0,)}, (), (), (memory,)))
