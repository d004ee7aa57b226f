# SPDX-License-Identifier: Apache-2.0
"""Named experiments: a chip, a network and how long it trains."""

from dataclasses import dataclass, field

from analog_models import presets
from analog_models.tile import TileConfig
from golden.config import ChipConfig, TransferConfig, UpdateConfig

from .data import PAPER_CROP, Dataset, crop

__all__ = ["ALL_SWITCHES", "EXPERIMENTS", "Experiment", "configure", "prepare"]

#: Everything that ``--without`` takes.
ALL_SWITCHES = ("polarity-inversion", "transfer", *presets.SWITCHES)

#: The offset of the paper, 2 uS of 50 uS a weight, in read codes of 2**-10.
_OFFSET = 41


@dataclass(frozen=True)
class Experiment:
    """What a preset of ``crossforge train`` stands for.

    Parameters
    ----------
    meaning : str
    tile : TileConfig or None
        None trains the float32 baseline.
    transfer : TransferConfig
    update : UpdateConfig
    epochs : int
    """

    meaning: str
    tile: TileConfig | None = presets.TUNED
    transfer: TransferConfig = field(default_factory=TransferConfig)
    update: UpdateConfig = field(default_factory=UpdateConfig)
    epochs: int = 20


EXPERIMENTS = {
    "mnist": Experiment("528-250-125-10 on tuned devices, every effect on"),
    "mnist-float": Experiment(
        "the same network in float32 software, plain",
        tile=None,
        update=UpdateConfig(weight_decay=0.0),
    ),
    "mnist-float-l2": Experiment("float32 software with the chip's weight decay", tile=None),
    "mnist-paper": Experiment(
        "the paper's device numbers, gaps filled by assumption",
        tile=presets.PAPER,
        transfer=TransferConfig(offset=_OFFSET, small_target=_OFFSET, set_tolerance=_OFFSET),
    ),
    "mnist-ideal": Experiment("no noise, mismatch, leakage or drift", tile=presets.IDEAL),
    "mnist-2pcm": Experiment(
        "the older cell: two phase-change devices, no capacitor",
        tile=presets.TWO_PCM,
        transfer=TransferConfig(interval=1000, invert=False),
    ),
}


def configure(experiment: Experiment, data: Dataset, *, seed: int, without=(), tile="fixed"):
    """Return the :class:`ChipConfig` of an experiment on a data set.

    ``tile="ideal"`` turns every effect of the devices and converters off.
    """
    physics = experiment.tile
    if physics is None:
        raise ValueError("a preset in software takes no --tile and no --without")
    effects = [name for name in without if name in presets.SWITCHES]
    physics = presets.without(physics, *(presets.SWITCHES if tile == "ideal" else effects))
    t = experiment.transfer
    transfer = TransferConfig(**{
        **{name: getattr(t, name) for name in t.__dataclass_fields__},
        "interval": 0 if "transfer" in without else t.interval,
        "invert": t.invert and "polarity-inversion" not in without,
    })
    layers = (data.x_train.shape[1], 250, 125, max(data.n_classes, 2))
    return ChipConfig(
        layers=layers, tile=physics, transfer=transfer, update=experiment.update, seed=seed
    )


def prepare(data: Dataset) -> Dataset:
    """Crop 28x28 images to the paper's 22x24; leave others as they are."""
    return crop(data, **PAPER_CROP) if data.image_shape == (28, 28) else data
