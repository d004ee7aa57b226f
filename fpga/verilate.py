# SPDX-License-Identifier: Apache-2.0
"""Compiles a component with a host program of ours: what a virtual board runs."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from rtl.tools import BUILD_DIR, environment, verilator_environment
from rtl.verilog import write_verilog

__all__ = ["BoardBuildError", "verilate"]

_SOURCES = Path(__file__).parent / "cpp"
#: Lines of a log that an error shows.
_TAIL = 25


class BoardBuildError(RuntimeError):
    """A virtual board cannot be built."""


def verilate(
    component, name: str, source: str, *, shared=False, define="", build_dir=BUILD_DIR
) -> Path:
    """Compile a component and ``cpp/<source>`` into a program, or return what is there already.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Of the top module; the source includes ``V<name>.h``.
    source : str
    shared : bool
        Make a library instead of a program.
    define : str
        What the source finds defined.
    build_dir : path-like
        Folder that keeps builds.

    Raises
    ------
    ToolError
        If Verilator, g++ or make is missing.
    BoardBuildError
        If one of them fails; the message ends with what it said.
    """
    variables = verilator_environment(build_dir)
    build_dir = Path(build_dir).resolve()
    with tempfile.TemporaryDirectory() as folder:
        verilog = write_verilog(component, Path(folder, f"{name}.v"), name=name)
        key = hashlib.sha256(repr([version("verilator"), shared, define]).encode())
        for path in (verilog, _SOURCES / source, Path(__file__)):
            key.update(path.read_bytes())
        made = build_dir / f"{name}-board-{key.hexdigest()[:16]}"
        build_dir.mkdir(parents=True, exist_ok=True)
        with made.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                with environment(variables):
                    _compile(verilog, name, _SOURCES / source, Path(folder, "obj"), shared, define)
                # from another file system: what is cut off must not be taken for a build
                partial = made.with_suffix(".partial")
                shutil.move(Path(folder, "obj", "board"), partial)
                partial.replace(made)
    return made


def _compile(
    verilog: Path, name: str, source: Path, folder: Path, shared: bool, define: str
) -> None:
    command = ["verilator", "--cc", "--exe", "--build", "-O3", "-j", "2", "-o", "board"]
    command += ["-Wno-fatal", "-Wno-lint", "-Wno-UNOPTFLAT", "--top-module", name]
    command += [
        "--Mdir",
        str(folder),
        "-CFLAGS",
        f"-O2 {'-fPIC' * shared} {f'-D{define}' * bool(define)}",
    ]
    command += ["-LDFLAGS", "-shared"] * shared
    done = subprocess.run(
        [*command, str(verilog), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-_TAIL:])
        raise BoardBuildError(f"Verilator must build the virtual board, but:\n{said}")
