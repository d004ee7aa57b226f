# SPDX-License-Identifier: Apache-2.0
import json
from math import inf

import pytest
from rich.console import Console

from analog_models.presets import TILES
from crossforge.listing import engineering, presets_json, presets_table


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2e-5, "S", "20 uS"),
        (0.1e-6, "S", "100 nS"),
        (50e-15, "F", "50 fF"),
        (1e-6, "V", "1 uV"),
        (1e-3, "V", "1 mV"),
        (1.0, "V", "1 V"),
        (0.4 / 820, "V", "487.8 uV"),
        (-0.2, "V", "-200 mV"),
        (5.16e-3, "s", "5.16 ms"),
        (240e-9, "s", "240 ns"),
        (1.7e-9, "s", "1.7 ns"),
        (50e-6, "S/V", "50 uS/V"),
        (4.7e4, "s", "47 ks"),
        (3e9, "V", "3 GV"),
        (0.999996e-3, "S", "1 mS"),  # rounds up into the next prefix
        (0.9994e-3, "S", "999.4 uS"),
        (2e-18, "F", "0.002 fF"),  # below the smallest prefix
        (0.0, "S", "0 S"),
        (inf, "s", "inf s"),
        (0.25, "1/V", "0.25 1/V"),
        (1 / 110, "1", "0.009091"),
        (63, "1", "63"),
    ],
)
def test_engineering(value, unit, text):
    assert engineering(value, unit) == text


@pytest.mark.parametrize("name", TILES)
def test_listing_gives_every_number_unit_meaning_source(name):
    lines = presets_json({name: TILES[name]})[name]
    assert len(lines) == len(TILES[name].numbers()) > 30
    for line in lines.values():
        assert line["unit"]
        assert line["meaning"]
        assert line["source"]


def test_listing_is_strict_json():
    text = json.dumps(presets_json(TILES), allow_nan=False)
    ideal = json.loads(text)["ideal"]
    assert ideal["cell.capacitor.tau_leak"]["value"] is None
    assert ideal["cell.pcm.g_max"]["value"] == 2e-5


def test_table_shows_every_line_of_every_preset():
    table = presets_table(TILES)
    assert table.row_count == sum(len(tile.numbers()) for tile in TILES.values())
    console = Console(width=300)
    with console.capture() as capture:
        console.print(table)
    lines = capture.get().splitlines()
    for name, tile in TILES.items():
        rows = [line for line in lines if f" {name} " in line]
        for parameter, value, unit, meaning, source in tile.numbers():
            cells = (f" {parameter} ", f" {engineering(value, unit)} ", meaning, source)
            assert any(all(cell in row for cell in cells) for row in rows), parameter


def test_table_keeps_brackets_that_look_like_markup():
    tile = TILES["ideal"].but(rows=(512, "[bold] is no source"))
    console = Console(width=300)
    with console.capture() as capture:
        console.print(presets_table({"ideal": tile}))
    assert "[bold] is no source" in capture.get()
