# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from analog_models.prng import (
    BELL_SD,
    GOLDEN,
    bell,
    derive,
    mix32,
    permutation,
    scaled_bell,
    words,
)


def lowbias32(x):
    """Mix a word as published, in Python's own integers."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


def test_mix32_is_bijective_on_a_sample_and_pinned():
    x = np.arange(1 << 16, dtype=np.uint32)
    assert np.unique(mix32(x)).size == x.size
    assert mix32(np.array([1], np.uint32)).tolist() == [1753845952]


def test_mix32_is_lowbias32():
    x = [0, 1, 0xFFFF, 0x10000, 0x80000000, 0xDEADBEEF, 0xFFFFFFFF]
    assert mix32(np.array(x, np.uint32)).tolist() == [lowbias32(v) for v in x]


def test_words_and_keys_are_the_documented_mixes():
    head = lowbias32((0xFFFFFFF0 + 100) % 2**32)
    lanes = [lowbias32((head + lane * GOLDEN) % 2**32) for lane in range(20)]
    assert words(0xFFFFFFF0, 100, 20).tolist() == lanes
    key = lowbias32(0x89ABCDEF)
    for word in (0x1234567, 5, 7):  # the seed's upper half, then the path
        key = lowbias32(((key ^ word) + GOLDEN) % 2**32)
    assert derive(0x0123456789ABCDEF, 5, 7) == key


def test_bell_adds_the_bytes():
    word = np.array([0, 0xFFFFFFFF, 0x01020304, 0xFF000000, 0x00FF0000, 0x0000FF00], np.uint32)
    sums = np.array([0, 1020, 10, 255, 255, 255]) - 510
    assert bell(word).tolist() == sums.tolist()
    assert scaled_bell(word, 3).tolist() == [(3 * s + 128) // 256 for s in sums.tolist()]


def test_bell_sd_is_that_of_four_bytes():
    assert BELL_SD == pytest.approx(np.sqrt(4 * np.var(np.arange(256))), rel=1e-12)


def test_words_depend_on_key_counter_and_lane_only():
    np.testing.assert_array_equal(words(7, 3, 100)[:10], words(7, 3, 10))
    assert np.any(words(7, 3, 10) != words(7, 4, 10))
    assert np.any(words(7, 3, 10) != words(8, 3, 10))


def test_bell_has_the_moments_of_four_bytes():
    n = 1_000_000
    x = bell(words(1, 1, n)).astype(float)
    assert abs(x.mean()) < 5 * BELL_SD / np.sqrt(n)
    # Variance of the sample variance: sigma**4 * (kurtosis - 1) / n with kurtosis 2.7.
    assert abs(x.var() - BELL_SD**2) < 5 * BELL_SD**2 * np.sqrt(1.7 / n)
    assert x.min() >= -510
    assert x.max() <= 510


def test_derive_tells_streams_apart():
    keys = {derive(*address) for address in np.ndindex(9, 9, 9)}
    assert len(keys) == 729


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_derive_rejects_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=rf"^seed must be within 0\.\.2\*\*64-1, not {seed}$"):
        derive(seed)


def test_permutation_holds_every_element_once():
    assert sorted(permutation(5, 1000).tolist()) == list(range(1000))
    assert np.any(permutation(5, 1000) != permutation(6, 1000))
