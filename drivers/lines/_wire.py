"""An open wire over a file descriptor: a serial port or a socket. One thread owns it.

Reading sleeps through the time that a frame needs and then takes it whole, instead of waking for every byte: 4 wake-ups
an exchange. Before sending it keeps the silence that the line needs, measured from the last byte that came or left.
"""

import os
import select
import time
from collections.abc import Callable
from threading import Event

from config.errors import LineError
from drivers.reading import Clock

_SLICE_S = 0.1
"""No wait is longer than this without a look at `stop`."""
_SEND_S = 2.0


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

    def send(self, data: bytes) -> None:
        """See Wire."""
        early_s = self._quiet_since + self._silence_s - time.monotonic()
        if early_s > 0:
            time.sleep(early_s)
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
        until = time.monotonic() + timeout_s
        got = b""
        while (more := want(got)) > 0:
            rest_s = until - time.monotonic()
            if rest_s <= 0 or self._stop.is_set():
                break
            if got and self._character_s:
                time.sleep(min(more * self._character_s, rest_s, _SLICE_S))
            if self._poll.poll(1000 * min(max(rest_s, 0.001), _SLICE_S)):
                got += self._read()
        return got

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
