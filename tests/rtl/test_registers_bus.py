# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The protocol of the host's bus: order, back-pressure, latency, throughput."""

from functools import partial
from itertools import product

import numpy as np
import pytest

from cosim.axi import OKAY, SLVERR, axi_read, axi_write, hold_until_taken
from cosim.bench import pack, simulate
from golden.register_map import Field, Register, RegisterMap, Window
from rtl.registers import RegisterFile

MAP = RegisterMap((
    Register("TAG", "ro", (Field("tag", 16, "a constant", 0x1234),), "One of its kind."),
    Register("GO", "pulse", (Field("go", 1, "go"), Field("halt", 1, "halt")), "Pulses."),
    Register("LEVEL", "rw", (Field("low", 12, "low"), Field("high", 20, "high")), "Halves.", 3),
    Window("STORE", 5, 24, "A memory.", True),
))

#: Cycles before the host offers the address and the data of a write.
ORDERS = ((0, 0), (7, 0), (0, 7), (1, 0), (0, 1))
#: What a write of 3 changes first: name, port, and its value.
EFFECTS = (("LEVEL", "level", 3), ("GO", "go", 3), ("STORE", "store_en", 1))


def run(*processes):
    simulate(RegisterFile(MAP), *processes, background=[hold_until_taken])


@pytest.mark.parametrize("b", [0, 4])
@pytest.mark.parametrize(("aw", "w"), ORDERS)
def test_address_and_data_come_in_any_order(aw, w, b):
    words, told = (0x123, 0x456, 0x789), []

    def host(pins):
        for i, word in enumerate(words):
            for name in ("STORE", "LEVEL"):
                address = MAP.address(name, i)
                assert (yield from axi_write(pins, address, word, aw=aw, w=w, b=b)) == OKAY
        assert pins["level"] == sum(word << 32 * i for i, word in enumerate(words))

    def memory(pins):
        while True:
            yield
            if pins["store_en"]:
                told.append((pins["store_addr"], pins["store_data"]))

    simulate(RegisterFile(MAP), host, background=[memory, hold_until_taken])
    assert told == list(enumerate(words))


@pytest.mark.parametrize(("name", "port", "value"), EFFECTS)
@pytest.mark.parametrize(("aw", "w"), ORDERS)
def test_write_takes_two_cycles_from_its_data_and_three_from_its_address(name, port, value, aw, w):
    seen = []

    def host(pins):
        yield from axi_write(pins, MAP.address(name), 3, aw=aw, w=w)

    def watch(pins):
        while True:
            yield
            seen.append((pins[port], pins["bus.bvalid"]))

    simulate(RegisterFile(MAP), host, background=[watch])
    at = max(aw + 3, w + 2)
    assert seen[:at] == [(0, 0)] * at
    assert seen[at] == (value, 1)


def test_read_takes_four_cycles_and_a_memory_one_of_them():
    seen = []

    def host(pins):
        assert (yield from axi_read(pins, MAP.address("STORE", 4))) == (OKAY, 0xABCDEF)

    def memory(pins):
        while True:
            yield
            seen.append((pins["store_r_en"], pins["bus.rvalid"]))
            pins["store_r_data"] = 0xABCDEF if pins["store_r_en"] else 0x123456

    simulate(RegisterFile(MAP), host, background=[memory])
    assert seen[:5] == [(0, 0), (1, 0), (0, 0), (0, 0), (0, 1)]


def streamed(channels, n):
    """Cycles between responses if the host always offers and always takes."""
    at = []

    def host(pins):
        for c in channels:
            pins[f"bus.{c}"] = 1
        cycle = 0
        while len(at) < n:
            yield
            if pins["bus.bvalid"] or pins["bus.rvalid"]:
                at.append(cycle)
            cycle += 1

    run(host)
    return set(np.diff(at))


def test_bus_writes_every_three_cycles():
    assert streamed(("awvalid", "wvalid", "bready"), 5) == {3}


def test_bus_reads_every_five_cycles():
    assert streamed(("arvalid", "rready"), 5) == {5}


def test_host_that_takes_no_response_blocks_its_writes_only():
    def host(pins):
        level = MAP.address("LEVEL")
        pins["bus.wstrb"] = 15
        for word in (1, 2, 3):  # the second waits inside, the third outside
            pins["bus.awaddr"] = MAP.address("LEVEL", word == 3)
            pins["bus.wdata"], pins["bus.awvalid"], pins["bus.wvalid"] = word, 1, 1
            for _ in range(8):
                yield
                if pins["bus.awready"] and word < 3:
                    assert pins["bus.wready"]
                    pins["bus.awvalid"] = pins["bus.wvalid"] = 0
            assert (pins["level"], pins["bus.bvalid"]) == (1, 1)
            assert (yield from axi_read(pins, level)) == (OKAY, 1)
        assert not pins["bus.awready"]
        assert not pins["bus.wready"]
        pins["bus.bready"] = 1
        yield
        yield
        assert pins["level"] == 2

    run(host)


def test_host_that_takes_no_word_blocks_its_reads_only():
    def host(pins):
        pins["bus.araddr"], pins["bus.arvalid"] = MAP.address("TAG"), 1
        yield
        pins["bus.araddr"] = MAP.address("LEVEL")
        for word in (5, 6, 7):
            assert (yield from axi_write(pins, MAP.address("LEVEL"), word)) == OKAY
        assert (pins["bus.rvalid"], pins["bus.rdata"], pins["bus.arready"]) == (1, 0x1234, 0)
        pins["bus.rready"] = 1
        yield
        while not pins["bus.arready"]:
            yield
        pins["bus.arvalid"] = 0
        yield
        while not pins["bus.rvalid"]:
            yield
        assert pins["bus.rdata"] == 7

    run(host)


@pytest.mark.parametrize("busy", [0, 1])
def test_every_address_answers_as_the_map_says(busy):
    words = {MAP.address("LEVEL", i): 0x9E3779B1 * (i + 1) & 0xFFFF_FFFF for i in range(3)}
    places = {MAP.address("STORE", i): 0x9E3779 * (i + 1) & 0xFF_FFFF for i in range(5)}
    flips, stored = [0], []

    def host(pins):
        pins["busy"] = busy
        for flip in (0, 0xFFFF_FFFF):
            flips.append(flip)
            pins["tag"] = (0x1234 ^ flip) & 0xFFFF
            want = {MAP.address("TAG"): (0x1234 ^ flip) & 0xFFFF, MAP.address("GO"): 0}
            want |= {address: word ^ flip for address, word in words.items()}
            want |= {address: word ^ flip & 0xFF_FFFF for address, word in places.items()}
            for address in range(0, 64, 4):
                word = want.get(address, 0xABCDEF ^ flip)
                taken = address in words or address == MAP.address("GO")
                taken |= address in places and not busy
                response = yield from axi_write(pins, address, word)
                assert response == (OKAY if taken else SLVERR), address
            for address in range(0, 64, 4):
                readable = address in want and not (address in places and busy)
                answer = (OKAY, want[address]) if readable else (SLVERR, 0)
                assert (yield from axi_read(pins, address)) == answer, address

    def memory(pins):
        while True:
            yield
            if pins["store_en"]:
                stored.append((MAP.address("STORE", pins["store_addr"]), pins["store_data"]))
            at = MAP.address("STORE", pins["store_r_addr"]) if pins["store_r_en"] else None
            pins["store_r_data"] = places.get(at, 0) ^ flips[-1] & 0xFF_FFFF

    simulate(RegisterFile(MAP), host, background=[memory, hold_until_taken])
    flipped = [(at, word ^ 0xFF_FFFF) for at, word in places.items()]
    assert stored == ([] if busy else [*places.items(), *flipped])


def test_random_traffic_does_what_a_model_does():
    """Writes of anything anywhere, at random paces, while the other side reads."""
    rng = np.random.default_rng(3)
    levels = {MAP.address("LEVEL", i): 0 for i in range(3)}
    model = {MAP.address("STORE", i): 0 for i in range(5)}
    store = dict(model)
    wanted, pulses = [], []
    kept = [0x9E3779 * (i + 1) & 0xFFFFFF for i in range(5)]

    def golden_write(address, word, strobes):
        mask = sum(0xFF << 8 * k for k in range(4) if strobes >> k & 1)
        if address in levels:
            levels[address] = levels[address] & ~mask | word & mask
        elif address in model and strobes == 15:
            model[address] = word & 0xFFFFFF
        elif address == MAP.address("GO"):
            wanted.extend([pulse] if (pulse := word & mask & 3) else [])
        else:
            return SLVERR
        return OKAY

    def writer(pins):
        for aw, w, b, gap in rng.integers(0, 4, (300, 4)).tolist():
            for _ in range(gap):
                yield
            word, address = int(rng.integers(1 << 32)), 4 * int(rng.integers(16))
            strobes = 15 if gap % 2 else int(rng.integers(16))
            response = yield from axi_write(pins, address, word, strobes, aw=aw, w=w, b=b)
            assert response == golden_write(address, word, strobes)
            assert pins["level"] == pack(levels.values(), 32)
        assert (store, pulses) == (model, wanted)
        for address, word in levels.items():
            assert (yield from axi_read(pins, address)) == (OKAY, word)

    def reader(pins):
        for r, gap in np.random.default_rng(4).integers(0, 4, (100, 2)).tolist():
            for _ in range(gap):
                yield
            assert (yield from axi_read(pins, MAP.address("TAG"), r=r)) == (OKAY, 0x1234)
            assert (yield from axi_read(pins, 0x3C, r=gap)) == (SLVERR, 0)
            word = int(rng.integers(5))
            stored = yield from axi_read(pins, MAP.address("STORE", word), r=gap)
            assert stored == (OKAY, kept[word])

    def memory(pins):
        while True:
            yield
            if pins["store_en"]:
                store[MAP.address("STORE", pins["store_addr"])] = pins["store_data"]
            if pins["go"]:  # one that lasts longer counts more than once
                pulses.append(pins["go"])
            pins["store_r_data"] = kept[pins["store_r_addr"]] if pins["store_r_en"] else 0

    simulate(RegisterFile(MAP), writer, reader, background=[memory, hold_until_taken])


BENCHES = [
    *(
        partial(test_address_and_data_come_in_any_order, *order, b)
        for order, b in product(ORDERS, (0, 4))
    ),
    *(
        partial(
            test_write_takes_two_cycles_from_its_data_and_three_from_its_address, *effect, *order
        )
        for effect, order in product(EFFECTS, ORDERS)
    ),
    test_read_takes_four_cycles_and_a_memory_one_of_them,
    test_bus_writes_every_three_cycles,
    test_bus_reads_every_five_cycles,
    test_host_that_takes_no_response_blocks_its_writes_only,
    test_host_that_takes_no_word_blocks_its_reads_only,
    *(partial(test_every_address_answers_as_the_map_says, busy) for busy in (0, 1)),
    test_random_traffic_does_what_a_model_does,
]
