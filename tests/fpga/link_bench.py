# SPDX-License-Identifier: Apache-2.0
"""What stands around a link in unit benches, and the same for its model."""

import numpy as np

from cosim.bench import simulate
from fpga.link.frames import TRAILER_WORDS, FrameReader, Kind, encode_frame
from fpga.link.link import Link
from fpga.link.model import LinkModel, MemoryBus

#: Small buffers, so that all limits are reached; ``gap`` in cycles.
SIZES = {"request_words": 32, "response_words": 16, "capacity": 64, "results_kept": 8}
HOST_BYTES, GAP, WORDS = 4, 64, 16


def memory(pins, bus, rng, name="bus"):
    """Answer accesses of an AXI4-Lite master from a :class:`MemoryBus`, with wait states."""
    got = {"aw": None, "w": None, "ar": None}
    fields = {"aw": "awaddr", "w": "wdata", "ar": "araddr"}
    while True:
        ready = {c: got[c] is None and rng.random() < 0.5 for c in got}
        for c in got:
            pins[f"{name}.{c}ready"] = int(ready[c])
        yield
        for c in got:
            if ready[c] and pins[f"{name}.{c}valid"]:
                got[c] = pins[f"{name}.{fields[c]}"]
        if None not in (got["aw"], got["w"]) and rng.random() < 0.5:
            pins[f"{name}.awready"] = pins[f"{name}.wready"] = 0
            pins[f"{name}.bresp"] = bus.write(got["aw"], got["w"])
            yield from _offer(pins, name, "b")
            got["aw"] = got["w"] = None
        if got["ar"] is not None and rng.random() < 0.5:
            pins[f"{name}.arready"] = 0
            pins[f"{name}.rresp"], pins[f"{name}.rdata"] = bus.read(got["ar"])
            yield from _offer(pins, name, "r")
            got["ar"] = None


def _offer(pins, name, channel):
    pins[f"{name}.{channel}valid"] = 1
    yield
    while not pins[f"{name}.{channel}ready"]:
        yield
    pins[f"{name}.{channel}valid"] = 0


def collect(pins, name, beats, rng, may=lambda: True):
    """Append beats (data, last) of an AXI4-Stream; check that they hold until taken."""
    held = None
    while True:
        ready = may() and rng.random() < 0.7
        pins[f"{name}.tready"] = int(ready)
        yield
        now = (pins[f"{name}.tdata"], pins[f"{name}.tlast"]) if pins[f"{name}.tvalid"] else None
        assert held in (None, now), f"{name} must hold until taken"
        held = now
        if ready and now:
            beats.append(now)
            held = None


def listen(pins, said, rng):
    """Append bytes that the link sends."""
    while True:
        ready = rng.random() < 0.8
        pins["o.ready"] = int(ready)
        yield
        if ready and pins["o.valid"]:
            said.append(pins["o.payload"])


def send(pins, data, *, pause=1):
    """Send bytes to the link, ``pause`` cycles apart."""
    for byte in data:
        pins["i.payload"], pins["i.valid"] = byte, 1
        yield
        pins["i.valid"] = 0
        pins["i.payload"] = ~byte
        for _ in range(pause):
            yield


def settle(pins):
    """Wait until the line was quiet for the gap, and nothing goes on."""
    calm = 0
    for _ in range(GAP + 12):
        yield
    while calm < 24:
        yield
        active = ("busy", "o.valid", "examples.tvalid", "goals.tvalid")
        calm = 0 if any(pins[name] for name in active) else calm + 1


def offer_results(pins, words):
    """Give results to the link."""
    for word in words:
        pins["results.tdata"], pins["results.tvalid"], pins["results.tlast"] = word, 1, 1
        yield
        while not pins["results.tready"]:
            yield
        pins["results.tvalid"] = 0


def run_gateware(script, *, seed=1):
    """Play a script, a list of ``("line", bytes)`` and ``("results", words)``.

    Returns
    -------
    said : list of bytes
        What the link said to each entry.
    examples, goals : list of (int, int)
        Beats and their TLAST.
    bus : MemoryBus
    """
    rng = np.random.default_rng(seed)
    bus, said = MemoryBus(WORDS), []
    out, examples, goals = [], [], []

    def host(pins):
        for _ in range(3):
            yield
        for what, data in script:
            if what == "line":
                yield from send(pins, data)
                yield from settle(pins)
            else:
                yield from offer_results(pins, data)
                yield
                yield
            said.append(bytes(out))
            out.clear()

    simulate(
        Link(HOST_BYTES, GAP, **SIZES),
        host,
        background=[
            lambda pins: memory(pins, bus, rng),
            lambda pins: collect(pins, "examples", examples, rng),
            lambda pins: collect(pins, "goals", goals, rng),
            lambda pins: listen(pins, out, rng),
        ],
        limit=400_000,
    )
    return said, examples, [data for data, _ in goals], bus


def run_model(script):
    """Play a script on the model; see :func:`run_gateware`."""
    model = LinkModel(MemoryBus(WORDS), host_bytes=HOST_BYTES, gap=GAP, **SIZES)
    said, examples, goals, now = [], [], [], 0.0
    for what, data in script:
        if what == "line":
            out = b""
            for byte in data:
                now += 2
                out += model.receive(byte, now)
            now += 10 * GAP
            out += model.tick(now)
            said.append(out)
        else:
            model.results.extend(data)
            said.append(b"")
        while (beat := model.input.take()) is not None:
            value = int.from_bytes(beat[0], "little")
            if model.input.goals_next:
                goals.append(value)
            else:
                examples.append((value, int(beat[1])))
    return said, examples, goals, model.bus


def without_level(said):
    """Bytes without the level of the input buffer, which depends on when it is looked at."""
    out = b""
    for frame in FrameReader(1 << 15).feed(said):
        payload = frame.payload
        if frame.kind == Kind.RESPONSE:
            at = len(payload) - 4 * TRAILER_WORDS + 4
            payload = payload[:at] + bytes(2) + payload[at + 2 :]
        out += encode_frame(frame.kind, frame.sequence, payload)
    assert len(out) == len(said), "all that is said must be whole frames"
    return out


def check_script(script, *, seed=1):
    """Check that gateware and model do the same; return the model's side."""
    got, want = run_gateware(script, seed=seed), run_model(script)
    for i, (a, b) in enumerate(zip(got[0], want[0], strict=True)):
        assert without_level(a) == without_level(b), f"answer to entry {i}: {script[i]}"
    # the beat that ends a packet after FLUSH has any content
    assert [last for _, last in got[1]] == [last for _, last in want[1]]
    assert got[2] == want[2]
    assert got[3].words == want[3].words
    assert got[3].accesses == want[3].accesses
    return want, got
