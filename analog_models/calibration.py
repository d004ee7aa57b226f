# SPDX-License-Identifier: Apache-2.0
"""From the physics of a tile to the integers of :class:`FixedTile`: one function, all tables.

Units of the integers: weight LSB = ``unit / 2**14`` S (conductance codes too); capacitor LSB =
the voltage that moves the weight by ``2**-16``; sums have 21 fractional bits. A normal variate
of sd ``s`` becomes ``(bell * amp + 128) >> 8`` with ``amp = s * 256 / 147.8`` (``prng.bell``).
"""

from dataclasses import dataclass

import numpy as np

from .prng import BELL_SD
from .tile import V_FRAC, W_FRAC, TileConfig

__all__ = ["STEP_FRAC", "FixedTables", "calibrate", "worst"]

#: Fractional bits of a pulse's step.
STEP_FRAC = 4
#: Drift acts whenever the age of a tile has grown by an eighth of an octave.
_DRIFT_PER_OCTAVE = 8
#: Kept free in a 32-bit sum for noise, offset and rounding.
_HEADROOM = 2**25
#: Largest sum of squares of the codes of 512 lines.
_MAX_SQUARE = 512 * 127**2
#: Longest age, in ticks, for which drift is tabulated.
_DRIFT_HORIZON = 1 << 16


@dataclass(frozen=True)
class FixedTables:
    """Integers that say all about a tile of one configuration.

    Parameters
    ----------
    gain : int
        F.
    g_max, g_reset, reset_amp : int
        Conductance codes: bound, mean after RESET, and amplitude of its spread.
    set_mean, set_amp : ndarray of int32, shape (set_codes + 1,)
        Conductance code after SET and amplitude of its noise; entry 0 is unused.
    response_amp : int
        Amplitude of the device's relative response, in 2**-12.
    drift_mean, drift_amp : int
        Loss per drift step in 2**-16, and its device-to-device amplitude.
    drift_ticks : ndarray of int32
        Ages (ticks since the last PROGRAM) at which a drift step acts, sorted, with repeats.
    pulse_loss, pulse_amp : int
        Partial SET: share of the gap to g_max in 2**-16, amplitude of the noise of one.
    v_min, v_max, v_leak, init_amp : int
        Capacitor codes relative to v_init, and amplitude of the init noise.
    up, down, up_amp, down_amp : int
        Steps with ``STEP_FRAC`` fractional bits and their device-to-device amplitudes.
    slope_up, slope_down : int
        Relative change of the step over 32768 capacitor codes, in 2**-14.
    leak, leak_amp : int
        Share of the way to v_leak per tick in 2**-16, and its device-to-device amplitude.
    threshold_amp : int
        Amplitude of the read FET's offset, weight LSB.
    adc_bits, read_bits, read_shift : int
    adc_noise, adc_offset : float
        In LSB; :meth:`adc` turns them into integers for a range.
    read_power : int
        ``3 * sigma**2`` of the weight's read noise, in weight LSB squared.
    w_max : int
        Largest weight code that can occur; fits 16 bits.
    capacitor_updates : bool
        Whether updates go to the capacitor (or to PCM).
    """

    gain: int
    g_max: int
    g_reset: int
    reset_amp: int
    set_mean: np.ndarray
    set_amp: np.ndarray
    response_amp: int
    drift_mean: int
    drift_amp: int
    drift_ticks: np.ndarray
    pulse_loss: int
    pulse_amp: int
    v_min: int
    v_max: int
    v_leak: int
    init_amp: int
    up: int
    down: int
    up_amp: int
    down_amp: int
    slope_up: int
    slope_down: int
    leak: int
    leak_amp: int
    threshold_amp: int
    adc_bits: int
    read_bits: int
    read_shift: int
    adc_noise: float
    adc_offset: float
    read_power: int
    w_max: int
    capacitor_updates: bool

    def adc(self, shift: int) -> tuple[int, int]:
        """Return (noise power, offset amplitude) of an ADC whose LSB is ``2**shift``.

        The noise power is ``3 * sd**2`` in squared units of the sum, so that its square root is
        the amplitude of a bell of that sd.

        Raises
        ------
        ValueError
            If noise and offset could overflow the 32-bit sum, or the noise its own 32 bits.
        """
        lsb = 2.0**shift
        power = round((self.adc_noise * lsb * 256 / BELL_SD) ** 2)
        offset = _amp(self.adc_offset * lsb)
        noise = int((power + self.read_power * _MAX_SQUARE) ** 0.5)
        for name, most, room in (
            ("adc_noise", 510 * noise + 128, 2**31),
            ("adc_noise and adc_offset", worst(0, noise) + worst(0, offset) + lsb, _HEADROOM),
        ):
            if most >= room:
                raise ValueError(
                    f"{name} must be smaller (LSB) at an ADC shift of {shift}, not "
                    f"{self.adc_noise:g} and {self.adc_offset:g}: they overflow the 32-bit sum"
                )
        return power, offset


def _amp(sd: float) -> int:
    return round(sd * 256 / BELL_SD)


def worst(mean: int, amp: int) -> int:
    """Return the largest value of ``mean`` plus a bell of amplitude ``amp``."""
    return mean + ((510 * amp + 128) >> 8)


def calibrate(config: TileConfig, *, max_pulses: int = 31) -> FixedTables:
    """Derive the integer tables of a tile from its physical parameters.

    Parameters
    ----------
    config : TileConfig
    max_pulses : int
        Most pulses that one cell receives in one operation.

    Raises
    ------
    ValueError
        If a table does not fit its integer format; the sentence names the parameter.
    """
    cell, conv = config.cell, config.converter
    pcm, cap = cell.pcm, cell.capacitor
    g_lsb = cell.unit / 2**W_FRAC
    v_lsb = cell.unit / cap.transconductance / 2**V_FRAC

    set_mean = np.rint(pcm.set_mean() / g_lsb)
    set_amp = np.rint(pcm.set_sigma(pcm.set_mean()) / g_lsb * 256 / BELL_SD)
    nu_loss = 1 - 2 ** (-pcm.drift_nu / _DRIFT_PER_OCTAVE)
    # d(loss)/d(nu) at the mean: the spread is small, so one slope serves all devices.
    nu_slope = np.log(2) / _DRIFT_PER_OCTAVE * 2 ** (-pcm.drift_nu / _DRIFT_PER_OCTAVE)
    t0 = pcm.drift_t0 / config.tick
    octaves = np.arange(1, 8 * 40) / _DRIFT_PER_OCTAVE
    ticks = np.ceil(t0 * (2**octaves - 1))
    drifts = pcm.drift_nu > 0 or pcm.drift_nu_spread > 0
    ticks = ticks[ticks <= _DRIFT_HORIZON] if drifts else ticks[:0]

    kept = np.exp(-config.tick / cap.tau_leak)
    leak_slope = kept * config.tick / cap.tau_leak
    w_read = cell.gain * np.sqrt(2) * pcm.read_noise / g_lsb

    tables = FixedTables(
        gain=cell.gain,
        g_max=round(pcm.g_max / g_lsb),
        g_reset=round(pcm.g_reset / g_lsb),
        reset_amp=_amp(pcm.reset_noise / g_lsb),
        set_mean=np.concatenate([[0], set_mean]).astype(np.int32),
        set_amp=np.concatenate([[0], set_amp]).astype(np.int32),
        response_amp=_amp(pcm.set_spread * 4096),
        drift_mean=round(nu_loss * 65536),
        drift_amp=_amp(pcm.drift_nu_spread * nu_slope * 65536),
        drift_ticks=ticks.astype(np.int32),
        pulse_loss=round(pcm.pulse_fraction * 65536),
        pulse_amp=_amp(pcm.pulse_noise / g_lsb),
        v_min=round((cap.v_min - cap.v_init) / v_lsb),
        v_max=round((cap.v_max - cap.v_init) / v_lsb),
        v_leak=round((cap.v_leak - cap.v_init) / v_lsb),
        init_amp=_amp(cap.init_noise / v_lsb),
        up=round(cap.dv_up / v_lsb * 2**STEP_FRAC),
        down=round(cap.dv_down / v_lsb * 2**STEP_FRAC),
        up_amp=_amp(cap.dv_up * cap.up_spread / v_lsb * 2**STEP_FRAC),
        down_amp=_amp(cap.dv_down * cap.down_spread / v_lsb * 2**STEP_FRAC),
        slope_up=round(cap.slope_up * 32768 * v_lsb * 16384),
        slope_down=round(cap.slope_down * 32768 * v_lsb * 16384),
        leak=round((1 - kept) * 65536),
        leak_amp=_amp(leak_slope * cap.leak_spread * 65536),
        threshold_amp=_amp(cap.threshold_spread * cap.transconductance / g_lsb),
        adc_bits=conv.adc_bits,
        read_bits=conv.read_bits,
        read_shift=conv.read_shift,
        adc_noise=conv.adc_noise,
        adc_offset=conv.adc_offset,
        read_power=round((w_read * 256 / BELL_SD) ** 2),
        w_max=0,
        capacitor_updates=cell.update_device == "capacitor",
    )
    slow = tables.gain * tables.g_max
    reach = max(
        tables.v_max - min(0, tables.v_leak),
        max(0, tables.v_leak) - tables.v_min,
    ) + worst(0, tables.init_amp)
    fast = ((reach + 2) >> 2) + 2 * worst(0, tables.threshold_amp)
    object.__setattr__(tables, "w_max", slow + fast * tables.capacitor_updates)
    _check_widths(tables, config, max_pulses)
    return tables


def _check_widths(t: FixedTables, config: TileConfig, max_pulses: int) -> None:
    """Refuse tables that would overflow the integers of the tile."""

    def fits(holds, name, sentence):
        if not holds:
            raise ValueError(f"{name} must {sentence}")

    fits(
        t.w_max < 32768,
        "unit",
        f"be larger (S): weights up to {t.w_max} codes do not fit 16 bits; "
        "F * g_max and the capacitor's swing together must stay below 2 units",
    )
    lines = max(config.rows, config.cols)
    fits(
        lines * 127 * t.w_max < 2**31 - _HEADROOM,
        "rows and cols",
        f"be smaller: {lines} lines of weights up to {t.w_max} overflow a 32-bit sum",
    )
    for name in ("v_min", "v_max"):
        fits(
            -32768 <= getattr(t, name) <= 32767,
            name,
            f"lie within 16 bits of v_init (unit / transconductance / 2 volts), "
            f"not {getattr(t, name)} codes",
        )
    step = max(worst(t.up, t.up_amp), worst(t.down, t.down_amp))
    fits(step < 32768, "dv_up and dv_down", f"be smaller (V): {step} does not fit 16 bits")
    factor = 16384 + max(t.slope_up, t.slope_down)
    fits(
        max_pulses * step * factor < 2**31 - 2**18,
        "dv_up and dv_down",
        f"be smaller (V): {max_pulses} pulses of {step} codes overflow 32 bits",
    )
    span = t.v_max - t.v_min
    fits(
        worst(t.leak, t.leak_amp) * span < 2**31 - 2**16,
        "tau_leak",
        "be longer (s): a tick of leakage overflows 32 bits",
    )
    fits(worst(t.drift_mean, t.drift_amp) < 2**15, "drift_nu", "be smaller")
    fits(
        worst(t.leak, t.leak_amp) < 2**15,
        "tau_leak",
        "be longer (s): a cell must keep half of its charge from one ageing tick to the next",
    )
    fits(worst(0, t.response_amp) < 2**15, "set_spread", "be at most 2.3: it must fit 16 bits")
    for name, least in (
        ("dv_up", t.up - worst(0, t.up_amp)),
        ("dv_down", t.down - worst(0, t.down_amp)),
    ):
        fits(
            least >= 1 or not t.capacitor_updates,
            name,
            f"be larger (V): the smallest step is {least} of 2**-{STEP_FRAC} capacitor codes",
        )
