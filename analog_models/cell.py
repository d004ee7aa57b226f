# SPDX-License-Identifier: Apache-2.0
"""The unit cell ``W = F*(G+ - G-) + s*(g - g_shared)``."""

from dataclasses import dataclass

import numpy as np

from .capacitor import CapacitorConfig
from .config import Sourced, check, number
from .pcm import PcmConfig

__all__ = ["CellConfig", "weight"]


@dataclass(frozen=True, kw_only=True)
class CellConfig(Sourced):
    """Two phase-change devices and one 3T1C cell that share a weight.

    Parameters
    ----------
    pcm : PcmConfig
    capacitor : CapacitorConfig
    update_device : {"capacitor", "pcm"}
        Who takes the update of every example: the capacitor, or (2-PCM baseline) partial SETs of
        G+ and G-. With ``"pcm"`` the capacitor and its reference stay unused and unread.
    """

    pcm: PcmConfig
    capacitor: CapacitorConfig
    gain: int = number("1", "F, the significance of the PCM pair over the capacitor")
    unit: float = number("S", "conductance that stands for weight 1.0")
    update_device: str = "capacitor"

    def __post_init__(self):
        super().__post_init__()
        check(
            isinstance(self.gain, int) and 1 <= self.gain <= 15,
            "gain",
            "a whole number within 1..15: F multiplies the pulse duration",
            self.gain,
        )
        check(self.unit > 0, "unit", "positive (S)", self.unit)
        check(
            self.update_device in ("capacitor", "pcm"),
            "update_device",
            "'capacitor' or 'pcm'",
            self.update_device,
        )
        if self.update_device == "capacitor":
            cap = self.capacitor
            swing = cap.transconductance * min(cap.v_max - cap.v_init, cap.v_init - cap.v_min)
            step = self.gain * (self.pcm.g_max - self.pcm.g_reset) / self.pcm.set_codes
            if swing < step:
                raise ValueError(
                    f"capacitor swing must be at least one SET step of F*G ({step:g} S), "
                    f"not {swing:g}: the capacitor could not repair the error of a transfer"
                )


def weight(config: CellConfig, g_plus, g_minus, g, g_shared, polarity) -> np.ndarray:
    """Weight (1.0 = ``config.unit``), float64, of conductances in S.

    ``g_shared`` has shape (rows, 1): one reference cell a row, read as an extra column.
    ``polarity`` is +1 or -1.
    """
    slow = config.gain * (g_plus - g_minus)
    if config.update_device == "pcm":
        return slow / config.unit
    return (slow + polarity * (g - g_shared)) / config.unit
