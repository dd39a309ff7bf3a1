"""Reading the journal: short read-only transactions that never block the writer. One reader a thread.

Where a row lives is nobody's business outside this folder: what is in `live.db` today may lie in a sealed archive later.
"""

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from config.series import Series
from gateway.contracts import Notice, Rows
from gateway.journal.columns import NAMES, rows, series_table
from gateway.journal.migrating import FORMAT
from gateway.journal.writer import OWED, UNDONE, JournalError


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it was journalled; its rows are n_from … n_from + rows - 1, what was derived follows them."""

    id: int
    kind: int
    now: int
    sure: int
    steady: int
    plan: int
    n_from: int
    rows: int
    derived: int
    done: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next message for a recipient."""

    id: int
    due: int
    tries: int
    notice: Notice


@dataclass(frozen=True, slots=True)
class SinkRecord:
    """How far a sink has come."""

    name: str
    n: int
    sent: int
    refused: int
    skipped: int
    thinned: int
    state: str
    words: str
    owed: int = 0
    """Rows that it refused and that are to be sent again."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that a sink will not take."""

    sink: str
    n: int
    at: int
    """When it was refused, UTC ns."""
    words: str | None
    """The store's; None = it is owed again."""


class Reader:
    """A read-only connection. Every method is one short transaction."""

    def __init__(self, folder: Path) -> None:
        path = folder / "live.db"
        try:
            address = f"{path.absolute().as_uri()}?mode=ro"
            self._db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=5, check_same_thread=False)
            self._db.execute("PRAGMA query_only = 1")
            self._check_format(path)
            self._series = tuple(series_table(self._db))
        except sqlite3.Error as error:
            raise JournalError(f"{path}: cannot be read ({error}); has the daemon run here yet?") from error

    def _check_format(self, path: Path) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found != FORMAT:
            self._db.close()
            raise JournalError(f"{path} is of format {found}, this software reads {FORMAT}: " + (
                "use the newer software again" if found > FORMAT else "the next start of the daemon brings it up to date"))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def series(self) -> tuple[Series, ...]:
        """The series table: position = id."""
        new = series_table(self._db, len(self._series))
        if new:
            self._series += tuple(new)
        return self._series

    def _rows(self, where: str, parameters: tuple[object, ...]) -> Rows:
        records = self._db.execute(f"SELECT {NAMES} FROM hot {where}", parameters).fetchall()
        return rows(self.series(), records)

    def rows_after(self, n: int, most: int) -> Rows:
        """At most `most` rows after arrival number `n`, in order; not those that have yet to get their flags."""
        self._db.execute("BEGIN")
        try:
            last = self._db.execute("SELECT n_from, done FROM event ORDER BY id DESC LIMIT 1").fetchone()
            end = last[0] if last and last[1] == UNDONE else 2**62
            return self._rows("WHERE n > ? AND n < ? ORDER BY n LIMIT ?", (n, end, most))
        finally:
            self._db.execute("COMMIT")

    def rows_of_event(self, event: EventRecord) -> Rows:
        """The rows that came with an event, without what was derived from them."""
        return self._rows("WHERE n >= ? AND n < ? ORDER BY n", (event.n_from, event.n_from + event.rows))

    def rows_of_series(self, series: int, since: int, until: int, most: int) -> Rows:
        """Rows of one series with since < at <= until in arrival order, the newest `most` of them."""
        found = self._rows("WHERE n >= ? AND series = ? AND at > ? AND at <= ? ORDER BY n DESC LIMIT ?",
                           (self.n_at(since), series, since, until, most))
        return found.pick(slice(None, None, -1))

    def n_at(self, now: int) -> int:
        """The first arrival number of what was taken at or after `now`: rows are found by when they came."""
        low, high = self._db.execute("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM event").fetchone()
        while low < high:
            middle = (low + high) // 2
            found = self._db.execute("SELECT id, now FROM event WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()
            if found[1] < now:
                low = int(found[0]) + 1
            else:
                high = middle
        found = self._db.execute("SELECT n_from FROM event WHERE id >= ? ORDER BY id LIMIT 1", (low,)).fetchone()
        return int(found[0]) if found else 0

    def last_n(self) -> int:
        """The newest arrival number; 0 = nothing yet."""
        return int(self._db.execute("SELECT coalesce(max(n), 0) FROM hot").fetchone()[0])

    def events_after(self, event: int) -> list[EventRecord]:
        """Events with a higher number, in order."""
        return [EventRecord(*r) for r in self._db.execute(
            "SELECT id, kind, now, sure, steady, plan, n_from, rows, derived, done FROM event WHERE id > ? ORDER BY id", (event,))]

    def last_event(self) -> EventRecord | None:
        """The newest event."""
        found = self._db.execute(
            "SELECT id, kind, now, sure, steady, plan, n_from, rows, derived, done FROM event ORDER BY id DESC LIMIT 1").fetchone()
        return EventRecord(*found) if found else None

    def checkpoints(self) -> list[tuple[int, bytes]]:
        """(event, state) newest first."""
        return [(int(e), bytes(b)) for e, b in self._db.execute("SELECT event, body FROM checkpoint ORDER BY event DESC")]

    def plan(self, version: int) -> bytes:
        """The body of a plan."""
        return bytes(self._db.execute("SELECT body FROM plan WHERE version = ?", (version,)).fetchone()[0])

    def receipts(self) -> dict[tuple[str, int], bytes]:
        """Digest of the newest committed message by (line, packet)."""
        return {(line, packet): digest for line, packet, digest in self._db.execute("SELECT line, packet, digest FROM receipt")}

    def counters(self) -> dict[str, int]:
        """All counters."""
        return dict(self._db.execute("SELECT name, value FROM counter"))

    def sinks(self) -> dict[str, SinkRecord]:
        """How far every sink has come."""
        return {r[0]: SinkRecord(*r) for r in self._db.execute(
            "SELECT name, n, sent, refused, skipped, thinned, state, words, "
            "coalesce((SELECT value FROM meta WHERE key = ? || name), 0) FROM sink", (OWED,))}

    def refused(self, sink: str = "", most: int = 1000) -> list[RefusedRow]:
        """The newest rows that a sink (or any) refused, by arrival number."""
        found = self._db.execute("SELECT sink, n, at, words FROM refused WHERE ? IN ('', sink) ORDER BY n DESC LIMIT ?", (sink, most))
        return [RefusedRow(*r) for r in found][::-1]

    def owed(self, sink: str, most: int) -> list[int]:
        """Arrival numbers of the oldest rows that a sink refused and that are to be sent again."""
        if not self.meta(OWED + sink):
            return []  # asked often, and nearly always there is nothing
        return [int(r[0]) for r in self._db.execute("SELECT n FROM refused WHERE sink = ? AND words IS NULL ORDER BY n LIMIT ?", (sink, most))]

    def rows_of(self, ns: Sequence[int]) -> Rows:
        """The rows of those arrival numbers that are still there, in order."""
        return self._rows("WHERE n IN (SELECT value FROM json_each(?)) ORDER BY n", (json.dumps(list(ns)),))

    def waiting(self, recipient: str, after: int = 0) -> Waiting | None:
        """The oldest message after number `after` that a recipient has not got."""
        found = self._db.execute(
            "SELECT id, due, tries, message, body FROM outbox WHERE recipient = ? AND id > ? AND state = 'waiting' ORDER BY id LIMIT 1",
            (recipient, after)).fetchone()
        if not found:
            return None
        body = json.loads(found[4])
        return Waiting(found[0], found[1], found[2], Notice(found[3], body["at"], body["kind"], body["subject"], body["data"]))

    def recipients(self) -> dict[str, dict[str, int]]:
        """Messages of every recipient by state."""
        found: dict[str, dict[str, int]] = {}
        for recipient, state, n in self._db.execute("SELECT recipient, state, count(*) FROM outbox GROUP BY recipient, state"):
            found.setdefault(recipient, {})[state] = n
        return found

    def untold(self) -> dict[str, str]:
        """Why the oldest message of a recipient has not got through yet."""
        return dict(self._db.execute(
            "SELECT recipient, words FROM outbox WHERE id IN (SELECT min(id) FROM outbox WHERE state = 'waiting' GROUP BY recipient)"))

    def alerts(self, most: int) -> list[dict[str, object]]:
        """Alerts as they stand: firing ones first, worst first, then the newest ended ones."""
        records = self._db.execute(
            'SELECT id, key, rule, series, state, severity, worst, since, "until", body FROM alert '
            "ORDER BY state = 'firing' DESC, CASE state WHEN 'firing' THEN severity ELSE 0 END DESC, since DESC LIMIT ?", (most,)).fetchall()
        names = ("id", "key", "rule", "series", "state", "severity", "worst", "since", "until", "body")
        found = [dict(zip(names, record, strict=True)) for record in records]
        for alert in found:
            alert["body"] = json.loads(str(alert["body"]))
            alert["log"] = [(at, kind, severity, json.loads(body)) for at, kind, severity, body in self._db.execute(
                "SELECT at, kind, severity, body FROM alert_log WHERE alert = ? ORDER BY no", (alert["id"],))]
        return found

    def held(self) -> int:
        """Readings that wait for a true clock."""
        return int(self._db.execute("SELECT count(*) FROM held").fetchone()[0])

    def held_rows(self) -> list[tuple[str, int, int, Series, int, float, int, int]]:
        """(boot, mono, utc, series, span, raw, reason, origin) of the held readings, in arrival order."""
        series = self.series()
        return [(boot, mono, utc, series[s], span, math.nan if raw is None else raw, reason, origin)
                for boot, mono, utc, s, span, raw, reason, origin in self._db.execute(
                    "SELECT boot, mono, utc, series, span, raw, reason, origin FROM held ORDER BY id")]

    def meta(self, key: str) -> object:
        """One word about the journal itself; None if it was never said."""
        found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def size(self) -> int:
        """Bytes in use, without free pages."""
        pages, free, size = (self._db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)
