"""An open wire over a file descriptor: a serial port or a socket. One thread owns it.

Reading is woken by the first byte, which says when the last one will be there, and sleeps until then: three wake-ups an exchange,
however many bytes it has. Before sending it keeps the silence that the line needs, measured from the last byte that came or left.
"""

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable
from threading import Event

from config.errors import LineError
from drivers.lines._alarm import Alarm
from drivers.reading import Clock

_SLICE_S = 0.1
"""No wait is longer than this without a look at `stop`."""
_SEND_S = 2.0
_EYES_OPEN_S = 0.0001
"""The last bytes of a frame are looked out for so long before a thread sleeps again: to be woken costs the line as much."""


class DescriptorWire:
    """See drivers.driver.Wire. The descriptor must be non-blocking; it is closed by the line, not here."""

    def __init__(self, descriptor: int, clock: Clock, stop: Event, character_s: float = 0.0, silence_s: float = 0.0) -> None:
        self.clock = clock
        self._fd = descriptor
        self._stop = stop
        self._character_s = character_s
        self._silence_s = silence_s
        self._quiet_since = time.monotonic()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._alarm = Alarm()

    def send(self, data: bytes) -> None:
        """See Wire."""
        self._alarm.wait(self._quiet_since + self._silence_s)
        until = time.monotonic() + _SEND_S
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                if time.monotonic() > until or self._stop.is_set():
                    raise LineError("nothing can be sent: the line takes no bytes") from None
                self._stop.wait(0.01)
            except OSError as error:
                raise LineError(f"cannot send: {error.strerror or error}") from error
        self._quiet_since = time.monotonic() + len(data) * self._character_s

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        """See Wire."""
        now = time.monotonic()
        until, got, was_woken, has_looked = now + timeout_s, b"", False, False
        while (more := want(got)) > 0 and now < until and not self._stop.is_set():
            if got and more > 1 and self._character_s:
                has_looked |= self._await_rest(more, was_woken, min(until, now + _SLICE_S), may_look=not has_looked)
            was_woken = not (got and self._poll.poll(0))
            if not was_woken or self._poll.poll(1000 * min(max(until - time.monotonic(), 0.001), _SLICE_S)):
                got += self._read()
            now = time.monotonic()
        return got

    def _await_rest(self, more: int, was_woken: bool, until: float, *, may_look: bool) -> bool:
        """Sleep until so many bytes more should be here, and look out for the last of them, once a frame: True if it was done.

        Who was woken by a byte knows when it came; who found some there knows only that the next one may be half here.
        """
        whole_s = (more if was_woken else more - 1) * self._character_s
        here = self._quiet_since + whole_s - (self._alarm.late_s if was_woken else 0.0)
        self._alarm.doze(min(here, until))
        if here > until or not may_look:
            return False
        until = min(until, time.monotonic() + _EYES_OPEN_S)
        while self._waiting() < more and time.monotonic() < until:
            pass
        return True

    def _waiting(self) -> int:
        """Bytes that can be read now."""
        try:
            found: int = struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, b"\0\0\0\0"))[0]
        except OSError as error:
            raise LineError(f"cannot read: {error.strerror or error}") from error
        return found

    def drain(self) -> int:
        """See Wire. If something was there, it listens on until the line has been silent for ten characters, at most 0.3 s."""
        thrown = 0
        until = time.monotonic() + 0.3
        pause_s = 0.0
        while self._poll.poll(1000 * pause_s) and not self._stop.is_set() and time.monotonic() < until:
            thrown += len(self._read())
            pause_s = self._silence_s + 10 * self._character_s
        return thrown

    def _read(self) -> bytes:
        try:
            came = os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LineError(f"cannot read: {error.strerror or error}") from error
        if not came:
            raise LineError("the other side closed the line")
        self._quiet_since = time.monotonic()
        return came


class MuteWire(DescriptorWire):
    """A wire that only hears: of a line with mode = "listen"."""

    def send(self, data: bytes) -> None:
        """Refused, always: LineError."""
        raise LineError('mode = "listen": nothing is sent on this line')
