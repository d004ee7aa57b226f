# SPDX-License-Identifier: Apache-2.0
"""The claim of the paper in one command: the chip, beside software and without inversion."""

import json
from dataclasses import replace
from pathlib import Path

from .train import RunOptions, begin, train, without_intervals

__all__ = ["compare"]

#: What else is trained, and in which way it differs.
_OTHERS: dict[str, dict] = {
    "baseline": {"preset": "mnist-float"},
    "without polarity inversion": {"without": ("polarity-inversion",)},
}


def compare(options: RunOptions, out: Path | None, *, resume=False, quiet=False) -> dict:
    """Train the software baseline and the chip without polarity inversion, then the chip.

    Each of the first two has a folder in ``out``. Resuming takes what is finished from there.

    Returns
    -------
    dict
        Metrics of the chip; ``compare`` holds those of the other two by name.
    """
    if options.preset != "mnist" or options.without or options.tile != "fixed":
        raise ValueError("--compare must go with preset mnist and no --tile or --without")
    if out is not None and not resume:
        begin(out, options)
    others = {}
    for name, changes in _OTHERS.items():
        folder = None if out is None else out / name.replace(" ", "-")
        other = replace(options, compare=False, **changes)
        others[name] = _train_or_take(other, folder, resume=resume, quiet=quiet, name=name)
    beside = {
        "baseline_accuracy": others["baseline"]["test_accuracy"],
        "no_inversion_accuracy": others["without polarity inversion"]["test_accuracy"],
    }
    metrics = train(options, out, resume=resume, quiet=quiet, beside=beside)
    return metrics | {"compare": {name: without_intervals(m) for name, m in others.items()}}


def _train_or_take(options, folder, *, resume, quiet, name):
    """Train a run; when resuming, go on with it, or take its metrics if it is finished."""
    begun = resume and folder is not None and (folder / "run.json").exists()
    if begun and (folder / "metrics.json").exists():
        metrics = json.loads((folder / "metrics.json").read_text())
        if metrics["epochs"] == options.epochs or options.epochs is None:
            return metrics
    return train(options, folder, resume=begun, quiet=quiet, name=name)
