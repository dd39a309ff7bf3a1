"""Gets out of a damaged `live.db` what can be read, into a new one: small tables row by row, events and rows as far as they have no hole.

What lies behind the first hole is lost and counted (`lost`). Sinks that had got some of it are set back to where the journal ends
now, and messages that were acknowledged but are gone are no longer recognised, so that a sender that still has them is heard.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gateway.journal.identity import renew
from gateway.journal.records import OWED

log = logging.getLogger("ecosentry.journal")
_BIG = ("event", "hot")
_EVENT = "id, kind, now, sure, steady, plan, n_from, rows, derived, done"
_ROW = "n, series, at, span, raw, value, flag, reason, tests, revision, origin, share"
_LARGE = 64_000_000
Record = tuple[object, ...]


class DamagedJournal(sqlite3.DatabaseError):
    """SQLite opens the file, and yet it is not whole."""

    sqlite_errorname = "SQLITE_CORRUPT"


def check(path: Path, db: sqlite3.Connection) -> None:
    """Look at all pages and at the row of events at a start; a large file is believed after a clean end. Raises sqlite3.DatabaseError."""
    ended = "SELECT (SELECT value FROM meta WHERE key = 'clean_stop') = (SELECT max(id) FROM event)"
    if path.stat().st_size > _LARGE and db.execute(ended).fetchone()[0]:
        return
    if wrong := _broken(db):
        raise DamagedJournal(wrong)


def _broken(db: sqlite3.Connection) -> str:
    """What is wrong with the pages or the row of events of a journal that can be opened; empty = nothing (any more: indexes are mended)."""
    found = _pages(db)
    if found != ["ok"] and all("index" in line for line in found):
        log.critical("damaged indexes are made anew: %s", "; ".join(found)[:300])
        db.execute("REINDEX")
        found = _pages(db)
    if found != ["ok"]:
        return "; ".join(found)[:300]
    border = db.execute("SELECT coalesce(max(event_to), 0) FROM archive").fetchone()[0]
    count, first, last = db.execute("SELECT count(*), min(id), max(id) FROM event WHERE id > ?", (border,)).fetchone()
    return f"{last - first + 1 - count} events are missing between {first} and {last}" if count and last - first + 1 != count else ""


def _pages(db: sqlite3.Connection) -> list[str]:
    return [str(line) for (line,) in db.execute("PRAGMA integrity_check(100)")]


def salvage(damaged: Path, db: sqlite3.Connection) -> None:
    """Fill a new journal from a damaged one. Raises sqlite3.Error only if the new one cannot be written."""
    try:
        old = sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
    except sqlite3.Error as error:
        log.error("%s cannot be opened at all (%s)", damaged, error)
        return
    with closing(old):
        db.execute("BEGIN IMMEDIATE")
        try:
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall():
                if table not in _BIG:
                    _copy(old, db, table)
            last, rows = _copy_events(old, db)
            lost = max(0, _highest(old, db) - last)
            _settle(db, last, lost)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    log.critical("out of %s: %d rows up to number %d, without a hole; at least %d behind them are lost", damaged.name, rows, last, lost)


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    try:
        return [str(found[1]) for found in db.execute(f'PRAGMA table_info("{table}")')]
    except sqlite3.Error:
        return []


def _read(old: sqlite3.Connection, query: str, *parameters: object) -> Iterator[Record]:
    """Rows until the first one that cannot be read."""
    try:
        yield from old.execute(query, parameters)
    except (sqlite3.Error, ValueError, OverflowError) as error:  # ValueError: bytes that are no text
        log.error("in the damaged file: %s", error)


def _copy(old: sqlite3.Connection, db: sqlite3.Connection, table: str) -> None:
    known = _columns(old, table)
    names = [f'"{name}"' for name in _columns(db, table) if name in known]
    if not names:
        return
    order = "ORDER BY id" if table == "series" else ""
    for number, record in enumerate(_read(old, f'SELECT {", ".join(names)} FROM "{table}" {order}')):
        if table == "series" and record[0] != number:
            return  # ids are places in a list
        try:
            db.execute(f'INSERT OR REPLACE INTO "{table}" ({", ".join(names)}) VALUES ({",".join("?" * len(names))})', record)
        except sqlite3.IntegrityError:  # a number that became a text
            if table == "series":
                return


def _copy_events(old: sqlite3.Connection, db: sqlite3.Connection) -> tuple[int, int]:
    """Whole events with all their rows, as far as there is no hole; gives the last arrival number that is kept, and how many rows."""
    border, n_border = db.execute("SELECT coalesce(max(event_to), 0), coalesce(max(n_to), 1) FROM archive").fetchone()
    thinned = int(next(iter(db.execute("SELECT value FROM meta WHERE key = 'thinned_to'")), (0,))[0])
    series = int(db.execute("SELECT count(*) FROM series").fetchone()[0])
    plans = {version for (version,) in db.execute("SELECT version FROM plan")}
    rows = _Rows(old, n_border, thinned, series)
    wanted: tuple[int, int] | None = (border + 1, n_border) if border else None
    kept = 0
    for event in _read(old, f"SELECT {_EVENT} FROM event WHERE id > ? ORDER BY id", border):
        if not all(isinstance(value, int) for value in event):
            break
        number, n_from, count, derived, plan = (int(str(event[k])) for k in (0, 6, 7, 8, 5))
        if (wanted and (number, n_from) != wanted) or plan not in plans or not 0 <= count + derived < 10**6:
            break
        mine = rows.take(n_from, n_from + count + derived)
        if mine is None:
            break
        db.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?)", event)
        db.executemany("INSERT INTO hot VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", mine)
        wanted = number + 1, n_from + count + derived
        kept += len(mine)
    return (wanted[1] if wanted else n_border) - 1, kept


class _Rows:
    """The rows of the damaged file, one after the other."""

    def __init__(self, old: sqlite3.Connection, start: int, thinned: int, series: int) -> None:
        self._rows = _read(old, f"SELECT {_ROW} FROM hot WHERE n >= ? ORDER BY n", start)
        self._next = next(self._rows, None)
        self._thinned = thinned
        self._series = series

    def take(self, low: int, high: int) -> list[Record] | None:
        """The rows low … high - 1; None if one is missing that was not thinned, or is none."""
        found: list[Record] = []
        while self._next is not None and isinstance(self._next[0], int) and self._next[0] < high:
            if self._next[0] >= low:
                if not self._sound(self._next):
                    return None
                found.append(self._next)
            self._next = next(self._rows, None)
        return found if len(found) == high - low or high - 1 <= self._thinned else None

    def _sound(self, row: Record) -> bool:
        whole = all(isinstance(row[k], int) for k in (0, 1, 2, 3, 6, 7, 8, 9, 10))
        return whole and 0 <= int(str(row[1])) < self._series and all(row[k] is None or isinstance(row[k], float) for k in (4, 5, 11))


def _highest(old: sqlite3.Connection, db: sqlite3.Connection) -> int:
    """The highest arrival number that anything tells of."""
    told = [*_read(old, "SELECT max(n) FROM hot"), *_read(old, "SELECT max(n_from + rows + derived) - 1 FROM event"),
            *db.execute("SELECT max(n) FROM sink")]
    return max((value for (value,) in told if isinstance(value, int) and value < 2**53), default=0)


def _settle(db: sqlite3.Connection, last: int, lost: int) -> None:
    """What speaks of rows that are gone is set back; what comes is counted within a new id, for how far the numbers went nobody can tell for sure."""
    renew(db, "it was salvaged, numbers behind the damage are given again")
    event = db.execute("SELECT max(coalesce((SELECT max(id) FROM event), 0), coalesce((SELECT max(event_to) FROM archive), 0))").fetchone()[0]
    db.execute("DELETE FROM checkpoint WHERE event > ?", (event,))
    db.execute("DELETE FROM meta WHERE key IN ('clean_stop', 'trying')")
    for name, n in db.execute("SELECT name, n FROM sink WHERE n > ?", (last,)).fetchall():
        aside, owed = db.execute("SELECT count(words), count(*) - count(words) FROM refused WHERE sink = ? AND n > ?", (name, last)).fetchone()
        db.execute("DELETE FROM refused WHERE sink = ? AND n > ?", (name, last))
        db.execute("UPDATE meta SET value = value - ? WHERE key = ?", (owed, OWED + name))
        [behind] = db.execute("SELECT coalesce(sum(n_to - max(n_from, ?)), 0) FROM owed WHERE sink = ? AND n_to > ?",
                              (last + 1, name, last + 1)).fetchone()
        db.execute("DELETE FROM owed WHERE sink = ? AND n_from > ?", (name, last))
        db.execute("UPDATE owed SET n_to = ? WHERE sink = ? AND n_to > ?", (last + 1, name, last + 1))
        db.execute("UPDATE sink SET n = ?, refused = refused - ?, sent = sent - ? WHERE name = ?",
                   (last, aside, n - last - aside - owed - behind, name))
    if lost:
        db.execute("DELETE FROM receipt")
        db.execute("INSERT INTO counter VALUES ('lost', ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value", (lost,))
