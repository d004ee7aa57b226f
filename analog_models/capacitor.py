# SPDX-License-Identifier: Apache-2.0
"""3T1C cell: a capacitor on the gate of a read FET, one pull-up and one pull-down FET."""

from dataclasses import dataclass

import numpy as np

from .config import Sourced, check, number

__all__ = ["CapacitorArray", "CapacitorConfig"]


@dataclass(frozen=True, kw_only=True)
class CapacitorConfig(Sourced):
    """Statistics of one 3T1C cell.

    The read FET conducts ``transconductance * (V - threshold)``. A pull-up pulse adds
    ``dv_up * (1 - slope_up * (V - v_init))``, a pull-down pulse takes
    ``dv_down * (1 + slope_down * (V - v_init))``: each FET weakens as V nears its rail.
    """

    capacitance: float = number("F", "capacitance; sets the charge of a pulse")
    transconductance: float = number("S/V", "slope of the read FET above threshold")
    threshold: float = number("V", "threshold of the read FET")
    threshold_spread: float = number("V", "device-to-device sd of the threshold")
    v_init: float = number("V", "voltage written after a transfer")
    init_noise: float = number("V", "sd of that write")
    v_min: float = number("V", "lower end of the usable range")
    v_max: float = number("V", "upper end of the usable range")
    v_leak: float = number("V", "voltage that leakage approaches")
    tau_leak: float = number("s", "mean leakage time constant; inf turns leakage off")
    leak_spread: float = number("1", "device-to-device sd of the leakage rate, relative")
    dv_up: float = number("V", "pull-up step at v_init")
    dv_down: float = number("V", "pull-down step at v_init")
    slope_up: float = number("1/V", "relative loss of the pull-up step per volt")
    slope_down: float = number("1/V", "relative gain of the pull-down step per volt")
    up_spread: float = number("1", "device-to-device sd of the pull-up step, relative")
    down_spread: float = number("1", "device-to-device sd of the pull-down step, relative")

    def __post_init__(self):
        super().__post_init__()
        for name, unit in {
            "capacitance": "F",
            "transconductance": "S/V",
            "tau_leak": "s",
            "dv_up": "V",
            "dv_down": "V",
        }.items():
            check(getattr(self, name) > 0, name, f"positive ({unit})", getattr(self, name))
        for name in (
            "threshold_spread",
            "init_noise",
            "leak_spread",
            "slope_up",
            "slope_down",
            "up_spread",
            "down_spread",
        ):
            check(getattr(self, name) >= 0, name, "non-negative", getattr(self, name))
        for name in ("up_spread", "down_spread"):
            check(
                getattr(self, name) <= 0.28,
                name,
                "at most 0.28: no device may step the wrong way, 3.45 sigma from the mean",
                getattr(self, name),
            )
        floor = self.threshold + 3.5 * self.threshold_spread
        check(
            self.v_min >= floor,
            "v_min",
            f"at least threshold + 3.5 threshold_spread = {floor:g} V: "
            "below threshold the read FET does not conduct",
            self.v_min,
        )
        check(
            self.v_min < self.v_init < self.v_max,
            "v_init",
            f"within the usable range {self.v_min:g}..{self.v_max:g} V",
            self.v_init,
        )
        check(
            self.v_min <= self.v_leak <= self.v_max,
            "v_leak",
            f"within the usable range {self.v_min:g}..{self.v_max:g} V: "
            "a cell left alone must stay readable",
            self.v_leak,
        )
        reach = max(self.v_max - self.v_init, self.v_init - self.v_min)
        steepest = max(self.slope_up, self.slope_down)
        check(
            steepest * reach < 1,
            "slope",
            f"below 1 over the range ({1 / reach:g} per V): a pulse must not change its sign",
            steepest,
        )


class CapacitorArray:
    """Array of 3T1C cells.

    Parameters
    ----------
    shape : tuple of int
    config : CapacitorConfig
    rng : numpy.random.Generator
        Draws the fixed device-to-device values.

    Attributes
    ----------
    v : ndarray of float64, shape ``shape``, V
        Capacitor voltage.
    up, down : ndarray of float64, V
        Step of each cell's pull-up and pull-down FET at ``v_init``.
    threshold : ndarray of float64, V
    rate : ndarray of float64, 1/s
        Leakage rate, never negative.
    charge : dict of str to float, C
        Total charge moved so far by ``up``, ``down``, ``leak``, ``init`` and lost by ``clip``.
    """

    def __init__(self, shape, config: CapacitorConfig, *, rng):
        cfg = self.config = config
        self.v = np.full(shape, cfg.v_init)
        self.up = cfg.dv_up * np.maximum(1 + cfg.up_spread * rng.standard_normal(shape), 0)
        self.down = cfg.dv_down * np.maximum(1 + cfg.down_spread * rng.standard_normal(shape), 0)
        self.threshold = cfg.threshold + cfg.threshold_spread * rng.standard_normal(shape)
        rate = (1 + cfg.leak_spread * rng.standard_normal(shape)) / cfg.tau_leak
        self.rate = np.maximum(rate, 0.0)
        self.charge = dict.fromkeys(("up", "down", "leak", "init", "clip"), 0.0)

    def _move(self, index, v, kind):
        """Set ``self.v[index] = v`` within the range and book the charge under ``kind``."""
        cfg = self.config
        bounded = np.clip(v, cfg.v_min, cfg.v_max)
        self.charge[kind] += cfg.capacitance * float(np.sum(v - self.v[index]))
        self.charge["clip"] += cfg.capacitance * float(np.sum(bounded - v))
        self.v[index] = bounded

    def pulse(self, index, pulses):
        """Apply signed ``pulses`` (int, > 0 pulls up) to the cells ``self.v[index]``.

        ``n`` pulses on a linear step curve have the closed form
        ``dV = step(V) * (1 - (1 - a)**n) / a`` with ``a`` the loss per pulse.
        """
        cfg = self.config
        n = np.abs(pulses)
        rise = self.v[index] - cfg.v_init
        for kind, sign, step, slope in (
            ("up", 1, self.up, cfg.slope_up),
            ("down", -1, self.down, cfg.slope_down),
        ):
            one = step[index] * (1 - sign * slope * rise)
            a = step[index] * slope
            with np.errstate(invalid="ignore", divide="ignore"):
                many = np.where(a != 0, -np.expm1(n * np.log1p(-a)) / a, n)
            chosen = np.sign(pulses) == sign
            self._move(
                index, np.where(chosen, self.v[index] + sign * one * many, self.v[index]), kind
            )

    def initialise(self, index, *, rng):
        """Write ``v_init`` (with its noise) into the cells ``self.v[index]``."""
        cfg = self.config
        noise = cfg.init_noise * rng.standard_normal(np.shape(self.v[index]))
        self._move(index, cfg.v_init + noise, "init")

    def leak(self, seconds: float):
        """Let all cells relax towards ``v_leak`` for ``seconds``."""
        kept = np.exp(-self.rate * seconds)
        self._move(..., self.config.v_leak + (self.v - self.config.v_leak) * kept, "leak")

    def conductance(self, index=...) -> np.ndarray:
        """Conductance of the read FETs of ``index``, S."""
        on = np.maximum(self.v[index] - self.threshold[index], 0.0)
        return self.config.transconductance * on
