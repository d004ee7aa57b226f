# SPDX-License-Identifier: Apache-2.0
"""Speed of the co-simulation, and cycles of the controller against what the tiles need.

Three questions, all on the paper's network (528-250-125-10) and in one run:

* examples and cycles a second under Verilator, and where the time goes;
* the same under Icarus, for the ratio;
* clock cycles of an example by phase when tiles take the time of their converters. The limit is the
  critical path of an example through the tiles: a conversion for every layer forwards, one for
  every layer but the first backwards, and the update of the first layer's tiles, which the next
  example waits for. Everything else overlaps or is overhead of the digital half.
"""

import argparse
import json
import shutil

from rich.console import Console
from rich.table import Table

from cosim.timing import NOMINAL
from crossforge.cosim import CosimOptions, cosim
from rtl.tile_port import TileOp


def tile_cycles(layers: int) -> dict[str, int]:
    """Cycles that the tiles need for one example, by phase, at the least."""
    conversion = NOMINAL.cycles(TileOp.FORWARD, 0, ())
    return {
        "forward": layers * conversion,
        "backward": (layers - 1) * conversion,
        "update": NOMINAL.cycles(TileOp.UPDATE, 0, ()),
    }


def cycles_table(by_lanes: dict[int, dict]) -> Table:
    """Cycles of an example by instruction, one column for every number of lanes."""
    table = Table(title="clock cycles of an example, tiles at nominal speed")
    table.add_column("instruction")
    for lanes in by_lanes:
        table.add_column(f"{lanes} lanes", justify="right")
    for phase in next(iter(by_lanes.values()))["cycles_by_phase"]:
        cells = [f["cycles_by_phase"][phase] / f["examples"] for f in by_lanes.values()]
        if any(cells) and phase != "transfer":
            table.add_row(phase, *(f"{c:.1f}" for c in cells))
    layers = len(next(iter(by_lanes.values()))["layers"]) - 1
    need = sum(tile_cycles(layers).values())
    table.add_section()
    table.add_row("sum", *(f"{f['cycles_per_example']:.1f}" for f in by_lanes.values()))
    table.add_row("the tiles' own time", *([f"{need}"] * len(by_lanes)))
    shares = [100 * (f["cycles_per_example"] / need - 1) for f in by_lanes.values()]
    table.add_row("digital half adds", *(f"{s:.1f} %" for s in shares))
    return table


def speed_table(runs: dict[str, dict]) -> Table:
    """Speed and shares of time."""
    table = Table(title="co-simulation, tiles that answer at once")
    for heading in ("", *runs):
        table.add_column(heading, justify="right" if heading else "left")
    rows = {
        "examples": lambda f: f"{f['examples']}",
        "examples a second, golden machine included": lambda f: f"{f['examples_per_second']}",
        "examples a second, without it": lambda f: f"{f['examples'] / _spent(f):.1f}",
        "kilocycles a second of RTL time": lambda f: f"{f['kilocycles_per_second']:,.4g}",
        "share of RTL, %": lambda f: f"{100 * f['seconds']['rtl'] / _spent(f):.0f}",
        "share of exchange, %": lambda f: f"{100 * f['seconds']['exchange'] / _spent(f):.0f}",
        "share of tile models, %": lambda f: f"{100 * f['seconds']['model'] / _spent(f):.0f}",
        "build, s (0: it was there)": lambda f: f"{f['build_seconds']}",
    }
    for name, show in rows.items():
        table.add_row(name, *(show(f) for f in runs.values()))
    return table


def _spent(figures):
    return sum(figures["seconds"][k] for k in ("rtl", "exchange", "model"))


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=400, help="default: %(default)s")
    parser.add_argument(
        "--icarus", type=int, default=2, metavar="N", help="examples under Icarus; 0: none"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    wanted = {"Verilator": CosimOptions(examples=args.examples, interval=0)}
    if args.icarus and shutil.which("iverilog"):
        few = {"examples": args.icarus, "interval": 0, "initial": False}
        wanted["Icarus"] = CosimOptions(simulator="icarus", **few)
    speed = {name: cosim(options, quiet=args.json) for name, options in wanted.items()}
    nominal = {
        lanes: cosim(
            CosimOptions(examples=64, interval=0, lanes=lanes, timing="nominal"), quiet=args.json
        )
        for lanes in (64, 16)
    }
    for figures in (*speed.values(), *nominal.values()):
        if figures["mismatches"]:
            raise SystemExit(figures["mismatch"])
    if args.json:
        print(json.dumps({"speed": speed, "nominal": nominal}))
        return
    console = Console()
    console.print(speed_table(speed))
    if "Icarus" in speed:
        fast, slow = (f["kilocycles_per_second"] for f in speed.values())
        ratio = fast / slow
        console.print(f"Verilator simulates {ratio:.0f} times as many cycles a second as Icarus.")
    else:
        console.print("Icarus was not asked for, or is not installed: apt install iverilog")
    console.print(cycles_table(nominal))


if __name__ == "__main__":
    main()
