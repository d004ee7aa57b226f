# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all: checkpoints, metrics."""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

__all__ = [
    "CheckpointError",
    "load_checkpoint",
    "make_folder",
    "save_checkpoint",
    "write_atomically",
]

_MAGIC = b"crossforge checkpoint 1\n"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used."""


def make_folder(path: Path) -> None:
    """Make a folder and see that it can be written, before minutes of work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(f"{path} must be a folder to write to: {error.strerror}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``; a crash at any moment leaves the old or the new file."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def save_checkpoint(path: Path, state: dict) -> None:
    """Write what ``AnalogClassifier.state()`` gave, behind its SHA-256."""
    body = io.BytesIO()
    rest = {k: v for k, v in state.items() if k != "arrays"}
    # A zip stamps its members with a constant date: same state, same bytes.
    np.savez(body, allow_pickle=False, **state["arrays"], __rest=np.array(json.dumps(rest)))
    content = body.getvalue()
    digest = hashlib.sha256(content).hexdigest().encode()
    write_atomically(path, _MAGIC + digest + b"\n" + content)


def load_checkpoint(path: Path) -> dict:
    """Read what :func:`save_checkpoint` wrote.

    Raises
    ------
    CheckpointError
        If the file is missing, of another kind, damaged or cut short.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} must exist to resume a run, but there is no file") from None
    except OSError as error:
        raise CheckpointError(f"{path} must be a file to read, but: {error.strerror}") from None
    if not content.startswith(_MAGIC):
        raise CheckpointError(f"{path} must be a crossforge checkpoint of version 1, but is not")
    head = len(_MAGIC) + 65
    digest, body = content[len(_MAGIC) : head - 1], content[head:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CheckpointError(f"{path} is damaged: its content does not match its SHA-256")
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as file:
            arrays = dict(file)
        rest = json.loads(str(arrays.pop("__rest")))
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    return {"arrays": arrays, **rest}
