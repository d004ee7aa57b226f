# SPDX-License-Identifier: Apache-2.0
"""A byte code that shortens runs of zeros and marks the ends of packets.

A byte other than 0 stands for itself. After a 0 comes a byte c: bit 7 says whether a packet ends
here, bits 0-6 are n. For n > 0 the pair is n zero bytes, the last of which ends the packet if bit 7
is set. ``00 80`` makes the byte that follows, whatever it is, the last of its packet; ``00 00`` is
nothing. No byte sequence is wrong.

Most pixels of MNIST are zero: a packet of 28x28 images, averaged over 2x2 pixels (208 bytes with
beats of 8), takes 77.4 coded bytes on average (:mod:`fpga.host` says what that means in time).
"""

import re
from collections.abc import Iterable

from analog_models.config import check

__all__ = ["LONGEST", "ZeroDecoder", "encode_packet", "encode_zeros"]

#: Zeros in one pair.
LONGEST = 127
_ZEROS = re.compile(rb"\0+")


def _run(n: int) -> bytes:
    full, rest = divmod(n, LONGEST)
    return bytes([0, LONGEST]) * full + (bytes([0, rest]) if rest else b"")


def encode_zeros(data: bytes) -> bytes:
    """Code bytes of which none ends a packet."""
    return _ZEROS.sub(lambda run: _run(len(run[0])), data)


def encode_packet(packet: bytes) -> bytes:
    """Code a packet of at least one byte.

    Raises
    ------
    ValueError
        If it is empty.
    """
    check(len(packet) > 0, "packet", "at least one byte", packet)
    body = packet.rstrip(b"\0")
    zeros = len(packet) - len(body)
    if not zeros:
        body, end = packet[:-1], bytes([0, 128, packet[-1]])
    else:
        short = (zeros - 1) % LONGEST + 1
        end = _run(zeros - short) + bytes([0, 128 | short])
    return encode_zeros(body) + end


class ZeroDecoder:
    """Undo the code; its state lasts between calls as that of the gateware does."""

    def __init__(self):
        self._state = "LITERAL"

    @property
    def idle(self) -> bool:
        """No pair has begun."""
        return self._state == "LITERAL"

    def feed(self, coded: Iterable[int]) -> list[tuple[int, bool]]:
        """Return bytes, each with whether it ends a packet."""
        out: list[tuple[int, bool]] = []
        for byte in coded:
            if self._state == "LAST":
                out.append((byte, True))
                self._state = "LITERAL"
            elif self._state == "COUNT":
                n, last = byte & 127, byte >= 128
                out += [(0, last and i == n - 1) for i in range(n)]
                self._state = "LAST" if last and not n else "LITERAL"
            elif byte:
                out.append((byte, False))
            else:
                self._state = "COUNT"
        return out
