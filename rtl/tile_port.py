# SPDX-License-Identifier: Apache-2.0
"""The port of a tile: all that the controller knows of it.

``cmd`` starts an operation. Vectors follow on their own streams, beat by beat, the last one marked:

=========  =====================================  =====================================
operation  controller to tile                     tile to controller
=========  =====================================  =====================================
FORWARD    x: row codes                           y: column codes
BACKWARD   x: column codes                        y: row codes
UPDATE     x: row pulses, then x: column pulses   -
READ       -                                      r: column codes of row ``row``
PROGRAM    w: pairs of PROGRAM codes              -
INIT       -                                      -
TUNE       w: signed pulse counts                 -
POLARITY   -                                      -
AGE        -                                      -
=========  =====================================  =====================================

A tile takes the next command and its vectors while it executes one, so that row pulses can be
sent while it converts; it executes in order, each operation after the results of the one before
were taken. When the controller abandons a run (:class:`rtl.controller.ChipController`), a tile
forgets its command, vectors and results, and is ready for a command in the next cycle.
"""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Beat", "Command", "TileOp", "TilePort", "program_lane"]


class TileOp(enum.Enum, shape=4):
    """Operation of a tile; see :mod:`analog_models.tile`."""

    FORWARD = 0
    BACKWARD = 1
    UPDATE = 2
    READ = 3
    PROGRAM = 4
    INIT = 5
    TUNE = 6
    POLARITY = 7
    AGE = 8


class Command(data.Struct):
    """One operation of a tile."""

    op: TileOp
    row: 9  # READ, PROGRAM, INIT, TUNE
    log2_reads: 3  # READ averages 2**log2_reads conversions
    negative: 1  # POLARITY -1


def Beat(shape, lanes):
    """Layout of a beat: ``lanes`` codes, the first one lowest, and whether it is the last."""
    return data.StructLayout({"data": data.ArrayLayout(shape, lanes), "last": 1})


#: One column of PROGRAM: code for G+ and for G-. TUNE has a signed count in ``plus``.
program_lane = data.StructLayout({"plus": 7, "minus": 7})


class TilePort(wiring.Signature):
    """Signature of a tile port, seen from the controller.

    Parameters
    ----------
    lanes, transfer_lanes : int
        Codes in a beat of ``x`` and ``y``, and of ``w`` and ``r``.

    Members
    -------
    cmd : ``Out(stream.Signature(Command))``
    x : ``Out(stream.Signature(Beat(signed(8), lanes)))``
    y : ``In(stream.Signature(data.ArrayLayout(signed(8), lanes)))``
    w : ``Out(stream.Signature(Beat(program_lane, transfer_lanes)))``
    r : ``In(stream.Signature(data.ArrayLayout(signed(12), transfer_lanes)))``
    """

    def __init__(self, lanes, transfer_lanes):
        self.lanes = lanes
        self.transfer_lanes = transfer_lanes
        super().__init__({
            "cmd": Out(stream.Signature(Command)),
            "x": Out(stream.Signature(Beat(signed(8), lanes))),
            "y": In(stream.Signature(data.ArrayLayout(signed(8), lanes))),
            "w": Out(stream.Signature(Beat(program_lane, transfer_lanes))),
            "r": In(stream.Signature(data.ArrayLayout(signed(12), transfer_lanes))),
        })
