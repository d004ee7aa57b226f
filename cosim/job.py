# SPDX-License-Identifier: Apache-2.0
"""What a co-simulation is asked for, and what it found."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from golden.config import ChipConfig
from golden.hardware import ControllerConfig

from .timing import SHORT, Timing

__all__ = ["JOB", "STEPS_PER_CYCLE", "Job", "Report", "Run"]

#: Environment variable that names the file with the job.
JOB = "CROSSFORGE_COSIM_JOB"
#: Steps of simulated time in a clock cycle.
STEPS_PER_CYCLE = 2


@dataclass(frozen=True, kw_only=True)
class Run:
    """Training of one network, from initial weights on.

    Parameters
    ----------
    chip : ChipConfig
    pixels : ndarray of uint8, shape (n, inputs)
    labels : ndarray of int, shape (n,)
    tile : {"fixed", "physical"}
        Model behind the ports, and in the golden machine.
    timing : Timing
        How long the tiles take.
    initial : bool
        Program initial weights first; otherwise cells are as made.
    inject : int or None
        Change one result of this operation, counted over all tiles: shows that a difference is
        found.
    """

    chip: ChipConfig
    pixels: np.ndarray
    labels: np.ndarray
    tile: str = "fixed"
    timing: Timing = SHORT
    initial: bool = True
    inject: int | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """Runs on one build of a controller, one after another.

    Parameters
    ----------
    hw : ControllerConfig
    runs : tuple of Run
    folder : Path
        Where progress and reports go.
    """

    hw: ControllerConfig
    runs: tuple[Run, ...]
    folder: Path

    def save(self) -> Path:
        """Write the job to its folder; return the file."""
        path = self.folder / "job.pickle"
        path.write_bytes(pickle.dumps(self))
        return path


@dataclass(kw_only=True)
class Report:
    """What one run found.

    Parameters
    ----------
    examples, transfers, mismatches : int
    mismatch : str
        The first difference, in words.
    operations : int
        Tile operations that were compared, with every code in them.
    digest_rtl, digest_golden : str
        SHA-256 of all tiles, lanes and counters.
    time : int
        Steps of simulated time at the first difference, or else at the end.
    cycles : dict of str to int
        Clock cycles while the program ran, by instruction.
    seconds : dict of str to float
        Time of the simulator's process: ``rtl`` (the simulation, and cocotb within), ``exchange``
        (moving words between the two), ``model`` (the tiles), ``golden`` (the golden machine and
        the comparison); ``write`` is all of it while initial weights were written, not in the
        others.
    """

    examples: int = 0
    transfers: int = 0
    mismatches: int = 0
    mismatch: str = ""
    operations: int = 0
    digest_rtl: str = ""
    digest_golden: str = ""
    time: int = 0
    cycles: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
