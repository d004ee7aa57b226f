# SPDX-License-Identifier: Apache-2.0
"""Bench of the transfer unit: a tile behind its port, and a host that sends goals."""

from dataclasses import dataclass

import numpy as np

from cosim.bench import pack, put, signed, simulate, take, unpack
from golden.hardware import beats
from rtl.tile_port import TileOp
from rtl.transfer import TransferUnit

__all__ = ["play"]

COUNTERS = ("set_shots", "tune_pulses", "error_sq", "failed")


def idle(stall, seed):
    """Idle cycles before each beat: always as many, or any up to 3."""
    rng = np.random.default_rng(seed)
    return (lambda: int(rng.integers(0, 4))) if stall == "random" else (lambda: stall)


def serve(pins, tile, lanes, stall):
    """Put ``tile`` behind its port."""
    count = beats(tile.cols, lanes)

    def one(name):
        n, got = stall(), []
        yield from take(pins, name, 1, got, stall=n, late=n > 1)
        return got[0]

    def vector():
        """Take one vector: the codes for G+ and G- of the columns that exist."""
        codes = []
        for k in range(count):
            beat = yield from one("w")
            codes += unpack(beat, 7, 2 * lanes, sign=False)
            assert beat >> (14 * lanes) == (k == count - 1), "the final beat must be the last"
        assert not any(codes[2 * tile.cols :]), "lanes beyond cols must be 0"
        return [np.array(codes[k : 2 * tile.cols : 2]) for k in (0, 1)]

    while True:
        word = yield from one("cmd")
        op, row = TileOp(word & 15), word >> 4 & 511
        if op == TileOp.READ:
            codes = [*tile.read(row, word >> 13 & 7), *[-2048] * (-tile.cols % lanes)]
            for k in range(0, len(codes), lanes):
                yield from put(pins, "r", [pack(codes[k : k + lanes], 12)], stall=stall())
        elif op == TileOp.PROGRAM:
            tile.program(row, *(yield from vector()))
        elif op == TileOp.TUNE:
            pulses, rest = yield from vector()
            assert not rest.any()
            tile.tune(row, np.array([signed(int(n), 7) for n in pulses]))
        elif op == TileOp.INIT:
            tile.init(row)
        else:
            assert op == TileOp.POLARITY
            tile.polarity(-1 if word >> 16 else 1)


def host(pins, job, stall):
    """Send the goals, if there are any."""
    for code in [] if job.goal is None else np.ravel(job.goal):
        yield from put(pins, "goals", [pack([code], 13)], stall=stall())


@dataclass
class Result:
    """What became of a job."""

    tile: object
    counters: list
    cycles: int
    waited: int


def drive(pins, job, lanes, into, stall, *, cut=None, again=()):
    """Run a job; reset the unit after ``cut`` cycles, start it ``again`` though it is busy."""
    tile, cycles, waited = job.tile(), 0, 0
    quiet = dict.fromkeys(("cmd.ready", "w.ready", "r.valid", "goals.valid"), 0)
    pins.written |= quiet
    pins["rows"], pins["cols"], pins["config"] = job.rows, job.cols, job.registers
    pins["from_host"], pins["start"] = job.goal is not None, 1
    yield
    assert not pins["busy"]
    sides = [serve(pins, tile, lanes, stall), host(pins, job, stall)]
    while cycles != cut:
        pins["start"] = cycles in again
        for side in sides:
            next(side, None)
        yield
        if not pins["busy"]:
            break
        cycles += 1
        waited += pins["waiting"]
    if cut is None:
        assert next(sides[1], "done") == "done", "all goals must be taken"
        into.append(Result(tile, [pins[name] for name in COUNTERS], cycles, waited))
        return
    assert cycles == cut, "the reset must come in the middle"
    pins.written |= quiet
    pins["start"], pins["rst"] = 0, 1
    yield
    pins["rst"] = 0
    yield
    assert not any(pins[name] for name in ("busy", "cmd.valid", "w.valid", "waiting", *COUNTERS))


def play(lanes, jobs, *, stall=0, cuts=(), again=(), rows, cols):
    """Run jobs one after the other; before that the first one up to each of ``cuts``."""
    results = []

    def bench(pins):
        loaded = None
        for k, job in enumerate([jobs[0]] * len(cuts) + list(jobs)):
            if job.tables.duration.tolist() != loaded:
                loaded = job.tables.duration.tolist()
                for address, code in enumerate(loaded):
                    pins["table_addr"], pins["table_data"], pins["table_en"] = address, code, 1
                    yield
                pins["table_en"], pins["table_data"] = 0, 99
            cut = cuts[k] if k < len(cuts) else None
            yield from drive(pins, job, lanes, results, idle(stall, k), cut=cut, again=again)

    simulate(TransferUnit(lanes, cols, rows), bench, limit=200_000)
    return results
