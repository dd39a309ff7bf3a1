"""The worker of one asked line: its timetable, its breakers, its wire.

One queue, in this order: orders, probes of devices that were given up (capped), polls by priority and then by who has waited
longest, visits.

Every group of registers has slots on the monotonic clock, aligned once to UTC and then kept in phase. What is due is
asked one after another, never overlapping; slots that pass meanwhile are left out whole and counted. A device that needs
time gives its turn back (Pause) and others are asked. All logic is in `step()`, which knows no thread: tests are its clock.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from threading import Event

import numpy as np

from config.errors import DeviceError, LineError
from config.series import Reason
from drivers.alignment import Alignment
from drivers.driver import Asked, AskedLine, Called, Deliver, Pause, Wire
from drivers.likely import AFTERWARDS, explained
from drivers.order import Obeys
from drivers.reading import Batch, Clock, Stamp
from gateway.breaker import Backoff
from gateway.given_up import GivenUp
from gateway.handing_over import HandingOver
from gateway.health import LineHealth
from gateway.intake import Note
from gateway.orders import Orders
from gateway.sleepers import Sleepers
from gateway.turns import Turn, Turns
from gateway.unasked import Unasked
from gateway.visits import Visits

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 30.0
"""Then it looks whether the clock was set."""
_SLICE_S = 0.2
"""No rest is longer than this without a look at `stop`."""


class Poller:
    """Polls the devices of one line until it is stopped."""

    def __init__(
        self, name: str, line: AskedLine, drivers: Mapping[str, Asked], clock: Clock, deliver: Deliver, health: LineHealth, seed: int = 0,
        tell: Callable[[Note], None] = lambda note: None,
    ) -> None:
        """`seed` makes the jitter of tests repeatable. `tell` brings notes on orders to the journal."""
        self.name = name
        self._line = line
        self._clock = clock
        self._onward = HandingOver(name, clock, deliver, health)
        self._health = health
        chance = random.Random(seed)  # noqa: S311 - jitter is no secret
        self._given_up = GivenUp(drivers, chance)
        self._turns = Turns(drivers)
        self._sleepers = Sleepers(drivers, self._turns)
        self._alignment = Alignment()
        self._wire: Wire | None = None
        self._caller: Called | None = None
        """The same wire, if it says who is at its other end; looked up once: to ask an object for its protocol costs 20 µs."""
        self._reopen = Backoff(0.5, 4.0, chance)
        self._reopen_ns = 0
        self._has_answered = False
        """Since the line was opened last."""
        self._unasked = Unasked()
        self._called = Event()
        self.visits = Visits(name, clock, self._called.set)
        """Jobs from outside the timetable; see gateway.visits."""
        self.obeying = {device: driver for device, driver in drivers.items() if isinstance(driver, Obeys) and driver.verbs}
        """Devices that may be told something."""
        self.orders = Orders(name, clock, self._called.set, self.obeying, tell, self._out_of_reach)
        self._align()

    def run(self, stop: Event) -> None:
        """Work until `stop` is set. Faults of the wire and of devices are dealt with; anything else that raises is a bug."""
        try:
            self._align()
            while not stop.is_set():
                wait_s = self.step(stop)
                if wait_s > 0:
                    self._rest(wait_s, stop)
        finally:
            self._wire = None
            self.visits.close()
            self.orders.close()
            self._line.close()
            self._health.stopped()

    def _align(self) -> None:
        """Every turn is due at once, and later at whole intervals of UTC."""
        now = self._clock.now()
        self._alignment.has_moved(now)
        self._turns.align(now)
        self._sleepers.begin_anew()

    def step(self, stop: Event) -> float:
        """Do the one thing that is most due; gives the seconds until there may be something to do."""
        now = self._clock.now()
        now_ns = now.mono_ns
        if self._alignment.has_moved(now):
            self._turns.realign(now)
            self._sleepers.begin_anew()
        if self._wire is None and now_ns >= self._reopen_ns:
            self._open(stop)
            return 0.0
        others_ns = [at_ns for at_ns in (self.orders.due_ns(now_ns), self.visits.due_ns(now_ns)) if at_ns is not None]
        resting = self._turns.resting(now_ns)
        if self._wire is not None and self.orders.ready(resting):
            self._obey(self._wire, resting)
            return 0.0
        sleeper = self._sleepers.due(now_ns, resting)
        if sleeper is not None:
            self._attend(sleeper, now, stop)
            return 0.0
        turn = self._probe(now_ns, resting)
        if turn is not None and self._wire is not None:
            self._try(turn, self._wire, stop)
            return 0.0
        turn = self._turns.most_due(now_ns)
        if turn is not None:
            self._take(turn, now_ns, stop)
            return 0.0
        rest_s = self._rest_s(now_ns, [])
        if self._wire is not None and self.visits.ready(now_ns):
            self._visit(self._wire, rest_s, resting)
            return 0.0
        return self._rest_s(now_ns, others_ns) if others_ns else rest_s

    def _rest(self, wait_s: float, stop: Event) -> None:
        """Nothing to do for so long, unless someone calls or the daemon stops."""
        until = time.monotonic() + wait_s
        while not stop.is_set() and (rest_s := until - time.monotonic()) > 0:
            if self._called.wait(min(rest_s, _SLICE_S)):
                break
        self._called.clear()

    def _probe(self, now_ns: int, resting: frozenset[str]) -> Turn | None:
        """The shortest request of the device that has been given up and is to be tried now."""
        device = self._given_up.ready(now_ns, resting | self._sleepers.asleep) if self._wire is not None else None
        if device is None:
            return None
        return min((turn for turn in self._turns.all if turn.device == device), key=lambda turn: turn.group.line_time_s)

    def _rest_s(self, now_ns: int, others_ns: list[int]) -> float:
        """Until something is due, with nothing due now."""
        resting = self._turns.resting(now_ns)
        times = self._turns.times() + [at_ns for at_ns in others_ns if at_ns > now_ns] + self._sleepers.times(resting)
        if self._wire is None:
            times.append(self._reopen_ns)
        else:
            times += self._given_up.times(resting | self._sleepers.asleep)
        return min(_LONGEST_WAIT_S, max(0.0, (min(times, default=now_ns + 10**12) - now_ns) / 1e9))

    def _take(self, turn: Turn, now_ns: int, stop: Event) -> None:
        """The turn's slot: poll it, or say that it is missing; slots that passed whole are left out."""
        if turn.rest is None:
            passed = turn.leave_out(now_ns)
            if self._wire is None:
                self._onward.tell_missing(turn, Reason.LINE, stop)
            elif self._turns.settled_ns(turn.device) > now_ns:
                self._onward.tell_missing(turn, Reason.MAINTENANCE, stop, every_ns=0)
            elif turn.device in self._given_up.names:
                self._onward.tell_missing(turn, Reason.DEVICE, stop)
            else:
                if passed:
                    self._health.late(turn.device, passed)
                self._ask(turn, self._wire, stop)
        elif self._wire is not None and turn.device in self._given_up.names:
            self._try(turn, self._wire, stop)
        elif self._wire is not None:
            self._ask(turn, self._wire, stop)
        if turn.rest is None and turn.due_ns <= now_ns:
            turn.advance()

    def _attend(self, device: str, now: Stamp, stop: Event) -> None:
        """Look after one that sleeps now and then. One that is given up is told nothing, and tried as soon as it may answer."""
        try:
            standing, changed = self._sleepers.attend(device, None if device in self._given_up.names else self._wire, now)
        except LineError as error:
            self._lost(str(error))
            return
        if device in self._given_up.names and standing.state == "asleep":
            self._health.put_off(device, standing.until_ns)
        elif device in self._given_up.names and changed:
            self._given_up.try_at(device, now.mono_ns)
            self._health.put_off(device, now.mono_ns)
        self._health.withheld(device, standing.trouble)
        if standing.batch is not None:
            self._onward.give(standing.batch, stop)

    def _ask(self, turn: Turn, wire: Wire, stop: Event) -> None:
        reason = self._poll(turn, wire, stop)
        if reason is not None and not stop.is_set():
            self._onward.tell_missing(turn, reason, stop)

    def _try(self, turn: Turn, wire: Wire, stop: Event) -> None:
        """Poll a device that has been given up; its next try comes no sooner than the line's share allows."""
        began_ns = self._clock.now().mono_ns
        due_ns = min(self._turns.times(self._given_up.names), default=None)
        self._poll(turn, wire, stop)
        self._given_up.tried(began_ns, self._clock.now().mono_ns, due_ns)

    def _poll(self, turn: Turn, wire: Wire, stop: Event) -> Reason | None:
        """One poll, or the part of it up to its next pause; handed over. Gives why there was none."""
        begins = turn.rest is None
        go_on = self._turns.go_on(turn)
        try:
            if begins and self._unasked.throw_away(wire):
                self._health.count("unasked")
            self._unasked.polled(turn.device, answered=False)
            batch = go_on(wire)
        except DeviceError as fault:
            if stop.is_set():
                return Reason.DEVICE
            if fault.cause == "busy":
                return self._busy(turn, fault)
            self._failed(turn.device, fault.cause, explained(fault))
            return Reason.DEVICE
        except LineError as error:
            self._lost(str(error))
            self._failed(turn.device, "line", str(error))
            return Reason.LINE
        if isinstance(batch, Pause):
            self._turns.pause(turn, batch, self._clock.now().mono_ns)
            return None
        if stop.is_set() and np.any(batch.reason == Reason.COMMUNICATION):
            return Reason.COMMUNICATION  # cut short by the stop, not by the device: say nothing of the rest
        self._good(turn, batch)
        self._onward.give(batch, stop)
        return None

    def _good(self, turn: Turn, batch: Batch) -> None:
        gone = int(np.count_nonzero(np.isnan(batch.raw)))
        self._unasked.polled(turn.device, answered=True)
        words = f"{gone} of {len(batch)} values missing" if gone else AFTERWARDS if self._unasked.is_sure(turn.device) else ""
        turn.missing_ns = None
        if self._caller is not None:
            self._health.noted(self._caller.caller)
        self._health.answered(turn.device, batch.stamp.mono_ns, words)
        self._lives(turn.device)

    def _lives(self, device: str) -> None:
        """It said something that only it can have said."""
        self._has_answered = True
        self._reopen.reset()
        self._turns.trust(device, answers=True)
        if self._given_up.good(device):
            self._sleepers.found(device, self._clock.now().mono_ns)
            log.info("line %s: %s answers again", self.name, device)

    def _busy(self, turn: Turn, fault: DeviceError) -> Reason | None:
        """It has no time for us just now: it is not given up, and asked again soon. Gives why there is no value, None while there may be one."""
        self._lives(turn.device)
        self._health.failed(turn.device, fault.cause, explained(fault))
        return None if self._turns.ask_again(turn, self._clock.now().mono_ns) else Reason.DEVICE

    def _failed(self, device: str, cause: str, words: str) -> None:
        self._turns.trust(device, answers=False)
        breaker, opened = self._given_up.bad(device, self._clock.now().mono_ns)
        if cause != "line":
            self._health.failed(device, cause, words, given_up=breaker.is_open, try_at_ns=breaker.try_at_ns)
        if opened:
            log.warning("line %s: %s given up after %d failures, tried now and then: %s", self.name, device, breaker.failures, words)

    def _obey(self, wire: Wire, resting: frozenset[str]) -> None:
        """Go on with an order; afterwards its device settles."""
        try:
            sent = self.orders.step(wire, resting)
        except LineError as error:
            self._lost(str(error))
            return
        if sent is not None:
            self._turns.settle(sent.device, self._clock.now().mono_ns + round(sent.settle_s * 1e9))
            if sent.outcome.cause not in ("", "busy"):
                self._failed(sent.device, sent.outcome.cause, sent.outcome.words)

    def _out_of_reach(self, device: str) -> str:
        """Why it cannot be told anything just now. Any thread."""
        lost = self._health.line()
        if lost["state"] == "lost":
            return f"line {self.name} is lost: {lost['words']}"
        return "it does not answer, and is given up for now" if device in self._given_up.names else ""

    def _visit(self, wire: Wire, free_s: float, resting: frozenset[str]) -> None:
        """One exchange of the visit under way, nothing being due."""
        try:
            self.visits.step(wire, free_s, resting)
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
            self._sleepers.begin_anew()
            self._caller = self._wire if isinstance(self._wire, Called) else None
            self._health.opened(self._caller.caller if self._caller is not None else "")
            log.info("line %s: open", self.name)

    def _lost(self, words: str) -> None:
        """Close; a line that has worked is opened again at once, else after a while."""
        if self._health.line()["state"] != "lost":
            log.warning("line %s: lost: %s", self.name, words)
        self._wire = None
        self._line.close()
        self._turns.begin_anew()
        self._sleepers.begin_anew()
        self._health.lost(words)
        self._reopen_ns = self._clock.now().mono_ns + (0 if self._has_answered else self._reopen.next_ns())
        self._has_answered = False
