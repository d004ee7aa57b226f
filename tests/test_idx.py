# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossforge.data import DataError, load
from crossforge.idx import read_idx

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array):
    """Content of an IDX file that holds ``array``."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def files():
    """Content of the four files of a data set, six and three images of 4x5."""
    pixels = np.arange(9 * 20).reshape(9, 4, 5)
    labels = np.arange(9) % 3
    return dict(zip(NAMES, map(idx, (pixels[:6], labels[:6], pixels[6:], labels[6:])), strict=True))


def fill(folder, suffix="", **changed):
    """Write the data set; a keyword names a file by its first two words joined by ``_``."""
    for name, intact in files().items():
        content = changed.get("_".join(name.split("-")[:2]), intact)
        if content is not None:
            packed = gzip.compress(content) if suffix == ".gz" else content
            (folder / (name + suffix)).write_bytes(packed)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(7,), (3, 2), (2, 3, 4), (2, 1, 3, 2, 2), (3, 0)], ids=str)
def test_read_idx_returns_what_the_file_holds(tmp_path, shape, suffix):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    np.testing.assert_array_equal(read_idx(path), array, strict=True)


def test_read_idx_reads_more_than_one_chunk(tmp_path):
    array = np.random.default_rng(1).integers(0, 256, (3, 1 << 20), np.uint8)[:, :-5]
    (tmp_path / "a").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_read_idx_compares_the_digest(tmp_path, refusal):
    content = idx(np.arange(5))
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / "a"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_idx(path, sha256=digest), np.arange(5))
    assert refusal(read_idx, path, sha256=64 * "0") == (
        f"{path} must have unpacked content of SHA-256 {64 * '0'}, not {digest}"
    )


MAGIC = "must start with the IDX magic number 00 00 08 and 1 to 64 dimensions, not"


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", f"{MAGIC} be empty"),
        (b"\0\0\x08", f"{MAGIC} 00 00 08"),
        (b"\0\0\x0d\1\0\0\0\0", f"{MAGIC} 00 00 0d 01"),
        (b"\1\0\x08\1\0\0\0\0", f"{MAGIC} 01 00 08 01"),
        (b"\0\0\x08\0\0", f"{MAGIC} 00 00 08 00"),
        (b"\0\0\x08\x41" + bytes(300), f"{MAGIC} 00 00 08 41"),
        (b"\0\0\x08\2\0\0\0\1\0", "must hold 8 bytes of dimensions in its header, not 5"),
        (
            idx(np.zeros((2, 3)))[:-1],
            "must hold 6 bytes after its header, for shape (2, 3), not 5",
        ),
        (
            idx(np.zeros((2, 3))) + b"\0",
            "must hold 6 bytes after its header, for shape (2, 3), not more",
        ),
        (
            b"\0\0\x08\4" + 16 * b"\xff",
            f"must fit into memory, not hold an array of shape {(2**32 - 1,) * 4}",
        ),
    ],
)
def test_read_idx_rejects_wrong_content(tmp_path, content, sentence, suffix, refusal):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    assert refusal(read_idx, path) == f"{path} {sentence}"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda packed: idx(np.arange(5)), r"Not a gzipped file \(.*\)"),
        (
            lambda packed: packed[:-12],
            "Compressed file ended before the end-of-stream marker was reached",
        ),
        (lambda packed: packed[:-8] + bytes(8), "CRC check failed .*"),
        (lambda packed: packed[:10] + b"\xff" + packed[11:], "Error -3 while decompressing .*"),
        (lambda packed: packed + b"more", r"Not a gzipped file \(.*\)"),
    ],
    ids=["plain", "cut", "checksum", "stream", "tail"],
)
def test_read_idx_rejects_damaged_gzip(tmp_path, damage, reason, refusal):
    path = tmp_path / "a.gz"
    path.write_bytes(damage(gzip.compress(idx(np.arange(200)))))
    sentence = re.escape(f"{path} must be an intact gzip file") + rf" \({reason}\)"
    assert re.fullmatch(sentence, refusal(read_idx, path))


def test_read_idx_rejects_unreadable_paths(tmp_path, refusal):
    path = tmp_path / "none"
    assert refusal(read_idx, path) == f"{path} must be a readable file (No such file or directory)"
    assert refusal(read_idx, tmp_path) == f"{tmp_path} must be a readable file (Is a directory)"


@settings(derandomize=True, deadline=None)
@given(content=st.binary(max_size=40).map(lambda tail: b"\0\0\x08" + tail), packed=st.booleans())
def test_read_idx_raises_nothing_but_data_errors(tmp_path_factory, content, packed):
    path = tmp_path_factory.getbasetemp() / ("fuzz.gz" if packed else "fuzz")
    path.write_bytes(gzip.compress(content) if packed else content)
    try:
        array = read_idx(path)
    except DataError as error:
        sentence = str(error)
    else:
        assert idx(array) == content
        return
    assert sentence.startswith(f"{path} must ")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-idx", ".idx"])
def test_load_reads_a_folder_of_idx_files(tmp_path, suffix, mark):
    for path in list(fill(tmp_path, suffix).iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", mark))
    got = load(tmp_path)
    assert (got.name, got.image_shape, got.n_classes) == (tmp_path.name, (4, 5), 3)
    np.testing.assert_array_equal(got.x_train.ravel(), np.arange(120))
    np.testing.assert_array_equal(got.x_test.ravel(), np.arange(120, 180))
    assert got.y_train.tolist() == [0, 1, 2, 0, 1, 2]
    assert got.y_test.tolist() == [0, 1, 2]


def test_load_looks_past_folders_with_the_names_of_files(tmp_path):
    (fill(tmp_path, ".gz") / "train-images-idx3-ubyte").mkdir()
    assert len(load(tmp_path).x_train) == 6


def test_load_prefers_idx_files_to_an_archive(tmp_path):
    np.savez(fill(tmp_path) / "a.npz")
    assert load(tmp_path).name == tmp_path.name


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"t10k_labels": None},
            "{} must hold the file t10k-labels-idx1-ubyte (plain or .gz)",
        ),
        (
            {"train_images": idx(np.zeros(6))},
            (
                "{}/train-images-idx3-ubyte must have shape (n, height, width) or (n, features), "
                "with no dimension 0, not (6,)"
            ),
        ),
        (
            {"t10k_labels": idx(np.zeros((3, 1)))},
            "{}/t10k-labels-idx1-ubyte must hold integers of shape (n,), not uint8 of shape (3, 1)",
        ),
        (
            {"t10k_labels": idx(np.full(3, 255))},
            "{}/t10k-labels-idx1-ubyte must lie within 0..254, not 255..255",
        ),
        (
            {"train_labels": idx(np.zeros(7))},
            (
                "{}: y_train must be 6 integers, one for each example of x_train, "
                "not uint8 of shape (7,)"
            ),
        ),
        (
            {"t10k_images": idx(np.zeros((3, 4, 4)))},
            "{}: x_test must have examples of shape (4, 5) as x_train, not (4, 4)",
        ),
    ],
)
def test_load_rejects_wrong_idx_files(tmp_path, changed, sentence, refusal):
    assert refusal(load, fill(tmp_path, **changed)) == sentence.format(tmp_path)
