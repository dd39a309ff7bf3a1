"""How much room there is for the journal, and when it is short: by `max_size`, or on the disk itself."""

import os
from pathlib import Path

FULL_AT = 0.9
"""Share of `max_size` at which thinning begins."""
_FREE_SHARE, _FREE_MOST = 0.05, 500_000_000
"""So much of the file system is left free, whoever fills it: a twentieth, and no more than 500 MB."""


def short_of_disk(folder: Path) -> str:
    """Why the file system of `folder` is nearly full, in words; empty = it is not. Raises OSError."""
    found = os.statvfs(folder)
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return f"{free / 1e6:.0f} MB are free on the disk" if free < min(_FREE_MOST, _FREE_SHARE * size) else ""
