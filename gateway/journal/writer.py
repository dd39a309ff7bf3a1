"""The only write connection to the journal; the core's thread owns it.

Acknowledged means committed here: WAL with `synchronous=FULL`, one transaction a cycle. When a commit fails nothing of
it is there, and the connection is opened anew before the next try: after a failed fsync the kernel may have dropped the
pages that we believe to be written.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config.series import Series
from drivers.reading import Aside
from gateway.journal import orphaned_log
from gateway.journal.columns import Columns, series_table
from gateway.journal.identity import renew, settle_copy
from gateway.journal.migrating import FORMAT, create, migrate
from gateway.journal.records import HOW_MOVED
from gateway.journal.repairing import check, salvage
from gateway.journal.room import Reserve, is_full
from gateway.journal.tidying import numbers, tidy
from gateway.spelling import in_one_line

log = logging.getLogger("ecosentry.journal")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_INDEX", "SQLITE_CORRUPT_SEQUENCE")
START, READINGS, TICK, BOOTED = 1, 2, 3, 4
"""Kinds of event. BOOTED is a start, and the first of a boot of the box."""
STARTS = frozenset({START, BOOTED})
UNDONE, DONE, SKIPPED = 0, 1, 2
_SALVAGING = "live.db.salvaging"
"""So a damaged file is called until what can be read of it is in the new one."""
_KEEP_ASIDE = 1000
_PAGE = 1024
"""A commit writes every page that it touches, whole: small ones halve what wears the card (docs/decisions/0007-small-pages.md)."""


class JournalError(Exception):
    """The journal cannot be written or read (full, read-only, damaged, wrong format); says what to do."""


def may_mend(error: Exception) -> bool:
    """Is it the disk or the file, which may be put right, and not what was to be written?"""
    of_what_is_written = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
    return isinstance(error, JournalError) or (isinstance(error, sqlite3.Error) and not isinstance(error, of_what_is_written))


class JournalMoved(JournalError):
    """The files that are open are no longer those at their path: what is committed into them nobody would find again."""


class JournalDamaged(JournalMoved):
    """The file was damaged while it was written. The next start salvages it: here every reader has the damaged file open, and the old id."""


def _identity(name: str) -> tuple[int, int]:
    """Device and inode of a file; (0, 0) = there is none. Raises OSError."""
    try:
        found = os.stat(name)  # noqa: PTH116  (before every commit: a third of the time)
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return found.st_dev, found.st_ino


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def no_room(folder: Path) -> str:
    """What is said while the disk of the journal is full."""
    return f"{folder}: no space left on the disk; nothing is acknowledged until there is room"


def explain(error: sqlite3.Error | OSError, path: Path) -> str:
    """Why a file of the journal cannot be had, and what to do."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or ((not name or name.startswith("SQLITE_IOERR")) and is_full(path.parent)):  # SQLITE_IOERR_SHMSIZE is a full disk too
        return no_room(path.parent)
    if name.startswith("SQLITE_READONLY") or (name in ("SQLITE_CANTOPEN", "") and _is_read_only(path.parent)):
        return f"{path.parent}: the file system is read-only; nothing is acknowledged until it can be written"
    if name.startswith("SQLITE_IOERR"):
        return f"{path.parent}: the disk reports an error ({name}); replace the card or disk"
    if name == "SQLITE_CANTOPEN":
        return f"{path}: cannot be opened; check the folder's owner and mode"
    if isinstance(error, OSError):
        return f"{error}; check the folder's owner and mode"
    return f"{path}: {error}"


class Writer:
    """Everything that is written; what is said here is said inside `with writer.transaction():`."""

    def __init__(self, folder: Path, synchronous: str = "FULL") -> None:
        self.path = folder / "live.db"
        self._synchronous = synchronous
        self._db: sqlite3.Connection | None = None
        self._checked = False
        self._found: orphaned_log.Found | None = None
        """What people are to hear of the files at the next start event."""
        self._names = (str(self.path), f"{self.path}-wal")
        self._opened: tuple[tuple[int, int], ...] = ()
        """What these were when they were opened last."""
        self.series: list[Series] = []
        self.known: dict[Series, int] = {}
        """Id of every series."""
        self.reserve = Reserve(folder)
        self.open()

    @property
    def db(self) -> sqlite3.Connection:
        """The connection, opened anew if the last commit failed."""
        if self._db is None:
            self.open()
        assert self._db is not None
        return self._db

    def open(self) -> None:
        """Open or create the journal, on a full disk with the room kept back; a damaged one is set aside for people. Raises JournalError."""
        try:
            self._open_or_mend()
        except JournalError:
            if not self.reserve.give():
                raise
            self._open_or_mend()

    def _open_or_mend(self) -> None:
        try:
            if self._opened and not self.is_at_its_path and not self.path.with_name(_SALVAGING).exists():
                raise JournalMoved(f"{self.path} was removed or replaced while it was closed; nothing more is acknowledged")
            self._take_back()
            self._found = orphaned_log.rescue(self.path) or self._found
            self._open()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") not in _DAMAGED:
                raise JournalError(explain(error, self.path)) from error
            if self._opened:
                raise JournalDamaged(f"{self.path} was damaged while the daemon wrote it ({error})") from error
            self._set_aside_damaged(error)
        except OSError as error:
            raise JournalError(explain(error, self.path)) from error

    def _set_aside_damaged(self, error: sqlite3.Error) -> None:
        """A station must measure again without a human: keep the damaged files, begin anew."""
        self._checked = False
        mark = f".damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        log.critical("%s is damaged (%s): kept as live.db%s, what can be read begins a new one; docs/journal.md", self.path, error, mark)
        try:
            self._rename("live.db", _SALVAGING, ("", "-wal", "-shm"))
            self._open(self.path.with_name(_SALVAGING))
            self._rename(_SALVAGING, f"live.db{mark}", ("-wal", "-shm", ""))
        except (sqlite3.Error, OSError) as worse:
            raise JournalError(explain(worse, self.path)) from worse

    def _take_back(self) -> None:
        """Salvaging broke off (a kill, a full disk): half a new file is not the journal; it begins again with the damaged one."""
        if not self.path.with_name(_SALVAGING).exists():
            return
        files = ("-wal", "-shm", "")  # a WAL first: without its file the one is of the damaged file, with it of the half new one
        if self.path.exists():
            for suffix in files:
                self.path.with_name(f"live.db{suffix}").unlink(missing_ok=True)
        self._rename(_SALVAGING, "live.db", files)

    def _rename(self, name: str, to: str, suffixes: tuple[str, ...]) -> None:
        for suffix in suffixes:
            if (file := self.path.with_name(f"{name}{suffix}")).exists():
                file.rename(self.path.with_name(f"{to}{suffix}"))

    def _open(self, damaged: Path | None = None) -> None:
        db: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
            self._prepare(db)
            if damaged:
                salvage(damaged, db)
            elif not self._checked:
                check(self.path, db)
            settle_copy(db)
            tidy(self.path.parent, db)
            if self._found:
                self._tell_of_log(db, self._found)
                self._found = None
            self._checked = True
            self.series = series_table(db)
            self.known = {series: i for i, series in enumerate(self.series)}
            self.next_n, self.next_event = numbers(db)
            self._opened = tuple(map(_identity, self._names))
            self._db, db = db, None
        finally:
            if db is not None:
                db.close()

    @staticmethod
    def _tell_of_log(db: sqlite3.Connection, found: orphaned_log.Found) -> None:
        """People hear of it with the next event; rows that were seen in the log and cannot be read are counted, as far as salvaging did not."""
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO meta VALUES (?,?) ON CONFLICT(key) DO UPDATE SET value = value || '; ' || excluded.value", (HOW_MOVED, found.words))
        db.execute("INSERT INTO counter SELECT 'lost', ? WHERE ? > 0 ON CONFLICT(name) DO UPDATE SET value = max(value, excluded.value)",
                   (missing := found.newest - numbers(db)[0] + 1, missing))
        if missing > 0:
            renew(db, f"at least {missing} rows went with live.db")
        db.execute("COMMIT")

    def _prepare(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise JournalError(f"{self.path} is of format {found}, this software writes {FORMAT}: use the newer software again")
        db.execute(f"PRAGMA page_size = {_PAGE}")  # of a new file; an older one keeps its own
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only for a new file; an older one uses its free pages again
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        db.execute("PRAGMA journal_size_limit = 16000000")
        db.execute("PRAGMA wal_autocheckpoint = 1000")
        db.execute("PRAGMA secure_delete = OFF")  # on in Debian: every page that sealing frees would be written once more, as zeros
        if found == 0:
            create(db)
        elif found < FORMAT:
            migrate(db, found)
            log.warning("%s was of format %d and is now of format %d", self.path, found, FORMAT)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on disk when it ends without an error. Raises JournalError: then nothing of it is there."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self._stay()
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            self._checked &= getattr(error, "sqlite_errorname", "") not in _DAMAGED
            self.abandon()  # a full disk has rolled back by itself, and the numbers that were given out must not be believed any more
            raise JournalError(explain(error, self.path)) from error
        finally:
            if self._db is not None and self._db.in_transaction:
                self.abandon()

    @contextmanager
    def part(self) -> Iterator[None]:
        """Something of a transaction that may fail alone: then nothing of it is there, and everything else of the transaction is."""
        self.db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:  # a full disk has rolled back all of it
                self.db.execute("ROLLBACK TO part")
                self.db.execute("RELEASE part")
            raise
        self.db.execute("RELEASE part")

    def _stay(self) -> None:
        """What is committed must be where everyone looks for it. Raises JournalMoved, and keeps the connection: it holds what others have lost."""
        try:
            found = tuple(map(_identity, self._names))
        except OSError as error:
            raise JournalError(explain(error, self.path)) from error
        if found != self._opened:
            self.db.execute("ROLLBACK")
            gone = "live.db" if found[0] != self._opened[0] else "live.db-wal"
            raise JournalMoved(f"{self.path.parent}: {gone} was removed or replaced while the daemon wrote it; nothing more is acknowledged into it")

    @property
    def is_at_its_path(self) -> bool:
        """The file that was opened last is still what lies at the path; its write-ahead log may not be. Raises OSError."""
        return _identity(self._names[0]) == self._opened[0]

    def abandon(self) -> None:
        """Roll back and let go of the connection; the next use opens a new one."""
        if self._db is not None:
            self._db.close()
        self._db = None

    def close(self) -> None:
        """Close for good; the WAL is folded into the file."""
        self.abandon()

    # ── what is said in a transaction ────────────────────────────────────────────────────────────────────────────────
    def ids(self, wanted: Iterable[Series]) -> list[int]:
        """Ids of series; new ones are added for ever."""
        found = []
        for series in wanted:
            known = self.known.get(series)
            if known is None:
                known = self.known[series] = len(self.series)
                self.series.append(series)
                self.db.execute("INSERT INTO series VALUES (?,?,?,?,?,?,?,?)", (known, *series))
            found.append(known)
        return found

    def event(self, kind: int, now: int, sure: bool, steady: int, plan: int, rows: Columns, derived: Columns, done: int = DONE) -> int:
        """One numbered event with its rows and what the step derived from it; gives its number."""
        number: int = self.next_event
        n_from = self.next_n
        self.db.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?)",
                        (number, kind, now, sure, steady, plan, n_from, len(rows), len(derived), done))
        self._append(rows)
        self._append(derived)
        self.next_event += 1
        return number

    def _append(self, columns: Columns) -> None:
        if len(columns):
            self.db.executemany("INSERT INTO hot VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", columns.records(self.next_n))
            self.next_n += len(columns)

    def finish(self, event: int, n_from: int, plan: int, rows: Columns, derived: Columns) -> None:
        """The newest event was committed before it was stepped: now its rows get their flags, and what was derived follows them."""
        self.db.executemany("UPDATE hot SET span = ?, value = ?, flag = ?, reason = ?, tests = ? WHERE n = ?",
                            [(*(record[i] for i in (3, 5, 6, 7, 8)), record[0]) for record in rows.records(n_from)])
        self._append(derived)
        self.db.execute("UPDATE event SET derived = ?, plan = ?, done = ? WHERE id = ?", (len(derived), plan, DONE, event))

    def skip(self, event: int) -> None:
        """An event that must never be stepped again: its readings stay, not evaluated."""
        self.db.execute("UPDATE event SET done = ? WHERE id = ?", (SKIPPED, event))
        self.count({"events_skipped": 1})

    def count(self, counts: dict[str, int]) -> None:
        """Add to the counters."""
        self.db.executemany("INSERT INTO counter VALUES (?,?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
                            [(name, n) for name, n in counts.items() if n])

    def receipts(self, owed: Iterable[tuple[str, int, bytes]]) -> None:
        """Remember (line, packet, digest) of what is about to be acknowledged."""
        self.db.executemany("INSERT OR REPLACE INTO receipt VALUES (?,?,?)", owed)

    def set_aside(self, at: int, line: str, aside: Aside) -> None:
        """Keep an undecodable message for people; the newest 1000 are kept."""
        cursor = self.db.execute("INSERT INTO aside(at, line, topic, payload, why) VALUES (?,?,?,?,?)",
                                 (at, line, in_one_line(aside.topic, 1000), aside.payload[:4096], in_one_line(aside.why)))
        if cursor.lastrowid:
            self.db.execute("DELETE FROM aside WHERE id <= ?", (cursor.lastrowid - _KEEP_ASIDE,))

    def hold(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Keep readings that wait for a true clock: (boot, mono, utc, series, span, raw, reason, origin)."""
        self.db.executemany("INSERT INTO held(boot, mono, utc, series, span, raw, reason, origin) VALUES (?,?,?,?,?,?,?,?)", rows)

    def release_held(self) -> None:
        """The held readings have become rows."""
        self.db.execute("DELETE FROM held")

    def checkpoint(self, event: int, plan: int, body: bytes) -> None:
        """Keep the state as it is after `event`; two are kept."""
        self.db.execute("INSERT OR REPLACE INTO checkpoint VALUES (?,?,?)", (event, plan, body))
        self.db.execute("DELETE FROM checkpoint WHERE event NOT IN (SELECT event FROM checkpoint ORDER BY event DESC LIMIT 2)")

    def plan(self, sha256: bytes, software: str, engine: str, site: str, body: bytes) -> int:
        """The version of a plan; the same plan keeps its version."""
        self.db.execute("INSERT OR IGNORE INTO plan(sha256, software, engine, site, body) VALUES (?,?,?,?,?)",
                        (sha256, software, engine, site, body))
        return int(self.db.execute("SELECT version FROM plan WHERE sha256 = ?", (sha256,)).fetchone()[0])

    def boot(self, identity: str, mono: int, utc: int) -> int:
        """The offset that makes steady time of this boot's monotonic clock; steady time never goes back.

        While the box was off, steady time passes as UTC did, if UTC went forward by less than a year.
        """
        known = self.db.execute("SELECT offset FROM boot WHERE uuid = ?", (identity,)).fetchone()
        if known:
            return int(known[0])
        last = self.db.execute("SELECT steady, now FROM event ORDER BY id DESC LIMIT 1").fetchone()
        offset = 0
        if last:
            passed = utc - last[1]
            offset = last[0] + (passed if 0 < passed < 366 * 86400 * 10**9 else 0) - mono
        self.db.execute("INSERT INTO boot(uuid, offset) VALUES (?,?)", (identity, offset))
        return int(offset)

    def meta(self, key: str, value: str | int) -> None:
        """One word about the journal itself."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value))
