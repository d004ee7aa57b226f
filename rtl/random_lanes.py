# SPDX-License-Identifier: Apache-2.0
"""Random lanes: one xorshift32 state for every row and column of the network."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["RandomLanes", "xorshift"]


def xorshift(state):
    """Return ``state`` (32 bits) after one step: shifts 13, 17, 5 (Marsaglia 2003)."""
    a = state ^ (state << 13)[:32]
    b = a ^ (a >> 17)
    return b ^ (b << 5)[:32]


class RandomLanes(wiring.Component):
    """Memory of lane states that steps the beats it reads.

    Golden: :func:`golden.pulses.step_lanes`. Latency 1 cycle, one beat a cycle; a beat must not be
    read twice in a row, as it is written when the next one is read.

    Parameters
    ----------
    lanes : int, a power of two
        States in a beat.
    depth : int
        Beats.

    Members
    -------
    addr, en : ``In``
        Read a beat.
    words : ``Out(data.ArrayLayout(32, lanes))``
        The states of the beat that was read, after their step; they hold while ``en`` is 0.
    commit : ``In(1)``
        Write ``words`` back to where they were read.
    host_addr, host_data, host_en : ``In``
        Write one state; ``host_addr`` is beat * lanes + lane. Not while the unit is in use.
    host_r_addr, host_r_en : ``In``, host_r_data : ``Out(32)``
        Read one state, a cycle later. Not while the unit is in use: it replaces ``words``.
    """

    def __init__(self, lanes, depth):
        self.lanes, self.depth = lanes, depth
        super().__init__({
            "addr": In(range(depth)),
            "en": In(1),
            "words": Out(data.ArrayLayout(32, lanes)),
            "commit": In(1),
            "host_addr": In(range(depth * lanes)),
            "host_data": In(32),
            "host_en": In(1),
            "host_r_addr": In(range(depth * lanes)),
            "host_r_en": In(1),
            "host_r_data": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=unsigned(32 * self.lanes),
            depth=self.depth,
            init=[],
            # yosys: nobody uses a beat that is read while it is written; and it is wide
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )
        read = memory.read_port()
        write = memory.write_port(granularity=32)

        bits = (self.lanes - 1).bit_length()
        lane, beat = self.host_addr[:bits], self.host_addr[bits:]
        lane_read = Signal.like(lane)
        m.d.comb += [
            read.en.eq(self.en | self.host_r_en),
            read.addr.eq(Mux(self.host_r_en, self.host_r_addr[bits:], self.addr)),
            self.host_r_data.eq(read.data.word_select(lane_read, 32)),
        ]
        m.d.sync += lane_read.eq(self.host_r_addr[:bits])

        states = data.View(data.ArrayLayout(32, self.lanes), read.data)
        m.d.comb += [self.words[k].eq(xorshift(states[k])) for k in range(self.lanes)]

        where = Signal(range(self.depth))
        with m.If(self.en):
            m.d.sync += where.eq(self.addr)
        with m.If(self.host_en):
            m.d.comb += [
                write.addr.eq(beat),
                write.data.eq(self.host_data.replicate(self.lanes)),
                write.en.eq(1 << lane),
            ]
        with m.Else():
            m.d.comb += [
                write.addr.eq(where),
                write.data.eq(self.words),
                write.en.eq(self.commit.replicate(self.lanes)),
            ]
        return m
