# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Examples fill the bank that is not in use; packets of a wrong length stop everything."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import simulate, unpack
from golden.machine import input_codes
from rtl.loader import Loader, host_beat

INPUTS = 8
UNWRITTEN = None


def packet(label, pixels, size, rng):
    """Beats (bytes, last) of a packet; bytes beyond the last pixel are anything."""
    beats = [[label & 255, label >> 8, *rng.integers(0, 256, size - 2).tolist()]]
    padded = pixels.tolist() + rng.integers(0, 256, -len(pixels) % size).tolist()
    beats += [padded[k : k + size] for k in range(0, len(padded), size)]
    return [(beat, i == len(beats) - 1) for i, beat in enumerate(beats)]


def bank_of(codes, rows, lanes):
    """Golden: beats of a bank whose row blocks end after ``rows``, bias row included."""
    out, at = [], 0
    for block, lines in enumerate(rows):
        n = lines - (block == len(rows) - 1)
        part = codes[at : at + n].tolist()
        at += n
        for k in range(0, n, lanes):
            out.append(part[k : k + lanes] + [UNWRITTEN] * (lanes - len(part[k : k + lanes])))
    assert at == len(codes)
    return out + [[UNWRITTEN] * lanes] * (INPUTS - len(out))


def check_loader(rows, size, lanes, *, n=4, stall=0, patience=0, cut=None):
    """Load ``n`` examples, use each after ``patience`` cycles.

    ``cut`` first resets within a packet, after so many beats of it.
    """
    rng = np.random.default_rng(sum(rows))
    pixels = sum(rows) - 1
    images = rng.integers(0, 256, (n, pixels))
    images[:, 0], images[:, -1] = 255, 1
    labels = [8191, 0, *rng.integers(0, 8192, n).tolist()][:n]
    layout = host_beat(size)
    memory = [[UNWRITTEN] * lanes for _ in range(2 * INPUTS)]
    current = None  # the bank in use
    packets, done = 0, False

    def send(pins, beats):
        for data, last in beats:
            for _ in range(stall):
                yield
            pins["i.payload"] = layout.const({"data": data, "last": last}).as_bits()
            pins["i.valid"] = 1
            yield
            while not pins["i.ready"]:
                yield
            pins["i.valid"] = 0
            pins["i.payload"] = (1 << (8 * size + 1)) - 1

    def host(pins):
        nonlocal packets
        pins["pixels"] = pixels
        if cut is not None:
            yield from send(pins, packet(5, images[0], size, rng)[:cut])
            pins["rst"] = 1
            yield
            pins["rst"] = 0
            memory[:] = [[UNWRITTEN] * lanes for _ in range(2 * INPUTS)]
        for label, image in zip(labels, images, strict=True):
            yield from send(pins, packet(label, image, size, rng))
            packets += 1

    def user(pins):
        nonlocal current, done
        for i, (label, image) in enumerate(zip(labels, images, strict=True)):
            yield
            while not pins["ready"]:
                assert packets == i
                yield
            assert packets == i + 1
            held = pins["bank"], pins["label"]
            for _ in range(patience):
                yield
                assert pins["ready"]
                assert not pins["i.ready"], "the other bank is in use, this one is full"
                assert (pins["bank"], pins["label"]) == held
            pins["take"] = 1
            yield
            assert not pins["i.ready"]
            pins["take"] = 0
            current = 1 - held[0]
            for beat in memory[(1 - current) * INPUTS :][:INPUTS]:
                beat[:] = [UNWRITTEN] * lanes  # this one fills next
            want = bank_of(input_codes(image), rows, lanes)
            assert memory[current * INPUTS :][:INPUTS] == want
            yield
            assert (pins["bank"], pins["label"]) == (current, label)
            assert not pins["ready"]
            assert memory[current * INPUTS :][:INPUTS] == want
        done = True

    def write(pins):
        while True:
            yield
            assert not pins["bad"]
            if pins["en"]:
                bank, beat = divmod(pins["addr"], INPUTS)
                assert bank != pins["bank"], "the bank in use must stay as it is"
                for k, code in enumerate(unpack(pins["data"], 8, lanes)):
                    if pins["en"] >> k & 1:
                        assert memory[bank * INPUTS + beat][k] is UNWRITTEN
                        memory[bank * INPUTS + beat][k] = code

    def geometry(pins):
        pins["length"] = [*rows, 1023][min(pins["block"], len(rows))]

    dut = Loader(size, lanes, INPUTS)
    simulate(dut, user, host, background=[write], reflex=geometry, limit=5000)
    assert done


#: Rows of the row blocks, bias row last.
ROWS = {
    "one block": [17],
    "whole beats": [16, 17],
    "ragged": [7, 9, 8],
    "bias alone": [8, 6, 1],
    "one pixel": [2],
    "one pixel, bias alone": [1, 1],
    "as long as it gets": [33],
}
SIZES = [(4, 4), (2, 4), (8, 8), (2, 2)]
HOW = [{}, {"stall": 2}, {"patience": 9}, {"stall": 1, "patience": 2}]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("size", "lanes"), SIZES[:2])
def test_loader_fills_the_bank_that_is_not_in_use(size, lanes, rows, how):
    check_loader(ROWS[rows], size, lanes, **how)


@pytest.mark.parametrize("rows", [[7, 9, 8], [17]])
@pytest.mark.parametrize(("size", "lanes"), SIZES[2:])
def test_loader_takes_beats_of_any_size(size, lanes, rows):
    check_loader(rows if lanes > 2 else [5, 4, 3], size, lanes)


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_loader_begins_anew_after_reset(cut):
    check_loader([7, 9, 8], 4, 4, cut=cut)


def test_loader_takes_a_beat_a_cycle():
    """A label and four beats of pixels that each fill one beat of memory."""
    cycles = []

    def drive(pins):
        pins["pixels"], pins["length"] = 16, 17
        pins["i.valid"] = 1
        for i in range(5):
            pins["i.payload"] = host_beat(4).const({"data": [9] * 4, "last": i == 4}).as_bits()
            yield
            assert pins["i.ready"]
            assert not pins["ready"]
            cycles.append(pins["en"])
        yield
        assert pins["ready"]
        assert not pins["i.ready"]
        pins["i.valid"] = 0

    simulate(Loader(4, 4, INPUTS), drive)
    assert cycles == [0, 15, 15, 15, 15]


#: Places of a mark "last" in a packet that should have 1 + 3 beats.
WRONG = {
    "no pixel": [0],
    "a beat too few": [2],
    "one beat of pixels": [1],
    "a beat too many": [4],
    "endless": [99],
    "the second packet is short": [3, 4 + 1],
    "the second packet is only a label": [3, 4 + 0],
}


@pytest.mark.parametrize("name", WRONG)
def test_loader_refuses_packets_of_a_wrong_length(name):
    marks = WRONG[name]
    # where it is noticed: at the mark, or where it should have been
    noticed = min(marks[-1], 4 * len(marks) - 1)

    def check(pins):
        pins["pixels"], pins["length"], pins["i.valid"] = 10, 11, 1
        for i in range(noticed + 1):
            last = i in marks
            pins["i.payload"] = host_beat(4).const({"data": [i] * 4, "last": last}).as_bits()
            yield
            if pins["ready"]:  # the first packet is complete: use it
                pins["take"] = 1
                yield
                pins["take"] = 0
                yield
            assert pins["i.ready"]
            assert not pins["bad"]
        bank, label = pins["bank"], pins["label"]
        assert bank == len(marks) - 1
        for i in range(6):
            pins["i.payload"] = host_beat(4).const({"data": [i] * 4, "last": i == 4}).as_bits()
            yield
            assert pins["bad"]
            assert not pins["i.ready"]
            assert not pins["ready"]
            assert not pins["en"]
            assert (pins["bank"], pins["label"]) == (bank, label)
        pins["rst"], pins["i.valid"] = 1, 0
        yield
        pins["rst"] = 0
        yield
        assert not pins["bad"]
        assert pins["i.ready"]

    def drive(pins):
        yield from check(pins)
        yield from check(pins)

    simulate(Loader(4, 4, INPUTS), drive)


BENCHES = [
    *(
        partial(test_loader_fills_the_bank_that_is_not_in_use, 4, 4, rows, how)
        for rows in ROWS
        for how in HOW[::3]
    ),
    partial(test_loader_fills_the_bank_that_is_not_in_use, 2, 4, "ragged", {}),
    partial(test_loader_fills_the_bank_that_is_not_in_use, 2, 4, "bias alone", HOW[3]),
    *(partial(test_loader_begins_anew_after_reset, cut) for cut in [1, 4]),
    test_loader_takes_a_beat_a_cycle,
    *(partial(test_loader_refuses_packets_of_a_wrong_length, name) for name in WRONG),
]
