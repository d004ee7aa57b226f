# SPDX-License-Identifier: Apache-2.0
"""Accumulator: adds the codes of the tiles that share a layer's lines, and saturates."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .reduce import add_tree, is_below
from .scatter import counted_beat
from .skid import Skid

__all__ = ["Accumulator", "partial_beat"]


def partial_beat(lanes, depth):
    """Layout of one beat of codes of one tile; ``beat`` says where in the block it lies."""
    return data.StructLayout({
        "data": data.ArrayLayout(signed(8), lanes),
        "count": range(lanes + 1),
        "beat": range(depth),
        "first": 1,
        "final": 1,
    })


class Accumulator(wiring.Component):
    """Add beats of partial sums.

    A block's beats come once for every tile that adds to it: ``first`` starts the sums, ``final``
    sends them on, saturated to -128..127 (forward) or -127..127 (``backward``). Golden:
    :meth:`golden.machine.Machine.forward` and ``backward``. Latency 2 cycles from a final beat to
    its sum, one beat a cycle.

    Parameters
    ----------
    lanes : int
        Codes in a beat.
    depth : int
        Beats of the largest block.
    tiles : int
        Most beats in one sum.

    Members
    -------
    i : ``In(stream.Signature(partial_beat(lanes, depth)))``
    o : ``Out(stream.Signature(counted_beat(signed(8), lanes)))``
    backward : ``In(1)``
    busy : ``Out(1)``
        A beat is on its way to ``o``, or waits there.
    clips : ``Out(range(lanes + 1))``
        Sums that reached an end, counted in the first cycle in which the beat is in ``o``.
    """

    def __init__(self, lanes, *, depth, tiles):
        self.lanes, self.depth = lanes, depth
        self.width = 8 + (tiles - 1).bit_length()
        super().__init__({
            "i": In(stream.Signature(partial_beat(lanes, depth))),
            "o": Out(stream.Signature(counted_beat(signed(8), lanes))),
            "backward": In(1),
            "busy": Out(1),
            "clips": Out(range(lanes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        sums = data.ArrayLayout(signed(self.width), self.lanes)
        m.submodules.memory = memory = Memory(shape=sums, depth=self.depth, init=[])
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))

        # Tiles do not wait for what comes behind the sums: that would be a long path.
        m.submodules.skid = skid = Skid(self.i.payload.shape())
        wiring.connect(m, wiring.flipped(self.i), skid.i)

        # one register stage for the codes, in step with the memory's read
        valid, beat = Signal(), Signal.like(self.i.payload)
        leave = Signal()  # the stage is free, or becomes so
        m.d.comb += [
            leave.eq(~(valid & beat.final) | ~self.o.valid | self.o.ready),
            skid.o.ready.eq(leave),
            read.en.eq(leave),
            read.addr.eq(skid.o.p.beat),
            self.busy.eq(skid.full | valid | self.o.valid),
        ]
        with m.If(leave):
            m.d.sync += [valid.eq(skid.o.valid), beat.eq(skid.o.payload)]

        # -127..127 or -128..127; by bits, which takes less time than comparisons
        clipped = []
        saturated = Signal(data.ArrayLayout(signed(8), self.lanes))
        for k in range(self.lanes):
            total = Signal(signed(self.width), name=f"total_{k}")
            clip, over, under = (Signal(name=f"{n}_{k}") for n in ("clip", "over", "under"))
            above = total[7:-1]  # bits that are as the sign within -128..127
            sign = total[-1]
            least = total == -128
            m.d.comb += [
                total.eq(beat.data[k] + Mux(beat.first, 0, read.data[k])),
                write.data[k].eq(total),
                over.eq(~sign & above.any()),
                under.eq((sign & (~above).any()) | (least & self.backward)),
                clip.eq(
                    is_below(k, beat.count)
                    & (over | under | least | (total == 127) | ((total == -127) & self.backward))
                ),
                saturated[k].eq(Mux(over, 127, Mux(under, Mux(self.backward, -127, -128), total))),
            ]
            clipped.append(clip)
        m.d.comb += [write.addr.eq(beat.beat), write.en.eq(valid & ~beat.final)]

        enter = Signal()
        m.d.comb += enter.eq(valid & beat.final & leave)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(enter)
        with m.If(enter):
            m.d.sync += [self.o.p.data.eq(saturated), self.o.p.count.eq(beat.count)]
        # whether they count comes late: it is a register of its own
        counts, marked = Signal(), Signal(self.lanes)
        m.d.sync += [counts.eq(enter), marked.eq(Cat(clipped))]
        m.d.comb += self.clips.eq(Mux(counts, add_tree(marked), 0))
        return m
