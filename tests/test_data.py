# SPDX-License-Identifier: Apache-2.0
import re
import tracemalloc

import numpy as np
import pytest

from crossforge import data
from crossforge.data import PAPER_CROP, Dataset, crop, load, split_validation


def arrays(n_train=6, n_test=3, shape=(4, 5)):
    """Small images and labels of three classes, as the keys of an .npz file name them."""
    rng = np.random.default_rng(1)
    return {
        "x_train": rng.integers(0, 256, (n_train, *shape), np.uint8),
        "y_train": (np.arange(n_train) % 3).astype(np.uint8),
        "x_test": rng.integers(0, 256, (n_test, *shape), np.uint8),
        "y_test": (np.arange(n_test) % 3).astype(np.uint8),
    }


def dataset(**changed):
    flat = {key: a.reshape(len(a), -1) if key[0] == "x" else a for key, a in arrays().items()}
    return Dataset(**{"name": "small", "image_shape": (4, 5), "n_classes": 3} | flat | changed)


@pytest.fixture(scope="module")
def mnist():
    tracemalloc.start()
    loaded = data.load_mnist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return loaded, peak


def test_mnist_has_the_known_numbers(mnist):
    got, _ = mnist
    assert (got.name, got.image_shape, got.n_classes) == ("mnist", (28, 28), 10)
    assert got.x_train.shape == (60000, 784)
    assert got.x_test.shape == (10000, 784)
    assert {a.dtype for a in (got.x_train, got.y_train, got.x_test, got.y_test)} == {np.dtype("u1")}
    assert np.bincount(got.y_train).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]  # fmt: skip
    assert np.bincount(got.y_test).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip
    assert got.y_train[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]


def test_mnist_is_read_without_a_second_copy(mnist):
    got, peak = mnist
    assert peak < got.x_train.nbytes + got.x_test.nbytes + 4e6


def test_paper_crop_keeps_528_pixels_and_loses_little_ink(mnist):
    whole, _ = mnist
    part = crop(whole, **PAPER_CROP)
    assert part.image_shape == (22, 24)
    assert part.x_train.shape == (60000, 528)
    lost = 1 - part.x_train.sum(dtype=np.int64) / whole.x_train.sum(dtype=np.int64)
    assert f"{lost:.1%}" == "0.9%"


def test_load_without_path_is_mnist(monkeypatch):
    monkeypatch.setattr(data, "load_mnist", lambda: "mnist")
    assert load() == "mnist"


def test_mnist_rejects_changed_content(monkeypatch, tmp_path, refusal):
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / name).write_bytes(b"\0\0\x08\x03" + 3 * b"\0\0\0\1" + b"x")
    monkeypatch.setattr(data, "_MNIST_FOLDER", tmp_path)
    assert re.fullmatch(
        re.escape(f"{tmp_path}/train-images-idx3-ubyte must have unpacked content of SHA-256 ")
        + "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db, not [0-9a-f]{64}",
        refusal(data.load_mnist),
    )


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "x_train",
            np.zeros((6, 4, 5), "u1"),
            "x_train must be uint8 of shape (n, features), not uint8 of (6, 4, 5)",
        ),
        (
            "x_test",
            np.zeros((3, 20)),
            "x_test must be uint8 of shape (n, features), not float64 of (3, 20)",
        ),
        (
            "x_test",
            np.zeros((0, 20), "u1"),
            "x_test must hold an example and a feature, not shape (0, 20)",
        ),
        (
            "y_train",
            np.zeros(6),
            (
                "y_train must be 6 integers, one for each example of x_train, "
                "not float64 of shape (6,)"
            ),
        ),
        ("y_test", np.array([0, 1, 3]), "y_test must lie within 0..2, not 0..3"),
        ("y_test", np.array([0, 1, -1]), "y_test must lie within 0..2, not -1..1"),
        ("x_test", np.zeros((3, 19), "u1"), "x_test must have 20 features as x_train has, not 19"),
        ("image_shape", (4, 4), "image_shape must have 20 pixels, not (4, 4)"),
    ],
)
def test_dataset_rejects_wrong_fields(field, value, sentence, refusal):
    assert refusal(dataset, **{field: value}) == sentence


def test_crop_keeps_the_window():
    whole = dataset()
    part = crop(whole, top=1, left=2, height=3, width=2)
    assert (part.name, part.image_shape, part.n_classes) == ("small", (3, 2), 3)
    np.testing.assert_array_equal(
        part.x_train.reshape(6, 3, 2), arrays()["x_train"][:, 1:4, 2:4], strict=True
    )
    np.testing.assert_array_equal(part.x_test.reshape(3, 3, 2), arrays()["x_test"][:, 1:4, 2:4])
    assert part.x_train.flags.c_contiguous
    assert part.y_train is whole.y_train


def test_crop_of_everything_changes_nothing():
    whole = dataset()
    same = crop(whole, top=0, left=0, height=4, width=5)
    np.testing.assert_array_equal(same.x_train, whole.x_train)


@pytest.mark.parametrize(
    ("window", "sentence"),
    [
        ((-1, 0, 2, 2), "crop must lie within rows 0..3, not -1..0"),
        ((3, 0, 2, 2), "crop must lie within rows 0..3, not 3..4"),
        ((0, 4, 2, 2), "crop must lie within columns 0..4, not 4..5"),
        ((0, -2, 2, 2), "crop must lie within columns 0..4, not -2..-1"),
        ((0, 1, 2, 0), "crop must lie within columns 0..4, not 1..0"),
    ],
)
def test_crop_rejects_windows_off_the_image(window, sentence, refusal):
    named = dict(zip(("top", "left", "height", "width"), window, strict=True))
    assert refusal(crop, dataset(), **named) == sentence


def test_crop_rejects_plain_features(refusal):
    assert refusal(crop, dataset(image_shape=None), **PAPER_CROP) == (
        "dataset must hold images to be cropped, not plain features: small"
    )


def test_split_validation_takes_the_last_training_examples():
    whole = dataset()
    part = split_validation(whole, 2)
    np.testing.assert_array_equal(part.x_train, whole.x_train[:4])
    np.testing.assert_array_equal(part.y_train, whole.y_train[:4])
    np.testing.assert_array_equal(part.x_test, whole.x_train[4:])
    np.testing.assert_array_equal(part.y_test, whole.y_train[4:])
    assert part.n_classes == whole.n_classes
    assert np.shares_memory(part.x_train, whole.x_train)


@pytest.mark.parametrize("n", [-1, 0, 6, 7])
def test_split_validation_rejects_an_empty_side(n, refusal):
    assert refusal(split_validation, dataset(), n) == f"n must lie within 1..5, not {n}"
