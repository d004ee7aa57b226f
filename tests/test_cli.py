# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from crossforge.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from crossforge.cli import main
from crossforge.experiments import ALL_SWITCHES
from crossforge.run import RunOptions, begin

QUICK = ["--examples", "600", "--epochs", "1"]


def make_data(path):
    """Write a small data set: 36 pixels, three classes that are easy to tell apart."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 20_000)
    x = rng.integers(0, 60, (20_000, 6, 6))
    for k in range(3):
        x[y == k, 2 * k : 2 * k + 2] += 150
    x = x.astype(np.uint8)
    np.savez(path, x_train=x, y_train=y, x_test=x[:200], y_test=y[:200])
    return str(path)


@pytest.fixture
def data(tmp_path):
    """Path of the small data set."""
    return make_data(tmp_path / "stripes.npz")


def run(capsys, *arguments):
    main(["train", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.removeprefix("crossforge: ").strip()


def test_train_prints_one_json_object(capsys, data):
    metrics = run(capsys, "--data", data, *QUICK)
    keys = "preset seed epochs examples test_accuracy cpu_seconds examples_per_cpu_second"
    assert {*keys.split(), "peak_rss_mib", "transfers", "digest"} <= metrics.keys()
    assert len(metrics["test_accuracy"]) == 1
    assert len(metrics["digest"]) == 64


@pytest.mark.slow
def test_train_writes_metrics_and_pictures(tmp_path, capsys, data):
    run(capsys, "--data", data, "--epochs", "1", "--out", str(tmp_path / "run"))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["transfers"] == len(metrics["intervals"]) == 2
    for name in ("accuracy", "capacitors", "transfer", "conductances", "weights"):
        assert (tmp_path / "run" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    main(["diagnose", str(tmp_path / "run"), "--json"])
    assert json.loads(capsys.readouterr().out)["findings"]


@pytest.mark.parametrize("switch", ALL_SWITCHES)
def test_train_takes_every_switch(capsys, data, switch):
    assert run(capsys, "--data", data, *QUICK, "--without", switch)["without"] == [switch]


@pytest.mark.parametrize(
    "preset", ["mnist-float", "mnist-float-l2", "mnist-paper", "mnist-2pcm", "mnist-ideal"]
)
def test_train_takes_every_preset(capsys, data, preset):
    assert run(capsys, "--data", data, *QUICK, "--preset", preset)["preset"] == preset


@pytest.mark.parametrize("tile", ["physical", "ideal"])
def test_train_takes_every_tile(capsys, data, tile):
    assert run(capsys, "--data", data, "--examples", "50", "--epochs", "1", "--tile", tile)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Metrics of eight epochs of the stripes that nobody killed, and the stripes."""
    path = make_data(tmp_path_factory.mktemp("stripes") / "stripes.npz")
    folder = tmp_path_factory.mktemp("whole") / "run"
    main(["train", "--data", path, "--epochs", "8", "--out", str(folder), "--json"])
    return json.loads((folder / "metrics.json").read_text()), path


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_train_resumes_after_kill_with_the_same_bits(tmp_path, capsys, uninterrupted, seed):
    """Killed at random moments, some of them while it writes, until it is done."""
    whole, data = uninterrupted
    rng, folder, kills = np.random.default_rng(seed), tmp_path / "run", 0
    command = [sys.executable, "-m", "crossforge.cli", "train"]
    arguments = ["--data", data, "--epochs", "8", "--out", str(folder)]
    while kills < 3:
        with subprocess.Popen([*command, *arguments]) as child:
            before = stamp(folder / "checkpoint")
            while stamp(folder / "checkpoint") == before and child.poll() is None:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.3))
            if child.poll() is not None or (folder / "metrics.json").exists():
                break
            os.kill(child.pid, signal.SIGKILL)
        kills += 1
        arguments = ["--resume", str(folder)]
    assert kills >= 1
    resumed = run(capsys, "--resume", str(folder))
    for name in ("digest", "test_accuracy", "train_accuracy", "transfers"):
        assert resumed[name] == whole[name]
    assert json.loads((folder / "metrics.json").read_text())["intervals"] == whole["intervals"]


def stamp(path):
    """Time of the last change in ns, or None without a file."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


@pytest.mark.slow
def test_train_resumes_a_finished_run_for_more_epochs(tmp_path, capsys, data):
    folder = str(tmp_path / "run")
    whole = run(capsys, "--data", data, "--examples", "9000", "--epochs", "3")
    run(capsys, "--data", data, "--examples", "9000", "--epochs", "2", "--out", folder)
    longer = run(capsys, "--resume", folder, "--epochs", "3")
    assert run(capsys, "--resume", folder)["digest"] == longer["digest"]  # it asks for 3 by now
    assert longer["digest"] == whole["digest"]
    assert longer["test_accuracy"] == whole["test_accuracy"]
    say = refusal(capsys, "train", "--resume", folder, "--epochs", "2")
    assert say == f"--epochs must be at least the 3 that {folder} has behind it, not 2"


@pytest.mark.slow
def test_resume_refuses_other_options_and_other_examples(tmp_path, capsys, data):
    folder = tmp_path / "run"
    run(capsys, "--data", data, *QUICK, "--out", str(folder))
    given = (("--seed", "1"), ("--data", "x"), ("--out", "y"), ("--tile", "ideal"))
    for option, value in given:  # even at its default
        say = refusal(capsys, "train", "--resume", str(folder), option, value)
        assert say == f"{option} must not go with --resume: {folder}/run.json says what to do"
    with np.load(data) as file:
        arrays = dict(file)
    for part in ("x_train", "x_test"):
        np.savez(data, **(arrays | {part: 255 - arrays[part]}))
        say = refusal(capsys, "train", "--resume", str(folder))
        assert (
            say == f"{folder} must be resumed with the data it was begun with: {data} has changed"
        )


@pytest.mark.slow
def test_compare_trains_three_and_resumes_where_it_was_cut(tmp_path, capsys, data):
    folder = tmp_path / "run"
    whole = run(capsys, "--data", data, *QUICK, "--compare", "--out", str(folder))
    assert set(whole["compare"]) == {"baseline", "without polarity inversion"}
    assert whole["compare"]["baseline"]["preset"] == "mnist-float"
    assert whole["compare"]["without polarity inversion"]["without"] == ["polarity-inversion"]
    others = whole["compare"]
    assert whole["baseline_accuracy"] == others["baseline"]["test_accuracy"]
    alone = others["without polarity inversion"]["test_accuracy"]
    assert whole["no_inversion_accuracy"] == alone
    # as if killed in the second of three: the first is finished, the third not begun
    for name in ("metrics.json", "checkpoint", "without-polarity-inversion/metrics.json"):
        (folder / name).unlink()
    taken = (folder / "baseline" / "metrics.json").read_bytes()
    resumed = run(capsys, "--resume", str(folder))
    assert resumed["digest"] == whole["digest"]
    other = "without polarity inversion"
    assert resumed["compare"][other]["digest"] == whole["compare"][other]["digest"]
    assert (folder / "baseline" / "metrics.json").read_bytes() == taken
    say = refusal(capsys, "train", "--compare", "--without", "drift")
    assert say == "--compare must go with preset mnist and no --tile or --without"


@pytest.mark.slow
def test_compare_takes_nothing_from_an_earlier_run_in_the_same_folder(tmp_path, capsys, data):
    folder = tmp_path / "run"
    for seed in ("2", "1"):
        ask = ("--data", data, *QUICK, "--compare", "--seed", seed)
        whole = run(capsys, *ask, "--out", str(folder))
    options = json.loads((folder / "run.json").read_text())
    # as if seed 2 had been killed at once: only the folder of its first run knows of it
    for name in ("run.json", "baseline/run.json", "without-polarity-inversion/run.json"):
        saved = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(saved | {"seed": 2}))
    for name in ("metrics.json", "checkpoint", "baseline/metrics.json"):
        (folder / name).unlink()
    (folder / "without-polarity-inversion" / "run.json").write_text(json.dumps(options))
    resumed = run(capsys, "--resume", str(folder))
    fresh = run(capsys, "--data", data, *QUICK, "--compare", "--seed", "2")
    assert resumed["digest"] == fresh["digest"] != whole["digest"]
    for name, metrics in fresh["compare"].items():
        assert resumed["compare"][name]["digest"] == metrics["digest"]


@pytest.mark.slow
def test_compare_that_is_refused_loses_nothing(tmp_path, capsys, data):
    folder = tmp_path / "run"
    run(capsys, "--data", data, *QUICK, "--out", str(folder))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for bad in (("--data", "nowhere"), ("--data", data, "--examples", "999999")):
        refusal(capsys, "train", "--compare", "--out", str(folder), *bad)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_resume_refuses_another_chip(tmp_path, capsys, data):
    folder = tmp_path / "run"
    run(capsys, "--data", data, *QUICK, "--out", str(folder))
    asked = json.loads((folder / "run.json").read_text())
    for change in ({"preset": "mnist-2pcm"}, {"without": ["drift"]}, {"seed": 3}):
        (folder / "run.json").write_text(json.dumps(asked | change))
        say = refusal(capsys, "train", "--resume", str(folder))
        assert say == (
            f"{folder} must be resumed on the chip it was begun on: run.json or the presets have "
            "changed since"
        )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"preset": "gone"}, "--preset must be one of mnist, "),
        ({"tile": "x"}, "--tile must be one of fixed, physical, ideal, not 'x'"),
        ({"epochs": "3"}, "--epochs must be at least 1, not '3'"),
        ({"seed": None}, "--seed must be at least 0, not None"),
        ({"examples": 2.5}, "--examples must be at least 1, not 2.5"),
        ({"data": 5}, "--data must be a path, not 5"),
        ({"without": 5}, "'int' object is not iterable"),
        ({"colour": "red"}, "RunOptions.__init__() got an unexpected keyword argument 'colour'"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else "",
)
def test_resume_refuses_options_that_nobody_can_ask_for(tmp_path, capsys, change, sentence):
    begin(tmp_path, RunOptions())
    asked = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(asked | change))
    say = refusal(capsys, "train", "--resume", str(tmp_path))
    assert say.startswith(f"{tmp_path / 'run.json'} cannot be read: {sentence}")


@pytest.mark.slow
def test_runs_in_software_resume_from_the_start_and_leave_no_old_pictures(tmp_path, capsys, data):
    folder = tmp_path / "run"
    run(capsys, "--data", data, *QUICK, "--out", str(folder))
    whole = run(capsys, "--data", data, *QUICK, "--preset", "mnist-float", "--out", str(folder))
    assert {path.name for path in folder.iterdir()} == {"run.json", "metrics.json"}
    (folder / "metrics.json").unlink()
    assert run(capsys, "--resume", str(folder))["digest"] == whole["digest"]


def test_train_validates_on_held_out_training_examples(capsys, data, tmp_path):
    with np.load(data) as file:
        x, y = file["x_train"], file["y_train"]
    held = str(tmp_path / "held.npz")
    np.savez(held, x_train=x[:-500], y_train=y[:-500], x_test=x[-500:], y_test=y[-500:])
    asked = run(capsys, "--data", data, "--validation", "500", "--epochs", "1")
    split = run(capsys, "--data", held, "--epochs", "1")
    assert asked["examples"] == 19_500
    assert asked["digest"] == split["digest"]
    assert asked["test_accuracy"] == split["test_accuracy"]
    say = refusal(capsys, "train", "--data", data, "--validation", "20000")
    assert say == "--validation must be within 0..19999, not 20000"


def test_refusals_are_one_sentence(capsys, tmp_path, data):
    say = refusal(capsys, "train", "--data", data, "--epochs", "0")
    assert say == "--epochs must be at least 1, not 0"
    say = refusal(capsys, "train", "--data", data, "--examples", "0")
    assert say == "--examples must be at least 1, not 0"
    say = refusal(capsys, "train", "--data", data, "--examples", "20001")
    assert say == "--examples must be within 1..20000, not 20001"
    say = refusal(capsys, "train", "--preset", "mnist-float", "--without", "drift")
    assert say == "--preset mnist-float is software: it takes no --tile or --without"
    say = refusal(capsys, "train", "--data", data, "--without", "gravity")
    assert say == f"--without must be one of {', '.join(ALL_SWITCHES)}, not 'gravity'"
    say = refusal(capsys, "train", "--resume", str(tmp_path))
    assert say == f"{tmp_path} must hold a run to resume, but has no run.json"
    say = refusal(capsys, "diagnose", str(tmp_path))
    assert say == f"{tmp_path} must be the folder of a finished run: no metrics.json"
    path = tmp_path / "metrics.json"
    some = '"preset": "mnist", "epochs": 1, "test_accuracy": [90]'
    for content, problem in (
        ("[]", "lacks preset, epochs or more"),
        ("{" + some + ', "intervals": []}', "KeyError('learning_rate')"),
    ):
        path.write_text(content)
        say = refusal(capsys, "diagnose", str(tmp_path))
        assert say == f"{path} must be as docs/metrics.md says, but {problem}"
    path.write_text("{")
    assert refusal(capsys, "diagnose", str(tmp_path)).startswith(f"{path} cannot be read: ")
    path.write_text("{" + some + ', "transfers": 0}')
    say = refusal(capsys, "diagnose", str(tmp_path))
    assert say == f"{tmp_path} is a run in software: there is no chip to diagnose"


def test_presets_are_listed_with_sources(capsys):
    main(["presets", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == {"ideal", "paper", "tuned", "two-pcm"}
    assert all(n["source"] and n["unit"] for preset in listed.values() for n in preset.values())
    main(["presets", "paper"])
    assert "paper" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda b: b[:-1], "is damaged: its content does not match its SHA-256"),
        (lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], "is damaged"),
        (lambda b: b"", "must be a crossforge checkpoint of version 1, but is not"),
    ],
    ids=["short", "flipped", "empty"],
)
def test_checkpoint_refuses_damage(tmp_path, damage, sentence):
    path = tmp_path / "checkpoint"
    save_checkpoint(path, {"arrays": {"a": np.arange(100)}, "history": []})
    np.testing.assert_array_equal(load_checkpoint(path)["arrays"]["a"], np.arange(100))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=sentence):
        load_checkpoint(path)
