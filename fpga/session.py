# SPDX-License-Identifier: Apache-2.0
"""Requests that are executed exactly once, over bytes that may be damaged or lost."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analog_models.config import check

from .link.frames import OVERHEAD, TRAILER_WORDS, VERSION, Frame, FrameReader, Kind, encode_frame
from .operations import Flush, Identify, Identity, Operation, Reply, decode_reply
from .transport import LinkError, Transport, TransportLost

__all__ = ["Counters", "Session"]

#: Longest payload that any board can send, words.
_ANY_LENGTH = 1 << 15


@dataclass
class Counters:
    """What a session did.

    Parameters
    ----------
    requests : int
        Requests that were answered.
    frames : int
        Frames that were sent.
    repeats : int
        Those of them that were not the first for their request.
    bytes_out, bytes_in : int
    damaged_out, damaged_in : int
        Frames of which the board, or the host, said that they were damaged.
    reopened : int
        Times that the way was lost and came back.
    """

    requests: int = 0
    frames: int = 0
    repeats: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    damaged_out: int = 0
    damaged_in: int = 0
    reopened: int = 0


class Session:
    """Stop and wait (:mod:`fpga.link.frames`), the host's side.

    Parameters
    ----------
    transport : Transport
    patience : float, s
        Time to wait for an answer, beyond that of its bytes, before the request is repeated; it
        doubles with each repeat, up to ``longest``. More than the board's gap, so that the
        board hunts for a frame when the next one comes.
    longest : float, s
    attempts : int
        How often a request is sent.
    clock : callable
        Time (s).
    first : int, 0..255, optional
        Number of the first request; None for one by chance, which a late answer to a program that
        ended has not.

    Attributes
    ----------
    counters : Counters
    identity : Identity
        Of the board, after :meth:`open`.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        patience: float = 0.05,
        longest: float = 1.0,
        attempts: int = 10,
        clock: Callable[[], float] = time.monotonic,
        first: int | None = None,
    ):
        check(0 < patience <= longest, "patience", f"within 0..{longest} (s), above 0", patience)
        check(attempts > 0, "attempts", "positive", attempts)
        check(first is None or first in range(256), "first", "within 0..255, or None", first)
        self.transport = transport
        self.patience, self.longest, self.attempts = patience, longest, attempts
        self.counters = Counters()
        self.identity: Identity | None = None
        self._clock = clock
        self._sequence = secrets.randbelow(256) if first is None else first
        self._reader = FrameReader(_ANY_LENGTH)

    def open(self) -> Reply:
        """Start a session, which forgets inputs and results that wait on the board.

        Raises
        ------
        LinkError
            If nothing answers, or something else.
        """
        operations: list[Operation] = [Identify(), Flush()]
        reply = self._exchange(Kind.OPEN, operations)
        identity = reply.values[0] if reply.values else None
        version = None if identity is None else identity.version
        if version != VERSION:
            raise LinkError(
                f"the board's protocol version must be {VERSION}, not {version}: "
                "configure it with a bitstream of this version of crossforge"
            )
        self.identity = identity
        return reply

    def request(self, operations: Sequence[Operation]) -> Reply:
        """Let the board do a list of operations, exactly once.

        Raises
        ------
        LinkError
            If the board does not answer or was reset; the board may have done them, or not.
        """
        if self.identity is None:
            raise LinkError("the link must be open to be used: call open() first")
        return self._exchange(Kind.REQUEST, operations)

    def _exchange(self, kind: Kind, operations: Sequence[Operation]) -> Reply:
        self._sequence = (self._sequence + 1) % 256
        payload = b"".join(op.encode() for op in operations)
        frame = encode_frame(kind, self._sequence, payload)
        answer = 4 * (TRAILER_WORDS + sum(op.answer_words for op in operations)) + OVERHEAD
        wire_time = 1.25 * (len(frame) + answer) * self.transport.byte_time
        wait, heard = self.patience, self.counters.bytes_in
        for attempt in range(self.attempts):
            try:
                if kind is Kind.OPEN:
                    self.transport.drain()  # of what was meant for a program before this one
                self._send(frame, attempt)
                reply = self._await(kind, operations, self._clock() + wire_time + wait)
            except TransportLost:
                self.transport.reopen()
                self._reader.clear()
                self.counters.reopened += 1
                continue
            if reply is not None:
                self.counters.requests += 1
                return reply
            wait = min(2 * wait, self.longest)
        if self.counters.bytes_in == heard:
            raise LinkError(
                f"the board at {self.transport.name} must answer, but is silent: check that it has "
                "power, that its bitstream is loaded, and that nothing else is on that port"
            )
        raise LinkError(
            f"the board at {self.transport.name} must answer in whole frames, but none came in "
            f"{self.attempts} attempts: check the baud rate, the bitstream, and the cable"
        )

    def _send(self, frame: bytes, attempt: int) -> None:
        self.transport.write(frame)
        self.counters.frames += 1
        self.counters.repeats += attempt > 0
        self.counters.bytes_out += len(frame)

    def _await(self, kind: Kind, operations, deadline: float) -> Reply | None:
        """Return the answer; None if the request is to be repeated."""
        damaged = self._reader.damaged
        while (left := deadline - self._clock()) > 0:
            data = self.transport.read(4096, left)
            self.counters.bytes_in += len(data)
            for frame in self._reader.feed(data):
                if frame.kind == Kind.DAMAGED:
                    self.counters.damaged_out += 1
                    return None
                if frame.kind == Kind.REFUSED and kind is not Kind.OPEN:
                    raise LinkError(
                        "the board must keep its state during a run, but was reset: "
                        "open the link anew and resume from the last checkpoint"
                    )
                reply = self._answer(frame, operations)
                if reply is not None:
                    return reply
            if self._reader.damaged > damaged:
                self.counters.damaged_in += self._reader.damaged - damaged
                return None
        self._reader.clear()  # half a frame: whatever comes next begins anew
        return None

    def _answer(self, frame: Frame, operations: Sequence[Operation]) -> Reply | None:
        if frame.kind != Kind.RESPONSE or frame.sequence != self._sequence:
            return None  # late: of the request before
        return decode_reply(operations, frame.payload)
