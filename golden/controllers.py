# SPDX-License-Identifier: Apache-2.0
"""Named controllers: a network, and how many codes of it move at once."""

from dataclasses import dataclass

from analog_models import presets

from .config import ChipConfig
from .hardware import ControllerConfig

__all__ = ["CONTROLLERS", "Controller"]


@dataclass(frozen=True)
class Controller:
    """A preset of ``crossforge verilog``.

    Parameters
    ----------
    meaning : str
    chip : ChipConfig
        The largest network that it runs.
    lanes, transfer_lanes : int
        See :class:`golden.hardware.ControllerConfig`.
    """

    meaning: str
    chip: ChipConfig
    lanes: int = 64
    transfer_lanes: int = 8

    def hardware(self, lanes: int | None = None) -> ControllerConfig:
        """Return the sizes of the controller.

        Other ``lanes``, if they are given, also bound ``transfer_lanes``.
        """
        lanes = self.lanes if lanes is None else lanes
        narrow = min(self.transfer_lanes, lanes)
        return ControllerConfig.of(self.chip, lanes=lanes, transfer_lanes=narrow)


CONTROLLERS = {
    "mnist": Controller("528-250-125-10 on four tiles, 64 lanes", ChipConfig()),
    "mnist-16": Controller("the same network, 16 lanes", ChipConfig(), lanes=16),
    "small": Controller(
        "196-64-10, which is MNIST in 14x14 pixels, on two tiles, 16 lanes",
        ChipConfig(layers=(196, 64, 10), forward_shift=(16, 16), backward_shift=(12, 13)),
        lanes=16,
        transfer_lanes=4,
    ),
    "mini": Controller(
        "49-8-10, which is MNIST in 7x7 pixels, on two tiles, 4 lanes",
        ChipConfig(layers=(49, 8, 10), forward_shift=(16, 16), backward_shift=(12, 13)),
        lanes=4,
        transfer_lanes=2,
    ),
    "micro": Controller(
        "the same network, 2 lanes",
        ChipConfig(layers=(49, 8, 10), forward_shift=(16, 16), backward_shift=(12, 13)),
        lanes=2,
        transfer_lanes=1,
    ),
    "tiny": Controller(
        "9-5-3 on tiles of 5x4, 4 lanes, for tests",
        ChipConfig(
            layers=(9, 5, 3),
            forward_shift=(14, 15),
            backward_shift=(13, 13),
            tile=presets.TUNED.but(rows=(5, "for tests"), cols=(4, "for tests")),
        ),
        lanes=4,
        transfer_lanes=2,
    ),
}
