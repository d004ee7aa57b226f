# SPDX-License-Identifier: Apache-2.0
"""What cannot be is refused before anything is built; a tool that dies gives no verdict."""

import numpy as np
import pytest

import crossforge.cosim
from cosim import lint
from cosim.tools import ToolError
from crossforge.cli import main
from crossforge.data import Dataset


@pytest.fixture
def refusal(monkeypatch, capsys):
    """Return what ``crossforge cosim`` says of its arguments, if it builds nothing."""

    def builds(*_, **__):
        raise AssertionError("it must not come to building a simulation")

    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (70, 784)).astype(np.uint8), np.arange(70) % 10
    small = Dataset("noise", images, labels, images, labels, (28, 28), 10)
    monkeypatch.setattr(crossforge.cosim, "load", lambda: small)
    monkeypatch.setattr(crossforge.cosim, "build_controller", builds)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["cosim", *map(str, arguments)])
        printed = capsys.readouterr()
        assert (stop.value.code, printed.out) == (2, "")
        return printed.err.removeprefix("crossforge: ").strip()

    return call


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--interval", -1], "--interval must be at least 0, not -1"),
        (
            ["--interval", 1 << 31],
            "interval must be a whole number within 0..2147483647, not 2147483648",
        ),
        (["--examples", 0], "--examples must be within 1..60000, not 0"),
        (["--seed", -1], "--seed must be within 0..2**63-1, not -1"),
        (["--lanes", 48], "lanes must be a power of two within 2..128, not 48"),
        (["--lanes", 256], "lanes must be a power of two within 2..128, not 256"),
        (["--waves", "x.png"], "--waves must be a file that ends in .{format}, not 'x.png'"),
        (
            ["--waves", "/nowhere/x.{format}"],
            "--waves must be in a folder to write to, not /nowhere: No such file or directory",
        ),
    ],
)
def test_cosim_refuses_before_it_builds(refusal, arguments, sentence):
    form = crossforge.cosim.wave_format("verilator")
    given = [str(a).format(format=form) for a in arguments]
    assert refusal(*given) == sentence.format(format=form)


@pytest.mark.parametrize("tool", ["_verilator", "_slang"])
def test_a_lint_tool_that_dies_has_not_found_the_file_clean(monkeypatch, tmp_path, tool):
    monkeypatch.setattr(lint, "_output", lambda *_: ("Segmentation fault", False))
    arguments = [tmp_path / "x.v", "x", tmp_path][: 3 if tool == "_verilator" else 2]
    with pytest.raises(ToolError, match=r"^\w+ must run, but said:\nSegmentation fault$"):
        getattr(lint, tool)(*arguments)


def test_a_yosys_that_dies_has_not_found_the_file_clean(monkeypatch, tmp_path):
    def dies(*_):
        raise ToolError("yosys must accept its script, but:\nKilled")

    path = tmp_path / "x.v"
    path.write_text("module x; endmodule\n")
    monkeypatch.setattr(lint, "yosys", dies)
    with pytest.raises(ToolError, match=r"Killed$"):
        lint._yosys(path, "x")
