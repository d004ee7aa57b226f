# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from golden.tables import ACTIVATIONS, activation_table

#: LSB of 2**-7: entry ``code & 255`` belongs to ``code / 128``.
SEVEN = 14


def entries(name, shift, codes):
    value, slope = activation_table(name, shift)
    return [(int(value[c & 255]), int(slope[c & 255])) for c in codes]


@pytest.mark.parametrize(
    ("name", "shift", "codes", "expected"),
    [
        ("identity", SEVEN, [-128, -127, 0, 127], [(-127, 0), (-127, 128), (0, 128), (127, 128)]),
        # LSB 1/32: reaches +-4; slope 1 to 0.5, 1/2 to 1.5, then flat
        ("pl-tanh", 16, [0, 15, 16, 47, 48], [(0, 128), (60, 128), (64, 64), (126, 64), (127, 0)]),
        ("pl-tanh", 16, [-15, -16, -47, -48], [(-60, 128), (-64, 64), (-126, 64), (-127, 0)]),
        ("hard-sigmoid", 16, [-64, -63, 0, 64], [(0, 0), (1, 32), (64, 32), (127, 0)]),
        ("relu", 16, [-1, 0, 1, 31, 32], [(0, 0), (0, 0), (4, 128), (124, 128), (127, 0)]),
        ("tanh", 16, [0, 32, -32], [(0, 128), (97, 54), (-97, 54)]),
    ],
)  # fmt: skip
def test_activation_table_has_the_hand_worked_entries(name, shift, codes, expected):
    assert entries(name, shift, codes) == expected


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shift", [8, 14, 15, 16, 17, 21])
def test_activation_table_is_the_rounded_function(name, shift):
    value, slope = activation_table(name, shift)
    z = np.arange(-128, 128) * 2.0 ** (shift - 21)
    order = np.arange(-128, 128) & 255
    exact = np.clip(128 * ACTIVATIONS[name].value(z), -127, 127)
    assert np.abs(value[order] - exact).max() <= 0.5
    assert np.abs(slope[order] - 128 * ACTIVATIONS[name].slope(z)).max() <= 0.5
    assert np.all(np.diff(value[order]) >= 0)
    assert value.dtype == slope.dtype == np.int32


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_slopes_are_the_derivatives(name):
    z = np.arange(-400, 400) / 100 + 0.005  # between all corners
    f, step = ACTIVATIONS[name], 1e-6
    numeric = (f.value(z + step) - f.value(z - step)) / (2 * step)
    np.testing.assert_allclose(f.slope(z), numeric, atol=1e-6)


def test_activation_table_rejects_unknown_names():
    names = re.escape(", ".join(ACTIVATIONS))
    with pytest.raises(ValueError, match=f"^activation must be one of {names}, not 'gelu'$"):
        activation_table("gelu", 14)
