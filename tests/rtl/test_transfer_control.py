# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Transfer units start and end as told, and what they count is added up once."""

import random
from functools import partial

import pytest
from amaranth.lib import data

from cosim.bench import simulate
from rtl.transfer_control import TransferControl, TransferCounts

FIELDS = {"set_shots": 32, "tune_pulses": 32, "error_sq": 48, "failed": 32}


class Script:
    """Inputs and outputs of every cycle, written by a model of the control."""

    def __init__(self, tiles, seed=0):
        self.tiles, self.rng = tiles, random.Random(seed)
        self.cycles = []
        self.held = {"used": 0, "counts": 0}

    def add(self, inputs=None, **outputs):
        bits = {"start": 0, "from_host": self.rng.randrange(2), "unit_busy": 0, "rst": 0}
        expected = {"busy": 1, "unit_start": 0, "add": 0, "turn": 0, "finish": 0}
        self.cycles.append((self.held | bits | (inputs or {}), expected | outputs))

    def idle(self, n=1):
        for _ in range(n):
            self.add(busy=0)

    def transfer(self, durations, *, from_host, cut=None):
        """Transfer all tiles; a unit is busy for its duration, None is an unused tile.

        Returns
        -------
        int
            Cycles in which the control is busy.
        """
        units = range(self.tiles)
        counts = [
            {
                name: self.rng.choice([0, 2**n - 1, self.rng.randrange(2**n)])
                for name, n in FIELDS.items()
            }
            for _ in units
        ]
        counts[0]["error_sq"] = 2**48 - 1
        layout = data.ArrayLayout(TransferCounts, self.tiles)
        used = sum(1 << t for t in units if durations[t] is not None)
        self.held = {"used": used, "counts": layout.const(counts).as_bits()}
        mode = {"from_host": int(from_host)}
        self.add(mode | {"start": 1}, busy=0)
        begin = len(self.cycles)
        for group in [[t] for t in units] if from_host else [list(units)]:
            turn = 1 << group[0] if from_host else 0
            started = [t for t in group if durations[t] is not None]
            self.add(mode, unit_start=sum(1 << t for t in started))
            longest = max((durations[t] for t in started), default=0)
            for i in range(longest + 1):
                busy = sum(1 << t for t in started if i < durations[t])
                self.add(mode | {"unit_busy": busy}, turn=turn)
        for t in units:
            add = TransferCounts.const(counts[t]).as_bits() if used >> t & 1 else 0
            self.add(mode, add=add, finish=int(t == self.tiles - 1))
        if cut is not None:
            del self.cycles[begin + cut + 1 :]
            self.cycles[-1][0]["rst"] = 1
        return len(self.cycles) - begin


def check_control(script):
    def drive(pins):
        for cycle, (inputs, outputs) in enumerate(script.cycles):
            for name, value in inputs.items():
                pins[name] = value
            yield
            seen = {name: pins[name] for name in outputs}
            assert seen == outputs, f"cycle {cycle}"

    simulate(TransferControl(script.tiles), drive)


DURATIONS = {
    1: [[5], [0], [None]],
    3: [[4, 1, 7], [0, 0, 0], [3, None, 2], [None, 2, None], [None] * 3, [1, 6, 1]],
    4: [[2, 9, None, None], [1, 1, 1, 1]],
}


@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("tiles", DURATIONS)
def test_transfer_control_runs_all_units(tiles, gap):
    script = Script(tiles, seed=tiles)
    script.idle(2)
    for durations in DURATIONS[tiles] * 2:
        for from_host in (False, True):
            cycles = script.transfer(durations, from_host=from_host)
            own = [d or 0 for d in durations]
            if from_host:
                assert cycles == sum(own) + 3 * tiles
            else:
                assert cycles == max(own) + 2 + tiles
            script.idle(gap)
    script.idle(2)
    check_control(script)


@pytest.mark.parametrize("from_host", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 4, 9, 12])
def test_transfer_control_begins_anew_after_reset(cut, from_host):
    script = Script(3, seed=cut)
    script.transfer([4, 3, 6], from_host=from_host, cut=cut if from_host or cut < 10 else 10)
    script.idle(2)
    for way in (from_host, not from_host):
        script.transfer([2, None, 3], from_host=way)
    script.idle()
    check_control(script)


BENCHES = [
    partial(test_transfer_control_runs_all_units, 3, 0),
    partial(test_transfer_control_runs_all_units, 3, 2),
    *(
        partial(test_transfer_control_begins_anew_after_reset, cut, from_host)
        for cut in [1, 4, 9]
        for from_host in [False, True]
    ),
]
