# SPDX-License-Identifier: Apache-2.0
"""How fast the emulator is: cycles an example against its limit, and examples a second.

The limit is one word of cells a cycle, of all tiles: FORWARD visits the words of all rows with a
code, BACKWARD those of all rows, UPDATE the words with a pulse of all rows with one, a tick of
leakage all words. What is above is latency: of converters, of the controller between two layers, of
vectors on their way. What is below: UPDATE steps cells while others are multiplied.
"""

import argparse
import json
import time

import numpy as np

from crossforge.emulate_boards import open_board
from crossforge.emulate_options import images
from fpga.engine import BoardEngine
from golden.controllers import CONTROLLERS
from golden.engine import FixedEngine, MachineEngine
from golden.kernel_tile import KernelTile
from golden.schedule import epoch_order, initial_weights
from rtl.tools import BUILD_DIR


class _Counted:
    """Counts the words that a tile visits, and the cells: with a code or pulse on both sides."""

    def __init__(self, tile, lanes):
        self.tile, self.lanes = tile, lanes
        self.words = dict.fromkeys(("forward", "backward", "update", "age"), 0)
        self.cells = dict.fromkeys(self.words, 0)
        for name in self.words:
            setattr(tile, name, self._wrap(name, getattr(tile, name)))

    def _wrap(self, name, operation):
        def counted(*given):
            rows, cols = self.tile.rows, self.tile.cols
            r = np.count_nonzero(given[0]) if name in ("forward", "update") else rows
            by_column = name in ("backward", "update")
            hot = np.asarray(given[-1]) != 0 if by_column else np.ones(cols, bool)
            starts = range(0, cols, self.lanes)
            self.words[name] += r * sum(bool(hot[k : k + self.lanes].any()) for k in starts)
            self.cells[name] += r * int(hot.sum())
            return operation(*given)

        return counted


def ideal(chip, lanes, state, x, y):
    """Return the cycles that training on some examples takes at least, an example.

    ``words``: a word that has any cell to visit takes one. ``cells``: cells over lanes, or over
    the columns of a tile that has fewer.
    """
    engine = MachineEngine(chip, KernelTile)
    engine.restore(state)
    machine = engine.machine
    counted = [
        [_Counted(tile, lanes) for *_, tile in machine.blocks(i)] for i in range(len(machine.tiles))
    ]
    machine.run(x, y)
    n = len(x)

    def of(layer, name, kind):
        width = {"words": lambda tile: 1, "cells": lambda tile: min(lanes, tile.cols)}[kind]
        return sum(getattr(c, kind)[name] / width(c.tile) for c in counted[layer]) / n

    layers = range(len(counted))
    return {
        kind: {
            "forward": sum(of(i, "forward", kind) for i in layers),
            "backward": sum(of(i, "backward", kind) for i in layers if i),
            "update": sum(of(i, "update", kind) for i in layers),
            "age": sum(of(i, "age", kind) for i in layers),
        }
        for kind in ("words", "cells")
    }


def main() -> None:
    """Measure, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="small", help="as for crossforge emulate")
    parser.add_argument("--lanes", type=int, help="in place of the preset's")
    parser.add_argument("--warm", type=int, default=4000, help="examples before (default: 4000)")
    parser.add_argument("--examples", type=int, default=1000, help="that count (default: 1000)")
    parser.add_argument("--pins", type=int, default=100, help="through the pins (default: 100)")
    parser.add_argument("--clock", type=float, default=40.0, help="MHz (default: 40)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    controller = CONTROLLERS[args.preset]
    chip, hw = controller.chip.but(seed=1), controller.hardware(args.lanes)
    data = images(chip)
    order = epoch_order(chip.seed, 0, len(data.x_train))
    warm, part = order[: args.warm], order[args.warm : args.warm + args.examples]

    golden = FixedEngine(chip)
    golden.write_weights(initial_weights(chip.layers, chip.seed))
    golden.train(data.x_train, data.y_train.astype(np.int64), warm)
    state = {k: np.array(v) for k, v in golden.state().items()}
    start = time.perf_counter()
    golden.train(data.x_train, data.y_train.astype(np.int64), part)
    cpu = len(part) / (time.perf_counter() - start)

    found = {}
    for name, n in (("virtual-fast", len(part)), ("virtual", args.pins)):
        if not n:
            continue
        with open_board(name, chip, hw, baud=3_000_000, build_dir=BUILD_DIR) as board:
            engine = BoardEngine(chip, hw, board)
            engine.restore(state)
            start = time.perf_counter()
            engine.train(data.x_train, data.y_train.astype(np.int64), part[:n])
            seconds = time.perf_counter() - start
            waiting = engine.cycles["load"] - n
            found[name] = {
                "examples_per_second": round(n / seconds, 1),
                "cycles_per_example": round((sum(engine.cycles.values()) - waiting) / n, 1),
                "cycles_by_phase": {k: round(v / n, 1) for k, v in engine.cycles.items()},
                "lanes_busy": [round(busy / passed, 3) for busy, passed in engine.lane_cycles],
            }
            if name == "virtual-fast":
                same = all(np.array_equal(v, golden.state()[k]) for k, v in engine.state().items())
                if not same:
                    raise SystemExit("the emulator and the golden trainer must agree")
    limit = ideal(chip, hw.lanes, state, data.x_train[part], data.y_train[part].astype(np.int64))
    cycles = found["virtual-fast"]["cycles_per_example"]
    figures = {
        "preset": args.preset,
        "lanes": hw.lanes,
        "ideal_cycles": {k: round(sum(v.values()), 1) for k, v in limit.items()},
        "ideal_by_operation": {
            kind: {k: round(v, 1) for k, v in by.items()} for kind, by in limit.items()
        },
        "ratio_to_words": round(cycles / sum(limit["words"].values()), 3),
        "ratio_to_cells": round(cycles / sum(limit["cells"].values()), 3),
        **found,
        "examples_per_second_at_clock": round(args.clock * 1e6 / cycles, 0),
        "golden_examples_per_second": round(cpu, 0),
    }
    print(json.dumps(figures, indent=None if args.json else 1))


if __name__ == "__main__":
    main()
