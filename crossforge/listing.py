# SPDX-License-Identifier: Apache-2.0
"""The numbers of the presets with units and sources."""

from math import floor, isfinite, log10
from typing import cast

from rich.markup import escape
from rich.table import Table

from analog_models.tile import TileConfig

__all__ = ["engineering", "presets_json", "presets_table"]

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_SCALED = ("S", "V", "F", "s", "S/V")
_CAPTION = (
    "[A18] Ambrogio et al., Nature 558, 60 (2018), ED: Extended Data; [N19] Nandakumar et al., "
    "ICECS 2019, as coded in aihwkit; recalled: said of the paper, not verified in its text; "
    "assumed: a choice of this project"
)


def engineering(value: float, unit: str) -> str:
    """Write a number with an engineering prefix, four digits: ``2e-05, "S"`` is ``20 uS``.

    Pure numbers (unit ``"1"``) come without a unit. Units that no prefix suits (``1/V``),
    zero and infinity come without a prefix.
    """
    if unit == "1":
        return f"{value:.4g}"
    if value == 0 or not isfinite(value) or unit not in _SCALED:
        return f"{value:.4g} {unit}"
    rounded = float(f"{value:.4g}")  # before the choice of the prefix: 0.99999 mS is 1 mS
    exponent = min(max(3 * floor(log10(abs(rounded)) / 3 + 1e-12), -15), 9)
    return f"{rounded / 10.0**exponent:.4g} {_PREFIXES[exponent]}{unit}"


def presets_table(tiles: dict[str, TileConfig]) -> Table:
    """Table of every number of the given presets, one section a preset."""
    table = Table(title="Presets of the analog half", caption=escape(_CAPTION))
    table.add_column("preset", style="bold", no_wrap=True)
    table.add_column("parameter", overflow="fold", ratio=2)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("meaning", overflow="fold", ratio=3)
    table.add_column("source", overflow="fold", ratio=4)
    for name, tile in tiles.items():
        for parameter, value, unit, meaning, source in tile.numbers():
            shown = engineering(cast(float, value), unit)
            table.add_row(*map(escape, (name, parameter, shown, meaning, source)))
        table.add_section()
    return table


def presets_json(tiles: dict[str, TileConfig]) -> dict:
    """Give the same as nested dicts; infinite values become None (JSON has no infinity)."""
    return {
        name: {
            parameter: {
                "value": value if isfinite(cast(float, value)) else None,
                "unit": unit,
                "meaning": meaning,
                "source": source,
            }
            for parameter, value, unit, meaning, source in tile.numbers()
        }
        for name, tile in tiles.items()
    }
