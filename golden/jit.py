# SPDX-License-Identifier: Apache-2.0
"""numba's compiler for the kernels, with a cache that stale kernels do not survive.

numba looks only at the file of a kernel when it asks whether the cached code is current. Kernels
and constants of one file are compiled into kernels of others, so that an edit of one file must
void them all.
"""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numba

__all__ = ["njit"]


def _sources(folder: Path, also: Path) -> str:
    """SHA-256 of the sources in both folders."""
    sha = hashlib.sha256()
    for source in sorted([*folder.glob("*.py"), *also.glob("*.py")]):
        sha.update(f"{source.name} {source.stat().st_size} ".encode() + source.read_bytes())
    return sha.hexdigest()


def _void_stale_kernels(folder: Path, *, also: Path) -> None:
    """Delete what numba cached in ``folder`` unless made from the sources there and in ``also``."""
    cache, current = folder / "__pycache__", _sources(folder, also)
    stamp = cache / "kernels.sha256"
    try:
        if stamp.exists() and stamp.read_text() == current:
            return
        cache.mkdir(exist_ok=True)
        for kernel in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
            kernel.unlink(missing_ok=True)
        stamp.write_text(current)
    except OSError:
        return  # cannot be written: an installed package, whose files change all at once


_HERE = Path(__file__).parent
_MODELS = _HERE.with_name("analog_models")
_CONFIG: Any = numba.config
if _CONFIG.CACHE_DIR:  # the user wants the cache elsewhere: there, a folder for each state
    _CONFIG.CACHE_DIR = str(Path(_CONFIG.CACHE_DIR) / _sources(_HERE, _MODELS)[:16])
else:
    _void_stale_kernels(_HERE, also=_MODELS)

njit: Any = partial(numba.njit, cache=True)
