# SPDX-License-Identifier: Apache-2.0
"""What goes with the controller's Verilog: a stub of a tile, the chip, constraints, a core file."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from amaranth import Shape
from amaranth.lib import data, wiring

from cosim.lint import VERILATOR_WAIVERS
from golden.config import ChipConfig
from rtl.tile_port import Command, TileOp, TilePort

__all__ = [
    "UNREAD_BITS",
    "Port",
    "chip_text",
    "constraints",
    "core_file",
    "ports",
    "stub",
    "waivers",
]

#: Verilator of a signal some bits of which yosys left out because nothing reads them.
UNREAD_BITS = "Bits of signal are not driven"

#: Streams of a tile port, as a tile sees them.
_STREAMS = {
    "cmd": "one operation; its vectors follow on the streams below",
    "x": "row codes of FORWARD, column codes of BACKWARD; of UPDATE row pulses, then column pulses",
    "y": "column codes of FORWARD, row codes of BACKWARD",
    "w": "codes of PROGRAM; of TUNE signed pulse counts, in plus",
    "r": "column codes of READ",
}


@dataclass(frozen=True)
class Port:
    """A port of a component in Verilog.

    Parameters
    ----------
    name : str
        The member's path, joined by ``__``.
    direction : ``"input"`` or ``"output"``
    width : int, bits
    shape : shape-like
        What Amaranth knows of it.
    """

    name: str
    direction: str
    width: int
    shape: Any = 1

    @property
    def range(self) -> str:
        """The bits, followed by a space if there are several."""
        return f"[{self.width - 1}:0] " if self.width > 1 else ""


def ports(signature: wiring.Signature) -> list[Port]:
    """List the ports of whoever implements ``signature``, clock and reset first."""
    made = signature.create()
    listed = [Port("clk", "input", 1), Port("rst", "input", 1)]
    for path, member, _ in signature.flatten(made):
        direction = "output" if member.flow is wiring.Out else "input"
        width = Shape.cast(member.shape).width
        listed.append(Port("__".join(map(str, path)), direction, width, member.shape))
    return listed


#: Ports that controller and tiles share.
_SHARED = ("clk", "rst", "abandon")


def tile_ports(lanes: int, transfer_lanes: int) -> list[Port]:
    """List the ports of a tile, :data:`_SHARED` first."""
    clk, rst, *own = ports(TilePort(lanes, transfer_lanes).flip())
    return [clk, rst, Port("abandon", "input", 1), *own]


def host_ports(signature: wiring.Signature) -> list[Port]:
    """List the ports of a chip: those of its controller that no tile stands behind."""
    inner = ("tiles__", "abandon")
    return [p for p in ports(signature) if not p.name.startswith(inner)]


def _declared(listed: list[Port]) -> str:
    return ",\n".join(f"  {p.direction:<6} wire {p.range}{p.name}" for p in listed)


def _packing(shape, name="", low=0, of=None) -> Iterator[str]:
    """Say which bits of a payload are what; ``of`` is the width and number of array elements."""
    if isinstance(shape, data.ArrayLayout):
        width = Shape.cast(shape.elem_shape).width
        yield from _packing(shape.elem_shape, f"{name}[i]", low, (width, shape.length))
    elif isinstance(shape, data.StructLayout) or shape is Command:
        for key, field in data.Layout.cast(shape):
            yield from _packing(field.shape, f"{name}.{key}".lstrip("."), low + field.offset, of)
    else:
        cast = Shape.cast(shape)
        bits = (
            _at(low, of) if cast.width == 1 else f"{_at(low + cast.width - 1, of)}:{_at(low, of)}"
        )
        note = ", signed" if cast.signed else ""
        note += "" if of is None else f", i = 0..{of[1] - 1}"
        yield f"[{bits}] {name}{note}"


def _at(bit, of) -> str:
    """Place of a bit of a payload, or of an element of an array in it."""
    if of is None:
        return str(bit)
    return f"{of[0]}*i + {bit}" if bit else f"{of[0]}*i"


def stub(lanes: int, transfer_lanes: int) -> str:
    """Verilog of an empty tile: what stands behind one port of the controller."""
    listed = tile_ports(lanes, transfer_lanes)
    lines = [
        "// What stands behind one tile port of the controller: an empty module to be replaced by",
        "// the analog array and its converters. Streams move a payload in every cycle in which",
        "// valid and ready are 1; valid then stays, with its payload, until ready is 1. A tile",
        "// executes in order. rst is synchronous. While abandon is 1 it forgets its command,",
        "// vectors and results, and keeps its cells.",
        "//",
    ]
    shapes = {p.name: p.shape for p in listed}
    for name, meaning in _STREAMS.items():
        lines += [f"// {name}: {meaning}"]
        shape = shapes[f"{name}__payload"]
        array = "code" if isinstance(shape, data.ArrayLayout) else ""
        lines += [f"//   {text}" for text in _packing(shape, array)]
    operations = [f"{op.value} {name}" for name, op in TileOp.__members__.items()]
    half = len(operations) // 2
    lines += [f"// op: {', '.join(operations[:half])},", f"//   {', '.join(operations[half:])}", ""]
    lines += ["(* blackbox *)", "module analog_tile (", _declared(listed), ");", "endmodule"]
    return "\n".join(lines) + "\n"


def _held(chip: ChipConfig) -> list[str]:
    """Say what each tile holds, in the order of :class:`golden.placement.Placement`."""
    return [
        f"layer {layer}, rows {r0}..{r1 - 1}, columns {c0}..{c1 - 1}"
        for layer in range(len(chip.layers) - 1)
        for r0, r1 in pairwise(chip.grid(layer)[0])
        for c0, c1 in pairwise(chip.grid(layer)[1])
    ]


def _instance(module: str, name: str, connections: dict[str, str]) -> list[str]:
    last = list(connections)[-1]
    listed = [f"    .{p}({net}){'' if p == last else ','}" for p, net in connections.items()]
    return [f"  {module} {name} (", *listed, "  );"]


def chip_text(signature: wiring.Signature, chip: ChipConfig, tile: list[Port]) -> str:
    """Verilog of a chip: the controller with a tile at every port.

    Parameters
    ----------
    signature : wiring.Signature
        The controller's.
    chip : ChipConfig
        Network that comments place in the tiles.
    tile : list of Port
        A tile's; see :func:`tile_ports`.
    """
    listed = ports(signature)
    inner = {p.name: p for p in listed if p.name.startswith("tiles__")}
    own = [p.name for p in tile if p.name not in _SHARED]
    network, held = "-".join(map(str, chip.layers)), _held(chip)
    lines = [
        f"// The chip: controller and tiles. Comments say where {network} lies.",
        "module crossforge_chip (",
        _declared(host_ports(signature)),
        ");",
        "  wire abandon;",
    ]
    instances: list[str] = []
    for t in range(len(inner) // len(own)):
        nets = {name: f"tiles__{t}__{name}" for name in own}
        what = held[t] if t < len(held) else "spare"
        lines += ["", f"  // tile {t}: {what}"]
        lines += [f"  wire {inner[net].range}{net};" for net in nets.values()]
        connections = {name: name for name in _SHARED} | nets
        instances += ["", *_instance("analog_tile", f"tile_{t}", connections)]
    lines += ["", *_instance("crossforge", "controller", {p.name: p.name for p in listed})]
    return "\n".join([*lines, *instances, "endmodule"]) + "\n"


def constraints(signature: wiring.Signature, clock: float) -> str:
    """SDC of the chip; ``clock`` in Hz. A fifth of the period is left outside of each port."""
    period = 1e9 / clock
    host = [p for p in host_ports(signature) if p.name != "clk"]
    lines = [
        f"# The chip at {clock / 1e6:.6g} MHz; times in ns.",
        "# rst is synchronous: it is timed as every other input is.",
        f"create_clock -name clk -period {period:.3f} [get_ports clk]",
    ]
    for direction in ("input", "output"):
        names = [
            p.name if p.width == 1 else f"{p.name}[*]" for p in host if p.direction == direction
        ]
        delay = f"set_{direction}_delay -clock clk {period / 5:.3f}"
        lines += ["", f"{delay} [get_ports {{", *(f"  {name}" for name in names), "}]"]
    return "\n".join(lines) + "\n"


def waivers() -> str:
    """Control file for Verilator: what ``-Wall`` need not say of this Verilog, and why."""
    lines = ["`verilator_config"]
    for (rule, match), reason in VERILATOR_WAIVERS.items():
        pattern = f' -file "*" -match "{match}"' if match else ""
        lines += [f"// {reason}", f"lint_off -rule {rule}{pattern}"]
    lines += [
        "// yosys cuts what is not read; its own check -assert looks for what is read",
        f'lint_off -rule UNDRIVEN -file "*crossforge.v" -match "{UNREAD_BITS}*"',
        "// a stub drives nothing",
        'lint_off -rule UNDRIVEN -file "*analog_tile.v"',
    ]
    return "\n".join(lines) + "\n"


def core_file(name: str, version: str, chip: ChipConfig) -> str:
    """FuseSoC core (CAPI2) of the generated files."""
    return f"""\
CAPI=2:

name: crossforge:controller:{name}:{version}
description: Controller of a chip that trains {"-".join(map(str, chip.layers))} in analog memory

filesets:
  rtl:
    files:
      - crossforge.v
      - analog_tile.v
      - crossforge_chip.v
    file_type: verilogSource
  constraints:
    files:
      - crossforge.sdc
    file_type: SDC
  waivers:
    files:
      - crossforge.vlt
    file_type: vlt

targets:
  default:
    filesets: [rtl, constraints]
    toplevel: crossforge_chip
  lint:
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
    filesets: [waivers, rtl]
    toplevel: crossforge_chip
"""
