# SPDX-License-Identifier: Apache-2.0
"""The numba kernels have the bits of the reference machine."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_models.presets import TILES
from analog_models.prng import bell, mix32
from crossforge.data import PAPER_CROP, crop, load
from golden.cell_kernels import bell_of, mix
from golden.config import ChipConfig, TransferConfig, UpdateConfig
from golden.engine import FixedEngine, MachineEngine
from golden.schedule import initial_weights


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
            weight_decay=draw(st.sampled_from([0.0, 2e-4, 0.1])),
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
        ),
        seed=draw(st.integers(0, 2**40)),
    )


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True)
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


def tiny(rows, cols, tile="tuned", **changes):
    """Chip of several tiles a layer, with two transfers in 40 examples."""
    usual = {
        "layers": (9, 5, 3),
        "forward_shift": (14, 15),
        "backward_shift": (13, 13),
        "tile": TILES[tile].but(rows=(rows, "test"), cols=(cols, "test"), age_periods=(3, "test")),
        "transfer": TransferConfig(interval=15),
        "seed": 9,
    }
    return ChipConfig(**usual | changes)


@pytest.mark.parametrize("tile", sorted(TILES))
@pytest.mark.parametrize(("rows", "cols"), [(512, 512), (4, 2), (1, 1)])
def test_kernels_split_layers_as_the_reference(tile, rows, cols):
    config = tiny(rows, cols, tile)
    assert_same_bits(config, *examples(config, 40, 1), np.arange(40))


@pytest.mark.parametrize("seed", [0, 2**32, 2**63 - 1])
def test_kernels_fold_long_seeds_as_the_reference(seed):
    config = tiny(4, 2, seed=seed)
    assert_same_bits(config, *examples(config, 20, 1), np.arange(20))


@pytest.mark.parametrize("learning_rate", [1e-6, 0.3, 1.0, 5.0])
def test_kernels_take_extreme_rates_as_the_reference(learning_rate):
    # 5.0 needs no shift and hits every bound of the pulse counts and of the capacitors.
    config = tiny(4, 2, update=UpdateConfig(learning_rate=learning_rate))
    assert_same_bits(config, *examples(config, 40, 1), np.arange(40))


@pytest.mark.parametrize("stochastic", [False, True])
def test_kernels_learn_at_another_rate_from_the_next_call(stochastic):
    config = tiny(4, 2, update=UpdateConfig(stochastic=stochastic))
    pixels, labels = examples(config, 40, 1)
    states = []
    for engine in (MachineEngine(config), FixedEngine(config)):
        engine.write_weights(initial_weights(config.layers, config.seed))
        for start, eta in ((0, 0.01), (7, 0.05), (31, 0.002)):
            engine.set_learning_rate(eta)
            engine.train(pixels, labels, np.arange(start, 40)[:24])
        states.append(engine.state())
    for name, array in states[0].items():
        np.testing.assert_array_equal(states[1][name], array, err_msg=name)


def test_kernels_visit_examples_in_the_order_given():
    config = tiny(4, 2)
    pixels, labels = examples(config, 40, 1)
    order = np.random.default_rng(2).permutation(40)[:33]
    mixed, sorted_ = FixedEngine(config), FixedEngine(config)
    mixed.train(pixels, labels, order)
    sorted_.train(pixels[order], labels[order], np.arange(33))
    for name, array in sorted_.state().items():
        np.testing.assert_array_equal(mixed.state()[name], array, err_msg=name)
    assert_same_bits(config, pixels, labels, order)


@pytest.mark.parametrize("tile", sorted(TILES))
def test_kernels_start_as_the_reference_without_programming(tile):
    config = tiny(4, 2, tile)
    pixels, labels = examples(config, 14, 1)
    engines = MachineEngine(config), FixedEngine(config)
    scores = [engine.scores(pixels) for engine in engines]
    np.testing.assert_array_equal(*scores)
    for engine in engines:
        engine.train(pixels, labels, np.arange(14))
    reference, fast = (engine.state() for engine in engines)
    for name, array in reference.items():
        np.testing.assert_array_equal(fast[name], array, err_msg=name)


def test_kernels_padding_has_no_effect():
    config = tiny(4, 2)
    pixels, labels = examples(config, 40, 1)
    clean, dirty = FixedEngine(config), FixedEngine(config)
    for rows, cols, stride, start in dirty.pools.layers[:, :4]:
        cells = dirty.pools.w[start : start + rows * stride].reshape(rows, stride)
        cells[:, cols:] = np.arange(stride - cols) * 1000 - 7000
    for engine in (clean, dirty):
        engine.write_weights(initial_weights(config.layers, config.seed))
        engine.train(pixels, labels, np.arange(40))
    np.testing.assert_array_equal(clean.scores(pixels), dirty.scores(pixels))
    for name, array in clean.state().items():
        np.testing.assert_array_equal(dirty.state()[name], array, err_msg=name)
    for geometry in clean.pools.layers:
        rows, cols, stride, start = geometry[:4]
        for name in ("v", "g_plus", "g_minus"):
            cells = getattr(clean.pools, name)[start : start + rows * stride]
            assert not cells.reshape(rows, stride)[:, cols:].any(), name


def test_kernels_cached_weights_are_those_of_the_tiles():
    config = tiny(4, 2)
    engine = FixedEngine(config)
    engine.write_weights(initial_weights(config.layers, config.seed))
    engine.train(*examples(config, 40, 1), np.arange(40))
    for geometry, whole in zip(engine.pools.layers, engine.weights(), strict=True):
        rows, cols, stride, start = geometry[:4]
        cached = engine.pools.w[start : start + rows * stride].reshape(rows, stride)[:, :cols]
        np.testing.assert_array_equal(cached, whole * 2**14)


_CHECKED = """
import sys
sys.path[:0] = sys.argv[1:]
import numpy as np
from test_kernels import assert_same_bits, examples, tiny
for tile in ("tuned", "two-pcm"):
    for rows, cols in ((512, 512), (4, 2)):
        config = tiny(rows, cols, tile)
        assert_same_bits(config, *examples(config, 40, 1), np.arange(40))
config = tiny(1, 1, layers=(1, 1), forward_shift=(14,), backward_shift=(13,))
assert_same_bits(config, *examples(config, 40, 1), np.arange(40))
"""


@pytest.mark.slow
def test_kernels_stay_within_their_arrays(tmp_path):
    """Compiled anew with bounds checks, which code from the cache would not have."""
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", _CHECKED, here, os.path.dirname(here)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
