# SPDX-License-Identifier: Apache-2.0
"""The host's side of the link, against a model of the board."""

import numpy as np
import pytest
from link_world import Cable, Faults, result_of

from crossforge.data import load
from fpga.host import BusError, Link, packet
from fpga.link.frames import Kind, encode_frame
from fpga.link.zero_code import encode_packet
from fpga.operations import Examples, Flush, Identity, Read, Results, Write
from fpga.session import Session
from fpga.transport import LinkError

TINY = {"request_words": 16, "response_words": 8, "capacity": 64, "results_kept": 4}


def linked(cable=None, **options):
    cable = cable or Cable()
    return Link(cable, clock=cable.time, **{"first": 0, **options}).open()


def examples(n, seed=1, pixels=21, host_bytes=8):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, pixels)) * (rng.random((n, pixels)) < 0.4)
    return [packet(i % 10, bytes(x.tolist()), host_bytes) for i, x in enumerate(images)]


def test_link_knows_the_board():
    link = linked(Cable(host_bytes=4, **TINY))
    assert link.identity == Identity(1, 4, 16, 8, 64, 4)
    assert (link.room, link.waiting) == (64, 0)


@pytest.mark.parametrize("sizes", [{}, TINY], ids=["default", "tiny"])
def test_link_writes_and_reads_any_length(sizes):
    link = linked(Cable(**sizes))
    rng = np.random.default_rng(1)
    for n in (0, 1, 5, 14, 15, 600, 2100):
        words = rng.integers(0, 1 << 32, n, dtype=np.uint32)
        link.write(64, words)
        got = link.read(64, n)
        assert got.dtype == np.uint32
        np.testing.assert_array_equal(got, words)


def test_link_does_operations_in_order_and_in_few_requests():
    link = linked()
    before = link.counters.requests
    got = link.exchange([Write(0, [1, 2]), Read(0, 2), Write(4, [3]), Read(0, 2), Flush()])
    assert link.counters.requests == before + 1
    assert [None if v is None else v.tolist() for v in got] == [None, [1, 2], None, [1, 3], None]
    many = [op for i in range(300) for op in (Write(4 * i, [i]), Read(4 * i))]
    assert [v.tolist() for v in link.exchange(many)[1::2]] == [[i] for i in range(300)]
    assert link.counters.requests == before + 4  # 255 operations each at most
    assert link.exchange([]) == []


def test_link_says_where_the_bus_refused():
    cable = Cable()
    link = linked(cable)
    end = cable.board.bus.size
    with pytest.raises(
        BusError, match=r"^writing 0x00004000 must be allowed, but was answered SLV"
    ):
        link.exchange([Read(0), Write(end - 8, [1, 2, 3]), Write(0, [9])])
    with pytest.raises(
        BusError, match=r"^reading 0x00004000 must be allowed, but was answered SLV"
    ):
        link.read(end - 4 * 700, 1400)
    np.testing.assert_array_equal(link.read(end - 8, 2), [1, 2])
    assert link.read(0) == 0


@pytest.mark.parametrize("sizes", [{}, TINY], ids=["default", "tiny"])
@pytest.mark.parametrize("pace", [1, 7, 10_000])
def test_link_streams_examples_and_collects_results(sizes, pace):
    cable = Cable(pace=pace, **sizes)
    link = linked(cable)
    packets = examples(40)
    cable.board.bus.words[12] = 77
    got = []
    for results, values in link.stream(packets, also=[Read(12)]):
        got += results.tolist()
        assert [v.tolist() for v in values] == [[77]]
    assert cable.controller.packets == packets
    assert got == [result_of(p) for p in packets]
    assert link.waiting == 0


def test_link_sends_what_fits():
    cable = Cable(pace=0, **TINY)
    link = linked(cable)
    packets = examples(20)
    n = link.send_examples(packets)
    assert sum(len(encode_packet(p)) for p in packets[:n]) <= 64
    assert sum(len(encode_packet(p)) for p in packets[: n + 1]) > 64
    assert link.send_examples(packets[n:]) == 0
    assert link.send_goals([1]) == 0
    cable.controller.pace = 10_000
    link.read(0)
    link.read(0)  # the first one may have been answered before
    assert link.send_examples(packets[n:]) > 0
    assert link.send_examples([]) == 0
    cable.controller.step()
    np.testing.assert_array_equal(link.results()[:n], [result_of(p) for p in packets[:n]])


def test_link_sends_goals_then_examples():
    cable = Cable(pace=0, **TINY)
    link = linked(cable)
    goals = [*np.random.default_rng(2).integers(-128, 128, 90).tolist(), -32768, 32767, 0, 0]
    sent = link.send_goals(goals[:3])
    assert sent == 3
    with pytest.raises(LinkError, match=r"^goals must be used up before examples are sent, or be "):
        list(link.stream(examples(1)))
    assert link.send_examples(examples(1)) == 0
    sent += link.send_goals(goals[sent:])
    assert 3 < sent < len(goals)
    cable.controller.pace = 10_000
    while sent < len(goals):
        link.read(0)
        sent += link.send_goals(goals[sent:])
    link.read(0)
    assert cable.controller.goals == goals
    assert link.send_examples(examples(1)) == 1


def test_link_flush_ends_a_packet():
    cable = Cable(pace=0)
    link = linked(cable)
    assert link.send_examples(examples(3)) == 3
    cable.board.input.take()
    link.flush()
    assert (link.room, link.waiting) == (8192, 0)
    assert cable.board.input.take() == (bytes(8), True)
    assert cable.board.input.take() is None
    assert link.send_goals([5]) == 1


def test_link_open_forgets_what_an_earlier_program_left():
    cable = Cable(pace=0)
    assert linked(cable).send_examples(examples(3)) == 3
    cable.board.results += [1, 2]
    link = linked(cable, first=0)
    assert (link.room, link.waiting) == (8192, 0)
    assert len(link.results()) == 0


def test_link_is_closed_behind_a_with():
    cable = Cable()
    with Link(cable, clock=cable.time) as link:
        assert link.read(0) == 0
    assert cable.closed == 1
    dead = Cable(Faults(1, rate=1.0))
    with pytest.raises(LinkError), Link(dead, clock=dead.time):
        pass
    assert dead.closed == 1


def test_link_counts():
    cable = Cable()
    link = linked(cable)
    link.read(0)
    counters = link.counters
    assert (counters.requests, counters.frames, counters.repeats) == (2, 2, 0)
    assert counters.bytes_out == (11 + 16) + (11 + 8)
    assert counters.bytes_in == cable.said == (11 + 12 + 8) + (11 + 4 + 8)


# --- what goes wrong


def test_link_rejects_use_before_open():
    link = Link(Cable())
    for use in (lambda: link.read(0), lambda: link.identity, lambda: link.send_goals([1])):
        with pytest.raises(
            LinkError, match=r"^the link must be open to be used: call open\(\) first$"
        ):
            use()


def test_link_says_that_a_board_is_silent():
    cable = Cable()
    cable.board.receive = lambda byte, now: b""
    with pytest.raises(
        LinkError, match=r"^the board at the cable must answer, but is silent: check "
    ):
        linked(cable)
    assert 1 < cable.now < 10


def test_link_says_that_a_board_talks_garbage():
    cable = Cable()
    rng = np.random.default_rng(1)
    cable.board.receive = lambda byte, now: bytes(rng.integers(0, 256, 3).tolist())
    with pytest.raises(
        LinkError, match=r"^the board at the cable must answer in whole frames, but n"
    ):
        linked(cable)
    assert cable.now < 10


def test_link_refuses_its_own_echo():
    cable = Cable()
    cable.board.receive = lambda byte, now: bytes([byte])
    with pytest.raises(
        LinkError, match=r"^the board at the cable must answer in whole frames, but n"
    ):
        linked(cable)


def test_link_refuses_another_version(monkeypatch):
    monkeypatch.setattr("fpga.link.model.VERSION", 3)
    with pytest.raises(
        LinkError, match=r"^the board's protocol version must be 1, not 3: configure "
    ):
        linked()


def test_link_says_that_a_board_was_reset():
    cable = Cable()
    link = linked(cable)
    cable.board.reset()
    with pytest.raises(
        LinkError, match=r"^the board must keep its state during a run, but was reset"
    ):
        link.read(0)
    assert link.open().read(0) == 0


def test_link_goes_on_when_the_cable_comes_back():
    cable = Cable()
    link = linked(cable)
    link.write(0, [5])
    cable.plugged = False
    assert link.read(0) == 5
    assert link.counters.reopened == 1
    cable.plugged = cable.comes_back = False
    with pytest.raises(LinkError, match=r"^the cable did not come back$"):
        link.read(0)


def test_link_ignores_answers_of_an_earlier_session():
    """They may wait in the cable: of the same number, or of none that is known."""
    cable = Cable()
    linked(cable, first=9).read(0)
    for late in (
        encode_frame(Kind.RESPONSE, 1, bytes(8)),
        encode_frame(Kind.RESPONSE, 1, bytes(12)),
        encode_frame(Kind.REFUSED, 1),
        encode_frame(Kind.DAMAGED, 1),
    ):
        cable._rx.append((cable.now, late))
        assert linked(cable, first=0).read(0) == 0
        session = Session(cable, clock=cable.time, first=0)
        cable.drain = lambda: None
        cable._rx.append((cable.now, late))
        session.open()
        assert session.identity is not None
        del cable.drain


def test_link_repeats_at_once_what_was_damaged():
    cable = Cable()
    link = linked(cable)
    for direction in ("out", "in"):
        calls = iter([direction == "out", direction == "in", False, False, False])
        damage = cable.faults.damage

        def once(data, calls=calls):
            return data[:-1] + bytes([data[-1] ^ 1]) if next(calls, False) else data

        cable.faults.damage = once
        before = cable.now
        assert link.read(0) == 0
        assert cable.now - before < 0.02, "well before the time-out"
        cable.faults.damage = damage
    assert (link.counters.damaged_out, link.counters.damaged_in) == (1, 1)
    assert link.counters.repeats == 2


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: Write(2, [1]),
            r"^address must be a multiple of 4 with 1 words from there on, not 2$",
        ),
        (lambda: Read(-4), r"^address must be a multiple of 4 with 1 words from there on, not -4$"),
        (
            lambda: Read(2**32 - 4, 2),
            r"^address must be a multiple of 4 with 2 words from there on",
        ),
        (lambda: Read(0, -1), r"^n must be non-negative, not -1$"),
        (
            lambda: Write(0, [-1]).encode(),
            r"^words must be integers within 0\.\.4294967295, not \[-1",
        ),
        (
            lambda: Write(0, [0.5]).encode(),
            r"^words must be integers within 0\.\.4294967295, not \[0",
        ),
        (
            lambda: linked().send_goals([1 << 15]),
            r"^goals must be whole numbers within -32768\.\.32767",
        ),
        (
            lambda: linked().send_goals([0.5]),
            r"^goals must be whole numbers within -32768\.\.32767",
        ),
        (
            lambda: linked(Cable(**TINY)).send_examples([bytes([1] * 80)]),
            r"^packet must be at most 64 bytes when coded, as the board's buffer, not 82$",
        ),
        (
            lambda: Link(Cable(), patience=0),
            r"^patience must be within 0\.\.1\.0 \(s\), above 0, not 0$",
        ),
        (lambda: Link(Cable(), attempts=0), r"^attempts must be positive, not 0$"),
        (lambda: Link(Cable(), first=256), r"^first must be within 0\.\.255, or None, not 256$"),
    ],
)
def test_link_rejects_bad_values(use, message):
    with pytest.raises(ValueError, match=message):
        use()


def test_link_refuses_operations_that_cannot_be_done():
    link = linked()
    with pytest.raises(
        LinkError, match=r"^Results\(n=1\) must be an operation that the board can do"
    ):
        link.exchange([Results(1)])
    with pytest.raises(
        LinkError, match=r"^examples and goals must fit when they are sent: use send_"
    ):
        linked(Cable(pace=0, **TINY)).exchange([
            Examples(bytes([1] * 40)),
            Examples(bytes([1] * 40)),
        ])


# --- how fast


def test_link_carries_3600_mnist_examples_a_second():
    """As the docstring of fpga.host says: bytes of all frames, both ways, at 3 MBd."""
    data = load()
    images = data.x_train[:3000].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    pixels = np.floor(images + 0.5).astype(np.uint8).reshape(len(images), -1)
    packets = [packet(int(y), x, 8) for y, x in zip(data.y_train, pixels, strict=False)]
    cable = Cable()
    link = linked(cable)
    start = link.counters.bytes_out + link.counters.bytes_in
    for _ in link.stream(packets):
        pass
    total = link.counters.bytes_out + link.counters.bytes_in - start
    assert cable.controller.packets == packets
    rate = 300_000 / (total / len(packets))
    assert 3500 < rate < 3800, rate
