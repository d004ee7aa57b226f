# SPDX-License-Identifier: Apache-2.0
"""Speed of the golden trainer, all ratios from one run on one core.

Compares the numba trainer with the reference machine, the float32 baseline, and the least time
that this machine needs for the multiplications: MACs of the forward and backward passes at the
rate that the very kernel reaches on data in the first-level cache. Processor time throughout.
"""

import argparse
import json
import resource
import time

import numpy as np
from numba import njit

from crossforge.data import PAPER_CROP, crop, load
from golden.baseline import FloatClassifier
from golden.config import ChipConfig
from golden.kernels import _multiply
from golden.schedule import initial_weights
from golden.trainer import AnalogClassifier, MachineEngine


@njit
def _repeat(w, x, rows, acc, times):
    for _ in range(times):
        _multiply(w, 0, acc.size, x, rows, rows.size, acc)


def cpu(function, *arguments):
    """Processor seconds of one call."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def peak_macs() -> float:
    """MACs per second of the forward kernel on 16 rows of 256 columns (8 KiB of weights)."""
    rng = np.random.default_rng(0)
    w = rng.integers(-9000, 9000, 16 * 256).astype(np.int16)
    x, acc = rng.integers(1, 127, 16).astype(np.int16), np.zeros(256, np.int32)
    _repeat(w, x, np.arange(16), acc, 10)
    times = 100_000
    return 16 * 256 * times / min(cpu(_repeat, w, x, np.arange(16), acc, times) for _ in range(3))


def main():
    """Print the table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="epochs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    data = crop(load(), **PAPER_CROP)
    x, y = data.x_train, data.y_train.astype(np.int64)
    config = ChipConfig(seed=1)
    AnalogClassifier(config, epochs=1).fit(x[:8001], y[:8001])  # compile
    FloatClassifier(epochs=1).fit(x[:10], y[:10])

    model = AnalogClassifier(config, epochs=args.epochs).fit(x, y)
    examples = args.epochs * len(x)
    speed = examples / model.cpu_seconds_
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    reference = MachineEngine(config)
    reference.write_weights(initial_weights(config.layers, 1))
    slow = 300 / cpu(reference.train, x, y, np.arange(300))
    baseline = FloatClassifier(seed=1, epochs=args.epochs).fit(x, y)
    soft = examples / baseline.cpu_seconds_

    # What an example needs: rows that are not zero forward, everything but layer 1 backward.
    learned = 1 - model.engine_.machine.counters[2] / examples
    on = np.count_nonzero(x >> 1) / len(x) + 1
    strides = [-(-n // 16) * 16 for n in config.layers[1:]]
    hidden = [n + 1 for n in config.layers[1:-1]]
    forward = on * strides[0] + sum(a * b for a, b in zip(hidden, strides[1:], strict=True))
    backward = learned * sum(a * b for a, b in zip(hidden, strides[1:], strict=True))
    rate = peak_macs()
    limit = rate / (forward + backward)
    result = {
        "examples_per_cpu_second": round(speed),
        "seconds": round(model.cpu_seconds_, 1),
        "over_reference": round(speed / slow, 1),
        "over_float32_baseline": round(speed / soft, 2),
        "macs_per_example": round(forward + backward),
        "weight_bytes_per_example": round(2 * (forward + backward)),
        "peak_gmacs": round(rate / 1e9, 1),
        "limit_examples_per_second": round(limit),
        "share_of_limit": round(speed / limit, 3),
        "peak_rss_mib": round(rss),
    }
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:28s} {value:>12,}")


if __name__ == "__main__":
    main()
