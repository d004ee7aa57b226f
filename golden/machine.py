# SPDX-License-Identifier: Apache-2.0
"""The reference machine: plain numpy, one method an instruction, obviously right."""

from itertools import pairwise

import numpy as np

from analog_models.fixed_tile import FixedTile
from analog_models.tile import ACC_FRAC, W_FRAC

from .config import ChipConfig
from .formats import BIAS, CODE_MAX, round_shift, saturate
from .program import Op, compile_program
from .pulses import column_pulses, lanes, rate_registers, row_pulses, step_lanes
from .tables import activation_table
from .transfer import goal_gain, transfer_row, transfer_tables

__all__ = ["COUNTERS", "LAYER_COUNTERS", "Machine", "input_codes"]

#: Counters of the whole chip, in the order of :attr:`Machine.counters`.
COUNTERS = (
    "examples",
    "correct",
    "skipped",
    "ticks",
    "transfers",
    "set_shots",
    "tune_pulses",
    "transfer_error_sq",
    "failed_cells",
)
#: Counters of one layer, in the order of the columns of :attr:`Machine.layer_counters`.
LAYER_COUNTERS = ("forward_clips", "backward_clips", "pulses_asked", "pulses_applied")


def input_codes(pixels: np.ndarray) -> np.ndarray:
    """Input codes 0..127 of 8-bit pixels."""
    return pixels >> 1


class Machine:
    """Runs the program of a chip on tiles behind their ports.

    Parameters
    ----------
    config : ChipConfig
    tile : type
        Tile model: :class:`FixedTile` or :class:`PhysicalTile`.

    Attributes
    ----------
    tiles : list of list of list
        ``tiles[layer][row block][column block]``.
    counters : ndarray of int64, named by :data:`COUNTERS`
    layer_counters : ndarray of int64, shape (layers, 4), named by :data:`LAYER_COUNTERS`
    row_lanes, column_lanes : list of ndarray of uint32
        Random lanes of each layer.
    sign : int
        Polarity of all tiles.
    """

    def __init__(self, config: ChipConfig, tile=FixedTile):
        self.config = config
        self.program = compile_program(config)
        self.transfer_tables = transfer_tables(config)
        n = len(config.layers) - 1
        self.tiles: list[list[list]] = []
        count = 0
        for layer in range(n):
            rows, cols = config.grid(layer)
            self.tiles.append([])
            for r0, r1 in pairwise(rows):
                block = []
                for c0, c1 in pairwise(cols):
                    block.append(
                        tile(
                            r1 - r0,
                            c1 - c0,
                            config.tile,
                            forward_shift=config.forward_shift[layer],
                            backward_shift=config.backward_shift[layer],
                            seed=config.seed,
                            tile=count,
                        )
                    )
                    count += 1
                self.tiles[-1].append(block)
        names = [config.hidden] * (n - 1) + [config.output]
        self.activations = [
            activation_table(name, shift)
            for name, shift in zip(names, config.forward_shift, strict=True)
        ]
        self.row_lanes = [lanes(config.seed, 2 * i, config.layers[i] + 1) for i in range(n)]
        self.column_lanes = [lanes(config.seed, 2 * i + 1, config.layers[i + 1]) for i in range(n)]
        self.counters = np.zeros(len(COUNTERS), np.int64)
        self.layer_counters = np.zeros((n, len(LAYER_COUNTERS)), np.int64)
        self.sign = 1
        self.x = [np.append(np.zeros(k, np.int64), BIAS) for k in config.layers]
        self.slope = [np.zeros(k, np.int64) for k in config.layers[1:]]
        self.delta = [np.zeros(k, np.int64) for k in config.layers[1:]]
        self.px = [np.zeros(k + 1, np.int64) for k in config.layers[:-1]]
        self.rates, self.gain = [(0, 0)] * n, 0
        self.set_learning_rate(config.update.learning_rate)

    def set_learning_rate(self, eta: float) -> None:
        """Write the rate registers of all layers and the gain register of the transfer."""
        frac = [*(ACC_FRAC - s for s in self.config.backward_shift[1:]), 7]
        self.rates = [rate_registers(eta / self.config.step * 2.0**-f) for f in frac]
        self.gain = goal_gain(self.config, self.transfer_tables, eta)

    def _count(self, name: str, n: int = 1) -> None:
        self.counters[COUNTERS.index(name)] += n

    def blocks(self, layer):
        """Yield ``(rows, columns, tile)`` of a layer, as slices."""
        rows, cols = self.config.grid(layer)
        for i, block in enumerate(self.tiles[layer]):
            for j, tile in enumerate(block):
                yield slice(rows[i], rows[i + 1]), slice(cols[j], cols[j + 1]), tile

    def write_weights(self, weights) -> None:
        """Program initial weights: list of float arrays (rows, cols), 1.0 = 1.0."""
        scale = 2 ** (W_FRAC + 7 - self.config.tile.converter.read_shift)
        for layer, w in enumerate(weights):
            goal = np.floor(np.asarray(w) * scale + 0.5).astype(np.int64)
            self._rewrite(layer, self.sign, goal)

    def _rewrite(self, layer, new, goal=None) -> None:
        for rows, cols, tile in self.blocks(layer):
            for row in range(tile.rows):
                error, shots, pulses = transfer_row(
                    tile,
                    row,
                    self.config,
                    self.transfer_tables,
                    old=self.sign,
                    new=new,
                    goal=None if goal is None else goal[rows, cols][row],
                    gain=self.gain,
                    transfers=int(self.counters[COUNTERS.index("transfers")]),
                )
                failed = np.abs(error) > self.config.transfer.fail_tolerance
                self._count("set_shots", shots)
                self._count("tune_pulses", pulses)
                self._count("transfer_error_sq", int(error @ error))
                self._count("failed_cells", int(failed.sum()))

    def run(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        """Train on examples in the given order: pixels (n, inputs) uint8, labels (n,)."""
        last = len(self.config.layers) - 2
        at, example = 0, 0
        while True:
            code = self.program[at]
            at += 1
            if code.op == Op.LOAD:
                if example == len(pixels):
                    return
                self.x[0][:-1] = input_codes(pixels[example])
                label = int(labels[example])
                example += 1
            elif code.op == Op.FORWARD:
                self.forward(code.layer)
            elif code.op == Op.ACTIVATE:
                self.activate(code.layer)
            elif code.op == Op.ERROR:
                self.error(label)
            elif code.op == Op.SKIP_ZERO:
                if not self.delta[last].any():
                    self._count("skipped")
                    at = code.target
            elif code.op == Op.BACKWARD:
                self.backward(code.layer)
            elif code.op == Op.MULTIPLY:
                self.multiply(code.layer)
            elif code.op == Op.ROWS:
                self.rows(code.layer)
            elif code.op == Op.UPDATE:
                self.update(code.layer)
            elif code.op == Op.AGE:
                self.age()
            elif code.op == Op.TRANSFER:
                self.transfer()
            elif code.op == Op.JUMP:
                at = code.target

    def forward(self, layer):
        """Add the codes of the row blocks, saturate to 8 bits."""
        total = np.zeros(self.config.layers[layer + 1], np.int64)
        for rows, cols, tile in self.blocks(layer):
            total[cols] += tile.forward(self.x[layer][rows])
        self.z = saturate(total, -128, 127)
        self.layer_counters[layer, 0] += np.count_nonzero((total < -127) | (total > 126))

    def activate(self, layer):
        """Look up activations and derivatives."""
        value, slope = self.activations[layer]
        self.x[layer + 1][:-1] = value[self.z & 255]
        self.slope[layer] = slope[self.z & 255].astype(np.int64)

    def error(self, label):
        """Subtract outputs from the one-hot target; the lowest index wins ties."""
        y = self.x[-1][:-1]
        self._count("examples")
        self._count("correct", int(np.argmax(self.z) == label))
        target = np.where(np.arange(y.size) == label, CODE_MAX, 0)
        self.delta[-1] = saturate(target - y, -CODE_MAX, CODE_MAX)

    def backward(self, layer):
        """Add the codes of the column blocks, saturate to -127..127; the bias row is dropped."""
        total = np.zeros(self.config.layers[layer] + 1, np.int64)
        for rows, cols, tile in self.blocks(layer):
            total[rows] += tile.backward(self.delta[layer][cols])
        self.e = saturate(total[:-1], -CODE_MAX, CODE_MAX)
        clipped = (total[:-1] < -126) | (total[:-1] > 126)
        self.layer_counters[layer, 1] += np.count_nonzero(clipped)

    def multiply(self, layer):
        """Scale errors by the derivative."""
        self.delta[layer] = round_shift(self.e * self.slope[layer], 7)

    def rows(self, layer):
        """Encode the row pulses."""
        state = self.row_lanes[layer] if self.config.update.stochastic else None
        if state is not None:
            step_lanes(state)
        self.px[layer] = row_pulses(self.x[layer], state)

    def update(self, layer):
        """Encode the column pulses and step the tiles' cells."""
        u, px = self.config.update, self.px[layer]
        state = self.column_lanes[layer] if u.stochastic else None
        if state is not None:
            step_lanes(state)
        mult, shift = self.rates[layer]
        pd, asked = column_pulses(self.delta[layer], mult, shift, u.delta_max, state)
        for rows, cols, tile in self.blocks(layer):
            tile.update(px[rows], pd[cols])
        fired = int(np.abs(px).sum())
        self.layer_counters[layer, 2] += fired * int(asked.sum())
        self.layer_counters[layer, 3] += fired * int(np.abs(pd).sum())

    def _due(self, interval):
        return interval and self.counters[0] % interval == 0

    def age(self):
        """Let a tick pass when it is due."""
        if self._due(self.config.tile.age_periods):
            self._count("ticks")
            for layer in range(len(self.tiles)):
                for _, _, tile in self.blocks(layer):
                    tile.age(1)

    def transfer(self):
        """Transfer all tiles when it is due, and flip the polarity."""
        if self._due(self.config.transfer.interval):
            new = -self.sign if self.config.transfer.invert else self.sign
            for layer in range(len(self.tiles)):
                self._rewrite(layer, new)
            self.sign = new
            self._count("transfers")

    def predict_codes(self, pixels: np.ndarray) -> np.ndarray:
        """Saturated output sums (n, outputs) of the chip's own forward path; changes nothing."""
        state = [t.state() for layer in range(len(self.tiles)) for *_, t in self.blocks(layer)]
        counted = self.layer_counters.copy()
        out = np.zeros((len(pixels), self.config.layers[-1]), np.int64)
        for i, image in enumerate(pixels):
            self.x[0][:-1] = input_codes(image)
            for layer in range(len(self.tiles)):
                self.forward(layer)
                self.activate(layer)
            out[i] = self.z
        tiles = (t for layer in range(len(self.tiles)) for *_, t in self.blocks(layer))
        for tile, saved in zip(tiles, state, strict=True):
            tile.restore(saved)
        self.layer_counters[...] = counted
        return out
