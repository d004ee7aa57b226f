# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A chip that is folded trains through the pins of its board as the golden trainer does."""

from dataclasses import replace

import numpy as np
import pytest

from crossforge.emulate_boards import open_board
from crossforge.emulate_options import images
from fpga.engine import BoardEngine
from fpga.transport import LinkError
from golden.controllers import CONTROLLERS
from golden.engine import FixedEngine
from golden.registers import ID
from golden.schedule import epoch_order, initial_weights
from rtl.tools import BUILD_DIR

pytestmark = pytest.mark.slow

#: Nine pixels of an image of 7x7, three classes: few cells, as each takes long to write. A layer is
#: hidden, as errors go back only then.
MICRO = CONTROLLERS["micro"]
SMALL = replace(
    MICRO,
    chip=MICRO.chip.but(
        layers=(9, 4, 3),
        forward_shift=(14, 15),
        backward_shift=(13, 13),
        seed=3,
        transfer=replace(MICRO.chip.transfer, interval=8),
    ),
)
CHIP, HW = SMALL.chip, SMALL.hardware()
DATA = images(MICRO.chip)
X = DATA.x_train.reshape(-1, 7, 7)[:, 2:5, 2:5].reshape(-1, 9)
Y = DATA.y_train.astype(np.int64) % 3
ORDER = epoch_order(CHIP.seed, 0, len(X))
WEIGHTS = initial_weights(CHIP.layers, CHIP.seed)


@pytest.fixture(scope="module")
def board():
    with open_board("virtual-folded", CHIP, HW, baud=0, build_dir=BUILD_DIR) as board:
        yield board


def test_training_on_the_folded_chip_equals_the_golden_trainer(board):
    engine = BoardEngine(CHIP, HW, board)
    engine.write_weights(WEIGHTS)
    engine.train(X, Y, ORDER[:20])
    golden = FixedEngine(CHIP)
    golden.write_weights(WEIGHTS)
    golden.train(X, Y, ORDER[:20])
    assert golden.machine.counters[4] == 2  # transfers
    have, want = engine.state(), golden.state()
    assert have.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_array_equal(have[name], array, name)
    answers = engine.answers(X[ORDER[20:24]])
    np.testing.assert_array_equal(answers, np.argmax(golden.scores(X[ORDER[20:24]]), axis=1))


def test_a_reset_loads_the_program_again(board):
    board.virtual.reset()
    with pytest.raises(LinkError, match="reset"):
        board.read(0)
    board.open()
    assert board.read(0)[0] == ID
