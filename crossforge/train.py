# SPDX-License-Identifier: Apache-2.0
"""One training run: its folder, its metrics, its resumption."""

import hashlib
import json
import resource
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from golden.baseline import FloatClassifier
from golden.trainer import AnalogClassifier

from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint, write_atomically
from .data import Dataset, load, split_validation
from .experiments import EXPERIMENTS, configure, prepare

__all__ = ["RunOptions", "begin", "resume_options", "train", "without_intervals"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run was asked to do; kept in its folder as ``run.json``.

    Parameters
    ----------
    preset : str
    epochs : int or None
        None takes the preset's.
    examples : int or None
        Train on the first N training examples only.
    seed : int
    validation : int
        Hold out the last N training examples and test on them instead of the test set.
    data : str or None
        Folder or .npz file; None is the MNIST that ships with the package.
    tile : {"fixed", "physical", "ideal"}
    without : tuple of str
    compare : bool
        Also train the software baseline and the chip without polarity inversion.
    """

    preset: str = "mnist"
    epochs: int | None = None
    examples: int | None = None
    seed: int = 1
    validation: int = 0
    data: str | None = None
    tile: str = "fixed"
    without: tuple[str, ...] = field(default=())
    compare: bool = False


def resume_options(folder: Path) -> RunOptions:
    """Read the options of an interrupted run."""
    path = folder / "run.json"
    try:
        options = json.loads(path.read_text())
        return RunOptions(**{**options, "without": tuple(options["without"])})
    except FileNotFoundError:
        raise CheckpointError(f"{folder} must hold a run to resume, but has no run.json") from None
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def without_intervals(metrics: dict) -> dict:
    """Metrics as ``--json`` prints them."""
    return {k: v for k, v in metrics.items() if k != "intervals"}


def _dataset(options: RunOptions) -> Dataset:
    data = prepare(load(None if options.data is None else Path(options.data)))
    if options.validation == 0:
        return data
    if not 1 <= options.validation < len(data.x_train):
        raise ValueError(
            f"--validation must be within 0..{len(data.x_train) - 1}, not {options.validation}"
        )
    return split_validation(data, options.validation)


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
    data = _dataset(options)
    if options.examples is not None and not 1 <= options.examples <= len(data.x_train):
        raise ValueError(
            f"--examples must be within 1..{len(data.x_train)}, not {options.examples}"
        )
    epochs = experiment.epochs if options.epochs is None else options.epochs
    if epochs < 1:
        raise ValueError(f"--epochs must be at least 1, not {epochs}")
    x, y = data.x_train[: options.examples], data.y_train[: options.examples]
    validation = data.x_test, data.y_test
    if experiment.tile is None:
        return _train_float(options, data, x, y, validation, epochs, quiet, out, name)

    config = configure(
        experiment, data, seed=options.seed, without=options.without, tile=options.tile
    )
    state, checkpoint, digest = None, None, _digest(x, y)
    if out is not None:
        checkpoint = out / "checkpoint"
        if not resume:
            begin(out, options)
        elif checkpoint.exists():
            state = load_checkpoint(checkpoint)
            if state.get("data") != digest:
                raise CheckpointError(
                    f"{out} must be resumed with the examples it was trained on: "
                    f"{options.data or 'the MNIST that comes along'} has changed"
                )
            if len(state["history"]) > epochs:
                raise ValueError(
                    f"--epochs must be at least the {len(state['history'])} that {out} has "
                    f"behind it, not {epochs}"
                )
    model = AnalogClassifier(
        config, epochs=epochs, tile="physical" if options.tile == "physical" else "fixed"
    )
    total = epochs * len(x)
    with _progress(total, quiet) as bar:
        task = None if bar is None else bar.add_task(name, total=total)

        def on_stop(model):
            done = int(model.engine_.machine.counters[0])
            if checkpoint is not None:
                save_checkpoint(checkpoint, model.state() | {"data": digest})
            if bar is not None:
                last = model.history_[-1]["test_accuracy"] if model.history_ else float("nan")
                text = f"{name} (last test accuracy {last:.2f} %)"
                bar.update(task, completed=done, description=text)

        try:
            model.fit(x, y, validation=validation, state=state, on_stop=on_stop)
        except KeyError as error:
            raise CheckpointError(f"{checkpoint} belongs to another kind of run: {error}") from None

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


def _digest(x, y) -> str:
    """SHA-256 of the training examples."""
    sha = hashlib.sha256(x.tobytes())
    sha.update(y.tobytes())
    return sha.hexdigest()


def _train_float(options, data, x, y, validation, epochs, quiet, out, name):
    if options.tile != "fixed" or options.without:
        raise ValueError("a preset in software takes no --tile and no --without")
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
        model.fit(x, y, validation=validation, on_epoch=advance)
    metrics = {
        **_common(options, epochs, len(x), model.history_, model.cpu_seconds_),
        "transfers": 0,
        "digest": model.digest(),
        "layers": list(layers),
    }
    if out is not None:
        begin(out, options)
        _write(out, metrics)
    return metrics


def begin(out: Path, options: RunOptions) -> None:
    """Make the folder of a run and note what was asked; results of an earlier run go."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("checkpoint", "metrics.json"):
        (out / name).unlink(missing_ok=True)
    write_atomically(out / "run.json", json.dumps(asdict(options)).encode())


def _write(out: Path, metrics: dict) -> None:
    write_atomically(out / "metrics.json", json.dumps(metrics, indent=1).encode())
