# SPDX-License-Identifier: Apache-2.0
"""A board behind a bad cable, in virtual time."""

import zlib
from collections import deque

import numpy as np

from fpga.link.model import LinkModel, MemoryBus
from fpga.transport import LinkError, TransportLost

#: Bus addresses end here (words).
WORDS = 1 << 12


class Controller:
    """Takes examples from a board and gives a result for each, ``pace`` beats at a time."""

    def __init__(self, board, pace=10_000):
        self.board, self.pace = board, pace
        self.forget()

    def forget(self):
        self.packets: list[bytes] = []
        self.goals: list[int] = []
        self._beats: list[bytes] = []
        self._results: deque[int] = deque()

    def step(self):
        for _ in range(self.pace):
            if len(self.board.results) == self.board.results_kept:
                return
            if self._results:
                self.board.results.append(self._results.popleft())
                continue
            beat = self.board.input.take()
            if beat is None:
                return
            if self.board.input.goals_next:
                self.goals.append(int.from_bytes(beat[0], "little", signed=True))
                continue
            self._beats.append(beat[0])
            if beat[1]:
                self.packets.append(b"".join(self._beats))
                self._beats.clear()
                self._results.append(result_of(self.packets[-1]))


def result_of(packet):
    return zlib.crc32(packet)


class Faults:
    """Damage to what is sent, each piece with probability ``rate``.

    ``loss`` is that of a cable that is pulled, ``reset`` of a board that loses power.
    """

    def __init__(self, seed, rate=0.0, *, loss=0.0, reset=0.0):
        self.rng = np.random.default_rng(seed)
        self.rate, self.loss, self.reset = rate, loss, reset
        self.damaged = self.lost = self.resets = 0

    def damage(self, data):
        if not data or self.rng.random() >= self.rate:
            return data
        self.damaged += 1
        at, n = int(self.rng.integers(len(data))), int(self.rng.integers(1, 9))
        noise = self.rng.integers(0, 256, n, dtype=np.uint8).tobytes()
        if self.rng.random() < 0.3:
            noise = bytes([0xA5]) * n
        match int(self.rng.integers(8)):
            case 0:
                return (
                    data[:at] + bytes([data[at] ^ 1 << int(self.rng.integers(8))]) + data[at + 1 :]
                )
            case 1:
                return data[:at] + noise + data[at + n :]
            case 2:
                return data[:at] + data[at + n :]
            case 3:
                return data[:at] + noise + data[at:]
            case 4:
                return data[: at + n] + data[at:]
            case 5:
                return data[:at]
            case 6:
                return b""
            case _:
                return data + data


class Cable:
    """Transport to a :class:`LinkModel`; ``now`` is the time (s)."""

    name = "the cable"
    byte_time = 10 / 3e6

    def __init__(self, faults=None, *, pace=10_000, comes_back=True, **sizes):
        self.board = LinkModel(MemoryBus(WORDS), **sizes)
        self.controller = Controller(self.board, pace)
        self.faults = faults or Faults(0)
        self.comes_back = comes_back
        self.now = self._wire = 0.0
        self.plugged = True
        self.closed = 0
        self.said = 0
        self._rx: deque[tuple[float, bytes]] = deque()

    def time(self):
        return self.now

    def _check(self):
        if not self.plugged:
            raise TransportLost("the cable must stay plugged in, but is gone")

    def _hear(self, data, at):
        if data:
            self.said += len(data)
            heard = self.faults.damage(data)
            if heard:
                self._rx.append((at + len(data) * self.byte_time, heard))

    def write(self, data):
        self._check()
        faults = self.faults
        data = faults.damage(data)
        if faults.rng.random() < faults.loss:
            data = data[: int(faults.rng.integers(len(data) + 1))]
            self.plugged = False
            faults.lost += 1
        if faults.rng.random() < faults.reset:
            faults.resets += 1
            self.board.reset()
            self.controller.forget()
        for byte in data:
            self._wire = max(self._wire, self.now) + self.byte_time
            self._hear(self.board.receive(byte, self._wire), self._wire)
        self._check()

    def read(self, limit, timeout):
        self._check()
        self.controller.step()
        end = self.now + timeout
        quiet = max(self.now, self.board.heard + self.board.gap)
        if quiet <= end and (not self._rx or quiet < self._rx[0][0]):
            self._hear(self.board.tick(quiet), quiet)
        if not self._rx or self._rx[0][0] > end:
            self.now = end
            return b""
        at, data = self._rx.popleft()
        self.now = max(self.now, at)
        if len(data) > limit:
            self._rx.appendleft((at, data[limit:]))
        return data[:limit]

    def drain(self):
        self._check()
        self._rx.clear()

    def reopen(self):
        self.now += 0.5
        if not self.comes_back:
            raise LinkError("the cable did not come back")
        self.plugged = True
        self._rx.clear()

    def close(self):
        self.closed += 1
