# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Parts of the emulated tile: random words, roots, squares, codes that are not zero."""

from itertools import product
from math import isqrt

import numpy as np
import pytest

from analog_models.presets import TUNED
from analog_models.prng import bell, mix32
from cosim.bench import pack, signed, simulate
from fpga.tile.amplitude import Amplitude
from fpga.tile.lane import Lane
from fpga.tile.layout import TileLayout
from fpga.tile.mixer import BELL_LATENCY, WORD_LATENCY, Mixer
from fpga.tile.picker import Picker
from fpga.tile.squares import Squares
from fpga.tile.tiles_layout import TilesLayout


def test_mixer_gives_words_and_bells_of_the_prng_in_order():
    rng = np.random.default_rng(1)
    words = [0, 1, 0xFFFFFFFF, *(int(w) for w in rng.integers(0, 1 << 32, 60))]
    given = [w if k % 3 else None for k, w in enumerate(words)]  # None: nothing in this cycle
    mixed, bells = [], []

    def drive(pins):
        for k in range(len(given) + BELL_LATENCY):
            word = given[k] if k < len(given) else None
            pins["i_valid"], pins["i_word"], pins["i_tag"] = word is not None, word or 7, k & 31
            yield
            if pins["word_valid"]:
                mixed.append((pins["word_tag"], pins["word"]))
                assert pins["word_tag"] == (k - WORD_LATENCY) & 31
            if pins["bell_valid"]:
                bells.append((pins["bell_tag"], signed(pins["bell"], 11)))
                assert pins["bell_tag"] == (k - BELL_LATENCY) & 31

    simulate(Mixer(5), drive)
    want = [(k & 31, w) for k, w in enumerate(given) if w is not None]
    result = mix32(np.array([w for _, w in want], np.uint32))
    assert mixed == [(tag, int(w)) for (tag, _), w in zip(want, result, strict=True)]
    assert bells == [(tag, int(b)) for (tag, _), b in zip(want, bell(result), strict=True)]


@pytest.mark.parametrize(("read_power", "bits"), [(2319, 36), (0, 4), (1, 24), (4095, 40)])
def test_amplitude_is_the_floor_of_the_root(read_power, bits):
    rng = np.random.default_rng(bits)
    most = (1 << bits) - 1
    powers = (0, most // 3, most // 2)
    room = max(1, min((most // 2) // max(1, read_power), (1 << 22) - 1))
    squares = [0, 1, room, *(int(n) for n in rng.integers(0, room + 1, 20))]

    def drive(pins):
        for k, square in enumerate(squares):
            kind, shift = k % 3, k % 7
            pins["kind"], pins["square"], pins["shift"], pins["start"] = kind, square, shift, 1
            yield
            pins["start"] = 0
            pins["kind"], pins["square"], pins["shift"] = 1, ~square, ~shift
            yield
            while not pins["done"]:
                yield
            want = isqrt((powers[kind] + read_power * square) >> shift)
            assert pins["amp"] == want
            yield
            assert (pins["done"], pins["amp"]) == (1, want)

    simulate(Amplitude(powers, read_power, 22, bits), drive)


@pytest.mark.parametrize("lanes", [2, 4, 16])
def test_squares_of_all_codes_are_added_up(lanes):
    rng = np.random.default_rng(lanes)

    def drive(pins):
        for n in (1, 2, 5):
            codes = rng.integers(-127, 128, (n, lanes))
            codes[0, 0] = rng.choice([-127, 127, 0])
            pins["clear"] = 1
            yield
            pins["clear"] = 0
            for k, beat in enumerate(codes):
                yield
                while not pins["ready"]:
                    yield
                pins["codes"], pins["last"], pins["take"] = pack(beat, 8), k == n - 1, 1
                yield
                pins["take"] = 0
                pins["codes"] = pack(~beat, 8)
            for _ in range(lanes + 8):
                yield
                if pins["done"]:
                    break
            assert pins["done"]
            assert pins["sum"] == int((codes**2).sum())

    simulate(Squares(lanes, 24), drive)


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("stall", [0, 2])
@pytest.mark.parametrize("there", [0, 1, 5])
def test_picker_finds_the_codes_in_order(everything, stall, there):
    """Some beats are there before it starts, the others come one by one.

    It may begin behind those, or the first ones of those, that have no code, and it may go through
    them twice: the even places, and then the odd ones.
    """
    lanes, beats, bits = 4, 5, 8
    rng = np.random.default_rng(stall)
    picker = Picker(beats, lanes, bits)

    def drive(pins):
        sizes = (20, 0), (17, 2), (20, 3), (17, 4), (16, 5), (1, 0), (1, 1), (0, 0)
        for (count, dark), twice in product(sizes, (False, True)):
            codes = np.where(rng.random(20) < 0.4, rng.integers(1, 256, 20), 0)
            codes[: dark * lanes] = 0
            vector["codes"] = codes
            first = 0 if everything else min(dark, there, -(-count // lanes))
            pins["first"], pins["twice"], vector["twice"] = first, twice, twice
            for start in (0, 0, 1):
                pins["all"], pins["count"], pins["start"] = everything, count, start
                pins["available"], pins["o.ready"] = there, 0
                yield
            pins["start"] = 0
            want = [k for k in range(count) if everything or codes[k]]
            if twice:
                evens, odds = ([k for k in range(count) if k % 2 == n and codes[k]] for n in (0, 1))
                want = 2 * want if everything else evens + odds
            got, cycle = [], 0
            while True:
                pins["available"] = min(beats, there + cycle // 3)
                pins["o.ready"] = ready = int(cycle % (stall + 1) == 0)
                yield
                cycle += 1
                if pins["o.valid"] and ready:
                    payload = pins["o.payload"]
                    lane, code = payload >> 3 & 3, payload >> 5
                    got.append((payload & 7) * lanes + lane)
                    assert code == codes[got[-1]] or twice
                if not pins["busy"]:
                    break
            assert got == want

    vector = {"codes": np.zeros(20, int), "twice": False}

    def memory(pins):
        beat = pins["beat"]
        codes = np.array(vector["codes"][lanes * beat : lanes * beat + lanes])
        if vector["twice"]:
            codes[1 - pins["again"] :: 2] = 0
        pins["codes"] = pack(codes, bits)

    simulate(picker, drive, reflex=memory)


def test_word_that_is_read_while_it_is_written_is_wrong_in_simulation():
    """Of block RAM nothing is known then: whoever used it would be found out."""
    layout = TilesLayout((TileLayout(4, 4, TUNED, 16, 12, 4, 2),))

    def drive(pins):
        pins["write_addr"] = 1
        for addr, value, write, v in (
            (0, 7, True, 0),  # the word beside it
            (1, 7, False, 7),
            (1, 9, True, ~7),
            (1, 9, False, 9),
        ):
            pins["addr"], pins["bus"], pins["store"] = addr, value, int(write)  # v alone
            yield
            pins["store"] = 0
            yield
            yield
            assert signed(pins["v"], 16) == v

    simulate(Lane(layout), drive)
