"""Carries rows from the journal to one sink: a position that moves when the store has accepted, and never before.

A sink that is down costs disk, not data. What a store refuses is halved until the offending rows stand alone; they are
set aside with the store's words and everything else goes on.
"""

import logging
import random
import time
from pathlib import Path
from threading import Event

import numpy as np

from config.errors import Halted, Refused, Unavailable
from config.quantity import vocabulary
from config.site import SinkTable, Site
from gateway.bell import Bell
from gateway.breaker import Backoff
from gateway.contracts import Rows, Sink, Tended
from gateway.intake import Intake
from gateway.journal.progress import Settled, SinkMoved, SinkSays
from gateway.journal.reader import Reader

log = logging.getLogger("ecosentry.courier")
_AT_ONCE = 5000
_AT_LEAST = 50
"""Rows in one go. A link that is too slow for many in the time of one request gets fewer, or they would be sent again for ever."""
_REQUEST_S = 30.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_HUMAN_PAUSE_S = 120.0
"""A store that needs a human is tried this often: the human may have come."""


class Courier:
    """The worker of one sink."""

    def __init__(self, name: str, sink: Sink, choice: SinkTable, site: Site, folder: Path, intake: Intake, bell: Bell, seed: int = 0) -> None:
        self._name = name
        self._sink = sink
        self._choice = choice
        self._site = site
        self._folder = folder
        self._intake = intake
        self._bell = bell
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, random.Random(f"{name}{seed}"))  # noqa: S311 - jitter, not a secret
        self._said = ""
        self._wanted = np.empty(0, np.bool_)
        self._at_once = _AT_ONCE

    def run(self, stop: Event) -> None:
        """Follow the journal until `stop`."""
        with Reader(self._folder) as reader:
            position = reader.sinks()[self._name].n
            heard = 0
            while not stop.is_set():
                rows = reader.rows_after(position, self._at_once)
                if not len(rows):
                    if isinstance(self._sink, Tended):
                        self._sink.tend()
                    stop.wait(self.settle(reader) or 0.0)
                    heard = self._bell.wait(heard, 1.0)
                    continue
                pause_s = self.carry(rows, position)
                if pause_s is None:
                    position = int(rows.n[-1])
                else:
                    stop.wait(pause_s)
        self._sink.close()

    def carry(self, rows: Rows, position: int) -> float | None:
        """Deliver the rows after `position` and note the new one; None = done, else nothing moved: pause so many seconds.

        Arrival numbers have no holes: what lies between and is not among the rows has been thinned.
        """
        chosen = rows.pick(self._chosen(rows))
        refused: list[tuple[int, int, str]] = []
        try:
            if len(chosen):
                self._send(chosen, refused)
        except Unavailable as error:
            self._at_once = max(_AT_LEAST, min(self._at_once, len(rows)) // 4)
            return self._pause("unavailable", str(error), error.after_s)
        except Halted as error:
            return self._pause("halted", str(error), _HUMAN_PAUSE_S)
        self._backoff.reset()
        self._at_once = min(_AT_ONCE, self._at_once + self._at_once // 8)
        self._say("ok", "")
        last = int(rows.n[-1])
        self._intake.tell(SinkMoved(self._name, last, len(chosen) - len(refused), len(rows) - len(chosen), last - position - len(rows),
                                    tuple(refused)))
        return None

    def settle(self, reader: Reader) -> float | None:
        """Send again what is owed (`ecosentry journal requeue`), when nothing newer waits; None = done, else pause so many seconds.

        Rows that are owed stay so until the note of what became of them is committed; saying it twice counts once.
        """
        ns = reader.owed(self._name, self._at_once)
        if not ns:
            return None
        rows = reader.rows_of(ns)
        wanted = self._chosen(rows)
        chosen = rows.pick(wanted)
        refused: list[tuple[int, int, str]] = []
        try:
            if len(chosen):
                self._send(chosen, refused)
        except Unavailable as error:
            self._at_once = max(_AT_LEAST, min(self._at_once, len(ns)) // 4)
            return self._pause("unavailable", str(error), error.after_s)
        except Halted as error:
            return self._pause("halted", str(error), _HUMAN_PAUSE_S)
        self._backoff.reset()
        self._say("ok", "")
        again = {n for n, _, _ in refused}
        self._intake.tell(Settled(self._name, tuple(n for n in chosen.n.tolist() if n not in again), tuple(refused),
                                  tuple(rows.n[~wanted].tolist()), tuple(sorted(set(ns) - set(rows.n.tolist())))))
        return None

    def _send(self, rows: Rows, refused: list[tuple[int, int, str]]) -> None:
        try:
            self._sink.send(rows, time.monotonic() + _REQUEST_S)
        except Refused as error:
            if len(rows) > 1:
                half = len(rows) // 2
                self._send(rows.pick(slice(None, half)), refused)
                self._send(rows.pick(slice(half, None)), refused)
                return
            refused.append((int(rows.n[0]), time.time_ns(), str(error)))
            log.error("sink %s refuses row %d (%s): %s", self._name, rows.n[0], rows.series[rows.which[0]], error)

    def _chosen(self, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        known = len(self._wanted)
        if known < len(rows.series):
            more = [self._wants(rows, i) for i in range(known, len(rows.series))]
            self._wanted = np.concatenate([self._wanted, np.array(more, np.bool_)])
        return self._wanted[rows.which]

    def _wants(self, rows: Rows, series_id: int) -> bool:
        series = rows.series[series_id]
        quantity, station = vocabulary().get(series.quantity), self._site.stations.get(series.station)
        return self._choice.takes(series, quantity.medium if quantity else "", station.area if station else "")

    def _pause(self, state: str, words: str, after_s: float | None) -> float:
        self._say(state, words)
        return max(after_s or 0.0, self._backoff.next_ns() / 1e9)

    def _say(self, state: str, words: str) -> None:
        if (line := f"{state}: {words}") != self._said:
            self._said = line
            log.log(logging.INFO if state == "ok" else logging.WARNING, "sink %s %s", self._name, line)
            self._intake.tell(SinkSays(self._name, state, words))
