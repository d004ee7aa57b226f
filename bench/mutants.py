# SPDX-License-Identifier: Apache-2.0
"""How good are the benches? Share of small faults in the netlist that they notice.

Yosys inverts, ties or couples single bits of cells. One netlist holds all mutants of a component
and an input that selects one, so that it is built once. A mutant is killed if a bench of the test
module's ``BENCHES`` fails on it, runs into its limit of cycles, or ends the simulator. A survivor
is equivalent if it provably acts like the component, and then does not count::

    python -m bench.mutants tests/rtl/test_scatter.py

Without a module it takes all of tests/rtl, which lasts an hour on one core: see docs/mutants.md.
"""

import argparse
import json
import os
import random
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cosim.simulators import SimulationError, build
from cosim.verilog_bench import MUTANT, Group, groups, ports, run_group
from rtl.tools import BUILD_DIR, ToolError, yosys
from rtl.verilog import TIDY, to_rtlil

__all__ = ["Mutant", "Report", "mutants", "run_mutants"]

#: Candidates that are listed for each mutant that is taken.
_CANDIDATES = 8
#: Candidates that are listed where one module of many is meant.
_CANDIDATES_OF_ALL = 20_000
#: Mutants for one process of the simulator: the progress bar moves after each.
_CHUNK = 8
#: Time for the proof that a survivor is equivalent.
_PROOF_SECONDS = 60


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
    equivalent : bool
        It survived, and was then proven to act like the netlist without it: no bench can notice.
    """

    number: int
    mode: str
    place: str
    wire: str
    source: str
    killed_by: str | None = None
    equivalent: bool = False

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
        """Mutants that no bench noticed though one could."""
        return [m for m in self.mutants if m.killed_by is None and not m.equivalent]

    @property
    def killed(self) -> int:
        """Mutants that a bench noticed."""
        return sum(mutant.killed_by is not None for mutant in self.mutants)

    @property
    def equivalent(self) -> int:
        """Mutants that no bench can notice."""
        return sum(mutant.equivalent for mutant in self.mutants)


def mutants(
    component, n: int, seed: int, *, name: str, only: str | None = None
) -> tuple[str, list[Mutant]]:
    """Put up to ``n`` mutants into one netlist; return its Verilog, and them.

    Parameters
    ----------
    component : wiring.Component
    n : int
    seed : int
        Selects the mutants.
    name : str
        Name of the top module.
    only : str, optional
        Mutants of this module, not of all.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.il").write_text(to_rtlil(component, name=name, emit_src=True))
        # yosys lists candidates of all modules, so one module needs many of them.
        wanted = _CANDIDATES * n if only is None else _CANDIDATES_OF_ALL
        listing = f"mutate -list {wanted} -seed {seed} -o candidates"
        yosys(folder, ["read_rtlil in.il", *TIDY, "write_rtlil tidy.il", listing])
        candidates = Path(folder, "candidates").read_text().splitlines()
        # An inverted or stopped clock is no fault that synchronous logic can have.
        candidates = [line for line in candidates if not re.search(r"-port \S*CLK", line)]
        if only is not None:
            candidates = [x for x in candidates if re.search(rf"-module \\?{only} ", x)]
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
    done = []
    for mutant in made:
        by = killed.get(mutant.number)
        equal = by is None and _equivalent(verilog, group.name, mutant.number, len(made))
        done.append(replace(mutant, killed_by=by, equivalent=equal))
    return Report(group.name, len(group.benches), done)


def _equivalent(verilog: str, name: str, number: int, n: int) -> bool:
    """Prove that a mutant acts like none, from equal states to equal states and outputs."""

    def select(copy, value):
        bits = f"{n.bit_length()}'b{value:0{n.bit_length()}b}"
        constant = [f"delete -port w:{MUTANT}", f"connect -set {MUTANT} {bits}"]
        return [f"copy {name} {copy}", f"cd {copy}", *constant, f"rename -hide w:{MUTANT}", "cd"]

    script = [
        "read_verilog in.v",
        f"hierarchy -top {name}",
        *("proc", "flatten", "memory_map", "opt_clean"),
        # Only ports and registers must be equal, so the names of all else are hidden.
        "select -set registers t:$*dff* %co1:+[Q] t:$*dff* %d w:* %i",
        f"rename -hide w:* @registers %d w:{MUTANT} %d",
        *select("gold", 0),
        *select("gate", number),
        f"delete {name}",
        *("opt -full", "dffunmap", "equiv_make gold gate equiv", "hierarchy -top equiv"),
        *("opt_merge", "opt_clean"),  # what both have in common, multipliers above all
        *("equiv_simple", "equiv_induct -seq 1", "equiv_status -assert"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "in.v").write_text(verilog)
        try:
            yosys(folder, script, timeout=_PROOF_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        except ToolError as error:
            if "unproven" not in str(error):
                raise
            return False
    return True


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


def _share(reports: list[Report]) -> str:
    """Sentence of what was killed; equivalent mutants do not count."""
    killed = sum(report.killed for report in reports)
    equivalent = sum(report.equivalent for report in reports)
    total = sum(len(report.mutants) for report in reports) - equivalent
    benches = sum(report.benches for report in reports)
    share = f" ({killed / total:.0%})" if total else ""
    return (
        f"{killed} of {total} mutants killed{share} by {benches} benches;"
        f" {equivalent} more are equivalent"
    )


def _markdown(reports: list[Report]) -> str:
    """Table of components; several sets of parameters of one count together."""
    lines = ["| component | sizes | benches | mutants | equivalent | killed | share |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(report.component for report in reports):
        of = [report for report in reports if report.component == name]
        made, equal, killed = (
            sum(each(report) for report in of)
            for each in (lambda r: len(r.mutants), lambda r: r.equivalent, lambda r: r.killed)
        )
        share = f"{killed / (made - equal):.0%}" if made > equal else ""
        benches = sum(report.benches for report in of)
        row = [f"`{name}`", len(of), benches, made, equal, killed, share]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "modules", nargs="*", help="test modules with BENCHES (tests/rtl/test_*.py)"
    )
    parser.add_argument("-n", type=int, default=24, help="mutants of each component (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="selects the mutants (%(default)s)")
    parser.add_argument("--build-dir", type=Path, default=BUILD_DIR, help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the reports")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a table of them")
    args = parser.parse_args()
    modules = args.modules or sorted(map(str, Path("tests/rtl").glob("test_*.py")))

    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    reports: list[Report] = []
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        for module in modules:
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
                progress.console.print(f"{report.component}: {_share([report])}", highlight=False)
                for survivor in report.survivors:
                    progress.console.print(
                        f"  survived: {survivor}", highlight=False, markup=False, soft_wrap=True
                    )
            reports += found
    console.print(f"all: {_share(reports)}", highlight=False)
    texts = {args.json: json.dumps([asdict(report) for report in reports], indent=1) + "\n"}
    texts[args.markdown] = _markdown(reports)
    for path, text in texts.items():
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main()
