"""Files by day that lines are appended to: durable before `append` returns, and each line once, whatever is cut where.

A file is its own index: a line that it holds already is not written again, so what was written and not yet noted when
the power went is neither lost nor doubled. An unfinished last line is cut off when a file is opened. A finished day may
be packed; if both forms are there, packing was interrupted and the plain one counts.
"""

import contextlib
import errno
import gzip
import os
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

_OPEN_AT_ONCE = 6
_MERGE_AT = 20_000
_PART = ".part"


class Packing(Protocol):
    """How days that are over are kept."""

    suffix: str
    """What the packed files of a folder end in."""

    def packed(self, plain: Path) -> Path:
        """The name of the packed day."""
        ...

    def pack(self, plain: Path, out: BinaryIO) -> None:
        """Write the packed day. Raises OSError."""
        ...

    def unpack(self, packed: Path, out: BinaryIO) -> None:
        """Write the plain day, byte for byte as it was. Raises OSError, also if the packed one is damaged."""
        ...


class Gzip:
    """Packing of any text."""

    def __init__(self, plain_suffix: str) -> None:
        self.suffix = f"{plain_suffix}.gz"

    def packed(self, plain: Path) -> Path:
        """The name of the packed day."""
        return _beside(plain, ".gz")

    def pack(self, plain: Path, out: BinaryIO) -> None:
        """Write the packed day. Raises OSError."""
        with plain.open("rb") as source, gzip.GzipFile(plain.name, "wb", 6, out, mtime=int(plain.stat().st_mtime)) as packing:
            shutil.copyfileobj(source, packing, 1 << 20)

    def unpack(self, packed: Path, out: BinaryIO) -> None:
        """Write the plain day. Raises OSError."""
        try:
            with gzip.open(packed, "rb") as source:
                shutil.copyfileobj(source, out, 1 << 20)
        except (EOFError, gzip.BadGzipFile) as error:
            raise OSError(f"{packed} is damaged ({error}); move it away") from error


class _Known:
    """Hashes of the lines of one file: 8 bytes a line, and a set of the newest."""

    def __init__(self, hashes: NDArray[np.int64]) -> None:
        self._sorted = np.sort(hashes)
        self._newest: set[int] = set()

    def new(self, lines: Sequence[bytes]) -> list[bytes]:
        """Those lines that are not known, each once, in order."""
        hashes = np.array([hash(line) for line in lines], np.int64)
        place = np.minimum(np.searchsorted(self._sorted, hashes), max(0, len(self._sorted) - 1))
        old = self._sorted[place] == hashes if len(self._sorted) else np.zeros(len(hashes), np.bool_)
        found: dict[int, bytes] = {}
        for line, number, is_old in zip(lines, hashes.tolist(), old.tolist(), strict=True):
            if not is_old and number not in self._newest:
                found.setdefault(number, line)
        return list(found.values())

    def add(self, lines: Sequence[bytes]) -> None:
        """They are in the file now."""
        self._newest.update(hash(line) for line in lines)
        if len(self._newest) > _MERGE_AT:
            self._sorted = np.sort(np.concatenate([self._sorted, np.fromiter(self._newest, np.int64, len(self._newest))]))
            self._newest.clear()


class _DayFile:
    """One open file."""

    def __init__(self, path: Path, header: bytes, at_most: int | None, packing: Packing) -> None:
        """`at_most` bytes are surely on disk: what lies beyond is cut off."""
        self.path = path
        _unpack(path, packing)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            if at_most is not None and os.fstat(self._file).st_size > at_most:
                os.ftruncate(self._file, at_most)
            body = _whole_lines(self._file)
            self.size = len(body)
            lines = body.split(b"\n")[:-1]
            self._known = _Known(np.fromiter((hash(line) for line in lines), np.int64, len(lines)))
            if not lines and header:
                self._write([header])
            for folder in (path.parent, path.parent.parent):  # whoever made them may have died before this
                sync_folder(folder)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, lines: Sequence[bytes]) -> int:
        """Add those lines that it does not hold yet; on disk when this returns. Gives how many bytes were added. Raises OSError."""
        new = self._known.new(lines)
        before = self.size
        if new:
            self._write(new)
        return self.size - before

    def _write(self, lines: Sequence[bytes]) -> None:
        body = memoryview(b"\n".join(lines) + b"\n")
        try:
            written = 0
            while written < len(body):
                written += os.write(self._file, body[written:])
            os.fsync(self._file)
        except OSError:
            with contextlib.suppress(OSError):  # what cannot be cut now is cut or known when the file is opened again
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(body)
        self._known.add(lines)

    def close(self) -> None:
        os.close(self._file)


class DayFiles:
    """A folder of such files; one thread, one process."""

    def __init__(self, folder: Path, suffix: str, header: str, packing: Packing) -> None:
        """`suffix` with its dot; `header` is the first line of every file, if it is not empty."""
        self._packing = packing
        self._folder = folder
        self._suffix = suffix
        self._header = header.encode()
        self._open: OrderedDict[Path, _DayFile] = OrderedDict()
        self._good: dict[Path, int] = {}
        """Files whose last append failed, with the size that is surely on disk."""

    def append(self, name: str, lines: Sequence[bytes]) -> int:
        """Add lines to a file, those that it holds already excepted; gives the number of bytes. Raises OSError: then send all again."""
        file = self._file(self._folder / f"{name}{self._suffix}")
        try:
            return file.append(lines)
        except OSError:
            self._good[file.path] = file.size
            self._open.pop(file.path).close()
            raise

    def _file(self, path: Path) -> _DayFile:
        found = self._open.get(path)
        if found is not None and not _is_there(path, found):
            self._open.pop(path).close()  # somebody has taken it away: a new one is begun
            found = None
        if found is None:
            path.parent.mkdir(exist_ok=True)
            found = self._open[path] = _DayFile(path, self._header, self._good.get(path), self._packing)
            self._good.pop(path, None)
            while len(self._open) > _OPEN_AT_ONCE:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(path)
        return found

    def plain(self) -> list[Path]:
        """The files that are not packed, by name: within a station the oldest first."""
        return sorted(self._folder.glob(f"*/*{self._suffix}"))

    def all(self) -> list[tuple[Path, int]]:
        """Every file with its size, the oldest day first."""
        found = [*self._folder.glob(f"*/*{self._suffix}"), *self._folder.glob(f"*/*{self._packing.suffix}")]
        return [(path, path.stat().st_size) for path in sorted(found, key=lambda path: (path.name.partition(".")[0], path.parent.name))]

    def remove(self, path: Path) -> None:
        """Take a whole file away."""
        if path in self._open:
            self._open.pop(path).close()
        path.unlink(missing_ok=True)

    def pack(self, path: Path) -> None:
        """Pack a finished day; the plain file goes when the packed one is on disk. Raises OSError."""
        if path in self._open:
            self._open.pop(path).close()
        packed = self._packing.packed(path)
        part = _beside(packed, _PART)
        with part.open("wb") as out:
            self._packing.pack(path, out)
            out.flush()
            os.fsync(out.fileno())
        part.rename(packed)
        sync_folder(path.parent)
        path.unlink()

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1].close()


def _beside(path: Path, more: str) -> Path:
    return path.with_name(path.name + more)


def _is_there(path: Path, file: _DayFile) -> bool:
    try:
        return path.stat().st_size == file.size
    except FileNotFoundError:
        return False


def _unpack(path: Path, packing: Packing) -> None:
    """Late rows for a packed day: make it plain again."""
    packed = packing.packed(path)
    if not packed.exists():
        return
    if not path.exists():
        part = _beside(path, _PART)
        with part.open("wb") as out:
            packing.unpack(packed, out)
            out.flush()
            os.fsync(out.fileno())
        part.rename(path)
        sync_folder(path.parent)
    packed.unlink()


def _whole_lines(file: int) -> bytes:
    """What a file holds up to its last whole line, and on disk; a torn end (also one of zeros) is cut off.

    A process that was killed after its write may have left lines that are in memory only: they must not be taken for kept.
    """
    body, size = b"", os.fstat(file).st_size
    while len(body) < size and (more := os.pread(file, size - len(body), len(body))):
        body += more
    whole = body.rfind(b"\n") + 1
    while whole and b"\0" in body[body.rfind(b"\n", 0, whole - 1) + 1 : whole]:
        whole = body.rfind(b"\n", 0, whole - 1) + 1
    if whole != len(body):
        os.ftruncate(file, whole)
    os.fsync(file)
    return body[:whole]


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable; file systems that cannot (FAT) have no need to. Raises OSError if the disk fails."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(opened)
