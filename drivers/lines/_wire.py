"""An open wire over a file descriptor: a serial port or a socket. One thread owns it.

Reading sleeps until the whole answer should be there, if the line's habits are known: two wake-ups an exchange, however many bytes
it has. If they are not, or the device takes longer, it is woken by the first byte, which says when the last one will be there.
Before sending it keeps the silence that the line needs, measured from the last byte that came or left.
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
from drivers.lines._habit import Habits
from drivers.owed import Owed
from drivers.reading import Clock

_SLICE_S = 0.1
"""No wait is longer than this without a look at `stop`."""
_SEND_S = 2.0
_EYES_OPEN_S = 0.0001
"""The last bytes of a frame are looked out for so long before a thread sleeps again: to be woken costs the line as much."""


class DescriptorWire:
    """See drivers.driver.Wire. The descriptor must be non-blocking; it is closed by the line, not here."""

    def __init__(self, descriptor: int, clock: Clock, stop: Event, owed: Owed, character_s: float = 0.0, silence_s: float = 0.0) -> None:
        self.clock = clock
        self.owed = owed
        self._fd = descriptor
        self._stop = stop
        self._character_s = character_s
        self._silence_s = silence_s
        self._quiet_since = time.monotonic()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._alarm = Alarm()
        self._habits = Habits()
        self._asked = b""
        """How the question began to which no answer was waited for yet."""

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
        self._asked = data[:8]

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        """See Wire."""
        now, ended, whole = time.monotonic(), self._quiet_since, want(b"")
        until, got, more, was_woken, was_there = now + timeout_s, b"", whole, False, False
        asked, self._asked = self._asked, b""
        begins_s = self._habits.begins_s(asked) if whole > 1 and self._character_s else None
        has_looked = begins_s is not None
        if begins_s is not None:
            was_there = self._sleep_through(ended + begins_s + whole * self._character_s, whole, until)
            got = self._read() if was_there else b""
            more = want(got)
        while more > 0 and now < until and not self._stop.is_set():
            if got and more > 1 and self._character_s:
                has_looked |= self._await_rest(more, was_woken, min(until, now + _SLICE_S), may_look=not has_looked)
            was_woken = not self._poll.poll(0)
            if not was_woken or self._poll.poll(1000 * min(max(until - time.monotonic(), 0.001), _SLICE_S)):
                got += self._read()
                more = want(got)
            now = time.monotonic()
        if asked and more == 0 and self._character_s:
            if len(got) == whole:
                self._habits.came(asked, self._quiet_since - ended - whole * self._character_s, was_there=was_there)
            else:
                self._habits.forget(asked)
        return got

    def _sleep_through(self, here: float, whole: int, until: float) -> bool:
        """Until the whole answer should be there. True if it was there before we looked."""
        here = min(here, until)
        while not self._stop.is_set() and here - time.monotonic() > _SLICE_S:
            time.sleep(_SLICE_S)
        self._alarm.doze(here)
        if self._waiting() >= whole:
            return True
        self._look_out(whole, until)
        return False

    def _look_out(self, more: int, until: float) -> None:
        """With open eyes for the last bytes of a frame."""
        until = min(until, time.monotonic() + _EYES_OPEN_S)
        while self._waiting() < more and time.monotonic() < until:
            pass

    def _await_rest(self, more: int, was_woken: bool, until: float, *, may_look: bool) -> bool:
        """Sleep until so many bytes more should be here, and look out for the last of them, once a frame: True if it was done.

        Who was woken by a byte knows when it came; who found some there knows only that the next one may be half here.
        """
        whole_s = (more if was_woken else more - 1) * self._character_s
        here = self._quiet_since + whole_s - (self._alarm.late_s if was_woken else 0.0)
        self._alarm.doze(min(here, until))
        if here > until or not may_look:
            return False
        self._look_out(more, until)
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
