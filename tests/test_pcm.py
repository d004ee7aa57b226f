# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from analog_models.pcm import PcmArray
from analog_models.presets import IDEAL, TUNED, TWO_PCM

K = 5
IDEAL_PCM, TUNED_PCM = IDEAL.cell.pcm, TUNED.cell.pcm


def array(config=TUNED_PCM, rows=3, cols=8, seed=1):
    return PcmArray(rows, cols, config, rng=np.random.default_rng(seed))


def with_(config=IDEAL_PCM, **numbers):
    """Return the configuration with some numbers replaced."""
    return config.but(**{k: (v, "test") for k, v in numbers.items()})


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def test_set_duration_spans_the_published_ramp():
    total = IDEAL_PCM.set_duration()
    assert total.size == IDEAL_PCM.set_codes == 63
    assert total[0] == pytest.approx(13.6e-9)  # eight steps of 1.7 ns
    assert total[-1] == pytest.approx(4.4e-6)  # eight steps of 550 ns
    np.testing.assert_allclose(np.diff(np.log(total)), np.log(550 / 1.7) / 62)


def test_set_mean_is_linear_in_the_logarithm_of_the_duration():
    mean, duration = IDEAL_PCM.set_mean(), IDEAL_PCM.set_duration()
    assert mean[-1] == IDEAL_PCM.g_max
    assert mean[0] == pytest.approx(0.1e-6 + 19.9e-6 / 63)
    line = np.polyfit(np.log(duration), mean, 1)
    np.testing.assert_allclose(np.polyval(line, np.log(duration)), mean, atol=1e-12)


@pytest.mark.parametrize(
    ("g", "sigma"), [(0.0, 0.26348e-6), (12.5e-6, 0.952705e-6), (20e-6, 1.084696e-6)]
)
def test_set_sigma_is_the_published_polynomial(g, sigma):
    assert TUNED_PCM.set_sigma(g) == pytest.approx(sigma)
    assert with_(set_noise=0.5).set_sigma(g) == pytest.approx(sigma / 2)


def test_pcm_set_without_noise_gives_the_mean(rng):
    devices = array(IDEAL_PCM, 2, 4)
    devices.set(0, np.array([0, 1, 30, 63]), rng=rng)
    mean = IDEAL_PCM.set_mean()
    np.testing.assert_allclose(devices.g[0], [0.1e-6, mean[0], mean[29], 20e-6], rtol=1e-12)
    np.testing.assert_array_equal(devices.g[1], 0.1e-6)


def test_pcm_set_never_lowers(rng):
    devices = array(TUNED_PCM, 1, 500)
    devices.set(0, np.full(500, 30), rng=rng)
    for code in (30, 1, 63, 20):
        before = devices.g.copy()
        devices.set(0, np.full(500, code), rng=rng)
        assert np.all(devices.g >= before)
        assert devices.g.max() <= 20e-6


def test_pcm_set_adds_to_what_drift_has_left(rng):
    devices = array(with_(IDEAL_PCM, drift_nu=0.1), 1, 3)
    devices.g[:] = [10e-6, 10e-6, 1e-6]
    devices.age[:] = 1.0
    left = devices.conductance()[0]
    aim = IDEAL_PCM.set_mean()[29]  # between what was programmed and what drift has left
    assert left[0] < aim < 10e-6
    devices.set(0, np.array([30, 0, 1]), rng=rng)
    np.testing.assert_allclose(devices.conductance()[0], [aim, *left[1:]], rtol=1e-12)


def test_pcm_partial_set_starts_from_what_drift_has_left(rng):
    devices = array(with_(IDEAL_PCM, drift_nu=0.1), 1, 2)
    devices.g[:], devices.age[:] = 10e-6, 1.0
    left = devices.conductance()[0, 0]
    devices.partial_set(np.array([0]), np.array([1]), np.array([1]), rng=rng)
    risen = left + IDEAL_PCM.pulse_fraction * (20e-6 - left)
    np.testing.assert_allclose(devices.conductance()[0], [left, risen], rtol=1e-12)
    assert devices.age[0, 1] == 0


def test_pcm_set_restarts_the_clock_where_it_acts(rng):
    devices = array(TUNED_PCM, 2, 3)
    devices.age += 5.0
    devices.set(1, np.array([0, 1, 5]), rng=rng)
    devices.reset(0, np.array([False, True, False]), rng=rng)
    np.testing.assert_array_equal(devices.age, [[5, 0, 5], [5, 0, 0]])


def test_pcm_reset_gives_the_published_conductance(rng):
    devices = array(IDEAL_PCM, 2, 4)
    devices.g[:] = 15e-6
    devices.reset(1, np.array([True, False, True, False]), rng=rng)
    np.testing.assert_array_equal(devices.g[0], 15e-6)
    np.testing.assert_array_equal(devices.g[1], [0.1e-6, 15e-6, 0.1e-6, 15e-6])


def test_pcm_reset_spreads_but_stays_positive(rng):
    devices = array(TUNED_PCM, 1, 20_000)
    devices.reset(0, np.full(20_000, True), rng=rng)
    assert devices.g.min() == 0
    # Cut two sigma below the mean, which lifts it by 0.0085 sd.
    bound = K * 0.05e-6 / np.sqrt(20_000)
    assert abs(devices.g.mean() - 0.1e-6 - 0.0085 * 0.05e-6) <= bound
    assert np.median(np.abs(devices.g - 0.1e-6)) == pytest.approx(0.6745 * 0.05e-6, rel=0.04)


def test_pcm_partial_set_closes_part_of_the_gap(rng):
    devices = array(IDEAL_PCM, 2, 3)
    devices.g[:] = 10e-6
    devices.partial_set(np.array([0, 1]), np.array([2, 0]), np.array([1, 3]), rng=rng)
    expected = np.full((2, 3), 10e-6)
    expected[0, 2] = 10.1e-6  # one hundredth of 10 uS
    expected[1, 0] = 20e-6 - 10e-6 * 0.99**3
    np.testing.assert_allclose(devices.g, expected, rtol=1e-14)


def test_pcm_partial_sets_add_their_noise(rng):
    config = TWO_PCM.cell.pcm
    devices = array(config, 1, 10_000)
    devices.g[:] = 10e-6
    where = np.zeros(10_000, int), np.arange(10_000)
    devices.partial_set(*where, np.full(10_000, 4), rng=rng)
    sd = config.pulse_noise * 2
    mean = 20e-6 - 10e-6 * (1 - 1 / 110) ** 4
    assert abs(devices.g.mean() - mean) <= K * sd / 100
    assert abs(devices.g.std() - sd) <= K * sd / 100 / np.sqrt(2)
    devices.partial_set(*where, np.full(10_000, 3000), rng=rng)
    assert devices.g.max() <= 20e-6


@pytest.mark.parametrize(
    ("age", "kept"), [(0.0, 1.0), (5e-3, 2**-0.05), (15e-3, 4**-0.05), (4.995, 1000**-0.05)]
)
def test_pcm_drift_is_a_power_law_of_one_plus_age(age, kept):
    devices = array(with_(drift_nu=0.05), 1, 2)
    devices.g[:] = 8e-6
    devices.age[:] = age
    np.testing.assert_allclose(devices.conductance(), 8e-6 * kept, rtol=1e-13)
    np.testing.assert_array_equal(devices.g, 8e-6)


def test_pcm_without_drift_keeps_its_conductance():
    devices = array(IDEAL_PCM)
    devices.age[:] = 1e9
    np.testing.assert_array_equal(devices.conductance(), devices.g)


def test_pcm_drift_exponents_are_never_negative():
    devices = array(with_(drift_nu=0.01, drift_nu_spread=0.02), 100, 100)
    assert devices.nu.min() == 0
    devices.age[:] = 1.0
    assert np.all(devices.conductance() <= devices.g)


@pytest.mark.parametrize(("name", "mean", "sd"), [("nu", 0.05, 0.008), ("response", 1.0, 0.1)])
def test_pcm_gives_every_device_its_own_value(name, mean, sd):
    first, second = array(rows=128, cols=128), array(rows=128, cols=128, seed=2)
    values = getattr(first, name)
    n = values.size
    # Exponents stop at zero, but that is 6 sigma away.
    assert abs(values.mean() - mean) <= K * sd / np.sqrt(n) + 4e-4 * sd
    assert abs(values.std() - sd) <= K * sd / np.sqrt(2 * n) + 2e-3 * sd
    assert np.unique(values[values > 0]).size == np.count_nonzero(values > 0) >= 0.999 * n
    for a, b in (
        (values[1:], values[:-1]),
        (values[:, 1:], values[:, :-1]),
        (values, getattr(second, name)),
        (first.nu, first.response),
    ):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) <= K / np.sqrt(a.size)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"g_max": 0.0}, "g_max must be positive (S), not 0.0"),
        (
            {"g_reset": 20e-6},
            (
                "g_reset must be within 0..g_max (S): "
                "RESET leaves the amorphous, less conducting state, not 2e-05"
            ),
        ),
        (
            {"g_reset": -1e-9},
            (
                "g_reset must be within 0..g_max (S): "
                "RESET leaves the amorphous, less conducting state, not -1e-09"
            ),
        ),
        ({"set_codes": 1}, "set_codes must be within 2..63, not 1"),
        ({"set_codes": 64}, "set_codes must be within 2..63, not 64"),
        ({"set_step_min": 0.0}, "set_step_min must be positive (s), not 0.0"),
        (
            {"set_step_max": 1.7e-9},
            "set_step_max must be longer than set_step_min (s), not 1.7e-09",
        ),
        ({"reset_noise": -1.0}, "reset_noise must be non-negative, not -1.0"),
        ({"set_noise": -1.0}, "set_noise must be non-negative, not -1.0"),
        ({"set_spread": -1.0}, "set_spread must be non-negative, not -1.0"),
        ({"read_noise": float("nan")}, "read_noise must be non-negative, not nan"),
        ({"pulse_noise": -1.0}, "pulse_noise must be non-negative, not -1.0"),
        (
            {"drift_nu": -0.01},
            (
                "drift_nu must be non-negative: "
                "structural relaxation only lowers the conductance, not -0.01"
            ),
        ),
        ({"drift_nu": 0.3}, "drift_nu must be at most 0.2, not 0.3"),
        ({"drift_nu_spread": -1.0}, "drift_nu_spread must be non-negative, not -1.0"),
        ({"drift_t0": 0.0}, "drift_t0 must be positive (s), not 0.0"),
        ({"pulse_fraction": 0.0}, "pulse_fraction must be within 0..1, not 0.0"),
        ({"pulse_fraction": 1.0}, "pulse_fraction must be within 0..1, not 1.0"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else "",
)
def test_pcm_rejects_what_cannot_be(changed, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        with_(**changed)


@pytest.mark.parametrize("codes", [2, 63])
def test_pcm_takes_every_number_of_set_durations_in_range(codes):
    assert with_(set_codes=codes).set_mean().size == codes
