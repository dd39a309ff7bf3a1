"""One writer a journal: whoever holds the lock of its folder, and nobody else.

It is taken before anything of the journal is opened for writing: to open it can already mend it, migrate it or begin it anew.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.journal.writer import JournalError, explain


class AlreadyRunning(Exception):
    """Another daemon writes this journal."""


@dataclass(frozen=True, slots=True)
class Held:
    """The right to write one journal, as `alone` gives it."""

    folder: Path


@contextmanager
def alone(folder: Path) -> Iterator[Held]:
    """Hold the journal's lock; the kernel lets it go if we die. Raises AlreadyRunning, and JournalError if there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise JournalError(explain(error, folder / "lock")) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another ecosentry writes the journal in {folder}: ecosentry status shows it") from error
        yield Held(folder)
