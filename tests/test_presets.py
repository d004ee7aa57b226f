# SPDX-License-Identifier: Apache-2.0
import dataclasses
import re

import numpy as np
import pytest

from analog_models.fixed_tile import FixedTile
from analog_models.physical_tile import PhysicalTile
from analog_models.presets import IDEAL, PAPER, SWITCHES, TILES, TUNED, TWO_PCM, without
from analog_models.tile import RESET

KINDS = [FixedTile, PhysicalTile]


def build(kind, config, rows=4, cols=32):
    return kind(rows, cols, config, forward_shift=10, backward_shift=10, seed=3)


def capacitor(tile):
    """Return the capacitor of every cell relative to v_init, V."""
    if isinstance(tile, FixedTile):
        return tile.v / 65536
    return tile.capacitor.v[:, :-1] - 0.5


def conductance(tile):
    """Return the conductance of both phase-change arrays now, uS."""
    if isinstance(tile, FixedTile):
        return np.stack([tile.g_plus, tile.g_minus]) * 50 / 16384
    return np.stack([tile.plus.conductance(), tile.minus.conductance()]) * 1e6


def program(tile, code):
    for row in range(tile.rows):
        tile.program(row, np.full(tile.cols, code), np.full(tile.cols, code))


# Each probe returns numbers that are zero (to rounding) without its effect.


def leakage(tile):
    tile.age(100)
    return capacitor(tile)


def threshold(tile):
    return tile.weight()


def up_step(tile):
    tile.update(np.ones(tile.rows, int), np.full(tile.cols, 31))
    return capacitor(tile) - capacitor(tile).mean()


def down_step(tile):
    tile.update(-np.ones(tile.rows, int), np.full(tile.cols, 31))
    return capacitor(tile) - capacitor(tile).mean()


def leak_rate(tile):
    tile.age(20)
    return capacitor(tile) - capacitor(tile).mean()


def response(tile):
    program(tile, 40)
    g = conductance(tile)
    return g - g.mean()


def offset(tile):
    return tile.forward(np.zeros(tile.rows, int))


def curved(tile, sign):
    """Difference of a step from v_init and one from 0.2 V above."""
    x, d = np.full(tile.rows, sign), np.ones(tile.cols, int)
    tile.update(x, d)
    low = capacitor(tile).copy()
    if isinstance(tile, FixedTile):
        tile.v[:] = 13107
    else:
        tile.capacitor.v[:] = 0.7
    before = capacitor(tile).copy()
    tile.update(x, d)
    return capacitor(tile) - before - low


def state_up(tile):
    return curved(tile, 1)


def state_down(tile):
    return curved(tile, -1)


def init(tile):
    tile.init(0)
    return capacitor(tile)


def reset(tile):
    program(tile, RESET)
    return conductance(tile) - 0.1


def shots(tile):
    """Difference of the outcomes of two SETs of the same devices."""
    program(tile, RESET)
    program(tile, 40)
    first = conductance(tile).copy()
    program(tile, RESET)
    program(tile, 40)
    return conductance(tile) - first


def partial(tile):
    tile.update(np.ones(tile.rows, int), np.ones(tile.cols, int))
    g = conductance(tile)[0]
    return g - g.mean()


def forward(tile):
    codes = np.array([tile.forward(np.full(tile.rows, 100)) for _ in range(30)])
    return codes - codes[0]


def backward(tile):
    codes = np.array([tile.backward(np.full(tile.cols, 20)) for _ in range(30)])
    return codes - codes[0]


def read(tile):
    codes = np.array([tile.read(0, 1) for _ in range(30)])
    return codes - codes[0]


def drift(tile):
    program(tile, 50)
    before = conductance(tile).copy()
    tile.age(1042)
    return conductance(tile) - before


def drift_spread(tile):
    lost = drift(tile)
    return lost - lost.mean()


#: switch, probe, smallest sd of the probe that counts as the effect, largest without it, and
#: the other effects that the same probe would see.
PROBES = [
    # 0.3 V * 100 ticks * 15.36 us / 20 ms: 23 mV
    ("leakage", leakage, 1e-2, 1e-12, ()),
    # 10 mV * 50 uS/V of 50 uS
    ("mismatch", threshold, 5e-3, 2e-9, ()),
    # 31 steps of 0.49 mV, 15 %
    ("mismatch", up_step, 1e-3, 1e-12, ()),
    ("mismatch", down_step, 1e-3, 1e-12, ()),
    # 4.6 mV, 30 %
    ("mismatch", leak_rate, 7e-4, 1e-12, ()),
    # 10 % of 12 uS
    ("mismatch", response, 0.7, 1e-9, ("pcm-noise",)),
    # One in 2**-10 of 0.15 LSB never shows in a code: enlarged below.
    ("mismatch", offset, 1.0, 0, ("adc-noise",)),
    # 0.2 V * 0.25 / V of 0.49 mV: 24 uV, 1.6 codes of the fixed tile, whose rounding is one
    ("state-dependence", state_up, 1.5e-5, 1 / 65536, ()),
    ("state-dependence", state_down, 1.5e-5, 1 / 65536, ()),
    ("init-noise", init, 5e-5, 1e-12, ()),
    ("pcm-noise", reset, 0.02, 2e-3, ()),
    ("pcm-noise", shots, 0.5, 1e-9, ()),
    ("read-noise", forward, 0.5, 0, ("adc-noise",)),
    ("read-noise", backward, 0.5, 0, ("adc-noise",)),
    ("read-noise", read, 0.5, 0, ("adc-noise",)),
    ("adc-noise", forward, 0.2, 0, ("read-noise",)),
    ("adc-noise", backward, 0.2, 0, ("read-noise",)),
    ("adc-noise", read, 0.2, 0, ("read-noise",)),
    # 15 uS * (1 - 16**-0.05): 2 uS
    ("drift", drift, 1.0, 1e-9, ()),
    ("drift", drift_spread, 0.1, 1e-9, ()),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "probe", "least", "most", "others"),
    PROBES,
    ids=[f"{p[0]}-{p[1].__name__}" for p in PROBES],
)
def test_switch_removes_an_effect_that_tuned_has(kind, name, probe, least, most, others):
    config = TUNED
    if probe is offset:
        config = TUNED.but(converter=TUNED.converter.but(adc_offset=(4.0, "test")))
    config = without(config, *others)
    shown = np.sqrt(np.mean(np.square(probe(build(kind, config)), dtype=float)))
    assert shown > least
    gone = probe(build(kind, without(config, name)))
    assert np.abs(gone).max() <= most


@pytest.mark.parametrize("kind", KINDS)
def test_switch_removes_the_noise_of_partial_sets(kind):
    assert partial(build(kind, TWO_PCM)).std() > 0.03
    assert np.abs(partial(build(kind, without(TWO_PCM, "pcm-noise")))).max() < 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probe", dict.fromkeys(p[1] for p in PROBES), ids=lambda p: p.__name__)
def test_ideal_has_no_effect_at_all(kind, probe):
    most = max(p[3] for p in PROBES if p[1] is probe)
    assert np.abs(probe(build(kind, IDEAL))).max() <= most


def test_every_switch_has_a_probe():
    assert {p[0] for p in PROBES} == set(SWITCHES)


def test_all_switches_together_lead_from_tuned_to_ideal():
    assert without(TUNED, *SWITCHES) == IDEAL
    assert without(IDEAL, *SWITCHES) == IDEAL
    assert without(TUNED) == TUNED


@pytest.mark.parametrize("name", SWITCHES)
def test_switch_changes_its_numbers_and_no_other(name):
    off = without(TUNED, name)
    parts = zip(
        SWITCHES[name],
        (TUNED.cell.pcm, TUNED.cell.capacitor, TUNED.converter),
        (off.cell.pcm, off.cell.capacitor, off.converter),
        strict=True,
    )
    for numbers, before, after in parts:
        for field in dataclasses.fields(before):
            if field.name == "sources":
                continue
            if field.name in numbers:
                assert getattr(after, field.name) == numbers[field.name]
                assert after.sources[field.name] == "switched off"
            else:
                assert getattr(after, field.name) == getattr(before, field.name)
    assert off.cell.but(pcm=TUNED.cell.pcm, capacitor=TUNED.cell.capacitor) == TUNED.cell
    assert off.but(cell=TUNED.cell, converter=TUNED.converter) == TUNED


def test_without_rejects_an_unknown_switch():
    sentence = (
        "switch must be one of leakage, mismatch, state-dependence, init-noise, pcm-noise, "
        "read-noise, drift, adc-noise, not 'noise'"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        without(TUNED, "drift", "noise")


@pytest.mark.parametrize("tile", TILES)
def test_every_number_has_a_unit_and_a_source(tile):
    listed = TILES[tile].numbers()
    names = [name for name, *_ in listed]
    assert len(set(names)) == len(names) == 44
    for name, value, unit, meaning, source in listed:
        assert isinstance(value, (int, float)), name
        assert unit in {"1", "S", "s", "V", "F", "S/V", "1/V", "LSB"}, name
        assert meaning, name
        known = ("[A18]", "[A18, recalled]", "[N19]", "assumed", "inferred", "switched off")
        other = ("Nandakumar et al.", "aihwkit")
        assert source.startswith(known + other), name


def test_no_number_of_paper_is_switched_off_but_the_unused_one():
    off = {name for name, _, _, _, source in PAPER.numbers() if source == "switched off"}
    assert off == {"cell.pcm.pulse_noise"}


def test_paper_has_the_published_numbers():
    cap, pcm = PAPER.cell.capacitor, PAPER.cell.pcm
    assert cap.v_init == 0.5
    assert cap.v_leak == 0.8
    assert (pcm.set_step_min, pcm.set_step_max) == (1.7e-9, 550e-9)
    assert pcm.set_duration()[0] == pytest.approx(13.6e-9)
    assert pcm.set_duration()[-1] == pytest.approx(4.4e-6)
    assert cap.tau_leak == 5.16e-3
    assert PAPER.period == 240e-9
    assert pcm.g_max == 20e-6
    assert (PAPER.rows, PAPER.cols) == (512, 512)


def test_tuned_has_ten_per_cent_of_asymmetry_or_more():
    cap = TUNED.cell.capacitor
    # sd of (up - down) / (up + down) to first order
    assert np.hypot(cap.up_spread, cap.down_spread) / 2 >= 0.10
    tile = build(PhysicalTile, TUNED, 200, 200)
    up, down = tile.capacitor.up, tile.capacitor.down
    assert np.std((up - down) / (up + down)) >= 0.10


def test_presets_are_what_their_names_say():
    assert TILES == {"ideal": IDEAL, "paper": PAPER, "tuned": TUNED, "two-pcm": TWO_PCM}
    assert [t.cell.update_device for t in TILES.values()] == ["capacitor"] * 3 + ["pcm"]
    assert TUNED.tick == pytest.approx(64 * 240e-9)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"rows": 0},
            (
                "rows must be within 1..512: 512 rows of 7-bit codes and 16-bit weights just fit "
                "32-bit sums, not 0"
            ),
        ),
        (
            {"rows": 513},
            (
                "rows must be within 1..512: 512 rows of 7-bit codes and 16-bit weights just fit "
                "32-bit sums, not 513"
            ),
        ),
        (
            {"cols": 0},
            "cols must be within 1..512: the transposed sums have the same 32 bits, not 0",
        ),
        (
            {"cols": 513},
            "cols must be within 1..512: the transposed sums have the same 32 bits, not 513",
        ),
        ({"period": 0.0}, "period must be positive (s), not 0.0"),
        ({"age_periods": 0}, "age_periods must be within 1..4096, not 0"),
        ({"age_periods": 4097}, "age_periods must be within 1..4096, not 4097"),
    ],
    ids=str,
)
def test_tile_config_rejects_what_cannot_be(changed, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        TUNED.but(**{k: (v, "test") for k, v in changed.items()})
