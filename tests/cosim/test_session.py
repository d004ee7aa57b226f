# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A session reports whatever a controller or a tile does wrong, and does not wait for ever."""

import json
import re
from pathlib import Path

import pytest

from cosim.simulators import SimulationError, build, run
from cosim.verilog_bench import ports
from rtl.verilog import write_verilog

pytestmark = pytest.mark.slow

#: What goes wrong (see faulty_harness.Fault), at what number, and what the session says of it.
FAULTS = [
    ("NONE", 0, ""),
    ("DROPPED", 2, "example 2, label 1: result .* must be 0x100002000, not 0x100000001"),
    ("DROPPED", 3, "results must be 4, not 3"),
    ("DOUBLED", 0, "example 1, label 1: result .* must be 0x100002000, not 0x180000000"),
    ("DOUBLED", 3, "results must be 4, not more"),
    ("CHANGED", 0, "example 0, label 0: result .* must be 0x180000000, not 0x180002000"),
    ("UNMARKED", 0, "example 0, label 0: result .* must be 0x180000000, not 0x80000000"),
    ("WITHHELD", 2, "error must be none, not RESULTS .tile 0, instruction 5."),
    ("SPURIOUS", 0, "results must be 4, not more"),
    ("SPURIOUS", 60, "results must be 4, not more"),
    ("STUCK", 2, "error must be none, not TILE .tile 0, instruction 4."),
    ("ASKED_TWICE", 2, "tile 0: operation must be number 3, not 2"),
    ("MISSED", 0, "tile 0: operation must be number 0, not 1"),
    ("MALFORMED", 2, "tile 0: vector of FORWARD must have as many beats as the tile needs"),
    ("UNKNOWN", 0, "tile 0: operation must be one of 0..8, not 15"),
    ("ROW_OUTSIDE", 2, "tile 0: row of INIT must be below 4, not 4"),
    ("LATE", 0, "layer 0, tile 0, .* POLARITY: operation must be absent, not POLARITY"),
    ("LATE", 60, "layer 0, tile 0, .* POLARITY: operation must be absent, not POLARITY"),
    ("UNUSED", 0, "tile 1 is not used and must get no operation"),
    ("SILENT", 0, "controller must go on, not stand for 2,000 cycles"),
    ("WRITE_REFUSED", 2, "register at 0x2c must take 0x1f40, but it was refused"),
    ("WRITE_UNANSWERED", 0, "register at 0x20 must take 0x3, but it was refused"),
    ("READ_REFUSED", 0, "register at 0x80 must be readable, but it was refused"),
    ("READ_UNANSWERED", 2, "register at 0x84 must be readable, but it was refused"),
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Return reports of sessions on one controller, by fault, and what the simulation said."""
    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        from faulty_harness import HARDWARE, FaultyHarness

        harness = FaultyHarness(HARDWARE)
        verilog = write_verilog(harness, folder / "faulty.v", name="faulty")
        built = build([verilog], "faulty", public=ports(harness))
        patch.setenv("SESSION_FAULTS", json.dumps([(fault, at) for fault, at, _ in FAULTS]))
        patch.setenv("SESSION_REPORTS", str(folder))
        try:
            run(built, "session_bench")
            said = ""
        except SimulationError as error:
            said = str(error)
    found = {path.name: json.loads(path.read_text()) for path in folder.glob("* *")}
    return found | {"said": said}


@pytest.mark.parametrize(("fault", "at", "sentence"), FAULTS)
def test_session_reports(reports, fault, at, sentence):
    assert f"{fault} {at}" in reports, reports["said"]
    report = reports[f"{fault} {at}"]
    assert re.fullmatch(sentence, report["mismatch"]), report["mismatch"]
    assert report["mismatches"] == bool(sentence)


def test_session_refuses_registers_that_do_not_exist_and_errors_in_tiles(reports):
    """The other tests of session_bench.py passed too."""
    assert reports["said"] == ""
