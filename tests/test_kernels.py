# SPDX-License-Identifier: Apache-2.0
"""The numba kernels have the bits of the reference machine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_models.presets import TILES
from analog_models.prng import bell, mix32
from crossforge.data import PAPER_CROP, crop, load
from golden.cell_kernels import bell_of, mix
from golden.config import ChipConfig, TransferConfig, UpdateConfig
from golden.schedule import initial_weights
from golden.trainer import FixedEngine, MachineEngine


def examples(config, n, seed):
    """Random images (sparse, uint8) and labels for a small network."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, config.layers[0])) * (rng.random((n, config.layers[0])) < 0.5)
    return pixels.astype(np.uint8), rng.integers(0, config.layers[-1], n)


def assert_same_bits(config, pixels, labels, order):
    """Train both; compare all state, counters, lanes, and the scores."""
    engines = MachineEngine(config), FixedEngine(config)
    for engine in engines:
        engine.write_weights(initial_weights(config.layers, config.seed))
        engine.train(pixels, labels, order)
    reference, fast = (engine.state() for engine in engines)
    assert reference.keys() == fast.keys()
    for name, array in reference.items():
        np.testing.assert_array_equal(fast[name], array, err_msg=name)
    scores = [engine.scores(pixels[:5]) for engine in engines]
    np.testing.assert_array_equal(*scores)
    for engine, before in zip(engines, (reference, fast), strict=True):
        for name, array in engine.state().items():
            np.testing.assert_array_equal(array, before[name], err_msg=f"{name} after scores")
    return reference


@st.composite
def chips(draw):
    layers = tuple(draw(st.lists(st.integers(1, 40), min_size=2, max_size=5)))
    n = len(layers) - 1
    tile = TILES[draw(st.sampled_from(sorted(TILES)))]
    tile = tile.but(
        rows=(draw(st.integers(7, 40)), "test"),
        cols=(draw(st.integers(7, 40)), "test"),
        age_periods=(draw(st.integers(1, 9)), "test"),
    )
    shifts = st.lists(st.integers(9, 17), min_size=n, max_size=n).map(tuple)
    activations = st.sampled_from(["pl-tanh", "hard-sigmoid", "relu", "identity", "tanh"])
    return ChipConfig(
        layers=layers,
        hidden=draw(activations),
        output=draw(activations),
        forward_shift=draw(shifts),
        backward_shift=draw(shifts),
        tile=tile,
        update=UpdateConfig(
            learning_rate=draw(st.sampled_from([0.002, 0.01, 0.05])),
            delta_max=draw(st.integers(1, 31)),
            stochastic=draw(st.booleans()),
        ),
        transfer=TransferConfig(
            interval=draw(st.integers(5, 15)),
            invert=draw(st.booleans()),
            log2_reads=draw(st.integers(0, 3)),
            retries=draw(st.integers(0, 3)),
            set_tolerance=draw(st.integers(0, 60)),
            small_target=draw(st.integers(0, 60)),
            offset=draw(st.integers(0, 60)),
            tune_rounds=draw(st.integers(0, 3)),
            correct_drift=draw(st.booleans()),
        ),
        seed=draw(st.integers(0, 2**40)),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(chips(), st.integers(0, 1000))
def test_kernels_have_the_bits_of_the_reference(config, seed):
    pixels, labels = examples(config, 40, seed)
    state = assert_same_bits(config, pixels, labels, np.arange(40))
    assert state["counters"][4] >= 2  # transfers


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tuned", "two-pcm"])
def test_kernels_have_the_bits_of_the_reference_on_the_network_of_the_paper(name):
    data = crop(load(), **PAPER_CROP)
    config = ChipConfig(tile=TILES[name], transfer=TransferConfig(interval=120), seed=3)
    assert config.synapses == 164_885
    labels = data.y_train.astype(np.int64)
    state = assert_same_bits(config, data.x_train, labels, np.arange(300))
    assert state["counters"][4] == 2


def test_mixer_is_the_numpy_one():
    words = np.random.default_rng(1).integers(0, 2**32, 1000, dtype=np.uint32)
    np.testing.assert_array_equal([mix(w) for w in words], mix32(words))


def test_bell_is_the_numpy_one():
    lanes = np.arange(1000, dtype=np.uint32)
    word = mix32(np.uint32(12345) + lanes * np.uint32(0x9E3779B1))
    expected = (bell(word).astype(np.int64) * 777 + 128) >> 8
    np.testing.assert_array_equal([bell_of(np.uint32(12345), j, 777) for j in lanes], expected)
