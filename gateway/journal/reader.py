"""Reading the journal: short read-only transactions that never block the writer. One reader a thread.

Where a row lives is nobody's business outside this folder: what is in `live.db` now lies in a sealed file of `archive/` later.
"""

import json
import math
import re
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

from config.series import Series
from gateway.contracts import Notice, Rows
from gateway.journal.archive import Plan, joined
from gateway.journal.columns import NAMES, rows, series_table
from gateway.journal.losing import Spell, of_harm
from gateway.journal.migrating import FORMAT
from gateway.journal.orders import OrderRecord
from gateway.journal.records import OWED, EventRecord, RefusedRow, Sealed, SinkRecord, Waiting
from gateway.journal.shelf import FOLDER, Shelf, sealed
from gateway.journal.superseding import superseded
from gateway.journal.writer import UNDONE, JournalError


def alert_of(message: str) -> tuple[str, int]:
    """What the ids of all messages of an alert begin with, and its number; "" if the message is of none.

    >>> alert_of("es_1f2e3d4c_-17_2_ab12cd34")
    ('es_1f2e3d4c_-17_', -17)
    """
    found = re.match(r"(es_[^_]*_(-?[0-9]+)_)[0-9]+_", message)
    return (found[1], int(found[2])) if found else ("", 0)


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
            self._shelf, self._archive = Shelf(folder, self._db), folder / FOLDER
        except sqlite3.Error as error:
            raise JournalError(f"{path}: cannot be read ({error}); has the daemon run here yet?") from error

    def _check_format(self, path: Path) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found != FORMAT:
            self._db.close()
            raise JournalError(f"{path} is of format {found}, this software reads {FORMAT}: " + (
                "use the newer software again" if found > FORMAT else "the next start of the daemon brings it up to date"))

    def close(self) -> None:
        """Let go of the files."""
        self._shelf.close()
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

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """What is read inside is of one moment: a row is sealed or live, never both or neither."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def _rows(self, where: str, parameters: tuple[object, ...]) -> Rows:
        records = self._db.execute(f"SELECT {NAMES} FROM hot {where}", parameters).fetchall()
        return rows(self.series(), records)

    def rows_after(self, n: int, most: int) -> Rows:
        """At most `most` rows after arrival number `n`, in order; not those that have yet to get their flags."""
        with self._snapshot():
            last = self._db.execute("SELECT n_from, done FROM event ORDER BY id DESC LIMIT 1").fetchone()
            end = last[0] if last and last[1] == UNDONE else 2**62
            return self._between(n + 1, end, most)

    def _between(self, low: int, high: int, most: int = 2**62) -> Rows:
        """At most `most` rows with low <= n < high, in order."""
        border = self._shelf.end()
        runs = []
        if low < border:
            runs = self._shelf.rows_after(low - 1, min(most, high - low), self.series())
            most -= sum(len(run) for run in runs)
        else:
            self._shelf.forget()
        if most > 0 and high > border:
            runs.append(self._rows("WHERE n >= ? AND n < ? ORDER BY n LIMIT ?", (max(low, border), high, most)))
        found = runs[0] if len(runs) == 1 else joined(self.series(), runs)
        return found.pick(found.n < high) if len(found) and found.n[-1] >= high else found

    def rows_of_event(self, event: EventRecord) -> Rows:
        """The rows that came with an event, without what was derived from them."""
        with self._snapshot():
            return self._between(event.n_from, event.n_from + event.rows)

    def rows_of_series(self, series: int, since: int, until: int, most: int) -> Rows:
        """Rows of one series with since < at <= until in arrival order, the newest `most` of them."""
        with self._snapshot():
            start = max(self._shelf.end(), self._n_at(since))
            found = self._rows("WHERE n >= ? AND series = ? AND at > ? AND at <= ? ORDER BY n DESC LIMIT ?", (start, series, since, until, most))
            runs = self._shelf.rows_of_series(series, since, until, most - len(found), self.series()) if len(found) < most else []
        newest = joined(self.series(), [*runs, found.pick(slice(None, None, -1))])
        return newest.pick(slice(max(0, len(newest) - most), None))

    def n_at(self, now: int) -> int:
        """The first arrival number of what was taken at or after `now`: rows are found by when they came."""
        with self._snapshot():
            early = self._shelf.n_at(now)
            return self._n_at(now) if early is None else early

    def _n_at(self, now: int) -> int:
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
        return int(self._db.execute("SELECT max((SELECT coalesce(max(n), 0) FROM hot), "
                                    "(SELECT coalesce(max(n_to) - 1, 0) FROM archive))").fetchone()[0])

    def events_after(self, event: int, most: int = 2**62) -> list[EventRecord]:
        """At most `most` events with a higher number, in order."""
        with self._snapshot():
            border = self._shelf.end_of_events()
            found = list(islice(self._shelf.events_after(event), most)) if event < border else []
            found += [EventRecord(*r) for r in self._db.execute(
                "SELECT id, kind, now, sure, steady, plan, n_from, rows, derived, done FROM event WHERE id > ? ORDER BY id LIMIT ?",
                (max(event, border), most - len(found)))]
            return found

    def last_event(self) -> EventRecord | None:
        """The newest event."""
        found = self._db.execute(
            "SELECT id, kind, now, sure, steady, plan, n_from, rows, derived, done FROM event ORDER BY id DESC LIMIT 1").fetchone()
        return EventRecord(*found) if found else None

    def first_event(self) -> EventRecord | None:
        """The oldest event that is not sealed."""
        found = self._db.execute("SELECT id, kind, now, sure, steady, plan, n_from, rows, derived, done FROM event WHERE id > ? ORDER BY id LIMIT 1",
                                 (self._shelf.end_of_events(),)).fetchone()
        return EventRecord(*found) if found else None

    def end_of_sealed(self) -> int:
        """The last event that is sealed; 0 = none. A checkpoint comes after it, as long as there is one."""
        return self._shelf.end_of_events()

    def sealed(self) -> list[Sealed]:
        """The sealed files, in order."""
        return sealed(self._db)

    def superseded(self) -> dict[str, bytes]:
        """SHA-256 by name of the sealed files that the journal has done with."""
        return superseded(self._db)

    def thinned_live(self) -> tuple[int, int] | None:
        """When the oldest and the newest of what is not sealed came, of which the readings made room, UTC ns; None = they are there."""
        first, last = self._db.execute(
            "SELECT min(now), max(now) FROM event WHERE n_from <= (SELECT value FROM meta WHERE key = 'thinned_to') AND rows > 0 "
            "AND id > (SELECT coalesce(max(event_to), 0) FROM archive)").fetchone()
        return None if first is None else (int(first), int(last))

    def lost(self, most: int) -> list[Sealed]:
        """The newest sealed files that are lost, newest first, at most `most`."""
        return sealed(self._db, "WHERE lost IS NOT NULL ORDER BY event_from DESC LIMIT ?", most)

    def harm(self, entry: Sealed) -> list[Spell] | None:
        """What cannot be read any more of a sealed file that is not as it was; None = nothing can. Takes as long as reading the day."""
        return of_harm(self._db, self._archive, entry)

    def plans(self, versions: Sequence[int]) -> list[Plan]:
        """Plans as they are kept."""
        return [tuple(found) for found in self._db.execute(
            "SELECT version, sha256, software, engine, site, body FROM plan WHERE version IN (SELECT value FROM json_each(?))",
            (json.dumps(list(versions)),))]

    def checkpoints(self) -> list[tuple[int, bytes]]:
        """(event, state) newest first."""
        return [(int(e), bytes(b)) for e, b in self._db.execute("SELECT event, body FROM checkpoint ORDER BY event DESC")]

    def oldest_checkpoint(self) -> int | None:
        """The event of the older of the two checkpoints: what a restart may step again comes after it."""
        found: int | None = self._db.execute("SELECT min(event) FROM checkpoint").fetchone()[0]
        return found

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
            "coalesce((SELECT value FROM meta WHERE key = ? || name), 0) + "
            "coalesce((SELECT sum(n_to - n_from) FROM owed WHERE sink = name), 0) FROM sink", (OWED,))}

    def backlog(self, sink: str) -> list[tuple[int, int]]:
        """[from, to) of the arrival numbers that let newer ones go first, in order."""
        return [(int(low), int(high)) for low, high in self._db.execute("SELECT n_from, n_to FROM owed WHERE sink = ? ORDER BY n_from", (sink,))]

    def traffic(self, sink: str, day: int) -> int:
        """Bytes that crossed the uplink for a sink on a day (ordinal of the local date)."""
        found = self._db.execute("SELECT bytes FROM traffic WHERE sink = ? AND day = ?", (sink, day)).fetchone()
        return int(found[0]) if found else 0

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
        wanted = sorted(ns)
        with self._snapshot():
            border = self._shelf.end()
            early = wanted[: bisect_left(wanted, border)]
            runs = self._shelf.rows_of(early, self.series()) if early else []
            runs.append(self._rows("WHERE n IN (SELECT value FROM json_each(?)) ORDER BY n", (json.dumps(wanted[len(early) :]),)))
        return joined(self.series(), runs)

    def waiting(self, recipient: str, after: int = 0) -> Waiting | None:
        """The oldest message after number `after` that a recipient has not got."""
        found = self._db.execute(
            "SELECT id, due, tries, message, body FROM outbox WHERE recipient = ? AND id > ? AND state = 'waiting' ORDER BY id LIMIT 1",
            (recipient, after)).fetchone()
        if not found:
            return None
        body, (begin, number) = json.loads(found[4]), alert_of(found[3])
        earlier = self._db.execute("SELECT id, state FROM outbox WHERE recipient = ? AND id < ? AND message >= ? AND message < ?",
                                   (recipient, found[0], begin, f"{begin}~")).fetchall() if begin else []
        fires = self._db.execute("SELECT 1 FROM alert WHERE id = ? AND state = 'firing'", (number,)).fetchone() is not None
        return Waiting(found[0], found[1], found[2], Notice(found[3], body["at"], body["kind"], body["subject"], body["data"]), fires,
                       tuple(one for one, _ in earlier), frozenset(one for one, state in earlier if state == "dead"))

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

    def orders(self, most: int, number: int = 0) -> list[OrderRecord]:
        """The newest orders first, or the one with this number."""
        return [OrderRecord(*found) for found in self._db.execute(
            "SELECT id, at, line, device, verb, value, by, state, words, started, ended FROM orders WHERE ? IN (0, id) ORDER BY id DESC LIMIT ?",
            (number, most))]

    def orders_by(self, by: str, device: str, since: int) -> list[OrderRecord]:
        """Orders that somebody gave a device since then (UTC ns), the newest first."""
        return [OrderRecord(*found) for found in self._db.execute(
            "SELECT id, at, line, device, verb, value, by, state, words, started, ended FROM orders WHERE by = ? AND device = ? AND at >= ? "
            "ORDER BY id DESC", (by, device, since))]

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
        """Bytes in use, without free pages; sealed files count."""
        pages, free, size = (self._db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size) + int(self._db.execute("SELECT coalesce(sum(size), 0) FROM archive").fetchone()[0])
