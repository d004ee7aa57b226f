# SPDX-License-Identifier: Apache-2.0
"""Benches of :mod:`cosim.bench` on Verilog, in a simulator under cocotb.

A bench is named by a reference, ``"package.module:name"`` or ``"path/to/file.py:name"``, to a
callable without arguments that calls :func:`cosim.bench.simulate`, or to a list of such, by
convention ``BENCHES`` of a test module. The component is built once for each set of parameters;
all its benches run in one process, each after a reset.
"""

import functools
import hashlib
import importlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rtl.tools import BUILD_DIR
from rtl.verilog import digest, write_verilog

from .bench import use_backend
from .simulators import Build, SimulationError, build, run

__all__ = [
    "Group",
    "Job",
    "Outcome",
    "benches_of",
    "build_group",
    "groups",
    "load",
    "ports",
    "run_group",
    "simulate_verilog",
]

#: Environment variable with the path of a :class:`Job`.
JOB = "CROSSFORGE_BENCH_JOB"
#: Port of a netlist with mutants that selects one; 0 is none.
MUTANT = "mutant"


@dataclass(frozen=True)
class Outcome:
    """What came of one bench.

    Parameters
    ----------
    bench : str
    error : str or None
        What was wrong.
    cycles : int
    seconds : float
    mutant : int or None
        Selected mutant.
    """

    bench: str
    error: str | None
    cycles: int
    seconds: float
    mutant: int | None = None


@dataclass(frozen=True)
class Job:
    """What a simulator's process has to do.

    Parameters
    ----------
    ref : str
        Reference to the benches.
    digest : str
        :func:`rtl.verilog.digest` of the component that was built.
    benches : list of int
        Which of them.
    results : str
        File that gets a line for each.
    mutants : list of (int or None)
        All benches run for each.
    stop : bool
        Go on with the next mutant at the first bench that fails.
    """

    ref: str
    digest: str
    benches: list[int]
    results: str
    mutants: list[int | None]
    stop: bool = False


@dataclass(frozen=True)
class Group:
    """Benches of one component.

    Parameters
    ----------
    component : wiring.Component
    digest : str
    benches : list of int
        Their places in the list of all.
    """

    component: object
    digest: str
    benches: list[int]

    @property
    def name(self) -> str:
        """Name of the top module."""
        return type(self.component).__name__.lower()


class _Collected(BaseException):
    """Leaves a bench once its component is known; no bench should catch it."""


def load(ref: str):
    """Return the object that ``"module:name"`` or ``"file.py:name"`` refers to."""
    place, colon, name = ref.rpartition(":")
    if not colon or not name.isidentifier():
        raise ValueError(f'ref must be "module:name" or "file.py:name", not {ref!r}')
    if place.endswith(".py"):
        path = Path(place).resolve()
        key = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        module = sys.modules.get(key)
        if module is None:
            spec = importlib.util.spec_from_file_location(key, path)
            if spec is None or spec.loader is None or not path.is_file():
                raise ValueError(f"ref must name a file that exists, not {place!r}")
            module = sys.modules[key] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[key]
                raise
    else:
        module = importlib.import_module(place)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ValueError(f"ref must name something in {place}, not {name!r}") from None


def benches_of(ref: str) -> list[tuple[str, Callable[[], None]]]:
    """Return the benches of a reference with their names."""
    found = load(ref)
    functions = [found] if callable(found) else list(found)
    return [(f"{i}: {_label(function)}", function) for i, function in enumerate(functions)]


def groups(ref: str) -> list[Group]:
    """Collect the components that benches simulate; benches of equal ones are one group.

    Each bench runs up to its call of :func:`cosim.bench.simulate`.
    """
    found: dict[str, Group] = {}
    for index, (name, bench) in enumerate(benches_of(ref)):
        collected: list = []

        def collect(component, _, collected=collected):
            collected.append(component)
            raise _Collected

        try:
            with use_backend(collect):
                bench()
        except _Collected:
            pass
        if not collected:
            raise ValueError(f"{ref}: bench {name} must call simulate(), but ended without")
        key = digest(collected[0])
        found.setdefault(key, Group(collected[0], key, [])).benches.append(index)
    return list(found.values())


def port_name(name: str) -> str:
    """Name in Verilog of a port or of one of :class:`cosim.bench.Pins`."""
    return name.replace(".", "__")


def ports(component) -> list[str]:
    """Names in Verilog of a component's ports, clock and reset included."""
    paths = [path for path, _, _ in component.signature.flatten(component)]
    return ["clk", "rst", *(port_name(".".join(map(str, path))) for path in paths)]


def build_group(group: Group, simulator: str = "verilator", build_dir=BUILD_DIR) -> Build:
    """Build the component of a group of benches."""
    with tempfile.TemporaryDirectory() as folder:
        source = write_verilog(group.component, Path(folder, f"{group.name}.v"), name=group.name)
        public = ports(group.component)
        return build([source], group.name, build_dir, simulator, public=public)


def run_group(
    built: Build,
    ref: str,
    group: Group,
    *,
    mutants: Iterable[int | None] = (None,),
    stop: bool = False,
) -> list[Outcome]:
    """Run a group's benches, all of them for each mutant, in one process.

    A bench during which the simulator ends has failed, and with it the mutant: the simulator is
    started anew for the next one.

    Parameters
    ----------
    built : Build
    ref : str
    group : Group
    mutants : list of int
        Mutants to select; None if the netlist has none.
    stop : bool
        Go on with the next mutant at the first bench that fails.

    Returns
    -------
    list of Outcome
        Check their ``error``.
    """
    place, _, name = ref.rpartition(":")
    if place.endswith(".py"):
        ref = f"{Path(place).resolve()}:{name}"
    mutants = list(mutants)
    left, outcomes = mutants, []
    while left:
        with tempfile.TemporaryDirectory() as folder:
            results, path = Path(folder, "results.jsonl"), Path(folder, "job.json")
            job = Job(ref, group.digest, group.benches, str(results), left, stop)
            path.write_text(json.dumps(vars(job)))
            fault = None
            try:
                run(built, "cosim.bench_process", env={JOB: str(path)})
            except SimulationError as error:
                fault = error
            lines = [json.loads(line) for line in _lines(results)]
        outcomes += [Outcome(**line) for line in lines if "begin" not in line]
        if not lines or "begin" not in lines[-1]:
            seen = {o.mutant for o in outcomes}
            if not seen.issuperset(mutants):
                raise fault or SimulationError(f"{ref}: every mutant must get an outcome")
            return outcomes
        # The simulator ended within a bench, as for logic that does not settle.
        culprit = lines[-1]["begin"]
        said = str(fault).strip().splitlines() or ["it said nothing"]
        reason = next((line for line in said if "%Error" in line), said[-1])
        outcomes.append(Outcome("?", f"the simulator ended: {reason}", 0, 0.0, culprit))
        left = left[left.index(culprit) + 1 :]
    return outcomes


def simulate_verilog(
    ref: str, simulator: str = "verilator", build_dir=BUILD_DIR, *, check: bool = True
) -> list[Outcome]:
    """Run benches on the Verilog of their components.

    Parameters
    ----------
    ref : str
        Reference to a bench or to a list of benches.
    simulator : ``"verilator"`` or ``"icarus"``
    build_dir : path-like
        Folder that keeps builds.
    check : bool
        Raise if a bench fails.

    Raises
    ------
    SimulationError
        If a bench fails; the message says which, and why.
    """
    outcomes = []
    for group in groups(ref):
        of_group = run_group(build_group(group, simulator, build_dir), ref, group)
        outcomes += [replace(o, bench=f"{group.name} {o.bench}") for o in of_group]
    failed = [f"{o.bench}: {o.error}" for o in outcomes if o.error is not None]
    if check and failed:
        total = len(outcomes)
        said = "\n".join(failed)
        raise SimulationError(f"{ref} on {simulator}: {len(failed)} of {total} failed.\n{said}")
    return outcomes


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def _label(function) -> str:
    """Short name of a bench."""
    if isinstance(function, functools.partial):
        given = [*map(repr, function.args), *(f"{k}={v!r}" for k, v in function.keywords.items())]
        text = ", ".join(given)
        return f"{_label(function.func)}({text if len(text) < 60 else text[:57] + '...'})"
    return getattr(function, "__name__", type(function).__name__)
