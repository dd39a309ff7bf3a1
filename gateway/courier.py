"""Carries rows from the journal to one sink: a position that moves when the store has accepted, and never before.

A sink that is down costs disk, not data. When it is back, live rows go first, and what has waited goes beside them, in order and no
faster than live rows let it. What a store refuses is halved until the offending rows stand alone; they are set aside with the
store's words and everything else goes on.
"""

import logging
import math
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from config.quantity import vocabulary
from config.site import SinkTable, Site
from drivers.reading import Clock
from gateway.bell import Bell
from gateway.clock import SystemClock
from gateway.contracts import Rows, Sink, Tended
from gateway.intake import Intake
from gateway.journal.progress import BacklogMoved, Settled, SinkMoved
from gateway.journal.reader import Reader
from gateway.pace import Pace
from gateway.sending import AT_ONCE, Refusals, Sending

log = logging.getLogger("ecosentry.courier")
_NEWEST = 500
"""So many of the newest rows count as live when others are left behind."""
_LAGGING_S = 30.0
"""Who has not caught up for so long, and has more than two requests before him, lets the newest rows go first."""
_IDLE_S = 1.0


class Courier:
    """The worker of one sink: what goes next."""

    def __init__(self, name: str, sink: Sink, choice: SinkTable, site: Site, folder: Path, intake: Intake, bell: Bell, seed: int = 0,
                 clock: Clock | None = None) -> None:
        self._name = name
        self._choice = choice
        self._site = site
        self._folder = folder
        self._bell = bell
        self._clock = clock or SystemClock()
        self._sending = Sending(name, sink, choice, site, intake, self._clock, seed)
        self._pace = Pace(AT_ONCE, choice.backlog_rate, choice.send_every)
        self._wanted = np.empty(0, np.bool_)
        self._past: Reader | None = None
        self._page: tuple[int, Rows, int] | None = None
        """Rows of the backlog that were read and not yet sent, and the arrival numbers from which and up to which these are all."""
        self._not_before = self._next_live = self._caught_up = -math.inf

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def run(self, stop: Event) -> None:
        """Follow the journal until `stop`."""
        with Reader(self._folder) as live, Reader(self._folder) as past:
            self.begin(live, past)
            heard = 0
            while not stop.is_set():
                wait_s = self.turn(live)
                if wait_s > 0:
                    if isinstance(self._sending.sink, Tended):
                        self._sending.sink.tend()
                    heard = self._bell.wait(heard, min(wait_s, _IDLE_S))
            self._sending.count(at_last=True)
        self._sending.sink.close()

    def begin(self, live: Reader, past: Reader) -> None:
        """Stand where the journal says. `past` is a reader of its own for the backlog: it keeps old days open."""
        self._past = past
        self._sending.begin(live)

    def turn(self, live: Reader) -> float:
        """Do one thing that is due, live rows first; gives the seconds until something may be due, 0 = at once."""
        now_s = self._sending.now_s()
        if now_s < self._not_before:
            return self._not_before - now_s
        if (wait_s := self._sending.until_allowed_s()) > 0:
            return wait_s
        for step in (self._go_live, self._drain, self._finish):
            result = step(live)
            if result is not None:
                self._not_before = self._sending.now_s() + result
                return result
        now_s = self._sending.now_s()
        waits = [self._next_live - now_s, self._sending.until_sure_s(), self._pace.until_free_s(now_s) if self._sending.standing.backlog else 0.0]
        return min([_IDLE_S, *(wait for wait in waits if wait > 0)])

    def _finish(self, live: Reader) -> float | None:
        pause_s = self.settle(live)
        return self._sending.confirm() if pause_s is None else pause_s

    # ── live rows ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _go_live(self, reader: Reader) -> float | None:
        """None = nothing is due, else go on after so many seconds."""
        began_s = self._sending.now_s()
        if began_s < self._next_live:
            return None
        self._leave_behind(reader, began_s)
        position, most, is_alone = self._sending.standing.position, self._sending.at_once, not self._sending.standing.backlog
        rows = reader.rows_after(position, most)
        if not len(rows):
            self._caught_up = began_s
            return None
        pause_s = self.carry(rows, position)
        if pause_s is not None:
            return pause_s
        stamp = self._clock.now()
        self._pace.live(stamp.mono_ns / 1e9 - began_s, (stamp.utc_ns - int(rows.at.max())) / 1e9, is_alone)
        if len(rows) < most:
            self._caught_up = began_s
            self._next_live = began_s + self._choice.send_every
        return 0.0

    def _leave_behind(self, reader: Reader, now_s: float) -> None:
        """After an outage all but the newest rows are owed from now on."""
        sending = self._sending
        position, last = sending.standing.position, reader.last_n()
        is_lagging = now_s - self._caught_up >= _LAGGING_S + self._choice.send_every
        if sending.sink.in_order or not is_lagging or last - position <= 2 * max(sending.at_once, _NEWEST):
            return
        newest = reader.rows_after(max(position, last - _NEWEST), 1)
        if len(newest) and newest.n[0] - 1 > position:
            border = int(newest.n[0])
            log.log(logging.INFO if sending.standing.backlog else logging.WARNING,
                    "sink %s: %d rows have waited; live rows go first, the backlog beside them", self._name, border - 1 - position)
            sending.done(SinkMoved(self._name, position, border - 1, 0, owed=((position + 1, border),)))
            self._caught_up = now_s

    def carry(self, rows: Rows, position: int) -> float | None:
        """Deliver the rows after `position` and note the new one; None = done, else nothing moved: pause so many seconds.

        Arrival numbers have no holes: what lies between and is not among the rows has been thinned. Beside a backlog a row that may
        replace an older one (a revision, late data) is owed too: it must not be overtaken by what it replaces.
        """
        last, thinned = int(rows.n[-1]), int(rows.n[-1]) - position - len(rows)
        owed: tuple[tuple[int, int], ...] = ()
        if self._sending.standing.backlog and np.any(late := (rows.revision > 0) | (rows.origin != 0)):
            owed, rows = _runs(rows.n[late]), rows.pick(~late)
        chosen = rows.pick(self._chosen(rows))
        refused: Refusals = []
        pause_s = self._sending.attempt(chosen, refused, len(rows))
        if pause_s is None:
            self._sending.proved(SinkMoved(self._name, position, last, len(chosen) - len(refused), len(rows) - len(chosen), thinned,
                                           tuple(refused), owed))
        return pause_s

    # ── what has waited ──────────────────────────────────────────────────────────────────────────────────────────────
    def _drain(self, reader: Reader) -> float | None:
        """A piece of the oldest range that is owed, when live rows leave room for it; None = nothing is due."""
        sending, began_s = self._sending, self._sending.now_s()
        if not sending.standing.backlog or self._pace.until_free_s(began_s) > 0:
            return None
        if self._choice.backlog == "unmetered" and not sending.sink.traffic.connections:
            return sending.look()
        if not sending.has_way_for_backlog():
            return None
        low, high = sending.standing.backlog[0]
        _, page, complete_to = self._page = self._read(self._past or reader, low, high)
        rows = page.pick(slice(0, self._pace.piece))
        through = int(rows.n[-1]) if len(rows) < len(page) else complete_to
        chosen = rows.pick(self._chosen(rows))
        refused: Refusals = []
        pause_s = sending.attempt(chosen, refused, len(rows))
        self._pace.sent(began_s, sending.now_s(), len(rows), pause_s is None)
        if pause_s is not None:
            return pause_s
        sending.proved(BacklogMoved(self._name, low, through, len(chosen) - len(refused), len(rows) - len(chosen),
                                    through + 1 - low - len(rows), tuple(refused)))
        self._page = through + 1, page.pick(slice(len(rows), None)), complete_to
        return 0.0

    def _read(self, reader: Reader, low: int, high: int) -> tuple[int, Rows, int]:
        """Rows of [low, high) from `low` on; those that were read before are taken if the next one is among them."""
        if self._page is not None and self._page[0] == low and len(self._page[1]) and self._page[2] < high:
            return self._page
        rows = reader.rows_after(low - 1, AT_ONCE)
        complete_to = min(high - 1, int(rows.n[-1])) if len(rows) == AT_ONCE else high - 1
        return low, rows.pick(rows.n < high), complete_to

    def settle(self, reader: Reader) -> float | None:
        """Send again what is owed (`ecosentry journal requeue`), when nothing newer waits; None = done, else pause so many seconds.

        Rows that are owed stay so until the note of what became of them is committed; saying it twice counts once.
        """
        ns = [] if self._sending.settles() else reader.owed(self._name, self._sending.at_once)
        if not ns:
            return None
        rows = reader.rows_of(ns)
        wanted = self._chosen(rows)
        chosen = rows.pick(wanted)
        refused: Refusals = []
        pause_s = self._sending.attempt(chosen, refused, len(ns))
        if pause_s is None:
            again = {n for n, _, _ in refused}
            self._sending.proved(Settled(self._name, tuple(n for n in chosen.n.tolist() if n not in again), tuple(refused),
                                         tuple(rows.n[~wanted].tolist()), tuple(sorted(set(ns) - set(rows.n.tolist())))))
        return pause_s

    # ── which rows ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _chosen(self, rows: Rows) -> NDArray[np.bool_]:
        known = len(self._wanted)
        if known < len(rows.series):
            more = [self._wants(rows, i) for i in range(known, len(rows.series))]
            self._wanted = np.concatenate([self._wanted, np.array(more, np.bool_)])
        return self._wanted[rows.which]

    def _wants(self, rows: Rows, series_id: int) -> bool:
        series = rows.series[series_id]
        quantity, station = vocabulary().get(series.quantity), self._site.stations.get(series.station)
        return self._choice.takes(series, quantity.medium if quantity else "", station.area if station else "")


def _runs(ns: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """[from, to) of numbers without a hole, of rising numbers.

    >>> _runs(np.array([3, 4, 5, 9]))
    ((3, 6), (9, 10))
    """
    ends = np.append(np.flatnonzero(np.diff(ns) > 1), len(ns) - 1)
    starts = np.append(0, ends[:-1] + 1)
    return tuple(zip(ns[starts].tolist(), (ns[ends] + 1).tolist(), strict=True))
