# SPDX-License-Identifier: Apache-2.0
"""Three tools' opinion of the generated Verilog: Verilator, yosys and slang.

All warnings are on; each that is waived has its reason, which is how Amaranth and yosys write
Verilog, never the design.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rtl.tools import BUILD_DIR, ToolError, verilator_environment, yosys

__all__ = ["Finding", "lint"]

_EXTENDED = "operators extend and cut to the width of their result, as yosys' own cells do"
_ALIASES = "fields of structures have names of their own, and so have unused bits of results"
_ONE_HOT = "yosys writes a multiplexer with one select line for each input as casez"

#: Rule and, if not all of its messages, their pattern: reason.
VERILATOR_WAIVERS = {
    ("WIDTHEXPAND", "Operator *"): _EXTENDED,
    ("WIDTHTRUNC", "Operator *"): _EXTENDED,
    ("WIDTHTRUNC", "Logical operator *"): "yosys writes a comparison with 0 as a logical not",
    ("UNUSEDSIGNAL", ""): _ALIASES,
    ("PROCASSINIT", ""): "registers have their reset value from the start, as in an FPGA",
    ("CASEOVERLAP", ""): _ONE_HOT,
    ("DECLFILENAME", ""): "one file has the whole hierarchy",
    ("UNOPTFLAT", ""): "parts of a vector may depend on others; yosys looks for true loops",
}

#: Warning: reason. All others of slang are on.
SLANG_WAIVERS = {
    "dangling-else": "yosys writes a register whose enable goes before its reset so",
    "arith-op-mismatch": _EXTENDED,
    "bitwise-op-mismatch": _EXTENDED,
    "comparison-mismatch": _EXTENDED,
    "width-trunc": _EXTENDED,
    "width-expand": _EXTENDED,
    "sign-conversion": "a signed result is bits once it is in a wire",
    "unused-but-set-net": _ALIASES,
    "case-overlap": _ONE_HOT,
}


@dataclass(frozen=True)
class Finding:
    """What one tool does not like.

    Parameters
    ----------
    tool : str
    rule : str
    line : int
        0 if the tool names none.
    message : str
    """

    tool: str
    rule: str
    line: int
    message: str

    def __str__(self):
        return f"{self.tool} {self.rule}, line {self.line}: {self.message}"


def lint(path: Path | str, *, top: str | None = None, build_dir=BUILD_DIR) -> list[Finding]:
    """Check a Verilog file; an empty list is a clean one.

    Parameters
    ----------
    path : path-like
    top : str, optional
        Top module; the file's name unless told otherwise.
    build_dir : path-like
        Where Verilator's tools may be linked.

    Raises
    ------
    ToolError
        If a tool is missing, or ends without a verdict.
    """
    path = Path(path).resolve()
    top = path.stem if top is None else top
    return [*_verilator(path, top, build_dir), *_yosys(path, top), *_slang(path, top)]


def _verilator(path: Path, top: str, build_dir) -> list[Finding]:
    lines = ["`verilator_config"]
    for (rule, match), reason in VERILATOR_WAIVERS.items():
        pattern = f' -file "*" -match "{match}"' if match else ""
        lines += [f"// {reason}", f"lint_off -rule {rule}{pattern}"]
    environment = dict(os.environ)
    environment.update({k: v for k, v in verilator_environment(build_dir).items() if v is not None})
    with tempfile.TemporaryDirectory() as folder:
        waivers = Path(folder, "waivers.vlt")
        waivers.write_text("\n".join([*lines, ""]))
        program = shutil.which("verilator", path=environment["PATH"])
        command = [str(program), "--lint-only", "-Wall", "--top-module", top, waivers, path]
        output, good = _output(command, environment)
    messages = re.compile(r"^%(?:Warning|Error)(?:-(\w+))?: (?:(\S+?):(\d+):\d+: )?(.*)$", re.M)
    findings = [
        Finding("verilator", rule or "error", int(line or 0), message)
        for rule, _, line, message in messages.findall(output)
        if not message.startswith("Exiting due to")
    ]
    return _judged("verilator", output, good, findings)


def _yosys(path: Path, top: str) -> list[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(path, Path(folder, "top.v"))
        script = ["read_verilog top.v", f"hierarchy -check -top {top}", "proc", "check -assert"]
        failure = None
        try:
            output = yosys(folder, script)
        except ToolError as error:
            output, failure = str(error), error
    found = re.findall(r"^(Warning|ERROR|.*: ERROR): (.*)$", output, re.M)
    findings = [Finding("yosys", kind.split()[-1].lower(), 0, text) for kind, text in found]
    if failure is not None and not findings:
        raise failure
    return findings


def _slang(path: Path, top: str) -> list[Finding]:
    if importlib.util.find_spec("pyslang") is None:
        raise ToolError("slang must be installed: pip install pyslang")
    options = ["-Weverything", *(f"-Wno-{rule}" for rule in SLANG_WAIVERS), "--top", top, str(path)]
    # In a process of its own: it writes to the terminal, not to Python.
    code = (
        "import sys; from pyslang.driver import Driver; driver = Driver();"
        "driver.addStandardArgs(); driver.setTerminalColorsEnabled(False);"
        "good = driver.parseCommandLine(sys.argv[1]) and driver.processOptions()"
        " and driver.parseAllSources() and driver.runFullCompilation(False);"
        "sys.exit(not good)"
    )
    quoted = " ".join(["slang", *(f'"{option}"' for option in options)])
    output, good = _output([sys.executable, "-c", code, quoted], dict(os.environ))
    found = re.findall(r":(\d+):\d+: (warning|error): (.*?)(?: \[-W(\S+)\])?$", output, re.M)
    unplaced = re.findall(r"^(warning|error): (.*)$", output, re.M)
    findings = [
        *(Finding("slang", rule or kind, int(line), text) for line, kind, text, rule in found),
        *(Finding("slang", kind, 0, text) for kind, text in unplaced),
    ]
    return _judged("slang", output, good, findings)


def _output(command, environment) -> tuple[str, bool]:
    """Return what a tool said, and whether it ended well."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode == 0


def _judged(tool: str, output: str, good: bool, findings: list[Finding]) -> list[Finding]:
    """Return the findings; a tool that fails and finds nothing did not do its work."""
    if not good and not findings:
        raise ToolError(f"{tool} must run, but said:\n{output.strip()[-1000:]}")
    return findings
