# SPDX-License-Identifier: Apache-2.0
"""Co-simulation of the controller: Verilog in a simulator, tiles in Python, golden beside them."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from golden.hardware import ControllerConfig
from rtl.tools import BUILD_DIR
from rtl.verilog import to_verilog

from .harness import Harness
from .job import JOB, STEPS_PER_CYCLE, Job, Report, Run
from .simulators import Build, build, run
from .verilog_bench import ports

__all__ = ["build_controller", "cosimulate", "record_difference"]


def build_controller(
    hw: ControllerConfig,
    *,
    simulator: str = "verilator",
    build_dir: Path = BUILD_DIR,
    waves: bool = False,
) -> Build:
    """Build the controller with its bridges, or return the build that is there."""
    text, names = _verilog(hw)
    with tempfile.TemporaryDirectory() as folder:
        verilog = Path(folder, "harness.v")
        verilog.write_text(text)
        return build([verilog], "harness", build_dir, simulator, public=names, waves=waves)


@cache
def _verilog(hw: ControllerConfig) -> tuple[str, list[str]]:
    """Verilog of a harness and the names of its ports; takes seconds."""
    harness = Harness(hw)
    return to_verilog(harness, name="harness"), ports(harness)


def cosimulate(
    hw: ControllerConfig,
    runs: Iterable[Run],
    *,
    simulator: str = "verilator",
    build_dir: Path = BUILD_DIR,
    waves: Path | None = None,
    waves_from: int = 0,
    on_progress: Callable[[int, int], None] = lambda run, done: None,
) -> list[Report]:
    """Train networks on the controller's Verilog and compare with the golden machine.

    Parameters
    ----------
    hw : ControllerConfig
        Every network must fit it.
    runs : iterable of Run
    simulator : {"verilator", "icarus"}
    build_dir : Path
    waves : Path, optional
        Record waveforms, of all of it unless told otherwise.
    waves_from : int
        Steps of simulated time before which nothing is recorded. Icarus always records all.
    on_progress : callable
        Called now and then with the number of the run and of its examples done.

    Returns
    -------
    list of Report
        One a run; a mismatch is reported, not raised.

    Raises
    ------
    SimulationError
        If the simulation itself breaks down.
    """
    built = build_controller(hw, simulator=simulator, build_dir=build_dir, waves=waves is not None)
    with tempfile.TemporaryDirectory() as name:
        folder, over = Path(name), threading.Event()
        job = Job(hw=hw, runs=tuple(runs), folder=folder)
        watcher = threading.Thread(target=_watch, args=(folder / "progress", over, on_progress))
        watcher.start()
        try:
            run(
                built,
                "cosim.process",
                env={JOB: str(job.save())},
                waves=waves,
                waves_from=waves_from,
            )
        finally:
            over.set()
            watcher.join()
        lines = (folder / "reports").read_text().splitlines()
    return [Report(**json.loads(line)) for line in lines]


def record_difference(
    hw: ControllerConfig, run: Run, report: Report, waves: Path, *, cycles: int = 20_000, **options
) -> Report:
    """Simulate a run again up to the difference that it found, and record what is around it.

    Parameters
    ----------
    hw : ControllerConfig
    run : Run
    report : Report
        What came of it.
    waves : Path
        Waveform to write.
    cycles : int
        How many before the difference it shows; it shows 2,000 after it.
    options
        ``simulator`` and ``build_dir`` of :func:`cosimulate`.
    """
    n = report.examples + 1  # the golden machine does not look ahead of its tiles
    again = replace(run, pixels=run.pixels[:n], labels=run.labels[:n])
    start = max(0, report.time - cycles * STEPS_PER_CYCLE)
    (found,) = cosimulate(hw, [again], waves=waves, waves_from=start, **options)
    return found


def _watch(path: Path, over: threading.Event, on_progress) -> None:
    """Pass on what the simulator's process writes about its progress."""
    last = ""
    while not over.wait(0.2):
        text = path.read_text() if path.exists() else ""
        if text and text != last:
            last = text
            on_progress(*(int(n) for n in text.split()))
