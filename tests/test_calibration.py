# SPDX-License-Identifier: Apache-2.0
"""The integer tile against the physics that it is calibrated to.

Statistics of two independent samples differ by at most K sd of their difference (Gaussian: the
mean has sd ``s / sqrt(n)``, the sd has ``s / sqrt(2 n)``; a bell has less), plus what the
integers round away, which every test states as ``lsb``.
"""

import numpy as np
import pytest

from analog_models.calibration import STEP_FRAC, calibrate
from analog_models.fixed_tile import FixedTile
from analog_models.physical_tile import PhysicalTile
from analog_models.presets import SWITCHES, TILES, TUNED, without
from analog_models.tile import HOLD, RESET

K = 5
N = 128  # rows and columns: 16384 devices
V_LSB = 2**-16 * TUNED.cell.unit / TUNED.cell.capacitor.transconductance
G_LSB = TUNED.cell.unit / 2**14


def only(*names):
    """TUNED with nothing but the named effects."""
    return without(TUNED, *(name for name in SWITCHES if name not in names))


def pair(config, rows=N, cols=N, *, shift=13, seed=1):
    """Build a fixed and a physical tile of the same configuration."""
    return [
        kind(rows, cols, config, forward_shift=shift, backward_shift=shift, seed=seed)
        for kind in (FixedTile, PhysicalTile)
    ]


def volts(tile):
    """Capacitor voltages relative to v_init, without the reference cells."""
    if isinstance(tile, FixedTile):
        return tile.v * V_LSB
    return tile.capacitor.v[:, :-1] - tile.config.cell.capacitor.v_init


def conductances(tile):
    """Conductance of G+ and G- now, S, stacked."""
    if isinstance(tile, FixedTile):
        return np.stack([tile.g_plus, tile.g_minus]) * G_LSB
    return np.stack([tile.plus.conductance(), tile.minus.conductance()])


def assert_alike(fixed, physical, *, lsb, n=None):
    """Compare mean and sd of two samples of ``n`` independent values each."""
    n = n or fixed.size
    sd = physical.std()
    assert abs(fixed.mean() - physical.mean()) <= K * sd * np.sqrt(2 / n) + lsb
    assert abs(fixed.std() - sd) <= K * sd * np.sqrt(2 / (2 * n)) + lsb


def steps(tile, sign, pulses=16):
    """Size of the step of every cell, V, from v_init; linear without state-dependence."""
    before = volts(tile).copy()
    tile.update(np.full(tile.rows, sign), np.full(tile.cols, pulses))
    after = volts(tile).copy()
    tile.update(np.full(tile.rows, -sign), np.full(tile.cols, pulses))
    return sign * (after - before) / pulses


@pytest.fixture(scope="module")
def stepped():
    """Up and down steps of both tiles: ``[(up, down), (up, down)]``."""
    config = without(TUNED, "state-dependence")
    out = []
    for ups, downs in zip(pair(config), pair(config), strict=True):
        out.append((steps(ups, 1), steps(downs, -1)))
    return out


# A step rounds to half of V_LSB / 16 twice (mean and device), 16 pulses to half a V_LSB.
STEP_LSB = V_LSB * (2 * 0.5 / 2**STEP_FRAC + 0.5 / 16)


@pytest.mark.parametrize("sense", [0, 1], ids=["up", "down"])
def test_steps_have_the_same_mean_and_spread(stepped, sense):
    fixed, physical = (tile[sense] for tile in stepped)
    cap = TUNED.cell.capacitor
    assert_alike(fixed, physical, lsb=STEP_LSB)
    spread = (cap.up_spread, cap.down_spread)[sense]
    dv = (cap.dv_up, cap.dv_down)[sense]
    for sample in (fixed, physical):
        assert abs(sample.mean() - dv) <= K * dv * spread / N + STEP_LSB
        assert abs(sample.std() / dv - spread) <= K * spread / np.sqrt(2) / N + STEP_LSB / dv


def test_asymmetry_has_the_same_mean_and_spread(stepped):
    fixed, physical = ((up - down) / (up + down) for up, down in stepped)
    assert_alike(fixed, physical, lsb=STEP_LSB / TUNED.cell.capacitor.dv_up)
    # Half of the quadratic sum of the two spreads; second order in the spread adds about 2 %.
    assert physical.std() == pytest.approx(0.15 / np.sqrt(2), rel=0.04)


@pytest.mark.parametrize("sign", [1, -1], ids=["up", "down"])
@pytest.mark.parametrize("start", [-0.3, 0.3], ids=str)
def test_step_depends_on_the_voltage_alike(start, sign):
    fixed, physical = pair(only("state-dependence"), 2, 3)
    code = round(start / V_LSB)
    fixed.v[:] = code
    physical.capacitor.v[:] = 0.5 + code * V_LSB
    cap = TUNED.cell.capacitor
    slope = cap.slope_up if sign > 0 else -cap.slope_down
    moved = []
    for tile in (fixed, physical):
        before = volts(tile).copy()
        tile.update(np.array([sign, sign]), np.ones(3, int))
        moved.append((volts(tile) - before) * sign)
    expected = cap.dv_up * (1 - slope * start)
    np.testing.assert_allclose(moved[1], expected, rtol=1e-6)
    np.testing.assert_allclose(moved[0], expected, atol=0.5 * V_LSB + STEP_LSB)


def test_leak_per_tick_has_the_same_mean_and_spread():
    ticks = 4
    fixed, physical = pair(only("leakage", "mismatch"))
    moved = []
    for tile in (fixed, physical):
        tile.age(ticks)
        moved.append(volts(tile))
    cap = TUNED.cell.capacitor
    share = TUNED.tick / cap.tau_leak
    # Half a code a tick; the rate and its device part to half of 2**-16 of the way each.
    lsb = ticks * (0.5 * V_LSB + 2 * 0.5 / 65536 * (cap.v_leak - cap.v_init))
    assert_alike(*moved, lsb=lsb)
    expected = (cap.v_leak - cap.v_init) * (1 - np.exp(-ticks * share))
    second_order = expected * ticks * share * cap.leak_spread**2
    for sample in moved:
        bound = K * expected * cap.leak_spread / N + lsb + second_order
        assert abs(sample.mean() - expected) <= bound


def test_leak_moves_towards_v_leak_from_both_sides_alike():
    fixed, physical = pair(only("leakage"), 1, 2)
    fixed.v[:] = [[-26214, 26214]]
    physical.capacitor.v[0, :2] = 0.5 + fixed.v[0] * V_LSB
    fixed.leak[:] = fixed.tables.leak  # the switch leaves the mean rate to all cells
    for tile in (fixed, physical):
        tile.age(50)
    # 50 ticks of half a code, and half of 2**-16 of the way.
    lsb = 50 * (0.5 + 0.5 / 65536 * 45875) * V_LSB
    np.testing.assert_allclose(volts(fixed), volts(physical), atol=lsb)


@pytest.mark.parametrize("step", [3, 15, 31])
def test_drift_loses_the_same_share(step):
    config = only("drift")
    ticks = int(calibrate(config).drift_ticks[step])
    kept = []
    for tile in pair(config, 32, 256):
        for row in range(tile.rows):
            tile.program(row, np.full(tile.cols, 60), np.full(tile.cols, 60))
        before = conductances(tile).copy()
        tile.age(ticks)
        kept.append(np.log(conductances(tile) / before))
    # Per step half a code of g and the rounding of the loss (mean and device part); the age at
    # a step is rounded up by less than a tick; the loss is linear in nu to second order.
    nu, spread = TUNED.cell.pcm.drift_nu, TUNED.cell.pcm.drift_nu_spread
    per_step = 0.5 * G_LSB / 12e-6 + 2 * 0.5 / 65536
    late = nu * np.log1p(1 / ticks)
    curved = (step + 1) * (np.log(2) / 8 * spread) ** 2
    assert_alike(*kept, lsb=(step + 1) * per_step + late + curved)
    age = 1 + ticks * config.tick / TUNED.cell.pcm.drift_t0
    bound = K * spread * np.log(age) / np.sqrt(kept[1].size)
    assert abs(kept[1].mean() + nu * np.log(age)) <= bound + spread * np.log(age) * 1e-3


@pytest.mark.parametrize("code", [8, 20, 40, 50])
def test_set_has_the_same_mean_and_spread(code):
    after = []
    for tile in pair(only("pcm-noise", "mismatch"), 64, 128):
        for row in range(tile.rows):
            tile.program(row, np.full(tile.cols, code), np.full(tile.cols, code))
        after.append(conductances(tile))
    # Mean, response and noise round to half a code each.
    assert_alike(*after, lsb=1.5 * G_LSB)
    pcm = TUNED.cell.pcm
    mean = pcm.set_mean()[code - 1]
    sd = np.hypot(pcm.set_sigma(mean), pcm.set_spread * mean)
    n = after[0].size
    for sample in after:
        assert abs(sample.mean() - mean) <= K * sd / np.sqrt(n) + 1.5 * G_LSB
        assert abs(sample.std() - sd) <= K * sd / np.sqrt(2 * n) + 1.5 * G_LSB


def test_reset_has_the_same_mean_and_spread():
    after = []
    for tile in pair(TUNED, 64, 128):
        for row in range(tile.rows):
            tile.program(row, np.full(tile.cols, RESET), np.full(tile.cols, RESET))
        after.append(conductances(tile))
    assert_alike(*after, lsb=G_LSB)
    # Two sigma above zero: the cut at zero lifts the mean by 0.0085 sd.
    pcm = TUNED.cell.pcm
    bound = K * pcm.reset_noise / np.sqrt(after[0].size) + 0.01 * pcm.reset_noise + G_LSB
    for sample in after:
        assert abs(sample.mean() - pcm.g_reset) <= bound


def test_init_has_the_same_spread():
    moved = []
    for tile in pair(TUNED):
        for row in range(tile.rows):
            tile.init(row)
        moved.append(volts(tile))
    assert_alike(*moved, lsb=V_LSB)
    noise = TUNED.cell.capacitor.init_noise
    assert moved[0].std() == pytest.approx(noise, abs=K * noise / np.sqrt(2) / N + V_LSB)


def test_threshold_offsets_have_the_same_spread():
    fixed, physical = (tile.weight() for tile in pair(only("mismatch")))
    lsb = 1 / 2**14
    cap = TUNED.cell.capacitor
    sd = cap.threshold_spread * cap.transconductance / TUNED.cell.unit
    # Within a row the offset of the shared reference drops out; between rows only it is left.
    own = [w - w.mean(axis=1, keepdims=True) for w in (fixed, physical)]
    shared = [w.mean(axis=1) for w in (fixed, physical)]
    assert_alike(*own, lsb=lsb)
    assert_alike(*shared, lsb=lsb)
    for w in own:
        assert abs(w.std() * np.sqrt(N / (N - 1)) - sd) <= K * sd / np.sqrt(2) / N + lsb
    for w in shared:
        expected = sd * np.sqrt(1 + 1 / N)
        assert abs(w.std() - expected) <= K * sd / np.sqrt(2 * N) + lsb


def repeated(tile, operation, times=60):
    """Codes of a repeated operation, (times, lanes); weights near zero, so none saturates."""
    x = {"forward": np.full(tile.rows, 127), "backward": np.full(tile.cols, -127)}
    if operation == "read":
        return np.array([tile.read(1, 0) for _ in range(times)])
    return np.array([getattr(tile, operation)(x[operation]) for _ in range(times)])


@pytest.mark.parametrize("operation", ["forward", "backward", "read"])
def test_read_noise_has_the_same_spread(operation):
    codes = [repeated(tile, operation) for tile in pair(only("read-noise"))]
    # Rounding to a code adds the same 1/12 to both.
    assert_alike(*codes, lsb=0.002)
    pcm, cell = TUNED.cell.pcm, TUNED.cell
    square, shift = (128**2, 11) if operation == "read" else (127**2 * N, 13)
    weight_sd = cell.gain * np.sqrt(2) * pcm.read_noise / cell.unit
    sd = weight_sd * np.sqrt(square) * 2.0 ** (14 - shift)
    expected = np.hypot(sd, np.sqrt(1 / 12))
    for sample in codes:
        assert abs(sample.std() - expected) <= K * expected / np.sqrt(2 * sample.size) + 0.002


@pytest.mark.parametrize("log2_reads", [1, 2, 3])
def test_averaged_reads_lose_noise_alike(log2_reads):
    codes = [
        np.array([tile.read(0, log2_reads) for _ in range(100)])
        for tile in pair(only("read-noise"), 1)
    ]
    assert_alike(*codes, lsb=0.003)
    sd = 3 * np.sqrt(2) * 0.02 / 50 * 128 * 2**3 / np.sqrt(2**log2_reads)
    expected = np.hypot(sd, np.sqrt(1 / 12))
    for sample in codes:
        assert abs(sample.std() - expected) <= K * expected / np.sqrt(2 * sample.size) + 0.003


@pytest.mark.parametrize("operation", ["forward", "backward", "read"])
def test_adc_noise_has_the_same_spread(operation):
    config = only("adc-noise")
    config = config.but(converter=config.converter.but(adc_noise=(2.0, "test")))
    codes = [repeated(tile, operation) for tile in pair(config)]
    assert_alike(*codes, lsb=0.002)
    expected = np.sqrt(4 + 1 / 12)
    for sample in codes:
        assert abs(sample.std() - expected) <= K * expected / np.sqrt(2 * sample.size) + 0.002


@pytest.mark.parametrize("operation", ["forward", "backward", "read"])
def test_adc_offsets_have_the_same_spread(operation):
    # Four LSB instead of 0.15, so that the code of an input of zero shows them.
    config = only()
    config = config.but(converter=config.converter.but(adc_offset=(4.0, "test")))
    sides = (1, 512) if operation != "backward" else (512, 1)
    tiles = [pair(config, *sides, seed=seed) for seed in range(4)]
    codes = []
    for kind in (0, 1):
        first = [tile[kind] for tile in tiles]
        if operation == "read":
            codes.append(np.array([tile.read(0, 0) for tile in first]))
        else:
            codes.append(np.array([getattr(tile, operation)(np.zeros(1)) for tile in first]))
    assert_alike(*codes, lsb=0.01)
    expected = np.sqrt(16 + 1 / 12)
    for sample in codes:
        assert abs(sample.std() - expected) <= K * expected / np.sqrt(2 * sample.size) + 0.01
        assert abs(sample.mean()) <= K * expected / np.sqrt(sample.size) + 0.01


def test_noise_of_one_tile_differs_from_pass_to_pass_and_lane_to_lane():
    for tile in pair(only("read-noise")):
        codes = repeated(tile, "forward").astype(float)
        n = codes.size
        assert abs(np.mean(codes)) <= K * codes.std() / np.sqrt(n)
        for a, b in ((codes[1:], codes[:-1]), (codes[:, 1:], codes[:, :-1])):
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) <= K / np.sqrt(a.size)


def test_partial_sets_of_the_older_cell_rise_alike():
    after = []
    for tile in pair(TILES["two-pcm"], 64, 64):
        for row in range(tile.rows):
            tile.program(row, np.full(tile.cols, 30), np.full(tile.cols, 30))
        before = conductances(tile).copy()
        tile.update(np.repeat([2, -2], 32), np.ones(64, int))
        rise = conductances(tile) - before
        assert np.all(rise[1, :32] == 0)
        assert np.all(rise[0, 32:] == 0)
        after.append(np.concatenate([rise[0, :32], rise[1, 32:]]))
    # Two pulses close 2 p of the gap in integers and 2 p - p**2 in physics; the noise's
    # amplitude, 28 * sqrt(2), keeps four bits of its root and loses less than one.
    p, gap = TILES["two-pcm"].cell.pcm.pulse_fraction, 10.4e-6
    assert_alike(*after, lsb=p**2 * gap + 1.5 * G_LSB)
    assert 0.5 * 2 * p * gap < after[0].mean() < 1.5 * 2 * p * gap


def test_hold_leaves_both_tiles_alone():
    for tile in pair(TUNED, 4, 6):
        tile.program(0, np.full(6, 30), np.full(6, 10))
        before = conductances(tile).copy()
        tile.program(0, np.full(6, HOLD), np.full(6, HOLD))
        np.testing.assert_array_equal(conductances(tile), before)


@pytest.mark.parametrize("name", TILES)
def test_calibrate_accepts_every_preset(name):
    tables = calibrate(TILES[name])
    assert 0 < tables.w_max < 32768
    assert tables.set_mean.size == tables.set_amp.size == TILES[name].cell.pcm.set_codes + 1
    assert np.all(np.diff(tables.set_mean) > 0)
    assert tables.set_mean[-1] == tables.g_max
    assert np.all(np.diff(tables.drift_ticks) >= 0)


def test_calibrate_gives_the_hand_worked_integers_of_tuned():
    t = calibrate(TUNED)
    assert t.g_max == 6554  # 20 uS of 50 uS / 16384
    assert t.g_reset == 33  # 0.1 uS
    assert (t.v_min, t.v_max, t.v_leak) == (-26214, 26214, 19661)  # 0.4, 0.4, 0.3 V * 65536
    assert (t.up, t.down) == (512, 512)  # 0.4 / 820 * 65536 * 16 = 511.5
    assert (t.slope_up, t.slope_down) == (2048, 2048)  # 0.25 / V * 0.5 V * 16384
    assert t.leak == 50  # (1 - exp(-15.36 us / 20 ms)) * 65536 = 50.31
    assert t.drift_mean == 283  # (1 - 2**(-0.05 / 8)) * 65536 = 283.3
    assert t.drift_ticks[0] == 30  # 5 ms / 15.36 us * (2**0.125 - 1) = 29.5
    assert t.drift_ticks[7] == 326  # 5 ms / 15.36 us = 325.5, age doubled
    assert t.drift_ticks[-1] <= 1 << 16
    assert t.pulse_loss == 655  # one hundredth


def test_adc_scales_noise_and_offset_with_the_range():
    t = calibrate(TUNED)
    for shift in (8, 11, 21):
        power, amp = t.adc(shift)
        # An amplitude a means a bell of sd a / sqrt(3).
        assert np.sqrt(power / 3) == pytest.approx(0.25 * 2**shift, rel=0.003)
        assert amp / np.sqrt(3) == pytest.approx(0.15 * 2**shift, abs=0.5 / np.sqrt(3), rel=1e-4)
