# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from analog_models.cell import weight
from analog_models.presets import TUNED, TWO_PCM

CELL = TUNED.cell  # F = 3, 50 uS stand for weight 1.0

G_PLUS = np.array([[12e-6, 0.0], [1e-6, 20e-6]])
G_MINUS = np.array([[2e-6, 5e-6], [1e-6, 0.0]])
G = np.array([[25e-6, 20e-6], [30e-6, 22.5e-6]])
G_SHARED = np.array([[20e-6], [22.5e-6]])


def test_weight_is_the_equation_of_the_paper():
    slow = np.array([[0.6, -0.3], [0.0, 1.2]])  # 3 * (G+ - G-) / 50 uS
    fast = np.array([[0.1, 0.0], [0.15, 0.0]])  # (g - g_shared) / 50 uS
    for polarity in (1, -1):
        w = weight(CELL, G_PLUS, G_MINUS, G, G_SHARED, polarity)
        np.testing.assert_allclose(w, slow + polarity * fast, atol=1e-12)


def test_weight_of_two_pcm_does_not_read_the_capacitor():
    for polarity in (1, -1):
        w = weight(TWO_PCM.cell, G_PLUS, G_MINUS, G, G_SHARED, polarity)
        np.testing.assert_allclose(w, [[0.6, -0.3], [0.0, 1.2]], atol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        (
            {"gain": (2.5, "test")},
            "gain must be a whole number within 1..15: F multiplies the pulse duration, not 2.5",
        ),
        (
            {"gain": (16, "test")},
            "gain must be a whole number within 1..15: F multiplies the pulse duration, not 16",
        ),
        ({"unit": (0.0, "test")}, "unit must be positive (S), not 0.0"),
        ({"update_device": "tape"}, "update_device must be 'capacitor' or 'pcm', not 'tape'"),
    ],
    ids=["fraction", "large", "unit", "device"],
)
def test_cell_rejects_what_cannot_be(numbers, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        CELL.but(**numbers)


def test_cell_takes_every_gain_that_a_pulse_duration_can_have():
    for gain in (1, 15):
        assert CELL.but(gain=(gain, "test")).gain == gain


def test_cell_rejects_a_capacitor_that_cannot_repair_a_transfer():
    """15 * (20 - 0.1) uS / 63 codes = 4.738 uS a SET step; 50 uS/V * 90 mV = 4.5 uS of swing."""
    small = CELL.capacitor.but(v_min=(0.41, "test"))
    sentence = (
        "capacitor swing must be at least one SET step of F*G (4.7381e-06 S), not 4.5e-06: "
        "the capacitor could not repair the error of a transfer"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        CELL.but(capacitor=small, gain=(15, "test"))
    CELL.but(capacitor=small, gain=(14, "test"))
    near_the_top = CELL.capacitor.but(v_max=(0.59, "test"), v_leak=(0.55, "test"))
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        CELL.but(capacitor=near_the_top, gain=(15, "test"))
    TWO_PCM.cell.but(capacitor=small, gain=(15, "test"))
