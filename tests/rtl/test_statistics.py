# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Every counter counts its own events, and is where the register map says."""

from functools import partial

import numpy as np
import pytest

from cosim.bench import simulate
from golden.hardware import ControllerConfig
from golden.machine import COUNTERS, LAYER_COUNTERS
from golden.program import Op
from golden.registers import counter_names
from rtl.statistics import IDLE, PHASES, ChipEvents, LayerEvents, Statistics

FULL = (1 << 48) - 1
#: Counters that start at 0 as in a chip, and ones that soon wrap, so that all bits change.
LAYERS_START = [(1, 0), (3, 0), (3, FULL - 2)]
#: Most that each event adds in a cycle.
MOST = dict.fromkeys(COUNTERS, 1) | {
    "set_shots": 2**32 - 1,
    "tune_pulses": 2**32 - 1,
    "transfer_error_sq": 2**48 - 1,
    "failed_cells": 2**32 - 1,
    "forward_clips": 128,
    "backward_clips": 128,
    "pulses_asked": 2**42 - 1,
    "pulses_applied": 2**42 - 1,
}


class Counters:
    """The counters as they ought to be, by :func:`golden.registers.counter_names`."""

    def __init__(self, layers, start):
        self.names = counter_names(ControllerConfig(layers=layers))
        self.start = start
        self.values = dict.fromkeys(self.names, start)

    def cycle(self, pins, *, phase=IDLE, layer=0, clear=False, **events):
        """Set the events of the next cycle, and count them."""
        chip = {name: n for name, n in events.items() if name in COUNTERS}
        of_layer = {name: n for name, n in events.items() if name in LAYER_COUNTERS}
        assert len(chip) + len(of_layer) == len(events)
        pins["chip"] = sum(n << ChipEvents[name].offset for name, n in chip.items())
        pins["layer"] = layer << LayerEvents["layer"].offset | sum(
            n << LayerEvents[name].offset for name, n in of_layer.items()
        )
        pins["phase"], pins["clear"] = phase, clear
        phases = {op.value: f"cycles_{op.name.lower()}" for op in Op} | {IDLE: "cycles_idle"}
        counted = (
            {phases.get(phase, "no phase"): 1}
            | chip
            | {f"{k}_{layer}": n for k, n in of_layer.items()}
        )
        for name, n in counted.items():
            if name in self.values:  # there may be no such layer or phase
                self.values[name] = (self.values[name] + n) & FULL
        if clear:
            self.values = dict.fromkeys(self.names, self.start)

    def read(self, pins, **cycle):
        """Read all counters while cycles go on; each comes a cycle after its index."""
        want = None
        for index, name in [*enumerate(self.names), (0, None)]:
            pins["index"] = index
            before = want
            want = self.values[name] if name else None
            self.cycle(pins, **cycle)
            yield
            if before is not None:
                assert pins["value"] == before, self.names[index - 1 if name else -1]


def started(pins, layers, start):
    """Clear; return the counters that are expected from then on."""
    counters = Counters(layers, start)
    counters.cycle(pins, clear=True)
    yield
    return counters


@pytest.mark.parametrize(("layers", "start"), LAYERS_START)
def test_statistics_count_each_event_alone(layers, start):
    """An event changes its counter and no other, by as much as a cycle can add."""

    def drive(pins):
        counters = yield from started(pins, layers, start)
        for name in (*COUNTERS, *LAYER_COUNTERS):
            for layer in range(layers if name in LAYER_COUNTERS else 1):
                counters.cycle(pins, layer=layer, **{name: MOST[name]})
                yield
                counters.cycle(pins, layer=layer, **{name: 1})
                yield
                yield from counters.read(pins)
        assert len(counters.names) == Statistics(layers).count

    simulate(Statistics(layers, start=start), drive)


@pytest.mark.parametrize(("layers", "start"), LAYERS_START)
def test_statistics_count_the_cycles_of_each_phase(layers, start):
    def drive(pins):
        counters = yield from started(pins, layers, start)
        for phase in range(PHASES):
            for _ in range(phase + 2):
                counters.cycle(pins, phase=phase)
                yield
        yield from counters.read(pins)
        for phase in (Op.LOAD, Op.WRITE, IDLE):
            yield from counters.read(pins, phase=phase)
        yield from counters.read(pins)

    simulate(Statistics(layers, start=start), drive)


@pytest.mark.parametrize(("layers", "start"), LAYERS_START)
def test_statistics_match_a_model_in_every_cycle(layers, start):
    """Anything at once, layers and phases that are not there too; counters wrap at 48 bits."""
    rng = np.random.default_rng(1)
    names = [*COUNTERS, *LAYER_COUNTERS]

    def drive(pins):
        counters = yield from started(pins, layers, start)
        want, before = None, None
        for n in range(1500):
            index = int(rng.integers(len(counters.names)))
            name = counters.names[index]
            pins["index"] = index
            before, want = want, (name, counters.values[name])
            chosen = [k for k in names if rng.random() < 0.7]
            events = {k: int(rng.choice([MOST[k], rng.integers(MOST[k] + 1)])) for k in chosen}
            counters.cycle(
                pins,
                phase=int(rng.integers(16)),
                layer=int(rng.choice([0, layers - 1, rng.integers(16)])),
                clear=n in (300, 301, 900),
                **events,
            )
            yield
            if before is not None:
                assert pins["value"] == before[1], before[0]
        yield from counters.read(pins)

    simulate(Statistics(layers, start=start), drive)


@pytest.mark.parametrize("how", ["clear", "rst"])
@pytest.mark.parametrize(("layers", "start"), LAYERS_START)
def test_statistics_clear(layers, start, how):
    """What comes in the cycle of a clear is lost."""

    def drive(pins):
        counters = yield from started(pins, layers, start)
        for phase in range(PHASES):
            for layer in range(layers):
                counters.cycle(pins, phase=phase, layer=layer, **MOST)
                yield
        counters.cycle(pins, layer=layers - 1, clear=True, **MOST)
        pins["clear"] = how == "clear"
        pins["rst"] = how == "rst"
        yield
        pins["rst"] = 0
        yield from counters.read(pins)

    simulate(Statistics(layers, start=start), drive)


@pytest.mark.parametrize(("layers", "start"), LAYERS_START)
def test_statistics_start_after_a_reset(layers, start):
    def drive(pins):
        counters = Counters(layers, start)
        yield from counters.read(pins)

    simulate(Statistics(layers, start=start), drive)


BENCHES = [
    *(
        partial(test, *LAYERS_START[-1])
        for test in (
            test_statistics_count_each_event_alone,
            test_statistics_count_the_cycles_of_each_phase,
            test_statistics_match_a_model_in_every_cycle,
            test_statistics_start_after_a_reset,
        )
    ),
    *(partial(test_statistics_clear, *LAYERS_START[-1], how) for how in ("clear", "rst")),
]
