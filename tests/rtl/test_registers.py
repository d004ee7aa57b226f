# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Every register, window and rule of the host's bus."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from cosim.axi import OKAY, SLVERR, hold_until_taken
from cosim.axi import axi_read as read
from cosim.axi import axi_write as write
from cosim.bench import pack, simulate
from golden.hardware import ControllerConfig
from golden.register_map import Register, Window
from golden.registers import ID, register_map
from rtl.registers import RegisterFile

pytestmark = pytest.mark.slow


#: No array and no window but one fills its power of two.
HW = ControllerConfig(
    layers=3, tiles=5, lanes=4, transfer_lanes=2, random_depth=5, tables=3, program=6
)
MAP = register_map(HW)
REGISTERS = [e for e in MAP.entries if isinstance(e, Register) and "COUNTER" not in e.name]
WINDOWS = [e for e in MAP.entries if isinstance(e, Window)]
SETTINGS = [e for e in REGISTERS if e.access == "rw"]
#: Addresses below the last entry's end that hold nothing, and some of each power of two's end.
MAPPED = {MAP.address(e.name, i) for e in MAP.entries for i in range(e.words)}
HOLES = sorted(
    {MAP.address(e.name) + k for e in MAP.entries for k in (4 * e.words, MAP.size(e.name) - 4)}
    .union(range(0, MAP.offset["COUNTER_HIGH"], 4))
    .union({(1 << MAP.addr_width) - 4})
    .difference(MAPPED)
)


def ones(width):
    return (1 << width) - 1


class Surroundings:
    """Memory of LANES, the counters, and all that the windows were told."""

    def __init__(self):
        self.lanes = {i: 0x9E3779B1 * (i + 1) & ones(32) for i in range(MAP["LANES"].words)}
        self.counters = [(0xABCD_1234_5678 * (i + 3)) & ones(48) for i in range(64)]
        self.window_writes = []

    def __call__(self, pins):
        idle = np.random.default_rng(2)
        while True:
            yield
            asked = pins["lanes_r_en"]
            lane = self.lanes[pins["lanes_r_addr"]] if asked else int(idle.integers(1 << 32))
            pins["lanes_r_data"] = lane
            pins["counter_value"] = self.counters[pins["counter_index"]]
            for e in WINDOWS:
                name = e.name.lower()
                if pins[f"{name}_en"]:
                    self.window_writes.append((name, pins[f"{name}_addr"], pins[f"{name}_data"]))


def run(*processes, around=None):
    background = [hold_until_taken, around or Surroundings()]
    simulate(RegisterFile(MAP), *processes, background=background)


def reset_ports():
    """Golden: raw bits of the ports of all settings."""
    fresh = {e.name: MAP.encode(e.name) for e in SETTINGS}
    return {
        e.name.lower(): sum(fresh[e.name] << i * e.width for i in range(e.words)) for e in SETTINGS
    }


def ports(pins):
    return {name: pins[name] for name in reset_ports()}


def test_settings_take_every_bit_and_nothing_else_changes():
    def host(pins):
        yield
        want = reset_ports()
        assert ports(pins) == want
        for e in SETTINGS:
            name, mask = e.name.lower(), ones(e.width)
            for i in range(e.words):
                for word in (*(1 << k for k in range(e.width)), 0, ones(32)):
                    want[name] = want[name] & ~(mask << i * e.width) | (word & mask) << i * e.width
                    assert (yield from write(pins, MAP.address(e.name, i), word)) == OKAY
                    assert ports(pins) == want, (e.name, i, word)

    run(host)


def test_reads_depend_on_what_is_read_alone():
    """Every bit is read as 0 and as 1 with every bit of the others at 0 and at 1."""
    rng, around = np.random.default_rng(1), Surroundings()
    words = {(e.name, i): int(rng.integers(1 << 32)) for e in REGISTERS for i in range(e.words)}
    counters = range(0, MAP["COUNTER_LOW"].words, 3)

    def host(pins):
        for pattern in (0, ones(32), *rng.integers(1 << 32, size=6).tolist()):
            want = {}
            around.counters = [c ^ ones(48) for c in around.counters]
            for at, word in words.items():
                e = MAP[at[0]]
                want[at] = (word ^ pattern) & ones(e.width) if e.access != "pulse" else 0
                if e.access == "rw":
                    yield from write(pins, MAP.address(*at), word ^ pattern)
                elif e.access == "ro":
                    pins[e.name.lower()] = want[at]
            want |= {("LANES", i): word for i, word in around.lanes.items()}
            want |= {("COUNTER_LOW", i): around.counters[i] & ones(32) for i in counters}
            for at, word in want.items():
                assert (yield from read(pins, MAP.address(*at))) == (OKAY, word), at

    run(host, around=around)


def test_settings_return_to_their_reset_values():
    def host(pins):
        for e in SETTINGS:
            for i in range(e.words):
                yield from write(pins, MAP.address(e.name, i), 0x5A5A5A5A)
        assert all(pins[name] != bits for name, bits in reset_ports().items())
        pins["rst"] = 1
        yield
        pins["rst"] = 0
        yield
        assert ports(pins) == reset_ports()

    run(host)


def test_read_only_registers_show_their_port_and_refuse_writes():
    def host(pins):
        assert (yield from read(pins, MAP.address("ID"))) == (OKAY, ID)
        sizes = (yield from read(pins, MAP.address("SIZES")))[1]
        assert MAP.decode("SIZES", sizes) == {
            "layers": 3, "tiles": 5, "log2_lanes": 2, "log2_transfer_lanes": 1, "tables": 3,
            "program": 6,
        }  # fmt: skip
        for e in REGISTERS:
            if e.access == "ro":
                for bits in (*(1 << k for k in range(e.width)), 0, ones(e.width)):
                    pins[e.name.lower()] = bits
                    assert (yield from read(pins, MAP.address(e.name))) == (OKAY, bits)
                assert (yield from write(pins, MAP.address(e.name), 0)) == SLVERR
        for name in ("COUNTER_LOW", "COUNTER_HIGH"):
            assert (yield from write(pins, MAP.address(name), 0)) == SLVERR
        assert ports(pins) == reset_ports()

    run(host)


@pytest.mark.parametrize("busy", [0, 1])
def test_pulses_last_one_cycle(busy):
    pulses = []

    def host(pins):
        pins["busy"] = busy
        address, n = MAP.address("CONTROL"), MAP["CONTROL"].width
        for word in (*(1 << k for k in range(n)), ones(n), 0):
            assert (yield from write(pins, address, word, b=3)) == OKAY
        yield from write(pins, address, ones(32), 0b1110)

    def reader(pins):
        for gap in (0, 1, 5) * 8:
            assert (yield from read(pins, MAP.address("CONTROL"), r=gap)) == (OKAY, 0)

    def watch(pins):
        while True:
            yield
            pulses.append(pins["control"])

    simulate(RegisterFile(MAP), host, reader, background=[watch])
    assert [p for p in pulses if p] == [1, 2, 4, 8, 16, 32, 63]
    assert not any(a and b for a, b in pairwise(pulses))


def test_strobes_choose_bytes_of_every_setting():
    elements = [(e, i) for e in SETTINGS for i in range(e.words)]

    def host(pins):
        for e, i in elements:
            address, port, used = MAP.address(e.name, i), e.name.lower(), ones(e.width)
            for strobes in (0, 1, 2, 4, 8, 6, 9):
                mask = sum(0xFF << 8 * k for k in range(4) if strobes >> k & 1) & used
                for background in (0, used):
                    yield from write(pins, address, background)
                    response = yield from write(pins, address, ~background & ones(32), strobes)
                    now = pins[port] >> i * e.width & used
                    assert (response, now) == (OKAY, background ^ mask), (e.name, i, strobes)

    run(host)


def test_windows_pass_every_bit_to_one_memory():
    around, told = Surroundings(), []

    def host(pins):
        for e in WINDOWS:
            corners = {1 << k for k in range(20)} | {0, 5, e.words - 1}
            for i in sorted(c for c in corners if c < e.words):
                word = (0x9E3779B1 * (i + 1)) & ones(32)
                for value in (word, word ^ ones(32)):
                    assert (yield from write(pins, MAP.address(e.name, i), value, b=i % 3)) == OKAY
                    told.append((e.name.lower(), i, value & ones(e.width)))
            for strobes in range(15):
                assert (yield from write(pins, MAP.address(e.name), 1, strobes)) == SLVERR
        assert ports(pins) == reset_ports()

    run(host, around=around)
    assert around.window_writes == told


def test_windows_answer_reads_of_the_readable_one_only():
    around = Surroundings()

    def host(pins):
        for e in WINDOWS:
            for i in range(0, e.words, 1 if e.readable else 17):
                want = around.lanes[i] if e.readable else 0
                assert (yield from read(pins, MAP.address(e.name, i), r=3 * (i % 3))) == (
                    OKAY,
                    want,
                )

    run(host, around=around)


def test_busy_refuses_what_must_not_change_and_absent_addresses_are_errors():
    around = Surroundings()

    def host(pins):
        pins["busy"] = 1
        want = reset_ports()
        for e in SETTINGS:
            response = yield from write(pins, MAP.address(e.name), ones(32))
            assert response == (SLVERR if e.idle_only else OKAY), e.name
            if not e.idle_only:
                want[e.name.lower()] = ones(e.width)
        for e in WINDOWS:
            assert (yield from write(pins, MAP.address(e.name), 1)) == SLVERR
        pins["busy"] = 0
        for address in HOLES:
            assert (yield from write(pins, address, ones(32))) == SLVERR, address
            assert (yield from read(pins, address)) == (SLVERR, 0), address
            assert (pins["control"], ports(pins)) == (0, want), address

    run(host, around=around)
    assert around.window_writes == []


def test_counter_keeps_its_high_half():
    around = Surroundings()
    n, c = MAP["COUNTER_LOW"].words, around.counters

    def halves(pins, i, j):
        low = yield from read(pins, MAP.address("COUNTER_LOW", i))
        before, c[i] = c[i], ~c[i] & ones(48)  # the counter goes on
        yield from read(pins, MAP.address("COUNTER_LOW", n - 1) + 4)  # does not exist
        high = yield from read(pins, MAP.address("COUNTER_HIGH", j))
        assert (low, high) == ((OKAY, before & ones(32)), (OKAY, before >> 32))

    def host(pins):
        assert (yield from read(pins, MAP.address("COUNTER_HIGH", 3))) == (OKAY, 0)
        for i in range(n):
            yield from halves(pins, i, n - 1 - i)
        for k in range(48):
            c[k % n] = 1 << k
            yield from halves(pins, k % n, 0)

    run(host, around=around)


@pytest.mark.parametrize(("aw", "w"), [(0, 6), (6, 0)])
def test_writes_wait_for_their_other_half_and_for_the_response_before(aw, w):
    """What was taken stays although the host offers the next address, or word, already."""
    values = [5 + i for i in range(HW.layers)]
    addresses = [MAP.address("LAYER_LANES", i) for i in range(HW.layers)]

    def offer(channel, port, payloads, after):
        def process(pins):
            pins["bus.wstrb"] = 15
            for _ in range(after):
                yield
            for payload in payloads:
                pins[f"bus.{port}"], pins[f"bus.{channel}valid"] = payload, 1
                yield
                while not pins[f"bus.{channel}ready"]:
                    yield
            pins[f"bus.{channel}valid"] = 0

        return process

    def responses(pins):
        for ready, done in ((0, values[:1]), (1, values)):
            pins["bus.bready"] = ready
            for _ in range(20):
                yield
            assert pins["layer_lanes"] == pack(done, MAP["LAYER_LANES"].width)

    run(offer("aw", "awaddr", addresses, aw), offer("w", "wdata", values, w), responses)


BENCHES = [
    test_settings_take_every_bit_and_nothing_else_changes,
    test_reads_depend_on_what_is_read_alone,
    test_settings_return_to_their_reset_values,
    test_read_only_registers_show_their_port_and_refuse_writes,
    *(partial(test_pulses_last_one_cycle, busy) for busy in (0, 1)),
    test_strobes_choose_bytes_of_every_setting,
    test_windows_pass_every_bit_to_one_memory,
    test_windows_answer_reads_of_the_readable_one_only,
    test_busy_refuses_what_must_not_change_and_absent_addresses_are_errors,
    test_counter_keeps_its_high_half,
    *(
        partial(test_writes_wait_for_their_other_half_and_for_the_response_before, *order)
        for order in ((0, 6), (6, 0))
    ),
]
