# SPDX-License-Identifier: Apache-2.0
"""Ways for bytes to a board and back."""

import errno
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import serial

from analog_models.config import check

__all__ = ["LinkError", "SerialTransport", "Transport", "TransportLost"]


class LinkError(OSError):
    """The board cannot be used; the message is one sentence that says what to do."""


class TransportLost(LinkError):
    """The way is gone, as if a cable were pulled; ``reopen`` may bring it back."""


class Transport(Protocol):
    """Bytes in order, any of which may be damaged or lost.

    Attributes
    ----------
    byte_time : float, s
        Time of a byte on the line.
    name : str
        What messages call it.
    """

    byte_time: float
    name: str

    def write(self, data: bytes) -> None:
        """Send bytes; raises TransportLost."""

    def read(self, limit: int, timeout: float) -> bytes:
        """Return 1..limit bytes as soon as there are any, b"" after ``timeout`` (s)."""

    def drain(self) -> None:
        """Forget what arrived so far."""

    def reopen(self) -> None:
        """Wait for the way to come back; raises LinkError if it does not in time."""

    def close(self) -> None:
        """Give it back; also if it is lost or was closed before."""


#: What to do, by the reason why a port cannot be opened.
_CURES = {
    errno.ENOENT: "must exist: plug in the board, or name the port it has now",
    errno.EACCES: "must be yours to use: join the group that owns it (dialout, on Debian)",
    errno.EPERM: "must be yours to use: join the group that owns it (dialout, on Debian)",
    errno.EBUSY: "must be free: end the other program that uses it",
    errno.EAGAIN: "must be free: end the other program that uses it",
    errno.ENOTTY: "must be a serial port, but is something else",
    errno.EISDIR: "must be a serial port, but is a folder",
    errno.ENOTDIR: "must be a serial port, but lies in what is no folder",
    errno.EINVAL: "must be a serial port that can do this baud rate",
}


def _code(error: BaseException | None) -> int:
    """Return the error number, which pyserial hides in various places; 0 if there is none."""
    while error is not None:
        for code in (getattr(error, "errno", None), *error.args[:1]):
            if isinstance(code, int):
                return code
        error = error.__context__
    return 0


class SerialTransport:
    """A serial port, 8N1, locked against other programs.

    Parameters
    ----------
    port : str
        As the system calls it, ``/dev/ttyUSB0``.
    baud : int, Bd
    patience : float, s
        Time in which a port that was lost must come back.
    clock, sleep : callable
        Time (s), and to wait.

    Raises
    ------
    LinkError
        If the port cannot be opened.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        *,
        patience: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        check(baud > 0, "baud", "positive", baud)
        check(patience >= 0, "patience", "non-negative (s)", patience)
        self.name, self.baud, self.patience = port, baud, patience
        self.byte_time = 10 / baud
        self._clock, self._sleep = clock, sleep
        self._serial: serial.Serial | None = None
        self._open()

    def _open(self) -> None:
        try:
            port = serial.Serial(self.name, self.baud, exclusive=True, write_timeout=5.0)
        except (OSError, ValueError) as error:
            cure = _CURES.get(_code(error), f"must open as a serial port, but: {error}")
            raise LinkError(f"{self.name} {cure}") from error
        with suppress(OSError, ValueError, NotImplementedError):
            port.set_low_latency_mode(True)  # 1 ms instead of 16 ms, where the driver can
        self._serial = port

    def _lost(self, error: Exception | None = None) -> TransportLost:
        self.close()
        return TransportLost(f"{self.name} must stay plugged in, but is gone ({error or 'closed'})")

    def write(self, data: bytes) -> None:
        """See :class:`Transport`."""
        if self._serial is None:
            raise self._lost()
        try:
            self._serial.write(data)
        except OSError as error:  # SerialException is one, and so is its time-out
            raise self._lost(error) from error

    def read(self, limit: int, timeout: float) -> bytes:
        """See :class:`Transport`."""
        if self._serial is None:
            raise self._lost()
        try:
            self._serial.timeout = max(0.0, timeout)
            first = self._serial.read(1)
            if not first:
                return b""
            more = min(limit - 1, self._serial.in_waiting)
            return first + (self._serial.read(more) if more else b"")
        except (OSError, TypeError) as error:  # TypeError: pyserial, of a port closed meanwhile
            raise self._lost(error) from error

    def drain(self) -> None:
        """See :class:`Transport`."""
        if self._serial is None:
            raise self._lost()
        try:
            self._serial.reset_input_buffer()
        except Exception as error:  # termios.error is no OSError
            raise self._lost(error) from error

    def reopen(self) -> None:
        """See :class:`Transport`; tries ten times a second for ``patience``."""
        self.close()
        deadline = self._clock() + self.patience
        while True:
            try:
                return self._open()
            except LinkError as error:
                if self._clock() >= deadline:
                    raise LinkError(
                        f"{error}; it was lost and did not come back within {self.patience:g} s"
                    ) from error
            self._sleep(0.1)

    def close(self) -> None:
        """See :class:`Transport`."""
        port, self._serial = self._serial, None
        if port is not None:
            with suppress(Exception):  # the port may be gone
                port.close()
