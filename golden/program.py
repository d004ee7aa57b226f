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
    SKIP_ZERO = 4  # directly after ERROR: jump to target if every delta is zero
    BACKWARD = 5  # e <- sum of the layer's tiles' codes, saturated to -127..127
    MULTIPLY = 6  # delta[layer] <- e * slope[layer]
    ROWS = 7  # row pulses of x[layer] -> the layer's tiles
    UPDATE = 8  # column pulses of delta[layer] -> the layer's tiles, which step their cells
    AGE = 9  # one tick every age_periods examples
    TRANSFER = 10  # every interval examples: rewrite all tiles, flip the polarity
    JUMP = 11  # continue at target
    WRITE = 12  # rewrite all tiles with goals of the host


@dataclass(frozen=True)
class Instruction:
    """One instruction: operation, layer, and jump target (an index into the program)."""

    op: Op
    layer: int = 0
    target: int = 0


def compile_program(config: ChipConfig) -> list[Instruction]:
    """Compile the training loop of a network.

    Forward through all layers, error, backward with the old weights, updates. An example whose
    output error is zero everywhere skips backward and update. Pulses are sent while a tile
    multiplies and converts, so that it is updated as soon as its backward pass is over, and tiles
    of different layers work at the same time.
    """
    last = len(config.layers) - 2
    code = [Instruction(Op.LOAD)]
    for layer in range(last + 1):
        code += [Instruction(Op.FORWARD, layer), Instruction(Op.ACTIVATE, layer)]
    code.append(Instruction(Op.ERROR, last))
    learn = []
    for layer in range(last, 0, -1):
        learn += [Instruction(op, layer) for op in (Op.BACKWARD, Op.ROWS, Op.UPDATE)]
        if layer == last:
            learn.append(Instruction(Op.ROWS, 0))
        learn.append(Instruction(Op.MULTIPLY, layer - 1))
    if last == 0:
        learn.append(Instruction(Op.ROWS, 0))
    learn.append(Instruction(Op.UPDATE, 0))
    code.append(Instruction(Op.SKIP_ZERO, last, len(code) + 1 + len(learn)))
    return [*code, *learn, Instruction(Op.AGE), Instruction(Op.TRANSFER), Instruction(Op.JUMP)]


def listing(program: list[Instruction]) -> str:
    """Readable listing, one instruction a line."""
    jumps = (Op.SKIP_ZERO, Op.JUMP)
    return "\n".join(
        f"{i:3d}  {p.op.name:9s} {p.layer}" + (f" -> {p.target}" if p.op in jumps else "")
        for i, p in enumerate(program)
    )
