# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""An update counts the pulses of its rows times those of its columns."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import simulate
from rtl.pulse_counts import PulseCounts
from rtl.statistics import LayerEvents

LANES = 4
#: Most that a beat can ask for and get, and that the sums can hold.
ASKED, APPLIED = LANES * 32385, LANES * 31


def vector(pins, beats):
    """Send the sums of beats; what comes without ``en`` must not matter."""
    pins["start"] = 1
    yield
    pins["start"] = 0
    for asked, applied in beats:
        pins["asked"], pins["applied"], pins["en"] = asked, applied, 1
        yield
        pins["asked"], pins["applied"], pins["en"] = ASKED, APPLIED, 0
        yield


def ended(pins, which, layer):
    """End a vector."""
    pins[which], pins["layer"] = 1, layer
    yield
    pins[which], pins["layer"] = 0, 15 - layer


def result(pins):
    """Check that the counts come 2 cycles after an update, for one cycle; return them."""
    yield
    assert not pins["valid"]
    yield
    assert pins["valid"]
    events = LayerEvents.from_bits(pins["events"])
    yield
    assert not pins["valid"]
    return events.layer, events.pulses_asked, events.pulses_applied


@pytest.mark.parametrize("layers", [1, 3])
def test_counts_are_rows_times_columns(layers):
    """Layers' rows first, then their columns, as programs do."""
    rng = np.random.default_rng(1)

    def beats(n):
        asked = rng.integers(0, ASKED + 1, n)
        return list(zip(asked.tolist(), np.minimum(asked, APPLIED).tolist(), strict=True))

    def drive(pins):
        for n in (1, 3, 8):
            fired = []
            for layer in range(layers):
                rows = [(ASKED, int(rng.integers(LANES + 1))) for _ in range(n)]
                yield from vector(pins, rows)
                yield from ended(pins, "rows", layer)
                fired.append(sum(applied for _, applied in rows))
            for layer in reversed(range(layers)):
                columns = beats(n)
                yield from vector(pins, columns)
                yield from ended(pins, "update", layer)
                got = yield from result(pins)
                want = (fired[layer] * sum(c) for c in zip(*columns, strict=True))
                assert got == (layer, *want)

    simulate(PulseCounts(layers, LANES), drive)


def test_counts_reach_as_far_as_their_bits():
    rows, columns = 4096 // LANES, 1024

    def drive(pins):
        yield from vector(pins, [(0, LANES)] * rows)
        yield from ended(pins, "rows", 0)
        yield from vector(pins, [(ASKED, APPLIED)] * columns)
        yield from ended(pins, "update", 0)
        got = yield from result(pins)
        assert got == (0, 4096 * columns * ASKED % 2**42, 4096 * (columns * APPLIED % 2**17))

    simulate(PulseCounts(1, LANES), drive)


@pytest.mark.parametrize("late", [0, 1])
def test_counts_of_an_update_outlive_a_reset(late):
    """What comes to its end just before a run is given up counts, as it does for the cells."""

    def drive(pins):
        yield from vector(pins, [(5, 3)])
        yield from ended(pins, "rows", 0)
        yield from vector(pins, [(7, 2)])
        yield from ended(pins, "update", 0)
        for cycle in range(2):
            pins["rst"] = cycle == late
            yield
            assert pins["valid"] == cycle
        pins["rst"] = 0
        events = LayerEvents.from_bits(pins["events"])
        assert (events.pulses_asked, events.pulses_applied) == (21, 6)
        yield
        yield
        assert not pins["valid"]
        # the rows are forgotten, though
        yield from vector(pins, [(7, 2)])
        yield from ended(pins, "update", 0)
        got = yield from result(pins)
        assert got == (0, 0, 0)

    simulate(PulseCounts(1, LANES), drive)


BENCHES = [
    partial(test_counts_are_rows_times_columns, 3),
    test_counts_reach_as_far_as_their_bits,
    *(partial(test_counts_of_an_update_outlive_a_reset, late) for late in (0, 1)),
]
