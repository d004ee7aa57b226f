# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A network on several tiles, trained at the emulator's buses, and what these refuse."""

import numpy as np
import pytest

from analog_models.presets import TUNED
from fpga.emulator import tile_address
from fpga.engine import BoardEngine
from fpga.fast_board import FastBoard
from fpga.host import BusError
from fpga.tile.layout import Plane
from fpga.transport import LinkError
from golden.config import ChipConfig, TransferConfig
from golden.engine import FixedEngine
from golden.hardware import ControllerConfig
from golden.schedule import initial_weights
from rtl.tools import BUILD_DIR

pytestmark = pytest.mark.slow

#: The first layer is cut into two tiles.
CHIP = ChipConfig(
    layers=(9, 4, 3),
    forward_shift=(14, 15),
    backward_shift=(13, 13),
    tile=TUNED.but(rows=(6, "for tests"), cols=(4, "for tests"), age_periods=(3, "for tests")),
    transfer=TransferConfig(interval=25),
    seed=11,
)
HW = ControllerConfig.of(CHIP, lanes=2)


@pytest.fixture(scope="module")
def board():
    with FastBoard(CHIP, HW, build_dir=BUILD_DIR) as board:
        yield board


def test_network_on_several_tiles_equals_the_golden_trainer(board):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (60, 9)).astype(np.uint8)
    y = rng.integers(0, 3, 60)
    engine, golden = BoardEngine(CHIP, HW, board), FixedEngine(CHIP)
    for executor in (engine, golden):
        executor.write_weights(initial_weights(CHIP.layers, CHIP.seed))
        executor.train(x, y, np.arange(40))
        executor.set_learning_rate(0.02)
        executor.train(x, y, np.arange(40, 60))
    assert golden.machine.counters[4] == 2  # transfers
    have = engine.state()
    for name, array in golden.state().items():
        np.testing.assert_array_equal(have[name], array, name)


@pytest.mark.parametrize(
    "address", [0x0FFF_FFFC, tile_address(31, Plane.V), 0x2000_0000, 0xFFFF_FFFC]
)
def test_addresses_where_nothing_is_are_refused(board, address):
    with pytest.raises(BusError, match=f"{address:#010x} must be allowed"):
        board.read(address)
    with pytest.raises(BusError, match="writing"):
        board.write(address, [1])
    assert board.read(0)[0]  # and the bus goes on


def test_counted_lanes_are_those_of_training(board):
    rng = np.random.default_rng(6)
    x, y = rng.integers(0, 256, (8, 9)).astype(np.uint8), rng.integers(0, 3, 8)
    engine = BoardEngine(CHIP, HW, board)
    engine.write_weights(initial_weights(CHIP.layers, CHIP.seed))
    assert not engine.lane_cycles.any()  # though others trained on this board before
    engine.train(x, y, np.arange(8))
    once = engine.lane_cycles.copy()
    assert (0 < once).all()
    assert (once[:, 0] <= once[:, 1]).all()
    engine.answers(x)
    assert (engine.lane_cycles == once).all()


def test_a_board_of_another_network_is_refused(board):
    """With as many layers, tiles and lanes, so that only the tiles know."""
    chip = CHIP.but(layers=(9, 3, 3))
    with pytest.raises(LinkError, match=r"its tile 0 is not this one's of 5 x 3 cells: load the"):
        BoardEngine(chip, ControllerConfig.of(chip, lanes=2), board)
    with pytest.raises(LinkError, match=r"its tile 0 is not this one's of 5 x 4 cells: load the"):
        BoardEngine(CHIP.but(forward_shift=(13, 15)), HW, board)


def test_a_board_of_another_chip_is_refused(board):
    other = ControllerConfig.of(CHIP, lanes=4)
    with pytest.raises(LinkError, match="must have been built for this preset"):
        BoardEngine(CHIP, other, board)
