# SPDX-License-Identifier: Apache-2.0
"""Where a network lies in a controller: every register that makes one run it."""

from itertools import pairwise

import numpy as np

from analog_models.config import check
from analog_models.tile import W_FRAC

from .config import ChipConfig
from .hardware import ControllerConfig, block_beats, tables_of
from .machine import Machine
from .program import Op, compile_program
from .registers import register_map

__all__ = ["WRITE_PC", "Placement"]

#: Where the program that writes initial weights starts.
WRITE_PC = 0


class Placement:
    """A network placed in a controller.

    Parameters
    ----------
    chip : ChipConfig
    hw : ControllerConfig

    Attributes
    ----------
    train_pc : int
        Where the training program starts; at :data:`WRITE_PC` is the one that writes weights.
    row_lanes, col_lanes : list of ndarray of int
        For each layer, the entries of window LANES that hold its lanes.

    Raises
    ------
    ValueError
        If the network does not fit.
    """

    def __init__(self, chip: ChipConfig, hw: ControllerConfig):
        need = ControllerConfig.of(chip, lanes=hw.lanes, transfer_lanes=hw.transfer_lanes)
        for name in need.__dataclass_fields__:
            least = getattr(need, name)
            have = getattr(hw, name)
            check(have >= least, name, f"at least {least} for this network", have)
        self.chip, self.hw, self.map = chip, hw, register_map(hw)
        n = len(chip.layers) - 1
        grids = [chip.grid(layer) for layer in range(n)]
        rows = [block_beats(r, hw.lanes) for r, _ in grids]
        cols = [block_beats(c, hw.lanes) for _, c in grids]
        # inputs of layer 1.. and the outputs of the last one, one after another
        self.x = [0, *np.cumsum([0, *rows[1:]])]
        self.d = np.cumsum([0, *cols])[:-1]
        lanes = np.cumsum([0, *rows, *cols])
        self.row_lanes = [
            _entries(r, int(b), hw.lanes) for (r, _), b in zip(grids, lanes[:n], strict=True)
        ]
        self.col_lanes = [
            _entries(c, int(b), hw.lanes) for (_, c), b in zip(grids, lanes[n:-1], strict=True)
        ]
        self._bases = lanes[:n], lanes[n:-1]
        self.train_pc = WRITE_PC + 2

    def program(self) -> list[int]:
        """Words of the window PROGRAM: WRITE and LOAD, then the training loop."""
        code = [(Op.WRITE, 0, 0), (Op.LOAD, 0, 0)]
        for p in compile_program(self.chip):
            jump = p.op in (Op.JUMP, Op.SKIP_ZERO)
            code.append((p.op, p.layer, p.target + self.train_pc if jump else 0))
        return [op | layer << 4 | target << 8 for op, layer, target in code]

    def rates(self, machine: Machine) -> list[tuple[int, int]]:
        """``(address, word)`` of the registers that depend on the learning rate."""
        tables = sorted(set(tables_of(self.chip)))
        out = [
            self._set("LAYER_RATE", layer, mult=mult, shift=shift, table=tables.index(table))
            for layer, ((mult, shift), table) in enumerate(
                zip(machine.rates, tables_of(self.chip), strict=True)
            )
        ]
        return [*out, self._set("GAIN", gain=machine.gain)]

    def _set(self, name, index=0, **fields):
        return self.map.address(name, index), self.map.encode(name, **fields)

    def setup(self, machine: Machine) -> list[tuple[int, int]]:
        """``(address, word)`` of the registers and windows for a machine that has not trained.

        How long the host waits (WATCHDOG) and what it resumes (RESTORE_*) are for it to write.
        """
        chip, n = self.chip, len(self.chip.layers) - 1
        t, u = chip.transfer, chip.update
        out = [
            self._set("INPUTS", n=chip.layers[0]),
            self._set("AGE_PERIODS", n=chip.tile.age_periods),
            self._set("INTERVAL", n=t.interval),
            self._set("UPDATE", delta_max=u.delta_max, stochastic=u.stochastic),
            self._set(
                "TRANSFER",
                invert=t.invert,
                capacitor=chip.tile.cell.update_device == "capacitor",
                log2_reads=t.log2_reads,
                retries=t.retries,
                tune_rounds=t.tune_rounds,
            ),
            self._set("TRANSFER_SET", set_tolerance=t.set_tolerance, small_target=t.small_target),
            self._set(
                "TRANSFER_TUNE",
                tune_tolerance=t.tune_tolerance,
                fail_tolerance=t.fail_tolerance,
            ),
            self._set(
                "TRANSFER_GOAL", offset=t.offset, tune_mult=machine.transfer_tables.tune_mult
            ),
        ]
        tile = 0
        for layer in range(n):
            rows, cols = chip.grid(layer)
            out += [
                self._set(
                    "LAYER_BLOCKS", layer, row_blocks=len(rows) - 1, col_blocks=len(cols) - 1
                ),
                self._set("LAYER_X", layer, read=self.x[layer], write=self.x[layer + 1]),
                self._set("LAYER_D", layer, base=self.d[layer]),
                self._set(
                    "LAYER_LANES",
                    layer,
                    rows=self._bases[0][layer],
                    cols=self._bases[1][layer],
                ),
            ]
            for i, (r0, r1) in enumerate(pairwise(rows)):
                for j, (c0, c1) in enumerate(pairwise(cols)):
                    out += [
                        self._set(
                            "TILE_PLACE", tile, used=1, layer=layer, row_block=i, col_block=j
                        ),
                        self._set("TILE_SIZE", tile, rows=r1 - r0, cols=c1 - c0),
                    ]
                    tile += 1
        for layer in range(n, self.hw.layers):
            out.append(self._set("LAYER_BLOCKS", layer))
        for k in range(tile, self.hw.tiles):
            out.append(self._set("TILE_PLACE", k))
        out += self.rates(machine)
        out += [(self.map.address("PROGRAM", i), w) for i, w in enumerate(self.program())]
        for k, table in enumerate(sorted(set(tables_of(chip)))):
            value, slope = machine.activations[tables_of(chip).index(table)]
            words = (value & 255) | slope << 8
            out += [(self.map.address("TABLE", 256 * k + i), int(w)) for i, w in enumerate(words)]
        out += [
            (self.map.address("DURATION", i), int(w))
            for i, w in enumerate(machine.transfer_tables.duration)
        ]
        return out + self.lanes(machine)

    def lanes(self, machine: Machine) -> list[tuple[int, int]]:
        """``(address, word)`` of the states of all random lanes."""
        places = [*self.row_lanes, *self.col_lanes]
        states = [*machine.row_lanes, *machine.column_lanes]
        return [
            (self.map.address("LANES", int(i)), int(w))
            for place, state in zip(places, states, strict=True)
            for i, w in zip(place, state, strict=True)
        ]

    def goals(self, weights) -> list[np.ndarray]:
        """Goals (read codes) of each tile, int64 (rows, cols), for float weights by layer."""
        scale = 2 ** (W_FRAC + 7 - self.chip.tile.converter.read_shift)
        out = []
        for layer, w in enumerate(weights):
            goal = np.floor(np.asarray(w) * scale + 0.5).astype(np.int64)
            most = 1 << 11
            check(np.abs(goal).max() < most, "goals", f"read codes below {most}", goal.max())
            rows, cols = self.chip.grid(layer)
            for r0, r1 in pairwise(rows):
                out += [goal[r0:r1, c0:c1] for c0, c1 in pairwise(cols)]
        return out


def _entries(ends: list[int], base: int, lanes: int) -> np.ndarray:
    """Entries of LANES of a vector that is cut at ``ends`` and starts at beat ``base``."""
    out = []
    for a, b in pairwise(ends):
        out.append(base * lanes + np.arange(b - a))
        base += -(-(b - a) // lanes)
    return np.concatenate(out)
