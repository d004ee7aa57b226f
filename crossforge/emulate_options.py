# SPDX-License-Identifier: Apache-2.0
"""What an emulation is asked for, and what it trains on."""

import json
from dataclasses import dataclass
from pathlib import Path

from analog_models.config import check
from golden.config import ChipConfig, TransferConfig
from golden.controllers import CONTROLLERS
from golden.hardware import ControllerConfig

from .checkpoint import CheckpointError
from .data import PAPER_CROP, Dataset, crop, load, pool
from .emulate_boards import VIRTUAL

__all__ = ["EMULATED", "USUAL", "EmulateOptions", "images", "resumed"]

#: How images of 28 x 28 pixels become the inputs of a network.
_IMAGES = {
    784: lambda data: data,
    528: lambda data: crop(data, **PAPER_CROP),
    196: lambda data: pool(data, 2),
    49: lambda data: pool(data, 4),
}

#: Presets that there are images for.
EMULATED = tuple(n for n, c in CONTROLLERS.items() if c.chip.layers[0] in _IMAGES)

#: What is usual on a board, other than the defaults.
USUAL = {"virtual-folded": {"preset": "micro", "baud": 9600, "clock": 24}}


@dataclass(frozen=True, kw_only=True)
class EmulateOptions:
    """What an emulation is asked for; kept in its folder as ``emulate.json``.

    Parameters
    ----------
    board : str
        One of :data:`crossforge.emulate_boards.VIRTUAL`, or a serial port.
    preset : str
        One of :data:`golden.controllers.CONTROLLERS`.
    lanes : int or None
        Codes that the board's controller moves at once; None is the preset's.
    examples : int
        Training examples of an epoch.
    epochs : int
    test : int
        Test images that the board answers at the end.
    interval : int or None
        Examples between transfers; None is the preset's.
    seed : int
    baud : int, Bd
        Of the serial port; with a virtual board, of the port that speeds are told for.
    clock : int, MHz
        For what a board would reach.
    check : bool
        Compare at every transfer, not only at the end.
    """

    board: str = "virtual-fast"
    preset: str = "small"
    lanes: int | None = None
    examples: int = 20_000
    epochs: int = 1
    test: int = 10_000
    interval: int | None = None
    seed: int = 1
    baud: int = 3_000_000
    clock: int = 40
    check: bool = False

    def __post_init__(self):
        check(self.preset in EMULATED, "--preset", f"one of {', '.join(EMULATED)}", self.preset)
        for name, low, high in (
            ("examples", 1, 60_000),
            ("epochs", 1, 1000),
            ("test", 0, 10_000),
            ("seed", 0, 2**63 - 1),
            ("baud", 9600, 12_000_000),
            ("clock", 1, 1000),
        ):
            value = getattr(self, name)
            check(low <= value <= high, f"--{name}", f"within {low}..{high}", value)
        if self.interval is not None:
            check(self.interval >= 0, "--interval", "at least 0", self.interval)
        # a name without a folder is no port, but for Windows
        port = "/" in self.board or self.board.upper().startswith("COM")
        known = f"one of {', '.join(VIRTUAL)}, or a serial port such as /dev/ttyUSB0"
        check(self.board in VIRTUAL or port, "--board", known, self.board)
        self.hardware()

    def chip(self) -> ChipConfig:
        """Return the chip that is trained."""
        chip = CONTROLLERS[self.preset].chip.but(seed=self.seed)
        if self.interval is None:
            return chip
        fields = {n: getattr(chip.transfer, n) for n in TransferConfig.__dataclass_fields__}
        return chip.but(transfer=TransferConfig(**fields | {"interval": self.interval}))

    def hardware(self) -> ControllerConfig:
        """Return the sizes of the controller that trains it."""
        return CONTROLLERS[self.preset].hardware(self.lanes)


def images(chip: ChipConfig) -> Dataset:
    """MNIST in as many pixels as the chip has inputs."""
    return _IMAGES[chip.layers[0]](load())


def resumed(folder: Path, given: dict) -> EmulateOptions:
    """Options of the emulation in a folder, with those that may change.

    Raises
    ------
    CheckpointError
        If there is none, or its ``emulate.json`` says what nobody can ask for.
    ValueError
        If an option is given that must stay.
    """
    for name in given:
        if name not in ("board", "lanes", "epochs", "test", "baud", "clock", "check"):
            raise ValueError(f"--{name} must not go with --resume: {folder} says what to do")
    path = folder / "emulate.json"
    try:
        return EmulateOptions(**{**json.loads(path.read_text()), **given})
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"{folder} must hold an emulation to resume, but has no emulate.json"
        ) from None
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
