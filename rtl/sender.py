# SPDX-License-Identifier: Apache-2.0
"""Sender: commands and vectors on their way to the tiles of a layer."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .pulses import PulseEncoder, Rate
from .reader import read_beat
from .tile_port import Beat, Command

__all__ = ["Sender", "masked"]


def masked(shape, tiles):
    """Layout of a payload for all tiles of ``mask``."""
    return data.StructLayout({"payload": shape, "mask": tiles})


class Sender(wiring.Component):
    """Turn beats that were read into beats for tiles; codes as they are, or as pulse counts.

    Latency 1 cycle, one beat a cycle. The command goes out with the first beat of every block.

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
        Send pulse counts instead of codes.
    command : ``In(Command)``, with_command : ``In(1)``
    cmd : ``Out(stream.Signature(masked(Command, tiles)))``
    x : ``Out(stream.Signature(masked(Beat(signed(8), lanes), tiles)))``
    asked, applied : ``Out``
        Pulses of the beat, valid together with ``commit``.
    busy : ``Out(1)``
        A beat waits for a tile.
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
            self.busy.eq(self.x.valid),
        ]

        announced = Signal()  # the command of this block was taken
        free = Signal()
        m.d.comb += [
            self.cmd.valid.eq(self.i.valid & self.i.p.first & self.with_command & ~announced),
            self.cmd.p.payload.eq(self.command),
            self.cmd.p.mask.eq(self.mask),
            free.eq(~self.x.valid | self.x.ready),
            self.i.ready.eq(free & (~self.cmd.valid | self.cmd.ready)),
            self.commit.eq(self.i.valid & self.i.ready & self.encode),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += announced.eq(0)
        with m.Elif(self.cmd.valid & self.cmd.ready):
            m.d.sync += announced.eq(1)

        with m.If(free):
            m.d.sync += self.x.valid.eq(self.i.valid & self.i.ready)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.x.p.payload.data.eq(Mux(self.encode, encoder.pulses, self.i.p.data)),
                self.x.p.payload.last.eq(self.i.p.last),
                self.x.p.mask.eq(self.mask),
            ]

        m.d.comb += [self.asked.eq(encoder.asked), self.applied.eq(encoder.applied)]
        return m
