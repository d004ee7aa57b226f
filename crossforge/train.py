# SPDX-License-Identifier: Apache-2.0
"""Training of one run: progress, checkpoints, metrics, figures."""

import hashlib
import json
import resource
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from golden.baseline import FloatClassifier
from golden.trainer import AnalogClassifier

from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint, write_atomically
from .data import Dataset, load, split_validation
from .experiments import EXPERIMENTS, configure, prepare
from .run import RunOptions, begin, note

__all__ = ["dataset", "train", "without_intervals"]


def without_intervals(metrics: dict) -> dict:
    """Metrics as ``--json`` prints them."""
    return {k: v for k, v in metrics.items() if k != "intervals"}


def dataset(options: RunOptions) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """Load what a run trains on: the data set, and the images and labels of its examples.

    Raises
    ------
    ValueError
        If the data cannot be read, or there are fewer than asked.
    """
    data = prepare(load(None if options.data is None else Path(options.data)))
    if options.validation >= len(data.x_train):
        most = len(data.x_train) - 1
        raise ValueError(f"--validation must be within 0..{most}, not {options.validation}")
    if options.validation:
        data = split_validation(data, options.validation)
    if options.examples is not None and options.examples > len(data.x_train):
        raise ValueError(
            f"--examples must be within 1..{len(data.x_train)}, not {options.examples}"
        )
    return data, data.x_train[: options.examples], data.y_train[: options.examples]


def _progress(total: int, quiet: bool):
    """Progress bar on standard error, or nothing."""
    if quiet or not sys.stderr.isatty():
        return nullcontext(None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _common(options, epochs, count, history, cpu_seconds):
    """Metrics that the chip and the baseline share."""
    examples = count * epochs
    return {
        "preset": options.preset,
        "seed": options.seed,
        "epochs": epochs,
        "examples": count,
        "tile": options.tile,
        "without": list(options.without),
        "validation": options.validation,
        "test_accuracy": [round(h["test_accuracy"], 4) for h in history],
        "train_accuracy": [round(h["train_accuracy"], 4) for h in history],
        "cpu_seconds": round(cpu_seconds, 3),
        "examples_per_cpu_second": round(examples / max(cpu_seconds, 1e-9), 1),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def train(
    options: RunOptions, out: Path | None, *, resume=False, quiet=False, beside=None, name=None
):
    """Run an experiment; return its metrics (see docs/metrics.md).

    Parameters
    ----------
    options : RunOptions
    out : Path or None
        Folder for run.json, checkpoint, metrics.json and figures.
    resume : bool
        Continue from the checkpoint in ``out`` (from the start if the run died before its first).
    quiet : bool
        No progress bar.
    beside : dict of str to list of float, optional
        Test accuracies per epoch of other runs, for metrics and figure: ``baseline_accuracy``,
        ``no_inversion_accuracy``.
    name : str, optional
        What the progress bar calls the run (default: the preset).
    """
    experiment, name = EXPERIMENTS[options.preset], name or options.preset
    data, x, y = dataset(options)
    if experiment.tile is None:
        return _train_float(options, data, x, y, quiet, out, name)
    epochs = options.all_epochs
    config = configure(
        experiment, data, seed=options.seed, without=options.without, tile=options.tile
    )
    model = AnalogClassifier(
        config, epochs=epochs, tile="physical" if options.tile == "physical" else "fixed"
    )
    # what a checkpoint belongs to
    made = {
        "data": _digest(x, y, data.x_test, data.y_test),
        "config": _digest(f"{model.tile} {config!r}"),
    }
    state, checkpoint = None, None
    if out is not None:
        checkpoint = out / "checkpoint"
        if not resume:
            begin(out, options)
        else:
            if checkpoint.exists():
                state = _resumable(out, made, options)
            note(out, options)
    total = epochs * len(x)
    with _progress(total, quiet) as bar:
        task = None if bar is None else bar.add_task(name, total=total)

        def on_stop(model):
            done = int(model.engine_.machine.counters[0])
            if checkpoint is not None:
                save_checkpoint(checkpoint, model.state() | made)
            if bar is not None:
                last = model.history_[-1]["test_accuracy"] if model.history_ else float("nan")
                text = f"{name} (last test accuracy {last:.2f} %)"
                bar.update(task, completed=done, description=text)

        test = data.x_test, data.y_test
        model.fit(x, y, validation=test, state=state, on_stop=on_stop)

    cap = config.tile.cell.capacitor
    metrics = {
        **_common(options, epochs, len(x), model.history_, model.cpu_seconds_),
        "baseline_accuracy": None,
        "no_inversion_accuracy": None,
        **(beside or {}),
        "transfers": int(model.engine_.machine.counters[4]),
        "digest": model.digest(),
        "learning_rate": {
            "rate": config.update.learning_rate,
            "decay": config.update.decay,
            "weight_decay": config.update.weight_decay,
            "delta_max": config.update.delta_max,
        },
        "step": config.step,
        "asymmetry": float(np.hypot(cap.up_spread, cap.down_spread) / 2),
        "layers": list(config.layers),
        "intervals": model.intervals_,
    }
    if out is not None:
        _write(out, metrics)
        from .figures import write_figures  # here: matplotlib takes 40 MiB and half a second

        cells = {name: model.engine_.cells(name) for name in ("v", "g_plus", "g_minus")}
        write_figures(
            out,
            metrics,
            model.engine_.weights(),
            cells,
            data.image_shape,
            unit=config.tile.cell.unit,
        )
    return metrics


def _digest(*parts) -> str:
    """SHA-256 of arrays and texts."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part.encode() if isinstance(part, str) else part.tobytes())
    return sha.hexdigest()


def _resumable(out, made, options):
    """Load the checkpoint of ``out`` if it belongs to this run."""
    state = load_checkpoint(out / "checkpoint")
    if state.get("data") != made["data"]:
        raise CheckpointError(
            f"{out} must be resumed with the data it was begun with: "
            f"{options.data or 'the MNIST that comes along'} has changed"
        )
    if state.get("config") != made["config"]:
        raise CheckpointError(
            f"{out} must be resumed on the chip it was begun on: run.json or the presets have "
            "changed since"
        )
    behind = len(state["history"])
    if behind > options.all_epochs:
        raise ValueError(
            f"--epochs must be at least the {behind} that {out} has behind it, "
            f"not {options.all_epochs}"
        )
    return state


def _train_float(options, data, x, y, quiet, out, name):
    """Train the software baseline; it is quick, and has no checkpoint."""
    if out is not None:
        begin(out, options)
    epochs = options.all_epochs
    layers = (data.x_train.shape[1], 250, 125, max(data.n_classes, 2))
    update = EXPERIMENTS[options.preset].update
    model = FloatClassifier(
        layers,
        epochs=epochs,
        learning_rate=update.learning_rate,
        decay=update.decay,
        weight_decay=update.weight_decay,
        seed=options.seed,
    )
    with _progress(epochs, quiet) as bar:
        task = None if bar is None else bar.add_task(name, total=epochs)
        advance = None if bar is None else (lambda _: bar.advance(task))
        model.fit(x, y, validation=(data.x_test, data.y_test), on_epoch=advance)
    metrics = {
        **_common(options, epochs, len(x), model.history_, model.cpu_seconds_),
        "transfers": 0,
        "digest": model.digest(),
        "layers": list(layers),
    }
    if out is not None:
        _write(out, metrics)
    return metrics


def _write(out: Path, metrics: dict) -> None:
    write_atomically(out / "metrics.json", json.dumps(metrics, indent=1).encode())
