# SPDX-License-Identifier: Apache-2.0
"""Data sets as arrays of bytes: MNIST ships with the package, others come from files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np

from .convert import as_labels, as_pixels
from .errors import DataError
from .idx import read_idx
from .npz import read_npz

__all__ = [
    "PAPER_CROP",
    "DataError",
    "Dataset",
    "crop",
    "pool",
    "load",
    "load_mnist",
    "split_validation",
]

#: Centred window of 22x24 = 528 pixels: as many as the network of Ambrogio et al., Nature 558, 60
#: (2018) has inputs. The paper does not say which pixels; these lose 0.9 % of the ink.
PAPER_CROP: Mapping[str, int] = MappingProxyType({"top": 3, "left": 2, "height": 22, "width": 24})

_MNIST_FOLDER = Path(__file__).with_name("datasets") / "mnist"
_IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_MNIST_SHA256 = {  # of the unpacked files
    "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples to train on and to test with.

    Parameters
    ----------
    name : str
        What reports call it.
    x_train, x_test : ndarray of uint8, shape (n, features)
        Pixels, 0..255, one example a row; n and features are at least 1.
    y_train, y_test : ndarray of integers, shape (n,)
        Class of each example, within ``0 .. n_classes - 1``; uint8 if they come from a file.
    image_shape : tuple of int, (height, width), or None
        How to see a row as an image; None if the features are no image.
    n_classes : int
        Number of classes.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    image_shape: tuple[int, int] | None
    n_classes: int

    def __post_init__(self):
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if x.ndim != 2 or x.dtype != np.uint8:
                raise DataError(
                    f"x_{part} must be uint8 of shape (n, features), not {x.dtype} of {x.shape}"
                )
            if not x.size:
                raise DataError(f"x_{part} must hold an example and a feature, not shape {x.shape}")
            if y.shape != (len(x),) or y.dtype.kind not in "iu":
                raise DataError(
                    f"y_{part} must be {len(x)} integers, one for each example of x_{part}, "
                    f"not {y.dtype} of shape {y.shape}"
                )
            if y.min() < 0 or y.max() >= self.n_classes:
                raise DataError(
                    f"y_{part} must lie within 0..{self.n_classes - 1}, not {y.min()}..{y.max()}"
                )
        features = self.x_train.shape[1]
        if self.x_test.shape[1] != features:
            raise DataError(
                f"x_test must have {features} features as x_train has, not {self.x_test.shape[1]}"
            )
        if self.image_shape is not None and prod(self.image_shape) != features:
            raise DataError(f"image_shape must have {features} pixels, not {self.image_shape}")


def load_mnist() -> Dataset:
    """Read the MNIST that ships with the package: 60,000 and 10,000 images of 28x28.

    Raises
    ------
    DataError
        If a file is missing or its unpacked content is not the original.
    """
    return _load_idx(_MNIST_FOLDER, name="mnist", sha256=_MNIST_SHA256)


def load(path=None) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    path : str or path-like, optional
        None for the MNIST of the package. A folder with the four IDX files of MNIST's names, plain
        or gzip, ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``. A folder with one
        ``.npz`` file. Or an ``.npz`` file, which must hold ``x_train``, ``x_test`` of shape
        (n, height, width) or (n, features), uint8 or floats within 0..1 (they become 0..255,
        rounded half up), and ``y_train``, ``y_test`` of shape (n,), integers within 0..254.

    Returns
    -------
    Dataset
        Named after the file or folder; ``n_classes`` is the largest label plus one.

    Raises
    ------
    DataError
        If a file is missing, damaged, or does not hold what it must.
    """
    if path is None:
        return load_mnist()
    path = Path(path)
    try:
        if path.is_dir():
            if any(_find_idx(path, name) for name in _IDX_NAMES.values()):
                return _load_idx(path, name=path.resolve().name)
            archives = sorted(path.glob("*.npz"))
            if len(archives) != 1:
                raise DataError(
                    f"{path} must hold IDX files with the names of MNIST's or one .npz file, "
                    f"not {len(archives)} .npz files"
                )
            path = archives[0]
    except OSError as error:
        raise DataError(f"{path} must be readable ({error.strerror or error})") from error
    if path.suffix != ".npz":
        raise DataError(f"{path} must be an existing folder or an .npz file")
    return _assemble(path.stem, path, lambda key: (read_npz(path, key), f"{key} of {path}"))


def crop(dataset: Dataset, *, top: int, left: int, height: int, width: int) -> Dataset:
    """Keep rows ``top .. top+height-1`` and columns ``left .. left+width-1`` of every image.

    Raises
    ------
    DataError
        If the features are no image, or the window is empty or leaves the image.
    """
    if dataset.image_shape is None:
        raise DataError(
            f"dataset must hold images to be cropped, not plain features: {dataset.name}"
        )
    rows, cols = dataset.image_shape
    for first, size, limit, axis in ((top, height, rows, "rows"), (left, width, cols, "columns")):
        if first < 0 or size < 1 or first + size > limit:
            raise DataError(
                f"crop must lie within {axis} 0..{limit - 1}, not {first}..{first + size - 1}"
            )

    def window(x):
        images = x.reshape(-1, rows, cols)[:, top : top + height, left : left + width]
        return np.ascontiguousarray(images).reshape(len(x), -1)

    return replace(
        dataset,
        x_train=window(dataset.x_train),
        x_test=window(dataset.x_test),
        image_shape=(height, width),
    )


def pool(dataset: Dataset, size: int) -> Dataset:
    """Average ``size`` x ``size`` pixels of every image into one, rounded half up.

    Raises
    ------
    DataError
        If the features are no image, or ``size`` does not divide its sides.
    """
    shape = dataset.image_shape
    if shape is None or shape[0] % size or shape[1] % size:
        raise DataError(
            f"dataset must hold images whose sides are multiples of {size}, not {shape}: "
            f"{dataset.name}"
        )
    rows, cols = shape[0] // size, shape[1] // size

    def average(x):
        blocks = x.reshape(-1, rows, size, cols, size).sum((2, 4), dtype=np.uint32)
        means = (blocks + size * size // 2) // (size * size)
        return means.astype(np.uint8).reshape(len(x), -1)

    return replace(
        dataset,
        x_train=average(dataset.x_train),
        x_test=average(dataset.x_test),
        image_shape=(rows, cols),
    )


def split_validation(dataset: Dataset, n: int) -> Dataset:
    """Replace the test set by the last ``n`` training examples, which leave the training set.

    For the choice of hyper-parameters, which must not see the test set. The arrays are views.

    Raises
    ------
    DataError
        If ``n`` leaves no example on one side.
    """
    total = len(dataset.x_train)
    if not 1 <= n < total:
        raise DataError(f"n must lie within 1..{total - 1}, not {n!r}")
    return replace(
        dataset,
        x_train=dataset.x_train[:-n],
        y_train=dataset.y_train[:-n],
        x_test=dataset.x_train[-n:],
        y_test=dataset.y_train[-n:],
    )


def _find_idx(folder: Path, name: str) -> Path | None:
    names = (name, name.replace("-idx", ".idx"))
    candidates = [folder / (stem + suffix) for suffix in ("", ".gz") for stem in names]
    return next((path for path in candidates if path.is_file()), None)


def _load_idx(folder: Path, *, name: str, sha256: Mapping[str, str] = MappingProxyType({})):
    def read(key):
        path = _find_idx(folder, _IDX_NAMES[key])
        if path is None:
            raise DataError(f"{folder} must hold the file {_IDX_NAMES[key]} (plain or .gz)")
        return read_idx(path, sha256=sha256.get(key)), str(path)

    return _assemble(name, folder, read)


def _assemble(name: str, source: Path, read: Callable[[str], tuple[np.ndarray, str]]) -> Dataset:
    """Build a data set from ``read(key)``, which gives an array and where it came from."""
    x_train, shape = as_pixels(*read("x_train"))
    y_train = as_labels(*read("y_train"))
    x_test, test_shape = as_pixels(*read("x_test"))
    y_test = as_labels(*read("y_test"))
    try:
        if test_shape != shape:
            raise DataError(
                f"x_test must have examples of shape {shape} as x_train, not {test_shape}"
            )
        return Dataset(
            name=name,
            x_train=x_train,
            y_train=y_train,
            x_test=x_test,
            y_test=y_test,
            image_shape=shape if len(shape) == 2 else None,
            n_classes=1 + max(int(y.max(initial=0)) for y in (y_train, y_test)),
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
