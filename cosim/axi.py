# SPDX-License-Identifier: Apache-2.0
"""An AXI4-Lite host for unit benches: parts of processes of :mod:`cosim.bench`."""

from .bench import Pins

__all__ = ["OKAY", "SLVERR", "axi_read", "axi_write", "hold_until_taken"]

OKAY, SLVERR = 0, 2


def axi_write(
    pins: Pins,
    address: int,
    word: int,
    strobes: int = 15,
    *,
    aw: int = 0,
    w: int = 0,
    b: int = 0,
    bus: str = "bus",
):
    """Write once, ``response = yield from axi_write(...)``.

    Parameters
    ----------
    aw, w : int
        Cycles before the address and the data are offered.
    b : int
        Cycles after both were taken before the host takes the response.
    """
    left, cycle = {"aw": aw, "w": w}, 0
    pins[f"{bus}.bready"] = int(b == 0)
    while left:
        if left.get("aw") == cycle:
            pins[f"{bus}.awaddr"], pins[f"{bus}.awvalid"] = address, 1
        if left.get("w") == cycle:
            pins[f"{bus}.wdata"], pins[f"{bus}.wstrb"], pins[f"{bus}.wvalid"] = word, strobes, 1
        yield
        for c in [c for c, wait in left.items() if wait <= cycle and pins[f"{bus}.{c}ready"]]:
            pins[f"{bus}.{c}valid"] = 0
            if c == "aw":  # whatever comes without valid must not matter
                pins[f"{bus}.awaddr"] = ~address
            else:
                pins[f"{bus}.wdata"], pins[f"{bus}.wstrb"] = ~word, ~strobes
            del left[c]
        cycle += 1
    for _ in range(b):
        yield
    pins[f"{bus}.bready"] = 1
    yield
    while not pins[f"{bus}.bvalid"]:
        yield
    pins[f"{bus}.bready"] = 0
    return pins[f"{bus}.bresp"]


def axi_read(pins: Pins, address: int, *, r: int = 0, bus: str = "bus"):
    """Read once, ``response, word = yield from axi_read(...)``.

    Parameters
    ----------
    r : int
        Cycles after the address was taken before the host takes the word.
    """
    pins[f"{bus}.araddr"], pins[f"{bus}.arvalid"] = address, 1
    pins[f"{bus}.rready"] = int(r == 0)
    yield
    while not pins[f"{bus}.arready"]:
        yield
    pins[f"{bus}.araddr"], pins[f"{bus}.arvalid"] = ~address, 0
    for _ in range(r):
        yield
    pins[f"{bus}.rready"] = 1
    yield
    while not pins[f"{bus}.rvalid"]:
        yield
    pins[f"{bus}.rready"] = 0
    return pins[f"{bus}.rresp"], pins[f"{bus}.rdata"]


def hold_until_taken(pins: Pins, bus: str = "bus"):
    """Check, in the background, that responses stay valid and the same until they are taken."""
    fields = {"b": ("bresp",), "r": ("rresp", "rdata")}
    before: dict[str, tuple | None] = dict.fromkeys(fields)
    ready = dict.fromkeys(fields, 0)
    while True:
        ready = {c: pins.written.get(f"{bus}.{c}ready", ready[c]) for c in ready}
        yield
        for c, names in fields.items():
            now = tuple(pins[f"{bus}.{n}"] for n in names) if pins[f"{bus}.{c}valid"] else None
            assert before[c] in (None, now), f"{bus}.{c} must hold until taken"
            before[c] = None if ready[c] else now
