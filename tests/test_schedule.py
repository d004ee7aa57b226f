# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from golden.schedule import epoch_order, initial_weights


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_epoch_order_is_a_permutation(n):
    order = epoch_order(3, 0, n)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_epoch_order_depends_on_seed_and_epoch_alone():
    np.testing.assert_array_equal(epoch_order(3, 1, 100), epoch_order(3, 1, 100))
    for seed, epoch in ((3, 2), (4, 1), (3 + 2**32, 1)):
        assert np.any(epoch_order(seed, epoch, 100) != epoch_order(3, 1, 100))


def test_epoch_order_is_uniform():
    n, draws = 20, 2000
    orders = np.array([epoch_order(7, epoch, n) for epoch in range(draws)])
    counts = np.array([np.bincount(orders[:, place], minlength=n) for place in range(n)])
    # Each element is at each place binomially often; 400 counts: six sigma.
    assert np.abs(counts - draws / n).max() < 6 * np.sqrt(draws / n * (1 - 1 / n))


def test_initial_weights_have_shapes_and_bounds():
    layers = (30, 20, 5)
    weights = initial_weights(layers, 1)
    assert [w.shape for w in weights] == [(31, 20), (21, 5)]
    for w in weights:
        assert np.abs(w).max() <= 1 / np.sqrt(len(w))
        assert np.abs(w).max() > 0.95 / np.sqrt(len(w))


def test_initial_weights_are_uniform():
    (w,) = initial_weights((399, 100), 5)
    u, n = w * np.sqrt(400), w.size
    assert abs(u.mean()) < 5 * np.sqrt(1 / 3 / n)
    # Var(u**2) = 1/5 - 1/9
    assert abs((u**2).mean() - 1 / 3) < 5 * np.sqrt((1 / 5 - 1 / 9) / n)
    for a, b in ((u[:-1], u[1:]), (u[:, :-1], u[:, 1:])):
        assert abs((a * b).mean()) < 5 / 3 / np.sqrt(a.size)  # neighbours are independent


def test_initial_weights_differ_by_seed_and_layer():
    a, b = initial_weights((10, 10, 10), 1), initial_weights((10, 10, 10), 2)
    assert np.any(a[0] != b[0])
    assert np.any(a[0] != a[1])
    np.testing.assert_array_equal(a[0], initial_weights((10, 10, 10), 1)[0])
