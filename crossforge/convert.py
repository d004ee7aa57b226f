# SPDX-License-Identifier: Apache-2.0
"""Turn arrays as files hold them into rows of bytes and class labels."""

import numpy as np

from .errors import DataError

__all__ = ["as_labels", "as_pixels"]

_MAX_CLASSES = 255
_BLOCK = 1024  # examples; floats are scaled by blocks to keep memory small


def as_pixels(array: np.ndarray, where: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """Make rows of pixels of uint8 images, or of floats within 0..1.

    Parameters
    ----------
    array : ndarray of uint8 or float, shape (n, height, width) or (n, features)
        Floats 0..1 become 0..255, rounded half up.
    where : str
        What an error calls the array.

    Returns
    -------
    pixels : ndarray of uint8, shape (n, features)
        C-contiguous.
    shape : tuple of int
        Of one example: (height, width) or (features,).

    Raises
    ------
    DataError
        If the array has another shape or kind, is empty, or has floats outside 0..1.
    """
    if array.ndim not in (2, 3) or not array.size:
        raise DataError(
            f"{where} must have shape (n, height, width) or (n, features), "
            f"with no dimension 0, not {array.shape}"
        )
    if array.dtype.kind == "f":
        array = _scale(array, where)
    elif array.dtype != np.uint8:
        raise DataError(f"{where} must be uint8 or floats within 0..1, not {array.dtype}")
    return np.ascontiguousarray(array).reshape(len(array), -1), array.shape[1:]


def _scale(array, where):
    pixels = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), _BLOCK):
        block = array[start : start + _BLOCK]
        if not np.isfinite(block).all():
            raise DataError(f"{where} must be finite, not {block[~np.isfinite(block)][0]}")
        if block.min() < 0 or block.max() > 1:
            raise DataError(f"{where} must lie within 0..1, not {block.min()}..{block.max()}")
        pixels[start : start + _BLOCK] = np.floor(block.astype(np.float64) * 255 + 0.5)
    return pixels


def as_labels(array: np.ndarray, where: str) -> np.ndarray:
    """Make uint8 labels of integers within 0..254, shape (n,); DataError if they are not."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"{where} must hold integers of shape (n,), not {array.dtype} of shape {array.shape}"
        )
    if array.size and (array.min() < 0 or array.max() >= _MAX_CLASSES):
        raise DataError(
            f"{where} must lie within 0..{_MAX_CLASSES - 1}, not {array.min()}..{array.max()}"
        )
    return np.ascontiguousarray(array, np.uint8)
