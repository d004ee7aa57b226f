# SPDX-License-Identifier: Apache-2.0
"""The program of the sequencer and its compiler from a network description."""

from dataclasses import dataclass
from enum import IntEnum

from .config import ChipConfig

__all__ = ["Instruction", "Op", "compile_program", "listing"]


class Op(IntEnum):
    """Instructions. ``layer`` counts from 0; segment x[0] holds the example."""

    LOAD = 0  # x[0] <- next example, label <- its class; or end the program
    FORWARD = 1  # z <- sum of the layer's tiles' codes, saturated to 8 bits
    ACTIVATE = 2  # x[layer + 1], slope[layer] <- table[z]
    ERROR = 3  # delta <- one-hot target - x[last]; score the answer
    SKIP_ZERO = 4  # jump to target if every delta is zero
    BACKWARD = 5  # e <- sum of the layer's tiles' codes, saturated to -127..127
    MULTIPLY = 6  # delta[layer] <- e * slope[layer]
    UPDATE = 7  # pulses of x[layer] and delta[layer] -> the layer's tiles
    AGE = 8  # one tick every age_periods examples
    TRANSFER = 9  # every interval examples: rewrite all tiles, flip the polarity
    JUMP = 10  # continue at target


@dataclass(frozen=True)
class Instruction:
    """One instruction: operation, layer, and jump target (an index into the program)."""

    op: Op
    layer: int = 0
    target: int = 0


def compile_program(config: ChipConfig) -> list[Instruction]:
    """Compile the training loop of a network.

    Forward through all layers, error, backward with the old weights, then all updates, last
    layer first. An example whose output error is zero everywhere skips backward and update.
    """
    n = len(config.layers) - 1
    code = [Instruction(Op.LOAD)]
    for layer in range(n):
        code += [Instruction(Op.FORWARD, layer), Instruction(Op.ACTIVATE, layer)]
    code.append(Instruction(Op.ERROR, n - 1))
    skip = len(code)
    for layer in range(n - 1, 0, -1):
        code += [Instruction(Op.BACKWARD, layer), Instruction(Op.MULTIPLY, layer - 1)]
    code += [Instruction(Op.UPDATE, layer) for layer in range(n - 1, -1, -1)]
    code.insert(skip, Instruction(Op.SKIP_ZERO, n - 1, len(code) + 1))
    return [*code, Instruction(Op.AGE), Instruction(Op.TRANSFER), Instruction(Op.JUMP, 0, 0)]


def listing(program: list[Instruction]) -> str:
    """Readable listing, one instruction a line."""
    jumps = (Op.SKIP_ZERO, Op.JUMP)
    return "\n".join(
        f"{i:3d}  {p.op.name:9s} {p.layer}" + (f" -> {p.target}" if p.op in jumps else "")
        for i, p in enumerate(program)
    )
