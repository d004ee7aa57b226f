# SPDX-License-Identifier: Apache-2.0
"""The harness of a small controller, with faults at its pins that a test turns on."""

from dataclasses import replace

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In

from cosim.harness import Harness
from golden.config import ChipConfig
from golden.hardware import ControllerConfig
from rtl.tile_port import TileOp

CHIP = ChipConfig(layers=(3, 2), forward_shift=(14,), backward_shift=(13,))
#: It has two tiles, the network one.
HARDWARE = replace(ControllerConfig.of(CHIP, lanes=2, transfer_lanes=1), tiles=2)


class Fault(enum.Enum, shape=5):
    """What goes wrong, and when: at number ``at``, from 0, or so many cycles after the end."""

    NONE = 0
    DROPPED = 1  # a result is lost
    DOUBLED = 2  # a result is offered twice
    CHANGED = 3  # a result has the wrong label
    UNMARKED = 4  # a result lacks its TLAST
    WITHHELD = 5  # a result, and all after it, are not offered
    SPURIOUS = 6  # after the end a result is offered until it is taken
    STUCK = 7  # a tile does not begin this operation
    ASKED_TWICE = 8  # the request of an operation comes once more
    MISSED = 9  # the request of an operation does not come
    MALFORMED = 10  # an operation has a vector of the wrong length
    UNKNOWN = 11  # an operation does not exist
    ROW_OUTSIDE = 12  # an operation has a row that the tile lacks
    LATE = 13  # after the end a tile is asked once more
    UNUSED = 14  # the tile that no network uses is asked
    SILENT = 15  # no interrupt
    WRITE_REFUSED = 16  # a write is answered by SLVERR
    WRITE_UNANSWERED = 17
    READ_REFUSED = 18
    READ_UNANSWERED = 19


class FaultyHarness(wiring.Component):
    """A harness like :class:`cosim.harness.Harness` but for one fault.

    Members
    -------
    fault : ``In(Fault)``, at : ``In(8)``
        Constant from reset on.
    """

    def __init__(self, hw: ControllerConfig):
        self.harness = Harness(hw)
        super().__init__({**self.harness.signature.members, "fault": In(Fault), "at": In(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.harness = h = self.harness
        inner = {path: port for path, _, port in h.signature.flatten(h)}
        for path, member, port in self.signature.flatten(self):
            if path in inner and member.flow is In:
                m.d.comb += inner[path].eq(port)
            elif path in inner:
                m.d.comb += port.eq(inner[path])

        def number(event):
            """Events so far."""
            count = Signal(16)
            m.d.sync += count.eq(count + event)
            return count

        def when(*faults):
            return m.If(Cat(self.fault == fault for fault in faults).any())

        ended = Signal(16)  # cycles since the end of the first program
        with m.If((h.irq | (ended != 0)) & ~ended.all()):
            m.d.sync += ended.eq(ended + 1)
        late = ended == self.at + 1

        # --- results
        o = self.results
        given = number(h.results.tvalid & h.results.tready)
        now = given == self.at
        again, last = Signal(), Signal(32)
        m.d.sync += last.eq(Mux(h.results.tvalid, h.results.tdata, last))
        with when(Fault.DROPPED), m.If(now):
            m.d.comb += [o.tvalid.eq(0), h.results.tready.eq(1)]
        with when(Fault.CHANGED), m.If(now):
            m.d.comb += o.tdata.eq(h.results.tdata ^ 1 << 13)
        with when(Fault.UNMARKED), m.If(now):
            m.d.comb += o.tlast.eq(0)
        with when(Fault.WITHHELD), m.If(given >= self.at):
            m.d.comb += [o.tvalid.eq(0), h.results.tready.eq(0)]
        with when(Fault.DOUBLED), m.If(now & h.results.tvalid & o.tready):
            m.d.sync += again.eq(1)
        with when(Fault.SPURIOUS), m.If(late):
            m.d.sync += again.eq(1)
        with m.If(again):
            m.d.comb += [o.tvalid.eq(1), o.tdata.eq(last), h.results.tready.eq(0)]
            with m.If(o.tready):
                m.d.sync += again.eq(0)

        # --- tiles
        tile, unused = self.tiles
        request = h.tiles[0].request
        count = h.tiles[0].operation.count
        now = count == self.at
        before = Signal(2)
        m.d.sync += before.eq(Cat(request & now, before))
        with when(Fault.STUCK), m.If(now):
            m.d.comb += h.tiles[0].stuck.eq(1)
        with when(Fault.ASKED_TWICE), m.If(before[1]):
            m.d.comb += [tile.request.eq(1), tile.operation.count.eq(self.at)]
        with when(Fault.MISSED), m.If(now):
            m.d.comb += tile.request.eq(0)
        with when(Fault.MALFORMED), m.If(now):
            m.d.comb += tile.operation.malformed.eq(1)
        with when(Fault.UNKNOWN), m.If(now):
            m.d.comb += tile.operation.command.op.as_value().eq(15)
        with when(Fault.ROW_OUTSIDE), m.If(now):
            m.d.comb += [
                tile.operation.command.op.eq(TileOp.INIT),
                tile.operation.command.row.eq(HARDWARE.rows),
            ]
        with when(Fault.LATE), m.If(late):  # what changes nothing
            m.d.comb += [tile.request.eq(1), tile.operation.command.op.eq(TileOp.POLARITY)]
        with when(Fault.UNUSED), m.If(now):
            m.d.comb += unused.request.eq(request)

        # --- the host's side
        with when(Fault.SILENT):
            m.d.comb += self.irq.eq(0)
        for answer, refused, unanswered in (
            ("b", Fault.WRITE_REFUSED, Fault.WRITE_UNANSWERED),
            ("r", Fault.READ_REFUSED, Fault.READ_UNANSWERED),
        ):
            valid = getattr(h.bus, f"{answer}valid")
            now = number(valid & getattr(h.bus, f"{answer}ready")) == self.at
            with when(refused), m.If(now):
                m.d.comb += getattr(self.bus, f"{answer}resp").eq(2)
            with when(unanswered), m.If(now):
                m.d.comb += getattr(self.bus, f"{answer}valid").eq(0)
        return m
