# SPDX-License-Identifier: Apache-2.0
"""What the chip and the software baseline share: initial weights and order of examples."""

from itertools import pairwise

import numpy as np

from analog_models.prng import derive, permutation, words

__all__ = ["epoch_order", "initial_weights"]


def initial_weights(layers, seed: int) -> list[np.ndarray]:
    """Draw uniform weights in ``+-1/sqrt(rows)``: float64 (inputs + 1, outputs) of each layer."""
    out = []
    for layer, (a, b) in enumerate(pairwise(layers)):
        key = derive(seed, 0xA11CE, layer)
        unit = np.array([words(key, row, b) for row in range(a + 1)]) / 2.0**32
        out.append((unit * 2 - 1) / np.sqrt(a + 1))
    return out


def epoch_order(seed: int, epoch: int, n: int) -> np.ndarray:
    """Order (int64 permutation of ``0 .. n-1``) in which an epoch visits its examples."""
    return permutation(derive(seed, 0x0DE5, epoch), n)
