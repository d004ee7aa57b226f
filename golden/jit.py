# SPDX-License-Identifier: Apache-2.0
"""numba's compiler for the kernels, with a cache that no stale kernel survives.

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


def _void_stale_kernels(folder: Path, *, also: Path) -> None:
    """Delete what numba cached in ``folder`` unless made from the sources there and in ``also``."""
    cache = folder / "__pycache__"
    stamp = cache / "kernels.sha256"
    sha = hashlib.sha256()
    for source in sorted([*folder.glob("*.py"), *also.glob("*.py")]):
        sha.update(f"{source.name} {source.stat().st_size} ".encode() + source.read_bytes())
    current = sha.hexdigest()
    try:
        if stamp.exists() and stamp.read_text() == current:
            return
        cache.mkdir(exist_ok=True)
        for kernel in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
            kernel.unlink(missing_ok=True)
        stamp.write_text(current)
    except PermissionError:
        return  # an installed package: its files change all at once, which numba notices


_HERE = Path(__file__).parent
_void_stale_kernels(_HERE, also=_HERE.with_name("analog_models"))

njit: Any = partial(numba.njit, cache=True)
