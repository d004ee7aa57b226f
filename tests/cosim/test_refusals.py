# SPDX-License-Identifier: Apache-2.0
"""What cannot be is refused before anything is built, in one sentence; what fails shows outside."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import crossforge.cosim
from cosim.job import Report
from cosim.simulators import SimulationError
from crossforge.cli import main
from crossforge.data import Dataset
from golden.hardware import ControllerConfig


class BuildingError(Exception):
    """It came to building a simulation."""


@pytest.fixture
def call(monkeypatch, capsys):
    """Call ``crossforge cosim``, which builds nothing; return its exit code and what it said."""

    def builds(*_, **__):
        raise BuildingError

    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (70, 784)).astype(np.uint8), np.arange(70) % 10
    small = Dataset("noise", images, labels, images, labels, (28, 28), 10)
    monkeypatch.setattr(crossforge.cosim, "load", lambda: small)
    monkeypatch.setattr(crossforge.cosim, "build_controller", builds)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["cosim", *map(str, arguments)])
        printed = capsys.readouterr()
        return stop.value.code, printed.out, printed.err

    return call


def refused(call, *arguments):
    """Return the one line that says why."""
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err.removeprefix("crossforge: ").strip()


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
        (["--lanes", 1], "lanes must be a power of two within 2..128, not 1"),
        (["--lanes", 48], "lanes must be a power of two within 2..128, not 48"),
        (["--lanes", 256], "lanes must be a power of two within 2..128, not 256"),
        (["--waves", "x.png"], "--waves must be a file that ends in .{format}, not 'x.png'"),
        (
            ["--waves", "/nowhere/x.{format}"],
            "--waves must be in a folder to write to, not /nowhere: No such file or directory",
        ),
    ],
)
def test_cosim_refuses_before_it_builds(call, arguments, sentence):
    form = crossforge.cosim.wave_format("verilator")
    given = [str(a).format(format=form) for a in arguments]
    assert refused(call, *given) == sentence.format(format=form)


def test_cosim_refuses_a_folder_for_waves(call, tmp_path):
    folder = tmp_path / f"x.{crossforge.cosim.wave_format('verilator')}"
    folder.mkdir()
    said = refused(call, "--waves", folder)
    assert said == f"--waves must be a file, not the folder {folder}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "g++ must be installed for Verilator: apt install g++ make"),
        (["--waves", "x.vcd"], "g++ must be installed for Verilator: apt install g++ make"),
        (["--simulator", "icarus"], "Icarus must be installed: apt install iverilog"),
    ],
)
def test_cosim_says_what_to_install_before_it_builds(
    call, monkeypatch, tmp_path, arguments, sentence
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(call, *arguments) == sentence


def test_cosim_refuses_a_controller_that_is_too_small(call, monkeypatch):
    def of(chip, **lanes):
        return replace(ControllerConfig.of(chip, **lanes), depth=3)

    monkeypatch.setattr(crossforge.cosim, "ControllerConfig", SimpleNamespace(of=of))
    assert refused(call) == "depth must be at least 7 for this network, not 3"


@pytest.mark.parametrize("lanes", [2, 4, 8, 128])
def test_cosim_builds_a_controller_of_every_width(call, lanes):
    with pytest.raises(BuildingError):
        call("--lanes", lanes)


@pytest.fixture
def reported(call, monkeypatch):
    """Call ``crossforge cosim`` on a simulation that reports, or raises, something."""

    def raises(error):
        raise error

    def reported(outcome):
        def either(*_, **__):
            return raises(outcome) if isinstance(outcome, Exception) else [outcome]

        def records(*_, **__):
            raise SimulationError("no room")

        monkeypatch.setattr(crossforge.cosim, "build_controller", lambda *_, **__: None)
        monkeypatch.setattr(crossforge.cosim, "cosimulate", either)
        monkeypatch.setattr(crossforge.cosim, "record_difference", records)
        return call()

    return reported


def test_cosim_fails_if_there_is_a_difference(reported):
    """Also if no waveform of it can be recorded."""
    report = Report(examples=3, mismatches=1, mismatch="results must be 4, not 3")
    code, out, err = reported(report)
    assert code == 1
    assert "RTL and golden DIFFER" in out
    assert "results must be 4, not 3" in out
    assert "no waveform: no room" in err


def test_cosim_fails_if_the_simulation_breaks_down(reported):
    code, out, err = reported(SimulationError("cosim.process on harness: no test ran"))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "crossforge: cosim.process on harness: no test ran"
    assert "Traceback" not in err
