# SPDX-License-Identifier: Apache-2.0
"""Why a controller stops early."""

from enum import IntEnum

__all__ = ["ErrorCode"]


class ErrorCode(IntEnum):
    """Content of the register ERROR."""

    NONE = 0
    TILE = 1  # a tile took no command or gave no result for WATCHDOG cycles
    EXAMPLES = 2  # the host sent no example for WATCHDOG cycles
    GOALS = 3  # the host sent no goals for WATCHDOG cycles
    RESULTS = 4  # the host took no results for WATCHDOG cycles
    BAD_PACKET = 5  # an example was shorter or longer than INPUTS says
    BAD_INSTRUCTION = 6  # the program holds no such instruction
    STALLED = 7  # an instruction made no progress: registers do not fit, or WATCHDOG is too small
