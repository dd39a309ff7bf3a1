"""How much room there is for the journal, when it is short, and the room that is kept back for the worst moment."""

import contextlib
import os
from pathlib import Path

FULL_AT = 0.9
"""Share of `max_size` at which thinning begins."""
_FREE_SHARE, _FREE_MOST = 0.05, 500_000_000
"""So much of the file system is left free, whoever fills it: a twentieth, and no more than 500 MB."""
_FEW_PAGES = 65_536


def _free(folder: Path) -> int:
    """Bytes that are free on the file system of `folder`. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def is_full(folder: Path) -> bool:
    """Not even a few pages fit on the file system of `folder`."""
    try:
        return _free(folder) < _FEW_PAGES
    except OSError:
        return False


def short_of_disk(folder: Path) -> str:
    """Why the file system of `folder` is nearly full, in words; empty = it is not. Raises OSError."""
    found = os.statvfs(folder)
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return f"{free / 1e6:.0f} MB are free on the disk" if free < min(_FREE_MOST, _FREE_SHARE * size) else ""


_RESERVE, _RESERVE_SHARE = 8_000_000, 8
"""So much is kept back, and no more than this part of a small file system."""


class Reserve:
    """A file that only takes room: given up when the disk is full, so that alerts and what becomes of them can still be committed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "reserve"
        self.given = False
        """It was given up, and is not there again: readings must not use what it left."""

    def take(self) -> bool:
        """Have it; False = there is not room enough for it and as much again. Never raises."""
        try:
            if not self._path.exists():
                found = os.statvfs(self._path.parent)
                size = min(_RESERVE, found.f_blocks * found.f_frsize // _RESERVE_SHARE)
                if _free(self._path.parent) < 2 * size:
                    return False
                self._allocate(size)
        except OSError:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        self.given = False
        return True

    def _allocate(self, size: int) -> None:
        opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(opened, 0, size)
        finally:
            os.close(opened)

    def give(self) -> bool:
        """If the disk is full, let it have the room; True = just now it got it. Never raises."""
        with contextlib.suppress(OSError):
            if _free(self._path.parent) < self._path.stat().st_size:
                self._path.unlink()
                self.given = True
                return True
        return False
