# SPDX-License-Identifier: Apache-2.0
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.image import imread

from crossforge.figures import write_figures

pytestmark = pytest.mark.slow


NAMES = ["accuracy", "capacitors", "transfer", "conductances", "weights"]
LAYERS = [12, 6, 3]


def run(intervals=3, **changes):
    return {
        "preset": "mnist",
        "seed": 1,
        "without": [],
        "epochs": 2,
        "test_accuracy": [90.0, 92.0],
        "train_accuracy": [85.0, 93.0],
        "baseline_accuracy": None,
        "no_inversion_accuracy": None,
        "validation": 0,
        "layers": LAYERS,
        "intervals": [
            {
                "end": 10 * (i + 1),
                "transfer_error_sq": 100 * i,
                "failed_cells": i,
                "set_shots": 90,
                "capacitor": [{"saturated": 0.01 * i, "rms": 0.05}] * 2,
            }
            for i in range(intervals)
        ],
        **changes,
    }


def layers(seed, low, high):
    rng = np.random.default_rng(seed)
    return [rng.uniform(low, high, (a + 1, b)) for a, b in pairwise(LAYERS)]


def cells():
    return {"v": layers(1, -0.1, 0.1), "g_plus": layers(2, 0, 0.4), "g_minus": layers(3, 0, 0.4)}


def draw(folder, metrics=None, image_shape=(3, 4), weights=None, parts=None):
    folder.mkdir(exist_ok=True)
    paths = write_figures(
        folder,
        metrics or run(),
        weights or layers(0, -1, 1),
        parts or cells(),
        image_shape,
        unit=50e-6,
    )
    return {path.stem: imread(path) for path in paths}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return folder, draw(folder)


def test_figures_are_pictures_that_show_something(usual):
    folder, images = usual
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{n}.png" for n in NAMES)
    assert list(images) == NAMES
    for name, image in images.items():
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert min(image.shape[:2]) > 300
        ink = np.mean(np.any(image[..., :3] < 0.9, axis=2))
        assert 0.005 < ink < 0.9, name


def test_figures_show_baseline_and_single_transfer(tmp_path, usual):
    images = draw(tmp_path, run(intervals=1, baseline_accuracy=[94.0, 95.0]))
    same = {name for name in NAMES if np.array_equal(images[name], usual[1][name])}
    assert same == {"conductances", "weights"}


@pytest.mark.parametrize("name", ["baseline_accuracy", "no_inversion_accuracy"])
def test_figure_of_accuracy_shows_each_run_beside(tmp_path, usual, name):
    images = draw(tmp_path, run(**{name: [94.0, 95.0]}))
    changed = {k for k in NAMES if not np.array_equal(images[k], usual[1][k])}
    assert changed == {"accuracy"}


def test_figures_take_degenerate_runs_and_replace_old_files(tmp_path, usual):
    (tmp_path / "accuracy.png").write_bytes(b"old")
    zeros = [np.zeros((a + 1, b)) for a, b in pairwise(LAYERS)]
    metrics = run(
        epochs=1, test_accuracy=[90.0], train_accuracy=[85.0], intervals=0, without=["transfer"]
    )
    parts = dict.fromkeys(("v", "g_plus", "g_minus"), zeros)
    # (5, 5) does not fit 12 inputs: the weights are drawn as a matrix
    images = draw(tmp_path, metrics, image_shape=(5, 5), weights=zeros, parts=parts)
    assert list(images) == NAMES
    assert not any(np.array_equal(images[name], usual[1][name]) for name in NAMES)
    assert len(list(tmp_path.iterdir())) == len(NAMES)  # no partial file stays
