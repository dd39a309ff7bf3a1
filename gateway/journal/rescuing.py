"""Somebody removed, moved or replaced the journal's files while they were written: what the open connection still holds is brought back.

Nothing is acknowledged from the moment on that it was seen, and the process ends: every reader of it, too, has files open that nobody
finds any more. So the next start finds all that was ever acknowledged at the path, or beside what somebody else has put there.
"""

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path

from gateway.journal.copying import copy_open, has_room, sync
from gateway.journal.records import HOW_MOVED
from gateway.journal.writer import JournalError, Writer, explain

log = logging.getLogger("ecosentry.journal")
_SIDE_FILES = ("-wal", "-shm")


def bring_back(writer: Writer, why: str) -> str:
    """Put what `writer` has committed where the next start finds it; gives in words what was done. Raises JournalError if it cannot be.

    The next start tells people `why`, and what was done.
    """
    path = writer.path
    try:
        if writer.is_at_its_path:
            words = f"{why}; what only the write-ahead log held is in live.db now"
            _note(writer.db, words)
            _fold(writer.db)
        elif not path.exists():
            words = f"{why}; what was in it is written there anew"
            _note(writer.db, words)
            _put(writer.db, path)
        else:
            kept = path.with_name(f"live.db.displaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
            words = f"{why}; what was in it is kept as {kept.name}, and what lies there now is gone on with"
            _put(writer.db, kept)
            _note_in(path, words)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(explain(error, path)) from error
    return words


def _note(db: sqlite3.Connection, words: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (HOW_MOVED, words))


def _note_in(path: Path, words: str) -> None:
    """In a file that somebody has put there, if it is a journal."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=1)) as other:
            _note(other, words)
    except sqlite3.Error as error:
        log.error("%s: %s", path, error)


def _fold(db: sqlite3.Connection) -> None:
    """Into the file itself, all of it."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
    if busy:
        raise sqlite3.OperationalError("somebody reads the journal, so its write-ahead log cannot be folded into it")


def _put(db: sqlite3.Connection, path: Path) -> None:
    """A copy at `path`, durable before it has that name, and never over another file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    has_room(path.parent, int(db.execute("PRAGMA page_count").fetchone()[0]) * int(db.execute("PRAGMA page_size").fetchone()[0]))
    part = path.with_name(f"{path.name}.part")
    try:
        copy_open(db, part)
        for suffix in _SIDE_FILES:  # of the file that is gone: to the new one they would be its own, and spoil it
            path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # FAT has no links
            part.rename(path)
        sync(path.parent, os.O_DIRECTORY)
    finally:
        part.unlink(missing_ok=True)
