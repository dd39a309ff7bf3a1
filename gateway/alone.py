"""One writer a journal: whoever holds the lock of its folder, and nobody else."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Another daemon writes this journal."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the journal's lock; the kernel lets it go if we die. Raises AlreadyRunning."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another ecosentry writes the journal in {folder}: ecosentry status shows it") from error
        yield
