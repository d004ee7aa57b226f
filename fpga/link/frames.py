# SPDX-License-Identifier: Apache-2.0
"""Frames between a host and the emulator: one format for gateware, model and host.

A frame is a header of 7 bytes, a payload of 32-bit words and a sum of 4 bytes; numbers are little
endian::

    0xA5 | kind | sequence | words (2) | check (2) | payload (4 * words) | sum (4)

``check`` is the low half of the inverted CRC-32 of kind, sequence and words: the host, which has no
gap to wait for, notices a damaged length before it waits for the payload. ``sum`` is the CRC-32 of
everything between 0xA5 and itself.

Stop and wait: the host sends one request, the board executes it once its sum is right, and answers
with the same sequence number. A request whose number is that of the last one is answered from
memory and not executed again; the next number is the last one plus 1, modulo 256. ``Kind.OPEN``
starts a session: it is always executed, and its number becomes the last one. After damage the
receiver waits until the line is quiet for its gap, says ``Kind.DAMAGED`` and hunts for the next
0xA5; a frame that stops in the middle ends the same way. ``Kind.REFUSED`` answers a request that
is out of sequence or has no session: the board was reset in between.

The payload of a request is a list of operations, two words each, op (byte 0), count (upper half)
and argument, and then data words. They are executed in order, the first one that fails ends the
list. The payload of a response is the operations' data, then two words: status (byte 0),
operations done (byte 1), count left of the failed one (upper half); bytes in the input buffer
(lower half), results that wait (upper half).

========  ======================  ========  ===================  ========
op        count                   argument  data                 response
========  ======================  ========  ===================  ========
WRITE     words                   address   the words            nothing
READ      words                   address   nothing              the words
EXAMPLES  bytes                   any       zero-coded packets   nothing
GOALS     bytes                   any       zero-coded goals     nothing
RESULTS   how many                any       nothing              they
FLUSH     1 inputs + 2 results    any       nothing              nothing
IDENTIFY  any                     any       nothing              3 words
========  ======================  ========  ===================  ========

EXAMPLES and GOALS share the input buffer, which holds them coded (:mod:`fpga.link.zero_code`). Each
is refused whole (``Status.NO_ROOM``) if it does not fit, or while anything of the other kind is
left.
The host sends no more than the last response left room for, as only the board takes bytes out, and
asks for no more results than it says wait, as only the host takes these.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from analog_models.config import check

__all__ = [
    "HEAD_BYTES",
    "IDENTIFY_WORDS",
    "MARK",
    "OVERHEAD",
    "SUM_BYTES",
    "TRAILER_WORDS",
    "VERSION",
    "Frame",
    "FrameReader",
    "Kind",
    "Op",
    "Status",
    "encode_frame",
    "operation",
]

#: Version of this format, which IDENTIFY reports.
VERSION = 1
#: First byte of a frame.
MARK = 0xA5
#: Bytes before and after the payload, and both.
HEAD_BYTES, SUM_BYTES = 7, 4
OVERHEAD = HEAD_BYTES + SUM_BYTES
#: Words that end the payload of a response, and words of the answer to IDENTIFY.
TRAILER_WORDS, IDENTIFY_WORDS = 2, 3


class Kind(IntEnum):
    """Second byte of a frame; the first two come from the host."""

    OPEN = 1
    REQUEST = 2
    RESPONSE = 3
    DAMAGED = 4
    REFUSED = 5


class Op(IntEnum):
    """Operations of a request."""

    WRITE = 1
    READ = 2
    EXAMPLES = 3
    GOALS = 4
    RESULTS = 5
    FLUSH = 6
    IDENTIFY = 7


class Status(IntEnum):
    """How a list of operations ended."""

    OK = 0
    BUS = 1  # an access was answered SLVERR
    NO_ROOM = 2  # examples or goals do not fit now
    MALFORMED = 3  # no such operation, data are missing, or its answer does not fit


@dataclass(frozen=True)
class Frame:
    """A frame that arrived whole.

    Parameters
    ----------
    kind : int
        A :class:`Kind`, if the sender knows the format.
    sequence : int, 0..255
    payload : bytes
    """

    kind: int
    sequence: int
    payload: bytes


def encode_frame(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame.

    Raises
    ------
    ValueError
        If the payload is not made of 0..65535 whole words.
    """
    words, rest = divmod(len(payload), 4)
    check(not rest and words < 1 << 16, "payload", "0..65535 words", f"{len(payload)} bytes")
    fields = struct.pack("<BBH", kind, sequence, words)
    body = fields + _checked(fields) + payload
    return bytes([MARK]) + body + zlib.crc32(body).to_bytes(SUM_BYTES, "little")


def _checked(fields: bytes) -> bytes:
    """Check bytes of a header."""
    return (~zlib.crc32(fields) & 0xFFFF).to_bytes(2, "little")


def operation(op: int, count: int, argument: int = 0, data: bytes = b"") -> bytes:
    """Return the words of an operation; data are filled up with zeros to whole words."""
    return struct.pack("<BBHI", op, 0, count, argument) + data + bytes(-len(data) % 4)


class FrameReader:
    """Find frames in bytes that may be damaged.

    Parameters
    ----------
    max_words : int
        A longer payload is damage.

    Attributes
    ----------
    damaged : int
        Frames whose header was right, but not their sum.
    skipped : int
        Bytes that belong to no frame.
    """

    def __init__(self, max_words: int):
        self.max_words = max_words
        self.damaged = self.skipped = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take what arrived; return the frames that are complete now."""
        self._buffer += data
        frames: list[Frame] = []
        while True:
            start = self._buffer.find(MARK)
            self._skip(len(self._buffer) if start < 0 else start)
            if len(self._buffer) < HEAD_BYTES:
                return frames
            fields = bytes(self._buffer[1:5])
            kind, sequence, words = struct.unpack("<BBH", fields)
            if self._buffer[5:HEAD_BYTES] != _checked(fields) or words > self.max_words:
                self._skip(1)
                continue
            end = HEAD_BYTES + 4 * words
            if len(self._buffer) < end + SUM_BYTES:
                return frames
            body = bytes(self._buffer[1:end])
            if zlib.crc32(body).to_bytes(4, "little") != self._buffer[end : end + SUM_BYTES]:
                self.damaged += 1
                self._skip(1)
                continue
            del self._buffer[: end + SUM_BYTES]
            frames.append(Frame(kind, sequence, body[HEAD_BYTES - 1 :]))

    def clear(self) -> None:
        """Forget a frame that has begun."""
        self._skip(len(self._buffer))

    def _skip(self, n: int) -> None:
        self.skipped += n
        del self._buffer[:n]
