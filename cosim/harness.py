# SPDX-License-Identifier: Apache-2.0
"""The controller with everything around it that Python talks to."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.hardware import ControllerConfig
from rtl.axi import AxiStream
from rtl.controller import ChipController, host_bytes

from .bridge import TileBridge
from .feeder import PacketFeeder

__all__ = ["Harness"]


class Harness(wiring.Component):
    """A controller, a bridge a tile, and feeders for examples and goals; for simulation only.

    Parameters
    ----------
    hw : ControllerConfig
    feeders : bool
        Without them ``examples`` and ``goals`` are the controller's streams themselves.

    Members
    -------
    bus, results, irq
        Of :class:`rtl.controller.ChipController`.
    examples, goals
        Of :class:`cosim.feeder.PacketFeeder`; a packet of goals is one row of a tile.
    tiles
        Of :class:`cosim.bridge.TileBridge`, less its port and ``forget``.
    """

    def __init__(self, hw: ControllerConfig, *, feeders: bool = True):
        self.hw, self.feeders = hw, feeders
        size = host_bytes(hw.lanes)
        self.controller = ChipController(hw)
        if feeders:
            self.example_feeder = PacketFeeder(size, 1 + hw.inputs * hw.lanes // size)
            self.goal_feeder = PacketFeeder(2, hw.cols)
        self.bridges = [
            TileBridge(hw.rows, hw.cols, hw.lanes, hw.transfer_lanes) for _ in range(hw.tiles)
        ]

        def without(component, *names):
            members = component.signature.members
            return wiring.Signature({k: m for k, m in members.items() if k not in names})

        super().__init__({
            "bus": self.controller.signature.members["bus"],
            "results": Out(AxiStream(4)),
            "irq": Out(1),
            "examples": Out(without(self.example_feeder, "o")) if feeders else In(AxiStream(size)),
            "goals": Out(without(self.goal_feeder, "o")) if feeders else In(AxiStream(2)),
            "tiles": Out(without(self.bridges[0], "port", "forget")).array(hw.tiles),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = c = self.controller

        def pass_on(inner, outer):
            for name, member in outer.signature.members.items():
                if member.flow is In:
                    m.d.comb += getattr(inner, name).eq(getattr(outer, name))
                else:
                    m.d.comb += getattr(outer, name).eq(getattr(inner, name))

        wiring.connect(m, wiring.flipped(self.bus), c.bus)
        wiring.connect(m, c.results, wiring.flipped(self.results))
        m.d.comb += self.irq.eq(c.irq)
        if self.feeders:
            m.submodules.examples = examples = self.example_feeder
            m.submodules.goals = goals = self.goal_feeder
            wiring.connect(m, examples.o, c.examples)
            wiring.connect(m, goals.o, c.goals)
            pass_on(examples, self.examples)
            pass_on(goals, self.goals)
        else:
            wiring.connect(m, wiring.flipped(self.examples), c.examples)
            wiring.connect(m, wiring.flipped(self.goals), c.goals)
        for t, bridge in enumerate(self.bridges):
            m.submodules[f"bridge_{t}"] = bridge
            wiring.connect(m, c.tiles[t], bridge.port)
            m.d.comb += bridge.forget.eq(c.abandon)
            pass_on(bridge, self.tiles[t])
        return m
