# SPDX-License-Identifier: Apache-2.0
"""What the integers of a tile cannot hold is refused, with the physical reason."""

import re

import pytest

from analog_models.calibration import calibrate
from analog_models.presets import TUNED


def cell(pcm=None, capacitor=None, **numbers):
    """TUNED with some numbers of its cell replaced."""
    parts = TUNED.cell
    pcm = parts.pcm.but(**{k: (v, "test") for k, v in (pcm or {}).items()})
    capacitor = parts.capacitor.but(**{k: (v, "test") for k, v in (capacitor or {}).items()})
    numbers = {k: (v, "test") for k, v in numbers.items()}
    return TUNED.but(cell=parts.but(pcm=pcm, capacitor=capacitor, **numbers))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            cell(unit=49e-6),
            (
                "unit must be larger (S): weights up to 32934 codes do not fit 16 bits; F * g_max "
                "and the capacitor's swing together must stay below 2 units"
            ),
        ),
        (
            cell(unit=49.4e-6),
            "rows and cols must be smaller: 512 lines of weights up to 32666 overflow a 32-bit sum",
        ),
        (
            cell(capacitor={"v_max": 1.1}, pcm={"g_max": 15e-6}),
            (
                "v_max must lie within 16 bits of v_init (unit / transconductance / 2 volts), "
                "not 39322 codes"
            ),
        ),
        (
            cell(capacitor={"v_init": 0.72, "v_max": 0.99}, pcm={"g_max": 15e-6}),
            (
                "v_min must lie within 16 bits of v_init (unit / transconductance / 2 volts), "
                "not -40632 codes"
            ),
        ),
        (
            cell(capacitor={"dv_up": 0.03}),
            "dv_up and dv_down must be smaller (V): 47739 does not fit 16 bits",
        ),
        (
            cell(capacitor={"dv_down": 0.004}),
            "dv_up and dv_down must be smaller (V): 31 pulses of 6365 codes overflow 32 bits",
        ),
        (
            cell(capacitor={"tau_leak": 2e-5}),
            "tau_leak must be longer (s): a tick of leakage overflows 32 bits",
        ),
        (cell(pcm={"drift_nu_spread": 2.0}), "drift_nu must be smaller"),
        (
            cell(
                capacitor={"tau_leak": 1.5e-5, "leak_spread": 0.0, "v_min": 0.3, "v_max": 0.7}
                | {"v_leak": 0.6}
            ),
            (
                "tau_leak must be longer (s): a cell must keep half of its charge from one ageing "
                "tick to the next"
            ),
        ),
        (
            cell(pcm={"set_spread": 2.4}),
            "set_spread must be at most 2.3: it must fit 16 bits",
        ),
        (
            cell(capacitor={"dv_down": 1e-7, "down_spread": 0.0}),
            "dv_down must be larger (V): the smallest step is 0 of 2**-4 capacitor codes",
        ),
        (
            cell(capacitor={"dv_up": 5e-6, "up_spread": 0.28}),
            "dv_up must be larger (V): the smallest step is -1 of 2**-4 capacitor codes",
        ),
    ],
    ids=[
        *("unit", "lines", "v_max", "v_min", "step", "pulses", "leak", "drift"),
        *("leaky", "response", "no step", "no step of the worst"),
    ],
)
def test_calibrate_rejects_what_does_not_fit(config, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        calibrate(config)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        (
            {"adc_noise": (1.2, "test")},
            (
                "adc_noise must be smaller (LSB) at an ADC shift of 21, not 1.2 and 0.15: "
                "they overflow the 32-bit sum"
            ),
        ),
        (
            {"adc_offset": (4.5, "test")},
            (
                "adc_noise and adc_offset must be smaller (LSB) at an ADC shift of 21, not 0.25 "
                "and 4.5: they overflow the 32-bit sum"
            ),
        ),
    ],
    ids=["noise", "offset"],
)
def test_adc_rejects_what_overflows_the_sum(numbers, sentence):
    tables = calibrate(TUNED.but(converter=TUNED.converter.but(**numbers)))
    tables.adc(18)
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        tables.adc(21)


def test_calibrate_takes_what_just_fits():
    calibrate(cell(pcm={"set_spread": 2.3}))
    calibrate(cell(capacitor={"dv_up": 2e-6, "up_spread": 0.1}))


def test_calibrate_counts_the_pulses_of_one_operation():
    calibrate(TUNED, max_pulses=127)
    sentence = "dv_up and dv_down must be smaller (V): 200 pulses of 777 codes overflow 32 bits"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        calibrate(TUNED, max_pulses=200)
