# SPDX-License-Identifier: Apache-2.0
"""How large a controller is: the parameters of the gateware."""

from dataclasses import dataclass
from itertools import pairwise

from analog_models.config import check

from .config import ChipConfig
from .program import compile_program

__all__ = ["ControllerConfig", "beats", "block_beats", "tables_of"]


@dataclass(frozen=True, kw_only=True)
class ControllerConfig:
    """Sizes of a :class:`rtl.controller.ChipController`; it runs any network that fits.

    Parameters
    ----------
    layers : int, 1..15
        Most layers of weights.
    tiles : int, 1..64
        Tiles that are connected.
    rows, cols : int, 1..512
        Lines of the largest tile.
    lanes : int, a power of two, 2..128
        Codes in one beat of a vector.
    transfer_lanes : int, a power of two, 1..lanes
        Codes in one beat of a row that is read or programmed.
    depth : int
        Beats of each vector memory: all activations, or all errors, of a network.
    inputs : int
        Beats of one example; the memory holds two.
    random_depth : int
        Beats of random lanes: every row and every column has one.
    tables : int
        Activation tables.
    program : int
        Instructions.
    """

    layers: int = 3
    tiles: int = 4
    rows: int = 512
    cols: int = 512
    lanes: int = 64
    transfer_lanes: int = 8
    depth: int = 16
    inputs: int = 16
    random_depth: int = 32
    tables: int = 2
    program: int = 32

    def __post_init__(self):
        for name, low, high in (
            ("layers", 1, 15),
            ("tiles", 1, 64),
            ("rows", 1, 512),
            ("cols", 1, 512),
            ("depth", 1, 4096),
            ("inputs", 1, 4096),
            ("random_depth", 1, 16384),
            ("tables", 1, 15),
            ("program", 2, 256),
        ):
            value = getattr(self, name)
            whole = isinstance(value, int) and low <= value <= high
            check(whole, name, f"a whole number within {low}..{high}", value)
        _check_lanes(self.lanes, self.transfer_lanes)

    @classmethod
    def of(cls, chip: ChipConfig, *, lanes: int = 64, transfer_lanes: int | None = None):
        """Return the smallest controller for a chip.

        Without ``transfer_lanes`` it has 8, or ``lanes`` if these are fewer.
        """
        if transfer_lanes is None:
            transfer_lanes = min(8, lanes)
        _check_lanes(lanes, transfer_lanes)
        n = len(chip.layers) - 1
        grids = [chip.grid(layer) for layer in range(n)]
        rows = [block_beats(r, lanes) for r, _ in grids]
        cols = [block_beats(c, lanes) for _, c in grids]
        return cls(
            layers=n,
            tiles=sum((len(r) - 1) * (len(c) - 1) for r, c in grids),
            rows=max(b - a for r, _ in grids for a, b in pairwise(r)),
            cols=max(b - a for _, c in grids for a, b in pairwise(c)),
            lanes=lanes,
            transfer_lanes=transfer_lanes,
            depth=max(sum(rows[1:]) + cols[-1], sum(cols)),
            inputs=rows[0],
            random_depth=sum(rows) + sum(cols),
            tables=len(set(tables_of(chip))),
            program=len(compile_program(chip)) + 2,  # and two that write weights
        )


def tables_of(chip: ChipConfig) -> list[tuple[str, int]]:
    """Name and range of the activation table that each layer uses."""
    n = len(chip.layers) - 1
    names = [chip.hidden] * (n - 1) + [chip.output]
    return list(zip(names, chip.forward_shift, strict=True))


def beats(n: int, lanes: int) -> int:
    """Beats of ``n`` codes."""
    return -(-n // lanes)


def block_beats(ends: list[int], lanes: int) -> int:
    """Beats of a vector that is cut at ``ends``; every block starts a beat."""
    return sum(beats(b - a, lanes) for a, b in pairwise(ends))


def _check_lanes(lanes, transfer_lanes):
    for name, value, low, high in (
        ("lanes", lanes, 2, 128),
        ("transfer_lanes", transfer_lanes, 1, lanes),
    ):
        power = isinstance(value, int) and low <= value <= high and value & (value - 1) == 0
        check(power, name, f"a power of two within {low}..{high}", value)
