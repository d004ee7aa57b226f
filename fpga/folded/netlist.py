# SPDX-License-Identifier: Apache-2.0
"""Word-level netlists: what yosys makes of a design before it becomes gates."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SCRIPT", "Bit", "Cell", "Memory", "Netlist", "ReadPort", "WritePort", "read_netlist"]

#: What yosys does to ``top.il``; registers without enables, memories as they are.
SCRIPT = (
    "read_rtlil top.il",
    "hierarchy -top top",
    "proc",
    "flatten",
    "rename -unescape",
    "opt_expr",
    "opt_clean",
    "opt -nodffe -nosdff",
    "wreduce",
    "peepopt",
    "opt_clean",
    "share",
    "opt -nodffe -nosdff -full",
    "bmuxmap",
    "demuxmap",
    "memory -nomap",
    "dffunmap",
    "opt_clean",
    "write_json top.json",
)

#: A wire's number, 2 or more, or a constant, 0 or 1. What is undefined is 0.
Bit = int


@dataclass(frozen=True)
class Cell:
    """A cell without state, such as ``$add``.

    Parameters
    ----------
    kind : str
    ports : dict of str to tuple of Bit
        Inputs and the output, ``Y``, from the lowest bit on.
    signed : tuple of bool
        Of inputs A and B.
    """

    kind: str
    ports: dict[str, tuple[Bit, ...]]
    signed: tuple[bool, bool]


@dataclass(frozen=True)
class Register:
    """Flip-flops of one clock."""

    d: tuple[Bit, ...]
    q: tuple[int, ...]
    init: tuple[bool, ...]


@dataclass(frozen=True)
class ReadPort:
    """Of a memory: at once if ``clocked`` is False; ``transparent`` sees what is written."""

    address: tuple[Bit, ...]
    data: tuple[int, ...]
    enable: Bit
    clocked: bool
    transparent: bool


@dataclass(frozen=True)
class WritePort:
    """Of a memory, one enable for each bit."""

    address: tuple[Bit, ...]
    data: tuple[Bit, ...]
    enable: tuple[Bit, ...]


@dataclass(frozen=True)
class Memory:
    """A memory: at most one write port."""

    name: str
    init: tuple[int, ...]
    width: int
    reads: tuple[ReadPort, ...]
    writes: tuple[WritePort, ...]


@dataclass(frozen=True)
class Netlist:
    """A design with one clock.

    Parameters
    ----------
    inputs, outputs : dict of str to tuple of Bit
    cells : tuple of Cell
    registers : tuple of Register
    memories : tuple of Memory
    """

    inputs: dict[str, tuple[Bit, ...]]
    outputs: dict[str, tuple[Bit, ...]]
    cells: tuple[Cell, ...]
    registers: tuple[Register, ...]
    memories: tuple[Memory, ...]


def _bits(bits: Sequence) -> tuple[Bit, ...]:
    return tuple(b if isinstance(b, int) else int(b == "1") for b in bits)


def _number(text: str) -> int:
    """Return a parameter of yosys' JSON, binary digits; undefined ones are 0."""
    return int(text.replace("x", "0").replace("z", "0") or "0", 2)


def read_netlist(path) -> Netlist:
    """Read the ``top.json`` that :data:`SCRIPT` made.

    Raises
    ------
    ValueError
        If the design has what cannot be folded: two clocks, latches, black boxes.
    """
    module = json.loads(Path(path).read_text())["modules"]["top"]
    init: dict[int, bool] = {}
    for net in module["netnames"].values():
        if "init" in net["attributes"]:
            digits = net["attributes"]["init"][::-1]
            init.update((b, v == "1") for b, v in zip(net["bits"], digits, strict=False))
    cells, registers, memories, clocks = [], [], [], set()
    for name, cell in module["cells"].items():
        kind, parameters = cell["type"], cell["parameters"]
        ports = {port: _bits(bits) for port, bits in cell["connections"].items()}
        if kind == "$scopeinfo":
            continue
        if kind == "$dff":
            clocks.add(ports["CLK"])
            q = ports["Q"]
            registers.append(Register(ports["D"], q, tuple(init.get(b, False) for b in q)))
        elif kind == "$mem_v2":
            memories.append(_memory(name, parameters, ports))
            clocks |= {(b,) for b in (*ports["RD_CLK"], *ports["WR_CLK"]) if b}
        elif "Y" in ports:
            a, b = (_number(parameters.get(f"{p}_SIGNED", "0")) == 1 for p in "AB")
            cells.append(Cell(kind, ports, (a, b)))
        else:
            raise ValueError(f"the design must have cells that can be folded, not {name}, a {kind}")
    if len(clocks) > 1:
        raise ValueError(f"the design must have one clock, not {len(clocks)}")
    sides: dict[str, dict[str, tuple[Bit, ...]]] = {"input": {}, "output": {}}
    for name, port in module["ports"].items():
        sides[port["direction"]][name] = _bits(port["bits"])
    return Netlist(
        sides["input"],
        sides["output"],
        tuple(cells),
        tuple(registers),
        tuple(memories),
    )


def _memory(name, parameters, ports) -> Memory:
    width, size = _number(parameters["WIDTH"]), _number(parameters["SIZE"])
    abits, reads = _number(parameters["ABITS"]), _number(parameters["RD_PORTS"])
    if _number(parameters["WR_PORTS"]) > 1 or _number(parameters["OFFSET"]):
        raise ValueError(f"memory {name} must have one write port at most, and begin at 0")
    values = _number(parameters["INIT"])
    clocked = _number(parameters["RD_CLK_ENABLE"])
    transparent = _number(parameters["RD_TRANSPARENCY_MASK"])
    return Memory(
        name,
        tuple(values >> (k * width) & ((1 << width) - 1) for k in range(size)),
        width,
        tuple(
            ReadPort(
                ports["RD_ADDR"][k * abits : (k + 1) * abits],
                ports["RD_DATA"][k * width : (k + 1) * width],
                ports["RD_EN"][k],
                bool(clocked >> k & 1),
                bool(transparent >> k & 1),
            )
            for k in range(reads)
        ),
        tuple(
            WritePort(ports["WR_ADDR"], ports["WR_DATA"], ports["WR_EN"])
            for _ in range(_number(parameters["WR_PORTS"]))
        ),
    )
