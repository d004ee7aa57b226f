# SPDX-License-Identifier: Apache-2.0
"""The board's side of the link in Python: golden model of :class:`fpga.link.link.Link`.

It answers the same bytes with the same bytes. Time comes in from outside, so that tests need not
wait; execution takes none.
"""

import struct
import zlib
from collections import deque
from typing import Protocol

from rtl.axi import OKAY

from .frames import (
    HEAD_BYTES,
    MARK,
    SUM_BYTES,
    TRAILER_WORDS,
    VERSION,
    Kind,
    Op,
    Status,
    encode_frame,
)
from .zero_code import ZeroDecoder

__all__ = ["Bus", "InputBuffer", "LinkModel", "MemoryBus"]


class Bus(Protocol):
    """What lies behind the link."""

    def read(self, address: int) -> tuple[int, int]:
        """Return the response (OKAY, SLVERR) and the word."""

    def write(self, address: int, word: int) -> int:
        """Return the response."""


class MemoryBus:
    """Words at ``0 .. 4 * words - 4``; any other access is answered SLVERR.

    Attributes
    ----------
    words : dict of int to int
        Content by address; those not written are 0.
    accesses : list of (str, int, int)
        All accesses, ``"r"`` or ``"w"``, address and word.
    """

    def __init__(self, words: int):
        self.size = 4 * words
        self.words: dict[int, int] = {}
        self.accesses: list[tuple[str, int, int]] = []

    def read(self, address: int) -> tuple[int, int]:
        """See :class:`Bus`."""
        if address >= self.size or address % 4:
            return 2, 0
        word = self.words.get(address, 0)
        self.accesses.append(("r", address, word))
        return OKAY, word

    def write(self, address: int, word: int) -> int:
        """See :class:`Bus`."""
        if address >= self.size or address % 4:
            return 2
        self.words[address] = word
        self.accesses.append(("w", address, word))
        return OKAY


class InputBuffer:
    """Golden model of :class:`fpga.link.feeder.Feeder`; a beat leaves it when it is taken.

    The gateware prepares a beat before, so that fewer bytes are in its memory.

    Parameters
    ----------
    host_bytes : int
        Bytes of a beat of examples; one of goals has 2.
    """

    def __init__(self, host_bytes: int):
        self.host_bytes = host_bytes
        self.goals_next = False
        self._inside = self._ending = False
        self._forget()

    def _forget(self) -> None:
        self.coded: deque[int] = deque()
        self._decoder = ZeroDecoder()
        self._decoded: deque[tuple[int, bool]] = deque()

    @property
    def idle(self) -> bool:
        """Nothing is kept or begun."""
        return not (self.coded or self._decoded or self._inside) and self._decoder.idle

    def flush(self) -> None:
        """Forget what is kept; a packet that has begun gets one more beat."""
        self._forget()
        self._ending = self._inside

    def take(self) -> tuple[bytes, bool] | None:
        """Return the next beat of what ``goals_next`` says, and whether it is the last one."""
        if self._ending:
            self._ending = self._inside = False
            return bytes(self.host_bytes), True
        size = 2 if self.goals_next else self.host_bytes
        while len(self._decoded) < size:
            if not self.coded:
                return None
            self._decoded += self._decoder.feed([self.coded.popleft()])
        taken = [self._decoded.popleft() for _ in range(size)]
        last = taken[-1][1]
        if not self.goals_next:
            self._inside = not last
        return bytes(byte for byte, _ in taken), last


class LinkModel:
    """A board; parameters are those of :class:`fpga.link.link.Link`, with ``gap`` in seconds.

    Attributes
    ----------
    input : InputBuffer
    results : deque of int
        Results that wait.
    heard : float, s
        When the last byte came.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        host_bytes: int = 8,
        gap: float = 0.01,
        request_words: int = 1024,
        response_words: int = 512,
        capacity: int = 8192,
        results_kept: int = 512,
    ):
        self.bus, self.host_bytes, self.gap = bus, host_bytes, gap
        self.request_words, self.response_words = request_words, response_words
        self.capacity, self.results_kept = capacity, results_kept
        self.reset()

    def reset(self) -> None:
        """Switch power off and on."""
        self.input = InputBuffer(self.host_bytes)
        self.results: deque[int] = deque()
        self._opened, self._last, self._response = False, 0, b""
        self._frame = bytearray()
        self._damaged = False
        self.heard = 0.0

    # --- the line

    def tick(self, now: float) -> bytes:
        """Return what the silence up to ``now`` (s) makes the board say."""
        if (self._frame or self._damaged) and now - self.heard >= self.gap:
            self._frame.clear()
            self._damaged = False
            return encode_frame(Kind.DAMAGED, self._last)
        return b""

    def receive(self, byte: int, now: float) -> bytes:
        """Take a byte that arrives at ``now`` (s); return what the board says."""
        said = self.tick(now)
        self.heard = now
        if self._damaged or (not self._frame and byte != MARK):
            return said
        frame = self._frame
        frame.append(byte)
        if len(frame) == HEAD_BYTES:
            self._damaged = (frame[3] | frame[4] << 8) > self.request_words
        elif len(frame) > HEAD_BYTES:
            words = frame[3] | frame[4] << 8
            if len(frame) == HEAD_BYTES + 4 * words + SUM_BYTES:
                body, total = bytes(frame[1:-SUM_BYTES]), bytes(frame[-SUM_BYTES:])
                self._damaged = zlib.crc32(body) != int.from_bytes(total, "little")
                if not self._damaged:
                    said += self._answer(frame[1], frame[2], body[HEAD_BYTES - 1 :])
                    frame.clear()
        if self._damaged:
            frame.clear()
        return said

    def _answer(self, kind: int, sequence: int, payload: bytes) -> bytes:
        asks = kind == Kind.REQUEST and self._opened
        if not (asks and sequence == self._last):
            if not (kind == Kind.OPEN or (asks and sequence == (self._last + 1) % 256)):
                return encode_frame(Kind.REFUSED, self._last)
            self._opened, self._last = True, sequence
            self._response = self.execute(payload)
        return encode_frame(Kind.RESPONSE, self._last, self._response)

    # --- operations

    def execute(self, payload: bytes) -> bytes:
        """Return the payload of the response to a request's."""
        words = deque(struct.unpack(f"<{len(payload) // 4}I", payload))
        out: list[int] = []
        done, count, status = 0, 0, Status.OK
        while words and not status:
            head = words.popleft()
            op, count = head & 255, head >> 16
            if not words:
                status = Status.MALFORMED
                break
            status, count = self._operate(op, count, words.popleft(), words, out)
            done += not status
        levels = len(self.input.coded) | len(self.results) << 16
        trailer = (status | (done & 255) << 8 | count << 16, levels)
        return struct.pack(f"<{len(out) + 2}I", *out, *trailer)

    def _operate(self, op, count, argument, words, out) -> tuple[Status, int]:
        """Return status and count left."""
        limit = self.response_words - TRAILER_WORDS
        if op == Op.WRITE:
            while count:
                if not words:
                    return Status.MALFORMED, count
                if self.bus.write(argument, words.popleft()) != OKAY:
                    return Status.BUS, count
                argument, count = (argument + 4) % (1 << 32), count - 1
        elif op == Op.READ:
            while count:
                if len(out) == limit:
                    return Status.MALFORMED, count
                response, word = self.bus.read(argument)
                if response != OKAY:
                    return Status.BUS, count
                out.append(word)
                argument, count = (argument + 4) % (1 << 32), count - 1
        elif op in (Op.EXAMPLES, Op.GOALS):
            goals = op == Op.GOALS
            allowed = self.input.idle or goals == self.input.goals_next
            if count > self.capacity - len(self.input.coded) or not allowed:
                return Status.NO_ROOM, count
            self.input.goals_next = goals
            while count:
                if not words:
                    return Status.MALFORMED, count
                n = min(count, 4)
                self.input.coded += words.popleft().to_bytes(4, "little")[:n]
                count -= n
        elif op == Op.RESULTS:
            while count:
                if len(out) == limit or not self.results:
                    return Status.MALFORMED, count
                out.append(self.results.popleft())
                count -= 1
        elif op == Op.FLUSH:
            if count & 1:
                self.input.flush()
            if count & 2:
                self.results.clear()
        elif op == Op.IDENTIFY:
            for word in (
                VERSION | self.host_bytes << 8,
                self.request_words | self.response_words << 16,
                self.capacity | self.results_kept << 16,
            ):
                if len(out) == limit:
                    return Status.MALFORMED, count
                out.append(word)
        else:
            return Status.MALFORMED, count
        return Status.OK, 0
