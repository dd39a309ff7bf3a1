"""Is the journal whole? Checks of one snapshot, read-only, while the daemon may go on writing."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gateway.journal.archive import Archive
from gateway.journal.codec import Damaged
from gateway.journal.migrating import FORMAT
from gateway.journal.records import OWED, Sealed
from gateway.journal.shelf import FOLDER, sealed
from gateway.journal.writer import JournalError


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    good: bool
    words: str


def verify(folder: Path, harmed: Callable[[Sealed, str], None] = lambda _, __: None) -> list[Finding]:
    """Every check with its finding; `harmed` hears which sealed file has what. Raises JournalError if the file cannot be read at all."""
    return verify_file(folder / "live.db", folder / FOLDER, harmed)


def quick(folder: Path) -> list[Finding]:
    """What can be said in seconds: the pages of `live.db` without their indices, and the sums. Raises JournalError."""
    return _looked_at(folder / "live.db", lambda db: [_pages(db, "quick_check"), _counters(db), *_sinks(db)])


def verify_file(path: Path, archives: Path, harmed: Callable[[Sealed, str], None] = lambda _, __: None) -> list[Finding]:
    """The same for a copy of a journal under any name, with its sealed files in the folder `archives`."""
    return _looked_at(path, lambda db: [
        _pages(db, "integrity_check"), *_events(db), _archive(path, db, archives, harmed), _series(db), _alert_log(db), _counters(db), *_sinks(db)])


def _looked_at(path: Path, findings: Callable[[sqlite3.Connection], list[Finding]]) -> list[Finding]:
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
    except sqlite3.Error as error:
        raise JournalError(f"{path}: cannot be read ({error})") from error
    try:
        db.execute("BEGIN")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != FORMAT:
            raise JournalError(f"{path} is of format {found}, this software reads {FORMAT}")
        return findings(db)
    except sqlite3.Error as error:
        raise JournalError(f"{path}: cannot be read ({error}); docs/journal.md tells how to salvage it") from error
    finally:
        db.close()


def _one(db: sqlite3.Connection, query: str, *parameters: object) -> int:
    return int(db.execute(query, parameters).fetchone()[0] or 0)


def _pages(db: sqlite3.Connection, check: str) -> Finding:
    found = [str(r[0]) for r in db.execute(f"PRAGMA {check}(20)")]
    return Finding("pages", found == ["ok"], "every page is whole" if found == ["ok"] else "; ".join(found)[:1000])


def _events(db: sqlite3.Connection) -> Iterator[Finding]:
    """Events follow each other without a hole from the oldest sealed file to the newest live one, and so do their rows."""
    sealed_to = _one(db, "SELECT max(event_to) FROM archive")
    count, first, last = db.execute("SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0) FROM event WHERE id > ?", (sealed_to,)).fetchone()
    missing = last - max(first, sealed_to + 1 if sealed_to else first) + 1 - count if count else 0
    broken = _one(db, "SELECT count(*) FROM (SELECT n_from AS n, lag(n_from + rows + derived) OVER (ORDER BY id) AS wanted FROM event WHERE id > ?) "
                      "WHERE wanted IS NOT NULL AND n <> wanted", sealed_to)
    holes = _one(db, "SELECT count(*) FROM (SELECT event_from AS e, n_from AS n, lag(event_to + 1) OVER (ORDER BY event_from) AS e_wanted, "
                     "lag(n_to) OVER (ORDER BY event_from) AS n_wanted FROM archive) WHERE e <> e_wanted OR n <> n_wanted")
    oldest = _one(db, "SELECT coalesce((SELECT min(event_from) FROM archive), ?)", first)
    words = f"{last - oldest + 1 if last else 0} events, {oldest} to {last}, without a hole" if not missing + broken + holes else (
        f"{missing} events are missing between {first} and {last}; {broken} do not begin where the one before ends; {holes} sealed files do not")
    yield Finding("events", not missing + broken + holes, words)
    begin = max(_one(db, "SELECT min(n_from) FROM event WHERE id > ?", sealed_to), _one(db, "SELECT max(n_to) FROM archive"),
                _one(db, "SELECT value FROM meta WHERE key = 'thinned_to' UNION ALL SELECT 0") + 1)
    end = _one(db, "SELECT n_from + rows + derived FROM event ORDER BY id DESC LIMIT 1") if count else begin
    there = _one(db, "SELECT count(*) FROM hot WHERE n >= ? AND n < ?", begin, end)
    beyond = _one(db, "SELECT count(*) FROM hot WHERE n >= ?", end)
    strange = _one(db, "SELECT count(*) FROM hot WHERE series NOT IN (SELECT id FROM series)")
    wrong = [f"{end - begin - there} rows are missing between {begin} and {end - 1}"] if there != max(0, end - begin) else []
    wrong += [f"{beyond} rows belong to no event"] if beyond else []
    wrong += [f"{strange} rows belong to no series"] if strange else []
    number = _one(db, "SELECT (SELECT count(*) FROM hot WHERE n >= (SELECT coalesce(max(n_to), 0) FROM archive)) + "
                      "coalesce((SELECT sum(rows) FROM archive), 0)")
    yield Finding("rows", not wrong, "; ".join(wrong) or f"{number} rows, live ones without a hole from {begin} on")


def _archive(path: Path, db: sqlite3.Connection, folder: Path, harmed: Callable[[Sealed, str], None]) -> Finding:
    """Each sealed file is to the bit what was sealed (or thinned later), and names the one before by its hash."""
    entries = sealed(db)
    found = [(entry, words) for entry in entries if not entry.lost and (words := _harm(entry, folder)) and _still_there(path, entry)]
    for one in found:
        harmed(*one)
    wrong = [words for _, words in found]
    wrong += [f"{entry.file} does not continue the chain" for before, entry in pairwise(entries)
              if entry.file and before.first and entry.previous != before.first]
    lost = [f"events {entry.event_from} to {entry.event_to} ({entry.lost})" for entry in entries if entry.lost]
    head = f"; head {entries[-1].first.hex()} ({entries[-1].file})" if entries and entries[-1].first else ""
    known = f"; known to be lost: {', '.join(lost[:20])}" if lost else ""
    whole = f"{len(entries) - len(lost)} sealed files, the chain holds{head}"
    return Finding("archive", not wrong, ("; ".join(wrong[:20]) or whole) + known)


def _harm(entry: Sealed, folder: Path) -> str:
    """What is wrong with a file; empty = nothing."""
    file = folder / str(entry.file)
    try:
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").digest() != entry.hash:
                return f"{file.name} is not what was sealed"
        with Archive(file) as archive:
            head = archive.head()
    except FileNotFoundError:
        return f"{file.name} is gone"
    except (OSError, Damaged, sqlite3.Error) as error:
        return f"{file.name} cannot be read ({error})"
    return "" if head.previous == entry.previous else f"{file.name} does not continue the chain"


def _still_there(path: Path, entry: Sealed) -> bool:
    """The daemon may have removed it while we looked: the entry went first."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as now:
        return bool(_one(now, "SELECT count(*) FROM archive WHERE file = ?", entry.file))


def _series(db: sqlite3.Connection) -> Finding:
    count, last = db.execute("SELECT count(*), coalesce(max(id), -1) FROM series").fetchone()
    return Finding("series", last == count - 1, f"{count} series" if last == count - 1 else f"{last + 1 - count} series are missing")


def _alert_log(db: sqlite3.Connection) -> Finding:
    """Each entry carries the hash of the one before: nobody has changed or taken out one."""
    before: dict[int, tuple[int, bytes]] = {}
    wrong, count = [], 0
    for alert, no, event, at, kind, severity, body, previous, digest in db.execute(
            "SELECT alert, no, event, at, kind, severity, body, previous, hash FROM alert_log ORDER BY alert, no"):
        last, chained = before.get(alert, (0, b""))
        computed = hashlib.sha256(b"\0".join((chained, f"{alert} {no} {event} {at} {kind} {severity}".encode(), str(body).encode()))).digest()
        if no != last + 1 or bytes(previous) != chained or bytes(digest) != computed:
            wrong.append(f"alert {alert} entry {no}")
        before[alert] = (no, bytes(digest))
        count += 1
    wrong += [f"alert {r[0]} entry 1" for r in db.execute("SELECT id FROM alert ORDER BY id") if r[0] not in before]
    return Finding("alert log", not wrong, f"{count} entries, the chain holds" if not wrong else "changed or missing: " + ", ".join(wrong[:20]))


def _counters(db: sqlite3.Connection) -> Finding:
    found: dict[str, int] = dict(db.execute("SELECT name, value FROM counter"))
    parts = {name: found.get(name, 0) for name in ("journalled", "duplicate", "undecodable", "quarantined", "held", "overwritten")}
    received, held = found.get("received", 0), _one(db, "SELECT count(*) FROM held")
    said = f"received {received} = " + " + ".join(f"{name} {value}" for name, value in parts.items())
    good = received == sum(parts.values()) and held == parts["held"]
    return Finding("readings", good, said if good else f"{said} does not hold; {held} are really held")


def _sinks(db: sqlite3.Connection) -> Iterator[Finding]:
    last = _one(db, "SELECT n_from + rows + derived - 1 FROM event ORDER BY id DESC LIMIT 1") if _one(db, "SELECT count(*) FROM event") else 0
    for name, n, sent, refused, skipped, thinned in db.execute("SELECT name, n, sent, refused, skipped, thinned FROM sink").fetchall():
        aside, owed = db.execute("SELECT count(words), count(*) - count(words) FROM refused WHERE sink = ?", (name,)).fetchone()
        noted = _one(db, "SELECT value FROM meta WHERE key = ? UNION ALL SELECT 0", OWED + name)
        ranges = db.execute("SELECT n_from, n_to FROM owed WHERE sink = ? ORDER BY n_from", (name,)).fetchall()
        behind = sum(high - low for low, high in ranges)
        edges = [0, *(edge for one in ranges for edge in one), n + 1]
        orderly = all(low < high for low, high in ranges) and edges == sorted(edges)
        said = (f"{last} = sent {sent} + refused {refused} + skipped {skipped} + thinned {thinned} + owed {owed + behind} + waiting {last - n}")
        good = n == sent + refused + skipped + thinned + owed + behind and aside == refused and owed == noted and n <= last and orderly
        yield Finding(f"sink {name}", good, said if good else f"{said} does not hold; {aside} are really set aside, {noted} noted as owed")
