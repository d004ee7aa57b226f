# SPDX-License-Identifier: Apache-2.0
"""Read one array of an ``.npz`` file that may hold anything; it never unpickles."""

import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from .errors import DataError

__all__ = ["read_npz"]

#: What a damaged or hostile archive was seen to raise in zipfile and numpy.
_DAMAGE = (
    EOFError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,  # encrypted member; NotImplementedError: unknown compression
    TypeError,
    ValueError,  # objects, broken header, too few bytes
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path, key: str) -> np.ndarray:
    """Read array ``key``, and no other, of the file ``path``.

    Raises
    ------
    DataError
        If the file cannot be read, is damaged or lacks ``key``, or if the array holds objects.
    """
    try:
        file = open(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} must be a readable file ({reason})") from error
    with file:  # given to numpy open: it does not close what it cannot make sense of
        try:
            return _read(file, path, key)
        except DataError:
            raise
        except _DAMAGE as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise DataError(
                f"{path} must hold {key} as an intact array without objects ({reason})"
            ) from error


def _read(file: BinaryIO, path, key: str) -> np.ndarray:
    if not zipfile.is_zipfile(file):
        raise DataError(f"{path} must be an intact .npz file, which is a zip archive")
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        if key not in archive.files:
            found = ", ".join(archive.files) or "nothing"
            raise DataError(f"{path} must hold an array {key}, not only {found}")
        array = archive[key]
        if not isinstance(array, np.ndarray):
            raise TypeError("no .npy header")
        return array
