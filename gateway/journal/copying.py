"""A copy of the journal while the daemon goes on: SQLite's online backup, one snapshot, checked before it gets its name.

Sealed files never change, so a second backup to the same medium copies only those that are new.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.journal.identity import mark_copy
from gateway.journal.records import Sealed
from gateway.journal.sealing import digest_of
from gateway.journal.shelf import FOLDER, sealed
from gateway.journal.verifying import Finding, verify_file
from gateway.journal.writer import JournalError

_TRIES = 3
"""A sealed file that is removed as too old while it is copied is left out by the next try."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup consists of, and what its check found."""

    found: list[Finding]
    archives: Path
    """The folder of the sealed files beside the copy; shared by all backups of this journal there."""
    new: int
    """Sealed files that this backup added."""
    all: int
    """Sealed files that belong to it."""


def copy_journal(folder: Path, target: Path) -> Copied:
    """Write a copy to the file `target` and its sealed files beside it, durably, and check them. Raises JournalError.

    A copy that does not pass its check, or was cut off, never has that name; what one that was killed has left there is removed.
    """
    with _among_others(target.parent):
        return _copied(folder, target)


@contextlib.contextmanager
def _among_others(place: Path) -> Iterator[None]:
    """While nobody else copies to this folder, what killed ones left half written goes; then it is ours too. Where locks are unknown it stays."""
    try:
        opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise JournalError(f"{place}: {error}") from error
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for pattern in ("ecosentry-*.db.part", "ecosentry-*.db.part-journal", "ecosentry-archive-*/*.db.part"):
                for left in place.glob(pattern):
                    left.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def _copied(folder: Path, target: Path) -> Copied:
    part = target.with_name(target.name + ".part")
    try:
        for _ in range(_TRIES):
            has_room(target.parent, (folder / "live.db").stat().st_size)
            _copy(folder / "live.db", part)
            with contextlib.closing(sqlite3.connect(part)) as db:
                entries = [entry for entry in sealed(db) if entry.file and not entry.lost] if _has_archive(db) else []
                name = str(db.execute("SELECT value FROM meta WHERE key = 'journal_id'").fetchone()[0])
            archives = target.parent / f"ecosentry-archive-{name[:8]}"
            with contextlib.suppress(FileNotFoundError):
                new = _copy_archives(folder / FOLDER, archives, entries)
                break
        else:
            raise JournalError(f"{folder}: sealed files vanish while they are copied; ecosentry journal verify tells more")
        found = verify_file(part, archives)
        if all(finding.good for finding in found):
            part.rename(target)
            sync(target.parent, os.O_DIRECTORY)
        return Copied(found, archives, new, len(entries))
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"{target}: {error}") from error
    finally:
        for left in (part, part.with_name(part.name + "-journal")):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def has_room(place: Path, needed: int) -> None:
    """Raises JournalError if there are not so many bytes free."""
    free = shutil.disk_usage(place).free
    if free < needed:
        raise JournalError(f"{place} has {free / 1e6:.0f} MB free, the journal needs {needed / 1e6:.0f} MB more")


def _has_archive(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'archive'").fetchone()[0])


def _copy_archives(source: Path, archives: Path, entries: list[Sealed]) -> int:
    """Copy what is not there yet; gives how many. Raises FileNotFoundError for one that has just been removed."""
    missing = [entry for entry in entries if not _is_there(archives / str(entry.file), entry)]
    has_room(archives.parent, sum(entry.size for entry in missing))
    if entries:
        archives.mkdir(mode=0o750, exist_ok=True)
    for entry in missing:
        part = archives / f"{entry.file}.part"
        try:
            shutil.copyfile(source / str(entry.file), part)
            sync(part, 0)
            part.rename(archives / str(entry.file))
        finally:
            part.unlink(missing_ok=True)
    if missing:
        sync(archives, os.O_DIRECTORY)
    return len(missing)


def _is_there(path: Path, entry: Sealed) -> bool:
    return path.exists() and path.stat().st_size == entry.size and digest_of(path) == entry.hash


def _copy(source: Path, part: Path) -> None:
    with contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)) as opened:
        copy_open(opened, part)
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
        mark_copy(copy)
    sync(part, 0)


def copy_open(opened: sqlite3.Connection, part: Path) -> None:
    """What a connection sees, as one file that needs no other, on the disk. Raises sqlite3.Error, OSError."""
    part.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
        opened.backup(copy, pages=-1)  # in one step: page by page it would begin anew at each commit of the daemon
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, that can lie on any medium
    sync(part, 0)


def sync(path: Path, how: int) -> None:
    """Flush a file to the disk, or with O_DIRECTORY as `how` of a folder. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | how)
    try:
        if how:
            with contextlib.suppress(OSError):  # FAT on a stick cannot, and has no need to
                os.fsync(opened)
        else:
            os.fsync(opened)
    finally:
        os.close(opened)
