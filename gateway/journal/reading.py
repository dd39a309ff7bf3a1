"""Looking into a journal from a command: every failure of the file in plain words."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.journal.reader import Reader
from gateway.journal.writer import JournalError


class NoJournal(Exception):
    """There is none: the daemon has not run here yet."""


class NoRight(Exception):
    """There is one, and we may not read it."""


def look(folder: Path) -> None:
    """Raises NoJournal or NoRight, saying what to do."""
    path = folder / "live.db"
    try:
        path.stat()
    except FileNotFoundError as error:
        raise NoJournal(f"there is no journal in {folder}; has the daemon run here yet?") from error
    except PermissionError as error:
        raise NoRight(f"{folder}: no permission; you need the group of the service (ecosentry), or sudo") from error
    if not os.access(path, os.R_OK):
        raise NoRight(f"{path}: no permission to read it; you need the group of the service (ecosentry), or sudo")


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    """A reader. Raises NoJournal, NoRight or JournalError."""
    look(folder)
    try:
        with Reader(folder) as reader:
            yield reader
    except sqlite3.Error as error:
        raise JournalError(f"{folder / 'live.db'}: cannot be read ({error}); ecosentry journal verify tells more") from error
