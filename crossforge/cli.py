# SPDX-License-Identifier: Apache-2.0
"""The command ``crossforge``."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from analog_models.presets import TILES
from cosim.simulators import SIMULATORS, SimulationError
from fpga.boards import BOARDS
from fpga.programs import BuildError
from fpga.verilate import BoardBuildError
from golden.controllers import CONTROLLERS
from rtl.tools import ToolError

from .bitstream import bitstream, figures, load_commands
from .bitstream import report as bitstream_report
from .compare import compare
from .cosim import PRESETS as COSIM_PRESETS
from .cosim import TIMINGS, CosimOptions, cosim, verdict
from .diagnose import diagnose, report
from .emulate import emulate, emulate_table
from .emulate_options import EMULATED, USUAL, EmulateOptions, resumed
from .experiments import ALL_SWITCHES, EXPERIMENTS
from .listing import presets_json, presets_table
from .run import TILES as TILE_MODELS
from .run import RunOptions, asked, read_metrics
from .train import train, without_intervals
from .verilog import CLOCK, files_json, files_table, generate_preset, lint_folder

__all__ = ["main"]


#: What ``--compare`` shows.
_WHY = (
    "Why polarity inversion: the steps up and down of a device differ, so that an interval of "
    "training drags each weight its own way, and without inversion the next one drags on. With "
    "inversion the capacitor counts with the other sign there, and drags the weight back."
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crossforge", description="Analog-memory training chips.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    # options that are not given are left out, so that --resume can tell
    p = commands.add_parser(
        "train", help="train a network on the chip", argument_default=argparse.SUPPRESS
    )
    meanings = "; ".join(f"{name}: {e.meaning}" for name, e in EXPERIMENTS.items())
    p.add_argument("--preset", choices=EXPERIMENTS, help=f"{meanings} (default: mnist)")
    p.add_argument("--epochs", type=int, metavar="N", help="epochs (default: the preset's, 20)")
    p.add_argument(
        "--examples", type=int, metavar="N", help="use the first N training examples (default: all)"
    )
    p.add_argument("--seed", type=int, metavar="S", help="fixes every random bit (default: 1)")
    p.add_argument(
        "--validation",
        type=int,
        metavar="N",
        help="hold out the last N training examples and test on them instead of the test set",
    )
    p.add_argument(
        "--data", metavar="DIR", help="IDX files or .npz (default: the MNIST that comes along)"
    )
    p.add_argument(
        "--tile",
        choices=TILE_MODELS,
        help="tile model: integers, SI units, or integers with every effect off (default: fixed)",
    )
    p.add_argument("--without", metavar="A,B", help=f"turn effects off: {', '.join(ALL_SWITCHES)}")
    p.add_argument(
        "--compare",
        action="store_true",
        help="also train the software baseline and the chip without polarity inversion",
    )
    p.add_argument(
        "--out",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder for metrics, figures, checkpoint",
    )
    p.add_argument(
        "--resume",
        type=Path,
        default=None,
        metavar="DIR",
        help="continue the run in this folder as it was asked for; only --epochs may change",
    )
    p.add_argument(
        "--json", action="store_true", default=False, help="print one JSON object, nothing else"
    )

    p = commands.add_parser(
        "cosim",
        help="train on the gateware's Verilog and compare it with the golden machine",
        argument_default=argparse.SUPPRESS,
    )
    p.add_argument("--preset", choices=COSIM_PRESETS, help="what to train (default: mnist)")
    p.add_argument("--examples", type=int, metavar="N", help="training examples (default: 200)")
    p.add_argument(
        "--interval", type=int, metavar="N", help="examples between transfers (default: preset's)"
    )
    p.add_argument(
        "--tile", choices=("fixed", "physical"), help="model behind the ports (default: fixed)"
    )
    p.add_argument("--seed", type=int, metavar="S", help="fixes every random bit (default: 1)")
    p.add_argument(
        "--lanes", type=int, metavar="N", help="codes in a beat, a power of two (default: 64)"
    )
    p.add_argument(
        "--timing",
        choices=TIMINGS,
        help="nominal: tiles take the time of their converters; short: they answer at once "
        "(default: short)",
    )
    p.add_argument("--simulator", choices=SIMULATORS, help="default: verilator")
    p.add_argument("--waves", type=Path, metavar="FILE", help="record waveforms of all of it")
    p.add_argument(
        "--json", action="store_true", default=False, help="print one JSON object, nothing else"
    )

    p = commands.add_parser("verilog", help="write a controller as Verilog")
    meanings = "; ".join(f"{name}: {c.meaning}" for name, c in CONTROLLERS.items())
    p.add_argument("--preset", default="mnist", help=f"{meanings} (default: %(default)s)")
    p.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="folder (default: build/verilog/PRESET)"
    )
    p.add_argument("--lanes", type=int, metavar="N", help="codes in a beat (default: the preset's)")
    p.add_argument(
        "--clock", type=float, default=CLOCK, metavar="HZ", help="default: %(default).0f"
    )
    p.add_argument("--check", action="store_true", help="lint it with Verilator, yosys and slang")
    p.add_argument("--json", action="store_true", help="print one JSON object")

    p = commands.add_parser(
        "bitstream", help="make the bitstream that emulates a chip on an FPGA board"
    )
    meanings = "; ".join(f"{name}: {b.meaning}" for name, b in BOARDS.items())
    p.add_argument("--board", required=True, help=meanings)
    defaults = ", ".join(f"{b.preset} on {name}" for name, b in BOARDS.items())
    p.add_argument("--preset", help=f"as for verilog (default: {defaults})")
    p.add_argument("--lanes", type=int, metavar="N", help="codes in a beat (default: the preset's)")
    p.add_argument("--clock", type=int, metavar="MHZ", help="design clock (default: the board's)")
    p.add_argument(
        "--seed",
        type=int,
        metavar="S",
        help="of place and route: another one gives another clock (default: the board's)",
    )
    p.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="folder (default: build/fpga/BOARD-PRESET)"
    )
    p.add_argument("--json", action="store_true", help="print one JSON object, nothing else")

    p = commands.add_parser(
        "emulate",
        help="train on gateware with tiles in logic, on an FPGA board or a virtual one",
        argument_default=argparse.SUPPRESS,
    )
    p.add_argument(
        "--board",
        metavar="NAME",
        help="virtual: the complete design, simulated, behind a pseudo-terminal; virtual-fast: "
        "simulated, without the serial link; virtual-folded: as on the iCEBreaker; or a serial "
        "port such as /dev/ttyUSB0 (default: virtual-fast)",
    )
    p.add_argument(
        "--preset",
        help=f"one of {', '.join(EMULATED)}, as for verilog (default: small, folded: micro)",
    )
    p.add_argument(
        "--lanes",
        type=int,
        metavar="N",
        help="codes in a beat, as the bitstream was made with (default: the preset's)",
    )
    p.add_argument(
        "--examples", type=int, metavar="N", help="training examples of an epoch (default: 20000)"
    )
    p.add_argument("--epochs", type=int, metavar="N", help="default: 1")
    p.add_argument(
        "--test", type=int, metavar="N", help="images to test with at the end (default: 10000)"
    )
    p.add_argument(
        "--interval", type=int, metavar="N", help="examples between transfers (default: preset's)"
    )
    p.add_argument("--seed", type=int, metavar="S", help="fixes every random bit (default: 1)")
    p.add_argument(
        "--baud",
        type=int,
        metavar="BD",
        help="of the port, or that speeds are told for (default: 3000000; 9600 for the iCEBreaker)",
    )
    p.add_argument(
        "--clock", type=int, metavar="MHZ", help="clock that speeds are told for (default: 40)"
    )
    p.add_argument(
        "--check",
        action="store_true",
        help="compare with the golden trainer at every transfer, not only at the end",
    )
    p.add_argument(
        "--out", type=Path, default=None, metavar="DIR", help="folder for checkpoint and figures"
    )
    p.add_argument(
        "--resume", type=Path, default=None, metavar="DIR", help="continue what is in this folder"
    )
    p.add_argument(
        "--json", action="store_true", default=False, help="print one JSON object, nothing else"
    )

    p = commands.add_parser("presets", help="list the presets' numbers with units and sources")
    p.add_argument("name", nargs="?", choices=TILES, help="one preset only")
    p.add_argument("--json", action="store_true", help="print one JSON object")

    p = commands.add_parser("diagnose", help="say why a run trains badly")
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _options(args) -> RunOptions:
    """Read what a run is asked to do; with ``--resume``, what it was asked to do."""
    given = {k: v for k, v in vars(args).items() if k not in ("command", "resume", "json", "out")}
    if "without" in given:
        given["without"] = tuple(name for name in given["without"].split(",") if name)
    if args.resume is None:
        return RunOptions(**given)
    for name in (*given, *(("out",) if args.out is not None else ())):
        if name != "epochs":
            raise ValueError(
                f"--{name} must not go with --resume: {args.resume / 'run.json'} says what to do"
            )
    return replace(asked(args.resume), **given)


def _train(args) -> None:
    options, out = _options(args), args.out if args.resume is None else args.resume
    run = compare if options.compare else train
    metrics = run(options, out, resume=args.resume is not None, quiet=args.json)
    extra = metrics.get("compare", {})
    if args.json:
        print(json.dumps(without_intervals(metrics)))
        return
    table = Table(title=f"{metrics['epochs']} epochs of {metrics['examples']:,} examples")
    what = "accuracy on held-out examples, %" if options.validation else "test accuracy, %"
    for heading in ("run", what, "examples per CPU second", "CPU seconds"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for name, m in {options.preset: metrics, **extra}.items():
        speed = f"{m['examples_per_cpu_second']:,.0f}"
        table.add_row(name, f"{m['test_accuracy'][-1]:.2f}", speed, f"{m['cpu_seconds']:.1f}")
    console = Console()
    console.print(table)
    if extra:
        console.print(_WHY)
    if out is not None:
        console.print(f"Figures and metrics are in {out}")


def _cosim(args) -> None:
    given = {k: v for k, v in vars(args).items() if k not in ("command", "json")}
    figures = cosim(CosimOptions(**given), quiet=args.json)
    if args.json:
        print(json.dumps(figures))
    else:
        Console().print(verdict(figures))
    if figures["mismatches"]:
        raise SystemExit(1)


def _emulate(args) -> None:
    kept = ("command", "json", "out", "resume")
    given = {k: v for k, v in vars(args).items() if k not in kept}
    out = args.out
    if args.resume is None:
        options = EmulateOptions(**USUAL.get(given.get("board", ""), {}) | given)
    else:
        if out is not None:
            raise ValueError("--out must not go with --resume, which names the folder")
        options, out = resumed(args.resume, given), args.resume
    found = emulate(options, out, resume=args.resume is not None, quiet=args.json)
    if args.json:
        print(json.dumps(found))
    else:
        Console().print(emulate_table(found))
    if found["mismatches"]:
        raise SystemExit(1)


def _verilog(args) -> None:
    written = generate_preset(args.preset, args.out, lanes=args.lanes, clock=args.clock)
    findings = lint_folder(written[0].path.parent) if args.check else []
    if args.json:
        figures = files_json(written)
        print(json.dumps(figures | {"findings": findings} if args.check else figures))
    else:
        Console().print(files_table(written))
        for finding in findings:
            print(finding)
        if args.check and not findings:
            print("Verilator, yosys and slang find nothing.")
    if findings:
        raise SystemExit(1)


def _bitstream(args) -> None:
    built = bitstream(
        args.board,
        args.preset,
        args.out,
        lanes=args.lanes,
        clock=args.clock,
        seed=args.seed,
        quiet=args.json,
    )
    if args.json:
        print(json.dumps(figures(built)))
        return
    console = Console()
    console.print(bitstream_report(built))
    first, *others = load_commands(built)
    # not wrapped: they are there to be copied
    console.print(f"Load it into the board: {first}", soft_wrap=True, highlight=False)
    for other in others:
        console.print(f"                    or: {other}", soft_wrap=True, highlight=False)


def _presets(args) -> None:
    tiles = {args.name: TILES[args.name]} if args.name else TILES
    if args.json:
        print(json.dumps(presets_json(tiles)))
    else:
        Console().print(presets_table(tiles))


def _diagnose(args) -> None:
    path, metrics = args.run / "metrics.json", read_metrics(args.run)
    try:
        if "intervals" not in metrics and metrics["transfers"] == 0:
            raise ValueError(f"{args.run} is a run in software: there is no chip to diagnose")
        findings = diagnose(metrics)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path} must be as docs/metrics.md says, but {error!r}") from None
    if args.json:
        print(json.dumps({"findings": [f.__dict__ for f in findings]}))
    else:
        Console().print(report(findings))


def main(argv=None) -> None:
    """Run the command; a refusal is one sentence and exit code 2."""
    args = _parser().parse_args(argv)
    try:
        {
            "train": _train,
            "cosim": _cosim,
            "presets": _presets,
            "emulate": _emulate,
            "bitstream": _bitstream,
            "diagnose": _diagnose,
            "verilog": _verilog,
        }[args.command](args)
    except (ValueError, OSError, BoardBuildError, BuildError, ToolError, SimulationError) as error:
        print(f"crossforge: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        kept = getattr(args, "out", None) or getattr(args, "resume", None)
        noted = {"train": "run.json", "emulate": "emulate.json"}.get(args.command)
        resumable = kept and noted and (kept / noted).exists()
        hint = f"; crossforge {args.command} --resume {kept} goes on" if resumable else ""
        print(f"crossforge: interrupted{hint}", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
