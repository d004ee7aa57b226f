# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Random lanes step as the golden ones do, and keep what is committed."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import pack, simulate, unpack
from golden.pulses import lanes as seeded
from golden.pulses import step_lanes
from rtl.random_lanes import RandomLanes

SIZES = [(1, 4), (2, 3), (4, 8)]


class Host:
    """The host's side, and the states it expects: ``states[beat, lane]``."""

    def __init__(self, states):
        self.states = states

    def write(self, pins, only=None):
        """Write all states, or the ``only`` one."""
        flat = self.states.ravel()
        for at in range(flat.size) if only is None else [only]:
            pins["host_addr"], pins["host_data"], pins["host_en"] = at, int(flat[at]), 1
            yield
        pins["host_en"], pins["host_data"] = 0, 0xDEAD_BEEF

    def read(self, pins, order=None):
        """Read states back to back, each a cycle after it was asked for."""
        flat = self.states.ravel()
        before = None
        for at in [*(range(flat.size) if order is None else order), None]:
            if at is not None:
                pins["host_r_addr"] = at
            pins["host_r_en"] = at is not None
            yield
            if before is not None:
                assert pins["host_r_data"] == flat[before], f"state {before}"
            before = at


def after(states):
    """States after a step, those given unchanged."""
    states = np.array(states, np.uint32)
    step_lanes(states)
    return states


def words(pins, lanes):
    return unpack(pins["words"], 32, lanes, sign=False)


@pytest.mark.parametrize(("lanes", "depth"), SIZES)
def test_random_lanes_step_every_bit(lanes, depth):
    """A step is linear, so that single bits show all of it."""

    def drive(pins):
        rng = np.random.default_rng(1)
        bits = (1 << np.arange(32, dtype=np.int64)).tolist()
        flat = [*bits, 0, 2**32 - 1, 0xAAAA_AAAA, *rng.integers(0, 2**32, 5).tolist()]
        flat = np.resize(flat, -(-len(flat) // (lanes * depth)) * lanes * depth)
        for states in flat.astype(np.uint32).reshape(-1, depth, lanes):
            host = Host(states)
            yield from host.write(pins)
            pins["en"] = 1
            for beat in range(depth):
                pins["addr"] = beat
                yield
                if beat:
                    assert words(pins, lanes) == after(states[beat - 1]).tolist()
            pins["en"] = 0
            yield
            assert words(pins, lanes) == after(states[-1]).tolist()
            yield from host.read(pins)  # nothing was committed

    simulate(RandomLanes(lanes, depth), drive)


@pytest.mark.parametrize(("lanes", "depth"), SIZES)
def test_random_lanes_commit_every_beat_in_turn(lanes, depth):
    """A beat is written while the next one is read: as many steps as were committed."""
    host = Host(seeded(5, 1, lanes * depth).reshape(depth, lanes))

    def drive(pins):
        yield from host.write(pins)
        for commit in (1, 1, 0, 1):
            for beat in range(depth):
                pins["addr"], pins["en"] = beat, 1
                pins["commit"] = commit if beat else 0
                yield
                if beat:
                    assert words(pins, lanes) == after(host.states[beat - 1]).tolist()
            pins["en"], pins["commit"] = 0, commit
            yield
            pins["commit"] = 0
            yield
            if commit:
                step_lanes(host.states)
            yield from host.read(pins)

    simulate(RandomLanes(lanes, depth), drive)


@pytest.mark.parametrize(("lanes", "depth"), SIZES)
def test_random_lanes_hold_and_commit_at_any_time(lanes, depth):
    """Anything in any order; a beat is not read while it is written."""
    rng = np.random.default_rng(2)
    host = Host(seeded(7, 3, lanes * depth).reshape(depth, lanes))

    def drive(pins):
        yield from host.write(pins)
        where = held = None
        for n in range(400):
            commit = held is not None and rng.random() < 0.4
            beat = int(rng.integers(depth)) if rng.random() < 0.4 else None
            if commit and beat == where:
                beat = None
            pins["commit"], pins["en"] = commit, beat is not None
            pins["addr"] = int(rng.integers(depth)) if beat is None else beat
            pins["host_addr"] = int(rng.integers(lanes * depth))
            yield
            if held is not None:
                assert words(pins, lanes) == held.tolist(), f"words must hold, cycle {n}"
            if commit:
                host.states[where] = held
            if beat is not None:
                where, held = beat, after(host.states[beat])
            if rng.random() < 0.1:  # the host writes one state, and reads some
                pins["en"] = pins["commit"] = 0
                at = int(rng.integers(lanes * depth))
                host.states.ravel()[at] = rng.integers(2**32)
                yield from host.write(pins, at)
                yield
                if held is not None:
                    assert words(pins, lanes) == held.tolist(), "a write must not change words"
                order = [at, *rng.integers(0, lanes * depth, 3).tolist()]
                yield from host.read(pins, order)
                held = None  # what the host reads takes their place
        pins["en"] = pins["commit"] = 0
        yield from host.read(pins)

    simulate(RandomLanes(lanes, depth), drive)


@pytest.mark.parametrize(("lanes", "depth"), SIZES)
def test_random_lanes_keep_their_states_through_a_reset(lanes, depth):
    host = Host(seeded(9, 2, lanes * depth).reshape(depth, lanes))

    def drive(pins):
        yield from host.write(pins)
        pins["addr"], pins["en"] = depth - 1, 1
        yield
        pins["en"], pins["rst"] = 0, 1
        yield
        pins["rst"] = 0
        yield from host.read(pins)
        pins["addr"], pins["en"] = depth - 1, 1
        yield
        pins["en"], pins["commit"] = 0, 1
        yield
        pins["commit"] = 0
        host.states[-1] = after(host.states[-1])
        assert pins["words"] == pack(host.states[-1], 32)
        yield from host.read(pins)

    simulate(RandomLanes(lanes, depth), drive)


BENCHES = [
    partial(test, lanes, depth)
    for lanes, depth in [(2, 3), (4, 8)]
    for test in (
        test_random_lanes_step_every_bit,
        test_random_lanes_commit_every_beat_in_turn,
        test_random_lanes_hold_and_commit_at_any_time,
        test_random_lanes_keep_their_states_through_a_reset,
    )
]
