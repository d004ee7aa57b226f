# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from analog_models.prng import BELL_SD, bell, derive, mix32, permutation, words


def test_mix32_is_bijective_on_a_sample_and_pinned():
    x = np.arange(1 << 16, dtype=np.uint32)
    assert np.unique(mix32(x)).size == x.size
    assert mix32(np.array([1], np.uint32)).tolist() == [1753845952]


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
