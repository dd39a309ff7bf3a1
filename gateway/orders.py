"""The orders of one polled line: carried out one after another, before all polls, each at most once.

Whoever gives an order and the line's thread meet here. An order waits until it is journalled as asked, then until it is
journalled as started, and only then it is sent; the line goes on polling meanwhile.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Lock
from typing import Literal

from config.errors import LineError
from drivers.driver import Wire
from drivers.order import Obeys, Order, Outcome
from drivers.reading import Clock
from gateway.intake import Note
from gateway.journal.orders import OrderAsked, OrderEnded, OrderStarted

log = logging.getLogger(__name__)
WITHIN_S = 60.0
"""An order that could not be sent for so long (its line is lost, its device at rest) has failed: nobody expects it any more."""
_MOST_WAITING = 8
_JOURNAL_S = 1.5
_BUG = "the program failed in the middle: look at the device; the log says what happened"


class OrderRefusedError(Exception):
    """The order is not taken; the words say why and what to do."""


@dataclass(slots=True, eq=False)
class _Given:
    device: str
    order: Order
    until_ns: int
    id: int = 0
    step: Literal["asking", "asked", "starting", "started", "withdrawn"] = "asking"
    ended: Callable[[Outcome], None] = lambda outcome: None
    """Told what became of it, by the line's thread."""


@dataclass(frozen=True, slots=True)
class Carried:
    """An order that was carried out, or tried."""

    device: str
    outcome: Outcome
    settle_s: float
    """For so long its device is to be left alone."""


class Orders:
    """`give` may be called from any thread but the core's, `close` and what comes after it by the line's own."""

    def __init__(
        self, line: str, clock: Clock, called: Callable[[], None], devices: Mapping[str, Obeys], tell: Callable[[Note], None],
        out_of_reach: Callable[[str], str] = lambda device: "",
    ) -> None:
        """`devices`: those that may be told something. `tell` brings notes to the journal, `called` wakes the line's thread.

        `out_of_reach`: why a device cannot be told anything just now, empty = it can; any thread.
        """
        self.out_of_reach = out_of_reach
        self._line, self._clock, self._called, self._devices, self._tell = line, clock, called, dict(devices), tell
        self._given: list[_Given] = []
        self._lock = Lock()

    def give(self, device: str, order: Order, by: str) -> int:
        """Take an order; gives its number in the journal. Raises OrderRefusedError, and then surely nothing is sent."""
        asked = Event()
        given = self._take(device, order, by, asked.set, lambda outcome: None)
        if not asked.wait(_JOURNAL_S) and self._withdraw(given):
            raise OrderRefusedError("the journal cannot be written just now, and nothing is sent before it is written down: ecosentry status")
        return given.id

    def begin(self, device: str, order: Order, by: str, ended: Callable[[Outcome], None]) -> None:
        """Take an order of our own without waiting for the journal; `ended` is told what became of it.

        Raises OrderRefusedError, also for a device that is out of reach: it would take the line's time again and again.
        """
        far = self.out_of_reach(device)
        if far:
            raise OrderRefusedError(f"{device}: {far}")
        self._take(device, order, by, lambda: None, ended)

    def _take(self, device: str, order: Order, by: str, asked: Callable[[], None], ended: Callable[[Outcome], None]) -> _Given:
        try:
            self._devices[device].check(order)
        except ValueError as error:
            raise OrderRefusedError(f"{device} {error}") from error
        stamp = self._clock.now()
        given = _Given(device, order, stamp.mono_ns + round(WITHIN_S * 1e9), ended=ended)

        def kept(number: int) -> None:
            self._is_asked(given, number)
            asked()

        with self._lock:
            if len(self._given) >= _MOST_WAITING:
                raise OrderRefusedError(f"line {self._line}: {len(self._given)} orders wait already")
            self._given.append(given)
        self._tell(OrderAsked(stamp.utc_ns, self._line, device, order.verb, order.value, by, kept))
        return given

    def _is_asked(self, given: _Given, number: int) -> None:
        with self._lock:
            given.id = number
            withdrawn = given.step == "withdrawn"
            if not withdrawn:
                given.step = "asked"
        if withdrawn:
            self._end(given, Outcome("failed", "nothing was written: the journal took it too late"))
        self._called()

    def _withdraw(self, given: _Given) -> bool:
        with self._lock:
            if given.step != "asking":
                return False
            given.step = "withdrawn"
            self._given.remove(given)
            return True

    # ── for the line's thread ────────────────────────────────────────────────────────────────────────────────────────
    def due_ns(self, now_ns: int) -> int | None:
        """When something has to be done, at the latest when an order has waited too long; None = there is no order. Ends those."""
        if not self._given:
            return None
        with self._lock:
            over = [given for given in self._given if given.until_ns <= now_ns and given.step != "asking"]
        for given in over:
            self._end(given, Outcome("failed", f"nothing was written: it could not be sent within {WITHIN_S:.0f} s"))
        with self._lock:
            return min((given.until_ns for given in self._given), default=None)

    def ready(self, resting: frozenset[str]) -> bool:
        """Is there one to go on with? Never more than one of a line is under way."""
        return self._next(resting) is not None

    def _next(self, resting: frozenset[str]) -> _Given | None:
        if not self._given:
            return None
        with self._lock:
            if any(given.step == "starting" for given in self._given):
                return None
            first = [given for given in self._given if given.step in ("asked", "started") and given.device not in resting]
            return min(first, key=lambda given: given.step != "started", default=None)

    def step(self, wire: Wire, resting: frozenset[str]) -> Carried | None:
        """Go on with one; gives what came of it when it was sent. Raises LineError if the wire is gone."""
        given = self._next(resting)
        if given is None:
            return None
        if given.step == "asked":
            given.step = "starting"
            self._tell(OrderStarted(given.id, self._clock.now().utc_ns, lambda: self._is_started(given)))
            return None
        obeys = self._devices[given.device]
        try:
            outcome = obeys.obey(given.order, wire)
        except LineError as error:
            self._end(given, Outcome("unknown", f"it was sent; the line was lost before the answer: {error}"))
            raise
        except BaseException:
            self._end(given, Outcome("unknown", _BUG))
            raise
        self._end(given, outcome)
        return Carried(given.device, outcome, obeys.verbs[given.order.verb].settle_s if outcome.state != "failed" else 0.0)

    def close(self) -> None:
        """The line's worker ends: what was not sent never will be."""
        with self._lock:
            rest = [given for given in self._given if given.step != "asking"]
        for given in rest:
            self._end(given, Outcome("failed", "nothing was written: the daemon stopped"))

    def _is_started(self, given: _Given) -> None:
        given.step = "started"
        self._called()

    def _end(self, given: _Given, outcome: Outcome) -> None:
        with self._lock:
            if given in self._given:
                self._given.remove(given)
        log.log(logging.INFO if outcome.state == "done" else logging.WARNING, "line %s: order %d, %s %s: %s: %s", self._line, given.id, given.device,
                given.order.verb, outcome.state, outcome.words)
        self._tell(OrderEnded(given.id, self._clock.now().utc_ns, outcome.state, outcome.words))
        given.ended(outcome)
