"""Files by day in a folder, one a station and local day: line protocol, CSV for people, or Parquet. docs/sinks.md describes both.

A row goes to the day in which its interval begins, at its own station. Sending is safe to repeat: a line that a file
holds is not written again.
"""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Event, Lock
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import Halted, Unavailable
from config.table import Table
from config.units import Size
from gateway import parquet
from gateway.contracts import Rows, Surroundings
from gateway.row_table import HEADER, zones
from gateway.row_table import Table as RowTable
from gateway.sinks._day_files import DayFiles, Gzip
from gateway.sinks._line_protocol import Encoder, levels
from gateway.spelling import spell
from gateway.traffic import Traffic

_log = logging.getLogger(__name__)
_PLAIN_DAYS = 2
"""The newest days of a station stay plain: what belongs to yesterday (its last hour's mean) comes today."""
_PACKING_S = 10.0
"""Packing a day is begun only if so much time is left."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_RIGHT = {errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


class Options(Table):
    """Keys of `[sinks.NAME]` with kind = "files"."""

    folder: Annotated[str, Field(min_length=1)]
    """Made if it is not there; the folder that it lies in has to exist. Not absolute: beside the site file."""
    format: Literal["csv", "lines", "parquet"] = "csv"
    """csv: a table for people. lines: InfluxDB line protocol. parquet: days that are over become Parquet, the two newest are csv."""
    removable: bool = False
    """The folder is on a stick, a card or a share: nothing is written while that is not mounted."""
    gzip: bool = False
    """Pack finished days."""
    max_size: Size = 4 * 10**9
    """More than this never lies in the folder."""
    on_full: Literal["stop", "delete"] = "stop"
    """At that size, stop: rows wait in the journal. delete: the oldest day goes."""
    leave_free: Size = 200_000_000
    """So much of the disk stays free for others."""

    @model_validator(mode="after")
    def _can_be_packed(self) -> Self:
        if self.format == "parquet" and self.gzip:
            raise ValueError('has gzip = true, and Parquet is packed already; leave gzip out, or write format = "csv"')
        return self


class Sink:
    """Writes rows to files; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self.traffic = Traffic()
        self.in_order = True
        self.unsure_s = 0.0
        self._options = options
        self._name = around.name
        self._folder = Path(around.site.file).absolute().parent / options.folder
        zone_of = zones(around.site.stations)
        self._table = RowTable(zone_of)
        self._encoder = Encoder(level_of=levels(around.site.stations))
        if options.format == "parquet" and not parquet.is_there():
            raise ValueError(f"sink {around.name}: {parquet.LACKING}")
        suffix, header = (".lp", "") if options.format == "lines" else (".csv", HEADER)
        self._files = DayFiles(self._folder, suffix, header, parquet.ParquetDays(zone_of) if options.format == "parquet" else Gzip(suffix))
        self._ended, self._busy = Event(), Lock()
        self._lock: int | None = None
        self._size = 0
        self._seen: set[str] = set()
        self._may_pack = False
        self._left: set[Path] = set()
        """Days that cannot be packed: somebody has changed them."""

    def send(self, rows: Rows, deadline: float) -> None:
        """Write all rows; on disk when this returns. Raises Unavailable or Halted."""
        with self._busy:
            try:
                self._prepare()
                by_file = self._by_file(rows)
                for name, lines in by_file.items():
                    if self._ended.is_set() or time.monotonic() > deadline:
                        raise Unavailable(f"{self._folder}: not everything was written in time")
                    self._make_room(sum(map(len, lines)) + len(lines))
                    self._size += self._files.append(name, lines)
                if self._options.gzip or self._options.format == "parquet":
                    self._pack(set(by_file), deadline)
            except OSError as error:
                raise self._in_words(error) from error

    def check(self, deadline: float) -> str:
        """Looks whether the folder could be written to. Raises Unavailable or Halted."""
        del deadline
        try:
            self._look()
            place = self._folder if self._folder.exists() else self._folder.parent
            if not place.exists():
                raise FileNotFoundError(errno.ENOENT, "is not there", str(place))
            if not place.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(place))
            if not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "no permission", str(place))
            free = self._free(place)
        except OSError as error:
            raise self._in_words(error) from error
        if free < self._options.leave_free:
            raise Unavailable(self._too_full(free))
        return f"{self._folder} takes writes, {free / 1e9:.1f} GB are free"

    def close(self) -> None:
        """Close the files; a send that runs ends after the file that it is at."""
        self._ended.set()
        with self._busy:
            self._files.close()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    # ── the folder ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _look(self) -> None:
        place = self._folder if self._folder.exists() else self._folder.parent
        if self._options.removable and place.stat().st_dev == Path("/").stat().st_dev:
            raise Unavailable(f"{place} is not mounted: is the stick in, the share there?")

    def _prepare(self) -> None:
        """The folder is there, and ours alone."""
        if self._ended.is_set():
            raise Unavailable("ended from our side")
        self._look()
        if self._lock is not None and self._folder.is_dir():
            return
        if self._lock is not None:  # somebody has taken the folder away
            self._files.close()
            os.close(self._lock)
            self._lock = None
        self._folder.mkdir(exist_ok=True)
        lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if not isinstance(error, BlockingIOError):
                raise
            raise Halted(f"{self._folder} is written by another sink; give each a folder of its own") from error
        self._lock = lock
        self._size = self._count()

    def _count(self) -> int:
        return sum(size for _, size in self._files.all())

    def _free(self, place: Path) -> int:
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def _make_room(self, more: int) -> None:
        options = self._options
        if self._size + more > options.max_size:
            self._size = self._count()  # somebody may have tidied up
        if self._size + more > options.max_size:
            if options.on_full == "delete":
                self._delete(more)
            if self._size + more > options.max_size:
                raise Unavailable(f"{self._folder} has reached max_size ({options.max_size / 1e9:g} GB): move old days away, raise it, or write "
                                  'on_full = "delete"; the rows wait in the journal')
        if options.leave_free and (free := self._free(self._folder)) < options.leave_free + more:
            raise Unavailable(self._too_full(free))

    def _delete(self, more: int) -> None:
        for path, size in self._files.all()[:-1]:
            if self._size + more <= self._options.max_size:
                return
            self._files.remove(path)
            self._size -= size
            _log.warning("sink %s: %s is deleted: the folder has reached max_size", self._name, path)

    def _too_full(self, free: int) -> str:
        return (f"{self._folder}: {free / 1e6:.0f} MB are free on that disk, and {self._options.leave_free / 1e6:.0f} MB are left to others "
                "(leave_free); the rows wait in the journal")

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _by_file(self, rows: Rows) -> dict[str, list[bytes]]:
        """The lines of each file, by its name without ending, in the rows' order."""
        lines: Iterable[str] = self._encoder.lines(rows) if self._options.format == "lines" else self._table.lines(rows)
        found: dict[str, list[bytes]] = {}
        for which, start, line in zip(rows.which.tolist(), (rows.at - rows.span).tolist(), lines, strict=True):
            station = rows.series[which].station
            day = self._table.clock(station).day(start)
            found.setdefault(f"{_folder_name(station)}/{day.isoformat()}", []).append(line.encode())
        return found

    def _pack(self, names: set[str], deadline: float) -> None:
        """After the start and whenever a new day was written to: pack the days that are over, one in a send."""
        self._may_pack |= not names <= self._seen
        self._seen |= names
        if not self._may_pack or deadline - time.monotonic() < _PACKING_S:
            return
        days: dict[str, list[Path]] = {}
        for path in self._files.plain():
            days.setdefault(path.parent.name, []).append(path)
        over = [path for paths in days.values() for path in paths[:-_PLAIN_DAYS] if path not in self._left]
        if over:
            try:
                self._files.pack(over[0])
            except parquet.NotTheTableError as error:
                self._left.add(over[0])
                _log.warning("sink %s: %s stays as it is, a line in it is not of the table: %s", self._name, over[0], error)
            self._size = self._count()
        self._may_pack = len(over) > 1

    def _in_words(self, error: OSError) -> Unavailable | Halted:
        where = error.filename or self._folder
        if error.errno in _NO_ROOM:
            return Unavailable(f"{self._folder}: no space left on the disk; the rows wait in the journal")
        if error.errno == errno.EROFS:
            return Unavailable(f"{self._folder}: the file system is read-only; the rows wait in the journal")
        if error.errno in _NO_RIGHT:
            return Halted(f"{where}: no permission to write there; check owner and mode")
        if error.errno in _NO_FOLDER:
            return Halted(f"{where} is in the way: a folder is needed there")
        if error.errno == errno.ENOENT:
            return Unavailable(f"{self._folder.parent} is not there: make it, or put the stick in")
        return Unavailable(f"{where}: {error.strerror or error}")


def _folder_name(station: str) -> str:
    r"""The folder of a station: its name, as no other station spells it, that leads nowhere else.

    >>> _folder_name("qinghe"), _folder_name("../etc"), _folder_name(".")
    ('qinghe', '%2E.%2Fetc', '%2E')
    """
    spelled = spell(station, "/")
    return f"%2E{spelled[1:]}" if spelled.startswith(".") else spelled
