# SPDX-License-Identifier: Apache-2.0
"""The golden trainer: a classifier that learns on the chip, with scikit-learn's conventions."""

import hashlib
import time

import numpy as np

from analog_models.physical_tile import PhysicalTile

from .config import ChipConfig
from .engine import FixedEngine, MachineEngine
from .machine import COUNTERS, LAYER_COUNTERS
from .schedule import epoch_order, initial_weights

__all__ = ["AnalogClassifier"]


class AnalogClassifier:
    """Trains a multilayer perceptron on the chip, one example at a time.

    Parameters
    ----------
    config : ChipConfig, optional
        Chip and network; by default the paper's 528-250-125-10 on tuned devices.
    epochs : int
    tile : {"fixed", "physical"}
        Tile model. ``"fixed"`` runs in numba kernels, ``"physical"`` on the reference machine.

    Attributes
    ----------
    engine_ : MachineEngine
        The chip.
    history_ : list of dict
        Per epoch: ``epoch``, ``train_accuracy`` (percent, while training) and, with validation
        data, ``test_accuracy``.
    intervals_ : list of dict
        Per transfer: what ``crossforge diagnose`` judges.
    cpu_seconds_ : float
        Processor time in training (transfers included, evaluation not).
    correct_ : int
        Right answers so far in the current epoch.
    """

    def __init__(self, config: ChipConfig | None = None, *, epochs: int = 20, tile="fixed"):
        self.config = config
        self.epochs = epochs
        self.tile = tile

    def _start(self):
        config = self.config or ChipConfig()
        if self.tile not in ("fixed", "physical"):
            raise ValueError(f"tile must be 'fixed' or 'physical', not {self.tile!r}")
        self.engine_ = (
            FixedEngine(config) if self.tile == "fixed" else MachineEngine(config, PhysicalTile)
        )
        self.history_, self.intervals_, self.cpu_seconds_ = [], [], 0.0
        return config

    def fit(self, x, y, *, validation=None, state=None, on_stop=None):
        """Train.

        Parameters
        ----------
        x : ndarray of uint8, shape (n, inputs)
        y : ndarray of int, shape (n,), classes ``0 .. outputs-1``
        validation : tuple of (x, y), optional
            Evaluated after every epoch; never changes the training.
        state : dict, optional
            What :meth:`state` gave: continue there, with the same bits.
        on_stop : callable, optional
            Called with self after every transfer and every epoch.

        Returns
        -------
        self
        """
        config = self._start()
        x, y = self._check(config, x, y)
        if validation is not None:
            validation = self._check(config, *validation)
        update = config.update
        last = update.learning_rate * update.decay ** (self.epochs - 1)
        try:
            self.engine_.set_learning_rate(last)
        except ValueError as error:
            raise ValueError(
                f"epochs must leave a learning rate to the last one, not {last:g}: {error}"
            ) from None
        n, interval = len(x), config.transfer.interval
        if state is None:
            self.engine_.write_weights(initial_weights(config.layers, config.seed))
            self.correct_, self._mark = 0, self._snapshot()
        else:
            self.restore(state)
        done = int(self.engine_.machine.counters[0])
        while done < n * self.epochs:
            epoch, at = divmod(done, n)
            self.engine_.set_learning_rate(update.learning_rate * update.decay**epoch)
            order = epoch_order(config.seed, epoch, n)
            stop = n
            if interval:
                stop = min(stop, at + interval - done % interval)
            right = self._snapshot()["correct"]
            # the last example before a transfer runs apart, so that its state can be looked at
            due = bool(interval) and (done + stop - at) % interval == 0
            start = time.process_time()
            self.engine_.train(x, y, order[at : stop - due])
            self.cpu_seconds_ += time.process_time() - start
            use = self._use() if due else None
            start = time.process_time()
            self.engine_.train(x, y, order[stop - due : stop])
            self.cpu_seconds_ += time.process_time() - start
            done += stop - at
            if use is not None:
                self.intervals_.append(self._interval(use))
            self.correct_ += self._snapshot()["correct"] - right
            if stop == n:
                row = {"epoch": epoch + 1, "train_accuracy": 100 * self.correct_ / n}
                if validation is not None:
                    row["test_accuracy"] = 100 * self.score(*validation)
                self.history_.append(row)
                self.correct_ = 0
            if on_stop is not None:
                on_stop(self)
        return self

    @staticmethod
    def _images(config, x):
        x = np.ascontiguousarray(x)
        if x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != config.layers[0]:
            raise ValueError(
                f"x must be uint8 of shape (n, {config.layers[0]}), not {x.dtype} {x.shape}"
            )
        # numba takes an array that cannot be written to for another type, and compiles anew
        return x if x.flags.writeable else x.copy()

    @classmethod
    def _check(cls, config, x, y):
        x, y = cls._images(config, x), np.asarray(y).astype(np.int64)
        if y.shape != (len(x),) or len(x) == 0 or y.min() < 0 or y.max() >= config.layers[-1]:
            raise ValueError(f"y must hold one class in 0..{config.layers[-1] - 1} per example")
        return x, y

    def _snapshot(self):
        m = self.engine_.machine
        out = {k: int(v) for k, v in zip(COUNTERS, m.counters, strict=True)}
        return out | {"layers": m.layer_counters.tolist()}

    def _use(self):
        """Capacitor use of each layer just before a transfer."""
        cap = self.engine_.machine.config.tile.cell.capacitor
        scale = cap.transconductance / self.engine_.machine.config.tile.cell.unit
        low, high = ((v - cap.v_init) * scale for v in (cap.v_min, cap.v_max))
        out = []
        for v in self.engine_.cells("v"):
            full = np.mean((v <= low + 1e-4) | (v >= high - 1e-4))
            out.append({"saturated": float(full), "rms": float(np.sqrt(np.mean(v**2)))})
        return out

    def _interval(self, use):
        """Count what happened since the previous transfer."""
        before, after = self._mark, self._snapshot()
        self._mark = after
        change = {k: after[k] - before[k] for k in COUNTERS}
        layers = (np.array(after["layers"]) - np.array(before["layers"])).T
        shape = {k: layers[i].tolist() for i, k in enumerate(LAYER_COUNTERS)}
        return change | shape | {"capacitor": use, "end": after["examples"]}

    def decision_function(self, x):
        """Output sums (n, outputs), int64, of the chip's own forward path."""
        if not hasattr(self, "engine_"):
            raise ValueError("fit must come before predict, score and decision_function")
        return self.engine_.scores(self._images(self.engine_.machine.config, x))

    def predict(self, x):
        """Classes (n,) of images (n, inputs) uint8."""
        return np.argmax(self.decision_function(x), axis=1)

    def score(self, x, y):
        """Share of right answers, 0..1."""
        return float(np.mean(self.predict(x) == np.asarray(y)))

    def state(self):
        """Everything a resumed run needs: arrays of the chip, history, counters."""
        return {
            "arrays": self.engine_.state(),
            "history": list(self.history_),
            "intervals": list(self.intervals_),
            "cpu_seconds": self.cpu_seconds_,
            "correct": self.correct_,
            "mark": self._mark,
        }

    def restore(self, state):
        """Take back what :meth:`state` gave."""
        self.engine_.restore(state["arrays"])
        self.history_, self.intervals_ = list(state["history"]), list(state["intervals"])
        self.cpu_seconds_, self.correct_ = state["cpu_seconds"], state["correct"]
        self._mark = state["mark"]

    def digest(self) -> str:
        """SHA-256 of all weights, states and counters, in hexadecimal."""
        sha = hashlib.sha256()
        for name, array in sorted(self.engine_.state().items()):
            sha.update(name.encode())
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()
