# SPDX-License-Identifier: Apache-2.0
"""Named tiles, every number with its source, and the switches that turn effects off.

Sources: [A18] Ambrogio et al., Nature 558, 60 (2018), with Extended Data figure; [A18, recalled]
said of it in the literature but not verified in its text; [N19] Nandakumar et al., ICECS 2019,
as coded in aihwkit; "assumed" stands for a choice of this project, with the reason.
"""

from .capacitor import CapacitorConfig
from .cell import CellConfig
from .converter import ConverterConfig
from .pcm import PcmConfig
from .tile import TileConfig

__all__ = ["IDEAL", "PAPER", "SWITCHES", "TILES", "TUNED", "TWO_PCM", "without"]

_OFF = "switched off"

_PCM = PcmConfig.of(
    g_max=(20e-6, "[A18] ED Fig. 7: durations map monotonically to conductance below 20 uS"),
    g_reset=(0.1e-6, "Nandakumar et al., JAP 124, 152135 (2018): 0.1 uS after RESET"),
    reset_noise=(0.0, _OFF),
    set_codes=(63, "assumed: six-bit selection of the duration"),
    set_step_min=(1.7e-9, "[A18] ED Fig. 7"),
    set_step_max=(550e-9, "[A18] ED Fig. 7"),
    set_noise=(0.0, _OFF),
    set_spread=(0.0, _OFF),
    drift_nu=(0.0, _OFF),
    drift_nu_spread=(0.0, _OFF),
    drift_t0=(5e-3, "assumed: mean wait for training; 265 rows of six 6 us shots take 10 ms"),
    read_noise=(0.0, _OFF),
    pulse_fraction=(0.01, "assumed: unused unless update_device is 'pcm'"),
    pulse_noise=(0.0, _OFF),
)
_CAPACITOR = CapacitorConfig.of(
    capacitance=(50e-15, "assumed: 10-100 fF in cells of that kind; only sets charges"),
    transconductance=(50e-6, "assumed: +-0.4 V then move the weight by +-0.4"),
    threshold=(0.05, "assumed: low-threshold read FET"),
    threshold_spread=(0.0, _OFF),
    v_init=(0.5, "[A18] ED Fig. 9"),
    init_noise=(0.0, _OFF),
    v_min=(0.1, "assumed"),
    v_max=(0.9, "assumed"),
    v_leak=(0.8, "[A18] ED Fig. 9: 'decay' towards 0.8 V"),
    tau_leak=(float("inf"), _OFF),
    leak_spread=(0.0, _OFF),
    dv_up=(0.4 / 820, "assumed: 820 steps from v_init to the end of the range"),
    dv_down=(0.4 / 820, "assumed: as dv_up"),
    slope_up=(0.0, _OFF),
    slope_down=(0.0, _OFF),
    up_spread=(0.0, _OFF),
    down_spread=(0.0, _OFF),
)
_CONVERTER = ConverterConfig.of(
    adc_bits=(8, "assumed: Narayanan et al., TED 2021 reads 8-bit durations"),
    read_bits=(12, "assumed: one row at a time leaves time for a finer ramp"),
    read_shift=(11, "assumed: 12 bits then span weights of +-2"),
    adc_noise=(0.0, _OFF),
    adc_offset=(0.0, _OFF),
    v_read=(0.2, "assumed: 0.2-0.3 V is usual for phase-change devices"),
    t_lsb=(0.5e-9, "assumed: full scale 64 ns, within 240 ns for three passes"),
)

#: No noise, no mismatch, no leakage, no drift: every test starts here.
IDEAL = TileConfig.of(
    cell=CellConfig.of(
        pcm=_PCM,
        capacitor=_CAPACITOR,
        gain=(3, "[A18, recalled] about 3; a whole number, it scales the pulse duration"),
        unit=(50e-6, "assumed: F * 20 uS then stand for weights of +-1.2"),
    ),
    converter=_CONVERTER,
    rows=(512, "[A18] ED Fig. 7: an array of 512 x 1,024 devices"),
    cols=(512, "[A18] ED Fig. 7: 1,024 devices are 512 pairs"),
    period=(240e-9, "[A18, recalled] 240 ns per training example"),
    age_periods=(64, "assumed: leakage moves a cell by less than 4 steps per tick"),
)

_NOISY_PCM = _PCM.but(
    reset_noise=(0.05e-6, "assumed: half of the mean"),
    set_noise=(1.0, "[N19] polynomial in the conductance, 0.3-1.1 uS"),
    set_spread=(0.1, "assumed: device-to-device part of the spread in [A18] ED Fig. 7"),
    drift_nu=(0.05, "[N19] 0.049 above 0.2 of g_max"),
    drift_nu_spread=(0.008, "[N19] 0.008 above 0.33 of g_max"),
    read_noise=(0.02e-6, "assumed: the part that is white over one 64 ns read"),
)
_NOISY_CONVERTER = _CONVERTER.but(
    adc_noise=(0.25, "assumed"),
    adc_offset=(0.15, "assumed: left after trimming"),
)

#: What trains best; differs from PAPER in the finer step, wider window, smaller read mismatch
#: and slower leakage.
TUNED = IDEAL.but(
    cell=IDEAL.cell.but(
        pcm=_NOISY_PCM,
        capacitor=_CAPACITOR.but(
            threshold_spread=(0.01, "assumed: read FET larger than minimum"),
            init_noise=(0.25e-3, "assumed: half a step"),
            tau_leak=(20e-3, "assumed: about ten transfer intervals; PAPER has 5.16 ms"),
            leak_spread=(0.3, "aihwkit CapacitorPreset: 30 % spread of the lifetime"),
            slope_up=(0.25, "assumed: 10 % over the 0.4 V from v_init to the end"),
            slope_down=(0.25, "assumed: as slope_up"),
            up_spread=(0.15, "assumed: with down_spread an asymmetry of 10.6 %"),
            down_spread=(0.15, "assumed: as up_spread"),
        ),
    ),
    converter=_NOISY_CONVERTER,
)

#: What the paper's published parts say, the gaps filled by the bounds that follow from them.
PAPER = TUNED.but(
    cell=TUNED.cell.but(
        capacitor=TUNED.cell.capacitor.but(
            threshold=(0.3, "assumed: g at v_init is small but above the 2 uS offset"),
            threshold_spread=(0.025, "assumed: minimum-size FET, 20-30 mV"),
            v_min=(0.4, "assumed: 3.5 sigma above threshold, so little range downwards"),
            v_max=(0.99, "assumed: supply of 1 V"),
            tau_leak=(5.16e-3, "[A18, recalled] 5.16 ms"),
            dv_up=(2e-3, "inferred from [A18] ED Fig. 2: 1-3 mV leave headroom"),
            dv_down=(2e-3, "inferred from [A18] ED Fig. 2"),
        ),
    ),
)

#: The older cell: two phase-change devices, updated by partial SETs, no capacitor.
TWO_PCM = TUNED.but(
    cell=TUNED.cell.but(
        update_device="pcm",
        gain=(3, "assumed: same weight range as TUNED"),
        pcm=_NOISY_PCM.but(
            pulse_fraction=(1 / 110, "assumed: about 110 partial SETs to full scale"),
            pulse_noise=(0.05e-6, "assumed: 30 % of the first step"),
            drift_nu=(0.0, "assumed: every partial SET restarts the clock of drift"),
            drift_nu_spread=(0.0, "assumed: as drift_nu"),
        ),
    ),
)

TILES = {"ideal": IDEAL, "paper": PAPER, "tuned": TUNED, "two-pcm": TWO_PCM}

_LEAKAGE = {"tau_leak": float("inf")}
_DRIFT = {"drift_nu": 0.0, "drift_nu_spread": 0.0}
_CAP_MISMATCH = {"threshold_spread": 0.0, "up_spread": 0.0, "down_spread": 0.0, "leak_spread": 0.0}

#: name -> (pcm, capacitor, converter) numbers that turn the effect off.
SWITCHES = {
    "leakage": ({}, _LEAKAGE, {}),
    "mismatch": ({"set_spread": 0.0}, _CAP_MISMATCH, {"adc_offset": 0.0}),
    "state-dependence": ({}, {"slope_up": 0.0, "slope_down": 0.0}, {}),
    "init-noise": ({}, {"init_noise": 0.0}, {}),
    "pcm-noise": ({"reset_noise": 0.0, "set_noise": 0.0, "pulse_noise": 0.0}, {}, {}),
    "read-noise": ({"read_noise": 0.0}, {}, {}),
    "drift": (_DRIFT, {}, {}),
    "adc-noise": ({}, {}, {"adc_noise": 0.0}),
}


def without(config: TileConfig, *names: str) -> TileConfig:
    """Return ``config`` with the named effects (keys of :data:`SWITCHES`) turned off."""
    for name in names:
        if name not in SWITCHES:
            raise ValueError(f"switch must be one of {', '.join(SWITCHES)}, not {name!r}")
        pcm, capacitor, converter = (
            {k: (v, _OFF) for k, v in part.items()} for part in SWITCHES[name]
        )
        cell = config.cell
        cell = cell.but(pcm=cell.pcm.but(**pcm), capacitor=cell.capacitor.but(**capacitor))
        config = config.but(cell=cell, converter=config.converter.but(**converter))
    return config
