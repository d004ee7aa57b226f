# SPDX-License-Identifier: Apache-2.0
"""How an emulated tile keeps its cells: widths, depths, and the memory that a host sees."""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from analog_models.calibration import FixedTables, calibrate, worst
from analog_models.config import check
from analog_models.fixed_tile import FixedTile, Stream
from analog_models.tile import TileConfig
from golden.hardware import beats

__all__ = ["KEYS", "Plane", "Register", "TileLayout"]


class Plane(IntEnum):
    """Part of the memory of a tile; one word of 32 bits an index."""

    REGISTERS = 0  # see Register
    V = 1  # v, of every cell
    G = 2  # g_plus, g_minus << 16
    STEP = 3  # up, down and the low bits of leak, one behind another; write only
    FIXED = 4  # offset of the read FETs, the other bits of leak << 16; write only
    REFERENCE = 5  # of every row: v_ref, leak_ref << 16 (write only)
    OFFSET = 6  # of the converters, and half an LSB; write only


class Register(IntEnum):
    """Index in :attr:`Plane.REGISTERS`."""

    NEGATIVE = 0
    CONVERSIONS = 1
    WRITES = 2
    PULSES = 3
    AGE_TICKS = 4
    DRIFTS = 5  # entries of drift_ticks that are over
    BUSY = 6  # cycles in which cells are multiplied, FORWARD and BACKWARD
    PASS = 7  # cycles of FORWARD and BACKWARD, from their first code to their last result
    KEY = 8  # the first of KEYS; write only
    LAYOUT = 14  # TileLayout.digest; read only


#: Random streams that a tile draws from while it works; the host gives their keys.
KEYS = (
    Stream.CONVERT,
    Stream.WRITE,
    Stream.DRIFT_PLUS,
    Stream.DRIFT_MINUS,
    Stream.RESPONSE_PLUS,
    Stream.RESPONSE_MINUS,
)
_COUNTS = (Register.CONVERSIONS, Register.WRITES, Register.PULSES, Register.AGE_TICKS)
#: Of what a host sees: another one whenever planes or registers change.
_VERSION = 1


@dataclass(frozen=True)
class TileLayout:
    """Sizes of an emulated tile.

    A word holds ``lanes`` neighbouring columns of a row, and a tile one lane for each of them:
    cell (i, j) is in lane ``j % lanes`` at address ``i * words + j // lanes``.

    Parameters
    ----------
    rows, cols : int
        Lines in use.
    config : TileConfig
        With capacitors: a tile of the older cell is refused.
    forward_shift, backward_shift : int
        See :class:`analog_models.fixed_tile.FixedTile`.
    lanes : int, a power of two
        Codes in a beat of the port, and multipliers.
    transfer_lanes : int, a power of two, 1..lanes
        Codes in a beat of a row.
    """

    rows: int
    cols: int
    config: TileConfig
    forward_shift: int
    backward_shift: int
    lanes: int
    transfer_lanes: int

    def __post_init__(self):
        check(1 <= self.rows <= self.config.rows, "rows", "within those of the tile", self.rows)
        check(1 <= self.cols <= self.config.cols, "cols", "within those of the tile", self.cols)
        device = self.config.cell.update_device
        check(device == "capacitor", "update_device", "capacitor: 2-PCM is not emulated", device)

    @cached_property
    def tables(self) -> FixedTables:
        """Integers of the tile."""
        return calibrate(self.config)

    @cached_property
    def digest(self) -> int:
        """A number of 32 bits that a tile in logic has, too: what it was built for."""
        told = repr((_VERSION, self)).encode()
        return int.from_bytes(hashlib.sha256(told).digest()[:4], "little")

    @property
    def words(self) -> int:
        """Words of a row."""
        return beats(self.cols, self.lanes)

    @property
    def row_beats(self) -> int:
        """Beats of a vector of rows."""
        return beats(self.rows, self.lanes)

    @property
    def beats(self) -> int:
        """Beats of the longest vector."""
        return max(self.words, self.row_beats)

    @property
    def cell_lanes(self) -> int:
        """Lanes that hold cells; the others only convert."""
        return min(self.lanes, self.cols)

    @property
    def depth(self) -> int:
        """Words of the tile."""
        return self.rows * self.words

    # --- widths, bits

    @property
    def g_bits(self) -> int:
        """Conductance code."""
        return self.tables.g_max.bit_length()

    @property
    def offset_bits(self) -> int:
        """Difference of two read FETs, signed."""
        return (2 * worst(0, self.tables.threshold_amp)).bit_length() + 1

    @property
    def step_bits(self) -> int:
        """Step of a capacitor."""
        t = self.tables
        return max(worst(t.up, t.up_amp), worst(t.down, t.down_amp)).bit_length()

    @property
    def leak_bits(self) -> int:
        """Leakage of a capacitor, one bit at least."""
        return max(1, worst(self.tables.leak, self.tables.leak_amp).bit_length())

    @property
    def leak_low(self) -> int:
        """Low bits of leakage, for which a word with the steps has room."""
        return min(self.leak_bits, 32 - 2 * self.step_bits)

    @property
    def memories(self) -> tuple[int, ...]:
        """Width of each memory of a lane, bits: v twice, both g, steps and leakage, offset."""
        g, low = self.g_bits, self.leak_low
        return 16, 16, g, g, 2 * self.step_bits + low, self.offset_bits + self.leak_bits - low

    @property
    def cell_bits(self) -> int:
        """All that a cell takes."""
        return sum(self.memories)

    @cached_property
    def powers(self) -> tuple[int, int, int]:
        """Noise power of FORWARD, BACKWARD and READ."""
        t = self.tables
        return tuple(t.adc(s)[0] for s in self.shifts)  # type: ignore[return-value]

    @property
    def shifts(self) -> tuple[int, int, int]:
        """LSB of FORWARD, BACKWARD and READ, as a power of two."""
        return self.forward_shift, self.backward_shift, self.tables.read_shift

    @property
    def square_bits(self) -> int:
        """Sum of the squares of the codes of a vector."""
        return max(max(self.rows, self.cols) * 128**2, 1 << 14).bit_length()

    @property
    def power_bits(self) -> int:
        """Noise power, a multiple of four."""
        most = max(self.powers) + self.tables.read_power * ((1 << self.square_bits) - 1)
        return max(4, (most.bit_length() + 3) // 4 * 4)

    @property
    def adc_offset_bits(self) -> int:
        """Offset of a converter and half an LSB, signed."""
        t = self.tables
        most = max(worst(0, t.adc(s)[1]) + (1 << (s - 1)) for s in self.shifts)
        return most.bit_length() + 1

    # --- the memory that a host sees

    def index(self, row, col):
        """Index of a cell in the planes of cells, or arrays of them."""
        return (row * self.words + col // self.lanes) * self.lanes + col % self.lanes

    def image(self, tile: FixedTile) -> dict[Plane, tuple[np.ndarray, np.ndarray]]:
        """Return ``(indices, words)`` of every plane: all that makes a tile this one.

        Both int64; a tile that was just written so goes on as ``tile`` does.
        """
        t = self.tables
        row, col = np.indices((self.rows, self.cols))
        where = self.index(row, col).ravel()

        def cells(low, high=0):
            word = (np.asarray(low, np.int64) & 0xFFFF) | (np.asarray(high, np.int64) << 16)
            return where, np.broadcast_to(word, (self.rows, self.cols)).ravel()

        up, down, leak = (np.asarray(x, np.int64) for x in (tile.up, tile.down, tile.leak))
        moves = (up | down << self.step_bits | leak << 2 * self.step_bits) & 0xFFFFFFFF
        kinds = (
            (0, tile.forward_adc, self.forward_shift),
            (self.words, tile.backward_adc, self.backward_shift),
            (self.words + self.row_beats, tile.read_adc, t.read_shift),
        )
        offset = [
            (self.lanes * start + np.arange(fixed.size), fixed + (1 << (shift - 1)))
            for start, (_, fixed), shift in kinds
        ]
        drifts = int(np.count_nonzero(t.drift_ticks <= tile.age_ticks))
        registers: dict[int, int] = {
            Register.NEGATIVE: int(tile.sign < 0),
            **{r: getattr(tile, r.name.lower()) for r in _COUNTS},
            Register.DRIFTS: drifts,
            **{Register.KEY + k: tile.keys[stream] for k, stream in enumerate(KEYS)},
        }
        return {
            Plane.V: cells(tile.v),
            Plane.G: cells(tile.g_plus, tile.g_minus),
            Plane.STEP: cells(moves, moves >> 16),
            Plane.FIXED: cells(tile.offset, leak >> self.leak_low),
            Plane.REFERENCE: (
                np.arange(self.rows),
                (tile.v_ref.astype(np.int64) & 0xFFFF) | tile.leak_ref.astype(np.int64) << 16,
            ),
            Plane.OFFSET: (
                np.concatenate([i for i, _ in offset]),
                np.concatenate([w for _, w in offset]).astype(np.int64) & 0xFFFFFFFF,
            ),
            Plane.REGISTERS: (
                np.array([int(r) for r in registers]),
                np.array(list(registers.values()), dtype=np.int64) & 0xFFFFFFFF,
            ),
        }

    def state(self, v, g, reference, registers) -> dict[str, np.ndarray]:
        """Return what :meth:`FixedTile.state` gives, from the words of planes, all indices."""
        row, col = np.indices((self.rows, self.cols))
        where = self.index(row, col)

        def low(words):
            return (np.asarray(words, np.int64) & 0xFFFF).astype(np.uint16).astype(np.int16)

        g = np.asarray(g, np.int64)[where]
        counts = [int(registers[r]) for r in _COUNTS]
        return {
            "v": low(np.asarray(v)[where]),
            "v_ref": low(reference),
            "g_plus": low(g),
            "g_minus": low(g >> 16),
            "count": np.array([1 - 2 * int(registers[Register.NEGATIVE]), *counts], np.int64),
        }
