# SPDX-License-Identifier: Apache-2.0
"""Operations take the time that the numbers of their tile say."""

import numpy as np
import pytest

from analog_models.presets import IDEAL
from cosim.timing import NOMINAL, SHORT, FlatTiming, TileTiming
from rtl.tile_port import TileOp


@pytest.mark.parametrize(
    ("op", "vector", "cycles"),
    [
        (TileOp.FORWARD, (), 64 + 128),
        (TileOp.BACKWARD, (), 64 + 128),
        (TileOp.READ, (), 4 * (64 + 2048)),  # log2_reads 2
        (TileOp.UPDATE, (), 62),
        (TileOp.TUNE, (), 62),
        (TileOp.PROGRAM, ([127, 0], [0, 0]), 50),
        (TileOp.PROGRAM, ([0, 0], [1, 0]), 2000),
        (TileOp.PROGRAM, ([0, 127], [63, 0]), 2050),
        (TileOp.PROGRAM, ([0, 0], [0, 0]), 1),
        (TileOp.INIT, (), 10),
        (TileOp.POLARITY, (), 1),
        (TileOp.AGE, (), 1),
    ],
)
def test_nominal_timing(op, vector, cycles):
    vector = tuple(np.array(v) for v in vector)
    assert NOMINAL.cycles(op, 2, vector) == cycles
    assert SHORT.cycles(op, 2, vector) == 2


def test_timing_follows_the_clock_and_the_tile():
    slow = TileTiming.of_tile(IDEAL, clock=250e6)
    assert (slow.integration, slow.pulse, slow.reset, slow.set) == (16, 1, 13, 500)
    assert all(source for *_, source in slow.numbers())


def test_timing_rejects_no_time():
    with pytest.raises(
        ValueError, match=r"^init must be a positive whole number \(cycles\), not 0"
    ):
        NOMINAL.but(init=(0, "test"))
    with pytest.raises(ValueError, match=r"^each must be positive \(cycles\), not 0$"):
        FlatTiming(0)
