# SPDX-License-Identifier: Apache-2.0
"""A run: what was asked, and the folder that keeps it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from analog_models.config import check

from .checkpoint import CheckpointError, make_folder, write_atomically
from .experiments import ALL_SWITCHES, EXPERIMENTS

__all__ = ["FIGURES", "RunOptions", "asked", "begin", "note", "read_metrics"]

TILES = ("fixed", "physical", "ideal")
#: Pictures of a run, without their ending.
FIGURES = ("accuracy", "capacitors", "transfer", "conductances", "weights")


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

    Raises
    ------
    ValueError
        If an option is no such thing, or two do not go together; named as on the command line.
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

    def __post_init__(self):
        for name, choices in (("preset", tuple(EXPERIMENTS)), ("tile", TILES)):
            value = getattr(self, name)
            check(value in choices, f"--{name}", f"one of {', '.join(choices)}", value)
        for name in self.without:
            check(name in ALL_SWITCHES, "--without", f"one of {', '.join(ALL_SWITCHES)}", name)
        for name, least in (("epochs", 1), ("examples", 1), ("seed", 0), ("validation", 0)):
            value = getattr(self, name)
            if value is None and name in ("epochs", "examples"):
                continue
            whole = isinstance(value, int) and not isinstance(value, bool)
            check(whole and value >= least, f"--{name}", f"at least {least}", value)
        check(self.seed < 2**63, "--seed", "below 2**63", self.seed)
        check(self.data is None or isinstance(self.data, str), "--data", "a path", self.data)
        if EXPERIMENTS[self.preset].tile is None and (self.tile != "fixed" or self.without):
            raise ValueError(f"--preset {self.preset} is software: it takes no --tile or --without")
        if self.compare and (self.preset != "mnist" or self.tile != "fixed" or self.without):
            raise ValueError("--compare must go with preset mnist and no --tile or --without")

    @property
    def all_epochs(self) -> int:
        """Epochs to train, the preset's if none were asked."""
        return EXPERIMENTS[self.preset].epochs if self.epochs is None else self.epochs


def note(folder: Path, options: RunOptions) -> None:
    """Write down what is asked."""
    write_atomically(folder / "run.json", json.dumps(asdict(options)).encode())


def begin(folder: Path, options: RunOptions) -> None:
    """Make the folder of a run and note what is asked; results of an earlier run go."""
    make_folder(folder)
    for name in ("checkpoint", "metrics.json", *(f"{figure}.png" for figure in FIGURES)):
        (folder / name).unlink(missing_ok=True)
    note(folder, options)


def asked(folder: Path) -> RunOptions:
    """Read the options of a run that was begun.

    Raises
    ------
    CheckpointError
        If there is no such run, or its ``run.json`` says what nobody can ask for.
    """
    path = folder / "run.json"
    try:
        options = json.loads(path.read_text())
        return RunOptions(**{**options, "without": tuple(options["without"])})
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{folder} must hold a run to resume, but has no run.json") from None
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def read_metrics(folder: Path) -> dict:
    """Read the metrics of a finished run.

    Raises
    ------
    ValueError
        If there are none, or the file holds something else.
    """
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(
            f"{folder} must be the folder of a finished run: no metrics.json"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if not isinstance(metrics, dict) or not {"preset", "epochs", "test_accuracy"} <= metrics.keys():
        raise ValueError(
            f"{path} must be as docs/metrics.md says, but lacks preset, epochs or more"
        )
    return metrics
