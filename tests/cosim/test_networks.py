# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The Verilog of the controller trains any network that fits, bit for bit as the golden machine."""

from dataclasses import replace

import numpy as np
import pytest

from analog_models.presets import TILES
from cosim.cosimulate import cosimulate
from cosim.job import Run
from cosim.timing import FlatTiming
from golden.config import ChipConfig, TransferConfig, UpdateConfig
from golden.hardware import ControllerConfig

#: One controller for all of the random networks.
HARDWARE = ControllerConfig(
    layers=4,
    tiles=12,
    rows=13,
    cols=12,
    lanes=4,
    transfer_lanes=2,
    depth=24,
    inputs=10,
    random_depth=70,
    tables=4,
    program=40,
)
ACTIVATIONS = ("pl-tanh", "hard-sigmoid", "relu", "identity", "tanh")


def draw(rng) -> ChipConfig:
    """Draw a network: layers, cuts, activations, formats, devices, rounding, transfer."""
    layers = tuple(int(n) for n in rng.integers(1, 13, rng.integers(2, 6)))
    n = len(layers) - 1
    tile = TILES[str(rng.choice(sorted(TILES)))]
    converter = tile.converter.but(
        adc_bits=(int(rng.integers(6, 9)), "test"), read_shift=(int(rng.integers(10, 12)), "test")
    )
    tile = tile.but(
        rows=(int(rng.integers(1, 14)), "test"),
        cols=(int(rng.integers(1, 13)), "test"),
        age_periods=(int(rng.integers(1, 6)), "test"),
        converter=converter,
    )
    return ChipConfig(
        layers=layers,
        hidden=str(rng.choice(ACTIVATIONS)),
        output=str(rng.choice(ACTIVATIONS)),
        forward_shift=tuple(int(s) for s in rng.integers(9, 17, n)),
        backward_shift=tuple(int(s) for s in rng.integers(9, 17, n)),
        tile=tile,
        update=UpdateConfig(
            learning_rate=float(rng.choice([0.002, 0.01, 0.05])),
            weight_decay=float(rng.choice([0.0, 2e-4, 0.1])),
            delta_max=int(rng.integers(1, 32)),
            stochastic=bool(rng.integers(2)),
        ),
        transfer=TransferConfig(
            interval=int(rng.integers(3, 7)),
            invert=bool(rng.integers(4)),
            log2_reads=int(rng.integers(0, 4)),
            retries=int(rng.integers(0, 4)),
            set_tolerance=int(rng.integers(0, 60)),
            small_target=int(rng.integers(0, 60)),
            offset=int(rng.integers(0, 60)),
            tune_rounds=int(rng.integers(0, 4)),
        ),
        seed=int(rng.integers(2**40)),
    )


def fits(chip: ChipConfig) -> bool:
    """Whether :data:`HARDWARE` is large enough."""
    need = ControllerConfig.of(chip, lanes=HARDWARE.lanes, transfer_lanes=HARDWARE.transfer_lanes)
    return all(getattr(need, f) <= getattr(HARDWARE, f) for f in need.__dataclass_fields__)


def examples(rng, chip, n):
    """Random images, half of their pixels black, and labels."""
    shape = n, chip.layers[0]
    pixels = rng.integers(0, 256, shape) * (rng.random(shape) < 0.5)
    return pixels.astype(np.uint8), rng.integers(0, chip.layers[-1], n)


#: Tiles that answer at once, soon, and late.
TIMINGS = (FlatTiming(1), FlatTiming(2), FlatTiming(9), FlatTiming(40))


def random_runs(count, seed):
    """Draw runs that fit, each long enough for at least one transfer and an example after it."""
    rng, runs = np.random.default_rng(seed), []
    while len(runs) < count:
        chip = draw(rng)
        try:
            if not fits(chip):
                continue
        except ValueError:
            continue
        pixels, labels = examples(rng, chip, 8)
        runs.append(Run(chip=chip, pixels=pixels, labels=labels, timing=rng.choice(TIMINGS)))
    return runs


@pytest.mark.slow
def test_controller_trains_random_networks_as_the_golden_machine_does():
    runs = random_runs(120, seed=1)
    # the drawing covers what it should
    chips = [run.chip for run in runs]
    assert {len(c.layers) for c in chips} == {2, 3, 4, 5}
    assert {c.update.stochastic for c in chips} == {False, True}
    assert {c.hidden for c in chips} == set(ACTIVATIONS)
    cuts = {tuple(min(len(e) - 1, 2) for e in c.grid(0)) for c in chips}
    assert cuts == {(1, 1), (1, 2), (2, 1), (2, 2)}
    reports = cosimulate(HARDWARE, runs)
    assert len(reports) == len(runs)
    for run, report in zip(runs, reports, strict=True):
        assert report.mismatches == 0, f"{report.mismatch}\n{run.chip}"
        assert report.examples == 8
        assert report.transfers >= 1
        assert report.digest_rtl == report.digest_golden


def tiny(**changes):
    """Two layers, each cut both ways."""
    tile = TILES["tuned"].but(rows=(5, "test"), cols=(3, "test"), age_periods=(3, "test"))
    usual = {
        "layers": (9, 5, 4),
        "forward_shift": (14, 15),
        "backward_shift": (13, 13),
        "tile": tile,
        "transfer": TransferConfig(interval=4),
        "seed": 9,
    }
    return ChipConfig(**usual | changes)


@pytest.mark.slow
def test_difference_is_found_and_named():
    chip = tiny()
    pixels, labels = examples(np.random.default_rng(2), chip, 6)
    run = Run(chip=chip, pixels=pixels, labels=labels)
    good, physical = cosimulate(HARDWARE, [run, replace(run, tile="physical")])
    assert (good.mismatches, physical.mismatches) == (0, 0)
    assert good.digest_rtl != physical.digest_rtl
    (bad,) = cosimulate(HARDWARE, [replace(run, inject=good.operations - 1)])
    assert bad.mismatches == 1
    assert "example 5" in bad.mismatch
    assert "must be" in bad.mismatch
