# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.pulses import column_pulses, lanes, rate_registers, row_pulses, step_lanes


def test_row_pulses_round_half_up():
    x = np.array([-127, -64, -63, 0, 63, 64, 127])
    assert row_pulses(x, None).tolist() == [-1, -1, 0, 0, 0, 1, 1]


def test_row_pulses_fire_with_the_mean_of_the_code():
    n, state = 10_000, lanes(1, 0, 10_000)
    step_lanes(state)
    fired = row_pulses(np.full(n, 32), state).mean()
    assert abs(fired - 0.25) < 5 * np.sqrt(0.25 * 0.75 / n)


def test_column_pulses_round_and_bound():
    pulses, asked = column_pulses(np.array([-127, -3, 0, 1, 2, 127]), 16, 5, 31, None)
    assert pulses.tolist() == [-31, -2, 0, 1, 1, 31]  # 16/32 each: 63.5, 1.5, 0.5 round up
    assert asked.tolist() == [64, 2, 0, 1, 1, 64]


def test_column_pulses_have_the_mean_of_the_rate():
    n, state = 10_000, lanes(1, 1, 10_000)
    step_lanes(state)
    pulses, _ = column_pulses(np.full(n, -5), 21, 9, 31, state)
    mean = 5 * 21 / 512
    assert abs(pulses.mean() + mean) < 5 * np.sqrt(mean * (1 - mean) / n)


def test_lanes_never_reach_zero_and_differ():
    state = lanes(3, 0, 1000)
    for _ in range(100):
        step_lanes(state)
        assert np.all(state != 0)
    assert np.unique(state).size == 1000


def test_step_lanes_is_xorshift32():
    state = np.array([1], np.uint32)
    step_lanes(state)
    assert state.tolist() == [270369]  # Marsaglia's triple 13, 17, 5 from 1


@pytest.mark.parametrize("rate", [1e-5, 0.04, 0.16, 0.5, 1.0, 7.3, 200.0])
def test_rate_registers_are_within_one_in_thirty_one(rate):
    mult, shift = rate_registers(rate)
    assert abs(mult / 2**shift / rate - 1) <= 1 / 31


@pytest.mark.parametrize("rate", [1e-9, 300.0])
def test_rate_registers_reject_what_does_not_fit(rate):
    sentence = "^learning rate must make 1e-6..255 pulses per error code, not "
    with pytest.raises(ValueError, match=sentence):
        rate_registers(rate)


codes = st.lists(st.integers(-127, 127), min_size=1, max_size=40).map(np.array)


@settings(deadline=None, derandomize=True)
@given(codes, st.integers(0, 2**32), st.booleans())
def test_row_pulses_are_the_sign_or_nothing(x, seed, stochastic):
    pulses = row_pulses(x, lanes(seed, 0, x.size) if stochastic else None)
    assert np.all((pulses == 0) | (pulses == np.sign(x)))


@settings(deadline=None, derandomize=True)
@given(
    codes,
    st.integers(16, 255),
    st.integers(0, 24),
    st.integers(1, 31),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_column_pulses_stay_within_one_of_the_rate_and_the_bound(
    delta, mult, shift, most, seed, stochastic
):
    state = lanes(seed, 0, delta.size) if stochastic else None
    pulses, asked = column_pulses(delta, mult, shift, most, state)
    exact = np.abs(delta) * mult / 2**shift
    assert np.all(np.abs(asked - exact) < 1 if stochastic else np.abs(asked - exact) <= 0.5)
    np.testing.assert_array_equal(pulses, np.sign(delta) * np.minimum(asked, most))


@pytest.mark.parametrize("shift", [1, 7, 24])
def test_column_pulses_use_the_highest_bits_of_the_lane(shift):
    # mult 1: only the largest random number, all ones, carries.
    ones = 2**32 - 2 ** (32 - shift)
    for lane, pulse in ((ones - 1, 0), (ones, 1)):
        state = np.array([lane], np.uint32)
        assert column_pulses(np.array([1]), 1, shift, 31, state)[0].tolist() == [pulse]


@pytest.mark.parametrize("state", [None, np.array([1, 2**32 - 1], np.uint32)])
def test_column_pulses_without_shift_need_no_rounding(state):
    pulses, asked = column_pulses(np.array([-1, 2]), 20, 0, 31, state)
    assert (pulses.tolist(), asked.tolist()) == ([-20, 31], [20, 40])


def test_row_pulses_use_seven_bits_of_the_lane():
    state = np.array([126 << 25, 127 << 25], np.uint32)
    assert row_pulses(np.array([1, 1]), state).tolist() == [0, 1]
    assert row_pulses(np.array([0, 0]), state).tolist() == [0, 0]


@settings(deadline=None, derandomize=True)
@given(st.floats(1e-6, 255))
def test_rate_registers_fit_their_bits(rate):
    mult, shift = rate_registers(rate)
    assert 16 <= mult <= (31 if shift else 255)
    assert 0 <= shift <= 24
    assert abs(mult / 2**shift / rate - 1) <= 1 / 31


@pytest.mark.parametrize("rate", [0.0, -1.0, 9e-7, 255.6])
def test_rate_registers_reject_just_outside(rate):
    sentence = f"^learning rate must make 1e-6..255 pulses per error code, not {rate:g}$"
    with pytest.raises(ValueError, match=sentence):
        rate_registers(rate)
