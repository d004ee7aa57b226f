# SPDX-License-Identifier: Apache-2.0
"""How many clock cycles a tile takes for an operation."""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np

from analog_models import presets
from analog_models.config import Sourced, check, number
from analog_models.tile import HOLD, RESET, TileConfig
from golden.transfer import TUNE_MAX
from rtl.tile_port import TileOp

__all__ = ["NOMINAL", "SHORT", "FlatTiming", "TileTiming", "Timing"]


class Timing(Protocol):
    """Tells how long an operation takes."""

    def cycles(self, op: TileOp, log2_reads: int, vector: tuple[np.ndarray, ...]) -> int:
        """Cycles of one operation, at least 1; ``vector`` is what the controller sends."""


@dataclass(frozen=True, kw_only=True)
class TileTiming(Sourced):
    """Durations of the steps that operations are made of.

    A conversion integrates charge and then counts a single-slope ramp. Pulses of an update take
    the same time whatever their number: all lines share one waveform.
    """

    integration: int = number("cycle", "pulse of the longest input code")
    ramp: int = number("cycle", "ramp of the forward and backward ADC")
    read_ramp: int = number("cycle", "ramp of the ADC that reads one row for a transfer")
    pulse: int = number("cycle", "one capacitor pulse with the pause after it")
    update_pulses: int = number("1", "pulses that UPDATE leaves time for")
    tune_pulses: int = number("1", "pulses that TUNE leaves time for")
    reset: int = number("cycle", "RESET of a row")
    set: int = number("cycle", "SET of a row")
    init: int = number("cycle", "writing v_init to a row")
    switch: int = number("cycle", "POLARITY and AGE, and PROGRAM without a shot")

    def __post_init__(self):
        super().__post_init__()
        for name, value, unit, *_ in self.numbers():
            suffix = "" if unit == "1" else f" ({unit}s)"
            whole = isinstance(value, int) and value >= 1
            check(whole, name, f"a positive whole number{suffix}", value)

    @classmethod
    def of_tile(cls, config: TileConfig, *, clock: float = 1e9) -> "TileTiming":
        """Derive durations from the physics of a tile.

        Parameters
        ----------
        config : TileConfig
        clock : float, Hz
        """
        adc = config.converter
        edges = "assumed: single slope, counted with both edges of the clock"
        ns = clock * 1e-9
        return cls.of(
            integration=(ceil(128 * adc.t_lsb * clock), "128 codes of ConverterConfig.t_lsb"),
            ramp=(2**adc.adc_bits // 2, edges),
            read_ramp=(2**adc.read_bits // 2, edges),
            pulse=(ceil(2 * ns), "assumed: 1 ns high, 1 ns low"),
            update_pulses=(31, "largest delta_max; rows fire at most once"),
            tune_pulses=(TUNE_MAX, "golden.transfer.TUNE_MAX"),
            reset=(ceil(50 * ns), "assumed: 50 ns, usual for melting and quenching"),
            set=(
                ceil(2000 * ns),
                "assumed: 2 us; [A18] ED Fig. 7 has ramps of 13.6 ns to 4.4 us",
            ),
            init=(ceil(10 * ns), "assumed: 10 ns charge 50 fF through a minimum-size FET"),
            switch=(1, "assumed: a static signal; time does not pass in simulation"),
        )

    def cycles(self, op: TileOp, log2_reads: int, vector: tuple[np.ndarray, ...]) -> int:
        """Cycles of one operation.

        Parameters
        ----------
        op : TileOp
        log2_reads : int
            READ makes ``2**log2_reads`` conversions.
        vector : tuple of ndarray
            What the controller sends; only PROGRAM looks at it: RESET shots, then SET shots.
        """
        if op in (TileOp.FORWARD, TileOp.BACKWARD):
            return self.integration + self.ramp
        if op == TileOp.READ:
            return (self.integration + self.read_ramp) << log2_reads
        if op == TileOp.UPDATE:
            return self.pulse * self.update_pulses
        if op == TileOp.TUNE:
            return self.pulse * self.tune_pulses
        if op == TileOp.INIT:
            return self.init
        if op == TileOp.PROGRAM:
            reset = any((code == RESET).any() for code in vector)
            shot = any(((code != RESET) & (code != HOLD)).any() for code in vector)
            return max(reset * self.reset + shot * self.set, self.switch)
        return self.switch


@dataclass(frozen=True)
class FlatTiming:
    """Every operation takes the same time.

    Parameters
    ----------
    each : int, cycles
    """

    each: int

    def __post_init__(self):
        check(self.each >= 1, "each", "positive (cycles)", self.each)

    def cycles(self, op: TileOp, log2_reads: int, vector: tuple[np.ndarray, ...]) -> int:
        """Cycles of one operation, whatever it is."""
        return self.each


#: Tiles of the presets (all have the same converters) at 1 GHz.
NOMINAL = TileTiming.of_tile(presets.TUNED)
#: For fast simulation: the digital half never waits for long.
SHORT = FlatTiming(2)
