# SPDX-License-Identifier: Apache-2.0
"""From a netlist to steps: what each register becomes, and what is written to memories."""

from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import groupby

from .cells import results
from .isa import MEMORY_WORDS, WORD_BITS, Op, TooLargeError
from .netlist import Cell, Netlist, ReadPort
from .values import PIECE, Operand, Step, Values

__all__ = ["Lowered", "lower"]

#: Words of the least memory: STORE has the place of a memory in eights.
_LEAST = 8


@dataclass(frozen=True)
class Lowered:
    """A design as steps.

    Parameters
    ----------
    constants : dict of int to int
        Value, and what it is.
    init : dict of int to int
        Value of a register, and what it begins with.
    steps : dict of int to Step
        By value, in an order in which they can be taken.
    tests : tuple of (Operand, int)
        What TEST compares.
    next : dict of int to Operand
        Value of a register, and what it becomes.
    memory : tuple of int
        What memories begin with.
    """

    constants: dict[int, int]
    init: dict[int, int]
    steps: dict[int, Step]
    tests: tuple[tuple[Operand, int], ...]
    next: dict[int, Operand]
    memory: tuple[int, ...]


def lower(netlist: Netlist) -> Lowered:
    """Return the steps of a design with one input ``i`` and one output ``o``.

    Raises
    ------
    ValueError
        If there are other ports, or cells that cannot be folded.
    TooLargeError
        If its memories do not fit.
    """
    dirty: frozenset[int] = frozenset()
    while True:  # until it is known which registers have something above their bits
        lowering = _Lowering(netlist, dirty)
        out, bits = lowering.run(), lowering.values.bits
        more = {q for q, d in out.next.items() if d.shift == 0 and bits[d.value] > d.width}
        if more <= dirty:
            return out
        dirty |= more


class _Lowering:
    def __init__(self, netlist: Netlist, dirty: frozenset[int]):
        self.netlist, self.dirty = netlist, dirty
        self.values = Values()
        self.init: dict[int, int] = {}
        self.memory: list[int] = []
        #: Of each memory its columns: first bit, bits, and where they begin.
        self.columns: list[list[tuple[int, int, int]]] = []

    def run(self) -> Lowered:
        v = self.values
        v.constant(0)  # the first one: its word is 0
        registers = [
            (self.register(q, init), d)
            for register in self.netlist.registers
            for q, init, d in zip(
                *(_words(part) for part in (register.q, register.init, register.d)), strict=True
            )
        ]
        self.lay_out()
        outputs = {
            port: [self.register(port.data[at : at + n]) for at, n, _ in columns]
            for memory, columns in zip(self.netlist.memories, self.columns, strict=True)
            for port in memory.reads
            if port.clocked
        }
        self.receive()
        for node in self.ordered():
            if isinstance(node, Cell):
                for bits, value in zip(_words(node.ports["Y"]), results(v, node), strict=True):
                    v.place(bits, value)
            else:
                number, port = node
                for (at, n, _), value in zip(
                    self.columns[number], self.loads(number, port), strict=True
                ):
                    v.place(port.data[at : at + n], value)
        becomes = {q: self.whole(d) for q, d in registers}
        for number, memory in enumerate(self.netlist.memories):
            for port in memory.reads:
                if port.clocked:
                    loads = self.loads(number, port)
                    widths = [n for _, n, _ in self.columns[number]]
                    for q, n, value in zip(outputs[port], widths, loads, strict=True):
                        becomes[q] = self.enabled(port, q, Operand(value, 0, n))
        self.store()
        self.send()
        return Lowered(v.constants, self.init, v.steps, tuple(v.tests), becomes, tuple(self.memory))

    def register(self, bits, init=()) -> int:
        """Return the value of a register's word."""
        value = self.values.fresh(len(bits))
        if value in self.dirty:
            self.values.bits[value] = WORD_BITS
        self.init[value] = sum(bit << k for k, bit in enumerate(init))
        self.values.place(bits, value)
        return value

    def whole(self, bits) -> Operand:
        """Return an operand that has all the bits of a register, also those that become 0."""
        low = self.values.gather(bits)
        return low if low.width == len(bits) else Operand(self.values.word(low), 0, len(bits))

    def ordered(self) -> list:
        """Return cells and reads that are not clocked, each behind what it reads."""
        nodes: list[Cell | tuple[int, ReadPort]] = list(self.netlist.cells)
        inputs = [
            [b for p, bits in cell.ports.items() if p != "Y" for b in bits]
            for cell in self.netlist.cells
        ]
        outputs = [c.ports["Y"] for c in self.netlist.cells]
        for number, memory in enumerate(self.netlist.memories):
            for port in memory.reads:
                if not port.clocked:
                    nodes.append((number, port))
                    inputs.append(list(port.address))
                    outputs.append(port.data)
        source = {bit: k for k, bits in enumerate(outputs) for bit in bits}
        for cell in self.netlist.cells:
            self.values.drivers.update(dict.fromkeys(cell.ports["Y"], cell))
        graph = {k: {source[b] for b in bits if b in source} for k, bits in enumerate(inputs)}
        return [nodes[k] for k in TopologicalSorter(graph).static_order()]

    # --- memories

    def lay_out(self) -> None:
        """Cut memories into columns of 16 bits that are written as one, the deepest ones first."""
        cut = []
        for number, memory in enumerate(self.netlist.memories):
            depth = max(_LEAST, 1 << (len(memory.init) - 1).bit_length())
            enables = memory.writes[0].enable if memory.writes else (0,) * memory.width
            at = 0
            for _, group in groupby(enables):
                end = at + len(list(group))
                cut += [(depth, number, k, min(PIECE, end - k)) for k in range(at, end, PIECE)]
                at = end
            self.columns.append([])
        for depth, number, at, n in sorted(cut, key=lambda column: -column[0]):
            self.columns[number].append((at, n, len(self.memory)))
            init = [word >> at & ((1 << n) - 1) for word in self.netlist.memories[number].init]
            self.memory += [*init, *[0] * (depth - len(init))]
        if len(self.memory) > MEMORY_WORDS:
            raise TooLargeError(
                f"its memories take {len(self.memory):,} words of {PIECE} bits and there are "
                f"{MEMORY_WORDS:,}"
            )

    def loads(self, number: int, port: ReadPort) -> list[int]:
        """Return the values of a read, a column each."""
        v = self.values
        address, late = v.gather(port.address), port.clocked and port.transparent
        return [
            v.emit(Op.LOAD, address, v.constant(base), memory=number, late=late)
            for _, _, base in self.columns[number]
        ]

    def enabled(self, port: ReadPort, q: int, load: Operand) -> Operand:
        """Return what an output of a clocked read becomes; memories have anything above it."""
        if port.enable == 1:
            return load
        op, test = self.values.select(port.enable)
        return Operand(self.values.emit(op, load, q, test=test), 0, load.width)

    def store(self) -> None:
        """Write memories, where they are enabled."""
        v = self.values
        for number, memory in enumerate(self.netlist.memories):
            for port in memory.writes:
                address = v.gather(port.address)
                for at, n, base in self.columns[number]:
                    if port.enable[at]:
                        op, test = v.select(port.enable[at])
                        if op is Op.SELN:  # STORE goes by the flag as it is
                            test = v.test(v.gather(port.enable[at : at + 1]), v.constant(0))
                        data = v.word(v.gather(port.data[at : at + n]), n)
                        v.emit(Op.STORE, address, data, test=test, base=base, memory=number)

    # --- ports

    def receive(self) -> None:
        """Give the design its inputs: ``i`` from outside, and no reset."""
        v = self.values
        for name, bits in self.netlist.inputs.items():
            if name == "i":
                zero = v.number(0, 1)
                v.place(bits, v.emit(Op.IN, zero, zero.value))
            elif name == "rst":
                v.place(bits, v.constant(0))
            elif name != "clk":
                raise ValueError(f"the design must have inputs i, clk and rst, not {name}")

    def send(self) -> None:
        """Say what the design says."""
        v = self.values
        for name, bits in self.netlist.outputs.items():
            if name != "o":
                raise ValueError(f"the design must have one output, o, not {name}")
            v.emit(Op.OUT, v.gather(bits), v.constant(0))


def _words(bits) -> list:
    """Cut into words, from the lowest one on."""
    return [bits[k : k + WORD_BITS] for k in range(0, len(bits), WORD_BITS)]
