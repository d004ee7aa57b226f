# SPDX-License-Identifier: Apache-2.0
"""The golden trainer: a classifier that learns on the chip, with scikit-learn's conventions."""

import hashlib
import time

import numpy as np

from analog_models.fixed_tile import FixedTile
from analog_models.physical_tile import PhysicalTile
from analog_models.tile import W_FRAC

from . import cell_kernels, kernels, transfer_kernels
from .config import ChipConfig
from .machine import COUNTERS, LAYER_COUNTERS, Machine
from .pools import CELL0, COLS, ROWS, STRIDE, export, pack
from .schedule import epoch_order, initial_weights

__all__ = ["AnalogClassifier", "FixedEngine", "MachineEngine"]


class MachineEngine:
    """Runs a chip on the reference machine, for any tile model.

    Parameters
    ----------
    config : ChipConfig
    tile : type
        Tile model.
    """

    def __init__(self, config: ChipConfig, tile=FixedTile):
        self.machine = Machine(config, tile)

    def write_weights(self, weights):
        """Program initial weights (list of float arrays)."""
        self.machine.write_weights(weights)

    def set_learning_rate(self, eta):
        """Write the registers that depend on the learning rate."""
        self.machine.set_learning_rate(eta)

    def train(self, pixels, labels, order):
        """Train on ``pixels[order]``; a transfer due after the last example is made."""
        self.machine.run(pixels[order], labels[order])

    def scores(self, pixels):
        """Output sums (n, outputs) of the chip's forward path."""
        return self.machine.predict_codes(pixels)

    def weights(self):
        """Weights of each layer, float64 (rows with bias, cols)."""
        out = []
        for i, (a, b) in enumerate(
            zip(self.machine.config.layers, self.machine.config.layers[1:], strict=False)
        ):
            w = np.zeros((a + 1, b))
            for rows, cols, tile in self.machine.blocks(i):
                w[rows, cols] = tile.weight()
            out.append(w)
        return out

    def cells(self, name):
        """One quantity of every cell by layer; ``v`` is the capacitor's use, in weight units."""
        m, out = self.machine, []
        cell = m.config.tile.cell
        for i, (a, b) in enumerate(zip(m.config.layers, m.config.layers[1:], strict=False)):
            whole = np.zeros((a + 1, b))
            for rows, cols, tile in m.blocks(i):
                if isinstance(tile, FixedTile):
                    part = (tile.v if name == "v" else getattr(tile, name)) / (
                        2.0**16 if name == "v" else 2.0**W_FRAC
                    )
                elif name == "v":
                    volts = tile.capacitor.v[:, :-1] - cell.capacitor.v_init
                    part = volts * cell.capacitor.transconductance / cell.unit
                else:
                    part = (tile.plus if name == "g_plus" else tile.minus).g / cell.unit
                whole[rows, cols] = part
            out.append(whole)
        return out

    def state(self):
        """Everything that changes, as a flat dict of arrays."""
        m = self.machine
        out = {"counters": m.counters.copy(), "layer_counters": m.layer_counters.copy()}
        out["sign"] = np.array([m.sign])
        out["row_lanes"] = np.concatenate(m.row_lanes)
        out["column_lanes"] = np.concatenate(m.column_lanes)
        tiles = [t for i in range(len(m.tiles)) for *_, t in m.blocks(i)]
        for k, tile in enumerate(tiles):
            out |= {f"tile{k}.{name}": a for name, a in tile.state().items()}
        return out

    def restore(self, state):
        """Take back what :meth:`state` gave."""
        m = self.machine
        m.counters[...] = state["counters"]
        m.layer_counters[...] = state["layer_counters"]
        m.sign = int(state["sign"][0])
        for lanes, whole in ((m.row_lanes, "row_lanes"), (m.column_lanes, "column_lanes")):
            ends = np.cumsum([lane.size for lane in lanes])[:-1]
            for lane, part in zip(lanes, np.split(state[whole], ends), strict=True):
                lane[...] = part
        tiles = [t for i in range(len(m.tiles)) for *_, t in m.blocks(i)]
        for k, tile in enumerate(tiles):
            prefix = f"tile{k}."
            tile.restore({n[len(prefix) :]: a for n, a in state.items() if n.startswith(prefix)})


class FixedEngine(MachineEngine):
    """Runs a chip of :class:`FixedTile` in numba kernels; same bits as :class:`MachineEngine`."""

    def __init__(self, config: ChipConfig):
        super().__init__(config)
        self.pools, self.constants = pack(self.machine)
        cell_kernels.refresh(self.pools, self.constants)
        # compiles, so that no measured time contains it
        p, c, nothing = self.pools, self.constants, np.zeros(0, np.int64)
        kernels.train(p, c, np.zeros((0, config.layers[0]), np.uint8), nothing, nothing)
        empty = p._replace(layers=p.layers[:0], sign=p.sign.copy())
        transfer_kernels.transfer(empty, c, 1, nothing, True)

    def write_weights(self, weights):
        """Program initial weights (list of float arrays)."""
        scale = 2 ** (W_FRAC + 7 - self.machine.config.tile.converter.read_shift)
        goals = np.zeros(self.pools.w.size, np.int64)
        for g, w in zip(self.pools.layers, weights, strict=True):
            whole = goals[g[CELL0] : g[CELL0] + g[ROWS] * g[STRIDE]].reshape(g[ROWS], g[STRIDE])
            whole[:, : g[COLS]] = np.floor(np.asarray(w) * scale + 0.5)
        transfer_kernels.transfer(self.pools, self.constants, int(self.pools.sign[0]), goals, True)

    def set_learning_rate(self, eta):
        """Write the registers that depend on the learning rate."""
        self.machine.set_learning_rate(eta)
        self.pools.rates[...] = self.machine.rates
        self.pools.gain[0] = self.machine.gain

    def train(self, pixels, labels, order):
        """Train on ``pixels[order]``; a transfer due after the last example is made."""
        p, c = self.pools, self.constants
        done = 0
        while done < order.size:
            left = c.interval - int(p.counters[0]) % c.interval if c.interval else order.size
            part = order[done : done + left]
            kernels.train(p, c, pixels, labels, part)
            done += part.size
            if c.interval and p.counters[0] % c.interval == 0:
                new = -int(p.sign[0]) if c.invert else int(p.sign[0])
                transfer_kernels.transfer(p, c, new, np.zeros(1, np.int64), False)

    def scores(self, pixels):
        """Output sums (n, outputs) of the chip's forward path."""
        out = np.zeros((len(pixels), self.machine.config.layers[-1]), np.int64)
        counted = self.pools.layer_counters.copy()
        kernels.evaluate(self.pools, self.constants, pixels, out)
        self.pools.layer_counters[...] = counted
        return out

    def weights(self):
        """Weights of each layer, float64 (rows with bias, cols)."""
        export(self.pools, self.machine)
        return super().weights()

    def cells(self, name):
        """One quantity of every cell by layer."""
        export(self.pools, self.machine)
        return super().cells(name)

    def state(self):
        """Everything that changes, as a flat dict of arrays."""
        export(self.pools, self.machine)
        return super().state()

    def restore(self, state):
        """Take back what :meth:`state` gave."""
        super().restore(state)
        self.pools, self.constants = pack(self.machine)
        cell_kernels.refresh(self.pools, self.constants)


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
