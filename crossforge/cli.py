# SPDX-License-Identifier: Apache-2.0
"""The command ``crossforge``."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from analog_models.presets import TILES

from .diagnose import diagnose, report
from .experiments import ALL_SWITCHES, EXPERIMENTS
from .listing import presets_json, presets_table
from .train import RunOptions, resume_options, train

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(prog="crossforge", description="Analog-memory training chips.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = commands.add_parser("train", help="train a network on the chip", formatter_class=formatter)
    meanings = "; ".join(f"{name}: {e.meaning}" for name, e in EXPERIMENTS.items())
    p.add_argument("--preset", choices=EXPERIMENTS, default="mnist", help=meanings)
    p.add_argument("--epochs", type=int, metavar="N", help="epochs; None: the preset's")
    p.add_argument("--examples", type=int, metavar="N", help="use the first N training examples")
    p.add_argument("--seed", type=int, default=1, metavar="S", help="fixes every random bit")
    p.add_argument("--data", metavar="DIR", help="IDX files or .npz; None: the MNIST inside")
    p.add_argument(
        "--tile",
        choices=("fixed", "physical", "ideal"),
        default="fixed",
        help="tile model: integers, SI units, or integers with every effect off",
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
    p.add_argument("--resume", type=Path, metavar="DIR", help="continue the run in this folder")
    p.add_argument("--json", action="store_true", help="print one JSON object, nothing else")

    p = commands.add_parser("presets", help="list the presets' numbers with units and sources")
    p.add_argument("name", nargs="?", choices=TILES, help="one preset only")
    p.add_argument("--json", action="store_true", help="print one JSON object")

    p = commands.add_parser("diagnose", help="say why a run trains badly")
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _train(args) -> None:
    if args.resume is not None:
        if args.compare:
            raise ValueError("--resume must go without --compare")
        options, out = resume_options(args.resume), args.resume
    else:
        without = tuple(name for name in args.without.split(",") if name)
        names = ("preset", "epochs", "examples", "seed", "data", "tile")
        options = RunOptions(**{n: getattr(args, n) for n in names}, without=without)
        out = args.out
    extra = {}
    if args.compare:
        if options.preset != "mnist" or options.without or options.tile != "fixed":
            raise ValueError("--compare must go with preset mnist and no --tile or --without")
        for name, changes in (
            ("baseline", {"preset": "mnist-float"}),
            ("without polarity inversion", {"without": ("polarity-inversion",)}),
        ):
            other = RunOptions(**{**options.__dict__, **changes})
            folder = None if out is None else out / name.replace(" ", "-")
            extra[name] = train(other, folder, quiet=args.json)
    reference = extra["baseline"]["test_accuracy"] if extra else None
    resume = args.resume is not None
    metrics = train(options, out, resume=resume, quiet=args.json, baseline=reference)
    if args.json:
        slim = {k: v for k, v in metrics.items() if k != "intervals"}
        print(json.dumps({**slim, "compare": extra} if extra else slim))
        return
    table = Table(title=f"{metrics['epochs']} epochs of {metrics['examples']:,} examples")
    for heading in ("run", "test accuracy, %", "examples per CPU second", "CPU seconds"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for name, m in {options.preset: metrics, **extra}.items():
        speed = f"{m['examples_per_cpu_second']:,.0f}"
        table.add_row(name, f"{m['test_accuracy'][-1]:.2f}", speed, f"{m['cpu_seconds']:.1f}")
    console = Console()
    console.print(table)
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
    if "intervals" not in metrics:
        raise ValueError(f"{args.run} is a run in software: there is no chip to diagnose")
    findings = diagnose(metrics)
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
