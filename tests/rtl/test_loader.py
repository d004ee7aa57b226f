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

    ``cut`` first resets within a packet, after so many beats of it, while another one is in use.
    """
    rng = np.random.default_rng(sum(rows))
    pixels = sum(rows) - 1
    images = rng.integers(0, 256, (n, pixels))
    images[:, 0], images[:, -1] = 255, 1
    labels = [8191, 0, *rng.integers(0, 8192, n).tolist()][:n]
    layout = host_beat(size)
    memory = [[UNWRITTEN] * lanes for _ in range(2 * INPUTS)]
    current = None  # the bank in use
    packets, begun, done = 0, cut is None, False

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
        nonlocal packets, begun
        pins["pixels"] = pixels
        if cut is not None:
            yield from send(pins, packet(8191, images[0], size, rng))
            while not pins["ready"]:
                yield
            pins["take"] = 1
            yield
            pins["take"] = 0
            yield from send(pins, packet(5, images[0], size, rng)[:cut])
            assert (pins["bank"], pins["label"]) == (1, 8191)
            pins["rst"] = 1
            yield
            pins["rst"] = 0
            yield
            assert not any(pins[name] for name in ("bank", "label", "ready", "bad"))
            memory[:] = [[UNWRITTEN] * lanes for _ in range(2 * INPUTS)]
            begun = True
        for label, image in zip(labels, images, strict=True):
            yield from send(pins, packet(label, image, size, rng))
            packets += 1

    def user(pins):
        nonlocal current, done
        while not begun:
            yield
        for i, (label, image) in enumerate(zip(labels, images, strict=True)):
            yield
            while not pins["ready"]:
                assert packets in (i, i + 1)
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
    "cut anywhere": [5, 6, 7, 2, 3],
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


@pytest.mark.parametrize("size", [4, 2])
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_loader_begins_anew_after_reset(cut, size):
    check_loader([7, 9, 8], size, 4, cut=cut)


def test_loader_takes_a_beat_a_cycle():
    """A label and four beats of pixels that each fill one beat of memory, 2 cycles later."""
    cycles, ready = [], []

    def drive(pins):
        pins["pixels"], pins["length"] = 16, 17
        pins["i.valid"] = 1
        for i in range(8):
            pins["i.payload"] = host_beat(4).const({"data": [9] * 4, "last": i == 4}).as_bits()
            yield
            assert pins["i.ready"] == (i < 5)
            cycles.append(pins["en"])
            ready.append(pins["ready"])
        pins["i.valid"] = 0

    simulate(Loader(4, 4, INPUTS), drive)
    assert cycles == [0, 0, 0, 15, 15, 15, 15, 0]
    assert ready == [0, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("size", [4, 2])
def test_loader_counts_as_many_pixels_as_its_register(size):
    """In the longest blocks; the memory is far too small for them, which does not matter here."""
    pixels, length = 8191, 1023

    def drive(pins):
        pins["pixels"], pins["length"] = pixels, length
        pins["i.valid"] = 1
        for left in range(pixels + size, 0, -size):  # the label, then pixels
            last = left <= size
            pins["i.payload"] = host_beat(size).const({"data": [9] * size, "last": last}).as_bits()
            yield
            while not pins["i.ready"]:
                yield
            assert not pins["ready"]
            assert not pins["bad"]
        pins["i.valid"] = 0
        for _ in range(4):
            yield
        assert pins["ready"]
        assert not pins["bad"]
        assert pins["block"] == pixels // length + 1

    simulate(Loader(size, 4, INPUTS), drive)


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


@pytest.mark.parametrize("size", [4, 2])
@pytest.mark.parametrize("name", WRONG)
def test_loader_refuses_packets_of_a_wrong_length(name, size):
    marks = WRONG[name]
    # where it is noticed: at the mark, or where it should have been
    noticed = min(marks[-1], 4 * len(marks) - 1)

    pixels = 3 * size - size // 2
    layout = host_beat(size)

    def check(pins):
        pins["pixels"], pins["length"], pins["i.valid"] = pixels, pixels + 1, 1
        for i in range(noticed + 1):
            last = i in marks
            pins["i.payload"] = layout.const({"data": [i] * size, "last": last}).as_bits()
            yield
            while not pins["i.ready"]:  # or the first packet is complete: use it
                if pins["ready"]:
                    pins["take"] = 1
                    yield
                    pins["take"] = 0
                yield
            assert not pins["bad"]
        bank, label = pins["bank"], pins["label"]
        assert bank == len(marks) - 1
        for i in range(9):
            pins["i.payload"] = layout.const({"data": [i] * size, "last": i == 4}).as_bits()
            yield
            assert pins["bad"]
            assert not pins["i.ready"]
            assert not pins["ready"]
            assert i < 3 or not pins["en"], "what came before is written, no more"
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

    simulate(Loader(size, 4, INPUTS), drive)


BENCHES = [
    *(
        partial(test_loader_fills_the_bank_that_is_not_in_use, 4, 4, rows, how)
        for rows in ROWS
        for how in HOW[::3]
    ),
    partial(test_loader_fills_the_bank_that_is_not_in_use, 2, 4, "ragged", {}),
    *(partial(test_loader_fills_the_bank_that_is_not_in_use, 2, 4, rows, HOW[3]) for rows in ROWS),
    *(partial(test_loader_begins_anew_after_reset, cut, size) for cut in [1, 4] for size in [4, 2]),
    *(partial(test_loader_counts_as_many_pixels_as_its_register, size) for size in [4, 2]),
    test_loader_takes_a_beat_a_cycle,
    *(
        partial(test_loader_refuses_packets_of_a_wrong_length, name, size)
        for name in WRONG
        for size in [4, 2]
    ),
]
