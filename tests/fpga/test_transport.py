# SPDX-License-Identifier: Apache-2.0
"""Serial ports, as pseudo-terminals: opened alone, lost, found again."""

import os
import pty
import select
import threading
import tty

import numpy as np
import pytest

from fpga.host import Link
from fpga.link.model import LinkModel, MemoryBus
from fpga.transport import LinkError, SerialTransport


class PtyBoard:
    """A board behind a pseudo-terminal."""

    def __init__(self):
        self.model = LinkModel(MemoryBus(64), gap=10.0)
        self.fd, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave
        self._stop, self._stopper = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            ready = select.select([self.fd, self._stop], [], [])[0]
            if self._stop in ready:
                return
            for byte in os.read(self.fd, 4096):
                said = self.model.receive(byte, 0.0)
                if said:
                    os.write(self.fd, said)

    def unplug(self):
        os.close(self._stopper)
        self._thread.join(5)
        for fd in (self._slave, self.fd, self._stop):
            os.close(fd)


def test_serial_transport_reaches_a_board():
    board = PtyBoard()
    with Link(SerialTransport(board.port, 115_200), patience=1.0) as link:
        words = np.arange(60, dtype=np.uint32)
        link.write(0, words)
        np.testing.assert_array_equal(link.read(0, 60), words)
        with pytest.raises(
            LinkError, match=rf"^{board.port} must be free: end the other program th"
        ):
            SerialTransport(board.port, 115_200)
    assert link.counters.repeats == 0
    SerialTransport(board.port, 115_200).close()  # given back
    board.unplug()


def test_serial_transport_reads_nothing_from_a_silent_port():
    board = PtyBoard()
    transport = SerialTransport(board.port, 115_200)
    assert transport.read(10, 0.01) == b""
    transport.drain()
    transport.close()
    for use in (lambda: transport.write(b"a"), lambda: transport.read(1, 0), transport.drain):
        with pytest.raises(LinkError, match=r"must stay plugged in, but is gone \(closed\)$"):
            use()
    board.unplug()


def test_serial_transport_finds_a_board_that_comes_back(tmp_path):
    """The port is a name that leads elsewhere after the board was plugged in again."""
    name = tmp_path / "ttyBOARD"
    first = PtyBoard()
    name.symlink_to(first.port)
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            name.symlink_to(second.port)

    transport = SerialTransport(str(name), 115_200, sleep=sleep)
    link = Link(transport, patience=1.0).open()
    link.write(4, [7])
    second = PtyBoard()
    second.model = first.model  # it kept its power
    name.unlink()
    first.unplug()
    assert link.read(4) == 7
    assert waits == [0.1] * 3
    link.close()
    second.unplug()


def test_serial_transport_gives_up_when_a_board_stays_away(tmp_path):
    board = PtyBoard()
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    name = tmp_path / "ttyBOARD"
    name.symlink_to(board.port)
    transport = SerialTransport(str(name), 115_200, patience=2.0, clock=lambda: now[0], sleep=sleep)
    link = Link(transport, patience=1.0).open()
    name.unlink()
    board.unplug()
    with pytest.raises(LinkError, match=r"ttyBOARD must exist: .* did not come back within 2 s$"):
        link.read(0)
    assert 2 <= now[0] < 2.3


def test_serial_transport_rejects_what_is_no_port(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with pytest.raises(LinkError, match=r"plain must be a serial port, but is something else$"):
        SerialTransport(str(plain), 115_200)
    with pytest.raises(
        LinkError, match=r"none must exist: plug in the board, or name the port it "
    ):
        SerialTransport(str(tmp_path / "none"), 115_200)
    with pytest.raises(ValueError, match=r"^baud must be positive, not 0$"):
        SerialTransport(str(plain), 0)
