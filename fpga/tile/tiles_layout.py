# SPDX-License-Identifier: Apache-2.0
"""How the emulated tiles of a chip share one set of lanes and memories."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from analog_models.config import check

from .layout import TileLayout

__all__ = ["KINDS", "TilesLayout"]

#: Kinds of conversions of a tile: FORWARD, BACKWARD and READ.
KINDS = 3


@dataclass(frozen=True)
class TilesLayout:
    """Sizes of the lanes of all tiles, and where each tile begins in their memories.

    A *converter* is a kind of conversions of a tile: ``KINDS * tile + kind``.

    Parameters
    ----------
    tiles : tuple of TileLayout
        With one configuration, and as many lanes each.
    """

    tiles: tuple[TileLayout, ...]

    def __post_init__(self):
        check(1 <= len(self.tiles) <= 32, "tiles", "1 to 32", len(self.tiles))
        for name in ("config", "lanes", "transfer_lanes"):
            values = {getattr(tile, name) for tile in self.tiles}
            check(len(values) == 1, name, "the same in all tiles", values)

    @property
    def common(self) -> TileLayout:
        """One of the tiles, for what the configuration fixes: its tables, widths of a cell."""
        return self.tiles[0]

    @property
    def lanes(self) -> int:
        """Codes in a beat of a port, and lanes."""
        return self.common.lanes

    @property
    def transfer_lanes(self) -> int:
        """Codes in a beat of a row."""
        return self.common.transfer_lanes

    # --- the largest tile's

    def most(self, size: Callable[[TileLayout], int]) -> int:
        """Return the largest size among the tiles."""
        return max(size(tile) for tile in self.tiles)

    @property
    def cols(self) -> int:
        """Columns of the widest tile."""
        return self.most(lambda tile: tile.cols)

    @property
    def words(self) -> int:
        """Words of the longest row."""
        return self.most(lambda tile: tile.words)

    @property
    def beats(self) -> int:
        """Beats of the longest vector."""
        return self.most(lambda tile: tile.beats)

    @property
    def lines(self) -> int:
        """Rows or columns of the largest tile, whichever are more."""
        return self.most(lambda tile: max(tile.rows, tile.cols))

    @property
    def cell_lanes(self) -> int:
        """Lanes that hold cells; the others only convert."""
        return self.most(lambda tile: tile.cell_lanes)

    @property
    def square_bits(self) -> int:
        """Sum of the squares of the codes of a vector."""
        return self.most(lambda tile: tile.square_bits)

    @property
    def power_bits(self) -> int:
        """Noise power, a multiple of four."""
        return self.most(lambda tile: tile.power_bits)

    @property
    def adc_offset_bits(self) -> int:
        """Offset of a converter and half an LSB, signed."""
        return self.most(lambda tile: tile.adc_offset_bits)

    # --- where each tile begins, and behind the last one the size of all

    @property
    def first_word(self) -> list[int]:
        """Of the cells."""
        return _starts(tile.depth for tile in self.tiles)

    @property
    def first_row(self) -> list[int]:
        """Of the reference cells."""
        return _starts(tile.rows for tile in self.tiles)

    @property
    def first_bell(self) -> list[int]:
        """Of the beats of noise, drawn ahead."""
        return _starts(tile.beats for tile in self.tiles)

    @property
    def first_offset(self) -> list[int]:
        """Of the words of offsets, by converter."""
        return _starts(
            beats
            for tile in self.tiles
            for beats in (tile.words, tile.row_beats, tile.words)  # in the order of KINDS
        )

    # --- converters

    @property
    def powers(self) -> list[int]:
        """Noise power of each converter."""
        return [power for tile in self.tiles for power in tile.powers]

    @property
    def ranges(self) -> dict[tuple[int, int], list[int]]:
        """Converters by their LSB, as a power of two, and their bits."""
        t = self.common.tables
        out: dict[tuple[int, int], list[int]] = {}
        for k, tile in enumerate(self.tiles):
            for kind, bits in enumerate((t.adc_bits, t.adc_bits, t.read_bits)):
                out.setdefault((tile.shifts[kind], bits), []).append(KINDS * k + kind)
        return out


def _starts(sizes: Sequence[int]) -> list[int]:
    return list(accumulate(sizes, initial=0))
