# SPDX-License-Identifier: Apache-2.0
"""What the reference machine does to three examples, as a script for the vector unit.

Loaded by its path, as benches are: the simulator's process knows no other.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from amaranth.lib import data

from analog_models import presets
from golden.config import ChipConfig, UpdateConfig
from golden.hardware import tables_of
from golden.machine import Machine, input_codes
from golden.placement import Placement
from golden.program import Op
from rtl.geometry import Place, Size
from rtl.layer_setup import LayerSetup
from rtl.tile_port import TileOp

#: Layers, and rows and columns of a tile: smaller than a layer in both directions, smaller and
#: larger than a beat; as large as tiles get; of one row; as many layers as there may be.
CHIPS = {
    "two layers": ((9, 6, 5), 4, 3),
    "three layers": ((6, 11, 7, 13), 3, 12),
    "one layer": ((5, 9), 3, 6),
    "large tiles": ((511, 530, 300, 9), 512, 512),
    "many tiles": ((17, 3), 1, 3),
    "many layers": ((2,) * 16, 3, 2),
}


class ScriptedTile:
    """Answers with codes drawn beforehand; keeps what it was sent, and its answers."""

    def __init__(self, rows, cols, config, *, forward_shift, backward_shift, seed, tile):
        self.rows, self.cols = rows, cols
        self.rng = np.random.default_rng((seed, tile))
        self.log, self.answers = [], []
        self.perfect = None  # columns' codes that make the right answer

    def _answer(self, n, low):
        top = self.rng.choice([1, 8, 60, 128])  # some sums are out of range, some are not
        codes = self.rng.integers(-top, top, n).clip(low, 127)
        large = self.rng.random(n) < self.rng.choice([0, 0.3])
        large[0] = True
        codes[large] = self.rng.choice([-100, 100], large.sum())
        self.answers.append(codes.tolist())
        return codes

    def forward(self, x):
        self.log.append((TileOp.FORWARD, [x.tolist()]))
        if self.perfect is None:
            return self._answer(self.cols, -128)
        self.answers.append(self.perfect.tolist())
        return self.perfect

    def backward(self, d):
        self.log.append((TileOp.BACKWARD, [d.tolist()]))
        return self._answer(self.rows, -127)

    def update(self, px, pd):
        self.log.append((TileOp.UPDATE, [px.tolist(), pd.tolist()]))


@dataclass(frozen=True)
class Script:
    """Three examples, as machines went through them.

    Parameters
    ----------
    machine, fresh : Machine
        After the last example, and before the first.
    steps : list of tuple
        Instructions ``(op, layer, what to know of it)``; op None writes random lanes.
    sums : set of int
        Codes that are looked up in tables.
    """

    machine: Machine
    fresh: Machine
    steps: list
    sums: set

    @property
    def tiles(self):
        """Tiles of all layers, as they are numbered."""
        layers = range(len(self.machine.tiles))
        return [tile for layer in layers for *_, tile in self.machine.blocks(layer)]

    @property
    def grids(self):
        """Where the tiles of each layer end: rows, columns."""
        chip = self.machine.config
        return [chip.grid(layer) for layer in range(len(chip.layers) - 1)]

    def registers(self, hw, ports):
        """Raw bits of the inputs of the vector unit that hold while the tiles lie at ``ports``."""
        chip, where = self.machine.config, Placement(self.machine.config, hw)
        used_tables = sorted(set(tables_of(chip)))
        setups, places, sizes = [], [], []
        for layer, (rows, cols) in enumerate(self.grids):
            mult, shift = self.fresh.rates[layer]
            setups.append({
                "row_blocks": len(rows) - 1,
                "col_blocks": len(cols) - 1,
                "x_read": int(where.x[layer]),
                "x_write": int(where.x[layer + 1]),
                "d_base": int(where.d[layer]),
                "row_lanes": int(where.row_lanes[layer][0]) // hw.lanes,
                "col_lanes": int(where.col_lanes[layer][0]) // hw.lanes,
                "mult": mult,
                "shift": shift,
                "table": used_tables.index(tables_of(chip)[layer]),
            })
            for i, (r0, r1) in enumerate(pairwise(rows)):
                for j, (c0, c1) in enumerate(pairwise(cols)):
                    place = {"used": 1, "layer": layer, "row_block": i, "col_block": j}
                    places.append(place)
                    sizes.append({"rows": r1 - r0, "cols": c1 - c0})
        # What is not used looks like a part of layer 0.
        at_ports = [({"used": 0}, {"rows": 511, "cols": 511})] * hw.tiles
        for port, *tile in zip(ports, places, sizes, strict=True):
            at_ports[port] = tile
        places, sizes = zip(*at_ports, strict=True)
        setups += [{}] * (hw.layers - len(setups))
        arrays = {"layers": (LayerSetup, setups), "place": (Place, places), "size": (Size, sizes)}
        return {
            **{
                name: data.ArrayLayout(shape, len(values)).const(values).as_bits()
                for name, (shape, values) in arrays.items()
            },
            "stochastic": chip.update.stochastic,
            "delta_max": chip.update.delta_max,
        }

    def tables(self):
        """Address and raw bits of every entry that is looked up."""
        of_layer = tables_of(self.machine.config)
        for k, table in enumerate(sorted(set(of_layer))):
            value, slope = self.machine.activations[of_layer.index(table)]
            for i in sorted(code & 255 for code in self.sums):
                yield 256 * k + i, int(value[i]) & 255 | int(slope[i]) << 8

    def lanes(self, hw, states):
        """Address and state of every random lane, of :func:`lanes_of` a machine."""
        where = Placement(self.machine.config, hw)
        for place, state in zip([*where.row_lanes, *where.col_lanes], states, strict=True):
            yield from zip(map(int, place), map(int, state), strict=True)


def lanes_of(machine):
    """States of a machine's random lanes: of each layer's rows, then of each layer's columns."""
    return [lanes.copy() for lanes in [*machine.row_lanes, *machine.column_lanes]]


def before(words):
    """States that step to ``words``: :func:`golden.pulses.step_lanes` undone."""
    b = words.copy()
    for _ in range(32 // 5):
        b = words ^ b << np.uint32(5)
    a = b ^ b >> np.uint32(17)
    state = a.copy()
    for _ in range(32 // 13):
        state = a ^ state << np.uint32(13)
    return state


def on_the_edge(machine, layer, rng):
    """Let the next UPDATE draw what is just enough for one pulse more, or one less than that."""
    mult, shift = machine.rates[layer]
    enough = -np.abs(machine.delta[layer].astype(np.int64)) * mult % 2**shift
    draws = (enough - rng.integers(2, size=enough.size)).clip(1, 2**shift - 1)
    below = rng.integers(0, 2 ** (32 - shift), enough.size)  # bits that nobody looks at
    machine.column_lanes[layer][...] = before((draws << (32 - shift) | below).astype(np.uint32))


@lru_cache
def golden(name, stochastic, rounds=0, answers=0):
    """Let machines go through three examples, the second of which has no error.

    Each UPDATE is preceded by ``rounds`` that end :func:`on_the_edge`, and each example's answer
    by so many other ``answers``. In the end of an example all layers still have what they need.
    """
    layers, rows, cols = CHIPS[name]
    n = len(layers) - 1
    chip = ChipConfig(
        layers=layers,
        forward_shift=(*[14] * (n - 1), 17),
        backward_shift=(12, *[13] * (n - 1)),
        tile=replace(presets.TUNED, rows=rows, cols=cols),
        update=UpdateConfig(learning_rate=0.05, delta_max=11, stochastic=stochastic),
        seed=len(layers),
    )
    machine = Machine(chip, ScriptedTile)
    fresh = Machine(chip, ScriptedTile)
    rng = np.random.default_rng(9)
    # Tables are what the host writes: here every activation, and every derivative 0..128.
    hidden = rng.integers(-127, 128, 256), rng.integers(0, 129, 256)
    machine.activations = [hidden] * (n - 1) + [machine.activations[-1]]
    images = rng.integers(0, 256, (3, layers[0]))
    images[:, 0] = 255
    steps, sums = [], {0, 127, -128}
    if rounds:
        machine.rates = fresh.rates = ([(255, 24), (77, 3), (91, 12)] * n)[:n]
    for i, (image, label) in enumerate(zip(images, [1, layers[-1] - 1, 0], strict=True)):
        for _, columns, tile in machine.blocks(n - 1):
            right = np.arange(layers[-1])[columns] == label
            tile.perfect = np.where(right, 127, -128) if i == 1 else None
        for p in machine.program:
            if p.op == Op.LOAD:
                machine.x[0][:-1] = input_codes(image)
                steps.append((p.op, 0, (input_codes(image), label)))
            elif p.op == Op.ERROR:
                for again in range(answers + 1):
                    if again:
                        for *_, tile in machine.blocks(n - 1):
                            if again == 1:  # nobody answers
                                tile.perfect = np.full(tile.cols, -128)
                            elif again == 2:
                                tile.perfect = None
                        machine.forward(n - 1)
                        machine.activate(n - 1)
                        steps += [(Op.FORWARD, n - 1, None), (Op.ACTIVATE, n - 1, None)]
                        sums |= set(machine.z.tolist())
                    machine.error(label)
                    told = int(np.argmax(machine.z)), bool(machine.delta[-1].any())
                    steps.append((p.op, p.layer, told))
            elif p.op == Op.SKIP_ZERO:
                if not machine.delta[-1].any():
                    break
            elif p.op == Op.UPDATE:
                for _ in range(rounds):
                    on_the_edge(machine, p.layer, rng)
                    steps.append((None, 0, lanes_of(machine)))
                    machine.update(p.layer)
                    machine.rows(p.layer)
                    steps += [(Op.UPDATE, p.layer, None), (Op.ROWS, p.layer, None)]
                machine.update(p.layer)
                steps.append((p.op, p.layer, None))
            elif p.op not in (Op.AGE, Op.TRANSFER, Op.JUMP):
                getattr(machine, p.op.name.lower())(p.layer)
                steps.append((p.op, p.layer, None))
                sums |= set(machine.z.tolist())
        for layer in range(n):
            machine.rows(layer)
            machine.update(layer)
            steps += [(Op.ROWS, layer, None), (Op.UPDATE, layer, None)]
    wrong = [told[1] for op, _, told in steps if op == Op.ERROR]
    assert wrong[:: answers + 1] == [True, False, True]
    return Script(machine, fresh, steps, sums)
