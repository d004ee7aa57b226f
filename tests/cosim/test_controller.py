# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The assembled controller under cocotb, its buses driven by a third party's models."""

from pathlib import Path

import pytest

from cosim.harness import Harness
from cosim.simulators import build, run
from cosim.verilog_bench import ports
from rtl.verilog import write_verilog


@pytest.mark.slow
def test_controller_behaves_on_its_buses(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from controller_host import HARDWARE

    harness = Harness(HARDWARE, feeders=False)
    verilog = write_verilog(harness, tmp_path / "harness.v", name="harness")
    names = run(build([verilog], "harness", public=ports(harness)), "controller_bench")
    assert len(names) == 22
