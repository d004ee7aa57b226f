# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Codes become the pulse counts of the golden encoder, and the sums are theirs."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from cosim.bench import pack, simulate, unpack
from golden.pulses import column_pulses, row_pulses
from rtl.pulses import PulseEncoder, Rate

CORNERS = (-127, -126, -65, -64, -63, -1, 0, 1, 63, 64, 65, 126, 127)


@dataclass(frozen=True)
class Beat:
    """What the encoder is given; ``words`` are lanes after their step."""

    codes: list
    words: list
    mult: int
    shift: int
    most: int
    stochastic: bool

    @property
    def state(self):
        return np.array(self.words, np.uint32) if self.stochastic else None

    @property
    def rate(self):
        fields = {"mult": self.mult, "shift": self.shift, "most": self.most}
        return sum(value << Rate.as_shape()[name].offset for name, value in fields.items())


def encoded(lanes, beats):
    """Return ``(pulses, asked, applied)`` of each beat."""
    got = []

    def drive(pins):
        for n, beat in enumerate(beats):
            pins["codes"], pins["words"] = pack(beat.codes, 8), pack(beat.words, 32)
            pins["rate"], pins["stochastic"] = beat.rate, beat.stochastic
            for step in (1, 0, 1, 1) if n % 2 else (1, 1, 1):  # a beat may have to wait
                pins["step"], pins["counting"] = step, not step
                yield
                assert not pins["counted"]
                if step:  # what comes behind it must not matter
                    pins["codes"], pins["words"] = pack([85] * lanes, 8), pack([n] * lanes, 32)
            pins["counting"] = 1
            yield
            pulses = unpack(pins["pulses"], 8, lanes)
            pins["counting"] = 0
            yield
            assert not pins["counted"]
            yield
            assert pins["counted"]
            got.append((pulses, pins["asked"], pins["applied"]))

    simulate(PulseEncoder(lanes), drive)
    return got


def agrees(lanes, beats):
    for beat, got in zip(beats, encoded(lanes, beats), strict=True):
        codes = np.array(beat.codes)
        pulses, asked = column_pulses(codes, beat.mult, beat.shift, beat.most, beat.state)
        assert got == (pulses.tolist(), asked.sum(), np.abs(pulses).sum()), beat


def random_beats(lanes, seed=1, n=3):
    """All shifts, rounded either way; half of the codes and factors are corners."""
    rng = np.random.default_rng(seed)
    for shift in range(25):
        for stochastic in (False, True) * n:
            codes = rng.integers(-127, 128, lanes)
            codes = np.where(rng.random(lanes) < 0.5, rng.choice(CORNERS, lanes), codes)
            mult = int(rng.choice([1, 16, 31, 254, 255, rng.integers(1, 256)]))
            most = int(rng.choice([1, 2, 30, 31, rng.integers(1, 32)]))
            words = rng.integers(0, 2**32, lanes)
            yield Beat(codes.tolist(), words.tolist(), mult, shift, most, stochastic)


def carry_beats(lanes, seed=2):
    """Random bits that just reach the next count, or just do not; those below do not matter."""
    rng = np.random.default_rng(seed)
    for shift in range(25):
        for short in (0, 1):
            codes = np.resize(CORNERS, lanes + 5)[rng.permutation(lanes + 5)[:lanes]]
            mult = int(rng.integers(1, 256))
            u = (-np.abs(codes) * mult) % (1 << shift) - short
            u = np.maximum(u, 0).astype(np.uint64)
            below = rng.choice([0, (1 << (32 - shift)) - 1], lanes).astype(np.uint64)
            words = (u << np.uint64(32 - shift)) | below
            yield Beat(codes.tolist(), words.tolist(), mult, shift, 31, True)


def limit_beats(lanes):
    """Reach the largest sums, with every bound; the bound just reached, and just passed."""
    full = (1 << 32) - 1
    for most in range(32):
        for word, stochastic in ((0, False), (0, True), (full, True)):
            for sign in (1, -1):
                codes = [sign * 127] * lanes
                yield Beat(codes, [word] * lanes, 255, 0, most, stochastic)
                yield Beat([sign * most] * lanes, [word] * lanes, 1, 0, most, stochastic)
                yield Beat([sign * (most + 1)] * lanes, [word] * lanes, 1, 0, most, stochastic)
    # 31 or 32 of 32 pulses: the bound of 31 is reached by the last code and its neighbour
    yield from (Beat([k] * lanes, [0] * lanes, 64, 8, 31, False) for k in (121, 122, 126, 127))


def row_beats(lanes, seed=3):
    """Every code as a row sees it."""
    rng = np.random.default_rng(seed)
    codes = np.arange(-127, 128)
    codes = np.resize(codes, -(-codes.size // lanes) * lanes).reshape(-1, lanes)
    for stochastic in (False, True):
        for row in codes:
            # u just reaches 128, or just does not
            u = np.clip(128 - np.abs(row) - rng.integers(0, 2, lanes), 0, 127)
            words = (u << 25) | rng.integers(0, 2**25, lanes)
            yield Beat(row.tolist(), words.tolist(), 1, 7, 1, stochastic)


@pytest.mark.parametrize("make", [random_beats, carry_beats, limit_beats])
@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_pulses_match_golden(lanes, make):
    agrees(lanes, list(make(lanes)))


@pytest.mark.parametrize("lanes", [4])
def test_pulses_of_rows_match_golden(lanes):
    beats = list(row_beats(lanes))
    for beat, (got, _, applied) in zip(beats, encoded(lanes, beats), strict=True):
        pulses = row_pulses(np.array(beat.codes), beat.state)
        assert (got, applied) == (pulses.tolist(), np.abs(pulses).sum()), beat


@pytest.mark.parametrize("lanes", [2])
def test_pulses_of_halves_round_up_in_magnitude(lanes):
    """Code 3 at half a pulse: 1.5, so 2; at most 1 of them is applied."""
    beats = [Beat([3, -3], [0, 0], 16, 5, most, False) for most in (31, 1)]
    assert encoded(lanes, beats) == [([2, -2], 4, 4), ([1, -1], 4, 2)]


@pytest.mark.parametrize("lanes", [2])
def test_pulses_of_a_random_rounding(lanes):
    """Code 1 at 2**-24 needs all of the 24 highest bits; at 2**0 none matters."""
    words = [0xFFFFFF00, 0xFFFFFEFF]
    beats = [Beat([1, -1], words, 1, shift, 31, True) for shift in (24, 0)]
    assert encoded(lanes, beats) == [([1, 0], 1, 1), ([1, -1], 2, 2)]


BENCHES = [
    *(
        partial(test_pulses_match_golden, lanes, make)
        for lanes in (1, 4)
        for make in (random_beats, carry_beats, limit_beats)
    ),
    partial(test_pulses_of_rows_match_golden, 4),
]
