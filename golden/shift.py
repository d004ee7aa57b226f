# SPDX-License-Identifier: Apache-2.0
"""A 32-bit shift for numba kernels.

numba widens int32 operands to 64 bits before it shifts; LLVM then keeps the arithmetic around the
shift in 64 bits and vectorises with half as many lanes, or fewer. This one stays in 32 bits.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

__all__ = ["asr"]


def _asr(_context, x, n):
    """Shift ``x`` right by ``n`` in 0..31 arithmetically (floor), both taken as int32."""

    def generate(context, builder, signature, arguments):
        narrow = (
            context.cast(builder, value, kind, types.int32)
            for value, kind in zip(arguments, signature.args, strict=True)
        )
        return builder.ashr(*narrow)

    return types.int32(x, n), generate


asr: Any = intrinsic(_asr)
