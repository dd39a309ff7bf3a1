"""The worker of one asked line: its timetable, its breakers, its wire.

One queue, in this order: orders, probes of devices that were given up (capped), polls by priority and then by who has waited
longest, visits.

Every group of registers has slots on the monotonic clock, aligned once to UTC and then kept in phase. What is due is
asked one after another, never overlapping; slots that pass meanwhile are left out whole and counted. A device that needs
time gives its turn back (Pause) and others are asked. All logic is in `step()`, which knows no thread: tests are its clock.
"""

import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

import numpy as np

from config.errors import DeviceError, LineError
from config.series import Reason
from drivers.driver import Asked, AskedLine, Deliver, Group, Pause, Wire
from drivers.reading import Batch, Clock, Delivery, Readings
from gateway.breaker import Backoff, Breaker
from gateway.health import LineHealth
from gateway.visits import Visits

log = logging.getLogger(__name__)

_MISSING_EVERY_NS = 60_000_000_000
"""A series that stays away gives one MISSING row at each due time, but at most one a minute."""
_PROBE_SHARE = 0.1
"""Devices that are given up together take at most this share of the line's time …"""
_DELAY_SHARE = 1 / 21
"""… and delay polls that are due by at most this one: the mean cycle of a full line grows by 5 % at most."""
_HAND_OVER_S = 0.2
_HAND_OVER_AFTER_STOP = 10
"""How often a full queue is tried again once the daemon stops; the core is emptying it meanwhile."""
_LONGEST_WAIT_S = 3600.0
_SLICE_S = 0.2
"""No rest is longer than this without a look at `stop`."""


@dataclass(slots=True)
class _Turn:
    """One group of one device in the timetable."""

    device: str
    driver: Asked
    group: Group
    period_ns: int
    due_ns: int = 0
    phase_ns: int = 0
    """Monotonic time of any whole interval of UTC, as it was at the start."""
    missing_ns: int | None = None
    """The slot for which MISSING was last told; None while it answers."""
    rest: Callable[[Wire], Batch | Pause] | None = None
    """How its poll goes on after a Pause; None = it has not begun."""
    rest_ns: int = 0
    """When it does."""

    @property
    def next_ns(self) -> int:
        """When it wants the wire."""
        return self.due_ns if self.rest is None else self.rest_ns

    def advance(self) -> None:
        """On to the next slot: whole intervals from the phase, however late this one was."""
        self.due_ns += self.period_ns - (self.due_ns - self.phase_ns) % self.period_ns


class Poller:
    """Polls the devices of one line until it is stopped."""

    def __init__(
        self, name: str, line: AskedLine, drivers: Mapping[str, Asked], clock: Clock, deliver: Deliver, health: LineHealth, seed: int = 0,
    ) -> None:
        """`seed` makes the jitter of tests repeatable."""
        self.name = name
        self._line = line
        self._clock = clock
        self._deliver = deliver
        self._health = health
        chance = random.Random(seed)  # noqa: S311 - jitter is no secret
        self._breakers = {device: Breaker(chance) for device in drivers}
        self._turns = [_Turn(device, driver, group, max(1, round(group.interval_s * 1e9)))
                       for device, driver in drivers.items() for group in driver.groups()]
        self._wire: Wire | None = None
        self._reopen = Backoff(0.5, 4.0, chance)
        self._reopen_ns = 0
        self._has_answered = False
        """Since the line was opened last."""
        self._probe_ns = 0
        """No probe of any device before this."""
        self._called = Event()
        self.visits = Visits(name, clock, self._called.set)
        """Jobs from outside the timetable; see gateway.visits."""
        self._align()

    def run(self, stop: Event) -> None:
        """Work until `stop` is set. Faults of the wire and of devices are dealt with; anything else that raises is a bug."""
        try:
            self._align()
            while not stop.is_set():
                self._rest(self.step(stop), stop)
        finally:
            self._wire = None
            self.visits.close()
            self._line.close()
            self._health.stopped()

    def step(self, stop: Event) -> float:
        """Do the one thing that is most due; gives the seconds until there may be something to do."""
        now_ns = self._clock.now().mono_ns
        if self._wire is None and now_ns >= self._reopen_ns:
            self._open(stop)
            return 0.0
        visit_ns = self.visits.due_ns(now_ns)
        turn = self._probe(now_ns)
        if turn is not None and self._wire is not None:
            self._try(turn, self._wire, stop)
            return 0.0
        turn = self._most_due(now_ns)
        if turn is not None:
            self._take(turn, now_ns, stop)
            return 0.0
        if visit_ns is not None and visit_ns <= now_ns and self._wire is not None:
            self._visit(self._wire, now_ns)
            return 0.0
        return self._rest_s(now_ns, visit_ns)

    def _rest(self, wait_s: float, stop: Event) -> None:
        """Nothing to do for so long, unless someone calls or the daemon stops."""
        until = time.monotonic() + wait_s
        while not stop.is_set() and (rest_s := until - time.monotonic()) > 0:
            if self._called.wait(min(rest_s, _SLICE_S)):
                break
        self._called.clear()

    def _align(self) -> None:
        """Every turn is due at once, and from then on at whole intervals of UTC."""
        now = self._clock.now()
        for turn in self._turns:
            turn.rest = None
            turn.due_ns, turn.phase_ns = now.mono_ns, now.mono_ns - now.utc_ns % turn.period_ns

    def _most_due(self, now_ns: int) -> _Turn | None:
        resting = self._resting()
        due = [turn for turn in self._turns if turn.next_ns <= now_ns and (turn.rest is not None or turn.device not in resting)]
        return min(due, key=lambda turn: (turn.group.priority, turn.next_ns), default=None)

    def _resting(self) -> frozenset[str]:
        """Devices in the middle of a poll that pauses: nothing else is asked of them."""
        return frozenset(turn.device for turn in self._turns if turn.rest is not None)

    def _probe(self, now_ns: int) -> _Turn | None:
        """The shortest request of the device that has been given up and is to be tried now."""
        if self._wire is None or now_ns < self._probe_ns:
            return None
        resting = self._resting()
        ready = [(breaker.try_at_ns, device) for device, breaker in self._breakers.items()
                 if breaker.is_open and breaker.try_at_ns <= now_ns and device not in resting]
        if not ready:
            return None
        device = min(ready)[1]
        return min((turn for turn in self._turns if turn.device == device), key=lambda turn: turn.group.line_time_s)

    def _rest_s(self, now_ns: int, visit_ns: int | None) -> float:
        """Until something is due, with nothing due now."""
        resting = self._resting()
        times = [turn.next_ns for turn in self._turns if turn.rest is not None or turn.device not in resting]
        if visit_ns is not None and (self._wire is not None or visit_ns > now_ns):
            times.append(visit_ns)
        if self._wire is None:
            times.append(self._reopen_ns)
        else:
            times += [max(breaker.try_at_ns, self._probe_ns) for device, breaker in self._breakers.items()
                      if breaker.is_open and device not in resting]
        return min(_LONGEST_WAIT_S, max(0.0, (min(times, default=now_ns + 10**12) - now_ns) / 1e9))

    def _take(self, turn: _Turn, now_ns: int, stop: Event) -> None:
        """The turn's slot: poll it, or say that it is missing; slots that passed whole are left out."""
        if turn.rest is not None and self._wire is not None:
            self._ask(turn, self._wire, stop)
            if turn.rest is None and turn.due_ns <= now_ns:
                turn.advance()
            return
        passed = (now_ns - turn.due_ns) // turn.period_ns
        turn.due_ns += passed * turn.period_ns
        if self._wire is None:
            self._tell_missing(turn, Reason.LINE, stop)
        elif self._breakers[turn.device].is_open:
            self._tell_missing(turn, Reason.DEVICE, stop)
        else:
            if passed:
                self._health.late(turn.device, passed)
            self._ask(turn, self._wire, stop)
            if turn.rest is not None:
                return
        turn.advance()

    def _ask(self, turn: _Turn, wire: Wire, stop: Event) -> None:
        reason = self._poll(turn, wire, stop)
        if reason is not None and not stop.is_set():
            self._tell_missing(turn, reason, stop)

    def _try(self, turn: _Turn, wire: Wire, stop: Event) -> None:
        """Poll a device that has been given up; its next try comes no sooner than the line's share allows."""
        began_ns = self._clock.now().mono_ns
        due_ns = min((turn.next_ns for turn in self._turns if not self._breakers[turn.device].is_open), default=None)
        self._poll(turn, wire, stop)
        now_ns = self._clock.now().mono_ns
        delay_ns = 0 if due_ns is None else max(0, now_ns - max(began_ns, due_ns))
        self._probe_ns = now_ns + int(max((now_ns - began_ns) * (1 / _PROBE_SHARE - 1), delay_ns * (1 / _DELAY_SHARE - 1)))

    def _poll(self, turn: _Turn, wire: Wire, stop: Event) -> Reason | None:
        """One poll, or the part of it up to its next pause; handed over. Gives why there was none."""
        go_on, turn.rest = turn.rest, None
        try:
            batch = turn.driver.poll(turn.group, wire) if go_on is None else go_on(wire)
        except DeviceError as fault:
            if not stop.is_set():
                self._failed(turn.device, fault.cause, str(fault))
            return Reason.DEVICE
        except LineError as error:
            self._lost(str(error))
            self._failed(turn.device, "line", str(error))
            return Reason.LINE
        if isinstance(batch, Pause):
            turn.rest, turn.rest_ns = batch.then, self._clock.now().mono_ns + round(batch.for_s * 1e9)
            return None
        if stop.is_set() and np.any(batch.reason == Reason.COMMUNICATION):
            return Reason.COMMUNICATION  # cut short by the stop, not by the device: say nothing of the rest
        self._good(turn, batch)
        self._hand_over(batch, stop)
        return None

    def _good(self, turn: _Turn, batch: Batch) -> None:
        gone = int(np.isnan(batch.raw).sum())
        self._has_answered = True
        self._reopen.reset()
        turn.missing_ns = None
        self._health.answered(turn.device, batch.stamp.mono_ns, f"{gone} of {len(batch)} values missing" if gone else "")
        if self._breakers[turn.device].good():
            log.info("line %s: %s answers again", self.name, turn.device)

    def _failed(self, device: str, cause: str, words: str) -> None:
        breaker = self._breakers[device]
        opened = breaker.bad(self._clock.now().mono_ns)
        if cause != "line":
            self._health.failed(device, cause, words, given_up=breaker.is_open)
        if opened:
            log.warning("line %s: %s given up after %d failures, tried now and then: %s", self.name, device, breaker.failures, words)

    def _visit(self, wire: Wire, now_ns: int) -> None:
        """One exchange of the visit under way, nothing being due."""
        try:
            self.visits.step(wire, self._rest_s(now_ns, None), self._resting())
        except LineError as error:
            self._lost(str(error))

    def _open(self, stop: Event) -> None:
        try:
            self._wire = self._line.open(stop, self._clock)
        except LineError as error:
            if not stop.is_set():
                self._lost(str(error))
        else:
            self._has_answered = False
            self._health.opened()
            log.info("line %s: open", self.name)

    def _lost(self, words: str) -> None:
        """Close; a line that has worked is opened again at once, else after a while."""
        if self._health.line()["state"] != "lost":
            log.warning("line %s: lost: %s", self.name, words)
        self._wire = None
        self._line.close()
        for turn in self._turns:
            turn.rest = None
        self._health.lost(words)
        self._reopen_ns = self._clock.now().mono_ns + (0 if self._has_answered else self._reopen.next_ns())
        self._has_answered = False

    def _tell_missing(self, turn: _Turn, reason: Reason, stop: Event) -> None:
        if turn.missing_ns is not None and turn.due_ns - turn.missing_ns < _MISSING_EVERY_NS:
            return
        turn.missing_ns = turn.due_ns
        readings = Readings(self._clock.now())
        for series in turn.group.series:
            readings.add(series, math.nan, reason)
        self._hand_over(readings.batch(), stop)

    def _hand_over(self, batch: Batch, stop: Event) -> None:
        """To the core. While its queue is full this waits, and the line's next polls are late."""
        delivery = Delivery(self.name, (batch,))
        tries_left = _HAND_OVER_AFTER_STOP
        while not self._deliver(delivery, _HAND_OVER_S):
            tries_left -= stop.is_set()
            if tries_left <= 0:
                self._health.count("dropped", len(batch))
                log.error("line %s: %d readings lost: the queue stayed full after stop", self.name, len(batch))
                return
