# SPDX-License-Identifier: Apache-2.0
"""The numbers of the presets with units and sources."""

from math import floor, isinf, log10

from rich.table import Table

from analog_models.tile import TileConfig

__all__ = ["engineering", "presets_json", "presets_table"]

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M"}
_SCALED = ("S", "V", "F", "s", "S/V")


def engineering(value: float, unit: str) -> str:
    """Write a number with an engineering prefix: ``2e-05, "S"`` is ``20 uS``."""
    if unit == "1":
        return f"{value:g}"
    if value == 0 or isinf(value) or unit not in _SCALED:
        return f"{value:g} {unit}"
    exponent = min(max(3 * floor(log10(abs(value)) / 3 + 1e-12), -15), 6)
    return f"{value / 10.0**exponent:.4g} {_PREFIXES[exponent]}{unit}"


def presets_table(tiles: dict[str, TileConfig]) -> Table:
    """Table of every number of the given presets."""
    table = Table(title="Presets of the analog half")
    for heading in ("preset", "parameter", "value", "meaning", "source"):
        table.add_column(
            heading, overflow="fold", justify="right" if heading == "value" else "left"
        )
    for name, tile in tiles.items():
        for parameter, value, unit, meaning, source in tile.numbers():
            table.add_row(name, parameter, engineering(float(str(value)), unit), meaning, source)
        table.add_section()
    return table


def presets_json(tiles: dict[str, TileConfig]) -> dict:
    """Give the same as nested dicts; infinite values become None (JSON has no infinity)."""
    return {
        name: {
            parameter: {
                "value": None if isinf(float(str(value))) else value,
                "unit": unit,
                "meaning": meaning,
                "source": source,
            }
            for parameter, value, unit, meaning, source in tile.numbers()
        }
        for name, tile in tiles.items()
    }
