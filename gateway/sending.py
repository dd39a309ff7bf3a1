"""The requests of one sink: what an answer means for the courier, what it costs, and what may be believed after it.

A note of what was sent goes to the journal when it is sure. Most stores acknowledge what they have on disk; one that does not is
believed only so long after (`unsure_s`), over one unbroken connection: another connection may be another life of the store, and then
all that it could have lost goes again. Sending is safe to repeat, so that costs bytes and nothing else.
"""

import logging
import math
import random
import time
from collections import deque

import numpy as np

from config.errors import Halted, Refused, Unavailable
from config.site import SinkTable, Site
from drivers.reading import Clock
from gateway.breaker import Backoff
from gateway.contracts import Rows, Sink
from gateway.data_budget import DataBudget, is_metered
from gateway.intake import Intake
from gateway.journal.progress import BacklogMoved, Crossed, Settled, SinkMoved, SinkSays
from gateway.journal.reader import Reader
from gateway.pace import AT_LEAST
from gateway.sink_standing import Standing

log = logging.getLogger("ecosentry.courier")
AT_ONCE = 5000
"""Rows in one go. A link that is too slow for many in the time of one request gets fewer, or they would be sent again for ever."""
_REQUEST_S = 30.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_HUMAN_PAUSE_S = 120.0
"""A store that needs a human is tried this often: the human may have come."""
_AWAY_S = 3600.0
"""A store that was away for so long is an alert."""
_SAMPLES = 20
"""So many rows are refused one by one before it is asked whether any is taken, of so many series."""
_COUNTED_S = 10.0
_SPENT_LOOK_S = 60.0
HALTED, AWAY, SPENT = "sink_halted", "sink_away", "sink_spent"
"""The technical alerts of a sink."""

Refusals = list[tuple[int, int, str]]
Note = SinkMoved | BacklogMoved | Settled


class Sending:
    """One thread; the courier's half that talks with the sink and the journal."""

    def __init__(self, name: str, sink: Sink, choice: SinkTable, site: Site, intake: Intake, clock: Clock, seed: int) -> None:
        self._name = name
        self.sink = sink
        self._choice = choice
        self._intake = intake
        self._clock = clock
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, random.Random(f"{name}{seed}"))  # noqa: S311 - jitter, not a secret
        self._budget = DataBudget(choice.bytes_per_day, next((s.time_zone for s in site.stations.values()), "UTC"), self._recall)
        self._reader: Reader | None = None
        self._said = ""
        self.at_once = AT_ONCE
        self.standing = Standing()
        """What the store has accepted; ahead of the journal while it may still lose rows."""
        self._journalled: Standing | None = None
        self._unsure: deque[tuple[float, Note]] = deque()
        self._connection = 0
        self._away_since: float | None = None
        self._is_doubted = False
        """What it said last was no, also before this start: it is well again when it has taken something, and not before."""
        self._batch: Rows
        """What is sent now, whole."""
        self._has_taken = False
        """A row, since the start."""
        self._sure: tuple[int, int] | None = None
        """UTC and monotonic ns when the clock was sure last."""
        self._counted = self._untold = 0
        self._next_count = -math.inf

    def begin(self, reader: Reader) -> None:
        """Stand where the journal says; where this process has stood already, its own notes are on their way there."""
        self._reader = reader
        if self._journalled is None:
            record = reader.sinks()[self._name]
            self._journalled = Standing(record.n, reader.backlog(self._name))
            self._is_doubted = record.state in ("unavailable", "halted")
        self.take_back()

    def now_s(self) -> float:
        """Seconds of a monotonic clock."""
        return self._clock.now().mono_ns / 1e9

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def attempt(self, rows: Rows, refused: Refusals, read: int) -> float | None:
        """Send; None = all is accepted or in `refused`, else nothing is: pause so many seconds. `read`: rows that this went through."""
        try:
            if len(rows):
                self._take_or_halt(rows, refused)
        except Unavailable as error:
            self.at_once = max(AT_LEAST, min(self.at_once, read) // 4)
            return self._away(error)
        except Halted as error:
            return self._halted(error)
        finally:
            self.count()
        if not len(rows):
            if not self._is_doubted and not self._said.startswith("ok"):
                self.say("ok", "")
            return None
        self._backoff.reset()
        self._away_since, self._is_doubted = None, False
        self.at_once = min(AT_ONCE, self.at_once + self.at_once // 8)
        if not self._said.startswith("ok"):
            self.say("ok", "")
        return None

    def _take_or_halt(self, rows: Rows, refused: Refusals) -> None:
        """Who has taken nothing since the start and refuses all of a batch is not believed: it may be a proxy, or another server. Raises Halted."""
        self._batch = rows
        self._send(rows, refused)
        if not self._has_taken:
            raise self._takes_nothing(refused)
        for n, _, words in refused:
            log.error("sink %s refuses row %d (%s): %s", self._name, n, rows.series[rows.which[np.searchsorted(rows.n, n)]], words)

    def _takes_nothing(self, refused: Refusals) -> Halted:
        words = refused[-1][2]
        refused.clear()
        return Halted(f"it has taken nothing since the start and refuses everything ({words}); nothing is set aside before it takes a row: "
                      "is that the right address?")

    def _send(self, rows: Rows, refused: Refusals) -> None:
        try:
            self.sink.send(rows, time.monotonic() + _REQUEST_S)
            self._has_taken = True
        except Refused as error:
            if len(rows) > 1:
                half = len(rows) // 2
                self._send(rows.pick(slice(None, half)), refused)
                self._send(rows.pick(slice(half, None)), refused)
                return
            refused.append((int(rows.n[0]), self._clock.now().utc_ns, str(error)))
            if len(refused) == _SAMPLES and not (self._has_taken or self.sink.in_order):  # rows in order are not tried out of turn
                self._try_others(refused)

    def _try_others(self, refused: Refusals) -> None:
        """The newest row of a few series tells sooner than thousands one by one whether anything is taken. Raises Halted if nothing is."""
        newest = {which: i for i, which in enumerate(self._batch.which.tolist())}
        for i in sorted(newest.values(), reverse=True)[:_SAMPLES]:
            try:
                self.sink.send(self._batch.pick(slice(i, i + 1)), time.monotonic() + _REQUEST_S)
            except Refused:
                continue
            self._has_taken = True
            return
        raise self._takes_nothing(refused)

    def look(self) -> float | None:
        """Does it still answer, and over the same connection? None = yes, else pause so many seconds."""
        try:
            self.sink.check(time.monotonic() + _REQUEST_S)
        except Unavailable as error:
            return self._away(error)
        except Halted as error:
            return self._halted(error)
        finally:
            self.count()
        self.proved(None)
        return None

    def _away(self, error: Unavailable) -> float:
        now_s = self.now_s()
        self._away_since = now_s if self._away_since is None else self._away_since
        if error.after_s is None and self._unsure:
            self.take_back()
        return self._pause("unavailable", str(error), error.after_s, AWAY if now_s - self._away_since >= _AWAY_S else "")

    def _halted(self, error: Halted) -> float:
        self._away_since = None  # it answers
        return self._pause("halted", str(error), _HUMAN_PAUSE_S, HALTED)

    def _pause(self, state: str, words: str, after_s: float | None, alert: str) -> float:
        self._is_doubted = True
        self.say(state, words, alert)
        return max(after_s or 0.0, self._backoff.next_ns() / 1e9)

    def say(self, state: str, words: str, alert: str = "") -> None:
        """Tell people how it is, once."""
        if (line := f"{state}: {words}{alert}") != self._said:
            self._said = line
            log.log(logging.INFO if state == "ok" else logging.WARNING, "sink %s %s: %s", self._name, state, words)
            self._intake.tell(SinkSays(self._name, state, words, alert))

    # ── what may be believed ─────────────────────────────────────────────────────────────────────────────────────────
    def proved(self, note: Note | None) -> None:
        """The store has answered to what `note` tells of. Over another connection than before, what it could have lost goes again."""
        if (connections := self.sink.traffic.connections) != self._connection:
            self._connection = connections
            if self._unsure:
                self.take_back()
                return
        if note is not None:
            self.done(note)
        now_s = self.now_s()
        while self._unsure and self._unsure[0][0] + self.sink.unsure_s <= now_s:
            self._tell(self._unsure.popleft()[1])

    def done(self, note: Note) -> None:
        """Move on by a note; the journal hears of it when it is sure."""
        self.standing.apply(note)
        if self._unsure or (note.sent and self.sink.unsure_s > 0):
            self._unsure.append((self.now_s(), note))
        else:
            self._tell(note)

    def _tell(self, note: Note) -> None:
        if self._journalled is not None:
            self._journalled.apply(note)
        self._intake.tell(note)

    def take_back(self) -> None:
        """Nothing that is not sure counts."""
        self._unsure.clear()
        if self._journalled is not None:
            self.standing = self._journalled.copy()

    def settles(self) -> bool:
        """Rows that were owed one by one are on their way: what the journal says of them is old."""
        return any(isinstance(note, Settled) for _, note in self._unsure)

    def confirm(self) -> float | None:
        """When what was accepted has waited long enough and nothing else went over the connection, ask; None, or pause so many seconds."""
        return self.look() if self._unsure and self._unsure[0][0] + self.sink.unsure_s <= self.now_s() else None

    def until_sure_s(self) -> float:
        """Seconds until `confirm` has something to ask."""
        return max(0.0, self._unsure[0][0] + self.sink.unsure_s - self.now_s()) if self._unsure else math.inf

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _recall(self, day: int) -> int:
        return self._reader.traffic(self._name, day) if self._reader is not None else 0

    def _costs(self) -> bool:
        return is_metered(self.sink.traffic.interface() if self._choice.metered else "", self._choice.metered)

    def _believed_ns(self) -> int:
        """UTC by a clock that is sure, and from then on by what has passed; before it ever was, what it shows."""
        stamp = self._clock.now()
        if stamp.sure or self._sure is None:
            self._sure = (stamp.utc_ns, stamp.mono_ns) if stamp.sure else None
            return stamp.utc_ns
        return self._sure[0] + stamp.mono_ns - self._sure[1]

    def count(self, at_last: bool = False) -> None:
        """Note the bytes that have crossed the metered uplink since the last time; the journal hears of them now and then."""
        crossed, self._counted = self.sink.traffic.bytes - self._counted, self.sink.traffic.bytes
        stamp = self._clock.now()
        day = self._budget.spend(crossed if crossed and self._costs() else 0, self._believed_ns())
        self._untold += crossed if crossed and self._costs() else 0
        if self._untold and (at_last or stamp.mono_ns / 1e9 >= self._next_count):
            self._next_count = stamp.mono_ns / 1e9 + _COUNTED_S
            self._intake.tell(Crossed(self._name, day, self._untold))
            self._untold = 0

    def until_allowed_s(self) -> float:
        """0 = today's bytes are not used up, else look again in so many seconds."""
        now = self._believed_ns()
        if not self._budget.is_spent(now) or not self._costs():
            return 0.0
        used, limit = self._budget.spent, self._choice.bytes_per_day or 0
        self.say("spent", f"today's bytes are used up ({used / 1e6:.2f} of {limit / 1e6:g} MB); rows wait until midnight", SPENT)
        return min(_SPENT_LOOK_S, self._budget.until_tomorrow_s(now))

    def has_way_for_backlog(self) -> bool:
        """May what has waited go now, by the uplink and by the day's bytes?"""
        words = ""
        if self._costs():
            if self._choice.backlog == "unmetered":
                words = "the backlog waits for an uplink that is not metered"
            elif not self._budget.has_for_backlog(self._believed_ns()):
                words = "the backlog waits: live rows may need what is left of today's bytes"
        if not self._is_doubted:
            self.say("ok", words)
        return not words
