# SPDX-License-Identifier: Apache-2.0
"""Every device of a tile its own variation, independent and of the right spread."""

import numpy as np
import pytest

from analog_models.fixed_tile import FixedTile
from analog_models.presets import TUNED
from analog_models.prng import BELL_SD

K = 5


def tuned(rows, cols, *, shift=8, seed=1, tile=0):
    return FixedTile(
        rows, cols, TUNED, forward_shift=shift, backward_shift=shift, seed=seed, tile=tile
    )


VARIED = (
    "up",
    "down",
    "own_offset",
    "leak",
    "drift_plus",
    "drift_minus",
    "response_plus",
    "response_minus",
)


@pytest.fixture(scope="module")
def varied():
    """Device values of three tiles of 128 x 256: one, another number, another seed."""
    out = []
    for seed, number in ((1, 0), (1, 1), (2, 0)):
        tile = tuned(128, 256, seed=seed, tile=number)
        tile.own_offset = tile.offset - tile.offset.mean(axis=1, keepdims=True)
        out.append({name: getattr(tile, name).astype(float) for name in VARIED})
    return out


@pytest.mark.parametrize("name", VARIED)
def test_fixed_tile_gives_every_device_its_own_value(varied, name):
    cap, pcm = TUNED.cell.capacitor, TUNED.cell.pcm
    t = tuned(2, 3).tables
    mean, sd = {
        "up": (512, 512 * cap.up_spread),
        "down": (512, 512 * cap.down_spread),
        "own_offset": (0, cap.threshold_spread * 16384 * np.sqrt(255 / 256)),
        "leak": (t.leak, t.leak_amp * BELL_SD / 256),
        "drift_plus": (t.drift_mean, t.drift_amp * BELL_SD / 256),
        "drift_minus": (t.drift_mean, t.drift_amp * BELL_SD / 256),
        "response_plus": (0, pcm.set_spread * 4096),
        "response_minus": (0, pcm.set_spread * 4096),
    }[name]
    values = varied[0][name]
    n = values.size
    z = (values - values.mean()) / values.std()
    # A code of rounding in the mean, one in 2 * amp of the spread.
    assert abs(values.mean() - mean) <= K * sd / np.sqrt(n) + 0.5
    assert abs(values.std() - sd) <= K * sd / np.sqrt(2 * n) + 0.5
    assert abs((z**4).mean() - 3 + 0.3) <= K * np.sqrt(24 / n)  # Irwin-Hall of four: -0.3
    assert abs((z**3).mean()) <= K * np.sqrt(6 / n)
    # A bell of sd s reaches 6.9 s codes and has 1021 values; those far out are rare.
    assert np.unique(values).size > min(3 * sd, 800)
    # No row and no column repeats another.
    assert np.unique(values, axis=0).shape[0] == values.shape[0]
    assert np.unique(values, axis=1).shape[1] == values.shape[1]


@pytest.mark.parametrize("name", VARIED)
def test_fixed_tile_devices_do_not_correlate(varied, name):
    values = varied[0][name]
    pairs = [
        (values[:, 1:], values[:, :-1]),
        (values[1:], values[:-1]),
        (values[1:, 1:], values[:-1, :-1]),
        (values, varied[1][name]),
        (values, varied[2][name]),
    ]
    pairs += [(values, varied[0][other]) for other in VARIED if other != name]
    # Subtracting the mean of 256 columns correlates the offsets of a row by 1 / 255.
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) <= K / np.sqrt(a.size) + 1 / 255


def test_fixed_tile_converters_have_their_own_offsets():
    tile = tuned(512, 512, shift=16)
    for _, offsets in (tile.forward_adc, tile.backward_adc, tile.read_adc):
        assert np.unique(offsets).size > 250
    a, b, c = (adc[1] for adc in (tile.forward_adc, tile.backward_adc, tile.read_adc))
    for one, other in ((a, b), (b, c), (a, c), (a[1:], a[:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) <= K / np.sqrt(511)
