# SPDX-License-Identifier: Apache-2.0
"""What one looks at first in a waveform: a save file for GTKWave."""

from enum import Enum
from pathlib import Path

from golden.hardware import ControllerConfig
from golden.program import Op
from rtl.tile_port import TileOp

from .bridge import bridge_widths
from .job import STEPS_PER_CYCLE

__all__ = ["write_save_file"]

#: GTKWave's flags: a comment; hexadecimal; decimal; through a filter, decimal.
_TITLE, _HEX, _DECIMAL, _NAMED = "@200", "@22", "@24", "@2024"
#: Logarithm of GTKWave's scale, and clock cycles from the window's start to the marker.
_ZOOM, _BEFORE = -8, 60


def write_save_file(waves: Path, hw: ControllerConfig, marked: int | None = None) -> Path:
    """Write a save file beside a waveform of :class:`cosim.harness.Harness`; return its path.

    It shows, top down: clock and interrupt, the instruction that runs, examples and results, and
    for every tile its operations, their durations and what goes in and out. Instructions and
    operations have their names, from filter files beside the save file.

    Parameters
    ----------
    waves : Path
    hw : ControllerConfig
    marked : int, optional
        Steps of simulated time at which the marker stands.
    """
    folder, lines = waves.resolve().parent, [f'[dumpfile] "{waves.resolve()}"']
    if marked is not None:
        start = max(0, marked - _BEFORE * STEPS_PER_CYCLE)
        lines += [f"[timestart] {start}", f"*{_ZOOM}.0 {marked}" + " -1" * 26]

    def title(text):
        lines.extend([_TITLE, f"-{text}"])

    def show(signals, flags=_HEX):
        lines.extend([flags, *(f"harness.{s}" for s in signals)])

    def named(signal, kind: type[Enum]):
        path = folder / f"{waves.stem}.{kind.__name__.lower()}.txt"
        path.write_text("".join(f"{item.value} {item.name}\n" for item in kind))
        lines.extend([_NAMED, f"^1 {path}", f"harness.{signal}"])

    title("clock")
    show(["clk", "rst", "irq"])
    title("program")
    show(["controller.sequencer.running"])
    show(["controller.sequencer.pc[7:0]"], _DECIMAL)
    named("controller.sequencer.word.op[3:0]", Op)
    fields = ["controller.sequencer.word.layer[3:0]", "controller.sequencer.word.target[7:0]"]
    show(fields, _DECIMAL)
    title("host")
    show(["examples__request", "results__tvalid", "results__tdata[31:0]"])
    vector, result = bridge_widths(hw.rows, hw.cols, hw.lanes, hw.transfer_lanes)
    for k in range(hw.tiles):
        title(f"tile {k}")
        show([f"tiles__{k}__request"])
        named(f"bridge_{k}.operation.command.op[3:0]", TileOp)
        show([f"bridge_{k}.operation.command.row[8:0]", f"tiles__{k}__duration[23:0]"], _DECIMAL)
        show([f"tiles__{k}__vector[{vector - 1}:0]", f"tiles__{k}__result[{result - 1}:0]"])
    path = waves.with_suffix(".gtkw")
    path.write_text("\n".join([*lines, ""]))
    return path
