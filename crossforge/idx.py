# SPDX-License-Identifier: Apache-2.0
"""Read IDX files of unsigned bytes, the format of MNIST.

Header, big-endian: two zero bytes, the type code 8 (unsigned byte), the number of dimensions, then
the size of each dimension in 4 bytes. The elements follow, last index fastest.
"""

import gzip
import hashlib
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from .errors import DataError

__all__ = ["read_idx"]

_MAX_DIMS = 64  # of a numpy array
_CHUNK = 1 << 20  # bytes; unpacking goes by chunks so that no second copy ever exists


def read_idx(path, *, sha256: str | None = None) -> np.ndarray:
    """Read one IDX file, plain or (by the suffix ``.gz``) packed by gzip.

    Parameters
    ----------
    path : str or path-like
        The file.
    sha256 : str, optional
        Digest, in hexadecimal, that the unpacked content must have.

    Returns
    -------
    ndarray of uint8
        As many dimensions, of the sizes, as the header says.

    Raises
    ------
    DataError
        If the file cannot be read, is damaged, or has another digest.
    """
    path = Path(path)
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            return _read(file, path, sha256)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} must be an intact gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path} must be a readable file ({error.strerror or error})") from error


def _read(file: BufferedIOBase, path: Path, sha256: str | None) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= _MAX_DIMS:
        raise DataError(
            f"{path} must start with the IDX magic number 00 00 08 and 1 to {_MAX_DIMS} "
            f"dimensions, not {magic.hex(' ') or 'be empty'}"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(
            f"{path} must hold {4 * magic[3]} bytes of dimensions in its header, not {len(sizes)}"
        )
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    try:
        data = np.empty(shape, np.uint8)
    except (MemoryError, ValueError) as error:  # ValueError: more bytes than an address can count
        raise DataError(
            f"{path} must fit into memory, not hold an array of shape {shape}"
        ) from error

    flat = data.reshape(-1).data
    filled = 0
    while filled < flat.nbytes:
        count = file.readinto(flat[filled : filled + _CHUNK])
        if not count:
            raise DataError(
                f"{path} must hold {flat.nbytes} bytes after its header, for shape {shape}, "
                f"not {filled}"
            )
        filled += count
    if file.read(1):
        raise DataError(
            f"{path} must hold {flat.nbytes} bytes after its header, for shape {shape}, not more"
        )

    if sha256 is not None:
        digest = hashlib.sha256(magic + sizes)
        digest.update(flat)
        if digest.hexdigest() != sha256:
            raise DataError(
                f"{path} must have unpacked content of SHA-256 {sha256}, not {digest.hexdigest()}"
            )
    return data
