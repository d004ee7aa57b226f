# SPDX-License-Identifier: Apache-2.0
"""What ``crossforge emulate`` refuses before it starts, and what its table says."""

import json
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console

from crossforge import emulate as command
from crossforge.checkpoint import CheckpointError
from crossforge.cli import main
from crossforge.emulate import emulate_table
from crossforge.emulate_options import EmulateOptions, images, resumed
from golden.controllers import CONTROLLERS
from golden.engine import FixedEngine
from golden.machine import COUNTERS
from golden.program import Op


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "board",
            "virtual-fats",
            "--board must be one of virtual, virtual-fast",
        ),
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


class Fake(FixedEngine):
    """The golden engine in the place of a board that takes 1,000 cycles for a transfer."""

    def __init__(self, chip, hw, board):
        super().__init__(chip)
        self.hw, self.board = hw, board
        self.cycles = {op.name.lower(): 0 for op in Op}
        self.lane_cycles = np.zeros((2, 2), np.int64)

    def train(self, pixels, labels, order, progress=None):
        before = self.state()["counters"].copy()
        answers = super().train(pixels, labels, order)
        spent = dict(zip(COUNTERS, self.state()["counters"] - before, strict=True))
        self.cycles["transfer"] += 1000 * int(spent["transfers"])
        self.cycles["forward"] += 100 * len(order)
        self.cycles["load"] += len(order)
        self.lane_cycles += np.array([[3, 4], [1, 2]]) * len(order)
        return answers

    def answers(self, pixels, progress=None):
        return np.zeros(len(pixels), int)


@pytest.fixture
def fake(monkeypatch):
    """Put the golden engine in the place of every board; ports are looked for all the same."""
    real = command.open_board

    @contextmanager
    def opened(name, *arguments, **options):
        if name.startswith("/"):
            with real(name, *arguments, **options) as board:
                yield board
        else:
            yield None

    monkeypatch.setattr(command, "open_board", opened)
    monkeypatch.setattr(command, "BoardEngine", Fake)


SHORT = ["--preset", "mini", "--examples", "20", "--interval", "10", "--test", "5"]


def emulated(capsys, *arguments):
    main(["emulate", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["emulate", *arguments])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    return err.removeprefix("crossforge: ").removesuffix("\n")


def test_figures_of_a_resumed_run_are_of_what_it_trained(fake, tmp_path, capsys):
    folder = str(tmp_path / "run")
    first = emulated(capsys, *SHORT, "--out", folder)
    more = emulated(capsys, "--resume", folder, "--epochs", "3")
    assert (first["examples"], first["examples_resumed"], first["transfers"]) == (20, 0, 2)
    assert (more["examples"], more["examples_resumed"], more["transfers"]) == (60, 20, 6)
    for figures in (first, more):
        assert figures["mismatches"] == 0
        assert figures["cycles_per_transfer"] == 1000
        assert figures["cycles_per_example"] == 101
        assert figures["examples_per_second_at_clock"] == round(40e6 / 201, 1)
        assert [lane["share"] for lane in figures["lanes"]] == [0.75, 0.5]
        assert figures["lanes_busy"] == round(4 / 6, 4)
    console = Console(record=True, width=120)
    console.print(emulate_table(more))
    text = console.export_text()
    assert "forward 100" in text
    assert "75 %, 50 %; 67 % together" in text


def test_a_finished_run_is_tested_again(fake, tmp_path, capsys):
    folder = str(tmp_path / "run")
    emulated(capsys, *SHORT, "--out", folder)
    again = emulated(capsys, "--resume", folder, "--test", "7")
    assert (again["examples"], again["examples_resumed"], again["test_images"]) == (20, 20, 7)
    assert again["examples_per_second_at_clock"] is again["train_accuracy"] is None
    main(["emulate", "--resume", folder])
    said = capsys.readouterr().out
    assert "7 test images" in said
    assert "examples a second" not in said
    assert "while training" not in said


def test_fewer_epochs_than_were_begun_are_refused(fake, tmp_path, capsys):
    folder = str(tmp_path / "run")
    emulated(capsys, *SHORT, "--epochs", "2", "--out", folder)
    say = refusal(capsys, "--resume", folder, "--epochs", "1")
    assert say == f"--epochs must be at least the 2 that {folder} has begun, not 1"


@pytest.mark.parametrize("how", ["--out", "--resume"])
def test_what_is_refused_leaves_a_run_as_it_was(how, fake, tmp_path, capsys):
    folder = tmp_path / "run"
    emulated(capsys, *SHORT, "--out", str(folder))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"checkpoint", "emulate.json", "emulation.json"}
    say = refusal(capsys, how, str(folder), "--board", "/dev/ttyNotThere")
    assert say.startswith("/dev/ttyNotThere must exist: ")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_damaged_checkpoint_is_refused_before_a_board_is_opened(fake, tmp_path, capsys):
    folder = tmp_path / "run"
    emulated(capsys, *SHORT, "--out", str(folder))
    content = bytearray((folder / "checkpoint").read_bytes())
    content[-100] ^= 1
    (folder / "checkpoint").write_bytes(content)
    say = refusal(capsys, "--resume", str(folder), "--board", "/dev/ttyNotThere", "--epochs", "2")
    assert say == f"{folder}/checkpoint is damaged: its content does not match its SHA-256"
    assert json.loads((folder / "emulate.json").read_text())["epochs"] == 1


def test_a_run_begun_anew_forgets_the_one_before(fake, tmp_path, capsys):
    folder = tmp_path / "run"
    emulated(capsys, *SHORT, "--out", str(folder))
    assert emulated(capsys, *SHORT, "--out", str(folder), "--seed", "2")["examples_resumed"] == 0


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    say = refusal(capsys, *SHORT, "--out", str(file))
    assert say == f"{file} must be a folder to write to: File exists"
    say = refusal(capsys, "--resume", str(file))
    assert say == f"{file} must hold an emulation to resume, but has no emulate.json"


def test_interrupted_says_how_to_go_on(fake, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Fake, "train", stop)
    with pytest.raises(SystemExit) as end:
        main(["emulate", *SHORT, "--out", str(folder)])
    assert end.value.code == 130
    wanted = f"crossforge: interrupted; crossforge emulate --resume {folder} goes on\n"
    assert capsys.readouterr().err.endswith(wanted)


@pytest.mark.parametrize("preset", ["mnist", "small", "mini"])
def test_images_have_as_many_pixels_as_the_preset_has_inputs(preset):
    chip = CONTROLLERS[preset].chip
    assert images(chip).x_train.shape == (60_000, chip.layers[0])


def test_table_names_the_first_difference():
    figures = {
        "layers": [49, 16, 10],
        "board": "virtual",
        "examples": 10,
        "examples_resumed": 0,
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
        "lanes_busy": 0.5,
        "seconds": {"train": 1.0},
    }
    console = Console(record=True, width=120)
    console.print(emulate_table(figures))
    text = console.export_text()
    assert "DIFFER" in text
    assert "after 10 examples v differs" in text
