"""Before the first question on a line: is somebody else asking there? Two masters on one line spoil each other's readings.

A line that is opened for the first time is listened to; if requests are heard, nothing is sent and the line counts as lost, with
what to do about it, until a later look hears none. Once it was found free it is not listened to again: a wire that is pulled and
put back is read again at once.
"""

import logging
from threading import Event

from config.errors import LineError
from drivers.codecs.masters import Masters
from drivers.driver import AskedLine, Wire
from drivers.reading import Clock

log = logging.getLogger("ecosentry.line")
_SLICE_S = 0.1
REPAIR = 'two masters spoil each other\'s readings, so nothing is sent; use mode = "listen" to read along'


def masters(wire: Wire, listen_s: float, stop: Event) -> Masters:
    """What is heard on an open wire in so long; ends early when requests are heard or `stop` is set. Sends nothing. Raises LineError."""
    heard = Masters()
    until_ns = wire.clock.now().mono_ns + round(listen_s * 1e9)
    while (rest_ns := until_ns - wire.clock.now().mono_ns) > 0 and not heard.requests and not stop.is_set():
        piece = wire.receive(lambda so_far: 0 if so_far else 1, min(_SLICE_S, rest_ns / 1e9))
        if piece:
            heard.feed(piece, wire.clock.now().mono_ns)
        else:
            heard.fall_silent(wire.clock.now().mono_ns)
    return heard


class ListenFirst:
    """A line that is listened to before it is asked; see AskedLine."""

    def __init__(self, name: str, line: AskedLine, listen_s: float) -> None:
        """`listen_s` 0 = it is not."""
        self._name, self._line, self._listen_s = name, line, listen_s
        self._is_free = listen_s <= 0

    def open(self, stop: Event, clock: Clock) -> Wire:
        """See AskedLine. Raises LineError too while another master speaks there."""
        wire = self._line.open(stop, clock)
        if self._is_free:
            return wire
        try:
            heard = masters(wire, self._listen_s, stop)
        except LineError:
            self._line.close()
            raise
        if heard.requests:
            self._line.close()
            raise LineError(f"{heard.words()}: {REPAIR}")
        if heard.bytes_heard:
            log.warning("line %s: %d bytes came before anything was asked: a device that speaks by itself, another baud rate, or noise",
                        self._name, heard.bytes_heard)
        self._is_free = not stop.is_set()
        return wire

    def close(self) -> None:
        """See AskedLine."""
        self._line.close()
