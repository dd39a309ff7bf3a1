"""At every opening: do the sealed files and the table `archive` agree? What can be mended is mended, what is lost is counted and said.

A file that is gone or has another size is lost: its entry says so, until it comes back. What no entry names is looked at by `adopting`.
"""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gateway.journal import adopting, losing, superseding
from gateway.journal.records import Sealed
from gateway.journal.shelf import FOLDER, sealed

log = logging.getLogger("ecosentry.journal")


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
    for part in folder.glob("*.part"):
        part.unlink()
    db.execute("BEGIN IMMEDIATE")
    try:
        _remove_superseded(db, folder)
        there = {path.name: path for path in folder.glob("*.db")}
        gone: list[tuple[Sealed, str]] = []
        entries = sealed(db)
        for entry in entries:
            path = there.get(str(entry.file))
            if path is not None and (entry.lost is None or path.stat().st_size != entry.size):
                del there[path.name]
            if entry.lost is None and (path is None or path.stat().st_size != entry.size):
                gone.append((entry, "the file is gone" if path is None else f"the file has {path.stat().st_size} bytes instead of {entry.size}"))
        strays = [stray for path in there.values() if (stray := adopting.Stray.read(path))]
        left = adopting.put_back(db, folder, strays, [*(entry for entry, _ in gone), *(entry for entry in entries if entry.lost)])
        gone = [(entry, why) for entry, why in gone if not _is_there(db, folder, entry)]
        _unseal(db, [entry for entry, _ in gone])
        for entry, why in gone:
            if sealed(db, "WHERE event_from = ?", entry.event_from):
                lose(db, folder, entry, why)
        adopting.take_in(db, folder, left)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _remove_superseded(db: sqlite3.Connection, folder: Path) -> None:
    """A kill came between the commit that let go of a file and its removal."""
    named = {entry.file for entry in sealed(db)}
    for name, digest in superseding.superseded(db).items():
        if name not in named and (folder / name).exists() and adopting.digest_of(folder / name) == digest:
            log.info("archive %s is removed: superseded", name)
            (folder / name).unlink()
    superseding.clear_notes(db, folder)


def _is_there(db: sqlite3.Connection, folder: Path, entry: Sealed) -> bool:
    [now] = sealed(db, "WHERE event_from = ?", entry.event_from)
    path = folder / str(now.file)
    return path.exists() and path.stat().st_size == now.size


def _unseal(db: sqlite3.Connection, gone: Sequence[Sealed]) -> None:
    """What is still in `live.db`, whole, with all that was sealed after it, is not lost: it is live again, and will be sealed again."""
    for entry in gone:
        later = sealed(db, "WHERE event_from >= ? ORDER BY event_from", entry.event_from)
        events, rows = db.execute("SELECT (SELECT count(*) FROM event WHERE id >= ? AND id <= ?), (SELECT count(*) FROM hot WHERE n >= ? AND n < ?)",
                                  (entry.event_from, later[-1].event_to, entry.n_from, later[-1].n_to)).fetchone()
        if events == later[-1].event_to - entry.event_from + 1 and rows == later[-1].n_to - entry.n_from and not any(one.lost for one in later):
            log.warning("archive %s is not there, but live.db still holds its rows: they are sealed again", entry.file)
            db.execute("DELETE FROM archive WHERE event_from >= ?", (entry.event_from,))
            return


def lose(db: sqlite3.Connection, folder: Path, entry: Sealed, why: str) -> None:
    """Nothing of a sealed file can be read any more: it is counted, said, and put into the ledger of gaps. `folder`: the archive's."""
    log.critical("archive %s: %s; %d rows of events %d to %d are lost, everything else goes on", entry.file, why, entry.rows,
                 entry.event_from, entry.event_to)
    losing.lose(db, folder, entry)
    db.execute("UPDATE archive SET lost = ?, rows = 0 WHERE event_from = ?", (why, entry.event_from))
