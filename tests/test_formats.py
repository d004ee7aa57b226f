# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.formats import round_shift, saturate


def test_round_shift_rounds_half_up():
    x = np.array([-6, -5, -3, -2, -1, 0, 1, 2, 3, 5, 6])
    assert round_shift(x, 2).tolist() == [-1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 2]


def test_round_shift_by_zero_changes_nothing():
    x = np.array([-3, 0, 7])
    np.testing.assert_array_equal(round_shift(x, 0), x)


@settings(deadline=None, derandomize=True)
@given(st.integers(-(2**61), 2**61), st.integers(0, 61))
def test_round_shift_is_the_floor_of_the_exact_quotient_plus_a_half(x, shift):
    expected = floor(Fraction(x, 2**shift) + Fraction(1, 2))
    assert int(round_shift(np.int64(x), shift)) == expected


@pytest.mark.parametrize("shift", [-1, 63])
def test_round_shift_rejects_shifts_outside_the_word(shift):
    with pytest.raises(ValueError, match=rf"^shift must be within 0\.\.62, not {shift}$"):
        round_shift(np.array([1]), shift)


def test_saturate_bounds_both_ends():
    x = np.array([-129, -128, -127, 0, 126, 127, 128])
    assert saturate(x, -127, 127).tolist() == [-127, -127, -127, 0, 126, 127, 127]
