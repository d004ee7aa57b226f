# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Every register, window and rule of the host's bus."""

from itertools import pairwise

import numpy as np
import pytest

from cosim.axi import OKAY, SLVERR, hold_until_taken
from cosim.axi import axi_read as read
from cosim.axi import axi_write as write
from cosim.bench import simulate
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
        while True:
            yield
            asked = pins["lanes_r_en"]
            pins["lanes_r_data"] = self.lanes[pins["lanes_r_addr"]] if asked else 0xDEADBEEF
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


def test_settings_are_read_back():
    rng = np.random.default_rng(1)
    words = {(e.name, i): int(rng.integers(1 << 32)) for e in SETTINGS for i in range(e.words)}

    def host(pins):
        yield
        for flip in (0, ones(32)):
            for at, word in words.items():
                yield from write(pins, MAP.address(*at), word ^ flip)
            for at, word in words.items():
                want = (OKAY, (word ^ flip) & ones(MAP[at[0]].width))
                assert (yield from read(pins, MAP.address(*at))) == want, at

    run(host)


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
        for gap in (0, 1, 2) * 8:
            assert (yield from read(pins, MAP.address("CONTROL"), r=gap)) == (OKAY, 0)

    def watch(pins):
        while True:
            yield
            pulses.append(pins["control"])

    simulate(RegisterFile(MAP), host, reader, background=[watch])
    assert [p for p in pulses if p] == [1, 2, 4, 8, 16, 32, 63]
    assert not any(a and b for a, b in pairwise(pulses))


@pytest.mark.parametrize("name", ["EXAMPLES", "LAYER_LANES", "INPUTS"])
def test_strobes_choose_bytes(name):
    def host(pins):
        address, now = MAP.address(name, MAP[name].words - 1), 0
        for strobes in range(16):
            word = (0x9E3779B1 * (strobes + 1)) & ones(32)
            mask = sum(0xFF << 8 * k for k in range(4) if strobes >> k & 1)
            now = (now & ~mask | word & mask) & ones(MAP[name].width)
            assert (yield from write(pins, address, word, strobes)) == OKAY
            assert (yield from read(pins, address)) == (OKAY, now)

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
                assert (yield from read(pins, MAP.address(e.name, i), r=i % 3)) == (OKAY, want)

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
