# SPDX-License-Identifier: Apache-2.0
"""A simulator that ends otherwise than by passing its tests has failed, whatever it wrote."""

import logging
import re
from pathlib import Path

import pytest

from cosim import simulators
from cosim.simulators import Build, SimulationError, run

PASSED = '<testcase name="trains"/>'
FAILED = '<testcase name="trains"><failure error_msg="sum must be 3, not 4"/></testcase>'
BROKEN = '<testcase name="trains"><error message="ZeroDivisionError"/></testcase>'


class Runner:
    """A simulator that writes results and a log, and ends."""

    log = logging.getLogger("silent simulator")

    def __init__(self, cases, ended):
        self.cases, self.ended = cases, ended

    def test(self, *, results_xml, log_file, **_):
        if self.cases is not None:
            suite = f"<testsuites><testsuite>{self.cases}</testsuite></testsuites>"
            Path(results_xml).write_text(suite)
        Path(log_file).write_text("%Error: the last words\n")
        if self.ended is not None:
            raise self.ended


@pytest.fixture
def simulate(monkeypatch, tmp_path):
    def simulate(cases, ended=None):
        monkeypatch.setattr(simulators, "get_runner", lambda _: Runner(cases, ended))
        return run(Build("dut", "verilator", tmp_path), "bench")

    return simulate


def test_run_returns_the_names_of_tests_that_passed(simulate):
    assert simulate(PASSED) == ["trains"]


@pytest.mark.parametrize(
    ("cases", "ended", "sentence"),
    [
        (PASSED, RuntimeError("killed by 11"), r"no test ran to its end\. The simulator: killed"),
        (PASSED, SystemExit(1), r"no test ran to its end\. The simulator: 1\.\n%Error: the last"),
        (None, None, "no test ran to its end.\n%Error: the last words$"),
        ("", None, "no test ran to its end."),
        (FAILED, None, "1 of 1 tests failed.\ntrains: sum must be 3, not 4$"),
        (PASSED + FAILED, SystemExit(1), "1 of 2 tests failed.\ntrains: sum must be 3, not 4$"),
        (BROKEN, None, "1 of 1 tests failed.\ntrains: ZeroDivisionError$"),
    ],
)
def test_run_reports_a_simulator_that_fails(simulate, cases, ended, sentence):
    with pytest.raises(SimulationError) as caught:
        simulate(cases, ended)
    assert re.match(rf"bench on dut \(verilator\): {sentence}", str(caught.value))
