# SPDX-License-Identifier: Apache-2.0
"""Converters at the rim of a tile: pulse-width drivers and analog-to-digital converters."""

from dataclasses import dataclass

import numpy as np

from .config import Sourced, check, number

__all__ = ["ConverterConfig", "convert"]


@dataclass(frozen=True, kw_only=True)
class ConverterConfig(Sourced):
    """Pulse-width input and ADC output of a tile.

    An input code x (1.0 = 128) drives its line for ``abs(x) * t_lsb`` at ``+v_read`` or
    ``-v_read``. An output collects ``charge = v_read * t_lsb * sum(x * W) * unit`` and its ADC
    has a full scale that is a power of two of ``v_read * t_lsb * unit``.
    """

    adc_bits: int = number("1", "resolution of the forward and backward ADC")
    read_bits: int = number("1", "resolution of the ADC when it reads one row for a transfer")
    read_shift: int = number("1", "log2 of the read ADC's LSB, in weight * 2**14 * 128")
    adc_noise: float = number("LSB", "rms noise of one conversion")
    adc_offset: float = number("LSB", "converter-to-converter sd of the offset")
    v_read: float = number("V", "read voltage")
    t_lsb: float = number("s", "duration of input code 1")

    def __post_init__(self):
        super().__post_init__()
        check(4 <= self.adc_bits <= 8, "adc_bits", "within 4..8", self.adc_bits)
        check(8 <= self.read_bits <= 12, "read_bits", "within 8..12", self.read_bits)
        check(7 <= self.read_shift <= 14, "read_shift", "within 7..14", self.read_shift)
        check(self.adc_noise >= 0, "adc_noise", "non-negative (LSB)", self.adc_noise)
        check(self.adc_offset >= 0, "adc_offset", "non-negative (LSB)", self.adc_offset)
        check(self.v_read > 0, "v_read", "positive (V)", self.v_read)
        check(self.t_lsb > 0, "t_lsb", "positive (s)", self.t_lsb)

    def charge_lsb(self, unit: float, shift: int) -> float:
        """Charge (C) of one ADC code at range ``shift`` for ``unit`` siemens a weight."""
        return self.v_read * self.t_lsb * unit * 2.0 ** (shift - 14)


def convert(charge, lsb: float, bits: int, *, offset=0.0, noise=0.0) -> np.ndarray:
    """Convert charges (C) to signed codes of ``bits`` bits: round half up, saturate.

    ``offset`` and ``noise`` are in LSB. Returns int64, same shape as ``charge``.
    """
    code = np.floor(np.asarray(charge) / lsb + offset + noise + 0.5)
    half = 1 << (bits - 1)
    return np.clip(code, -half, half - 1).astype(np.int64)
