# SPDX-License-Identifier: Apache-2.0
"""From a design to a board's bitstream, with free tools and without a network."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .boards import Board
from .programs import BuildError, command_line, failure, missing, run_tool, said, said_in

__all__ = [
    "Built",
    "Report",
    "build",
    "overfull",
    "read_report",
    "register_bits",
    "slowest",
    "wanders",
]

#: Iterations after which a router must be nearer to its end, unless few wires are left: then it
#: takes its time, but iterations are short, and it may have so many of them in all.
_PATIENCE, _FEW, _MOST = 20, 100, 500
#: Kinds of cells as nextpnr calls them: LUTs, flip-flops, block RAMs, single-port RAMs, DSPs.
#: An iCE40's logic cell is a LUT with a flip-flop, and nextpnr counts cells.
_CELLS = {
    "ecp5": ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "", "MULT18X18D"),
    "ice40": ("ICESTORM_LC", "ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_SPRAM", "ICESTORM_DSP"),
}
_SYNTH = {"ecp5": "synth_ecp5", "ice40": "synth_ice40 -dsp -spram"}


@dataclass(frozen=True)
class Report:
    """What nextpnr says of a design that it placed and routed.

    Parameters
    ----------
    clocks : dict of str to tuple of float, MHz
        What each clock reached, and what it was asked for.
    luts, flip_flops, brams, single_port_rams, dsps : int
        Cells in use; on an iCE40 ``luts`` and ``flip_flops`` are both its logic cells.
    """

    clocks: dict[str, tuple[float, float]]
    luts: int
    flip_flops: int
    brams: int
    single_port_rams: int
    dsps: int


@dataclass(frozen=True)
class Built:
    """A bitstream and what it took.

    Parameters
    ----------
    bitstream : Path
    board : str
    clock_mhz, fmax_mhz : float
        What the design runs at, and what it could.
    report : Report
    phases : dict of str to float, s
        Time of each phase.
    memory_mib : float
        Most memory that a tool used.
    folded : dict of str to float
        Of a chip that is folded (:mod:`fpga.folded`): its ``instructions``, ``words`` and
        ``memory_words``, and ``design_khz``, how many of its cycles there are.
    """

    bitstream: Path
    board: str
    clock_mhz: float
    fmax_mhz: float
    report: Report
    phases: dict[str, float]
    memory_mib: float
    folded: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Time of all phases."""
        return sum(self.phases.values())


def build(
    board: Board,
    top,
    folder,
    *,
    clock: int | None = None,
    seed: int | None = None,
    progress: Callable[[str], None] = lambda phase: None,
) -> Built:
    """Make the bitstream of a top, which requests what it needs of ``board``'s platform.

    The folder keeps netlist (``top.il``), constraints (``top.lpf`` or ``top.pcf``), the tools'
    logs, yosys's ``statistics.json``, nextpnr's ``report.json`` and the bitstream (``top.bit`` or
    ``top.bin``). The same design and tools give the same bits.

    Parameters
    ----------
    board : Board
    top : Elaboratable
        Such as :class:`fpga.board_top.BoardTop`.
    folder : path-like
        Made if need be. Files in it that have the same names are replaced.
    clock : int, MHz, optional
        Clock of the design, one of ``board.clocks``.
    seed : int, optional
        Where nextpnr begins; each finds another solution, some faster ones. The board's unless
        given.
    progress : callable, optional
        Is told the name of each phase when it begins.

    Raises
    ------
    BuildError
        If a tool or amaranth-boards is missing, if the design does not fit, if the router comes to
        no end, or if it does not reach its clock.
    """
    clock = board.check_clock(clock)
    seed = board.check_seed(seed)
    nextpnr, pack = (
        ("nextpnr-ecp5", "ecppack") if board.family == "ecp5" else ("nextpnr-ice40", "icepack")
    )
    commands = {tool: command_line(tool) for tool in ("yosys", nextpnr, pack)}
    try:
        platform = board.make_platform()
    except ImportError:
        raise BuildError(missing("amaranth-boards")) from None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bitstream = folder / ("top.bit" if board.family == "ecp5" else "top.bin")
    for old in (bitstream, folder / "top.json", folder / "report.json"):
        old.unlink(missing_ok=True)  # a build that fails must not leave those of another

    phases: dict[str, float] = {}
    most = 0.0

    def look(tool: str) -> None:
        """Give a router up that comes to no end."""
        if wanders(said(folder, tool)):
            raise BuildError(
                f"{tool} must find a way for every connection, but comes no nearer to it: "
                "choose another --seed or a slower --clock"
            )

    def run(phase: str, tool: str, *arguments: str) -> int:
        """Run a tool as a phase; return its exit code."""
        nonlocal most
        progress(phase)
        for old in said_in(folder, tool):  # it would be taken for what is said now
            old.unlink(missing_ok=True)
        begin = time.perf_counter()
        command = [*commands[tool], *arguments]
        code, memory = run_tool(command, folder, folder / f"{tool}.out", lambda: look(tool))
        phases[phase] = phases.get(phase, 0) + time.perf_counter() - begin
        most = max(most, memory)
        return code

    progress("elaborate")
    begin = time.perf_counter()
    plan = platform.build(top, name="top", do_build=False, emit_src=False)
    constraints = "top.lpf" if board.family == "ecp5" else "top.pcf"
    for name in ("top.il", constraints):
        content = plan.files[name]
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    phases["elaborate"] = time.perf_counter() - begin
    # synthesis takes a few per cent of them away, but who is that near to the end cannot be routed
    bits = register_bits((folder / "top.il").read_text())
    if bits > board.luts:
        raise BuildError(
            f"the design must fit into {board.name}, but its registers have {bits:,} bits and it "
            f"has {board.luts:,} flip-flops: choose another --preset, fewer --lanes or a larger "
            "board"
        )

    script = [
        "read_rtlil top.il",
        # abc9 of yosys 0.70 fails on signals that are called like bits of others, "a[0]"
        "hierarchy -top top",
        "proc",
        "flatten",
        "rename -unescape",
        f"{_SYNTH[board.family]} -top top",
        "write_json top.json",
        "tee -q -o statistics.json stat -json",
    ]
    (folder / "top.ys").write_text("\n".join([*script, ""]))
    if run("synthesise", "yosys", "-q", "-l", "yosys.log", "top.ys"):
        raise BuildError(failure("yosys", folder))
    # these place and route a full ECP5 in half the time, and no slower than the default ones
    methods = {"ecp5": ["--placer", "static", "--router", "router2"], "ice40": []}[board.family]
    device = [
        *board.place,
        *methods,
        "--json",
        "top.json",
        "--seed",
        str(seed),
        "--freq",
        str(clock),
    ]
    files = {
        "ecp5": ["--lpf", constraints, "--textcfg", "top.config"],
        "ice40": ["--pcf", constraints, "--asc", "top.asc"],
    }[board.family]
    # what is too slow is refused below, by name
    judged = [
        "--timing-allow-fail",
        "--report",
        "report.json",
        "--quiet",
        "--log",
        f"{nextpnr}.log",
    ]
    if run("place and route", nextpnr, *device, *files, *judged):
        if full := overfull(said(folder, nextpnr)):
            raise BuildError(f"the design must fit into {board.name}, but it takes {full}")
        raise BuildError(failure(nextpnr, folder))
    report = read_report((folder / "report.json").read_text(), board.family)
    name, reached, asked = slowest(report)
    if reached < asked:
        raise BuildError(
            f"{name} must reach {asked:.1f} MHz on {board.name}, but reaches {reached:.1f} MHz: "
            "choose a slower --clock, fewer --lanes or another --seed"
        )
    packed = {"ecp5": ["--compress", "--input", "top.config", "--bit", "top.bit"]}
    if run("pack", pack, *packed.get(board.family, ["top.asc", "top.bin"])):
        raise BuildError(failure(pack, folder))
    return Built(bitstream, board.name, float(clock), reached, report, phases, most)


def register_bits(rtlil: str) -> int:
    """Count the bits of all registers of a design in RTLIL, as Amaranth writes it."""
    # there is a module for each instance
    return sum(map(int, re.findall(r"cell \$a?dff .*\n\s+parameter \\WIDTH (\d+)", rtlil)))


def read_report(text: str, family: str) -> Report:
    """Read nextpnr's JSON report.

    Parameters
    ----------
    text : str
    family : str
        ``"ecp5"`` or ``"ice40"``.
    """
    report = json.loads(text)
    used = {kind: cells["used"] for kind, cells in report["utilization"].items()}
    clocks = {name: (c["achieved"], c["constraint"]) for name, c in report["fmax"].items()}
    return Report(clocks, *(used.get(kind, 0) for kind in _CELLS[family]))


def slowest(report: Report) -> tuple[str, float, float]:
    """Name, reached and asked MHz of the clock with the least to spare.

    Raises
    ------
    BuildError
        If the design has no clock.
    """
    if not report.clocks:
        raise BuildError("the design must have a clock, but nextpnr finds none")
    name = min(report.clocks, key=lambda n: report.clocks[n][0] / report.clocks[n][1])
    return name.removeprefix("$glbnet$"), *report.clocks[name]


def overfull(log: str) -> str:
    """Read of nextpnr's log what there is too little of: ``"35 of 30 ICESTORM_RAM"``, or ``""``."""
    found = re.findall(r"(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", log)
    over = {kind: (int(used), int(there)) for kind, used, there in found if int(used) > int(there)}
    return ", ".join(f"{used:,} of {there:,} {kind}" for kind, (used, there) in over.items())


def wanders(log: str) -> bool:
    """Read of nextpnr's log whether its router has come no nearer to its end for a while."""
    overused = [int(n) for n in re.findall(r"iter=\d+ wires=\d+ overused=(\d+)", log)]
    if len(overused) <= _PATIENCE or overused[-1] < overused[-1 - _PATIENCE]:
        return False
    return overused[-1] > _FEW or len(overused) > _MOST
