# SPDX-License-Identifier: Apache-2.0
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_models.presets import TUNED, TWO_PCM
from golden.config import ChipConfig, TransferConfig, UpdateConfig, split


def test_chip_config_of_the_paper_has_its_synapses():
    assert ChipConfig().synapses == 164_885


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 5000), st.integers(1, 512))
def test_split_gives_the_fewest_balanced_blocks(n, most):
    ends = split(n, most)
    sizes = [b - a for a, b in pairwise(ends)]
    assert (ends[0], ends[-1]) == (0, n)
    assert len(sizes) == -(-n // most)
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_grid_counts_the_bias_row():
    config = ChipConfig()
    assert config.grid(0) == ([0, 264, 529], [0, 250])
    assert config.grid(1) == ([0, 251], [0, 125])
    assert config.grid(2) == ([0, 126], [0, 10])
    small = config.but(tile=TUNED.but(rows=(251, "test"), cols=(100, "test")))
    assert small.grid(1) == ([0, 251], [0, 62, 125])


def test_step_is_that_of_the_update_device():
    cap, pcm = TUNED.cell.capacitor, TWO_PCM.cell.pcm
    assert ChipConfig().step == pytest.approx(cap.dv_up * cap.transconductance / 50e-6)
    two = ChipConfig(tile=TWO_PCM)
    assert two.step == pytest.approx(3 * pcm.pulse_fraction * pcm.g_max / 50e-6)


def test_but_replaces_and_checks():
    assert ChipConfig().but(seed=4) == ChipConfig(seed=4)
    with pytest.raises(ValueError, match=r"^seed must be within 0\.\.2\*\*63-1, not -1$"):
        ChipConfig().but(seed=-1)


NAMES = "one of pl-tanh, hard-sigmoid, relu, identity, tanh"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layers": (5,)}, "layers must be at least an input and an output, not (5,)"),
        ({"layers": (5, 0)}, "layers must be whole numbers within 1..4096, not (5, 0)"),
        ({"layers": (4097, 2)}, "layers must be whole numbers within 1..4096, not (4097, 2)"),
        ({"layers": (5.0, 2)}, "layers must be whole numbers within 1..4096, not (5.0, 2)"),
        ({"hidden": "gelu"}, f"hidden must be {NAMES}, not 'gelu'"),
        ({"output": "softmax"}, f"output must be {NAMES}, not 'softmax'"),
        (
            {"forward_shift": (15, 15)},
            "forward_shift must be 3 whole numbers within 8..21, one a layer, not (15, 15)",
        ),
        (
            {"backward_shift": (12, 12, 22)},
            "backward_shift must be 3 whole numbers within 8..21, one a layer, not (12, 12, 22)",
        ),
        (
            {"forward_shift": (7, 15, 15)},
            "forward_shift must be 3 whole numbers within 8..21, one a layer, not (7, 15, 15)",
        ),
        ({"seed": 2**63}, f"seed must be within 0..2**63-1, not {2**63}"),
    ],
)
def test_chip_config_rejects(changes, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        ChipConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive, not 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, not nan"),
        ({"decay": 0}, "decay must be within 0..1, not 0"),
        ({"decay": 1.01}, "decay must be within 0..1, not 1.01"),
        ({"weight_decay": -1e-9}, "weight_decay must be non-negative, not -1e-09"),
        ({"weight_decay": float("nan")}, "weight_decay must be non-negative, not nan"),
        ({"delta_max": 0}, "delta_max must be a whole number within 1..31, not 0"),
        ({"delta_max": 32}, "delta_max must be a whole number within 1..31, not 32"),
    ],
)
def test_update_config_rejects(changes, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        UpdateConfig(**changes)


TOPS = {
    "interval": 2**31 - 1,
    "log2_reads": 6,
    "retries": 31,
    "set_tolerance": 2047,
    "small_target": 2047,
    "offset": 2047,
    "tune_rounds": 15,
    "tune_tolerance": 2047,
    "fail_tolerance": 2047,
}


@pytest.mark.parametrize(("name", "top"), TOPS.items())
def test_transfer_config_rejects_numbers_out_of_range(name, top):
    for value in (0, top):
        assert getattr(TransferConfig(**{name: value}), name) == value
    for value in (-1, top + 1, 1.0):
        sentence = re.escape(f"{name} must be a whole number within 0..{top}, not {value}")
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            TransferConfig(**{name: value})
