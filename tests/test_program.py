# SPDX-License-Identifier: Apache-2.0
import pytest

from golden.config import ChipConfig
from golden.program import Op, compile_program, listing


def chip(*layers):
    n = len(layers) - 1
    return ChipConfig(layers=layers, forward_shift=(15,) * n, backward_shift=(13,) * n)


def test_listing_of_two_layers():
    assert listing(compile_program(chip(4, 3, 2))).splitlines() == [
        "  0  LOAD      0",
        "  1  FORWARD   0",
        "  2  ACTIVATE  0",
        "  3  FORWARD   1",
        "  4  ACTIVATE  1",
        "  5  ERROR     1",
        "  6  SKIP_ZERO 1 -> 13",
        "  7  BACKWARD  1",
        "  8  ROWS      1",
        "  9  UPDATE    1",
        " 10  ROWS      0",
        " 11  MULTIPLY  0",
        " 12  UPDATE    0",
        " 13  AGE       0",
        " 14  TRANSFER  0",
        " 15  JUMP      0 -> 0",
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_program_jumps_past_the_updates_and_back_to_the_start(n):
    program = compile_program(chip(*[5] * (n + 1)))
    (skip,) = (p for p in program if p.op == Op.SKIP_ZERO)
    assert program[skip.target].op == Op.AGE
    assert program[skip.target - 1].op == Op.UPDATE
    assert program[-1].op == Op.JUMP
    assert program[program[-1].target].op == Op.LOAD


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_program_visits_every_layer_in_order(n):
    program = compile_program(chip(*[5] * (n + 1)))
    layers = {op: [p.layer for p in program if p.op == op] for op in Op}
    up, down = list(range(n)), list(range(n - 1, -1, -1))
    assert layers[Op.FORWARD] == layers[Op.ACTIVATE] == up
    assert layers[Op.BACKWARD] == down[:-1]  # no error leaves the first layer
    assert layers[Op.MULTIPLY] == down[1:]
    assert sorted(layers[Op.UPDATE]) == sorted(layers[Op.ROWS]) == up
    assert layers[Op.ERROR] == layers[Op.SKIP_ZERO] == [n - 1]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_program_keeps_the_order_that_a_layer_needs(n):
    """Backward with old weights and ready errors; row pulses before column pulses."""
    program = compile_program(chip(*[5] * (n + 1)))
    at = {(p.op, p.layer): i for i, p in enumerate(program)}
    for layer in range(n):
        assert at[Op.ROWS, layer] < at[Op.UPDATE, layer]
        if layer:
            assert at[Op.BACKWARD, layer] < at[Op.ROWS, layer]
            assert at[Op.BACKWARD, layer] < at[Op.MULTIPLY, layer - 1]
        if layer < n - 1:
            assert at[Op.MULTIPLY, layer] < at[Op.UPDATE, layer]
        if 0 < layer < n - 1:
            assert at[Op.MULTIPLY, layer] < at[Op.BACKWARD, layer]
        if layer:  # sent while the tile converts
            assert at[Op.UPDATE, layer] < at[Op.MULTIPLY, layer - 1]
