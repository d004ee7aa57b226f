# SPDX-License-Identifier: Apache-2.0
"""Tiles of a script, around the vector unit.

Loaded by its path, as benches are: the simulator's process knows no other.
"""

import random

from amaranth.hdl import signed

from cosim.bench import pack, put
from rtl.sender import masked
from rtl.tile_port import Beat, Command, TileOp


class Tiles:
    """Tiles behind ``cmd``, ``x`` and ``y``; they work at the same time, each in order.

    Parameters
    ----------
    golden : list of ScriptedTile
        What they answer, and what they should be sent.
    ports : list of int
        Where each is connected.
    hw : ControllerConfig
    pace : dict
        Shares of cycles in which ``cmd`` and ``x`` are ready, most cycles to ``think`` before an
        answer, and to ``stall`` before each beat of it.
    """

    def __init__(self, golden, ports, hw, pace):
        self.golden, self.ports, self.hw, self.pace = golden, ports, hw, pace
        self.rng = random.Random(1)
        self.restart()

    def restart(self):
        """Forget all, as after a reset."""
        n = len(self.golden)
        self.log = [[] for _ in range(n)]
        self.commands, self.parts = [[] for _ in range(n)], [[] for _ in range(n)]
        self.vectors = [[] for _ in range(n)]
        self.answers = [list(t.answers) for t in self.golden]
        self.offering = set()  # ports
        self.processes = None

    def port(self, pins, name, layout, handle):
        while True:
            ready = self.rng.random() < self.pace[name]
            pins[f"{name}.ready"] = ready
            yield
            if ready and pins[f"{name}.valid"]:
                beat = layout.from_bits(pins[f"{name}.payload"])
                assert beat.mask, "somebody must get it"
                for port in (k for k in range(self.hw.tiles) if beat.mask >> k & 1):
                    handle(self.ports.index(port), beat.payload)

    def beat(self, t, payload):
        self.parts[t] += [payload.data[k] for k in range(self.hw.lanes)]
        if payload.last:
            self.vectors[t].append(self.parts[t])
            self.parts[t] = []

    def tile(self, pins, t):
        lanes, port = self.hw.lanes, self.ports[t]
        while True:
            while not self.commands[t]:
                yield
            op = self.commands[t].pop(0)
            need = 2 if op == TileOp.UPDATE else 1
            while len(self.vectors[t]) < need:
                yield
            self.log[t].append((op, self.vectors[t][:need]))
            del self.vectors[t][:need]
            if op == TileOp.UPDATE:
                continue
            for _ in range(self.rng.randrange(self.pace["think"] + 1)):
                yield
            codes = self.answers[t].pop(0)
            codes = codes + [self.rng.randrange(-128, 128) for _ in range(-len(codes) % lanes)]
            for k in range(0, len(codes), lanes):
                for _ in range(self.rng.randrange(self.pace["stall"] + 1)):
                    yield
                self.offering.add(port)
                yield from put(pins, f"y.{port}", [pack(codes[k : k + lanes], 8)])
                self.offering.remove(port)

    def __call__(self, pins):
        while True:
            if self.processes is None:
                count = len(self.golden)
                beat = Beat(signed(8), self.hw.lanes)
                cmd, x = masked(Command, self.hw.tiles), masked(beat, self.hw.tiles)
                self.processes = [
                    self.port(pins, "cmd", cmd, lambda t, c: self.commands[t].append(c.op)),
                    self.port(pins, "x", x, self.beat),
                    *(self.tile(pins, t) for t in range(count)),
                ]
                for port in self.ports:
                    pins[f"y.{port}.valid"] = 0
            for process in self.processes:
                next(process)
            yield
