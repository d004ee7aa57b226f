# SPDX-License-Identifier: Apache-2.0
"""Writes a controller as Verilog, with all that a chip or an FPGA needs of it."""

import json
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from analog_models.config import check
from cosim.lint import lint
from golden.config import ChipConfig
from golden.controllers import CONTROLLERS
from golden.hardware import ControllerConfig
from golden.placement import Placement
from golden.register_docs import markdown, python_constants, system_rdl
from rtl.controller import ChipController
from rtl.verilog import to_verilog

from .checkpoint import make_folder
from .verilog_text import (
    UNREAD_BITS,
    chip_text,
    constraints,
    core_file,
    stub,
    tile_ports,
    waivers,
)

__all__ = [
    "CLOCK",
    "Written",
    "files_json",
    "files_table",
    "generate",
    "generate_preset",
    "lint_folder",
]

#: Hz; what the constraints ask for unless told otherwise.
CLOCK = 100e6
#: Verilog, in the order of ``files.f``.
_SOURCES = ("crossforge.v", "analog_tile.v", "crossforge_chip.v")
#: File, rule and start of the message of findings that are no faults of these files, and why.
_WAIVERS = {
    ("analog_tile.v", "UNDRIVEN", ""): "a stub is empty",
    ("analog_tile.v", "undriven-port", ""): "a stub is empty",
    ("analog_tile.v", "unused-port", ""): "a stub is empty",
    ("crossforge.v", "unused-port", "unused port signal 'goals__tlast'"): "goals are counted",
    ("crossforge.v", "UNDRIVEN", UNREAD_BITS): "yosys cuts what is not read, and checks what is",
    ("crossforge.v", "case-too-complex", ""): "it is a multiplexer, one-hot, and has a default",
}


@dataclass(frozen=True)
class Written:
    """A file that was written.

    Parameters
    ----------
    path : Path
    meaning : str
    """

    path: Path
    meaning: str


def generate(
    hw: ControllerConfig,
    chip: ChipConfig,
    folder,
    *,
    name: str = "custom",
    clock: float = CLOCK,
) -> list[Written]:
    """Write a controller and what belongs to it; the same bytes each time.

    Parameters
    ----------
    hw : ControllerConfig
    chip : ChipConfig
        Network that fits ``hw``; comments say where it lies.
    folder : path-like
        Made if need be. Files in it that have the same names are replaced.
    name : str
        Name of the FuseSoC core.
    clock : float, Hz

    Raises
    ------
    ValueError
        If the network does not fit or the clock is out of range.
    OSError
        If ``folder`` cannot be written.
    """
    check(1e3 <= clock <= 1e10, "clock", "within 1e3..1e10 (Hz)", clock)
    Placement(chip, hw)  # refuses what does not fit
    folder = Path(folder)
    make_folder(folder)
    controller = ChipController(hw)
    signature, registers = controller.signature, controller.registers
    tile = tile_ports(hw.lanes, hw.transfer_lanes)
    texts = {
        "crossforge.v": (to_verilog(controller, name="crossforge"), "the controller"),
        "analog_tile.v": (stub(hw.lanes, hw.transfer_lanes), "stub of a tile: ports and packing"),
        "crossforge_chip.v": (chip_text(signature, chip, tile), "controller and tiles, wired up"),
        "files.f": ("\n".join([*_SOURCES, ""]), "list of the Verilog files"),
        "crossforge.sdc": (constraints(signature, clock), "clock and delays of the chip's ports"),
        "crossforge.vlt": (waivers(), "what Verilator need not warn of"),
        "crossforge.core": (core_file(name, version("crossforge"), chip), "FuseSoC core"),
        "registers.md": (markdown(registers), "registers to read"),
        "registers.rdl": (system_rdl(registers), "registers in SystemRDL 2.0"),
        "registers.py": (python_constants(registers), "registers as Python constants"),
        "parameters.json": (json.dumps(asdict(hw), indent=2) + "\n", "sizes of the controller"),
    }
    written = []
    for file, (text, meaning) in texts.items():
        (folder / file).write_text(text, encoding="utf-8", newline="\n")
        written.append(Written(folder / file, meaning))
    return written


def generate_preset(
    preset: str, folder=None, *, lanes: int | None = None, clock: float = CLOCK
) -> list[Written]:
    """Write a controller of :data:`golden.controllers.CONTROLLERS`.

    Parameters
    ----------
    preset : str
    folder : path-like, optional
        ``build/verilog/<preset>`` unless told otherwise.
    lanes : int, optional
        Instead of the preset's.
    clock : float, Hz
    """
    check(preset in CONTROLLERS, "preset", f"one of {', '.join(CONTROLLERS)}", preset)
    controller = CONTROLLERS[preset]
    hw = controller.hardware(lanes)
    folder = Path("build", "verilog", preset) if folder is None else folder
    return generate(hw, controller.chip, folder, name=preset, clock=clock)


def lint_folder(folder) -> list[str]:
    """Lint what :func:`generate` wrote as one design; an empty list is a clean one.

    Raises
    ------
    ToolError
        If a tool is missing.
    """
    lines: list[tuple[str, int]] = [("crossforge_chip.v", 0)]  # file and line of each line
    texts = []
    for file in _SOURCES:
        texts.append(Path(folder, file).read_text(encoding="utf-8"))
        lines += [(file, i + 1) for i in range(texts[-1].count("\n"))]
    with tempfile.TemporaryDirectory() as whole:
        path = Path(whole, "crossforge_chip.v")
        path.write_text("".join(texts), encoding="utf-8")
        findings = lint(path)
    said = []
    for finding in findings:
        file, line = lines[finding.line]
        waived = any(
            (file, finding.rule) == (where, rule) and finding.message.startswith(start)
            for where, rule, start in _WAIVERS
        )
        if not waived:
            said.append(f"{file}:{line}: {finding.tool} {finding.rule}: {finding.message}")
    return said


def files_json(written: list[Written]) -> dict:
    """Folder, and bytes of each file."""
    files = {w.path.name: w.path.stat().st_size for w in written}
    return {"folder": str(written[0].path.parent), "files": files}


def files_table(written: list[Written]) -> Table:
    """List files, their sizes and what they are."""
    table = Table(title=f"Verilog in {written[0].path.parent}")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    table.add_column("what it is")
    for w in written:
        table.add_row(w.path.name, f"{w.path.stat().st_size:,}", w.meaning)
    return table
