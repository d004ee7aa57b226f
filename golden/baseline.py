# SPDX-License-Identifier: Apache-2.0
"""The software baseline: float32 batch-1 SGD with the chip's functions, inputs and order."""

import hashlib
import time

import numpy as np

from .jit import njit
from .schedule import epoch_order, initial_weights

__all__ = ["FloatClassifier"]

#: Examples between two applications of weight decay.
_DECAY_EVERY = 1000
_KINDS = {"pl-tanh": 0, "hard-sigmoid": 1, "relu": 2, "identity": 3}
_INPUT = np.float32(1 / 128)
_BIAS = np.float32(127 / 128)


@njit
def _activate(kind, z, n, y, slope):
    """Real twin of :mod:`golden.tables`, in place; float32."""
    half, one, zero = np.float32(0.5), np.float32(1), np.float32(0)
    for j in range(n):
        a = abs(z[j])
        if kind == 0:
            f = a if a < half else min(np.float32(0.25) + half * a, one)
            y[j] = f if z[j] >= zero else -f
            slope[j] = one if a < half else (half if a < np.float32(1.5) else zero)
        elif kind == 1:
            y[j] = min(max(half + np.float32(0.25) * z[j], zero), one)
            slope[j] = np.float32(0.25) if a < np.float32(2) else zero
        elif kind == 2:
            y[j] = min(max(z[j], zero), one)
            slope[j] = one if zero < z[j] < one else zero
        else:
            y[j] = min(max(z[j], -one), one)
            slope[j] = one if a < one else zero


@njit(inline="always")
def _forward(w, base, stride, x, rows, n, z):
    for j in range(stride):
        z[j] = 0
    k = 0
    while k + 4 <= n:
        i0, i1, i2, i3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        x0, x1, x2, x3 = x[i0], x[i1], x[i2], x[i3]
        w0, w1 = w[base + i0 * stride :], w[base + i1 * stride :]
        w2, w3 = w[base + i2 * stride :], w[base + i3 * stride :]
        for j in range(stride):
            z[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
        k += 4
    while k < n:
        x0, w0 = x[rows[k]], w[base + rows[k] * stride :]
        for j in range(stride):
            z[j] += x0 * w0[j]
        k += 1


@njit
def _run(w, sizes, strides, bases, kinds, pixels, labels, order, eta, learn, out):
    """Forward, and with ``learn`` error, backward, update; returns the right answers."""
    n_layers, widest = kinds.size, np.max(sizes) + 32
    x = np.zeros((n_layers + 1, widest), np.float32)
    d, slope = np.zeros((n_layers, widest), np.float32), np.zeros((n_layers, widest), np.float32)
    z = np.zeros(widest, np.float32)
    rows, n_rows = np.zeros((n_layers, widest), np.int64), np.zeros(n_layers, np.int64)
    correct = 0
    for place in range(order.size):
        example = order[place]
        for i in range(sizes[0]):
            x[0, i] = np.float32(pixels[example, i] >> 1) * _INPUT
        for layer in range(n_layers):
            x[layer, sizes[layer]] = _BIAS
            n = 0
            for i in range(sizes[layer] + 1):
                if x[layer, i] != 0:
                    rows[layer, n] = i
                    n += 1
            n_rows[layer] = n
            _forward(w, bases[layer], strides[layer], x[layer], rows[layer], n, z)
            _activate(kinds[layer], z, sizes[layer + 1], x[layer + 1], slope[layer])
        best, wrong = 0, False
        for j in range(sizes[n_layers]):
            if z[j] > z[best]:
                best = j
            d[n_layers - 1, j] = (j == labels[example]) - x[n_layers, j]
            wrong |= d[n_layers - 1, j] != 0
        correct += best == labels[example]
        if not learn:
            out[place] = best
            continue
        if not wrong:
            continue
        for layer in range(n_layers - 1, 0, -1):
            for i in range(sizes[layer]):
                at, s = bases[layer] + i * strides[layer], np.float32(0)
                if slope[layer - 1, i] != 0:
                    for j in range(sizes[layer + 1]):
                        s += w[at + j] * d[layer, j]
                d[layer - 1, i] = s * slope[layer - 1, i]
        for layer in range(n_layers):
            for k in range(n_rows[layer]):
                i = rows[layer, k]
                at, step = bases[layer] + i * strides[layer], np.float32(eta) * x[layer, i]
                ww, dd = w[at : at + strides[layer]], d[layer]
                for j in range(strides[layer]):
                    ww[j] += step * dd[j]
    return correct


class FloatClassifier:
    """Multilayer perceptron in float32, trained one example at a time.

    Parameters
    ----------
    layers : tuple of int
    hidden, output : str
        ``pl-tanh``, ``hard-sigmoid``, ``relu`` or ``identity``.
    epochs : int
    learning_rate, decay : float
        Epoch e learns with ``learning_rate * decay**e``.
    weight_decay : float
        Share of itself that a weight loses in one example, over the learning rate; taken every
        1,000 examples.
    seed : int
        Same initial weights and order of examples as the chip with that seed.

    Attributes
    ----------
    weights_ : list of ndarray of float32, (rows with bias, cols)
    history_ : list of dict
        Per epoch: ``epoch``, ``train_accuracy``, ``test_accuracy`` (percent).
    cpu_seconds_ : float
        Processor time in training, without compilation.
    examples_per_cpu_second_ : float
        Speed in training.
    """

    def __init__(
        self,
        layers=(528, 250, 125, 10),
        *,
        hidden="pl-tanh",
        output="hard-sigmoid",
        epochs=20,
        learning_rate=0.01,
        decay=0.9,
        weight_decay=0.0,
        seed=0,
    ):
        self.layers = layers
        self.hidden = hidden
        self.output = output
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.decay = decay
        self.weight_decay = weight_decay
        self.seed = seed

    def _geometry(self):
        for name in ("hidden", "output"):
            kind = getattr(self, name)
            if kind not in _KINDS:
                raise ValueError(f"{name} must be one of {', '.join(_KINDS)}, not {kind!r}")
        if len(self.layers) < 2 or min(self.layers) < 1:
            raise ValueError(f"layers must be at least two positive sizes, not {self.layers!r}")
        names = [self.hidden] * (len(self.layers) - 2) + [self.output]
        sizes = np.array(self.layers, np.int64)
        strides = -(-sizes[1:] // 16) * 16
        bases = np.concatenate([[0], np.cumsum((sizes[:-1] + 1) * strides)])
        return sizes, strides, bases, np.array([_KINDS[k] for k in names], np.int64)

    def fit(self, x, y, *, validation=None, on_epoch=None):
        """Train on x (n, inputs) uint8 and y (n,); ``on_epoch`` is called with self."""
        sizes, strides, bases, kinds = self._geometry()
        x, y = self._check(x), np.asarray(y).astype(np.int64)
        if y.shape != (len(x),) or len(x) == 0 or y.min() < 0 or y.max() >= self.layers[-1]:
            raise ValueError(f"y must hold one class in 0..{self.layers[-1] - 1} per example")
        w = np.zeros(bases[-1], np.float32)
        self.weights_ = []
        for i, w0 in enumerate(initial_weights(self.layers, self.seed)):
            whole = w[bases[i] : bases[i + 1]].reshape(sizes[i] + 1, strides[i])
            whole[:, : sizes[i + 1]] = w0
            self.weights_.append(whole[:, : sizes[i + 1]])
        self._run = (w, sizes, strides, bases[:-1], kinds)
        self.history_, self.cpu_seconds_ = [], 0.0
        nothing = np.zeros(0, np.int64)
        _run(*self._run, x, y, nothing, 0.0, True, nothing)  # compiles
        for epoch in range(self.epochs):
            order = epoch_order(self.seed, epoch, len(x))
            eta = self.learning_rate * self.decay**epoch
            start, right = time.process_time(), 0
            for part in np.split(order, range(_DECAY_EVERY, len(x), _DECAY_EVERY)):
                right += _run(*self._run, x, y, part, eta, True, nothing)
                w *= np.float32(1 - self.weight_decay * eta * part.size)
            self.cpu_seconds_ += time.process_time() - start
            row = {"epoch": epoch + 1, "train_accuracy": 100 * right / len(x)}
            if validation is not None:
                row["test_accuracy"] = 100 * self.score(*validation)
            self.history_.append(row)
            if on_epoch is not None:
                on_epoch(self)
        self.examples_per_cpu_second_ = self.epochs * len(x) / max(self.cpu_seconds_, 1e-9)
        return self

    def _check(self, x):
        x = np.ascontiguousarray(x)
        if x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != self.layers[0]:
            raise ValueError(
                f"x must be uint8 of shape (n, {self.layers[0]}), not {x.dtype} {x.shape}"
            )
        return x

    def predict(self, x):
        """Classes (n,) of images (n, inputs) uint8."""
        x = self._check(x)
        out, order = np.zeros(len(x), np.int64), np.arange(len(x))
        _run(*self._run, x, out, order, 0.0, False, out)
        return out

    def score(self, x, y):
        """Share of right answers, 0..1."""
        return float(np.mean(self.predict(x) == np.asarray(y)))

    def digest(self) -> str:
        """SHA-256 of the weights, in hexadecimal."""
        return hashlib.sha256(b"".join(w.tobytes() for w in self.weights_)).hexdigest()
