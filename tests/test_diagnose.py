# SPDX-License-Identifier: Apache-2.0
"""Intervals are those of real runs, seed 1: preset mnist, and without polarity inversion."""

import json
from copy import deepcopy

import pytest
from rich.console import Console

from crossforge.diagnose import diagnose, report

FIRST = {  # first interval, preset mnist
    "examples": 8000,
    "skipped": 1667,
    "set_shots": 160342,
    "transfer_error_sq": 298824,
    "failed_cells": 2,
    "forward_clips": [69650, 156080, 29965],
    "backward_clips": [0, 69383, 1008],
    "pulses_asked": [134196511, 54714349, 7047769],
    "pulses_applied": [134196511, 54714349, 7047769],
    "capacitor": [
        {"saturated": 6.0e-5, "rms": 0.0723},
        {"saturated": 1.6e-4, "rms": 0.0907},
        {"saturated": 7.1e-3, "rms": 0.1937},
    ],
    "end": 8000,
}
LAST = {  # interval 150
    "examples": 8000,
    "skipped": 6434,
    "set_shots": 144881,
    "transfer_error_sq": 291101,
    "failed_cells": 0,
    "forward_clips": [290360, 392554, 46574],
    "backward_clips": [0, 26142, 739],
    "pulses_asked": [8728061, 3893098, 369443],
    "pulses_applied": [8728061, 3893098, 369443],
    "capacitor": [
        {"saturated": 0.0, "rms": 0.0320},
        {"saturated": 0.0, "rms": 0.0331},
        {"saturated": 0.0, "rms": 0.0370},
    ],
    "end": 1200000,
}
NOT_INVERTED = {  # interval 15
    "examples": 8000,
    "skipped": 5117,
    "set_shots": 331519,
    "transfer_error_sq": 215864906,
    "failed_cells": 10377,
    "forward_clips": [1028846, 913185, 73132],
    "backward_clips": [0, 481709, 163883],
    "pulses_asked": [99424244, 16990970, 5508297],
    "pulses_applied": [99424244, 16990970, 5508297],
    "capacitor": [
        {"saturated": 1.2e-4, "rms": 0.0714},
        {"saturated": 0.0, "rms": 0.0548},
        {"saturated": 0.0127, "rms": 0.1653},
    ],
    "end": 120000,
}


def run(*intervals, without=(), epochs=20):
    return deepcopy({
        "epochs": epochs,
        "examples": 60000,
        "without": list(without),
        "learning_rate": {"rate": 0.01, "decay": 0.95, "delta_max": 31},
        "step": 0.4 / 820,
        "asymmetry": 0.106,
        "layers": [528, 250, 125, 10],
        "intervals": list(intervals),
    })


def healthy():
    return run(FIRST, {**LAST, "end": 1192000}, LAST)


def wrong(metrics):
    return {f.name: f.advice for f in diagnose(metrics) if not f.ok}


def value(metrics, name):
    (found,) = (f.value for f in diagnose(metrics) if f.name == name)
    return found


@pytest.mark.parametrize("metrics", [healthy(), run(FIRST, epochs=1)], ids=["whole", "first"])
def test_diagnose_passes_a_healthy_run(metrics):
    assert wrong(metrics) == {}


def test_diagnose_gives_hand_worked_values():
    metrics = healthy()
    expected = {
        "learning rate, first epoch": 0.01,
        "pulses per unit error, first epoch": 20.5,
        "pulses per unit error, last epoch": 20.5 * 0.95**19,
        "skipped examples": 100 * 6434 / 8000,
        "layer 1: forward clips": 100 * 290360 / (8000 * 250),
        "layer 3: forward clips": 100 * 46574 / (8000 * 10),
        "layer 2: backward clips": 100 * 26142 / (1566 * 250),
        "layer 3: backward clips": 100 * 739 / (1566 * 125),
        "layer 1: pulses per cell and interval": 8728061 / (529 * 250),
        "layer 3: drift by asymmetry, of capacitor use": (
            100 * 0.106 * (0.4 / 820) * 369443 / (126 * 10) / 0.0370
        ),
        "transfer residual, rms": (291101 / 164885) ** 0.5 / 1024,
        "SET shots per cell": 144881 / 164885,
    }
    for name, number in expected.items():
        assert value(metrics, name) == pytest.approx(number, rel=1e-12), name


def test_diagnose_blames_missing_inversion():
    found = wrong(run(NOT_INVERTED, without=["polarity-inversion"], epochs=2))
    for layer in (1, 2, 3):
        advice = found[f"layer {layer}: drift by asymmetry, of capacitor use"]
        assert "polarity-inversion" in advice
    assert "transfer residual, rms" in found
    assert "cells that failed to transfer" in found


@pytest.mark.parametrize(
    ("path", "number", "name", "advice"),
    [
        (("learning_rate", "rate"), 0.001, "learning rate, first epoch", "raise learning_rate"),
        (("learning_rate", "rate"), 0.05, "learning rate, first epoch", "lower learning_rate"),
        (("step",), 0.02, "pulses per unit error, first epoch", "dv_up"),
        (("step",), 1e-4, "pulses per unit error, first epoch", "dv_up"),
        (("learning_rate", "decay"), 0.5, "pulses per unit error, last epoch", "decay"),
        (("intervals", -1, "skipped"), 7990, "skipped examples", "--epochs"),
        (
            ("intervals", -1, "capacitor", 1, "saturated"),
            0.03,
            "saturated capacitors, worst in layer 2",
            "interval",
        ),
        (
            ("intervals", -1, "forward_clips", 1),
            850_000,
            "layer 2: forward clips",
            "raise forward_shift of layer 2",
        ),
        (
            ("intervals", -1, "backward_clips", 1),
            120_000,
            "layer 2: backward clips",
            "raise backward_shift of layer 2",
        ),
        (
            ("intervals", -1, "backward_clips", 1),
            0,
            "layer 2: backward clips",
            "lower backward_shift of layer 2",
        ),
        (("intervals", -1, "pulses_asked", 2), 500_000, "layer 3: pulses lost to delta_max", "max"),
        (
            ("intervals", -1, "pulses_applied", 0),
            100_000,
            "layer 1: pulses per cell and interval",
            "raise learning_rate",
        ),
        (
            ("intervals", -1, "pulses_applied", 2),
            5_000_000,
            "layer 3: pulses per cell and interval",
            "lower learning_rate",
        ),
        (("asymmetry",), 0.5, "layer 3: drift by asymmetry, of capacitor use", "interval"),
        (
            ("intervals", -1, "transfer_error_sq"),
            2_000_000,
            "transfer residual, rms",
            "tune_rounds",
        ),
        (("intervals", -1, "failed_cells"), 900, "cells that failed to transfer", "retries"),
        (("intervals", -1, "set_shots"), 700_000, "SET shots per cell", "set_tolerance"),
        (("intervals", -1, "set_shots"), 0, "SET shots per cell", "small_target"),
    ],
)
def test_diagnose_names_what_to_change(path, number, name, advice):
    metrics = healthy()
    part = metrics
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = number
    assert advice in wrong(metrics)[name]


@pytest.mark.parametrize(
    ("without", "advice"), [(["transfer"], "drop transfer from --without"), ([], "no transfer was")]
)
def test_diagnose_judges_a_run_without_transfers(without, advice):
    found = wrong(run(without=without))
    assert list(found) == ["transfers"]
    assert advice in found["transfers"]


def test_diagnose_judges_a_run_that_learned_all():
    metrics = healthy()
    metrics["intervals"][-1] |= {
        "skipped": 8000,
        "pulses_asked": [0, 0, 0],
        "pulses_applied": [0, 0, 0],
        "backward_clips": [0, 0, 0],
    }
    assert list(wrong(metrics)) == ["skipped examples"]


@pytest.mark.parametrize("metrics", [healthy(), run()], ids=["whole", "no transfer"])
def test_findings_are_strict_json(metrics):
    for finding in diagnose(metrics):
        assert set(finding.__dict__) == {"name", "value", "unit", "low", "high", "ok", "advice"}
        json.dumps(finding.__dict__, allow_nan=False)
        assert finding.ok == (finding.low <= finding.value <= finding.high)
        assert bool(finding.advice) == (not finding.ok)


def test_report_shows_every_finding_and_counts_the_wrong():
    metrics = healthy()
    metrics["intervals"][-1]["failed_cells"] = 900
    findings = diagnose(metrics)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(report(findings))
    text = capture.get()
    assert f"1 of {len(findings)} out of range" in text
    assert all(f.name in text for f in findings)
    assert text.count(" high ") == 1
    assert "raise retries" in text
