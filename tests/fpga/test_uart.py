# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Bytes survive a wrong rate and short pulses; what is no byte does not become one."""

import numpy as np
import pytest

from cosim.bench import put, simulate
from fpga.link.uart import Receiver, Transmitter, Uart

#: Clock and baud: 8.33, 26.67, 33.3, 100 and exactly 6 cycles a bit.
RATES = [
    (25_000_000, 3_000_000),
    (80_000_000, 3_000_000),
    (100_000_000, 3_000_000),
    (100_000_000, 1_000_000),
    (12_000_000, 2_000_000),
]
CORNERS = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0xA5]


def some_bytes(n, seed=1):
    return [*CORNERS, *np.random.default_rng(seed).integers(0, 256, n).tolist()]


def bits_of(byte):
    return [0, *(byte >> i & 1 for i in range(8)), 1]


def levels(data, cycles, *, start=0.0, gap=0.0):
    """Level of the line in each clock cycle; bits of ``cycles`` cycles, ``gap`` bits between."""
    edges, at = [], start
    for byte in data:
        for bit in bits_of(byte):
            edges.append((at, bit))
            at += cycles
        at += gap * cycles
    line, now, i = [], 1, 0
    for cycle in range(int(at) + 1):
        while i < len(edges) and edges[i][0] <= cycle:
            now = edges[i][1]
            i += 1
        line.append(now)
    return line


def received(line, clock, baud, *, idle=40):
    """Bytes that a receiver finds on a line, and framing errors."""
    found, errors = [], 0

    def drive(pins):
        nonlocal errors
        for level in [*line, *[1] * idle]:
            pins["rx"] = level
            yield
            errors += pins["error"]
            if pins["valid"]:
                found.append(pins["data"])

    simulate(Receiver(clock, baud), drive, limit=len(line) + idle + 10)
    return found, errors


@pytest.mark.parametrize("start", [0.0, 0.5, 0.99])
@pytest.mark.parametrize(("clock", "baud"), RATES)
def test_receiver_takes_bytes_without_a_gap(clock, baud, start):
    data = some_bytes(3)
    line = levels(data, clock / baud, start=3 + start)
    assert received(line, clock, baud) == (data, 0)


@pytest.mark.parametrize("error", [-0.025, -0.02, 0.02, 0.025])
@pytest.mark.parametrize(("clock", "baud"), RATES)
def test_receiver_takes_a_rate_that_is_off(clock, baud, error):
    """The phase at which a byte begins differs from byte to byte."""
    data = some_bytes(3 if clock // baud > 30 else 13, seed=2)
    line = levels(data, clock / baud * (1 + error), start=3.3)
    assert received(line, clock, baud) == (data, 0)


@pytest.mark.parametrize("gap", [0.1, 0.5, 7.3])
def test_receiver_takes_pauses(gap):
    data = some_bytes(5, seed=3)
    line = levels(data, 80 / 3, start=5, gap=gap)
    assert received(line, 80_000_000, 3_000_000) == (data, 0)


@pytest.mark.parametrize(("clock", "baud"), RATES[:3])
def test_receiver_ignores_pulses_of_one_cycle(clock, baud):
    """One in each bit, wherever it is, and when the line is idle."""
    data = some_bytes(5, seed=4)
    cycles = clock / baud
    line = [1] * 20 + levels(data, cycles)
    rng = np.random.default_rng(5)
    for at in range(2, len(line) - 2, int(cycles) + 1):
        # not beside an edge: there a pulse only moves it
        k = at + int(rng.integers(0, 3))
        if k < len(line) - 2 and len({*line[k - 2 : k + 3]}) == 1:
            line[k] ^= 1
    assert received(line, clock, baud) == (data, 0)


def test_receiver_ignores_a_start_bit_of_less_than_half():
    data = [0x3C, 0xC3]
    line = [1] * 9 + [0] * 11 + [1] * 60 + levels(data, 80 / 3)
    assert received(line, 80_000_000, 3_000_000) == (data, 0)


def test_receiver_refuses_a_byte_without_a_stop_bit():
    """A break is one error, however long it is, and the byte after it is taken."""
    good = levels([0x5A], 80 / 3)
    line = [1] * 9 + [0] * 700 + [1] * 20 + good
    assert received(line, 80_000_000, 3_000_000) == ([0x5A], 1)


def test_transmitter_keeps_the_rate():
    """Boundary ``n`` of the bits comes at cycle ``ceil(n * cycles)``, over many bytes."""
    for clock, baud in RATES:
        data, line = some_bytes(3, seed=6), []

        def watch(pins, line=line):
            while True:
                yield
                line.append(pins["tx"])

        def drive(pins, data=data, clock=clock, baud=baud):
            yield from put(pins, "i", data)
            for _ in range(12 * clock // baud):
                yield

        simulate(Transmitter(clock, baud), drive, background=[watch], limit=99_999)
        first = line.index(0)
        step = round(2 ** (1024 * clock // baud).bit_length() * baud / clock)
        cycles = 2 ** (1024 * clock // baud).bit_length() / step
        assert abs(cycles * baud / clock - 1) < 5e-4
        bits = [bit for byte in data for bit in bits_of(byte)]
        for n, bit in enumerate(bits):
            begin, end = -(-n * cycles // 1), -(-(n + 1) * cycles // 1)
            assert {*line[first + int(begin) : first + int(end)]} == {bit}
        assert {*line[:first], *line[first + int(len(bits) * cycles) + 2 :]} == {1}


@pytest.mark.parametrize("stall", [0, 500])
def test_uart_hears_itself(stall):
    data, heard = some_bytes(4, seed=7), []

    def loop(pins):
        pins["rx"] = pins["tx"]

    def drive(pins):
        yield from put(pins, "i", data, stall=stall)
        for _ in range(400):
            yield

    def listen(pins):
        pins["o.ready"] = 1
        while True:
            yield
            if pins["o.valid"]:
                heard.append(pins["o.payload"])

    dut = Uart(80_000_000, 3_000_000)
    simulate(dut, drive, background=[listen], reflex=loop)
    assert heard == data


@pytest.mark.parametrize(
    ("clock", "baud", "message"),
    [
        (0, 1, r"^clock must be a positive whole number \(Hz\), not 0$"),
        (100.0, 1, r"^clock must be a positive whole number \(Hz\), not 100\.0$"),
        (100, 0, r"^baud must be a positive whole number \(Bd\), not 0$"),
        (12_000_000, 2_000_001, r"^baud must be at most 2000000 \(clock / 6\), not 2000001$"),
    ],
)
def test_uart_rejects_rates(clock, baud, message):
    for component in (Uart, Receiver, Transmitter):
        with pytest.raises(ValueError, match=message):
            component(clock, baud)
