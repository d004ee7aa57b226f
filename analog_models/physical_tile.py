# SPDX-License-Identifier: Apache-2.0
"""The tile in SI units: volts, siemens, seconds, coulombs, float64."""

import numpy as np

from .capacitor import CapacitorArray
from .cell import weight
from .config import check
from .converter import convert
from .pcm import PcmArray
from .prng import derive
from .tile import RESET, TileConfig

__all__ = ["PhysicalTile"]

#: Weights are rounded to 2**-30 before they are summed: with codes of 7 bits and 512 terms the
#: sum stays below 53 bits, so it is exact and no order of summation can change a result.
_GRID = 2.0**30


class PhysicalTile:
    """A crossbar as physics describes it; the truth that :class:`FixedTile` is calibrated to.

    Noise of operation k comes from a Philox generator keyed with (seed, tile, k): a checkpoint
    only holds the count. Not modelled: IR drop, sneak paths, temperature, pulse-shape effects,
    time that a transfer itself takes.

    Parameters
    ----------
    rows, cols : int
        Rows and columns in use.
    config : TileConfig
    forward_shift, backward_shift : int
        Range of the ADC in the two directions: its LSB is ``2**(shift - 21)`` in units of
        weight times input.
    seed, tile : int
        Key of all randomness, and the number of the tile on the chip.

    Attributes
    ----------
    plus, minus : PcmArray
    capacitor : CapacitorArray, shape (rows, cols + 1)
        The last column holds the row's shared reference cell.
    """

    def __init__(
        self, rows, cols, config: TileConfig, *, forward_shift, backward_shift, seed, tile=0
    ):
        check(1 <= rows <= config.rows, "rows", f"within 1..{config.rows}", rows)
        check(1 <= cols <= config.cols, "cols", f"within 1..{config.cols}", cols)
        for name, shift in (("forward_shift", forward_shift), ("backward_shift", backward_shift)):
            check(8 <= shift <= 21, name, "within 8..21", shift)
        self.rows, self.cols, self.config = rows, cols, config
        self.forward_shift, self.backward_shift = forward_shift, backward_shift
        self._key = derive(seed, tile)
        self._ops = 0
        self._sign = 1
        rng = self._rng()
        self.plus = PcmArray(rows, cols, config.cell.pcm, rng=rng)
        self.minus = PcmArray(rows, cols, config.cell.pcm, rng=rng)
        self.capacitor = CapacitorArray((rows, cols + 1), config.cell.capacitor, rng=rng)
        spread = config.converter.adc_offset
        self._offset = {
            "forward": spread * rng.standard_normal(cols),
            "backward": spread * rng.standard_normal(rows),
            "read": spread * rng.standard_normal(cols),
        }
        self._w = np.zeros((rows, cols))
        self._refresh(slice(None))

    def _rng(self):
        """Return the generator of the next operation."""
        self._ops += 1
        return np.random.Generator(np.random.Philox(key=[self._key, self._ops]))

    def _refresh(self, rows, cols=slice(None)):
        """Recompute the cached weights of ``rows`` (indices or slice) and ``cols``."""
        rows = np.arange(self.rows)[rows]
        index = np.ix_(rows, np.arange(self.cols)[cols])
        w = weight(
            self.config.cell,
            self.plus.conductance(index),
            self.minus.conductance(index),
            self.capacitor.conductance(index),
            self.capacitor.conductance(np.ix_(rows, [self.cols])),
            self._sign,
        )
        self._w[index] = np.rint(w * _GRID) / _GRID

    def _convert(self, total, square, shift, direction, *, bits, reads=1):
        """Convert ``total`` (weight times code) with the noise of ``square = sum(x**2)``."""
        cell, cfg = self.config.cell, self.config.converter
        lsb = cfg.charge_lsb(cell.unit, shift)
        charge = cfg.v_read * cfg.t_lsb * cell.unit * total
        cell_noise = cell.gain * np.sqrt(2 * square) * cell.pcm.read_noise
        cell_noise *= cfg.v_read * cfg.t_lsb / lsb
        sd = np.hypot(cfg.adc_noise, cell_noise) / np.sqrt(reads)
        noise = sd * self._rng().standard_normal(total.shape)
        return convert(charge, lsb, bits, offset=self._offset[direction], noise=noise)

    def forward(self, x):
        """Multiply row codes with the weights; see :class:`analog_models.tile.Tile`."""
        x = np.asarray(x, dtype=float)
        on = np.flatnonzero(x)
        total = x[on] @ self._w[on]
        bits = self.config.converter.adc_bits
        return self._convert(total, x @ x, self.forward_shift, "forward", bits=bits)

    def backward(self, d):
        """Multiply column codes with the transposed weights."""
        d = np.asarray(d, dtype=float)
        on = np.flatnonzero(d)
        total = self._w[:, on] @ d[on]
        bits = self.config.converter.adc_bits
        return self._convert(total, d @ d, self.backward_shift, "backward", bits=bits)

    def read(self, row, log2_reads):
        """Read one row with all of its cells driven by code 128."""
        cfg = self.config.converter
        total = 128 * self._w[row]
        reads = 2**log2_reads
        return self._convert(
            total, 128.0**2, cfg.read_shift, "read", bits=cfg.read_bits, reads=reads
        )

    def update(self, px, pd):
        """Step every cell by ``px_i * pd_j`` pulses."""
        rows, cols = np.flatnonzero(px), np.flatnonzero(pd)
        if rows.size == 0 or cols.size == 0:
            return
        self._step(rows, cols, np.outer(px[rows], pd[cols]))

    def tune(self, row, pulses):
        """Step the cells of one row."""
        cols = np.flatnonzero(pulses)
        self._step(np.array([row]), cols, np.asarray(pulses)[None, cols])

    def _step(self, rows, cols, pulses):
        index = np.ix_(rows, cols)
        if self.config.cell.update_device == "capacitor":
            self.capacitor.pulse(index, self._sign * pulses)
        else:
            rng = self._rng()
            at = [np.broadcast_to(i, pulses.shape) for i in index]
            for array, sign in ((self.plus, 1), (self.minus, -1)):
                hit = sign * pulses > 0
                array.partial_set(at[0][hit], at[1][hit], np.abs(pulses[hit]), rng=rng)
        self._refresh(rows, cols)

    def program(self, row, plus, minus):
        """Program the PCM pairs of one row."""
        rng = self._rng()
        for array, code in ((self.plus, np.asarray(plus)), (self.minus, np.asarray(minus))):
            array.reset(row, code == RESET, rng=rng)
            array.set(row, np.where(code == RESET, 0, code), rng=rng)
        self._refresh([row])

    def init(self, row):
        """Write v_init into the capacitors of one row and its reference cell."""
        self.capacitor.initialise(np.index_exp[row], rng=self._rng())
        self._refresh([row])

    def polarity(self, sign):
        """Set the readout sign and the sense of the pulses."""
        check(sign in (-1, 1), "sign", "+1 or -1", sign)
        if sign != self._sign:
            self._sign = sign
            self._refresh(slice(None))

    def age(self, ticks):
        """Let ``ticks`` ageing ticks pass: exact exponentials and power laws."""
        seconds = ticks * self.config.tick
        self.plus.age += seconds
        self.minus.age += seconds
        self.capacitor.leak(seconds)
        self._refresh(slice(None))

    def weight(self):
        """Weights (1.0 = 1.0) without read noise."""
        return self._w.copy()

    def state(self):
        """Return everything that changes."""
        arrays = {
            "v": self.capacitor.v,
            "g_plus": self.plus.g,
            "g_minus": self.minus.g,
            "age_plus": self.plus.age,
            "age_minus": self.minus.age,
            "count": np.array([self._ops, self._sign]),
            "charge": np.array(list(self.capacitor.charge.values())),
        }
        return {k: v.copy() for k, v in arrays.items()}

    def restore(self, state):
        """Take back what :meth:`state` gave."""
        self.capacitor.v[...] = state["v"]
        self.plus.g[...], self.minus.g[...] = state["g_plus"], state["g_minus"]
        self.plus.age[...], self.minus.age[...] = state["age_plus"], state["age_minus"]
        self._ops, self._sign = (int(n) for n in state["count"])
        self.capacitor.charge = dict(
            zip(self.capacitor.charge, state["charge"].tolist(), strict=True)
        )
        self._refresh(slice(None))
