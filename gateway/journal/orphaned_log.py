"""A write-ahead log beside a `live.db` that is gone or empty: SQLite would delete it unseen, with all that it holds.

The log is kept under another name first. Often it holds the whole journal (nothing was folded into the file yet), or at least the newest commits, and
the first page of the file: put back, that lets SQLite read the log again, and what is missing besides is found by the check of a start.
"""

import logging
import os
import shutil
import struct
import time
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("ecosentry.journal")
_HEADER, _FRAME = struct.Struct(">IIIIII8x"), struct.Struct(">IIII8x")
"""SQLite file format, 4.1 and 4.2: magic, version, page size, checkpoint number, two salts; page, size after a commit, two salts."""
_MAGIC = (0x377F0682, 0x377F0683)
_LEAF, _COLUMNS = 13, 12
"""Begin of a page with rows of a table; only rows of `hot` have so many columns."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was in a log."""

    words: str
    newest: int
    """The highest arrival number of a row that it holds; 0 = none was seen."""


def rescue(path: Path) -> Found | None:
    """Before `path`, the `live.db`, is opened; None = nothing is wrong. Raises OSError: then nothing is lost yet."""
    wal = path.with_name(f"{path.name}-wal")
    if (path.exists() and path.stat().st_size) or not wal.exists() or wal.stat().st_size <= _HEADER.size:
        return None
    first, commits, newest = _look_into(wal)
    kept = wal.with_name(f"{wal.name}.kept-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    words = f"live.db was {'empty' if path.exists() else 'gone'}; its write-ahead log was there with {commits} commits, up to row {newest}"
    words += f", kept as {kept.name}"
    if first:
        _copy(wal, kept)
        _write(path, first)
        words += "; they are read"
    else:
        wal.rename(kept)
        words += "; without the file they cannot be read"
    log.critical("%s: %s; docs/journal.md", path, words)
    return Found(words, newest)


def _look_into(wal: Path) -> tuple[bytes, int, int]:
    """The first page of the database, if a frame has it, how many commits there are, and the newest row in them."""
    first, commits, newest = b"", 0, 0
    with wal.open("rb") as file:
        magic, _, size, _, *salts = _HEADER.unpack(file.read(_HEADER.size))
        if magic not in _MAGIC or not 512 <= size <= 65_536:
            return b"", 0, 0
        while len(frame := file.read(_FRAME.size + size)) == _FRAME.size + size:
            page, after, *its = _FRAME.unpack(frame[: _FRAME.size])
            if its != salts:
                break
            commits += after > 0
            newest = max(newest, _newest_row(frame[_FRAME.size :]))
            if page == 1 and not first:
                first = frame[_FRAME.size :]
    return (first, commits, newest) if commits else (b"", 0, 0)


def _newest_row(page: bytes) -> int:
    """The arrival number of the last row of `hot` on a page, SQLite file format 1.6; 0 = it has none."""
    count = int.from_bytes(page[3:5], "big")
    if page[0] != _LEAF or not count:
        return 0
    try:
        _, at = _varint(page, int.from_bytes(page[6 + 2 * count : 8 + 2 * count], "big"))
        row, at = _varint(page, at)
        size, kinds = _varint(page, at)
        columns = 0
        while kinds < at + size:
            _, kinds = _varint(page, kinds)
            columns += 1
    except IndexError:
        return 0
    return row if columns == _COLUMNS and kinds == at + size else 0


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A number of up to nine bytes, and where the next begins. Raises IndexError."""
    number = 0
    for k in range(8):
        number = number << 7 | page[at + k] & 0x7F
        if page[at + k] < 0x80:
            return number, at + k + 1
    return number << 8 | page[at + 8], at + 9


def _copy(wal: Path, kept: Path) -> None:
    part = kept.with_name(f"{kept.name}.part")
    try:
        shutil.copy2(wal, part)
        _sync(part)
        part.rename(kept)
    finally:
        part.unlink(missing_ok=True)
    _sync(kept.parent)


def _write(path: Path, page: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(page)
        _sync(part)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
