# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Damage of every kind: nothing is lost, nothing happens twice, nothing waits for ever."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cosim.verilog_bench import load, simulate_verilog
from fpga.host import Link, packet
from fpga.link.frames import Kind, Op, encode_frame, operation
from fpga.transport import LinkError

# By path, as this file is loaded itself within a simulator, where no folder of tests is searched.
HERE = Path(__file__).parent
check_script = load(f"{HERE / 'link_bench.py'}:check_script")
Cable, Faults, WORLD_WORDS, result_of = (
    load(f"{HERE.parent / 'helpers' / 'link_world.py'}:{name}")
    for name in ("Cable", "Faults", "WORDS", "result_of")
)

SIZES = {"request_words": 64, "response_words": 32, "capacity": 256, "results_kept": 16}


def job(link, seed):
    """Use everything a link has; return what it gave, which no damage may change."""
    rng = np.random.default_rng(seed)
    seen = []
    for part in range(4):
        for _ in range(3):
            address = 4 * int(rng.integers(WORLD_WORDS - 100))
            words = rng.integers(0, 1 << 32, int(rng.integers(1, 90)), dtype=np.uint32)
            link.write(address, words)
            seen.append(link.read(address + 4, len(words)).tolist())
        images = rng.integers(0, 256, (6, 21)) * (rng.random((6, 21)) < 0.4)
        packets = [packet(10 * part + i, bytes(x.tolist()), 8) for i, x in enumerate(images)]
        for results, _ in link.stream(packets):
            seen += results.tolist()
        goals = rng.integers(-100, 100, 40).tolist()
        while goals:
            goals = goals[link.send_goals(goals) :]
        while link.room < SIZES["capacity"]:
            link.read(0)
    link.read(0)
    return seen


def state(cable):
    """Return what a run left behind the link."""
    board, controller = cable.board, cable.controller
    return board.bus.words, controller.packets, controller.goals


def writes(cable):
    return [access for access in cable.board.bus.accesses if access[0] == "w"]


def clean(seed, pace):
    cable = Cable(pace=pace, **SIZES)
    with Link(cable, clock=cable.time, first=0) as link:
        return job(link, seed), state(cable), writes(cable)


def check_damage(wanted, *, rate=0.25, loss=0.0, seed=0):
    """Run jobs until ``wanted`` pieces were damaged; each must be as if none had been."""
    faults = Faults(seed, rate, loss=loss)
    while faults.damaged + faults.lost < wanted:
        seed += 1
        pace = [1, 9, 10_000][seed % 3]
        cable = Cable(faults, pace=pace, **SIZES)
        with Link(cable, clock=cable.time, attempts=60, first=seed % 256) as link:
            got = job(link, seed)
        assert (got, state(cable), writes(cable)) == clean(seed, pace), f"seed {seed}"
        counters = link.counters
        assert cable.now < 2 * counters.frames, "time is bounded by the frames"
        assert counters.frames < 60 * counters.requests
        assert counters.reopened >= (loss > 0)
    return faults


def test_damaged_frames_change_nothing():
    check_damage(2000)


@pytest.mark.slow
def test_many_damaged_frames_change_nothing():
    assert check_damage(10_000, seed=1000).damaged >= 10_000


def test_a_cable_that_is_pulled_changes_nothing():
    faults = check_damage(400, rate=0.1, loss=0.03, seed=2000)
    assert faults.lost > 50


def test_a_board_that_loses_power_is_noticed():
    """The run is begun anew and then is as if nothing had happened; no stale answer gets in."""
    faults, noticed = Faults(5, 0.1, loss=0.01, reset=0.01), 0
    for seed in range(12):
        cable = Cable(faults, **SIZES)
        got = None
        while got is None:
            cable.board.bus.words.clear()
            try:
                with Link(cable, clock=cable.time, attempts=60, first=3) as link:
                    cable.controller.forget()
                    got = job(link, seed)
            except LinkError as error:
                noticed += "was reset" in str(error)
        assert (got, state(cable)) == clean(seed, 10_000)[:2]
    assert 5 < noticed <= faults.resets


def test_a_board_that_is_away_does_not_hold_the_host():
    cable = Cable(Faults(1, 1.0), comes_back=False, **SIZES)
    cable.faults.damage = lambda data: b""
    before = cable.now
    with pytest.raises(LinkError), Link(cable, clock=cable.time):
        pass
    assert cable.now - before < 10


# --- the gateware, byte for byte as the model


def any_operations(rng, most):
    """Operations of any kind, a few of them wrong, of at most ``most`` words.

    What depends on how fast a buffer is drained stays out: input is of one kind in a request, and
    either fits or never would.
    """
    out, left, room = b"", most, 64
    kind = Op(int(rng.choice([Op.EXAMPLES, Op.GOALS])))
    while left > 3 and rng.random() < 0.9:
        op = int(rng.choice(9, p=[0.01, 0.25, 0.2, 0.15, 0.15, 0.15, 0.04, 0.04, 0.01]))
        count, address, data = int(rng.integers(0, 6)), 4 * int(rng.integers(0, 12)), b""
        if op == Op.WRITE:
            data = rng.integers(0, 256, 4 * min(count, left - 2), dtype=np.uint8).tobytes()
        elif op in (Op.EXAMPLES, Op.GOALS):
            op, data = kind, some_input(rng, kind)
            if len(data) > min(4 * left - 8, room):
                data = b""
            count, room = len(data), room - len(data)
            if rng.random() < 0.03:
                count = 65 + int(rng.integers(1000))
        elif op == Op.RESULTS:
            count = int(rng.random() < 0.4)
        elif op == Op.FLUSH:
            count = 2 * int(rng.random() < 0.2)
        part = operation(op, count, address, data)
        out += part
        left -= len(part) // 4
    return out


def some_input(rng, kind):
    """Whole packets or goals, so that nothing stays half taken."""
    encode_packet = load_code("encode_packet")
    if kind == Op.GOALS:
        raw = rng.integers(0, 256, 2 * int(rng.integers(0, 5))) * (rng.random() < 0.8)
        return load_code("encode_zeros")(bytes(raw.tolist()))
    beats = rng.integers(0, 256, 4 * int(rng.integers(1, 4)))
    return encode_packet(bytes((beats * (rng.random(len(beats)) < 0.5)).tolist()))


def load_code(name):
    return load(f"fpga.link.zero_code:{name}")


def any_script(seed, n):
    """Frames, damaged and whole, in sequence, repeated and not; results in between."""
    rng = np.random.default_rng(seed)
    sequence = int(rng.integers(256))
    script, room = [("line", encode_frame(Kind.OPEN, sequence, any_operations(rng, 20)))], 8
    while len(script) < n:
        if rng.random() < 0.15 and room:  # in the queue, even if none is ever taken
            script.append(("results", rng.integers(0, 1 << 32, 2).tolist()))
            room -= 2
            continue
        step = int(rng.choice([0, 1, 2, 255], p=[0.15, 0.79, 0.03, 0.03]))
        kind = int(rng.choice([Kind.REQUEST, Kind.OPEN, 3, 17], p=[0.92, 0.04, 0.02, 0.02]))
        number = (sequence + step) % 256
        payload = any_operations(rng, int(rng.integers(0, 32)))
        data = encode_frame(kind, number, payload)
        if rng.random() < 0.4:
            cut = Faults(int(rng.integers(1 << 30)), 1.0).damage(data)
            # Nothing after a frame that is whole: it may come while that one is executed.
            data = data[: len(data) - 1] if data in cut else cut
        elif kind == Kind.OPEN or (kind == Kind.REQUEST and step == 1):
            sequence = number
        script.append(("line", data))
    return script


def check_gateware(seed, n=40):
    check_script(any_script(seed, n), seed=seed)


def test_gateware_answers_as_the_model():
    check_gateware(1, 12)


BENCHES = [partial(check_gateware, seed) for seed in range(1, 9)]


@pytest.mark.slow
def test_verilog_answers_as_the_model():
    simulate_verilog(f"{__file__}:BENCHES")
