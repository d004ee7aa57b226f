# SPDX-License-Identifier: Apache-2.0
"""What one looks at first in a waveform: a save file for GTKWave."""

from pathlib import Path

from golden.hardware import ControllerConfig

__all__ = ["write_save_file"]

_GROUP, _TRACE = "@200", "@22"


def write_save_file(waves: Path, hw: ControllerConfig) -> Path:
    """Write a save file beside a waveform of :class:`cosim.harness.Harness`; return its path.

    It shows, top down: clock and interrupt, the instruction that runs, examples and results, and
    for every tile its operations and their durations.
    """
    top = "harness."
    lines = [f'[dumpfile] "{waves.resolve()}"', "[timestart] 0"]

    def group(title, *signals):
        lines.extend([_GROUP, f"-{title}", _TRACE])
        lines.extend(top + s for s in signals)

    group("clock", "clk", "rst", "irq")
    sequencer = "controller.sequencer."
    group("program", sequencer + "running", sequencer + "pc[7:0]", sequencer + "word[15:0]")
    group("host", "examples__request", "results__tvalid", "results__tdata[31:0]")
    for k in range(hw.tiles):
        pins = ("request", "operation[31:0]", "duration[23:0]", "vector")
        group(f"tile {k}", *(f"tiles__{k}__{pin}" for pin in pins))
    path = waves.with_suffix(".gtkw")
    path.write_text("\n".join([*lines, ""]))
    return path
