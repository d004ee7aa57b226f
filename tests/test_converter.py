# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from analog_models.converter import convert
from analog_models.presets import IDEAL, TUNED

LSB = 2.0**-40  # a power of two, so that ties are exact


@pytest.mark.parametrize(
    ("charge", "code"),
    [
        (0, 0),
        (0.49, 0),
        (0.5, 1),
        (1.5, 2),
        (-0.5, 0),
        (-0.51, -1),
        (-1.5, -1),
        (7.49, 7),
        (-8, -8),
    ],
)
def test_convert_rounds_half_up(charge, code):
    assert convert(charge * LSB, LSB, 4) == code


@pytest.mark.parametrize("bits", [4, 8, 12])
def test_convert_saturates_at_both_ends(bits):
    top = 2 ** (bits - 1) - 1
    charges = np.array([top - 1, top, top + 0.49, top + 1, 1e9, -top - 1, -top - 1.51, -1e9]) * LSB
    codes = convert(charges, LSB, bits)
    np.testing.assert_array_equal(codes, [top - 1, top, top, top, top] + [-top - 1] * 3)
    assert codes.dtype == np.int64


def test_convert_adds_offset_and_noise_before_rounding():
    charges = np.array([1.0, 2.0, 3.0]) * LSB
    codes = convert(charges, LSB, 8, offset=np.array([0.25, 0.5, -0.5]), noise=0.25)
    np.testing.assert_array_equal(codes, [2, 3, 3])  # 1.5, 2.75, 2.75


def test_one_adc_code_is_the_charge_of_its_weight():
    """At shift 14 an LSB is the charge of weight 1.0 driven by input code 1."""
    converter = IDEAL.converter
    charge = converter.v_read * 50e-6 * converter.t_lsb  # volts, siemens, seconds: coulombs
    assert converter.charge_lsb(50e-6, 14) == pytest.approx(charge, rel=1e-12, abs=0)
    assert converter.charge_lsb(50e-6, 17) == pytest.approx(8 * charge, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("adc_bits", 3, "adc_bits must be within 4..8, not 3"),
        ("adc_bits", 9, "adc_bits must be within 4..8, not 9"),
        ("read_bits", 13, "read_bits must be within 8..12, not 13"),
        ("read_shift", 6, "read_shift must be within 7..14, not 6"),
        ("adc_noise", -0.1, "adc_noise must be non-negative (LSB), not -0.1"),
        ("adc_offset", -0.1, "adc_offset must be non-negative (LSB), not -0.1"),
        ("v_read", 0, "v_read must be positive (V), not 0"),
        ("t_lsb", 0, "t_lsb must be positive (s), not 0"),
    ],
)
def test_converter_rejects_what_cannot_be(name, value, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        TUNED.converter.but(**{name: (value, "test")})


@pytest.mark.parametrize("name", ["adc_bits", "read_bits", "read_shift"])
def test_converter_takes_both_ends_of_a_range(name):
    for value in {"adc_bits": (4, 8), "read_bits": (8, 12), "read_shift": (7, 14)}[name]:
        assert getattr(TUNED.converter.but(**{name: (value, "test")}), name) == value
