"""A wire on which answers are lines of text without a checksum: nothing is believed of a line of which the beginning was not seen.

A circuit that writes by itself may be inside a line when the port is opened, and the rest of 7.005 is a number too. What
`drivers/codecs/frame.py` does for streams (LineCutter), this does for lines that are asked.
"""

from collections.abc import Callable

from config.errors import DeviceError
from drivers.codecs.frame import NotAFrame, hexed
from drivers.driver import Wire
from drivers.likely import ECHO

_TRIES = 2
_BURST_S = 0.02
"""Adapters hand over every 16 ms: what had come before the question is here by then."""


class WholeLines:
    """A wire; see Wire. It knows what came last, so it lives as long as the wire that it stands before."""

    def __init__(self, wire: Wire, end: bytes) -> None:
        """Lines end with the byte `end`."""
        self.clock, self.owed = wire.clock, wire.owed
        self.wire = wire
        self._end = end
        self.has_begun = False
        """The beginning of the line that comes now is known: an end came before it."""
        self._has_ended = False

    def begin(self, question: bytes, within_s: float) -> None:
        """Ask for nothing, twice if need be: behind the end of the first line all are whole. Raises DeviceError if no line ends."""
        came = b""
        for _ in range(_TRIES):
            self.wire.drain()
            self.wire.send(question)
            came = self.wire.receive(lambda so_far: 0 if self._end in so_far.removeprefix(question) else 1, within_s)
            self.has_begun = self._end in came.removeprefix(question)
            self._see(came)
            if self.has_begun:
                return
            if came in (b"", question):
                raise DeviceError(ECHO if came else "no answer: power, wiring, address?", "silent")
        raise NotAFrame(f"a line that does not end: {hexed(came)}: baud rate, wiring?", "short")

    def send(self, data: bytes) -> None:
        """See Wire."""
        self.wire.send(data)

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        """See Wire. The rest of a line that began unseen is left out, its end with it."""
        came = self.wire.receive(lambda so_far: want(self._whole(so_far)), timeout_s)
        whole = self._whole(came)
        self.has_begun |= self._end in came
        self._see(came)
        return whole

    def drain(self) -> int:
        """See Wire. What stands in the middle of a line now does not become a whole one."""
        left = self.wire.receive(lambda so_far: 1, _BURST_S)
        self._see(left)
        self.has_begun = self._has_ended
        return len(left)

    def _whole(self, came: bytes) -> bytes:
        return came if self.has_begun else came.partition(self._end)[2]

    def _see(self, came: bytes) -> None:
        self._has_ended = came.rstrip(b"\n").endswith(self._end) if came.strip(b"\n") else self._has_ended
