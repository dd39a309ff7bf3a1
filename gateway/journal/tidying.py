"""At every opening: do the sealed files and the table `archive` agree? What can be mended is mended, what is lost is counted and said.

A file that was being written when the power went is removed: its rows are still in `live.db`. One that is gone or has another
size is lost: its entry says so. When `live.db` itself had to begin anew, the files that are there are taken into it, for each of
them carries all that is needed to read it.
"""

import hashlib
import logging
import sqlite3
from dataclasses import astuple, replace
from pathlib import Path

from gateway.journal import losing
from gateway.journal.archive import Archive, Block, Head
from gateway.journal.codec import Damaged
from gateway.journal.records import Sealed
from gateway.journal.shelf import FOLDER, sealed

log = logging.getLogger("ecosentry.journal")
KEPT_FROM = "kept_from"
"""In `meta`: the first event that has not been removed as too old."""


def numbers(db: sqlite3.Connection) -> tuple[int, int]:
    """The arrival number and the event number that come next, wherever the last ones lie."""
    n, event = db.execute(
        "SELECT max((SELECT coalesce(max(n), 0) FROM hot), (SELECT coalesce(max(n_to), 1) - 1 FROM archive), "
        "           (SELECT coalesce(max(n_from + rows + derived), 1) - 1 FROM event)), "
        "       max((SELECT coalesce(max(id), 0) FROM event), (SELECT coalesce(max(event_to), 0) FROM archive))").fetchone()
    return int(n) + 1, int(event) + 1


def tidy(journal: Path, db: sqlite3.Connection) -> None:
    """Make table and files agree. Raises sqlite3.Error, OSError."""
    folder = journal / FOLDER
    there = {path.name: path for path in folder.glob("*.db")} if folder.exists() else {}
    for part in folder.glob("*.part"):
        part.unlink()
    db.execute("BEGIN IMMEDIATE")
    try:
        for entry in sealed(db, "WHERE lost IS NULL ORDER BY event_from"):
            path = there.pop(str(entry.file), None)
            if path is None or path.stat().st_size != entry.size:
                lose(db, folder, entry, "the file is gone" if path is None else f"the file has {path.stat().st_size} bytes instead of {entry.size}")
        strays = [path for path in there.values() if not _is_superseded(db, path)]
        if strays:
            _adopt(db, strays)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def lose(db: sqlite3.Connection, folder: Path, entry: Sealed, why: str) -> None:
    """Nothing of a sealed file can be read any more: it is counted, said, and put into the ledger of gaps. `folder`: the archive's."""
    log.critical("archive %s: %s; %d rows of events %d to %d are lost, everything else goes on", entry.file, why, entry.rows,
                 entry.event_from, entry.event_to)
    losing.wait(db, losing.of_day(db, folder, entry))
    db.execute("UPDATE archive SET lost = ?, rows = 0 WHERE event_from = ?", (why, entry.event_from))
    _count_lost(db, entry.rows)


def _count_lost(db: sqlite3.Connection, rows: int) -> None:
    if rows:
        db.execute("INSERT INTO counter VALUES ('lost', ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value", (rows,))


def _is_superseded(db: sqlite3.Connection, path: Path) -> bool:
    """A file whose rows lie elsewhere or are too old goes; one that nobody can read is kept for people under another name."""
    try:
        with Archive(path) as archive:
            blocks = archive.blocks()
    except (Damaged, sqlite3.Error, OSError) as error:
        log.error("archive %s is not in the journal and cannot be read (%s): kept as %s.damaged", path.name, error, path.name)
        path.rename(path.with_name(path.name + ".damaged"))
        return True
    kept = db.execute("SELECT coalesce((SELECT value FROM meta WHERE key = ?), 0)", (KEPT_FROM,)).fetchone()[0]
    live = db.execute("SELECT min(id) FROM event").fetchone()[0]
    first, last = (blocks[0].event_from, blocks[-1].event_to) if blocks else (0, 0)
    known = db.execute("SELECT count(*) FROM archive WHERE event_from <= ? AND event_to >= ? AND lost IS NULL", (last, first)).fetchone()[0]
    if not blocks or last < kept or known or (live is not None and live <= first):
        path.unlink()
        return True
    return False


def _adopt(db: sqlite3.Connection, strays: list[Path]) -> None:
    """Take files into a journal that does not know them: it had to begin anew, or was restored from an older copy."""
    found = sorted((one for path in strays if (one := _entry(path))), key=lambda one: (one[0].event_from, one[0].thinned))
    for entry, head in found:
        if db.execute("SELECT count(*) FROM archive WHERE event_from <= ? AND event_to >= ?", (entry.event_to, entry.event_from)).fetchone()[0]:
            continue
        values = astuple(entry)
        db.execute(f"INSERT INTO archive VALUES ({','.join('?' * len(values))})", values)
        known = db.execute("SELECT count(*) FROM series").fetchone()[0]
        db.executemany("INSERT INTO series VALUES (?,?,?,?,?,?,?,?)", [(i, *one) for i, one in enumerate(head.series) if i >= known])
        db.execute("UPDATE meta SET value = ? WHERE key = 'journal_id'", (head.journal_id,))
        log.warning("archive %s with %d rows is taken into the journal", entry.file, entry.rows)


def _entry(path: Path) -> tuple[Sealed, Head] | None:
    try:
        with Archive(path) as archive:
            head, blocks = archive.head(), archive.blocks()
            events = [*archive.events(blocks[0]), *(archive.events(blocks[-1]) if len(blocks) > 1 else ())]
    except (Damaged, sqlite3.Error, OSError, IndexError) as error:
        log.error("archive %s cannot be read (%s): kept as %s.damaged", path.name, error, path.name)
        path.rename(path.with_name(path.name + ".damaged"))
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return _described(path, head, blocks, (min(e.now for e in events), max(e.now for e in events)), digest), head


def _described(path: Path, head: Head, blocks: list[Block], now: tuple[int, int], digest: bytes) -> Sealed:
    filled = [block for block in blocks if block.rows]
    entry = Sealed(blocks[0].event_from, blocks[-1].event_to, blocks[0].n_from, blocks[-1].n_to, *now,
                   min((b.at_from for b in filled), default=0), max((b.at_to for b in filled), default=0), sum(b.rows for b in blocks), 0,
                   path.name, path.stat().st_size, head.previous, digest, digest, None)
    return replace(entry, first=head.first, thinned=max(1, entry.n_to - entry.n_from - entry.rows)) if head.first else entry
