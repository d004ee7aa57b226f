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

    def __init__(self, layers):
        self.names = counter_names(ControllerConfig(layers=layers))
        self.values = dict.fromkeys(self.names, 0)

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
        name = "cycles_idle" if phase == IDLE else f"cycles_{Op(phase).name.lower()}"
        counted = {name: 1} | chip | {f"{k}_{layer}": n for k, n in of_layer.items()}
        for name, n in counted.items():
            if name in self.values:  # there may be no such layer
                self.values[name] = (self.values[name] + n) & FULL
        if clear:
            self.values = dict.fromkeys(self.names, 0)

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


def started(pins, layers):
    """Clear; return the counters that are expected from then on."""
    counters = Counters(layers)
    counters.cycle(pins, clear=True)
    yield
    return counters


@pytest.mark.parametrize("layers", [1, 3])
def test_statistics_count_each_event_alone(layers):
    """An event changes its counter and no other, by as much as a cycle can add."""

    def drive(pins):
        counters = yield from started(pins, layers)
        for name in (*COUNTERS, *LAYER_COUNTERS):
            for layer in range(layers if name in LAYER_COUNTERS else 1):
                counters.cycle(pins, layer=layer, **{name: MOST[name]})
                yield
                counters.cycle(pins, layer=layer, **{name: 1})
                yield
                yield from counters.read(pins)
        assert len(counters.names) == Statistics(layers).count

    simulate(Statistics(layers), drive)


@pytest.mark.parametrize("layers", [1, 3])
def test_statistics_count_the_cycles_of_each_phase(layers):
    def drive(pins):
        counters = yield from started(pins, layers)
        for phase in range(PHASES):
            for _ in range(phase + 2):
                counters.cycle(pins, phase=phase)
                yield
        yield from counters.read(pins)
        for phase in (Op.LOAD, Op.WRITE, IDLE):
            yield from counters.read(pins, phase=phase)
        yield from counters.read(pins)

    simulate(Statistics(layers), drive)


@pytest.mark.parametrize("layers", [1, 3])
def test_statistics_match_a_model_in_every_cycle(layers):
    """Anything at once, layers that are not there too; counters wrap at 48 bits."""
    rng = np.random.default_rng(1)
    names = [*COUNTERS, *LAYER_COUNTERS]

    def drive(pins):
        counters = yield from started(pins, layers)
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
                phase=int(rng.integers(PHASES)),
                layer=int(rng.choice([0, layers - 1, rng.integers(16)])),
                clear=n in (300, 301, 900),
                **events,
            )
            yield
            if before is not None:
                assert pins["value"] == before[1], before[0]
        yield from counters.read(pins)

    simulate(Statistics(layers), drive)


@pytest.mark.parametrize("how", ["clear", "rst"])
@pytest.mark.parametrize("layers", [1, 3])
def test_statistics_clear(layers, how):
    """What comes in the cycle of a clear is lost."""

    def drive(pins):
        counters = yield from started(pins, layers)
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

    simulate(Statistics(layers), drive)


@pytest.mark.parametrize("layers", [1, 3])
def test_statistics_start_at_zero(layers):
    def drive(pins):
        counters = Counters(layers)
        yield from counters.read(pins)

    simulate(Statistics(layers), drive)


BENCHES = [
    *(
        partial(test, 3)
        for test in (
            test_statistics_count_each_event_alone,
            test_statistics_count_the_cycles_of_each_phase,
            test_statistics_match_a_model_in_every_cycle,
        )
    ),
    *(partial(test_statistics_clear, 3, how) for how in ("clear", "rst")),
]
