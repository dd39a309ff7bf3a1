"""A copy of the journal while the daemon goes on: SQLite's online backup, one snapshot, checked before it gets its name."""

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from gateway.journal.verifying import Finding, verify_file
from gateway.journal.writer import JournalError


def copy_journal(folder: Path, target: Path) -> list[Finding]:
    """Write a copy to the file `target`, durably; gives what the check of the copy found. Raises JournalError.

    A copy that does not pass its check, or was cut off, never has that name.
    """
    part = target.with_name(target.name + ".part")
    source = folder / "live.db"
    try:
        needed, free = source.stat().st_size, shutil.disk_usage(target.parent).free
        if free < needed:
            raise JournalError(f"{target.parent} has {free / 1e6:.0f} MB free, the journal needs {needed / 1e6:.0f} MB")
        _copy(source, part)
        found = verify_file(part)
        if all(finding.good for finding in found):
            part.rename(target)
            _sync(target.parent, os.O_DIRECTORY)
        return found
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"{target}: {error}") from error
    finally:
        for left in (part, part.with_name(part.name + "-journal")):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def _copy(source: Path, part: Path) -> None:
    part.unlink(missing_ok=True)
    opened = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
    try:
        copy = sqlite3.connect(part, isolation_level=None)
        try:
            opened.backup(copy, pages=-1)  # in one step: page by page it would begin anew at each commit of the daemon
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, that can lie on any medium
        finally:
            copy.close()
    finally:
        opened.close()
    _sync(part, 0)


def _sync(path: Path, how: int) -> None:
    opened = os.open(path, os.O_RDONLY | how)
    try:
        if how:
            with contextlib.suppress(OSError):  # FAT on a stick cannot, and has no need to
                os.fsync(opened)
        else:
            os.fsync(opened)
    finally:
        os.close(opened)
