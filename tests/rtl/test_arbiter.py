# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Every tile gets each of its payloads once, however slow the others are."""

import random
from functools import partial

import pytest
from amaranth.hdl import signed

from cosim.bench import pack, put, simulate
from rtl.arbiter import Broadcast, TileArbiter
from rtl.sender import masked
from rtl.tile_port import Beat, Command, TileOp

TILES = 3
#: Share of cycles in which each tile is ready.
PACES = {
    "all ready": (1.0, 1.0, 1.0),
    "one slow": (1.0, 0.2, 1.0),
    "all slow": (0.3, 0.4, 0.5),
    "last slow": (0.8, 1.0, 0.3),
}


def masks_of(rng, n):
    """Every mask once, the empty one too, then random ones."""
    masks = list(range(1 << TILES))
    rng.shuffle(masks)
    return masks + [rng.randrange(1 << TILES) for _ in range(n - len(masks))]


class Consumer:
    """Tiles that are ready at random; keeps what each took and when."""

    def __init__(self, name, pace, rng):
        self.name, self.pace, self.rng = name, pace, rng
        self.got = [[] for _ in range(TILES)]
        self.ready = [False] * TILES
        self.waits = [False] * TILES
        self.cycle = 0

    def __call__(self, pins):
        held = [None] * TILES
        while True:
            self.ready = [self.rng.random() < p for p in self.pace]
            for t in range(TILES):
                pins[f"{self.name}.{t}.ready"] = self.ready[t]
            yield
            for t in range(TILES):
                port = f"{self.name}.{t}"
                payload = pins[f"{port}.payload"] if pins[f"{port}.valid"] else None
                self.waits[t] = payload is not None and not self.ready[t]
                if held[t] is not None:
                    assert payload == held[t], "valid and payload must hold until taken"
                held[t] = payload
                if payload is not None and self.ready[t]:
                    self.got[t].append((self.cycle, payload))
                    held[t] = None
            self.cycle += 1

    def payloads(self, t):
        return [payload for _, payload in self.got[t]]


def check_broadcast(pace, stall):
    rng = random.Random(5)
    masks = masks_of(rng, 40)
    payloads = [rng.randrange(1 << 16) for _ in masks]
    layout = masked(16, TILES)
    words = [
        layout.const({"payload": p, "mask": m}).as_bits()
        for p, m in zip(payloads, masks, strict=True)
    ]
    tiles = Consumer("o", PACES[pace], rng)
    at = []

    def send(pins):
        for word in words:
            yield from put(pins, "i", [word], stall=stall)
            at.append(tiles.cycle)  # the consumer, a background process, counts later
        for _ in range(10):
            yield  # nothing more may come

    simulate(Broadcast(16, TILES), send, background=[tiles])
    for t in range(TILES):
        assert tiles.payloads(t) == [p for p, m in zip(payloads, masks, strict=True) if m >> t & 1]
    # taken together with the last tile; the empty mask at once
    left = [list(tiles.got[t]) for t in range(TILES)]
    for cycle, mask in zip(at, masks, strict=True):
        when = [left[t].pop(0)[0] for t in range(TILES) if mask >> t & 1]
        assert max(when, default=cycle) == cycle
    if pace == "all ready":
        assert at == [at[0] + i * (1 + stall) for i in range(len(at))]


@pytest.mark.parametrize("stall", [0, 2])
@pytest.mark.parametrize("pace", PACES)
def test_broadcast_gives_each_tile_its_payloads_once(pace, stall):
    check_broadcast(pace, stall)


def test_broadcast_forgets_who_took_a_payload_at_reset():
    layout = masked(16, TILES)

    def drive(pins):
        pins["i.payload"] = layout.const({"payload": 7, "mask": 0b011}).as_bits()
        pins["i.valid"], pins["o.0.ready"] = 1, 1
        yield
        assert (pins["o.0.valid"], pins["o.1.valid"], pins["i.ready"]) == (1, 1, 0)
        yield
        assert (pins["o.0.valid"], pins["o.1.valid"], pins["i.ready"]) == (0, 1, 0)
        pins["rst"] = 1
        yield
        pins["rst"] = 0
        yield
        assert (pins["o.0.valid"], pins["o.1.valid"], pins["i.ready"]) == (1, 1, 0)
        pins["o.1.ready"] = 1
        yield
        assert (pins["o.0.valid"], pins["o.1.valid"], pins["i.ready"]) == (0, 1, 1)

    simulate(Broadcast(16, TILES), drive)


LANES = 2


def check_arbiter(pace, stall):
    """Let the sender have the tiles, then the units, then the sender again, and so on."""
    rng = random.Random(6)
    beat = masked(Beat(signed(8), LANES), TILES)
    command = masked(Command, TILES)

    def commands(n):
        return [
            Command.const({
                "op": rng.choice(list(TileOp)),
                "row": rng.randrange(512),
                "log2_reads": rng.randrange(7),
                "negative": rng.randrange(2),
            })
            for _ in range(n)
        ]

    phases = []
    for _ in range(2):
        masks = masks_of(rng, 12)
        cmds = [
            (command.const({"payload": c, "mask": m}).as_bits(), m, c.as_bits())
            for c, m in zip(commands(12), masks, strict=True)
        ]
        xs = []
        for m in reversed(masks):
            codes = {"data": [rng.randrange(-128, 128) for _ in range(LANES)], "last": m & 1}
            b = beat.const({"payload": codes, "mask": m}).as_bits()
            xs.append((b, m, b & ((1 << (8 * LANES + 1)) - 1)))
        units = [[c.as_bits() for c in commands(4 + t)] for t in range(TILES)]
        phases.append((cmds, xs, units))
    tiles, streams = Consumer("tiles", PACES[pace], rng), Consumer("xs", PACES[pace], rng)

    def both(*processes):
        alive = list(processes)
        while alive := [p for p in alive if next(p, True) is None]:
            yield

    def offered(pins, t, payloads):
        yield from put(pins, f"units.{t}", payloads[:1])
        yield from put(pins, f"units.{t}", payloads[1:], stall=stall)

    def drive(pins):
        for cmds, xs, units in phases:
            pins["transfer"] = 0
            yield from both(
                put(pins, "cmd", [c for c, *_ in cmds], stall=stall),
                put(pins, "x", [x for x, *_ in xs], stall=stall),
            )
            # units offer beforehand: they must wait for their turn, though the tiles are ready
            for t in range(TILES):
                pins[f"units.{t}.valid"], pins[f"units.{t}.payload"] = 1, units[t][0]
            unasked = set(range(TILES))
            while unasked:
                yield
                unasked -= {t for t in range(TILES) if tiles.ready[t]}
                for t in range(TILES):
                    assert not pins[f"units.{t}.ready"]
                    assert not pins[f"tiles.{t}.valid"]
            pins["transfer"] = 1
            yield from both(*(offered(pins, t, units[t]) for t in range(TILES)))
            # and so must commands
            pins["cmd.valid"], pins["cmd.payload"] = 1, command.const({"mask": 0b111}).as_bits()
            yield
            assert not pins["cmd.ready"]
            assert not any(pins[f"tiles.{t}.valid"] for t in range(TILES))
            pins["cmd.valid"] = 0

    def watch(pins):
        while True:
            yield
            waits = map(max, tiles.waits, streams.waits)
            assert pins["waiting"] == pack(waits, 1)

    simulate(TileArbiter(LANES, TILES), drive, background=[tiles, streams, watch], limit=5000)
    for t in range(TILES):
        want_cmd, want_x = [], []
        for cmds, xs, units in phases:
            want_cmd += [c for _, m, c in cmds if m >> t & 1] + units[t]
            want_x += [x for _, m, x in xs if m >> t & 1]
        assert tiles.payloads(t) == want_cmd
        assert streams.payloads(t) == want_x


@pytest.mark.parametrize("stall", [0, 1])
@pytest.mark.parametrize("pace", PACES)
def test_arbiter_gives_the_tiles_to_the_sender_or_to_the_units(pace, stall):
    check_arbiter(pace, stall)


@pytest.mark.parametrize(("name", "tile"), [("cmd", "tiles"), ("x", "xs")])
def test_arbiter_forgets_who_took_a_payload_at_reset(name, tile):
    def drive(pins):
        shape = Command if name == "cmd" else Beat(signed(8), LANES)
        pins[f"{name}.payload"] = masked(shape, TILES).const({"mask": 0b101}).as_bits()
        pins[f"{name}.valid"], pins[f"{tile}.0.ready"] = 1, 1
        yield
        assert pins["waiting"] == 0b100
        yield
        assert not pins[f"{tile}.0.valid"]
        pins["rst"], pins[f"{tile}.0.ready"] = 1, 0
        yield
        pins["rst"] = 0
        yield
        assert pins["waiting"] == 0b101
        pins[f"{tile}.0.ready"] = pins[f"{tile}.2.ready"] = 1
        yield
        assert pins[f"{name}.ready"]
        assert not pins["waiting"]

    simulate(TileArbiter(LANES, TILES), drive)


BENCHES = [
    *(
        partial(test_broadcast_gives_each_tile_its_payloads_once, pace, stall)
        for pace in PACES
        for stall in [0, 2]
    ),
    test_broadcast_forgets_who_took_a_payload_at_reset,
    *(
        partial(test_arbiter_gives_the_tiles_to_the_sender_or_to_the_units, pace, 1)
        for pace in PACES
    ),
    partial(test_arbiter_forgets_who_took_a_payload_at_reset, "cmd", "tiles"),
    partial(test_arbiter_forgets_who_took_a_payload_at_reset, "x", "xs"),
]
