# SPDX-License-Identifier: Apache-2.0
"""The host's side of the link: memories, examples, goals and results of a board.

What it carries: MNIST averaged over 2x2 pixels (196 of them, beats of 8 bytes) takes 77.4 coded
bytes an example (:mod:`fpga.link.zero_code`, mean of the training set) and 4 for its result. A
request with n examples costs 46 bytes more, two frames of 11, two operations of 8, a trailer of 8,
and some to fill up a word. A request of 4 KiB holds 52: (77.4 + 4) + 46 / 52 = 82.3 bytes an
example.
At 3 MBd, 300,000 bytes a second, that is 3,640 examples a second, and 3,400 if an answer takes
1 ms to arrive (USB): 1 / (82.3 / 300e3 + 1e-3 / 52). Counted over 20,000 examples: 3,646 and 3,407.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from analog_models.config import check

from .link.frames import TRAILER_WORDS, Status
from .link.zero_code import encode_packet, encode_zeros
from .operations import (
    MAX_OPERATIONS,
    Examples,
    Flush,
    Goals,
    Identity,
    Operation,
    Read,
    Reply,
    Results,
    Write,
)
from .session import Counters, Session
from .transport import LinkError, Transport

__all__ = ["BusError", "Link", "packet"]

#: Bytes of an operation's two words, and of a coded goal at most.
_HEAD, _CODED_GOAL = 8, 3


class BusError(LinkError):
    """An access was answered SLVERR."""


def packet(label: int, pixels: np.ndarray | bytes, host_bytes: int) -> bytes:
    """Return the packet of an example: whole beats, the label in the first one.

    Parameters
    ----------
    label : int, 0..65535
    pixels : bytes, or ndarray of uint8
    host_bytes : int, 2..8
        Bytes of a beat.
    """
    body = bytes(pixels)
    head = label.to_bytes(2, "little") + bytes(host_bytes - 2)
    return head + body + bytes(-len(body) % host_bytes)


class Link:
    """A board with :class:`fpga.link.link.Link`.

    ``with Link(SerialTransport("/dev/ttyUSB0", 3_000_000)) as link: link.read(0)``.

    Parameters
    ----------
    transport : Transport
        Closed by :meth:`close`.
    **options
        As those of :class:`fpga.session.Session`.

    Attributes
    ----------
    room : int, bytes
        Of the input buffer, at least, as of the last answer.
    waiting : int
        Results that waited then.
    stall : float, s
        See :class:`fpga.board.Board`.
    """

    #: The slowest board, the iCEBreaker, takes 16 s for a transfer.
    stall = 120.0

    def __init__(self, transport: Transport, **options: Any):
        self._transport = transport
        self._session = Session(transport, **options)
        self.room = self.waiting = 0

    @property
    def identity(self) -> Identity:
        """What the board's link is; refused before :meth:`open`."""
        if self._session.identity is None:
            raise LinkError("the link must be open to be used: call open() first")
        return self._session.identity

    @property
    def counters(self) -> Counters:
        """Frames, bytes, repeats."""
        return self._session.counters

    def open(self) -> Self:
        """Start a session; what waits on the board, in and out, is forgotten."""
        self._levels(self._session.open())
        return self

    def close(self) -> None:
        """Give the port back."""
        self._transport.close()

    def __enter__(self) -> Self:
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- memories

    def read(self, address: int, n: int = 1) -> np.ndarray:
        """Read words, ndarray of uint32 of shape (n,), in as many requests as it takes."""
        return self.exchange([Read(address, n)])[0]

    def write(self, address: int, words: Sequence[int] | np.ndarray) -> None:
        """Write words (0..2**32 - 1), in as many requests as it takes."""
        self.exchange([Write(address, words)])

    def exchange(self, operations: Sequence[Operation]) -> list:
        """Do operations in order, in as few requests as they fit in.

        Returns
        -------
        list
            What each gave, see :mod:`fpga.operations`.

        Raises
        ------
        BusError
            If an access is answered SLVERR; nothing after it was done.
        LinkError
            If the board cannot be used.
        """
        values: list = [None] * len(operations)
        for batch in self._batches(operations):
            reply = self._request([op for _, op in batch])
            if reply.status != Status.OK:
                raise LinkError("examples and goals must fit when they are sent: use send_examples")
            for (index, _), value in zip(batch, reply.values, strict=True):
                before = values[index]
                values[index] = value if before is None else np.concatenate([before, value])
        return values

    # --- streams

    def send_examples(self, packets: Sequence[bytes]) -> int:
        """Put packets (:func:`packet`) into the board's input buffer, as many as fit now.

        Returns
        -------
        int
            How many were taken, 0 while goals are left. Send the others again later.
        """
        coded = [self._coded(p) for p in packets]
        taken = 0
        while n := self._fitting(coded[taken:], self._most_data):
            if not self._send(Examples, b"".join(coded[taken : taken + n])):
                break
            taken += n
        return taken

    def send_goals(self, goals: np.ndarray | Sequence[int]) -> int:
        """Put goals (-32768..32767) into the board's input buffer, as many as fit now.

        Returns
        -------
        int
            How many were taken, 0 while examples are left. Send the others again later.
        """
        raw = np.asarray(goals)
        fits = not raw.size or (raw.dtype.kind in "iu" and -32768 <= raw.min() <= raw.max() < 32768)
        check(bool(fits), "goals", "whole numbers within -32768..32767", goals)
        raw = raw.astype("<i2")
        sent = 0
        while sent < len(raw):
            n = min(self.room, self._most_data) // _CODED_GOAL
            data = encode_zeros(raw[sent : sent + n].tobytes())
            if not n or not self._send(Goals, data):
                break
            sent = min(len(raw), sent + n)
        return sent

    def results(self) -> np.ndarray:
        """Return the results that wait, ndarray of uint32, shape (n,); n may be 0."""
        taken = [self._take()]
        while self.waiting and len(taken[-1]):
            taken.append(self._take())
        return np.concatenate(taken)

    def flush(self, *, inputs: bool = True, results: bool = True) -> None:
        """Forget examples and goals that wait, and results.

        A packet that has begun gets one more beat that ends it. Let the controller drop that, by
        CONTROL.reset, before the next run.
        """
        self.exchange([Flush(inputs, results)])

    def stream(
        self, packets: Iterable[bytes], also: Sequence[Operation] = ()
    ) -> Iterator[tuple[np.ndarray, list]]:
        """Send packets ahead and collect their results, a request a round.

        Parameters
        ----------
        packets : iterable of bytes
        also : sequence of Operation
            Done in each round, for example ``Read`` of STATUS; must fit into a request with the
            rest.

        Yields
        ------
        results : ndarray of uint32, shape (n,)
            New ones, n may be 0.
        values : list
            What ``also`` gave.

        Ends when as many results as packets came. A caller who stops before should flush.
        """
        coming, coded, ended = iter(packets), deque[bytes](), False
        expected = 0
        answers = TRAILER_WORDS + sum(op.answer_words for op in also)
        limit = self._most_data - _HEAD - sum(len(op.encode()) for op in also)
        while not ended or coded or expected:
            while not ended and sum(map(len, coded)) < limit:
                item = next(coming, None)
                if item is None:
                    ended = True
                else:
                    coded.append(self._coded(item))
            n = self._fitting(coded, limit)
            data = b"".join(coded.popleft() for _ in range(n))
            expected += n
            operations: list[Operation] = [
                Results(min(self.waiting, self.identity.response_words - answers)),
                *also,
            ]
            if 0 < len(data) <= limit:
                reply = self._request([*operations, Examples(data)])
                sent = reply.status == Status.OK
            else:
                reply = self._request(operations)
                sent = not data or self._send(Examples, data)
            if not sent:
                raise LinkError("goals must be used up before examples are sent, or be flushed")
            expected -= len(reply.values[0])
            yield reply.values[0], reply.values[1 : len(operations)]

    # --- requests

    @property
    def _most_data(self) -> int:
        """Bytes of data of one operation that is alone in a request."""
        return 4 * self.identity.request_words - _HEAD

    def _coded(self, example: bytes) -> bytes:
        coded, capacity = encode_packet(example), self.identity.capacity
        constraint = f"at most {capacity} bytes when coded, as the board's buffer"
        check(len(coded) <= capacity, "packet", constraint, len(coded))
        return coded

    def _fitting(self, coded: Sequence[bytes], limit: int) -> int:
        """Return how many packets have room and fit into ``limit``; one may be longer than that."""
        total = n = 0
        for n, data in enumerate(coded):
            total += len(data)
            if total > self.room or (n and total > limit):
                return n
        return len(coded)

    def _send(self, kind: type[Examples] | type[Goals], data: bytes) -> bool:
        """Put data that have room into the input buffer; False if they are refused."""
        for at in range(0, len(data), self._most_data):
            reply = self._request([kind(data[at : at + self._most_data])])
            if reply.status == Status.NO_ROOM:
                return False
        return True

    def _take(self) -> np.ndarray:
        n = min(self.waiting, self.identity.response_words - TRAILER_WORDS)
        return self._request([Results(n)]).values[0]

    def _levels(self, reply: Reply) -> None:
        self.room = self.identity.capacity - reply.level
        self.waiting = reply.waiting

    def _request(self, operations: Sequence[Operation]) -> Reply:
        """Do operations that fit into a request; only NO_ROOM is left to the caller."""
        reply = self._session.request(operations)
        self._levels(reply)
        if reply.status in (Status.OK, Status.NO_ROOM):
            return reply
        failed = operations[reply.done]
        if reply.status == Status.BUS and isinstance(failed, Read | Write):
            n = failed.n if isinstance(failed, Read) else len(failed.words)
            at = failed.address + 4 * (n - reply.left)
            what = "reading" if isinstance(failed, Read) else "writing"
            raise BusError(f"{what} {at:#010x} must be allowed, but was answered SLVERR")
        raise LinkError(
            f"{failed} must be an operation that the board can do, but it answered status "
            f"{reply.status}: use a bitstream of this version of crossforge"
        )

    def _batches(self, operations: Sequence[Operation]) -> Iterator[list[tuple[int, Operation]]]:
        """Group operations, cut where they are too long, into requests."""
        identity = self.identity
        batch: list[tuple[int, Operation]] = []
        words = answers = 0
        for index, op in enumerate(operations):
            for piece in self._pieces(op):
                size = len(piece.encode()) // 4
                full = len(batch) == MAX_OPERATIONS or words + size > identity.request_words
                if full or answers + piece.answer_words > identity.response_words - TRAILER_WORDS:
                    yield batch
                    batch, words, answers = [], 0, 0
                batch.append((index, piece))
                words += size
                answers += piece.answer_words
        if batch:
            yield batch

    def _pieces(self, op: Operation) -> Iterator[Operation]:
        if isinstance(op, Write):
            step, n = self._most_data // 4, len(op.words)
            for at in range(0, n, step) or [0]:
                yield Write(op.address + 4 * at, op.words[at : at + step])
        elif isinstance(op, Read):
            step = self.identity.response_words - TRAILER_WORDS
            for at in range(0, op.n, step) or [0]:
                yield Read(op.address + 4 * at, min(step, op.n - at))
        else:
            yield op
