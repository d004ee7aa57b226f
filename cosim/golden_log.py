# SPDX-License-Identifier: Apache-2.0
"""The reference machine, and what it asks of its tiles, operation by operation."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from analog_models.tile import Tile
from golden.machine import COUNTERS, Machine
from rtl.tile_port import TileOp

from .tile_server import Operation

__all__ = ["Expected", "GoldenLog", "LoggedTile"]

#: Instruction that an operation belongs to; all others are part of a rewriting of the tile.
PHASES = {
    TileOp.FORWARD: "forward",
    TileOp.BACKWARD: "backward",
    TileOp.UPDATE: "update",
    TileOp.AGE: "age",
}


class LoggedTile:
    """A tile that reports every operation; anything else goes to the tile itself.

    Parameters
    ----------
    tile : Tile
    log : callable
        Gets an :class:`cosim.tile_server.Operation` after each operation.
    """

    def __init__(self, tile: Tile, log: Callable[[Operation], None]):
        self.tile, self.log = tile, log
        self.rows, self.cols = tile.rows, tile.cols

    def __getattr__(self, name):
        return getattr(self.tile, name)

    def forward(self, x):
        """See :class:`analog_models.tile.Tile`, here and below."""
        y = self.tile.forward(x)
        self.log(Operation(TileOp.FORWARD, inputs=(np.array(x),), output=np.array(y)))
        return y

    def backward(self, d):
        """Multiply column codes with the transposed weights."""
        y = self.tile.backward(d)
        self.log(Operation(TileOp.BACKWARD, inputs=(np.array(d),), output=np.array(y)))
        return y

    def update(self, px, pd):
        """Step every cell."""
        self.tile.update(px, pd)
        self.log(Operation(TileOp.UPDATE, inputs=(np.array(px), np.array(pd))))

    def read(self, row, log2_reads):
        """Read one row."""
        r = self.tile.read(row, log2_reads)
        self.log(Operation(TileOp.READ, row, log2_reads, output=np.array(r)))
        return r

    def program(self, row, plus, minus):
        """Program the PCM pairs of one row."""
        self.tile.program(row, plus, minus)
        self.log(Operation(TileOp.PROGRAM, row, inputs=(np.array(plus), np.array(minus))))

    def init(self, row):
        """Write v_init into one row."""
        self.tile.init(row)
        self.log(Operation(TileOp.INIT, row))

    def tune(self, row, pulses):
        """Step the cells of one row."""
        self.tile.tune(row, pulses)
        self.log(Operation(TileOp.TUNE, row, inputs=(np.array(pulses),)))

    def polarity(self, sign):
        """Set the readout sign."""
        self.tile.polarity(sign)
        self.log(Operation(TileOp.POLARITY, sign=sign))

    def age(self, ticks):
        """Let ageing ticks pass; the port has one operation for each."""
        self.tile.age(ticks)
        for _ in range(ticks):
            self.log(Operation(TileOp.AGE))


class Expected(NamedTuple):
    """An operation of the golden machine.

    Parameters
    ----------
    operation : Operation
    example : int
        Examples that the machine had finished before.
    phase : str
        ``forward``, ``backward``, ``update``, ``age``, ``transfer`` or ``write``.
    """

    operation: Operation
    example: int
    phase: str


class GoldenLog:
    """Runs a reference machine and keeps, by tile, the operations that nobody compared yet.

    The tiles of the machine are wrapped in place.

    Parameters
    ----------
    machine : Machine

    Attributes
    ----------
    tiles : list of LoggedTile
        Layer by layer, row block by row block.
    layer : list of int
        Layer of each tile.
    expected : list of deque of Expected
        By tile.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        self.tiles: list[LoggedTile] = []
        self.layer: list[int] = []
        self.expected: list[deque[Expected]] = []
        self._example, self._rewriting = 0, "transfer"
        for layer, grid in enumerate(machine.tiles):
            for block in grid:
                for j, tile in enumerate(block):
                    block[j] = LoggedTile(tile, partial(self._log, len(self.tiles)))
                    self.tiles.append(block[j])
                    self.layer.append(layer)
                    self.expected.append(deque())

    def _log(self, tile, operation):
        phase = PHASES.get(operation.op, self._rewriting)
        self.expected[tile].append(Expected(operation, self._example, phase))

    def write_weights(self, weights) -> None:
        """Program initial weights, a list of float arrays."""
        self._example, self._rewriting = self._examples, "write"
        self.machine.write_weights(weights)
        self._rewriting = "transfer"

    def run(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        """Train on examples in the given order, with the transfers that fall due."""
        for k in range(len(pixels)):
            self._example = self._examples
            self.machine.run(pixels[k : k + 1], labels[k : k + 1])

    @property
    def _examples(self) -> int:
        return int(self.machine.counters[COUNTERS.index("examples")])
