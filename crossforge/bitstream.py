# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Makes the bitstream that emulates a chip on a board."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from analog_models.config import check
from fpga.bitstream import Built, build
from fpga.board_top import BoardTop
from fpga.boards import BOARDS, Board
from fpga.capacity import Need, cells_part, refuse_if_too_large
from fpga.emulator import layouts
from fpga.folded.fold import fold_chip
from fpga.folded.image import IMAGE_ADDRESS, image
from fpga.folded.isa import MEMORY_WORDS, PROGRAM_WORDS, WORDS
from fpga.folded.top import FOLDED_BAUD, FoldedTop, check_speed
from fpga.top import Top
from golden.controllers import CONTROLLERS

from .checkpoint import write_atomically

__all__ = ["bitstream", "figures", "load_commands", "report", "top_of"]

#: Rate of the serial port of a chip that is not folded, Bd: fast, for any host.
_BAUD = 3_000_000


def top_of(preset: str, board: Board, lanes: int | None = None, clock: int | None = None):
    """Return the emulated chip of a preset, after a check that it fits into the board.

    It has members ``rx``, ``tx`` and ``busy``, see :class:`fpga.board_top.BoardTop`.

    Parameters
    ----------
    preset : str
        One of :data:`golden.controllers.CONTROLLERS`.
    board : Board
    lanes : int, optional
        Instead of the preset's.
    clock : int, MHz, optional
        Clock of the design.

    Raises
    ------
    ValueError
        If it cannot fit.
    """
    controller = CONTROLLERS[preset]
    chip, hw = controller.chip, controller.hardware(lanes)
    need = Need("-".join(map(str, chip.layers)), (cells_part(layouts(chip, hw)),))
    refuse_if_too_large(need, board, "choose another --preset or a larger board")
    megahertz = board.check_clock(clock)
    return Top(chip, hw, megahertz * 1_000_000, _BAUD)


def bitstream(
    board: str,
    preset: str | None = None,
    folder=None,
    *,
    lanes: int | None = None,
    clock: int | None = None,
    seed: int | None = None,
    quiet: bool = False,
) -> Built:
    """Make the bitstream of a preset on a board; shows what it is doing on standard error.

    Parameters
    ----------
    board : str
        One of :data:`fpga.boards.BOARDS`.
    preset : str, optional
        One of :data:`golden.controllers.CONTROLLERS`; the board's unless given.
    folder : path-like, optional
        ``build/fpga/<board>-<preset>`` unless told otherwise.
    lanes : int, optional
        Instead of the preset's.
    clock : int, MHz, optional
        Instead of the board's default.
    seed : int, optional
        See :func:`fpga.bitstream.build`.
    quiet : bool
        Show nothing.

    Raises
    ------
    ValueError
        If there is no such board, preset or clock, or if the design cannot fit.
    BuildError
        See :func:`fpga.bitstream.build`.
    """
    check(board in BOARDS, "board", f"one of {', '.join(BOARDS)}", board)
    preset = BOARDS[board].preset if preset is None else preset
    check(preset in CONTROLLERS, "preset", f"one of {', '.join(CONTROLLERS)}", preset)
    chosen = BOARDS[board]
    clock = chosen.check_clock(clock)
    seed = chosen.check_seed(seed)
    folder = Path("build", "fpga", f"{board}-{preset}") if folder is None else Path(folder)
    if chosen.folded:
        design = FoldedTop(clock * 1_000_000, FOLDED_BAUD)
    else:
        design = top_of(preset, chosen, lanes, clock)
    seconds, program = 0.0, None
    with _Phases(quiet) as phases:
        if chosen.folded:
            phases.begin("fold")
            begin = time.perf_counter()
            controller = CONTROLLERS[preset]
            program = fold_chip(controller.chip, controller.hardware(lanes), folder / "fold")
            check_speed(clock * 1_000_000, FOLDED_BAUD, len(program.instructions))
            seconds = time.perf_counter() - begin
        top = BoardTop(design, chosen, clock)
        built = build(chosen, top, folder, clock=clock, seed=seed, progress=phases.begin)
    if program is None:
        return built
    bits = built.bitstream.read_bytes()
    write_atomically(built.bitstream, bits.ljust(IMAGE_ADDRESS, b"\xff") + image(program))
    return replace(
        built,
        phases={"fold": seconds, **built.phases},
        folded={
            "instructions": len(program.instructions),
            "words": len(program.words),
            "memory_words": len(program.memory),
            "design_khz": round(1000 * clock / len(program.instructions), 3),
        },
    )


class _Phases:
    """Says on standard error which phase runs, for how long, and how long each took."""

    def __init__(self, quiet):
        console = Console(stderr=True, quiet=quiet)
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        self.progress = Progress(*columns, console=console, transient=True)
        self.task, self.began = None, 0.0

    def __enter__(self):
        self.progress.__enter__()
        return self

    def begin(self, phase: str) -> None:
        """End the phase that runs, if one does; the next one begins."""
        self._end()
        self.task, self.began = self.progress.add_task(phase, total=None), time.perf_counter()

    def _end(self):
        if self.task is not None:
            took = time.perf_counter() - self.began
            name = self.progress.tasks[-1].description
            self.progress.console.print(f"{name}: {took:.0f} s", highlight=False)
            self.progress.remove_task(self.task)
            self.task = None

    def __exit__(self, kind, *rest):
        if kind is None:
            self._end()
        return self.progress.__exit__(kind, *rest)


def figures(built: Built) -> dict:
    """Return what ``--json`` prints."""
    report = asdict(built.report)
    return {
        "board": built.board,
        "bitstream": str(built.bitstream),
        "clock_mhz": built.clock_mhz,
        "fmax_mhz": round(built.fmax_mhz, 2),
        **{name: report[name] for name in ("luts", "flip_flops", "brams", "single_port_rams")},
        "dsps": report["dsps"],
        **built.folded,
        "seconds": round(built.seconds, 1),
        "phases": {name: round(seconds, 1) for name, seconds in built.phases.items()},
        "memory_mib": round(built.memory_mib),
        "load": load_commands(built),
    }


def load_commands(built: Built) -> list[str]:
    """Commands that load a bitstream into its board, the usual one first."""
    return [loader.format(file=built.bitstream) for loader in BOARDS[built.board].loaders]


def report(built: Built) -> Table:
    """Show what a bitstream takes of its board."""
    board, used = BOARDS[built.board], built.report
    table = Table(title=f"{built.bitstream}")
    table.add_column("")
    for heading in ("used", "of", "%"):
        table.add_column(heading, justify="right")
    rows = [
        ("LUTs" if board.family == "ecp5" else "logic cells", used.luts, board.luts),
        ("flip-flops", used.flip_flops, board.luts),
        ("block RAMs", used.brams, board.block_rams),
        ("single-port RAMs", used.single_port_rams, board.single_port_rams),
        ("multipliers", used.dsps, board.dsps),
    ]
    if built.folded:
        sizes = (PROGRAM_WORDS, WORDS, MEMORY_WORDS)
        for name, there in zip(("instructions", "words", "memory_words"), sizes, strict=True):
            rows.append((name.replace("_", " "), int(built.folded[name]), there))
    for name, n, there in rows:
        if there:
            table.add_row(name, f"{n:,}", f"{there:,}", f"{100 * n / there:.0f}")
    spare = f"{100 * (built.fmax_mhz / built.clock_mhz - 1):+.0f} to spare"
    table.add_row("clock, MHz", f"{built.clock_mhz:.0f}", f"{built.fmax_mhz:.1f}", spare)
    if built.folded:
        table.add_row("cycles of the chip, kHz", f"{built.folded['design_khz']:.2f}")
    return table
