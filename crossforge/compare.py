# SPDX-License-Identifier: Apache-2.0
"""The claim of the paper in one command: the chip, beside software and without inversion."""

from dataclasses import replace
from pathlib import Path

from .run import RunOptions, asked, begin, read_metrics
from .train import dataset, train, without_intervals

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
    jobs = {name: replace(options, compare=False, **_OTHERS[name]) for name in _OTHERS}
    dataset(options)  # what cannot be trained on is refused before anything is lost
    if out is not None and not resume:
        begin(out, options)
        for name, other in jobs.items():
            begin(_folder(out, name), other)
    others = {
        name: _train_or_take(other, None if out is None else _folder(out, name), quiet, name)
        for name, other in jobs.items()
    }
    beside = {
        "baseline_accuracy": others["baseline"]["test_accuracy"],
        "no_inversion_accuracy": others["without polarity inversion"]["test_accuracy"],
    }
    metrics = train(options, out, resume=resume, quiet=quiet, beside=beside)
    return metrics | {"compare": {name: without_intervals(m) for name, m in others.items()}}


def _folder(out: Path, name: str) -> Path:
    return out / name.replace(" ", "-")


def _train_or_take(options, folder, quiet, name):
    """Take the metrics of a run if it is finished; else go on with it, or begin it."""
    begun = folder is not None and (folder / "run.json").exists()
    begun = begun and replace(asked(folder), epochs=None) == replace(options, epochs=None)
    if begun and (folder / "metrics.json").exists():
        metrics = read_metrics(folder)
        if metrics["epochs"] == options.all_epochs:
            return metrics
    return train(options, folder, resume=begun, quiet=quiet, name=name)
