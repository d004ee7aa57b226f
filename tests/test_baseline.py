# SPDX-License-Identifier: Apache-2.0
import re
from itertools import pairwise

import numpy as np
import pytest

from golden.baseline import _KINDS, FloatClassifier, _activate
from golden.schedule import epoch_order, initial_weights
from golden.tables import ACTIVATIONS

SMALL = {"layers": (30, 20, 3), "learning_rate": 0.05, "seed": 5}
HALF_ULP = 2.0**-24  # of 1.0 in float32


def problem(n=200, seed=1):
    """Three classes, each with its own ten bright pixels, and some noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.integers(0, 60, (n, 30))
    for k in range(3):
        x[y == k, 10 * k : 10 * k + 10] += 150
    return x.astype(np.uint8), y


def gamma(n):
    """Relative error of ``n`` float32 roundings (Higham, Accuracy and Stability, 3.1)."""
    return n * HALF_ULP / (1 - n * HALF_ULP)


def product(a, ea, b, eb):
    """Return ``a @ b`` and a bound on its float32 error, of operands within ``ea``, ``eb``."""
    largest = (abs(a) + ea) @ (abs(b) + eb)
    return a @ b, gamma(a.shape[-1]) * largest + largest - abs(a) @ abs(b)


class Reference:
    """The rules in float64, with a bound on how far float32 may be from every value."""

    def __init__(self, model, weights):
        self.model = model
        self.w = [w.astype(np.float64) for w in weights]
        self.e = [np.zeros_like(w) for w in self.w]

    def step(self, pixels, label, eta):
        """Learn an example; return whether the answer was right."""
        last = len(self.w) - 1
        x, ex, slopes = [], [], []
        y, ey = (pixels >> 1) / 128, np.zeros(pixels.size)
        for layer, (w, e) in enumerate(zip(self.w, self.e, strict=True)):
            x.append(np.append(y, 127 / 128))
            ex.append(np.append(ey, 0))
            z, ez = product(x[-1], ex[-1], w, e)
            f = ACTIVATIONS[self.model.output if layer == last else self.model.hidden]
            y, ey = f.value(z), ez + HALF_ULP  # no slope exceeds 1
            slopes.append(f.slope(z))
            if layer < last:  # no jump of the slope is within reach of the error
                np.testing.assert_array_equal(f.slope(z - ez), f.slope(z + ez))
        delta, ed = (np.arange(y.size) == label) - y, ey + HALF_ULP
        deltas = [(delta, ed)]
        for layer in range(last, 0, -1):
            delta, ed = product(delta, ed, self.w[layer][:-1].T, self.e[layer][:-1].T)
            delta, ed = delta * slopes[layer - 1], ed * slopes[layer - 1]  # powers of two
            deltas.insert(0, (delta, ed))
        for layer, (delta, ed) in enumerate(deltas):
            change = eta * np.outer(x[layer], delta)
            largest = eta * np.outer(abs(x[layer]) + ex[layer], abs(delta) + ed)
            self.w[layer] = self.w[layer] + change
            e = self.e[layer] + largest * (1 + gamma(3)) - abs(change)
            self.e[layer] = e + gamma(1) * (abs(self.w[layer]) + e)
        return np.argmax(z) == label


@pytest.mark.parametrize("name", _KINDS)
def test_baseline_has_the_functions_of_the_tables(name):
    z = np.arange(-256, 257) / 64  # every kink is on the grid, every value fits float32
    y, slope = np.zeros((2, z.size), np.float32)
    _activate(_KINDS[name], z.astype(np.float32), z.size, y, slope)
    np.testing.assert_array_equal(y, ACTIVATIONS[name].value(z))
    np.testing.assert_array_equal(slope, ACTIVATIONS[name].slope(z))


@pytest.mark.parametrize(
    ("hidden", "output"),
    [
        ("pl-tanh", "hard-sigmoid"),
        ("relu", "identity"),
        ("hard-sigmoid", "pl-tanh"),
        ("identity", "relu"),
    ],
)
def test_baseline_follows_the_rules_within_the_error_of_float32(hidden, output):
    # 19 columns: padded to 32; 13 to 20 rows, some of them zero: with and without a rest of four.
    rate, n = 0.1, 4
    model = FloatClassifier(
        (12, 19, 17, 3), hidden=hidden, output=output, epochs=20, learning_rate=rate, seed=4
    )
    rng = np.random.default_rng(1)
    x = (rng.integers(0, 256, (n, 12)) * (rng.random((n, 12)) < 0.7)).astype(np.uint8)
    y = rng.integers(0, 3, n)
    weights = [[w.astype(np.float32) for w in initial_weights(model.layers, 4)]]
    model.fit(x, y, on_epoch=lambda m: weights.append([w.copy() for w in m.weights_]))
    for epoch, (before, after) in enumerate(pairwise(weights)):
        reference = Reference(model, before)  # anew: over many epochs the bound would explode
        order = epoch_order(4, epoch, n)
        right = sum(reference.step(x[i], y[i], rate * 0.9**epoch) for i in order)
        assert model.history_[epoch] == {"epoch": epoch + 1, "train_accuracy": 100 * right / n}
        for start, end, w, e in zip(before, after, reference.w, reference.e, strict=True):
            assert end.dtype == np.float32
            assert np.all(abs(end - w) <= e)
            assert np.max(e) < 0.01 * np.max(abs(w - start))  # the bound tells something


def test_baseline_learns_a_separable_problem():
    model = FloatClassifier(**SMALL, epochs=6).fit(*problem(), validation=problem(90, 2))
    # Chance is 33 %: with 90 examples five sigma above it is 58 %.
    assert model.history_[-1]["test_accuracy"] > 58
    assert model.score(*problem(90, 2)) == model.history_[-1]["test_accuracy"] / 100
    assert model.examples_per_cpu_second_ > 0


def test_baseline_same_seed_same_bits_another_seed_others():
    digests = [
        FloatClassifier(**SMALL | {"seed": seed}, epochs=1).fit(*problem()).digest()
        for seed in (5, 5, 6)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_baseline_evaluation_does_not_change_the_training():
    seen = []
    plain = FloatClassifier(**SMALL, epochs=2).fit(*problem())
    watched = FloatClassifier(**SMALL, epochs=2)
    watched.fit(*problem(), validation=problem(50, 2), on_epoch=seen.append)
    assert plain.digest() == watched.digest()
    assert seen == [watched, watched]


def test_baseline_starts_from_the_shared_weights():
    model = FloatClassifier(**SMALL, epochs=0).fit(*problem())
    for got, want in zip(model.weights_, initial_weights(SMALL["layers"], 5), strict=True):
        np.testing.assert_array_equal(got, want.astype(np.float32))


def test_baseline_sees_seven_bits_of_a_pixel():
    x, y = problem()
    even, odd = (FloatClassifier(**SMALL, epochs=1).fit(a, y).digest() for a in (x & 254, x | 1))
    assert even == odd


def test_baseline_learns_nothing_from_a_solved_example():
    digests = []
    x, y = problem(1)
    FloatClassifier(**SMALL | {"learning_rate": 0.5}, decay=1, epochs=20).fit(
        x, y, on_epoch=lambda model: digests.append(model.digest())
    )
    assert digests[0] != digests[1]
    assert digests[-2] == digests[-1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden": "tanh"}, "hidden must be one of {}, not 'tanh'"),
        ({"output": "softmax"}, "output must be one of {}, not 'softmax'"),
        ({"layers": (30,)}, "layers must be at least two positive sizes, not (30,)"),
        ({"layers": (30, 0, 3)}, "layers must be at least two positive sizes, not (30, 0, 3)"),
        ({"layers": (31, 3)}, "x must be uint8 of shape (n, 31), not uint8 (200, 30)"),
        ({"layers": (30, 2)}, "y must hold one class in 0..1 per example"),
    ],
)
def test_baseline_rejects(change, sentence):
    sentence = sentence.format("pl-tanh, hard-sigmoid, relu, identity")
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        FloatClassifier(**SMALL | change).fit(*problem())


def test_baseline_rejects_images_of_another_size():
    model = FloatClassifier(**SMALL, epochs=1).fit(*problem())
    sentence = "x must be uint8 of shape (n, 30), not float64 (2, 30)"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        model.predict(np.zeros((2, 30)))
