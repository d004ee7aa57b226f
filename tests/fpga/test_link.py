# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The gateware of the link does what its model does, and each request once."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cosim.bench import simulate
from cosim.verilog_bench import load, simulate_verilog
from fpga.link.frames import FrameReader, Kind, Op, Status, encode_frame, operation
from fpga.link.link import Link, UartLink
from fpga.link.model import MemoryBus
from fpga.link.zero_code import encode_packet, encode_zeros
from fpga.operations import Examples, Flush, Goals, Identify, Read, Results, Write, decode_reply

# By path, as this file is loaded itself within a simulator, where no folder of tests is searched.
BENCH = Path(__file__).with_name("link_bench.py")
GAP, HOST_BYTES, SIZES, WORDS = (
    load(f"{BENCH}:{name}") for name in ("GAP", "HOST_BYTES", "SIZES", "WORDS")
)
check_script, collect, listen, memory, offer_results, run_model, send, settle = (
    load(f"{BENCH}:{name}")
    for name in (
        "check_script",
        "collect",
        "listen",
        "memory",
        "offer_results",
        "run_model",
        "send",
        "settle",
    )
)


def frame(sequence, *operations, kind=Kind.REQUEST):
    return encode_frame(kind, sequence, b"".join(op.encode() for op in operations))


def opening(sequence=0, *operations):
    return frame(sequence, *operations, kind=Kind.OPEN)


def lines(*frames):
    return [("line", data) for data in frames]


def flipped(data, at, mask=0x10):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def kinds(said):
    return [[f.kind for f in FrameReader(1 << 15).feed(data)] for data in said]


def statuses(said):
    """Status of the response to each entry."""
    return [FrameReader(1 << 15).feed(data)[0].payload[-8] for data in said]


PACKET = bytes([3, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 9])
CODED = encode_packet(PACKET)
BEATS = [(int.from_bytes(PACKET[k : k + 4], "little"), int(k == 8)) for k in (0, 4, 8)]


def check_operations():
    """Each operation, alone and in a list."""
    script = lines(
        opening(7, Identify(), Flush()),
        frame(8, Write(0, [1, 2, 3]), Read(0, 4), Write(60, [0xFFFFFFFF]), Read(60)),
        frame(9, Examples(CODED), Read(4, 0), Write(8, [])),
        frame(10),
    )
    script += [("results", [5, 0x80000000, 7])]
    script += lines(frame(11, Results(2)), frame(12, Results(1), Results(0)), frame(13, Results(1)))
    script += lines(frame(14, Goals(encode_zeros(b"\1\0\0\0\xff\xff\0\x80"))))
    (said, examples, goals, bus), got = check_script(script)
    assert got[1] == examples == BEATS
    assert goals == [1, 0, 0xFFFF, 0x8000]
    assert bus.words == {0: 1, 4: 2, 8: 3, 60: 0xFFFFFFFF}
    assert statuses(s for s in said if s) == [0] * 6 + [Status.MALFORMED, 0]


def check_repeats():
    """Repeat requests: they are answered again, not executed again, also after damage."""
    write = frame(1, Write(0, [5]), Read(0), Examples(CODED))
    script = lines(
        opening(0),
        write,
        write,
        flipped(frame(2, Write(0, [6])), 20),
        write,
        frame(2, Write(4, [6])),
        write,  # out of sequence now
        frame(4),
        frame(2, Write(4, [6])),
    )
    (said, examples, _, bus), got = check_script(script)
    assert kinds(said) == [[k] for k in (3, 3, 3, 4, 3, 3, 5, 5, 3)]
    assert bus.accesses == [("w", 0, 5), ("r", 0, 5), ("w", 4, 6)]
    assert got[1] == examples == BEATS


def check_sessions():
    """Without one all is refused; a new one begins wherever it likes, and is always executed."""
    script = lines(
        frame(0, Read(0)),
        frame(1, Read(0)),
        opening(255, Write(0, [1])),
        opening(255, Write(0, [2])),
        frame(255, Write(0, [3])),  # a repeat
        frame(0, Write(0, [4])),
        encode_frame(3, 1),
        encode_frame(0, 1),
        encode_frame(0x82, 1),
    )
    (said, _, _, bus), _ = check_script(script)
    assert kinds(said) == [[k] for k in (5, 5, 3, 3, 3, 3, 5, 5, 5)]
    assert bus.accesses == [("w", 0, 1), ("w", 0, 2), ("w", 0, 4)]


def check_refusals():
    """End lists of operations by failures; the answer says which and where."""
    lists = [
        [Write(0, [1]), Write(4 * WORDS - 4, [2, 3, 4]), Write(4, [9])],
        [Read(4 * WORDS - 8, 4), Write(4, [9])],
        [Read(0, 10), Read(0, 5)],
        [Read(0, 14)],
        [Read(0, 13), Identify()],
        [Results(1)],
        [Examples(bytes([1] * 64))],
        [Examples(bytes([1] * 65)), Write(4, [9])],
    ]
    script = lines(opening(0), *(frame(i + 1, *ops) for i, ops in enumerate(lists)))
    raw = [
        operation(Op.WRITE, 2, 0, b"abcd"),
        operation(Op.EXAMPLES, 5, 0, b"abcd"),
        operation(Op.READ, 1)[:4],
        operation(0, 3, 1),
        operation(8, 1) + operation(Op.WRITE, 1, 4, b"abcd"),
        operation(Op.WRITE, 1, 2, b"abcd"),
    ]
    at = len(script)
    script += lines(*(encode_frame(Kind.REQUEST, at + i, data) for i, data in enumerate(raw)))
    (said, _, _, bus), _ = check_script(script)
    assert statuses(said) == [0, 1, 1, 3, 0, 3, 3, 0, 2, 3, 3, 3, 3, 3, 1]
    assert bus.words == {0: int.from_bytes(b"abcd", "little"), 4 * WORDS - 4: 2}
    reply = decode_reply(lists[0], FrameReader(99).feed(said[1])[0].payload)
    assert (reply.done, reply.left) == (1, 2)


def check_damage():
    """Every byte of a frame is wrong once, missing once, there twice; it never gets through."""
    good = frame(1, Write(0, [0xA5A5A5A5]), Read(0))
    script = lines(opening(0))
    for at in range(len(good)):
        bad = [flipped(good, at, 1 << at % 8), good[:at] + good[at + 1 :]]
        if 0 < at < len(good) - 1:
            bad.append(good[:at] + good[at : at + 1] + good[at:])
        script += lines(*bad)
    before = len(script)
    script += lines(good, b"\xff\x00" + frame(2, Read(0)), b"\xa5" * 3, frame(3, Read(0)))
    (said, _, _, bus), _ = check_script(script)
    assert all(Kind.RESPONSE not in found for found in kinds(said[1:before]))
    assert kinds(said[before:]) == [[3], [3], [4], [3]]
    assert bus.accesses == [("w", 0, 0xA5A5A5A5), *[("r", 0, 0xA5A5A5A5)] * 3]


def check_truncation():
    """Stop a frame anywhere: it is forgotten after the gap; one that is too long never begins."""
    good = frame(1, Write(0, [1, 2]))
    script = lines(opening(0), *(good[:n] for n in range(len(good))), good)
    script += lines(encode_frame(Kind.REQUEST, 2, bytes(4 * 33)), frame(2, Read(0)))
    (said, _, _, bus), _ = check_script(script)
    assert kinds(said) == [[3], [], *[[4]] * (len(good) - 1), [3], [4], [3]]
    assert bus.accesses == [("w", 0, 1), ("w", 4, 2), ("r", 0, 1)]


def check_flush(taken):
    """``taken`` beats are taken before a flush in the middle of the second packet."""
    rng = np.random.default_rng(taken)
    examples, goals, said, bus = [], [], [], MemoryBus(WORDS)
    allowed, replies = 3 + taken, []

    def ask(pins, sequence, *operations, kind=Kind.REQUEST):
        said.clear()
        yield from send(pins, frame(sequence, *operations, kind=kind))
        for _ in range(60):
            yield
        while pins["busy"]:
            yield
        (answer,) = FrameReader(99).feed(bytes(said))
        replies.append(decode_reply(operations, answer.payload))

    def host(pins):
        nonlocal allowed
        yield from ask(pins, 0, Examples(CODED * 2), kind=Kind.OPEN)
        yield from offer_results(pins, [1, 2])
        yield from ask(pins, 1, Goals(b"ab"))  # refused
        offered = pins["examples.tvalid"]
        assert offered
        yield from ask(pins, 2, Flush())
        assert pins["examples.tvalid"], "what is offered stays"
        assert replies[-1].waiting == replies[-1].level == 0
        if taken == 0 or taken == 1:
            yield from ask(pins, 3, Goals(b"ab"))
            assert replies[-1].status == Status.NO_ROOM, "a beat still waits"
        allowed = 99
        yield from settle(pins)
        assert examples[-1][1], "the packet ends"
        yield from ask(pins, 3 + (taken < 2), Goals(b"abcd"))
        yield from settle(pins)
        assert replies[-1].status == Status.OK
        yield from ask(pins, 4 + (taken < 2), Examples(CODED), Flush(inputs=False))
        yield from settle(pins)

    simulate(
        Link(HOST_BYTES, GAP, **SIZES),
        host,
        background=[
            lambda pins: memory(pins, bus, rng),
            lambda pins: collect(pins, "examples", examples, rng, lambda: len(examples) < allowed),
            lambda pins: collect(pins, "goals", goals, rng),
            lambda pins: listen(pins, said, rng),
        ],
    )
    assert [r.status for r in replies[:2]] == [Status.OK, Status.NO_ROOM]
    assert replies[1].waiting == 2
    begun = BEATS[: taken + 1]  # and the one that was offered
    ended = [] if begun[-1][1] else [1]
    lasts = [last for _, last in examples[3 : len(examples) - 3]]
    assert examples[:3] == BEATS
    assert examples[3 : 3 + len(begun)] == begun
    assert lasts == [last for _, last in begun] + ended
    assert examples[-3:] == BEATS
    assert [data for data, _ in goals] == [0x6261, 0x6463]


def check_full_results():
    """Fill the queue: the controller waits, nothing is lost."""
    rng = np.random.default_rng(1)
    said, given, replies, wanted = [], [], [], list(range(100, 120))

    def source(pins):
        for word in wanted:
            yield from offer_results(pins, [word])
            given.append(word)

    def host(pins):
        sequence, waiting, got = 0, 0, []
        while len(got) < len(wanted):
            said.clear()
            operations = [Results(min(waiting, 14))]
            kind = Kind.REQUEST if sequence else Kind.OPEN
            yield from send(pins, frame(sequence, *operations, kind=kind))
            while pins["busy"] or not said:
                yield
            (answer,) = FrameReader(99).feed(bytes(said))
            reply = decode_reply(operations, answer.payload)
            got += reply.values[0].tolist()
            replies.append(reply.waiting)
            waiting, sequence = reply.waiting, sequence + 1
        assert got == wanted

    simulate(
        Link(HOST_BYTES, GAP, **SIZES),
        host,
        source,
        background=[lambda pins: listen(pins, said, rng)],
    )
    assert max(replies) == SIZES["results_kept"]


@pytest.mark.parametrize(
    "check", [check_operations, check_repeats, check_sessions, check_refusals, check_truncation]
)
def test_link_does_what_the_model_does(check):
    check()


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_link_ends_a_packet_at_a_flush(taken):
    check_flush(taken)


def test_link_keeps_results_until_they_are_asked_for():
    check_full_results()


def test_model_answers_like_the_format_says():
    """Bytes worked out by hand, apart from the CRCs."""
    said = run_model(lines(opening(5, Identify())))[0][0]
    assert said[:5] == bytes([0xA5, 3, 5, 5, 0])
    assert said[7:-4] == bytes.fromhex("01040000 20001000 40000800 00010000 00000000")


def check_uart_link():
    """Go through pins, at 8.33 cycles a bit."""
    clock, baud = 25_000_000, 3_000_000
    cycles = clock / baud
    good = frame(9, Identify(), kind=Kind.OPEN)
    line = []
    for byte in good:
        line += [0, *(byte >> i & 1 for i in range(8)), 1]
    seen = []

    def drive(pins):
        for n in range(int(len(line) * cycles)):
            pins["rx"] = line[int(n / cycles)]
            yield
        pins["rx"] = 1
        yield
        while not pins["busy"]:
            yield
        while pins["busy"]:
            yield
        for _ in range(100):
            yield

    def watch(pins):
        while True:
            yield
            seen.append(pins["tx"])

    dut = UartLink(clock, baud, HOST_BYTES, gap=1e-5, **SIZES)
    simulate(dut, drive, background=[watch])
    found, at = b"", 0
    while 0 in seen[at:]:
        at += seen[at:].index(0)
        bits = [seen[int(at + (n + 0.5) * cycles)] for n in range(10)]
        assert (bits[0], bits[9]) == (0, 1)
        found += bytes([sum(bit << n for n, bit in enumerate(bits[1:9]))])
        at = int(at + 9.6 * cycles)
    assert found == run_model(lines(good))[0][0]


def test_uart_link_answers_through_its_pins():
    check_uart_link()


BENCHES = [
    check_operations,
    check_repeats,
    check_sessions,
    check_refusals,
    check_truncation,
    check_damage,
    *(partial(check_flush, taken) for taken in (0, 1, 2)),
    check_full_results,
]


@pytest.mark.slow
def test_verilog_does_what_the_model_does():
    simulate_verilog(f"{__file__}:BENCHES")
