# SPDX-License-Identifier: Apache-2.0
"""What ``crossforge emulate`` refuses before it starts, and what its table says."""

import json
from dataclasses import asdict

import pytest
from rich.console import Console

from crossforge.checkpoint import CheckpointError
from crossforge.cli import main
from crossforge.emulate import emulate_table
from crossforge.emulate_options import EmulateOptions, images, resumed
from golden.controllers import CONTROLLERS


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("preset", "huge", "--preset must be one of"),
        ("preset", "tiny", "--preset must be one of"),
        ("lanes", 3, "lanes must be a power of two within 2..128, not 3"),
        ("examples", 0, "--examples must be within 1..60000, not 0"),
        ("epochs", 0, "--epochs must be within"),
        ("test", 10_001, "--test must be within 0..10000, not 10001"),
        ("interval", -1, "--interval must be at least 0, not -1"),
        ("seed", -1, "--seed must be within"),
        ("baud", 1, "--baud must be within"),
        ("clock", 0, "--clock must be within"),
    ],
)
def test_options_that_cannot_be_are_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        EmulateOptions(**{option: value})


def test_a_port_that_is_not_there_is_a_sentence(capsys):
    with pytest.raises(SystemExit) as end:
        main(["emulate", "--board", "/dev/ttyNotThere", "--preset", "mini"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("crossforge: ")
    assert "/dev/ttyNotThere must exist" in said


def test_resuming_takes_what_was_asked(tmp_path):
    options = EmulateOptions(preset="mini", examples=9)
    (tmp_path / "emulate.json").write_text(json.dumps(asdict(options)))
    assert resumed(tmp_path, {"epochs": 3}).epochs == 3
    assert resumed(tmp_path, {}) == options
    assert resumed(tmp_path, {"lanes": 8}).hardware().lanes == 8  # on another board
    with pytest.raises(ValueError, match="--examples must not go with --resume"):
        resumed(tmp_path, {"examples": 3})
    (tmp_path / "emulate.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        resumed(tmp_path, {})
    with pytest.raises(CheckpointError, match="must hold an emulation to resume"):
        resumed(tmp_path / "no", {})


@pytest.mark.parametrize("preset", ["mnist", "small", "mini"])
def test_images_have_as_many_pixels_as_the_preset_has_inputs(preset):
    chip = CONTROLLERS[preset].chip
    assert images(chip).x_train.shape == (60_000, chip.layers[0])


def test_table_names_the_first_difference():
    figures = {
        "layers": [49, 16, 10],
        "board": "virtual",
        "examples": 10,
        "transfers": 1,
        "mismatches": 3,
        "mismatch": "after 10 examples v differs",
        "train_accuracy": 10.0,
        "test_accuracy": None,
        "examples_per_second": 1.0,
        "cycles_per_example": 2.0,
        "cycles_by_phase": {"load": 3},
        "cycles_per_transfer": 4,
        "clock_mhz": 80,
        "examples_per_second_at_clock": 5.0,
        "link": None,
        "lanes": [{"share": 0.5}],
        "seconds": {"train": 1.0},
    }
    console = Console(record=True, width=120)
    console.print(emulate_table(figures))
    text = console.export_text()
    assert "DIFFER" in text
    assert "after 10 examples v differs" in text
