# SPDX-License-Identifier: Apache-2.0
"""Sender: commands and vectors on their way to the tiles of a layer."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .pulses import PulseEncoder, Rate
from .reader import read_beat
from .reduce import or_tree
from .skid import Skid
from .tile_port import Beat, Command

__all__ = ["Sender", "masked"]


def masked(shape, tiles):
    """Layout of a payload for all tiles of ``mask``."""
    return data.StructLayout({"payload": shape, "mask": tiles})


class Sender(wiring.Component):
    """Turn beats that were read into beats for tiles; codes as they are, or as pulse counts.

    Latency 1 cycle, or 4 if they are pulse counts; one beat a cycle. The command goes out a cycle
    after the first beat of every block enters; a tile may take it after it is offered the beat.

    Parameters
    ----------
    lanes : int
        Codes in a beat.
    depth : int
        Beats of the largest memory.
    tiles : int

    Members
    -------
    i : ``In(stream.Signature(read_beat(lanes, depth)))``
    mask : ``In(tiles)``
        Tiles that get the beat.
    words : ``In(data.ArrayLayout(32, lanes))``
        Random lanes of the beat; a code 0 never fires, whatever its lane.
    commit : ``Out(1)``
        The beat moved on: its random lanes have been used.
    encode, stochastic : ``In(1)``, rate : ``In(Rate)``
        Send pulse counts instead of codes. They hold while ``busy``.
    command : ``In(Command)``, with_command : ``In(1)``
    cmd : ``Out(stream.Signature(masked(Command, tiles)))``
    x : ``Out(stream.Signature(masked(Beat(signed(8), lanes), tiles)))``
    counted : ``Out(1)``, asked, applied : ``Out``
        Pulses of a beat, in the second cycle in which it is in ``x``, or after that.
    busy : ``Out(1)``
        A beat or a command is on its way, or waits for a tile.
    """

    def __init__(self, lanes, *, depth, tiles):
        self.lanes, self.depth, self.tiles = lanes, depth, tiles
        grown = (lanes - 1).bit_length()
        super().__init__({
            "i": In(stream.Signature(read_beat(lanes, depth))),
            "mask": In(tiles),
            "words": In(data.ArrayLayout(32, lanes)),
            "commit": Out(1),
            "encode": In(1),
            "stochastic": In(1),
            "rate": In(Rate),
            "command": In(Command),
            "with_command": In(1),
            "cmd": Out(stream.Signature(masked(Command, tiles))),
            "x": Out(stream.Signature(masked(Beat(signed(8), lanes), tiles))),
            "counted": Out(1),
            "asked": Out(15 + grown),
            "applied": Out(5 + grown),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = PulseEncoder(self.lanes)
        m.d.comb += [
            encoder.codes.eq(self.i.p.data),
            encoder.words.eq(self.words),
            encoder.stochastic.eq(self.stochastic),
            encoder.rate.eq(self.rate),
        ]

        # Tiles take things when they can; what is before these buffers need not wait to know.
        m.submodules.cmd_skid = cmd = Skid(masked(Command, self.tiles))
        m.submodules.x_skid = x = Skid(masked(Beat(signed(8), self.lanes), self.tiles))
        wiring.connect(m, x.o, wiring.flipped(self.x))
        # its valid is a register too, as that of a beat is
        m.d.comb += cmd.o.ready.eq(~self.cmd.valid | self.cmd.ready)
        with m.If(cmd.o.ready):
            m.d.sync += [self.cmd.valid.eq(cmd.o.valid), self.cmd.payload.eq(cmd.o.payload)]

        announced = Signal()  # the command of this block went out
        free = Signal()
        m.d.comb += [
            cmd.i.valid.eq(self.i.valid & self.i.p.first & self.with_command & ~announced),
            cmd.i.p.payload.eq(self.command),
            cmd.i.p.mask.eq(self.mask),
            # A register, even where the beat before the buffer would leave room: the encoder, the
            # reader and all that it enables hang on this. A beat waits for room for a command, too,
            # even if it has none.
            free.eq(x.i.ready),
            self.i.ready.eq(free & cmd.i.ready),
            self.commit.eq(self.i.valid & self.i.ready & self.encode),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += announced.eq(0)
        with m.Elif(cmd.i.valid & cmd.i.ready):
            m.d.sync += announced.eq(1)

        # the beat that enters, and those in the encoder
        place = data.StructLayout({"valid": 1, "last": 1, "mask": self.tiles})
        stages = [Signal(place, name=f"stage_{k}") for k in range(4)]
        leaving = Signal(place)
        m.d.comb += [
            stages[0].valid.eq(self.i.valid & self.i.ready),
            stages[0].last.eq(self.i.p.last),
            stages[0].mask.eq(self.mask),
            leaving.eq(Mux(self.encode, stages[-1].as_value(), stages[0].as_value())),
            encoder.step.eq(free),
            encoder.counting.eq(stages[-1].valid),
            self.busy.eq(
                x.i.valid
                | x.full
                | cmd.full
                | self.cmd.valid
                | or_tree(s.valid for s in stages[1:])
            ),
        ]
        with m.If(free):
            m.d.sync += [b.eq(a) for a, b in pairwise(stages)]
            m.d.sync += x.i.valid.eq(leaving.valid)
            with m.If(~self.encode):
                m.d.sync += [s.valid.eq(0) for s in stages[1:]]
        with m.If(free & leaving.valid):
            m.d.sync += [
                x.i.p.payload.data.eq(Mux(self.encode, encoder.pulses, self.i.p.data)),
                x.i.p.payload.last.eq(leaving.last),
                x.i.p.mask.eq(leaving.mask),
            ]

        m.d.comb += [
            self.counted.eq(encoder.counted),
            self.asked.eq(encoder.asked),
            self.applied.eq(encoder.applied),
        ]
        return m
