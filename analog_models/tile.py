# SPDX-License-Identifier: Apache-2.0
"""What a tile is: its configuration and the port that every tile model offers.

The port carries integers only. ``R`` and ``C`` are the rows and columns in use.

========== =============================== ======================= ==============================
operation  in                              out                     meaning
========== =============================== ======================= ==============================
forward    R codes, -127..127              C codes of ``adc_bits`` ``ADC(sum_i x_i W_ij)``
backward   C codes, -127..127              R codes of ``adc_bits`` ``ADC(sum_j d_j W_ij)``
update     R, C signed pulse counts        -                       ``px_i * pd_j`` steps of (i, j)
read       row, log2 of reads averaged     C codes, ``read_bits``  one-hot read, x_row = 128
program    row, C codes for G+, C for G-   -                       HOLD, SET duration, or RESET
init       row                             -                       capacitors of a row to v_init
tune       row, C signed pulse counts      -                       capacitor steps, in weight sense
polarity   +1 or -1                        -                       readout sign and update sense
age        ticks                           -                       leak and drift
========== =============================== ======================= ==============================
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .cell import CellConfig
from .config import Sourced, check, number
from .converter import ConverterConfig

__all__ = ["ACC_FRAC", "HOLD", "RESET", "V_FRAC", "W_FRAC", "Tile", "TileConfig"]

#: PROGRAM code: leave the device alone. ``1 .. set_codes`` are SET durations.
HOLD = 0
#: PROGRAM code: RESET the device.
RESET = 127

#: Fractional bits of the weight that a tile multiplies with (1.0 = 2**14).
W_FRAC = 14
#: Fractional bits of the capacitor's part of the weight.
V_FRAC = 16
#: Fractional bits of the sum: weight and input code (1.0 = 2**7).
ACC_FRAC = W_FRAC + 7


@dataclass(frozen=True, kw_only=True)
class TileConfig(Sourced):
    """One crossbar with its converters.

    Parameters
    ----------
    cell : CellConfig
    converter : ConverterConfig
    """

    cell: CellConfig
    converter: ConverterConfig
    rows: int = number("1", "most rows of a tile, bias row included")
    cols: int = number("1", "most columns of a tile")
    period: float = number("s", "time of one training example")
    age_periods: int = number("1", "examples between two ageing ticks")

    def __post_init__(self):
        super().__post_init__()
        check(
            1 <= self.rows <= 512,
            "rows",
            "within 1..512: 512 rows of 7-bit codes and 16-bit weights just fit 32-bit sums",
            self.rows,
        )
        check(
            1 <= self.cols <= 512,
            "cols",
            "within 1..512: the transposed sums have the same 32 bits",
            self.cols,
        )
        check(self.period > 0, "period", "positive (s)", self.period)
        check(1 <= self.age_periods <= 4096, "age_periods", "within 1..4096", self.age_periods)

    @property
    def tick(self) -> float:
        """Duration of one ageing tick, s."""
        return self.period * self.age_periods


class Tile(Protocol):
    """The port of a tile; see the table at the top of this module."""

    rows: int
    cols: int

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Multiply row codes with the weights; return C column codes."""

    def backward(self, d: np.ndarray) -> np.ndarray:
        """Multiply column codes with the transposed weights; return R row codes."""

    def update(self, px: np.ndarray, pd: np.ndarray) -> None:
        """Step every cell by ``px_i * pd_j`` pulses, > 0 raising the weight."""

    def read(self, row: int, log2_reads: int) -> np.ndarray:
        """Read one row; noise power falls by ``2**log2_reads``. Return C codes."""

    def program(self, row: int, plus: np.ndarray, minus: np.ndarray) -> None:
        """Program the PCM pairs of one row: HOLD, ``1 .. set_codes`` (SET), or RESET."""

    def init(self, row: int) -> None:
        """Write v_init into the capacitors of one row and its reference cell."""

    def tune(self, row: int, pulses: np.ndarray) -> None:
        """Step the cells of one row by signed pulse counts, > 0 raising the weight."""

    def polarity(self, sign: int) -> None:
        """Set the readout sign and, with it, the sense of the pulses."""

    def age(self, ticks: int) -> None:
        """Let ``ticks`` ageing ticks pass."""

    def weight(self) -> np.ndarray:
        """Weights (float64, 1.0 = 1.0) without read noise: for figures, not for the chip."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything that changes, for checkpoints; :meth:`restore` takes it back."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`state` gave."""
