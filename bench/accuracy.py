# SPDX-License-Identifier: Apache-2.0
"""Accuracy on MNIST: every figure of the README that is a mean over seeds, as a Markdown table.

software     the chip against the float32 baseline
ablation     the chip with one effect off at a time
presets      the other named tiles
physical     one epoch on PhysicalTile against one on FixedTile
validation   chip and baseline on held-out training examples: where hyper-parameters were chosen
"""

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from rich.console import Console
from rich.progress import track

from crossforge.experiments import ALL_SWITCHES
from crossforge.run import RunOptions
from crossforge.train import train

CHIP: dict[str, dict] = {"chip": {}}
SOFTWARE = {
    "software": {"preset": "mnist-float"},
    "software with the chip's weight decay": {"preset": "mnist-float-l2"},
}
TABLES: dict[str, dict[str, dict]] = {
    "software": CHIP | SOFTWARE,
    "ablation": CHIP | {f"without {name}": {"without": (name,)} for name in ALL_SWITCHES},
    "presets": {name: {"preset": name} for name in ("mnist-ideal", "mnist-paper", "mnist-2pcm")},
    "physical": {name: {"tile": name, "epochs": 1} for name in ("fixed", "physical")},
    "validation": {k: v | {"validation": 10_000} for k, v in (CHIP | SOFTWARE).items()},
}


def run(job):
    """Train once; return the test accuracy of the last epoch, percent."""
    changes, seed = job
    return train(RunOptions(seed=seed, **changes), None, quiet=True)["test_accuracy"][-1]


def main():
    """Print the table, or with --json one object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1..N (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes; changes no figure (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if args.seeds < 1 or args.workers < 1:
        parser.error("--seeds and --workers must be at least 1")

    rows = TABLES[args.table]
    jobs = [(changes, seed) for changes in rows.values() for seed in range(1, args.seeds + 1)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=spawn) as pool:
        done = list(track(pool.map(run, jobs), args.table, len(jobs), console=Console(stderr=True)))
    by_row = np.array(done).reshape(len(rows), args.seeds)
    if args.json:
        print(json.dumps(dict(zip(rows, by_row.tolist(), strict=True))))
        return
    print(f"| {args.table} | mean, % | standard error | seeds 1..{args.seeds} |")
    print("|---|---|---|---|")
    # one run has no spread of its own
    errors = by_row.std(axis=1, ddof=1) / args.seeds**0.5 if args.seeds > 1 else by_row[:, 0] * 0
    for name, values, error in zip(rows, by_row, errors, strict=True):
        seeds = " ".join(f"{v:.2f}" for v in values)
        print(f"| {name} | {values.mean():.3f} | {error:.3f} | {seeds} |")
    first, *others = rows
    for name, values, error in zip(others, by_row[1:], errors[1:], strict=True):
        gap, of_gap = by_row[0].mean() - values.mean(), np.hypot(errors[0], error)
        print(f"{first} - {name}: {gap:+.3f}, standard error {of_gap:.3f}")


if __name__ == "__main__":
    main()
