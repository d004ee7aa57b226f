# SPDX-License-Identifier: Apache-2.0
"""Train through a bad cable: the whole simulated board, pins included, has the same bits.

A share of all frames is damaged on either way: bits flip, bytes are lost, doubled or made up,
frames are cut off or come twice. Now and then the cable is pulled, or the board is reset, which
must be a clear error; then training goes on from the last checkpoint. After every round each
weight, capacitor, counter and random lane is compared with the golden trainer's.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from cosim.verilog_bench import load
from crossforge.emulate_boards import LinkBoard
from crossforge.emulate_options import images
from fpga.engine import BoardEngine
from fpga.transport import LinkError, SerialTransport
from fpga.virtual_board import VIRTUAL_BAUD, VirtualBoard
from golden.controllers import CONTROLLERS
from golden.engine import FixedEngine
from golden.schedule import epoch_order, initial_weights
from rtl.tools import BUILD_DIR

#: Damage of every kind, as in the tests of the link.
Faults = load(f"{Path(__file__).parents[1] / 'tests' / 'helpers' / 'link_world.py'}:Faults")
#: The host waits so long for an answer, s; the virtual board is slower than a real one.
_PATIENCE = 0.3


class BadCable(SerialTransport):
    """A serial port that damages frames.

    Parameters
    ----------
    port : str
    baud : int, Bd
    rate : float, 0..1
        Share of the frames that are damaged, on each way.
    seed : int
    """

    def __init__(self, port, baud, *, rate, seed):
        self.faults = Faults(seed, 1.0)  # damages whatever it gets
        self.rate, self.frames = rate, 0
        self._strike = -1  # bytes to come until the next damage of what the board says
        super().__init__(port, baud)

    def write(self, data):
        """Send a frame, damaged or not; decide whether its answer will be."""
        rng = self.faults.rng
        self.frames += 1
        self._strike = int(2 ** (rng.random() * 11)) if rng.random() < self.rate else -1
        super().write(self.faults.damage(data) if rng.random() < self.rate else data)

    def read(self, limit, timeout):
        """Return what came, damaged if it is its turn."""
        data = super().read(limit, timeout)
        at, self._strike = self._strike, self._strike - len(data)
        return self.faults.damage(data) if 0 <= at < len(data) else data


def reset(board, train, state) -> None:
    """Press the reset button during training, once; the board must say so."""
    buttons = [board.virtual.reset]

    def press(_done):
        if buttons:
            buttons.pop()()

    try:
        train(press)
        state()
    except LinkError as error:
        if "reset" not in str(error):
            raise
    else:
        raise SystemExit("a board that was reset must say so")


def survive(args) -> dict:
    """Train in rounds until enough frames were damaged; return what was seen.

    Raises
    ------
    SystemExit
        If a bit differs.
    """
    controller = CONTROLLERS[args.preset]
    chip = controller.chip
    chip = chip.but(seed=args.seed, transfer=replace(chip.transfer, interval=20))
    data = images(chip)
    y = data.y_train.astype(np.int64)
    order = epoch_order(chip.seed, 0, len(data.x_train))
    golden = FixedEngine(chip)
    golden.write_weights(initial_weights(chip.layers, chip.seed))
    rng = np.random.default_rng(args.seed)
    rounds = pulled = resets = done = 0
    begin = time.perf_counter()
    virtual = VirtualBoard(chip, controller.hardware(), build_dir=BUILD_DIR)
    cable = BadCable(virtual.port, VIRTUAL_BAUD, rate=args.rate, seed=args.seed)
    board = LinkBoard(cable, virtual, patience=_PATIENCE, longest=5.0, attempts=100)
    screen = Progress(console=Console(stderr=True), disable=args.json)
    with board, screen:
        bar = screen.add_task("damaged frames", total=args.frames)
        engine = BoardEngine(chip, controller.hardware(), board)
        engine.restore(golden.state())
        while not rounds or cable.faults.damaged < args.frames:
            checkpoint = {name: np.array(value) for name, value in golden.state().items()}
            part = order[done : done + int(rng.integers(5, 30))]
            if rng.random() < 0.2:
                pulled += 1
                virtual.replug()
            if rng.random() < 0.1:
                resets += 1
                reset(board, partial(engine.train, data.x_train, y, part), engine.state)
                board.open()
                engine = BoardEngine(chip, controller.hardware(), board)
                engine.restore(checkpoint)
            engine.train(data.x_train, y, part)
            golden.train(data.x_train, y, part)
            done, rounds = done + len(part), rounds + 1
            have = engine.state()
            for name, want in golden.state().items():
                if not np.array_equal(have[name], want):
                    raise SystemExit(f"{name} must have the same bits, but differs")
            screen.update(bar, completed=cable.faults.damaged)
        counters = board.counters
        return {
            "frames": cable.frames,
            "damaged": cable.faults.damaged,
            "repeats": counters.repeats,
            "pulled": pulled,
            "resets": resets,
            "examples": done,
            "transfers": int(golden.machine.counters[4]),
            "rounds_compared": rounds,
            "seconds": round(time.perf_counter() - begin, 1),
        }


def main() -> None:
    """Parse options, train, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="mini", help="as for crossforge emulate")
    parser.add_argument("--frames", type=int, default=10_000, help="to damage (default: 10,000)")
    parser.add_argument("--rate", type=float, default=0.3, help="of frames (default: 0.3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print only JSON")
    args = parser.parse_args()
    print(json.dumps(survive(args), indent=None if args.json else 1))


if __name__ == "__main__":
    main()
