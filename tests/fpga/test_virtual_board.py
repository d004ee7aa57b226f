# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The complete design, pins included, trains as the golden trainer does; cables are pulled."""

from dataclasses import replace

import numpy as np
import pytest

from crossforge.emulate import emulate
from crossforge.emulate_boards import open_board
from crossforge.emulate_options import EmulateOptions, images
from fpga.engine import BoardEngine
from fpga.transport import LinkError
from golden.controllers import CONTROLLERS
from golden.engine import FixedEngine
from golden.schedule import epoch_order, initial_weights
from rtl.tools import BUILD_DIR

pytestmark = pytest.mark.slow

MINI = CONTROLLERS["mini"]
CHIP = MINI.chip.but(seed=7, transfer=replace(MINI.chip.transfer, interval=20))
DATA = images(CHIP)
Y = DATA.y_train.astype(np.int64)
ORDER = epoch_order(CHIP.seed, 0, len(DATA.x_train))
WEIGHTS = initial_weights(CHIP.layers, CHIP.seed)


@pytest.fixture(scope="module")
def board():
    with open_board("virtual", CHIP, MINI.hardware(), baud=0, build_dir=BUILD_DIR) as board:
        yield board


def golden(n):
    engine = FixedEngine(CHIP)
    engine.write_weights(WEIGHTS)
    engine.train(DATA.x_train, Y, ORDER[:n])
    return engine


def assert_same(engine, reference):
    have, want = engine.state(), reference.state()
    assert have.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_array_equal(have[name], array, name)


def test_training_through_the_serial_port_equals_the_golden_trainer(board):
    engine = BoardEngine(CHIP, MINI.hardware(), board)
    engine.write_weights(WEIGHTS)
    engine.train(DATA.x_train, Y, ORDER[:50])
    reference = golden(50)
    assert reference.machine.counters[4] == 2  # transfers
    assert_same(engine, reference)

    # the board's own forward path answers, and changes nothing
    answers = engine.answers(DATA.x_test[:20])
    np.testing.assert_array_equal(answers, np.argmax(reference.scores(DATA.x_test[:20]), axis=1))
    assert_same(engine, reference)

    # a pulled cable is no loss
    board.virtual.replug()
    engine.train(DATA.x_train, Y, ORDER[50:70])
    assert board.counters.reopened
    assert_same(engine, golden(70))


def test_a_state_that_is_written_back_goes_on_with_the_same_bits(board):
    engine = BoardEngine(CHIP, MINI.hardware(), board)
    engine.restore(golden(33).state())
    engine.train(DATA.x_train, Y, ORDER[33:45])
    assert_same(engine, golden(45))


def test_a_reset_in_the_middle_is_a_clear_error(board):
    engine = BoardEngine(CHIP, MINI.hardware(), board)
    engine.write_weights(WEIGHTS)

    def press(done):
        board.virtual.reset()

    with pytest.raises(LinkError, match="reset"):
        engine.train(DATA.x_train, Y, ORDER[:200], press)
    board.open()
    engine = BoardEngine(CHIP, MINI.hardware(), board)
    engine.restore(golden(5).state())
    engine.train(DATA.x_train, Y, ORDER[5:10])
    assert_same(engine, golden(10))


def test_command_trains_checks_and_resumes(tmp_path):
    options = EmulateOptions(
        board="virtual", preset="mini", examples=20, interval=20, test=0, seed=7
    )
    found = emulate(options, tmp_path, quiet=True)
    assert (found["examples"], found["transfers"], found["mismatches"]) == (20, 1, 0)
    more = emulate(
        replace(options, epochs=2, test=10, check=True), tmp_path, resume=True, quiet=True
    )
    assert (more["examples"], more["transfers"], more["mismatches"]) == (40, 2, 0)
    assert more["link"]["bytes_per_example"] > 20
