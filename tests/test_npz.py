# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossforge.data import DataError, load


def arrays(shape=(4, 5)):
    """Six and three examples of three classes, as the keys of an .npz file name them."""
    rng = np.random.default_rng(1)
    return {
        "x_train": rng.integers(0, 256, (6, *shape), np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2], np.uint8),
        "x_test": rng.integers(0, 256, (3, *shape), np.uint8),
        "y_test": np.array([0, 1, 2], np.uint8),
    }


def save(path, **changed):
    np.savez(path, **arrays() | changed)
    return path


def test_load_reads_npz(tmp_path):
    path = save(tmp_path / "digits.npz")
    for source in (path, str(path), tmp_path):
        got = load(source)
        assert (got.name, got.image_shape, got.n_classes) == ("digits", (4, 5), 3)
        for key, array in arrays().items():
            np.testing.assert_array_equal(getattr(got, key), array.reshape(getattr(got, key).shape))
            assert getattr(got, key).dtype == np.uint8


def test_load_reads_plain_features(tmp_path):
    got = load(save(tmp_path / "a.npz", **arrays(shape=(7,))))
    assert got.image_shape is None
    assert got.x_train.shape == (6, 7)


def test_load_reads_any_memory_order(tmp_path):
    x = np.asfortranarray(arrays()["x_train"])
    got = load(save(tmp_path / "a.npz", x_train=x)).x_train
    np.testing.assert_array_equal(got, x.reshape(6, 20))
    assert got.flags.c_contiguous


def test_load_reads_compressed_npz_and_wide_labels(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **arrays() | {"y_test": np.array([0, 254, 1], ">i8")})
    got = load(tmp_path / "a.npz")
    assert got.n_classes == 255
    assert (got.y_test.dtype, got.y_test.tolist()) == (np.uint8, [0, 254, 1])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8"])
def test_load_scales_floats(tmp_path, dtype):
    codes = np.arange(256).reshape(2, 8, 16)
    got = load(
        save(
            tmp_path / "a.npz",
            x_train=(codes / 255).astype(dtype),
            y_train=np.array([0, 1]),
            x_test=codes.astype(np.uint8),
            y_test=np.array([0, 1]),
        )
    )
    np.testing.assert_array_equal(got.x_train, got.x_test)


def test_load_rounds_half_up(tmp_path):
    x = np.array([[0.5 / 255, 127.5 / 255, 0.4999 / 255, 254.5 / 255]])
    got = load(save(tmp_path / "a.npz", x_train=x, y_train=[0], x_test=x, y_test=[0]))
    assert got.x_train.tolist() == [[1, 128, 0, 255]]


def test_load_scales_every_block(tmp_path):
    x = np.zeros((2500, 1))
    x[[0, 1023, 1024, 2499]] = 1
    got = load(save(tmp_path / "a.npz", x_train=x, y_train=np.zeros(2500, int), x_test=x[:3]))
    assert np.flatnonzero(got.x_train).tolist() == [0, 1023, 1024, 2499]


PIXELS = "must have shape (n, height, width) or (n, features), with no dimension 0, not"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"x_train": np.zeros(6, "u1")}, f"x_train of {{}} {PIXELS} (6,)"),
        ({"x_test": np.zeros((3, 4, 5, 1), "u1")}, f"x_test of {{}} {PIXELS} (3, 4, 5, 1)"),
        ({"x_test": np.zeros((0, 4, 5), "u1")}, f"x_test of {{}} {PIXELS} (0, 4, 5)"),
        ({"x_train": np.zeros((6, 0))}, f"x_train of {{}} {PIXELS} (6, 0)"),
        (
            {"x_train": np.zeros((6, 4, 5), "i8")},
            "x_train of {} must be uint8 or floats within 0..1, not int64",
        ),
        (
            {"x_train": np.zeros((6, 4, 5), "U3")},
            "x_train of {} must be uint8 or floats within 0..1, not <U3",
        ),
        ({"x_test": np.full((3, 4, 5), np.nan)}, "x_test of {} must be finite, not nan"),
        ({"x_test": np.full((3, 4, 5), -np.inf)}, "x_test of {} must be finite, not -inf"),
        (
            {"x_test": np.linspace(0, 1.5, 60).reshape(3, 4, 5)},
            "x_test of {} must lie within 0..1, not 0.0..1.5",
        ),
        (
            {"x_train": np.linspace(-0.25, 1, 120).reshape(6, 4, 5)},
            "x_train of {} must lie within 0..1, not -0.25..1.0",
        ),
        (
            {"y_train": np.zeros((6, 1), "i4")},
            "y_train of {} must hold integers of shape (n,), not int32 of shape (6, 1)",
        ),
        (
            {"y_test": np.zeros(3)},
            "y_test of {} must hold integers of shape (n,), not float64 of shape (3,)",
        ),
        (
            {"y_test": np.zeros(3, bool)},
            "y_test of {} must hold integers of shape (n,), not bool of shape (3,)",
        ),
        ({"y_test": np.array([0, -1, 2])}, "y_test of {} must lie within 0..254, not -1..2"),
        ({"y_test": np.array([0, 255, 2])}, "y_test of {} must lie within 0..254, not 0..255"),
        (
            {"y_train": np.zeros(5, "u1")},
            (
                "{}: y_train must be 6 integers, one for each example of x_train, "
                "not uint8 of shape (5,)"
            ),
        ),
        (
            {"y_test": np.zeros(0, "u1")},
            (
                "{}: y_test must be 3 integers, one for each example of x_test, "
                "not uint8 of shape (0,)"
            ),
        ),
        (
            {"x_test": np.zeros((3, 5, 4), "u1")},
            "{}: x_test must have examples of shape (4, 5) as x_train, not (5, 4)",
        ),
        (
            {"x_test": np.zeros((3, 20), "u1")},
            "{}: x_test must have examples of shape (4, 5) as x_train, not (20,)",
        ),
        (
            {"y_test": np.array([0, "a", None], object)},
            (
                "{} must hold y_test as an intact array without objects "
                "(Object arrays cannot be loaded when allow_pickle=False)"
            ),
        ),
    ],
)
def test_load_rejects_npz_with_wrong_arrays(tmp_path, changed, sentence, refusal):
    path = save(tmp_path / "a.npz", **changed)
    assert refusal(load, path) == sentence.format(path)


def test_load_rejects_npz_without_a_key(tmp_path, refusal):
    path = tmp_path / "a.npz"
    np.savez(path, x_train=arrays()["x_train"], labels=np.zeros(6))
    assert refusal(load, path) == f"{path} must hold an array y_train, not only x_train, labels"
    np.savez(path)
    assert refusal(load, path) == f"{path} must hold an array x_train, not only nothing"


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\3\4 cut"])
def test_load_rejects_npz_that_is_no_zip(tmp_path, content, refusal):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert refusal(load, path) == f"{path} must be an intact .npz file, which is a zip archive"


def test_load_rejects_damaged_npz(tmp_path, refusal):
    path = save(tmp_path / "a.npz")
    content = bytearray(path.read_bytes())
    pixels = arrays()["x_train"].tobytes()
    content[content.index(pixels) + 7] ^= 1
    path.write_bytes(content)
    assert refusal(load, path) == (
        f"{path} must hold x_train as an intact array without objects "
        "(Bad CRC-32 for file 'x_train.npy')"
    )


def test_load_rejects_missing_and_foreign_paths(tmp_path, refusal):
    text = tmp_path / "a.csv"
    text.write_text("1,2")
    for path in (text, tmp_path / "none"):
        assert refusal(load, path) == f"{path} must be an existing folder or an .npz file"
    path = tmp_path / "none.npz"
    assert refusal(load, path) == f"{path} must be a readable file (No such file or directory)"
    assert refusal(load, "a\0.npz") == "a\0.npz must be a readable file (embedded null byte)"
    long = "a" * 300
    assert refusal(load, long) == f"{long} must be readable (File name too long)"


def test_load_rejects_folder_without_one_data_set(tmp_path, refusal):
    sentence = (
        "{} must hold IDX files with the names of MNIST's or one .npz file, not {} .npz files"
    )
    assert refusal(load, tmp_path) == sentence.format(tmp_path, 0)
    save(tmp_path / "a.npz")
    save(tmp_path / "b.npz")
    assert refusal(load, tmp_path) == sentence.format(tmp_path, 2)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Path of a compressed file that is overwritten at will, and its intact content."""
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, **arrays())
    return path, path.read_bytes()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(draw=st.data())
def test_load_raises_nothing_but_data_errors(archive, draw):
    path, intact = archive
    content = bytearray(intact)
    for _ in range(draw.draw(st.integers(1, 3))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    path.write_bytes(content[: draw.draw(st.integers(len(content) // 2, len(content)))])
    try:
        got = load(path)
    except DataError as error:
        sentence = str(error)
    else:
        assert got.x_train.dtype == np.uint8
        return
    assert str(path) in sentence
    assert " must " in sentence
