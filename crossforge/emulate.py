# SPDX-License-Identifier: Apache-2.0
"""Training on gateware: a board, or a virtual one, beside the golden trainer."""

import hashlib
import json
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fpga.engine import BoardEngine
from fpga.folded.top import FOLDED_BAUD
from fpga.host import Link
from golden.config import ChipConfig
from golden.engine import FixedEngine
from golden.machine import COUNTERS
from golden.program import Op
from golden.schedule import epoch_order, initial_weights
from rtl.tools import BUILD_DIR

from .checkpoint import (
    CheckpointError,
    load_checkpoint,
    make_folder,
    save_checkpoint,
    write_atomically,
)
from .emulate_boards import VIRTUAL, open_board
from .emulate_options import EmulateOptions, images

__all__ = ["emulate", "emulate_table"]


#: Figures that there are none of where nothing was trained.
_OF_TRAINING = (
    "train_accuracy",
    "examples_per_second",
    "cycles_per_example",
    "cycles_per_transfer",
    "examples_per_second_at_clock",
    "lanes_busy",
)


class _Run:
    """One emulation: the board's engine, and the golden one."""

    def __init__(self, options: EmulateOptions, engine: BoardEngine, out: Path | None):
        self.options, self.engine, self.out = options, engine, out
        self.chip = options.chip()
        data = images(self.chip)
        self.x, self.y = data.x_train[: options.examples], data.y_train[: options.examples]
        self.x_test, self.y_test = data.x_test[: options.test], data.y_test[: options.test]
        self.golden = FixedEngine(self.chip)
        self.seconds = dict.fromkeys(("setup", "train", "check", "test"), 0.0)
        self.done = self.golden_done = self.trained = 0
        self.transfers = 0  # before it was resumed
        self.mismatches = 0
        self.mismatch: str | None = None
        self.correct = self.bytes = 0
        self._state: dict[str, np.ndarray] = {}
        self._read = -1  # examples after which it was read

    # --- both sides

    def begin(self, arrays: dict[str, np.ndarray] | None) -> None:
        """Program initial weights, or take up the state of a checkpoint."""
        weights = initial_weights(self.chip.layers, self.chip.seed)
        self.golden.write_weights(weights)
        if arrays is None:
            self.engine.write_weights(weights)
            return
        self.engine.restore(arrays)
        counters = dict(zip(COUNTERS, map(int, arrays["counters"]), strict=True))
        self.done, self.transfers = counters["examples"], counters["transfers"]

    def stops(self):
        """Yield ``(learning rate, examples)`` of each stretch from where training is."""
        o, interval = self.options, self.chip.transfer.interval
        n, update = len(self.x), self.chip.update
        while self.done < n * o.epochs:
            epoch, at = divmod(self.done, n)
            stop = min(n, at + interval - self.done % interval) if interval else n
            order = epoch_order(self.chip.seed, epoch, n)[at:stop]
            yield update.learning_rate * update.decay**epoch, order

    def state(self) -> dict[str, np.ndarray]:
        """State of the board, read once for each stop: a link is slow."""
        if self._read != self.done:
            self._state, self._read = self.engine.state(), self.done
        return self._state

    def follow(self) -> None:
        """Let the golden trainer come to where the board is."""
        n, update = len(self.x), self.chip.update
        while self.golden_done < self.done:
            epoch, at = divmod(self.golden_done, n)
            stop = min(n, at + self.done - self.golden_done)
            self.golden.set_learning_rate(update.learning_rate * update.decay**epoch)
            order = epoch_order(self.chip.seed, epoch, n)[at:stop]
            self.golden.train(self.x, self.y, order)
            self.golden_done += stop - at

    def compare(self) -> None:
        """Compare everything that the board and the golden trainer remember."""
        start = time.perf_counter()
        self.follow()
        have, want = self.state(), self.golden.state()
        differ = {
            name: int(np.count_nonzero(have[name] != want[name]))
            for name in want
            if not np.array_equal(have[name], want[name])
        }
        self.mismatches += sum(differ.values())
        if differ and self.mismatch is None:
            name, n = next(iter(differ.items()))
            at = int(np.flatnonzero(have[name] != want[name])[0])
            self.mismatch = (
                f"after {self.done:,} examples {n} of {want[name].size} of {name} differ, entry "
                f"{at} is {have[name].ravel()[at]} instead of {want[name].ravel()[at]}"
            )
        self.seconds["check"] += time.perf_counter() - start

    def train(self, progress) -> None:
        """Train to the end; a checkpoint at every transfer and every epoch."""
        interval = self.chip.transfer.interval
        for rate, order in self.stops():
            start, before, sent = time.perf_counter(), self.done, self._sent()
            self.engine.set_learning_rate(rate)
            answers = self.engine.train(self.x, self.y, order, partial(_from, progress, before))
            self.seconds["train"] += time.perf_counter() - start
            self.bytes += self._sent() - sent
            self.correct += int(np.count_nonzero(answers == self.y[order]))
            self.trained += len(order)
            self.done += len(order)
            if self.out is not None:
                save_checkpoint(
                    self.out / "checkpoint",
                    {"arrays": self.state(), "chip": _digest(self.chip)},
                )
            if self.options.check and interval and self.done % interval == 0:
                self.compare()

    def _sent(self) -> int:
        """Bytes on the link so far, both ways; 0 if there is none."""
        board = self.engine.board
        return board.counters.bytes_out + board.counters.bytes_in if isinstance(board, Link) else 0

    def test(self, progress) -> float | None:
        """Test accuracy, percent, by the board's own forward path."""
        if not len(self.x_test):
            return None
        start = time.perf_counter()
        answers = self.engine.answers(self.x_test, progress)
        self.seconds["test"] += time.perf_counter() - start
        return 100 * float(np.mean(answers == self.y_test))


def _from(progress, start: int, n: int) -> None:
    progress(start + n)


def _digest(chip: ChipConfig) -> str:
    return hashlib.sha256(repr(chip).encode()).hexdigest()


def _kept_state(options: EmulateOptions, out: Path) -> dict[str, np.ndarray] | None:
    """Return the state in a run's checkpoint; None if it was ended before there was one."""
    if not (out / "checkpoint").exists():
        return None
    state = load_checkpoint(out / "checkpoint")
    if state.get("chip") != _digest(options.chip()):
        raise CheckpointError(
            f"{out} must be resumed on the chip it was begun on: the presets have changed"
        )
    done = int(state["arrays"]["counters"][COUNTERS.index("examples")])
    behind = -(-done // options.examples)
    if behind > options.epochs:
        raise ValueError(
            f"--epochs must be at least the {behind} that {out} has begun, not {options.epochs}"
        )
    return state["arrays"]


def _note(options: EmulateOptions, out: Path, *, resume: bool) -> None:
    """Write down what is asked; results of an earlier run go."""
    for name in ("emulation.json", *(() if resume else ("checkpoint",))):
        (out / name).unlink(missing_ok=True)
    write_atomically(out / "emulate.json", json.dumps(asdict(options)).encode())


def emulate(
    options: EmulateOptions,
    out: Path | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
    build_dir: Path = BUILD_DIR,
) -> dict:
    """Train on a board, compare with the golden trainer, return figures.

    Parameters
    ----------
    options : EmulateOptions
    out : Path or None
        Folder for checkpoint and figures.
    resume : bool
        Continue what is in ``out``.
    quiet : bool
        Show nothing.

    Returns
    -------
    dict
        See docs/metrics.md.
    """
    if out is not None:
        make_folder(out)
    arrays = _kept_state(options, out) if resume and out is not None else None
    chip, hw = options.chip(), options.hardware()
    console = Console(stderr=True, quiet=quiet)
    start = time.perf_counter()
    with console.status("building the virtual board (minutes, if it is not there yet)"):
        opened = open_board(options.board, chip, hw, baud=options.baud, build_dir=build_dir)
    with opened as board:
        built = time.perf_counter()
        with console.status("writing the chip's registers and cells"):
            run = _Run(options, BoardEngine(chip, hw, board), out)
            if out is not None:  # not before it is known that the board will do
                _note(options, out, resume=resume)
            run.begin(arrays)
        run.seconds["setup"] = time.perf_counter() - built
        shown = not quiet and sys.stderr.isatty()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown) as bar:
            total = len(run.x) * options.epochs
            task = bar.add_task("training", total=total, completed=run.done)
            run.train(lambda n: bar.update(task, completed=n))
            run.compare()
            task = bar.add_task("testing", total=len(run.x_test))
            accuracy = run.test(lambda n: bar.update(task, completed=n))
        result = _figures(run, accuracy, build_seconds=built - start)
    if out is not None:
        write_atomically(out / "emulation.json", json.dumps(result, indent=1).encode())
    return result


def _figures(run: _Run, accuracy, *, build_seconds) -> dict:
    """Figures of an emulation that has ended."""
    options, chip, cycles = run.options, run.chip, dict(run.engine.cycles)
    each = max(run.trained, 1)
    waiting = max(0, cycles[Op.LOAD.name.lower()] - run.trained)
    transfer = cycles["transfer"]
    busy = sum(cycles.values()) - waiting - transfer
    counters = dict(zip(COUNTERS, map(int, run.state()["counters"]), strict=True))
    transfers = counters["transfers"]
    interval = chip.transfer.interval
    per_example = busy / each
    per_transfer = transfer / max(1, transfers - run.transfers)
    whole = per_example + (per_transfer / interval if interval and transfer else 0)
    lanes = [
        {"busy": int(multiplied), "pass": int(passed), "share": _share(multiplied, passed)}
        for multiplied, passed in run.engine.lane_cycles
    ]
    # a folded chip's cycle is that many of the clock
    virtual = getattr(run.engine.board, "virtual", None)
    folds = 1 if virtual is None else virtual.instructions
    # nor does a port say that its chip is folded, but no other one has so slow a line
    unknown = options.board not in VIRTUAL and options.baud == FOLDED_BAUD
    reached = None if unknown else round(options.clock * 1e6 / folds / max(whole, 1), 1)
    link = None
    if run.bytes:
        sent = run.bytes / each
        link = {
            "bytes_per_example": round(sent, 1),
            "baud": options.baud,
            "examples_per_second": round(options.baud / 10 / sent, 1),
        }
    figures = {
        "board": options.board,
        "preset": options.preset,
        "controller_lanes": run.engine.hw.lanes,
        "layers": list(chip.layers),
        "seed": options.seed,
        "interval": interval,
        "epochs": options.epochs,
        "examples": run.done,
        "examples_resumed": run.done - run.trained,
        "transfers": transfers,
        "mismatches": run.mismatches,
        "mismatch": run.mismatch,
        "train_accuracy": round(100 * run.correct / each, 4),
        "test_accuracy": None if accuracy is None else round(accuracy, 4),
        "test_images": len(run.x_test),
        "examples_per_second": round(run.trained / max(run.seconds["train"], 1e-9), 1),
        "cycles_per_example": round(per_example, 2),
        "cycles_per_transfer": round(per_transfer),
        "cycles_waiting": waiting,
        "cycles_by_phase": cycles,
        "clock_mhz": options.clock,
        "instructions_per_cycle": folds,
        "examples_per_second_at_clock": reached,
        "link": link,
        "lanes": lanes,
        "lanes_busy": _share(*run.engine.lane_cycles.sum(axis=0)),
        "seconds": {k: round(v, 3) for k, v in run.seconds.items()},
        "build_seconds": round(build_seconds, 1),
    }
    return figures if run.trained else figures | dict.fromkeys(_OF_TRAINING)


def _share(busy, passed) -> float:
    """Share of the cycles of FORWARD and BACKWARD in which cells are multiplied."""
    return round(int(busy) / max(1, int(passed)), 4)


def _speed_rows(table: Table, figures: dict, trained: int) -> None:
    """Say how fast an emulation was, and where the time goes."""
    table.add_row("examples a second", f"{figures['examples_per_second']:,}")
    table.add_row("cycles an example", f"{figures['cycles_per_example']:,}")
    phases = {k: v / trained for k, v in figures["cycles_by_phase"].items() if k != "transfer"}
    table.add_row("by phase", ", ".join(f"{k} {v:.0f}" for k, v in phases.items() if v >= 0.5))
    if figures["cycles_per_transfer"]:
        table.add_row("cycles a transfer", f"{figures['cycles_per_transfer']:,}")
    if figures["examples_per_second_at_clock"] is not None:
        table.add_row(
            f"examples a second at {figures['clock_mhz']} MHz, transfers included",
            f"{figures['examples_per_second_at_clock']:,}",
        )
    if figures["link"] is not None:
        table.add_row(
            f"examples a second that {figures['link']['baud']:,} Bd carry",
            f"{figures['link']['examples_per_second']:,}",
        )
    shares = ", ".join(f"{100 * lane['share']:.0f} %" for lane in figures["lanes"])
    together = f"{shares}; {100 * figures['lanes_busy']:.0f} % together"
    table.add_row("lanes busy in forward and backward, by tile", together)


def emulate_table(figures: dict) -> Table:
    """Table of what an emulation found."""
    equal = figures["mismatches"] == 0
    title = "gateware = golden, bit for bit" if equal else "gateware and golden DIFFER"
    table = Table(title=title, title_style="bold green" if equal else "bold red", show_header=False)
    table.add_row("network", "-".join(map(str, figures["layers"])))
    table.add_row("board", figures["board"])
    table.add_row("examples, transfers", f"{figures['examples']:,}, {figures['transfers']}")
    if not equal:
        table.add_row("first difference", figures["mismatch"])
    trained = figures["examples"] - figures["examples_resumed"]
    if trained:
        table.add_row("accuracy while training", f"{figures['train_accuracy']:.2f} %")
    if figures["test_accuracy"] is not None:
        table.add_row(
            f"accuracy on {figures['test_images']:,} test images, by the board",
            f"{figures['test_accuracy']:.2f} %",
        )
    if trained:
        _speed_rows(table, figures, trained)
    spent = ", ".join(f"{k} {v:.1f}" for k, v in figures["seconds"].items())
    table.add_row("seconds", spent)
    return table
