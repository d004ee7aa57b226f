# SPDX-License-Identifier: Apache-2.0
"""The registers of the controller."""

from .hardware import ControllerConfig
from .machine import COUNTERS, LAYER_COUNTERS
from .program import Op
from .register_map import Field, Register, RegisterMap, Window

__all__ = ["ID", "counter_names", "register_map"]

#: What register ID holds: "CFR1".
ID = 0x43465231


def counter_names(hw: ControllerConfig) -> list[str]:
    """Name of every counter, in the order of COUNTER_LOW."""
    layers = [f"{name}_{layer}" for layer in range(hw.layers) for name in LAYER_COUNTERS]
    return [*COUNTERS, *layers, *(f"cycles_{op.name.lower()}" for op in Op), "cycles_idle"]


def register_map(hw: ControllerConfig) -> RegisterMap:
    """Describe all that a host sees of a controller."""

    def setting(name, meaning, *fields, count=None):
        return Register(name, "rw", fields, meaning, count, idle_only=True)

    counters = len(counter_names(hw))
    beat = "beat of the vector memory"
    return RegisterMap((
        Register("ID", "ro", (Field("id", 32, '"CFR1"', ID),), "What answers at this address."),
        Register(
            "SIZES",
            "ro",
            (
                Field("layers", 4, "most layers of weights", hw.layers),
                Field("tiles", 7, "tiles that are connected", hw.tiles),
                Field("log2_lanes", 3, "codes in a beat", hw.lanes.bit_length() - 1),
                Field(
                    "log2_transfer_lanes",
                    3,
                    "codes in a beat of a row that is read or programmed",
                    hw.transfer_lanes.bit_length() - 1,
                ),
                Field("tables", 4, "activation tables", hw.tables),
                Field("program", 9, "most instructions", hw.program),
            ),
            "How large the controller is.",
        ),
        Register(
            "CONTROL",
            "pulse",
            (
                Field("start", 1, "run the program from START_PC; ignored while busy or in error"),
                Field("stop", 1, "end after the current example"),
                Field("load", 1, "take over the RESTORE registers; ignored while busy"),
                Field("clear", 1, "clear done and error"),
                Field("clear_counters", 1, "clear all counters"),
                Field("reset", 1, "abandon the run and be idle, the tiles' ports too"),
            ),
            "Commands.",
        ),
        Register(
            "STATUS",
            "ro",
            (
                Field("busy", 1, "the program runs"),
                Field("done", 1, "the program has ended"),
                Field("error", 1, "it has ended early; ERROR says why"),
                Field("polarity", 1, "polarity of all tiles; 1 is negative"),
            ),
            "What the controller does.",
        ),
        Register(
            "ERROR",
            "ro",
            (
                Field("code", 4, "what went wrong; 0 is nothing"),
                Field("tile", 6, "the tile that was waited for, if code is TILE"),
                Field("pc", 8, "the instruction"),
            ),
            "The first error since it was cleared.",
        ),
        Register(
            "IRQ_ENABLE",
            "rw",
            (
                Field("done", 1, "STATUS.done interrupts the host"),
                Field("error", 1, "STATUS.error interrupts the host"),
            ),
            "What interrupts the host.",
        ),
        Register("START_PC", "rw", (Field("pc", 8, "an instruction"),), "Where to start."),
        Register("EXAMPLES", "rw", (Field("n", 32, "examples"),), "How many examples to run."),
        setting("INPUTS", "Size of an example.", Field("n", 13, "pixels")),
        setting(
            "WATCHDOG",
            "Longest wait for a tile or the host. Above depth + tiles + the longest operation.",
            Field("cycles", 32, "clock cycles; 0 waits for ever"),
        ),
        setting(
            "AGE_PERIODS",
            "How often tiles age.",
            Field("n", 13, "examples in a tick; 0 never ages"),
        ),
        setting(
            "INTERVAL",
            "How often weights are transferred.",
            Field("n", 31, "examples between transfers; 0 never transfers"),
        ),
        Register(
            "RESTORE_AGE",
            "rw",
            (Field("n", 13, "examples since the last tick"),),
            "Taken over by CONTROL.load.",
        ),
        Register(
            "RESTORE_INTERVAL",
            "rw",
            (Field("n", 31, "examples since the last transfer"),),
            "Taken over by CONTROL.load.",
        ),
        Register(
            "RESTORE_STATE",
            "rw",
            (
                Field("negative", 1, "polarity of all tiles; 1 is negative"),
                Field("transfers", 4, "transfers so far, modulo 16"),
            ),
            "Taken over by CONTROL.load.",
        ),
        setting(
            "UPDATE",
            "From activations and errors to pulses.",
            Field("delta_max", 5, "most column pulses for one error", 31),
            Field("stochastic", 1, "round pulse counts with random bits instead of half up"),
        ),
        setting(
            "TRANSFER",
            "How weights are transferred.",
            Field("invert", 1, "flip the polarity at every transfer"),
            Field("capacitor", 1, "tiles have capacitors, which repair what programming missed"),
            Field("log2_reads", 3, "a read averages 2**log2_reads conversions"),
            Field("retries", 5, "further shots for a weight that missed"),
            Field("tune_rounds", 4, "rounds of capacitor pulses"),
        ),
        setting(
            "TRANSFER_SET",
            "When programming is good enough, in read codes.",
            Field("set_tolerance", 12, "largest miss that is left to the capacitor"),
            Field("small_target", 12, "below it both devices stay RESET"),
        ),
        setting(
            "TRANSFER_TUNE",
            "When a weight is good enough, in read codes.",
            Field("tune_tolerance", 12, "largest error that gets no more pulses"),
            Field("fail_tolerance", 12, "a weight further off counts as failed"),
        ),
        setting(
            "TRANSFER_GOAL",
            "What programming aims at.",
            Field("offset", 12, "read codes, 0..2047, that leave the capacitor to rise"),
            Field("tune_mult", 12, "capacitor pulses for one read code, in 2**-6"),
        ),
        setting(
            "GAIN",
            "Drift less weight decay.",
            Field("gain", 15, "share of itself a transfer adds, in 2**-14", signed=True),
        ),
        setting(
            "LAYER_BLOCKS",
            "How a layer is cut into tiles.",
            Field("row_blocks", 10, "blocks of rows"),
            Field("col_blocks", 10, "blocks of columns"),
            count=hw.layers,
        ),
        setting(
            "LAYER_X",
            "Where activations lie.",
            Field("read", 12, f"first {beat} with the layer's inputs"),
            Field("write", 12, f"first {beat} for its outputs"),
            count=hw.layers,
        ),
        setting(
            "LAYER_D",
            "Where errors lie.",
            Field("base", 12, f"first {beat} with the layer's errors"),
            count=hw.layers,
        ),
        setting(
            "LAYER_LANES",
            "Where random lanes lie.",
            Field("rows", 14, "first beat of the rows' lanes"),
            Field("cols", 14, "first beat of the columns' lanes"),
            count=hw.layers,
        ),
        setting(
            "LAYER_RATE",
            "Learning rate: an error code makes mult / 2**shift pulses.",
            Field("mult", 8, "multiplier"),
            Field("shift", 5, "right shift, 0..24"),
            Field("table", 4, "activation table"),
            count=hw.layers,
        ),
        setting(
            "TILE_PLACE",
            "Which block of which layer a tile holds.",
            Field("used", 1, "the tile takes part"),
            Field("layer", 4, "layer"),
            Field("row_block", 10, "block of rows"),
            Field("col_block", 10, "block of columns"),
            count=hw.tiles,
        ),
        setting(
            "TILE_SIZE",
            "Lines of a tile that are used.",
            Field("rows", 10, "rows"),
            Field("cols", 10, "columns"),
            count=hw.tiles,
        ),
        Register(
            "COUNTER_LOW",
            "ro",
            (Field("n", 32, "low half"),),
            "Counters; reading one keeps its high half for COUNTER_HIGH.",
            counters,
        ),
        Register(
            "COUNTER_HIGH",
            "ro",
            (Field("n", 32, "high half"),),
            "High half of the counter whose low half was read last, at any index.",
            counters,
        ),
        Window("PROGRAM", hw.program, 16, "Instructions: op | layer << 4 | target << 8."),
        Window(
            "TABLE",
            hw.tables * 256,
            16,
            "Tables: value, -127..127, | slope, 0..128, << 8.",
        ),
        Window("DURATION", 256, 7, "SET code for a target of 8 * index read codes."),
        Window("LANES", hw.random_depth * hw.lanes, 32, "State of the random lanes.", True),
    ))
