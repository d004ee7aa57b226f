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

from .compare import compare
from .diagnose import diagnose, report
from .experiments import ALL_SWITCHES, EXPERIMENTS
from .listing import presets_json, presets_table
from .train import RunOptions, resume_options, train, without_intervals

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

    p = commands.add_parser("train", help="train a network on the chip")
    meanings = "; ".join(f"{name}: {e.meaning}" for name, e in EXPERIMENTS.items())
    p.add_argument(
        "--preset", choices=EXPERIMENTS, default="mnist", help=f"{meanings} (default: %(default)s)"
    )
    p.add_argument("--epochs", type=int, metavar="N", help="epochs (default: the preset's, 20)")
    p.add_argument(
        "--examples", type=int, metavar="N", help="use the first N training examples (default: all)"
    )
    p.add_argument(
        "--seed", type=int, default=1, metavar="S", help="fixes every random bit (default: 1)"
    )
    p.add_argument(
        "--validation",
        type=int,
        default=0,
        metavar="N",
        help="hold out the last N training examples and test on them instead of the test set",
    )
    p.add_argument(
        "--data", metavar="DIR", help="IDX files or .npz (default: the MNIST that comes along)"
    )
    p.add_argument(
        "--tile",
        choices=("fixed", "physical", "ideal"),
        default="fixed",
        help="tile model: integers, SI units, or integers with every effect off "
        "(default: %(default)s)",
    )
    p.add_argument(
        "--without", default="", metavar="A,B", help=f"turn effects off: {', '.join(ALL_SWITCHES)}"
    )
    p.add_argument(
        "--compare",
        action="store_true",
        help="also train the software baseline and the chip without polarity inversion",
    )
    p.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for metrics, figures, checkpoint"
    )
    p.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="continue the run in this folder as it was asked for; only --epochs may change",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object, nothing else")

    p = commands.add_parser("presets", help="list the presets' numbers with units and sources")
    p.add_argument("name", nargs="?", choices=TILES, help="one preset only")
    p.add_argument("--json", action="store_true", help="print one JSON object")

    p = commands.add_parser("diagnose", help="say why a run trains badly")
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _options(args) -> RunOptions:
    """Read what a run is asked to do; with ``--resume``, what it was asked to do."""
    names = ("preset", "epochs", "examples", "seed", "validation", "data", "tile", "compare")
    given = {n: getattr(args, n) for n in names}
    given["without"] = tuple(name for name in args.without.split(",") if name)
    if args.resume is None:
        return RunOptions(**given)
    for name, value in {**given, "out": args.out}.items():
        if name != "epochs" and value != getattr(RunOptions(), name, None):
            raise ValueError(
                f"--{name} must not go with --resume: {args.resume / 'run.json'} says what to do"
            )
    options = resume_options(args.resume)
    return options if args.epochs is None else replace(options, epochs=args.epochs)


def _train(args) -> None:
    options, out = _options(args), args.out if args.resume is None else args.resume
    run = compare if options.compare else train
    metrics = run(options, out, resume=args.resume is not None, quiet=args.json)
    extra = metrics.get("compare", {})
    if args.json:
        print(json.dumps(without_intervals(metrics)))
        return
    table = Table(title=f"{metrics['epochs']} epochs of {metrics['examples']:,} examples")
    for heading in ("run", "test accuracy, %", "examples per CPU second", "CPU seconds"):
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


def _presets(args) -> None:
    tiles = {args.name: TILES[args.name]} if args.name else TILES
    if args.json:
        print(json.dumps(presets_json(tiles)))
    else:
        Console().print(presets_table(tiles))


def _diagnose(args) -> None:
    path = args.run / "metrics.json"
    try:
        metrics = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(
            f"{args.run} must be the folder of a finished run: no metrics.json"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
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
        {"train": _train, "presets": _presets, "diagnose": _diagnose}[args.command](args)
    except (ValueError, OSError) as error:
        print(f"crossforge: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("crossforge: interrupted; --resume continues the run", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
