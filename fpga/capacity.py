# SPDX-License-Identifier: Apache-2.0
"""Does it fit? The arithmetic, before the minutes that synthesis takes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from .boards import Board
from .tile.layout import TileLayout
from .tile.tiles_layout import TilesLayout

__all__ = [
    "Memory",
    "Need",
    "Part",
    "block_rams",
    "cell_memory",
    "cells_part",
    "memory_part",
    "refuse_if_too_large",
]

#: Bits wide and words deep that one block RAM of the ECP5 can be, as yosys maps memories with a
#: read port and a write port.
_SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
#: So many LUT RAMs of 16 words of 4 bits yosys takes rather than one block RAM (measured with
#: yosys 0.70: 20 are taken, 25 are not).
_LUT_RAMS = 20


@dataclass(frozen=True)
class Memory:
    """A memory, or several alike.

    Parameters
    ----------
    depth, width : int
        Words, and bits of one.
    count : int
    """

    depth: int
    width: int
    count: int = 1


@dataclass(frozen=True)
class Part:
    """What one part of a design takes.

    Parameters
    ----------
    why : str
        The arithmetic: ``"164,885 cells of 97 bits are 16.0 Mb"``.
    block_rams, luts : int
    """

    why: str
    block_rams: int = 0
    luts: int = 0


@dataclass(frozen=True)
class Need:
    """What a design takes.

    Parameters
    ----------
    name : str
        The network: ``"528-250-125-10"``.
    parts : tuple of Part
    """

    name: str
    parts: tuple[Part, ...]

    def total(self, resource: str) -> int:
        """Sum of a resource, a field of :class:`Part`, over all parts."""
        return sum(getattr(part, resource) for part in self.parts)


def block_rams(depth: int, width: int) -> int:
    """Count the ECP5's block RAMs of a memory with a read port and a write port; 0 is LUT RAM.

    A memory is cut by depth into pieces, each of the shape that suits it. That is what yosys 0.70
    counts.
    """

    @cache
    def best(depth):
        if depth <= 0:
            return 0
        counts = []
        for wide, deep in _SHAPES:
            columns = -(-width // wide)
            whole = max(1, depth // deep)
            counts.append(whole * columns + best(depth - whole * deep))
        return min(counts)

    blocks = best(depth)
    lut_rams = -(-depth // 16) * -(-width // 4)
    return 0 if lut_rams <= _LUT_RAMS * blocks else blocks


def memory_part(why: str, memories: Iterable[Memory]) -> Part:
    """Return what memories take of an ECP5."""
    blocks, luts = 0, 0
    for memory in memories:
        each = block_rams(memory.depth, memory.width)
        blocks += memory.count * each
        if not each:  # a LUT RAM of 16 words of 4 bits takes the place of six LUTs
            luts += 6 * memory.count * -(-memory.depth // 16) * -(-memory.width // 4)
    return Part(why, block_rams=blocks, luts=luts)


def cell_memory(layouts: Iterable[TileLayout]) -> tuple[int, str]:
    """Return bits that the cells of all tiles have, at least, and the arithmetic."""
    shared = TilesLayout(tuple(layouts))
    cells = sum(tile.rows * tile.cols for tile in shared.tiles)
    bits = shared.common.cell_bits
    total = cells * bits
    size = f"{total / 1e6:.1f} Mb" if total >= 1e6 else f"{total / 1e3:.0f} kb"
    return total, f"{cells:,} cells of {bits} bits are {size}"


def cells_part(layouts: Iterable[TileLayout]) -> Part:
    """Return what the cells of all tiles take; see :attr:`fpga.tile.layout.TileLayout.memories`."""
    shared = TilesLayout(tuple(layouts))
    widths = shared.common.memories
    memories = [Memory(shared.first_word[-1], width, shared.cell_lanes) for width in widths]
    return memory_part(cell_memory(shared.tiles)[1], memories)


#: Resources, their names in :class:`fpga.boards.Board` and in a message.
_RESOURCES = {"block_rams": "block RAMs", "luts": "LUTs"}


def refuse_if_too_large(need: Need, board: Board, hint: str) -> None:
    """Raise ValueError, with the arithmetic, if a design cannot fit into a board.

    Parameters
    ----------
    need : Need
    board : Board
    hint : str
        What to do about it: ``"choose another --preset or a larger board"``.
    """
    for resource, words in _RESOURCES.items():
        total, there = need.total(resource), getattr(board, resource)
        if total > there:
            why = " and ".join(
                f"{part.why} in {getattr(part, resource):,}"
                for part in need.parts
                if getattr(part, resource)
            )
            raise ValueError(
                f"{need.name} must fit into {board.name}, but {why} {words} and it has "
                f"{there:,}: {hint}"
            )
