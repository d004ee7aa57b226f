# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A difference leaves a waveform around it, and a save file that knows its signals."""

import re
from pathlib import Path

import numpy as np
import pytest

from cosim.cosimulate import cosimulate, record_difference
from cosim.harness import Harness
from cosim.job import STEPS_PER_CYCLE, Run
from cosim.session import CYCLES_AFTER
from cosim.waves import write_save_file
from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.tools import wave_format
from rtl.verilog import to_verilog

pytestmark = pytest.mark.slow

CHIP = ChipConfig(layers=(3, 2), forward_shift=(14,), backward_shift=(13,))
HARDWARE = ControllerConfig.of(CHIP, lanes=2, transfer_lanes=1)


def recorded(path):
    """First and last step of simulated time in a waveform."""
    if path.suffix == ".vcd":
        times = re.findall(r"^#(\d+)$", path.read_text(), re.MULTILINE)
        return int(times[0]), int(times[-1])
    header = path.read_bytes()  # a byte that is 0, the length of the header, first and last time
    return tuple(int.from_bytes(header[k : k + 8], "big") for k in (9, 17))


def test_difference_is_recorded_with_what_comes_before_it_and_after_it(tmp_path):
    pixels, labels = np.full((9, 3), 200, np.uint8), np.arange(9) % 2
    run = Run(chip=CHIP, pixels=pixels, labels=labels, inject=60)
    (found,) = cosimulate(HARDWARE, [run])
    assert found.mismatches == 1
    waves = tmp_path / f"waves.{wave_format('verilator')}"
    again = record_difference(HARDWARE, run, found, waves, cycles=50)
    assert (again.mismatch, again.time) == (found.mismatch, found.time)
    first, last = recorded(waves)
    assert first == found.time - 50 * STEPS_PER_CYCLE > 0
    assert CYCLES_AFTER <= (last - found.time) / STEPS_PER_CYCLE <= CYCLES_AFTER + 8


def declared(text):
    """Signals of each module of Verilog, with their widths: {module: {name: width}}."""
    found = {}
    for name, body in re.findall(r"^module (\w+)\((.*?)^endmodule", text, re.M | re.S):
        kinds = r"^  (?:input|output|wire|reg) (?:\[(\d+):0\] )?\\?(\S+?) ?(?:= \S+)?;$"
        signals = re.findall(kinds, body, re.MULTILINE)
        found[name] = {signal: int(high or 0) + 1 for high, signal in signals}
    return found


def test_save_file_names_signals_that_the_controller_has(tmp_path):
    path = write_save_file(tmp_path / "waves.fst", HARDWARE, marked=5000)
    modules = declared(to_verilog(Harness(HARDWARE), name="harness"))
    shown = re.findall(r"^(harness\..*?)(?:\[(\d+):0\])?$", path.read_text(), re.MULTILINE)
    assert len(shown) > 10 + 6 * HARDWARE.tiles
    for signal, high in shown:
        parts = signal.split(".")
        depth = max(n for n in range(1, len(parts)) if "_".join(parts[:n]) in modules)
        widths = modules["_".join(parts[:depth])]
        assert widths[".".join(parts[depth:])] == int(high or 0) + 1, signal
    filters = re.findall(r"^\^1 (.*)$", path.read_text(), re.MULTILINE)
    assert filters
    for names in filters:
        assert re.fullmatch(r"(\d+ [A-Z_]+\n)+", Path(names).read_text())
