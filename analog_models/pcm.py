# SPDX-License-Identifier: Apache-2.0
"""Phase-change memory: RESET, SET by pulse duration, partial SET, drift, read noise."""

from dataclasses import dataclass

import numpy as np

from .config import Sourced, check, number

__all__ = ["PcmArray", "PcmConfig"]


@dataclass(frozen=True, kw_only=True)
class PcmConfig(Sourced):
    """Statistics of one phase-change device.

    A full SET sequence is eight falling steps of equal length; the step length, one of
    ``set_codes`` values spaced evenly in logarithm, selects the conductance.
    """

    g_max: float = number("S", "largest conductance that programming leaves")
    g_reset: float = number("S", "mean conductance after RESET")
    reset_noise: float = number("S", "sd of the conductance after RESET")
    set_codes: int = number("1", "number of SET durations")
    set_step_min: float = number("s", "shortest step of the eight-step SET ramp")
    set_step_max: float = number("s", "longest step of the eight-step SET ramp")
    set_noise: float = number("1", "scale of the shot-to-shot SET noise, 1 as published")
    set_spread: float = number("1", "device-to-device sd of the SET response, relative")
    drift_nu: float = number("1", "mean drift exponent")
    drift_nu_spread: float = number("1", "device-to-device sd of the drift exponent")
    drift_t0: float = number("s", "age of a device when training resumes after its programming")
    read_noise: float = number("S", "sd of the white noise of one device in one full read")
    pulse_fraction: float = number("1", "part of the way to g_max made by one partial SET")
    pulse_noise: float = number("S", "sd added by one partial SET")

    def __post_init__(self):
        super().__post_init__()
        check(self.g_max > 0, "g_max", "positive (S)", self.g_max)
        check(
            0 <= self.g_reset < self.g_max,
            "g_reset",
            "within 0..g_max (S): RESET leaves the amorphous, less conducting state",
            self.g_reset,
        )
        check(2 <= self.set_codes <= 63, "set_codes", "within 2..63", self.set_codes)
        check(self.set_step_min > 0, "set_step_min", "positive (s)", self.set_step_min)
        check(
            self.set_step_max > self.set_step_min,
            "set_step_max",
            "longer than set_step_min (s)",
            self.set_step_max,
        )
        for name in ("reset_noise", "set_noise", "set_spread", "read_noise", "pulse_noise"):
            check(getattr(self, name) >= 0, name, "non-negative", getattr(self, name))
        check(
            self.drift_nu >= 0,
            "drift_nu",
            "non-negative: structural relaxation only lowers the conductance",
            self.drift_nu,
        )
        check(self.drift_nu <= 0.2, "drift_nu", "at most 0.2", self.drift_nu)
        check(self.drift_nu_spread >= 0, "drift_nu_spread", "non-negative", self.drift_nu_spread)
        check(self.drift_t0 > 0, "drift_t0", "positive (s)", self.drift_t0)
        check(0 < self.pulse_fraction < 1, "pulse_fraction", "within 0..1", self.pulse_fraction)

    def set_duration(self) -> np.ndarray:
        """Total duration of the SET ramp for codes ``1 .. set_codes``, s."""
        return 8 * np.geomspace(self.set_step_min, self.set_step_max, self.set_codes)

    def set_mean(self) -> np.ndarray:
        """Mean conductance after SET with codes ``1 .. set_codes``, S.

        Linear in the logarithm of the duration, from one step above ``g_reset`` to ``g_max``.
        Only the end points are sourced (Ambrogio 2018, Extended Data Fig. 7: 1.7 ns to 550 ns,
        monotonic below 20 uS); the shape between them is assumed.
        """
        fraction = np.arange(1, self.set_codes + 1) / self.set_codes
        return self.g_reset + (self.g_max - self.g_reset) * fraction

    def set_sigma(self, g: np.ndarray) -> np.ndarray:
        """Shot-to-shot sd (S) of a SET whose mean is ``g`` (S).

        ``0.26348 + 1.9650 r - 1.1731 r**2`` uS with ``r = g / 25 uS``. Source: Nandakumar et al.,
        ICECS 2019, as coded in IBM's aihwkit. Fitted there after iterative programming, so a
        lower bound for a single shot.
        """
        r = np.asarray(g) / 25e-6
        return self.set_noise * 1e-6 * (0.26348 + 1.9650 * r - 1.1731 * r**2)


class PcmArray:
    """Array of phase-change devices.

    Parameters
    ----------
    rows, cols : int
    config : PcmConfig
    rng : numpy.random.Generator
        Draws the fixed device-to-device values.

    Attributes
    ----------
    g : ndarray of float64, shape (rows, cols), S
        Conductance when training resumed after the last programming.
    age : ndarray of float64, shape (rows, cols), s
        Time since the last programming.
    nu : ndarray of float64, shape (rows, cols)
        Drift exponent of each device.
    response : ndarray of float64, shape (rows, cols)
        Relative SET response of each device, mean 1.
    """

    def __init__(self, rows, cols, config: PcmConfig, *, rng):
        self.config = config
        self.g = np.full((rows, cols), config.g_reset)
        self.age = np.zeros((rows, cols))
        nu = config.drift_nu + config.drift_nu_spread * rng.standard_normal((rows, cols))
        self.nu = np.maximum(nu, 0.0)
        self.response = 1 + config.set_spread * rng.standard_normal((rows, cols))

    def reset(self, row, mask, *, rng):
        """RESET the devices of ``row`` where ``mask`` (bool, shape (cols,))."""
        noise = self.config.reset_noise * rng.standard_normal(mask.shape)
        g = np.clip(self.config.g_reset + noise, 0.0, self.config.g_max)
        self.g[row] = np.where(mask, g, self.g[row])
        self.age[row] = np.where(mask, 0.0, self.age[row])

    def set(self, row, code, *, rng):
        """SET the devices of ``row`` with duration codes ``1 .. set_codes``; 0 leaves one alone.

        A SET only crystallises: it never lowers the conductance that the device has by now.
        Meant to follow a RESET.
        """
        now = self.conductance(np.index_exp[row])
        mean = np.concatenate([[0.0], self.config.set_mean()])[code]
        noise = self.config.set_sigma(mean) * rng.standard_normal(code.shape)
        g = np.clip(mean * self.response[row] + noise, 0.0, self.config.g_max)
        self.g[row] = np.where(code > 0, np.maximum(g, now), self.g[row])
        self.age[row] = np.where(code > 0, 0.0, self.age[row])

    def partial_set(self, rows, cols, pulses, *, rng):
        """Apply ``pulses`` identical partial SETs to the devices ``(rows[i], cols[i])``.

        Each moves the conductance that the device has by now ``pulse_fraction`` of the way to
        ``g_max``, with noise, and restarts the clock of its drift.
        """
        cfg = self.config
        gap = (cfg.g_max - self.conductance((rows, cols))) * (1 - cfg.pulse_fraction) ** pulses
        noise = cfg.pulse_noise * np.sqrt(pulses) * rng.standard_normal(pulses.shape)
        self.g[rows, cols] = np.clip(cfg.g_max - gap + noise, 0.0, cfg.g_max)
        self.age[rows, cols] = 0.0

    def conductance(self, index=...) -> np.ndarray:
        """Conductance now, S, of ``index``: ``g * (1 + age / t0) ** -nu``.

        Source: Nandakumar et al., ICECS 2019, as coded in aihwkit; t0 is the time from the
        programming of a device to the moment at which its age starts to count.
        """
        return self.g[index] * (1 + self.age[index] / self.config.drift_t0) ** -self.nu[index]
