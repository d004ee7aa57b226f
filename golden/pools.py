# SPDX-License-Identifier: Apache-2.0
"""The state of a chip as flat arrays for the numba kernels, and back.

Cells of all layers lie in one pool, row after row, each row padded to a multiple of 16 columns;
padding has no effect. Columns of the tables ``layers`` and ``tiles`` are the constants below.
"""

from typing import NamedTuple

import numpy as np

from analog_models.fixed_tile import FixedTile, Stream

from .machine import Machine

__all__ = ["Constants", "Pools", "export", "pack"]

# Columns of Pools.layers
ROWS, COLS, STRIDE, CELL0, LINE0, TOP0, SIDE0 = range(7)
FORWARD_SHIFT, BACKWARD_SHIFT, ROW_BLOCKS, COL_BLOCKS, TILE0 = range(7, 12)
# Columns of Pools.tiles
R0, R1, C0, C1, KEY_CONVERT, KEY_WRITE, KEY_PULSE = range(7)
# Columns of Pools.counts
CONVERSIONS, WRITES, PULSES, AGE = range(4)


class Pools(NamedTuple):
    """Arrays of a chip: ``cells`` are padded cells, ``lines`` the rows of all layers.

    ``top`` arrays hold one value per row block and padded column, ``side`` arrays one per column
    block and row: the rims of the tiles.
    """

    layers: np.ndarray  # int64 (layers, 12)
    tiles: np.ndarray  # int64 (tiles, 7)
    counts: np.ndarray  # int64 (tiles, 4): operations so far
    power: np.ndarray  # int64 (layers, 2): noise power of forward and backward ADC
    w: np.ndarray  # int16 (cells): cached weights
    v: np.ndarray  # int16 (cells)
    up: np.ndarray  # int16 (cells)
    down: np.ndarray  # int16 (cells)
    offset: np.ndarray  # int16 (cells)
    leak: np.ndarray  # int16 (cells)
    g_plus: np.ndarray  # int16 (cells)
    g_minus: np.ndarray  # int16 (cells)
    drift_plus: np.ndarray  # int16 (cells)
    drift_minus: np.ndarray  # int16 (cells)
    response_plus: np.ndarray  # int16 (cells)
    response_minus: np.ndarray  # int16 (cells)
    v_ref: np.ndarray  # int32 (side)
    leak_ref: np.ndarray  # int32 (side)
    forward_offset: np.ndarray  # int32 (top)
    read_offset: np.ndarray  # int32 (top)
    backward_offset: np.ndarray  # int32 (side)
    row_lanes: np.ndarray  # uint32 (lines)
    column_lanes: np.ndarray  # uint32 (all outputs of all layers)
    value: np.ndarray  # int32 (layers, 256): activation tables
    slope: np.ndarray  # int32 (layers, 256)
    rates: np.ndarray  # int64 (layers, 2)
    gain: np.ndarray  # int64 (1,): gain register of the transfer
    counters: np.ndarray  # int64, the machine's
    layer_counters: np.ndarray  # int64, the machine's
    sign: np.ndarray  # int64 (1,): polarity of all tiles
    drift_ticks: np.ndarray  # int32
    shot_mean: np.ndarray  # int32 (256,): conductance code that a SET for an aim makes
    shot_amp: np.ndarray  # int32 (256,): amplitude of its noise


class Constants(NamedTuple):
    """Numbers that one configuration fixes; see FixedTables, TransferConfig, UpdateConfig."""

    gain: int
    g_max: int
    g_reset: int
    reset_amp: int
    pulse_loss: int
    pulse_amp: int
    v_min: int
    v_max: int
    v_leak: int
    init_amp: int
    slope_up: int
    slope_down: int
    adc_bits: int
    read_bits: int
    read_shift: int
    read_noise: int
    read_power: int
    capacitor: bool
    age_periods: int
    interval: int
    invert: bool
    log2_reads: int
    retries: int
    set_tolerance: int
    small_target: int
    target_offset: int
    tune_rounds: int
    tune_tolerance: int
    fail_tolerance: int
    tune_mult: int
    delta_max: int
    stochastic: bool


_CELLS = {
    "v": np.int16,
    "up": np.int16,
    "down": np.int16,
    "offset": np.int16,
    "leak": np.int16,
    "g_plus": np.int16,
    "g_minus": np.int16,
    "drift_plus": np.int16,
    "drift_minus": np.int16,
    "response_plus": np.int16,
    "response_minus": np.int16,
}


def _constants(machine: Machine, t) -> Constants:
    c = machine.config
    named = {k: getattr(t, k) for k in Constants._fields if hasattr(t, k)}
    named |= {k: getattr(c.transfer, k) for k in Constants._fields if hasattr(c.transfer, k)}
    return Constants(
        **named,
        read_noise=t.adc(t.read_shift)[0],
        capacitor=t.capacitor_updates,
        age_periods=c.tile.age_periods,
        target_offset=c.transfer.offset,
        tune_mult=machine.transfer_tables.tune_mult,
        delta_max=c.update.delta_max,
        stochastic=c.update.stochastic,
    )


def _views(pools_or_arrays, geometry, block, names):
    """Yield ``(name, view)`` of one tile's cells in flat arrays."""
    rows, _, stride, cell0 = (int(a) for a in geometry[:4])
    for name in names:
        flat = pools_or_arrays[name]
        yield name, flat[cell0 : cell0 + rows * stride].reshape(rows, stride)[block]


def _rims(geometry, local, block):
    """Slices of one tile in the ``top`` and ``side`` arrays."""
    rows, _, stride = (int(a) for a in geometry[:3])
    rb, cb = divmod(local, int(geometry[COL_BLOCKS]))
    top, side = int(geometry[TOP0]) + rb * stride, int(geometry[SIDE0]) + cb * rows
    r, c = block
    return slice(top + c.start, top + c.stop), slice(side + r.start, side + r.stop)


def pack(machine: Machine) -> tuple[Pools, Constants]:
    """Copy a machine of :class:`FixedTile` into pools.

    The machine's counters are shared with the pools, everything else is a copy.
    """
    config, n = machine.config, len(machine.config.layers) - 1
    layers = np.zeros((n, 12), np.int64)
    tiles: list[tuple] = []
    blocks: list[tuple] = []
    cell = line = top = side = 0
    for i in range(n):
        rows, cols = config.layers[i] + 1, config.layers[i + 1]
        stride = -(-cols // 16) * 16
        nr, nc = len(machine.tiles[i]), len(machine.tiles[i][0])
        shifts = config.forward_shift[i], config.backward_shift[i]
        layers[i] = (rows, cols, stride, cell, line, top, side, *shifts, nr, nc, len(tiles))
        for r, c, tile in machine.blocks(i):
            if not isinstance(tile, FixedTile):
                raise TypeError(f"tile must be a FixedTile, not {type(tile).__name__}")
            streams = (Stream.CONVERT, Stream.WRITE, Stream.PULSE)
            tiles.append((r.start, r.stop, c.start, c.stop, *(tile.keys[s] for s in streams)))
            blocks.append((i, (r, c), tile))
        cell, line, top, side = (
            cell + rows * stride,
            line + rows,
            top + nr * stride,
            side + nc * rows,
        )
    tables = blocks[0][2].tables
    arrays = {name: np.zeros(cell, kind) for name, kind in _CELLS.items()}
    arrays |= {k: np.zeros(top, np.int32) for k in ("forward_offset", "read_offset")}
    arrays |= {k: np.zeros(side, np.int32) for k in ("backward_offset", "v_ref", "leak_ref")}
    power = np.zeros((n, 2), np.int64)
    counts = np.zeros((len(tiles), 4), np.int64)
    for k, (i, block, tile) in enumerate(blocks):
        for name, view in _views(arrays, layers[i], block, _CELLS):
            whole = getattr(tile, name)
            if np.abs(whole).max() > np.iinfo(view.dtype).max:
                raise OverflowError(f"{name} must fit {view.dtype}: calibrate lets it grow too far")
            view[...] = whole
        above, beside = _rims(layers[i], k - int(layers[i, TILE0]), block)
        arrays["forward_offset"][above] = tile.forward_adc[1]
        arrays["read_offset"][above] = tile.read_adc[1]
        arrays["backward_offset"][beside] = tile.backward_adc[1]
        arrays["v_ref"][beside] = tile.v_ref
        arrays["leak_ref"][beside] = tile.leak_ref
        power[i] = tile.forward_adc[0], tile.backward_adc[0]
        counts[k] = tile.conversions, tile.writes, tile.pulses, tile.age_ticks
    pools = Pools(
        layers=layers,
        tiles=np.array(tiles, np.int64),
        counts=counts,
        power=power,
        w=np.zeros(cell, np.int16),
        **arrays,
        row_lanes=np.concatenate(machine.row_lanes),
        column_lanes=np.concatenate(machine.column_lanes),
        value=np.array([v for v, _ in machine.activations], np.int32),
        slope=np.array([s for _, s in machine.activations], np.int32),
        rates=np.array(machine.rates, np.int64),
        gain=np.array([machine.gain], np.int64),
        counters=machine.counters,
        layer_counters=machine.layer_counters,
        sign=np.array([machine.sign], np.int64),
        drift_ticks=tables.drift_ticks,
        shot_mean=tables.set_mean[machine.transfer_tables.duration],
        shot_amp=tables.set_amp[machine.transfer_tables.duration],
    )
    return pools, _constants(machine, tables)


def export(pools: Pools, machine: Machine) -> None:
    """Copy the state in pools back into the machine they came from."""
    named, k = pools._asdict(), 0
    for i in range(len(machine.tiles)):
        geometry = pools.layers[i]
        for r, c, tile in machine.blocks(i):
            for name, view in _views(named, geometry, (r, c), ("v", "g_plus", "g_minus")):
                getattr(tile, name)[...] = view
            _, beside = _rims(geometry, k - int(geometry[TILE0]), (r, c))
            tile.v_ref[...] = pools.v_ref[beside]
            counts = (int(a) for a in pools.counts[k])
            tile.conversions, tile.writes, tile.pulses, tile.age_ticks = counts
            tile.sign = int(pools.sign[0])
            k += 1
        line0, rows = int(geometry[LINE0]), int(geometry[ROWS])
        machine.row_lanes[i][...] = pools.row_lanes[line0 : line0 + rows]
    outputs = machine.config.layers[1:]
    for lanes, part in zip(
        machine.column_lanes, np.split(pools.column_lanes, np.cumsum(outputs)[:-1]), strict=True
    ):
        lanes[...] = part
    machine.sign = int(pools.sign[0])
