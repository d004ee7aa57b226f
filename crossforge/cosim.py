# SPDX-License-Identifier: Apache-2.0
"""Co-simulated training: the gateware beside the golden machine, with progress and verdict."""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from analog_models.config import check
from cosim.cosimulate import build_controller, cosimulate, record_difference
from cosim.job import Run
from cosim.simulators import SIMULATORS, SimulationError
from cosim.timing import NOMINAL, SHORT, Timing
from cosim.waves import write_save_file
from golden.config import TransferConfig
from golden.hardware import ControllerConfig
from golden.machine import Machine
from golden.placement import Placement
from golden.schedule import epoch_order
from rtl.tools import BUILD_DIR, ToolError, simulator_version, wave_format

from .data import load
from .experiments import EXPERIMENTS, configure, prepare

__all__ = ["CosimOptions", "cosim", "verdict"]

TIMINGS: dict[str, Timing] = {"nominal": NOMINAL, "short": SHORT}
#: Experiments that run on a chip.
PRESETS = tuple(name for name, e in EXPERIMENTS.items() if e.tile is not None)


@dataclass(frozen=True, kw_only=True)
class CosimOptions:
    """What a co-simulation is asked for.

    Parameters
    ----------
    preset : str
        Experiment, one of :data:`PRESETS`.
    examples : int
    interval : int or None
        Examples between transfers; None is the preset's.
    tile : {"fixed", "physical"}
    seed : int
    lanes : int
        Codes in a beat of the controller.
    timing : {"short", "nominal"}
        Whether tiles answer at once or take the time that their converters need.
    simulator : {"verilator", "icarus"}
    initial : bool
        Program initial weights first; takes long under Icarus.
    waves : Path or None
        Record waveforms of the whole run; otherwise around a difference, if there is one.
    """

    preset: str = "mnist"
    examples: int = 200
    interval: int | None = None
    tile: str = "fixed"
    seed: int = 1
    lanes: int = 64
    timing: str = "short"
    simulator: str = "verilator"
    initial: bool = True
    waves: Path | None = None

    def __post_init__(self):
        for name, choices in (
            ("preset", PRESETS),
            ("tile", ("fixed", "physical")),
            ("timing", tuple(TIMINGS)),
            ("simulator", SIMULATORS),
        ):
            value = getattr(self, name)
            check(value in choices, f"--{name}", f"one of {', '.join(choices)}", value)
        check(1 <= self.examples <= 60_000, "--examples", "within 1..60000", self.examples)
        check(0 <= self.seed < 2**63, "--seed", "within 0..2**63-1", self.seed)
        if self.interval is not None:
            check(self.interval >= 0, "--interval", "at least 0", self.interval)


def cosim(options: CosimOptions, *, quiet=False, build_dir: Path = BUILD_DIR) -> dict:
    """Train on the controller's Verilog, compare everything, return figures.

    Returns
    -------
    dict
        See docs/metrics.md.
    """
    data = prepare(load())
    experiment = EXPERIMENTS[options.preset]
    chip = configure(experiment, data, seed=options.seed)
    if options.interval is not None:
        fields = {n: getattr(chip.transfer, n) for n in TransferConfig.__dataclass_fields__}
        chip = chip.but(transfer=TransferConfig(**fields | {"interval": options.interval}))
    hw = ControllerConfig.of(chip, lanes=options.lanes)
    order = epoch_order(options.seed, 0, len(data.x_train))[: options.examples]
    run = Run(
        chip=chip,
        pixels=data.x_train[order],
        labels=data.y_train[order].astype(np.int64),
        tile=options.tile,
        timing=TIMINGS[options.timing],
        initial=options.initial,
    )
    # What cannot be is refused before minutes of work.
    Placement(chip, hw).setup(Machine(chip))
    simulator_version(options.simulator)
    if options.waves is not None:
        _check_waves(options.waves, options.simulator)
    console = Console(stderr=True, quiet=quiet)
    start = time.perf_counter()
    with console.status("building the simulation (minutes, if it is not there yet)"):
        build_controller(
            hw,
            simulator=options.simulator,
            build_dir=build_dir,
            waves=options.waves is not None,
        )
    built = time.perf_counter()
    shown = not quiet and sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown) as bar:
        task = bar.add_task("co-simulating", total=options.examples)
        (report,) = cosimulate(
            hw,
            [run],
            simulator=options.simulator,
            build_dir=build_dir,
            waves=options.waves,
            on_progress=lambda _, done: bar.update(task, completed=done),
        )
        bar.update(task, completed=report.examples)
    waves = options.waves
    if report.mismatches and waves is None:
        waves = build_dir / f"mismatch.{wave_format(options.simulator)}"
        try:  # the verdict is worth more than its waveform
            with console.status(f"recording it in {waves}"):
                again = record_difference(
                    hw, run, report, waves, simulator=options.simulator, build_dir=build_dir
                )
            if (again.mismatch, again.time) != (report.mismatch, report.time):
                console.print(f"the simulation that was recorded found: {again.mismatch or 'none'}")
        except (SimulationError, ToolError, OSError) as error:
            console.print(f"no waveform: {error}", markup=False)
            waves = None
    if waves is not None:
        write_save_file(waves, hw, report.time if report.mismatches else None)
    seconds = dict(report.seconds)
    spent = sum(seconds.get(k, 0.0) for k in ("rtl", "exchange", "model", "golden"))
    cycles = sum(report.cycles.values())
    each = max(report.examples, 1)
    return {
        "preset": options.preset,
        "tile": options.tile,
        "seed": options.seed,
        "timing": options.timing,
        "simulator": options.simulator,
        "lanes": options.lanes,
        "layers": list(chip.layers),
        "interval": chip.transfer.interval,
        "examples": report.examples,
        "transfers": report.transfers,
        "operations": report.operations,
        "mismatches": report.mismatches,
        "mismatch": report.mismatch,
        "waves": None if waves is None else str(waves),
        "digest_rtl": report.digest_rtl,
        "digest_golden": report.digest_golden,
        "examples_per_second": round(report.examples / spent, 1) if spent else 0.0,
        "cycles": cycles,
        "cycles_per_example": round((cycles - report.cycles.get("transfer", 0)) / each, 2),
        "cycles_by_phase": report.cycles,
        "kilocycles_per_second": round(cycles / seconds["rtl"] / 1e3, 3) if seconds else 0.0,
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
        "build_seconds": round(built - start, 1),
    }


def _check_waves(path: Path, simulator: str) -> None:
    """Refuse a file that cannot be written, or has another format than its name says."""
    suffix = f".{wave_format(simulator)}"
    check(path.suffix == suffix, "--waves", f"a file that ends in {suffix}", str(path))
    if path.is_dir():
        raise ValueError(f"--waves must be a file, not the folder {path}")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        reason = f"--waves must be in a folder to write to, not {path.parent}: {error.strerror}"
        raise OSError(reason) from None


def verdict(figures: dict) -> Table:
    """Table of what a co-simulation found."""
    equal = figures["mismatches"] == 0
    title = "RTL = golden, bit for bit" if equal else "RTL and golden DIFFER"
    table = Table(title=title, title_style="bold green" if equal else "bold red", show_header=False)
    table.add_row("network", "-".join(map(str, figures["layers"])))
    table.add_row("examples, transfers", f"{figures['examples']:,}, {figures['transfers']}")
    table.add_row("tile operations compared", f"{figures['operations']:,}")
    if not equal:
        table.add_row("first difference", figures["mismatch"])
        table.add_row("waveform around it", figures["waves"] or "none could be recorded")
        return table
    table.add_row("digest of both", figures["digest_rtl"][:32] + "...")
    table.add_row("cycles an example", f"{figures['cycles_per_example']:,}")
    phases = figures["cycles_by_phase"]
    each = {k: v / figures["examples"] for k, v in phases.items() if v and k != "transfer"}
    table.add_row("by phase", ", ".join(f"{k} {v:.1f}" for k, v in each.items()))
    if figures["transfers"]:
        per = phases["transfer"] / figures["transfers"]
        table.add_row("cycles a transfer", f"{per:,.0f}")
    table.add_row("examples a second", f"{figures['examples_per_second']:,}")
    shares = figures["seconds"]
    table.add_row("seconds", ", ".join(f"{k} {v:.2f}" for k, v in shares.items()))
    return table
