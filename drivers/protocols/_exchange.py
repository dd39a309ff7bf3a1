"""One request and its answer, for protocols whose answers bear no number: retries, echoes and late answers in one place.

A device that stayed silent may answer late. Before it is asked anything else, its answer is listened for, so that it can
never be taken for the next one.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from config.errors import DeviceError
from drivers.driver import Wire
from drivers.likely import ECHO, TWICE
from drivers.protocols._patience import Patience, floor_s

log = logging.getLogger(__name__)
T = TypeVar("T")
FAR_S = 0.1
"""Behind such a round trip the rest of a spoilt answer, too, can come much later."""
_AGAIN = frozenset({"noise", "short"})
"""Faults of the moment: asked once more at once. A silent device is not: others may be waiting."""


class Exchange:
    """The conversation with one device. Used by the one thread that owns its line."""

    def __init__(self, name: str, character_s: float, answer_s: float, overdue_s: float = 0.0, round_trip_s: float = 0.0, *,
                 are_alike: bool = False) -> None:
        """`answer_s` bounds the wait for the first byte; of a far device it is learned how much of that is needed.

        `overdue_s`: for so long a late answer is listened for, 0 = it names its question. `round_trip_s` is what a network adds: up to
        twice as much is waited for, and ten times as much a late answer listened for. `are_alike`: an answer does not say what was asked.
        """
        self.name = name
        self.character_s = character_s
        self._answer_s = answer_s + 2 * round_trip_s
        self._overdue_s = overdue_s + 10 * round_trip_s if overdue_s else 0.0
        self._are_alike = are_alike
        self._is_far = round_trip_s >= FAR_S
        self._patience = Patience(self._answer_s, floor_s(self._answer_s, round_trip_s) if self._is_far else self._answer_s)
        self._overdue_until_ns = 0

    def ask(self, request: bytes, missing: Callable[[bytes], int], read: Callable[[bytes], T], size: int, wire: Wire, answer_s: float = 0.0,
            *, once: bool = False) -> T:
        """What `read` makes of the answer. `missing` says how many bytes are still to come (0 = whole), `size` how long it can be.

        `once`: what was sent is not sent again.

        Raises DeviceError: silent, or with the cause that `read` finds; LineError if the wire is gone.
        """
        self._await_overdue(wire)
        try:
            return self._once(request, missing, read, size, wire, answer_s)
        except DeviceError as fault:
            if once or fault.cause not in _AGAIN:
                raise
            log.debug("%s: %s; asked again", self.name, fault)
        return self._once(request, missing, read, size, wire, answer_s)

    def listen(self, missing: Callable[[bytes], int], within_s: float, wire: Wire) -> bytes:
        """What comes without a request, for so long or until it is whole."""
        return wire.receive(missing, within_s)

    def _once(self, request: bytes, missing: Callable[[bytes], int], read: Callable[[bytes], T], size: int, wire: Wire, answer_s: float) -> T:
        patience, answer_s = (None, answer_s) if answer_s else (self._patience, self._patience.timeout_s)
        wire.drain()
        wire.send(request)
        request_s, whole_s = len(request) * self.character_s, answer_s + (2 * len(request) + size) * self.character_s
        sent_ns = wire.clock.now().mono_ns
        came = wire.receive(lambda so_far: 0 if so_far else 1, answer_s + request_s)  # who is silent costs no more than this
        if came:
            began_s = (wire.clock.now().mono_ns - sent_ns) / 1e9
            rest_s = whole_s - began_s
            came += wire.receive(lambda more, first=came: missing(first + more), rest_s)  # type: ignore[misc]
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s  > %s  < %s", self.name, request.hex(" "), came.hex(" ") or "nothing")
        if patience is not None and came in (b"", request):
            patience.failed += 1
        elif patience is not None:
            patience.answered(began_s - request_s)
        if came in (b"", request):
            self._overdue_until_ns = wire.clock.now().mono_ns + round(self._overdue_s * 1e9)
            raise DeviceError(ECHO if came else "no answer: power, wiring, address?", "silent")
        try:
            found = read(came)
        except DeviceError as fault:
            if fault.cause in _AGAIN:  # the rest passes, or the answer: what was spoilt may have been noise before it
                rest_s = whole_s - (wire.clock.now().mono_ns - sent_ns) / 1e9 if self._are_alike else 0.0
                wire.receive(lambda so_far: 0 if _is_answer(so_far, read) else 1, max(size * self.character_s + 0.01, rest_s))
            if self._overdue_s and (fault.cause not in _AGAIN or self._is_far):
                self._overdue_until_ns = wire.clock.now().mono_ns + round(self._overdue_s * 1e9)
            raise
        if _is_twice(came, missing, read):
            raise DeviceError(TWICE, "wrong")
        return found

    def _await_overdue(self, wire: Wire) -> None:
        rest_s = (self._overdue_until_ns - wire.clock.now().mono_ns) / 1e9
        self._overdue_until_ns = 0
        if rest_s > 0:
            late = wire.receive(lambda so_far: 0 if so_far else 1, rest_s)
            log.debug("%s: late answer %s thrown away", self.name, late.hex(" ") or "did not come")


def _is_twice(came: bytes, missing: Callable[[bytes], int], read: Callable[[bytes], object]) -> bool:
    """Is there a second whole answer behind the first? Then nobody knows whose value it is."""
    if missing(came[:-1]) > 0:
        return False
    size = next((size for size in range(1, len(came)) if missing(came[:size]) <= 0), len(came))
    return _is_answer(came[size:], read)


def _is_answer(came: bytes, read: Callable[[bytes], object]) -> bool:
    try:
        read(came)
    except DeviceError:
        return False
    return True
