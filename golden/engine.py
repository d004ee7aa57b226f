# SPDX-License-Identifier: Apache-2.0
"""Executors of a chip behind one interface: the reference machine, and the numba kernels."""

import numpy as np

from analog_models.fixed_tile import FixedTile
from analog_models.tile import W_FRAC

from . import cell_kernels, kernels, transfer_kernels
from .config import ChipConfig
from .machine import Machine
from .pools import CELL0, COLS, ROWS, STRIDE, export, pack

__all__ = ["FixedEngine", "MachineEngine"]


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
