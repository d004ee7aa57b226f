# SPDX-License-Identifier: Apache-2.0
"""Activation functions: real form for the baseline, 256-entry tables for the machine.

A table is addressed by the saturated 8-bit sum of ADC codes (two's complement, so entry
``code & 255``) and holds the activation (1.0 = 128) and its derivative (1.0 = 128).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .formats import CODE_MAX, ONE

__all__ = ["ACTIVATIONS", "Activation", "activation_table"]


@dataclass(frozen=True)
class Activation:
    """An activation function and its derivative, float64 -> float64, any shape.

    Parameters
    ----------
    value, slope : callable
    """

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


def _pl_tanh(z):
    a = np.abs(z)
    return np.sign(z) * np.where(a < 0.5, a, np.minimum(0.25 + a / 2, 1.0))


def _pl_tanh_slope(z):
    a = np.abs(z)
    return np.where(a < 0.5, 1.0, np.where(a < 1.5, 0.5, 0.0))


#: Every name that a network description may use.
ACTIVATIONS = {
    # slope 1 up to 0.5, 1/2 up to 1.5, then flat at 1
    "pl-tanh": Activation(_pl_tanh, _pl_tanh_slope),
    "hard-sigmoid": Activation(
        lambda z: np.clip(0.5 + z / 4, 0.0, 1.0), lambda z: np.where(np.abs(z) < 2, 0.25, 0.0)
    ),
    "relu": Activation(lambda z: np.clip(z, 0.0, 1.0), lambda z: ((z > 0) & (z < 1)) * 1.0),
    "identity": Activation(lambda z: np.clip(z, -1.0, 1.0), lambda z: (np.abs(z) < 1) * 1.0),
    "tanh": Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


def activation_table(name: str, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Tabulate an activation for sums of ADC codes whose LSB is ``2**(shift - 21)``.

    Parameters
    ----------
    name : str
        A key of :data:`ACTIVATIONS`.
    shift : int, 8 .. 21
        Range of the layer's ADC.

    Returns
    -------
    value : ndarray of int32, shape (256,), -127..127
    slope : ndarray of int32, shape (256,), 0..128
        Entry ``code & 255`` belongs to the signed ``code``.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {name!r}")
    code = np.arange(256)
    z = ((code ^ 128) - 128) * 2.0 ** (shift - 21)
    f = ACTIVATIONS[name]
    value = np.clip(np.floor(f.value(z) * ONE + 0.5), -CODE_MAX, CODE_MAX)
    slope = np.floor(f.slope(z) * ONE + 0.5)
    return value.astype(np.int32), slope.astype(np.int32)
