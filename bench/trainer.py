# SPDX-License-Identifier: Apache-2.0
"""Speed of the golden trainer, all ratios from one run on one core, processor time throughout.

Compares the numba trainer with the reference machine, with the float32 baseline, and with the
limit of this machine for the same algorithm: every operation that training performs, counted, at
the rate at which its own inner loop runs on data in the first-level cache; multiplications no
faster than their weights can be read. What the limit leaves out: cache misses of everything
else, control flow, and whatever stands between the inner loops.
"""

import argparse
import json
import resource
import time

import numpy as np
from limit import Work, rates, work
from rich.console import Console
from rich.table import Table

from crossforge.data import PAPER_CROP, crop, load
from golden.baseline import FloatClassifier
from golden.config import ChipConfig
from golden.engine import MachineEngine
from golden.schedule import initial_weights
from golden.trainer import AnalogClassifier


def cpu(function, *arguments):
    """Processor seconds of one call."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def measure(epochs: int) -> tuple[dict, list[Work], dict[str, float]]:
    """Train; return the figures, the work of an example, and the rate of each kind of work."""
    data = crop(load(), **PAPER_CROP)
    x, y = data.x_train, data.y_train.astype(np.int64)
    config = ChipConfig(seed=1)
    AnalogClassifier(config, epochs=1).fit(x[:8001], y[:8001])  # compile
    FloatClassifier(epochs=1).fit(x[:10], y[:10])

    states = {}

    def keep(model):
        states.setdefault(len(model.history_), model.state()["arrays"])

    model = AnalogClassifier(config, epochs=epochs).fit(x, y, on_stop=keep)
    examples = epochs * len(x)
    speed = examples / model.cpu_seconds_
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    reference = MachineEngine(config)
    reference.write_weights(initial_weights(config.layers, 1))
    slow = 300 / cpu(reference.train, x, y, np.arange(300))
    baseline = FloatClassifier(seed=1, epochs=epochs).fit(x, y)

    learned = 1 - model.engine_.machine.counters[2] / examples
    done, peak = work(config, states, x, y, learned), rates(model.engine_)
    limit = 1 / sum(w.amount / peak[w.kind] for w in done)
    return (
        {
            "examples_per_cpu_second": round(speed),
            "seconds": round(model.cpu_seconds_, 1),
            "peak_rss_mib": round(rss),
            "over_reference": round(speed / slow, 1),
            "over_float32_baseline": round(speed * baseline.cpu_seconds_ / examples, 2),
            "limit_examples_per_second": round(limit),
            "share_of_limit": round(speed / limit, 3),
        },
        done,
        peak,
    )


def main():
    """Print the tables, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="epochs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {args.epochs}")
    result, done, peak = measure(args.epochs)
    if args.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:28s} {value:>12,}")
    table = Table(title="the limit: work of one example")
    for heading in ("work", "amount", "rate, 1e9/s", "us"):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    for w in done:
        us = w.amount / peak[w.kind] * 1e6
        table.add_row(w.name, f"{w.amount:,.0f}", f"{peak[w.kind] / 1e9:.2f}", f"{us:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
