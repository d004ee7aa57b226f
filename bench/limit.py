# SPDX-License-Identifier: Apache-2.0
"""The least time that this machine needs for an example: work done, and rates of inner loops."""

import time
from dataclasses import dataclass

import numpy as np
from numba import njit

from golden import cell_kernels, kernels, transfer_kernels, update_kernels
from golden.engine import FixedEngine, MachineEngine
from golden.pools import CONVERSIONS, PULSES, WRITES
from golden.update_kernels import ALONE, BEGIN

__all__ = ["Work", "rates", "work"]

#: Lanes of a row in the measurements: a padded row of the first layer.
_N = 256
#: Slopes and bounds of a capacitor, as in the tuned preset.
CURVE = (2048, 2048, -26214, 26214)


@dataclass(frozen=True)
class Work:
    """One kind of work of an average example.

    Parameters
    ----------
    name : str
    kind : str
        Key of :func:`rates`.
    amount : float
        Operations for one example.
    """

    name: str
    kind: str
    amount: float


def work(config, states, x, y, learned) -> list[Work]:
    """Count the work of an average example.

    Parameters
    ----------
    config : ChipConfig
    states : dict of int to dict
        States of the chip, one in each epoch; the update's work is their mean.
    x, y : ndarray
        Training examples.
    learned : float, 0..1
        Share of the examples that are not skipped.
    """
    layers = config.layers
    strides = [-(-n // 16) * 16 for n in layers[1:]]
    rows = [n + 1 for n in layers[:-1]]
    on = np.count_nonzero(x >> 1) / len(x) + 1
    blocks = [[len(edges) - 1 for edges in config.grid(i)] for i in range(len(rows))]
    forward = on * strides[0] + sum(a * b for a, b in zip(rows[1:], strides[1:], strict=True))
    backward = sum(a * b for a, b in zip(rows[1:], strides[1:], strict=True))
    lanes = sum(b[0] * n for b, n in zip(blocks, layers[1:], strict=True))
    back_lanes = sum(b[1] * n for b, n in zip(blocks[1:], rows[1:], strict=True))
    cells = sum(a * b for a, b in zip(rows, strides, strict=True))
    swept, stepped = np.mean([_updated(config, s, x, y) for s in states.values()], axis=0)
    reads, writes, tuned = _transfer(config, list(states.values())[-1])
    interval = config.transfer.interval
    return [
        Work("forward, MACs", "mac", forward),
        Work("backward, MACs", "mac", learned * backward),
        Work("ADC codes", "code", lanes + learned * back_lanes),
        Work("random lanes of pulses", "lane", learned * sum(rows + list(layers[1:]))),
        Work("update, cells swept", "sweep", swept),
        Work("update, cells stepped alone", "step", stepped),
        Work("ageing, cells", "age", cells / config.tile.age_periods),
        Work("transfer, cells read", "read", reads / interval),
        Work("transfer, devices written", "write", writes / interval),
        Work("transfer, cells swept", "sweep", tuned / interval),
    ]


def _updated(config, state, x, y, examples=100):
    """Cells (swept, stepped alone) by the update of an average example, from the reference."""
    engine, found = MachineEngine(config), [0, 0]
    engine.restore(state)
    machine = engine.machine
    for layer in range(len(config.layers) - 1):
        for *_, tile in machine.blocks(layer):

            def update(px, pd, tile=tile, then=tile.update):
                fired, active = np.count_nonzero(px), np.count_nonzero(pd)
                dense = active * ALONE > BEGIN + tile.cols
                found[0] += fired * -(-tile.cols // 16) * 16 * dense
                found[1] += fired * active * (not dense)
                then(px, pd)

            tile.update = update
    start = int(machine.counters[0]) % len(x)
    order = (start + np.arange(examples)) % len(x)
    machine.run(x[order], y[order])
    return found[0] / examples, found[1] / examples


def _transfer(config, state):
    """Cells read, devices written and cells tuned by one transfer, from the tiles' counters."""
    engine = FixedEngine(config)
    engine.restore(state)
    p, nothing = engine.pools, np.zeros(1, np.int64)
    before = p.counts.copy()
    transfer_kernels.transfer(p, engine.constants, -int(p.sign[0]), nothing, False)
    change = p.counts - before
    widths = p.tiles[:, 3] - p.tiles[:, 2]
    reads, writes, tunes = (float(change[:, k] @ widths) for k in (CONVERSIONS, WRITES, PULSES))
    return reads, 2 * writes, tunes


@njit
def _repeat(function, times, arguments):
    for _ in range(times):
        function(*arguments)


def _rate(function, amount, *arguments, times=20_000):
    """Operations per processor second of calls that do ``amount`` each; best of three."""
    _repeat(function, 2, arguments)
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        _repeat(function, times, arguments)
        best = max(best, amount * times / (time.process_time() - start))
    return best


@njit
def _step_alone(v, w, columns, up, down, fall):
    for j in columns:
        old, u, d = np.int32(v[j]), np.int32(up[j]), np.int32(down[j])
        one, zero = np.int32(1), np.int32(0)
        v[j] = cell_kernels.stepped(old, one, fall[j], u, d, CURVE)
        w[j] += cell_kernels.moved(old, np.int32(v[j]), zero, zero)


@njit
def _read(words, out):
    total = np.int64(0)
    for j in range(words.size):
        total ^= words[j]
    out[0] = total


def rates(engine) -> dict[str, float]:
    """Rate of each kind of work, per processor second, on one row of 256 lanes."""
    rng, head = np.random.default_rng(0), np.uint32(12345)

    def small():
        return rng.integers(-9000, 9000, _N).astype(np.int16)

    def wide(low=-9000, high=9000):
        return rng.integers(low, high, _N).astype(np.int32)

    x = rng.integers(1, 127, 16).astype(np.int16)
    weights = rng.integers(-9000, 9000, 16 * _N).astype(np.int16)
    acc, state = np.zeros(_N, np.int32), wide(1, 2**31 - 1).astype(np.uint32)
    columns = np.sort(rng.choice(_N, 20, replace=False))
    up, down = np.full(_N, 512, np.int16), np.full(_N, 512, np.int16)
    leak = np.full(_N, 50, np.int16)
    ones, fall = np.ones(_N, np.int32), -(rng.random(_N) < 0.5).astype(np.int32)
    macs = _rate(kernels._multiply, 16 * _N, weights, 0, _N, x, np.arange(16), 16, acc)
    pool = engine.pools.w  # the weights of all layers, as they lie
    read = _rate(_read, pool.size, pool.view(np.int64), np.zeros(1, np.int64), times=500)
    return {
        "mac": min(macs, read),
        "code": _rate(kernels._codes, _N, wide(), wide(-9, 9), head, 5000, 16, 8, wide()),
        "lane": _rate(update_kernels._round, _N, state, small(), 20, 9, True, wide()),
        "sweep": _rate(
            cell_kernels.sweep,
            _N,
            *(small(), small(), up, down, ones, fall, 0, 3, 1, CURVE),
        ),
        "step": _rate(_step_alone, 20, small(), small(), columns, up, down, fall),
        "age": _rate(cell_kernels._leak_row, _N, small(), small(), leak, 19661, 3, 5, 1),
        "read": _rate(transfer_kernels._codes, _N, small(), wide(-9, 9), head, 700, 11, 12, wide()),
        "write": _rate(
            transfer_kernels._set,
            _N,
            *(np.abs(small()), small(), wide(), ones, head, 0, 6554),
        ),
    }
