# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from analog_models.capacitor import CapacitorArray
from analog_models.presets import IDEAL, PAPER, TUNED

K = 5
IDEAL_CAP, TUNED_CAP = IDEAL.cell.capacitor, TUNED.cell.capacitor


def array(config=TUNED_CAP, shape=(4, 5), seed=1):
    return CapacitorArray(shape, config, rng=np.random.default_rng(seed))


def with_(config=IDEAL_CAP, **numbers):
    """Return the configuration with some numbers replaced."""
    return config.but(**{k: (v, "test") for k, v in numbers.items()})


def test_capacitor_pulse_moves_the_step_times_the_capacitance():
    cells = array(IDEAL_CAP)
    cells.pulse(np.index_exp[1, 2], np.array(1))
    dv = IDEAL_CAP.dv_up
    assert cells.v[1, 2] == pytest.approx(0.5 + dv, rel=1e-15)
    assert np.count_nonzero(cells.v != 0.5) == 1
    # 50 fF * 0.488 mV = 24.4 aC
    assert cells.charge["up"] == pytest.approx(24.39e-18, rel=1e-4, abs=0)
    assert cells.charge["up"] == pytest.approx(50e-15 * dv, rel=1e-9, abs=0)
    assert {k: q for k, q in cells.charge.items() if k != "up"} == {
        "down": 0,
        "leak": 0,
        "init": 0,
        "clip": 0,
    }
    cells.pulse(np.index_exp[1, 2], np.array(-1))
    assert cells.charge["down"] == pytest.approx(-50e-15 * dv, rel=1e-9, abs=0)
    assert cells.v[1, 2] == pytest.approx(0.5, rel=1e-15)


@pytest.mark.parametrize("config", [IDEAL_CAP, TUNED_CAP, PAPER.cell.capacitor], ids=range(3))
@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
@pytest.mark.parametrize("start", [0.48, 0.5, 0.62])
def test_capacitor_closed_form_is_that_many_single_pulses(config, sign, start):
    pulses = sign * np.array([[0, 1, 2, 3, 5], [7, 11, 15, 20, 31]])
    burst, single = array(config, (2, 5)), array(config, (2, 5))
    burst.v[:] = single.v[:] = start
    burst.pulse(..., pulses)
    for k in range(31):
        single.pulse(..., sign * (np.abs(pulses) > k))
    np.testing.assert_allclose(burst.v, single.v, rtol=1e-12)
    for kind in burst.charge:
        assert burst.charge[kind] == pytest.approx(single.charge[kind], rel=1e-9, abs=1e-30)


def test_capacitor_pulses_have_the_hand_worked_step():
    cells = array(with_(dv_up=2e-3, dv_down=1e-3, slope_up=0.25, slope_down=0.5), (1, 3))
    cells.v[:] = [[0.7, 0.7, 0.3]]
    cells.pulse(..., np.array([[1, -1, -1]]))
    # 2 mV * (1 - 0.25 * 0.2), 1 mV * (1 + 0.5 * 0.2), 1 mV * (1 - 0.5 * 0.2)
    np.testing.assert_allclose(cells.v, [[0.7 + 1.9e-3, 0.7 - 1.1e-3, 0.3 - 0.9e-3]], rtol=1e-14)


def test_capacitor_takes_up_and_down_in_one_call():
    cells = array(IDEAL_CAP, (2, 2))
    cells.pulse(np.ix_([0, 1], [0, 1]), np.array([[3, -2], [0, 1]]))
    dv = IDEAL_CAP.dv_up
    np.testing.assert_allclose(cells.v, 0.5 + dv * np.array([[3, -2], [0, 1]]), rtol=1e-14)
    assert cells.charge["up"] == pytest.approx(4 * 50e-15 * dv, rel=1e-9, abs=0)
    assert cells.charge["down"] == pytest.approx(-2 * 50e-15 * dv, rel=1e-9, abs=0)


@pytest.mark.parametrize(("pulses", "end"), [(900, 0.9), (-900, 0.1)], ids=["up", "down"])
def test_capacitor_stops_at_the_rails_and_books_the_loss(pulses, end):
    cells = array(IDEAL_CAP, (1, 1))
    cells.pulse(..., np.array([[pulses]]))
    assert cells.v[0, 0] == end
    lost = 50e-15 * (abs(pulses) - 820) * IDEAL_CAP.dv_up
    assert cells.charge["clip"] == pytest.approx(-np.sign(pulses) * lost, rel=1e-9, abs=0)


@pytest.mark.parametrize("config", [TUNED_CAP, PAPER.cell.capacitor], ids=["tuned", "paper"])
def test_capacitor_charge_balances(config):
    rng = np.random.default_rng(3)
    cells = array(config, (16, 17))
    start = cells.v.sum()
    for turn in range(60):
        rows = np.flatnonzero(rng.random(16) < 0.5)
        cols = np.flatnonzero(rng.random(17) < 0.5)
        pulses = rng.integers(-31, 32, (rows.size, cols.size)) * rng.choice([1, 20])
        cells.pulse(np.ix_(rows, cols), pulses)
        cells.leak(1.5e-5 * (turn % 7))
        if turn % 5 == 0:
            cells.initialise(np.index_exp[turn % 16], rng=rng)
    assert all(q != 0 for q in cells.charge.values())
    stored = config.capacitance * (cells.v.sum() - start)
    # Each of some 300 bookings rounds a sum of at most 272 V * C.
    size = 300 * 272 * config.capacitance * np.finfo(float).eps
    assert abs(sum(cells.charge.values()) - stored) <= size
    assert cells.v.min() >= config.v_min
    assert cells.v.max() <= config.v_max


@pytest.mark.parametrize("seconds", [1e-5, 5.16e-3, 1.0])
def test_capacitor_leak_is_exponential(seconds):
    cells = array(with_(tau_leak=5.16e-3), (1, 3))
    cells.v[:] = [[0.2, 0.8, 0.9]]
    cells.leak(seconds)
    expected = 0.8 + np.array([[-0.6, 0.0, 0.1]]) * np.exp(-seconds / 5.16e-3)
    np.testing.assert_allclose(cells.v, expected, rtol=1e-14)


def test_capacitor_leak_composes():
    once, often = array(), array()
    once.leak(1e-3)
    for _ in range(100):
        often.leak(1e-5)
    np.testing.assert_allclose(once.v, often.v, rtol=1e-12)
    assert once.charge["leak"] == pytest.approx(often.charge["leak"], rel=1e-9, abs=0)


def test_capacitor_without_leakage_keeps_its_voltage():
    cells = array(IDEAL_CAP)
    cells.v[:] = 0.3
    cells.leak(1e9)
    np.testing.assert_allclose(cells.v, 0.3, rtol=1e-15)


def test_capacitor_conducts_above_threshold_only():
    cells = array(IDEAL_CAP, (1, 2))
    cells.v[:] = [[0.5, 0.03]]
    # 50 uS/V * 0.45 V
    np.testing.assert_allclose(cells.conductance(), [[22.5e-6, 0.0]], rtol=1e-14)
    assert cells.conductance(np.index_exp[0, 0]) == pytest.approx(22.5e-6)


def test_capacitor_initialise_writes_only_its_cells():
    cells = array(TUNED_CAP, (3, 4000))
    cells.v[:] = 0.3
    cells.initialise(np.index_exp[1], rng=np.random.default_rng(2))
    assert np.all(cells.v[[0, 2]] == 0.3)
    noise = TUNED_CAP.init_noise
    assert abs(cells.v[1].mean() - 0.5) <= K * noise / np.sqrt(4000)
    assert abs(cells.v[1].std() - noise) <= K * noise / np.sqrt(2 * 4000)
    moved = TUNED_CAP.capacitance * (cells.v[1] - 0.3).sum()
    assert cells.charge["init"] == pytest.approx(moved, rel=1e-9, abs=0)


DEVICE = ("up", "down", "threshold", "rate")


@pytest.fixture(scope="module")
def large():
    return [array(TUNED_CAP, (128, 128), seed) for seed in (1, 2)]


@pytest.mark.parametrize("name", DEVICE)
def test_capacitor_gives_every_cell_its_own_value(large, name):
    values = getattr(large[0], name)
    mean, sd = {
        "up": (TUNED_CAP.dv_up, TUNED_CAP.dv_up * TUNED_CAP.up_spread),
        "down": (TUNED_CAP.dv_down, TUNED_CAP.dv_down * TUNED_CAP.down_spread),
        "threshold": (TUNED_CAP.threshold, TUNED_CAP.threshold_spread),
        "rate": (1 / TUNED_CAP.tau_leak, TUNED_CAP.leak_spread / TUNED_CAP.tau_leak),
    }[name]
    n = values.size
    # Rates stop at zero, 3.3 sigma down: 0.04 % of the cells.
    assert abs(values.mean() - mean) <= K * sd / np.sqrt(n) + 4e-4 * sd
    assert abs(values.std() - sd) <= K * sd / np.sqrt(2 * n) + 2e-3 * sd
    z = (values - values.mean()) / values.std()
    assert abs((z**4).mean() - 3) <= K * np.sqrt(24 / n)
    assert np.unique(values[values > 0]).size == np.count_nonzero(values > 0) >= 0.999 * n
    assert values.min() >= 0


@pytest.mark.parametrize("name", DEVICE)
def test_capacitor_cells_do_not_correlate(large, name):
    values = getattr(large[0], name)
    pairs = [
        (values[1:], values[:-1]),
        (values[:, 1:], values[:, :-1]),
        (values, getattr(large[1], name)),
    ]
    pairs += [(values, getattr(large[0], other)) for other in DEVICE if other != name]
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) <= K / np.sqrt(a.size)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"capacitance": 0.0}, "capacitance must be positive (F), not 0.0"),
        ({"transconductance": -1.0}, "transconductance must be positive (S/V), not -1.0"),
        ({"tau_leak": 0.0}, "tau_leak must be positive (s), not 0.0"),
        ({"dv_up": 0.0}, "dv_up must be positive (V), not 0.0"),
        ({"dv_down": float("nan")}, "dv_down must be positive (V), not nan"),
        ({"threshold_spread": -0.1}, "threshold_spread must be non-negative, not -0.1"),
        ({"init_noise": -0.1}, "init_noise must be non-negative, not -0.1"),
        ({"leak_spread": -0.1}, "leak_spread must be non-negative, not -0.1"),
        ({"slope_up": -0.1}, "slope_up must be non-negative, not -0.1"),
        ({"slope_down": -0.1}, "slope_down must be non-negative, not -0.1"),
        ({"up_spread": -0.1}, "up_spread must be non-negative, not -0.1"),
        ({"down_spread": -0.1}, "down_spread must be non-negative, not -0.1"),
        (
            {"threshold_spread": 0.02},
            (
                "v_min must be at least threshold + 3.5 threshold_spread = 0.12 V: "
                "below threshold the read FET does not conduct, not 0.1"
            ),
        ),
        ({"v_init": 0.1}, "v_init must be within the usable range 0.1..0.9 V, not 0.1"),
        ({"v_init": 0.9}, "v_init must be within the usable range 0.1..0.9 V, not 0.9"),
        (
            {"v_leak": 1.0},
            (
                "v_leak must be within the usable range 0.1..0.9 V: "
                "a cell left alone must stay readable, not 1.0"
            ),
        ),
        (
            {"slope_down": 2.5},
            (
                "slope must be below 1 over the range (2.5 per V): "
                "a pulse must not change its sign, not 2.5"
            ),
        ),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else "",
)
def test_capacitor_rejects_what_cannot_be(changed, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        with_(**changed)


@pytest.mark.parametrize("name", ["up_spread", "down_spread"])
def test_capacitor_rejects_a_spread_that_turns_a_pulse_round(name):
    sentence = f"{name} must be at most 0.28: no device may step the wrong way, "
    with pytest.raises(ValueError, match=f"^{sentence}3.45 sigma from the mean, not 0.3$"):
        TUNED.cell.capacitor.but(**{name: (0.3, "test")})


def test_capacitor_takes_a_range_that_starts_where_the_read_fet_conducts():
    assert with_(v_min=IDEAL_CAP.threshold).v_min == IDEAL_CAP.threshold
