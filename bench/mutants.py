# SPDX-License-Identifier: Apache-2.0
"""How good are the benches? Share of small faults in the netlist that they notice.

Yosys inverts, ties or couples single bits of cells. One netlist holds all mutants of a component
and an input that selects one, so that it is built once. A mutant is killed if a bench of the test
module's ``BENCHES`` fails on it, runs into its limit of cycles, or ends the simulator::

    python -m bench.mutants tests/rtl/test_scatter.py
"""

import argparse
import json
import os
import random
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cosim.simulators import BUILD_DIR, SimulationError, build, yosys
from cosim.verilog_bench import MUTANT, Group, groups, ports, run_group
from rtl.verilog import TIDY, to_rtlil

__all__ = ["Mutant", "Report", "mutants", "run_mutants"]

#: Candidates that are listed for each mutant that is taken.
_CANDIDATES = 8
#: Mutants for one process of the simulator: the progress bar moves after each.
_CHUNK = 8


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    number : int
        Value that selects it.
    mode : str
        ``inv``, ``const0``, ``const1``, or ``cnot0``, ``cnot1``: inverted if another bit is 0, 1.
    place : str
        Module, cell, port and bit.
    wire : str
        Signals at that bit.
    source : str
        Lines of the gateware that made it.
    killed_by : str or None
        Bench that noticed it, and what it said.
    """

    number: int
    mode: str
    place: str
    wire: str
    source: str
    killed_by: str | None = None

    def __str__(self):
        return f"{self.mode} {self.place} {self.wire} {self.source}".strip()


@dataclass(frozen=True)
class Report:
    """What became of a component's mutants.

    Parameters
    ----------
    component : str
    benches : int
    mutants : list of Mutant
    """

    component: str
    benches: int
    mutants: list[Mutant]

    @property
    def survivors(self) -> list[Mutant]:
        """Mutants that no bench noticed."""
        return [mutant for mutant in self.mutants if mutant.killed_by is None]

    @property
    def killed(self) -> int:
        """Mutants that a bench noticed."""
        return len(self.mutants) - len(self.survivors)


def mutants(component, n: int, seed: int, *, name: str) -> tuple[str, list[Mutant]]:
    """Put up to ``n`` mutants into one netlist; return its Verilog, and them.

    Parameters
    ----------
    component : wiring.Component
    n : int
    seed : int
        Selects the mutants.
    name : str
        Name of the top module.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.il").write_text(to_rtlil(component, name=name, emit_src=True))
        listing = f"mutate -list {_CANDIDATES * n} -seed {seed} -o candidates"
        yosys(folder, ["read_rtlil in.il", *TIDY, "write_rtlil tidy.il", listing])
        candidates = Path(folder, "candidates").read_text().splitlines()
        # An inverted or stopped clock is no fault that synchronous logic can have.
        candidates = [line for line in candidates if not re.search(r"-port \S*CLK", line)]
        taken = random.Random(seed).sample(candidates, min(n, len(candidates)))
        if not taken:
            raise ValueError(f"{name} must have cells that can be mutated, not wires alone")
        width = len(taken).bit_length()
        lines = [
            line.replace("mutate", f"mutate -ctrl {MUTANT} {width} {number}", 1)
            for number, line in enumerate(taken, 1)
        ]
        script = ["read_rtlil tidy.il", *lines, "opt_clean", "write_verilog -noattr out.v"]
        yosys(folder, script)
        verilog = Path(folder, "out.v").read_text()
    return verilog, [_described(number, line) for number, line in enumerate(taken, 1)]


def run_mutants(
    ref: str, n: int, seed: int, build_dir=BUILD_DIR, *, advance=lambda steps: None
) -> list[Report]:
    """Run benches on mutants of every component that they simulate.

    Parameters
    ----------
    ref : str
        Reference to benches; see :mod:`cosim.verilog_bench`.
    n : int
        Mutants of each component.
    seed : int
    build_dir : path-like
    advance : callable
        Called with the number of mutants that are done.

    Raises
    ------
    SimulationError
        If a bench fails although no mutant is selected.
    """
    return [_run_group(ref, group, n, seed, build_dir, advance) for group in groups(ref)]


def _run_group(ref, group: Group, n, seed, build_dir, advance) -> Report:
    verilog, made = mutants(group.component, n, seed, name=group.name)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"{group.name}.v")
        source.write_text(verilog)
        public = [*ports(group.component), MUTANT]
        built = build([source], group.name, build_dir, public=public)
    wrong = [o for o in run_group(built, ref, group, mutants=[0]) if o.error is not None]
    if wrong:
        said = f"{wrong[0].bench}: {wrong[0].error}"
        raise SimulationError(f"{ref}: all benches must pass without a mutant, but {said}")
    killed: dict[int | None, str] = {}
    numbers = [mutant.number for mutant in made]
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        for outcome in run_group(built, ref, group, mutants=chunk, stop=True):
            if outcome.error is not None:
                killed.setdefault(outcome.mutant, f"{outcome.bench}: {outcome.error[:200]}")
        advance(len(chunk))
    advance(n - len(numbers))
    done = [Mutant(**{**asdict(m), "killed_by": killed.get(m.number)}) for m in made]
    return Report(group.name, len(group.benches), done)


def _described(number: int, line: str) -> Mutant:
    """Read what ``mutate -list`` says of a mutant."""

    def options(name):
        return [value.lstrip("\\") for value in re.findall(rf"-{name} (\S+)", line)]

    def first(name):
        return next(iter(options(name)), "")

    bits = options("portbit") + options("ctrlbit")
    place = f"{first('module')}.{first('cell')}.{first('port')}[{','.join(bits)}]"
    wires = [f"{w}[{b}]" for w, b in zip(options("wire"), options("wirebit"), strict=False)]
    return Mutant(number, first("mode"), place, " ".join(wires), _sources(options("src")))


def _sources(places: list[str]) -> str:
    """Shorten ``/a/b.py:12.3-12.8|...`` to ``b.py:12``, the gateware's own lines first."""
    found = [
        f"{os.path.relpath(file)}:{line}"
        for file, line in re.findall(r"([^|\s]+\.py):(\d+)", "|".join(places))
        if "site-packages" not in file
    ]
    return " ".join(dict.fromkeys(found))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="+", help="test modules with BENCHES")
    parser.add_argument("-n", type=int, default=24, help="mutants of each component (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="selects the mutants (%(default)s)")
    parser.add_argument("--build-dir", type=Path, default=BUILD_DIR, help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the reports")
    args = parser.parse_args()

    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    reports: list[Report] = []
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        for module in args.modules:
            ref = module if ":" in module else f"{module}:BENCHES"
            task = progress.add_task(module, total=args.n * len(groups(ref)))
            found = run_mutants(
                ref,
                args.n,
                args.seed,
                args.build_dir,
                advance=lambda steps, task=task: progress.advance(task, steps),
            )
            progress.remove_task(task)
            for report in found:
                total = len(report.mutants)
                share = report.killed / total
                progress.console.print(
                    f"{report.component}: {report.killed} of {total} mutants killed"
                    f" ({share:.0%}) by {report.benches} benches",
                    highlight=False,
                )
                for survivor in report.survivors:
                    progress.console.print(
                        f"  survived: {survivor}", highlight=False, markup=False, soft_wrap=True
                    )
            reports += found
    total = sum(len(report.mutants) for report in reports)
    killed = sum(report.killed for report in reports)
    console.print(f"{killed} of {total} killed ({killed / total:.0%})", highlight=False)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps([asdict(report) for report in reports], indent=1) + "\n")


if __name__ == "__main__":
    main()
