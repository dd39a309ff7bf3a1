"""Seals what is finished: the events of a day that is over, or a segment that is full, go from `live.db` into a file of `archive/`.

A thread of its own reads and packs, in portions, a quarter of the time at most. The file is synced and has its name before the core
is told; the core commits its entry, and only then takes the rows out of `live.db`, in portions too. So a row is in one place
or in both, never in none, and a kill anywhere leaves at most a file that the next start throws away.
"""

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flagged

import numpy as np

from config.series import Series
from config.site import Journal
from gateway.contracts import Rows
from gateway.journal import thinning
from gateway.journal.archive import Archive, ArchiveFile, Head, joined
from gateway.journal.archiving import FileDropped, FileRewritten, FileSealed, SeriesWanted
from gateway.journal.codec import Damaged
from gateway.journal.progress import THINNED, JournalSays
from gateway.journal.reader import Reader
from gateway.journal.records import EventRecord, Sealed
from gateway.journal.room import FULL_AT, short_of_disk
from gateway.journal.shelf import FOLDER
from gateway.journal.thinning import Step

log = logging.getLogger("ecosentry.journal")
DAY = 86_400 * 10**9
FULL, MOST = 65_536, 1_000_000
"""Rows and events that make a segment: FULL of them if they took an hour, MOST in any case."""
BLOCK, PORTION = 65_536, 4_096
_CALM_NS = 3600 * 10**9
_TRUE_NS = 10**18
"""No event before September 2001 has a true time."""
_EVERY_S = 10.0
_AGAIN_S = 60.0
_SHARE = 3.0
"""Rests three times as long as it worked."""
_EASED_AT = 0.8
"""Of the limit: below it nobody needs to know any more that room was made."""
Told = FileSealed | FileRewritten | FileDropped | SeriesWanted
Tell = Callable[[Told | JournalSays], None]
Keep = Callable[[Rows, list[EventRecord]], Rows]
"""Which rows of a block, that has these events, are kept; it may make others of them."""
Rest = Callable[[float], bool]


class Stopped(Exception):
    """The daemon stops: what is half done is thrown away."""


class Sealer:
    """The worker that seals, makes room, and removes files that no entry names."""

    def __init__(self, folder: Path, limits: Journal, tell: Tell) -> None:
        self._journal = folder
        self._folder = folder / FOLDER
        self._limits = limits
        self._tell = tell
        self._told: Told | None = None
        self._said = ""
        self._written: set[str] = set()
        """Names of files of this worker that the core has still to enter, or has declined."""
        self._spared: set[str] = set()
        """Files that have the name of a superseded one and are none."""
        self._thins: bool | None = None
        """People were told that room is made; None = nothing was told yet."""

    def run(self, stop: Flagged) -> None:
        """Seal what is finished until `stop`."""
        def rest(used_s: float) -> bool:
            return stop.wait(min(1.0, used_s * _SHARE))

        with Reader(self._journal) as reader:
            while not stop.is_set():
                try:
                    busy = self.turn(reader, rest)
                    self._said, pause_s = "", 0.2 if busy else _EVERY_S
                except Stopped:
                    return
                except (OSError, sqlite3.Error, Damaged) as error:
                    if str(error) != self._said:
                        self._said = str(error)
                        log.warning("sealing waits: %s", error)
                    pause_s = _AGAIN_S
                stop.wait(pause_s)

    def turn(self, reader: Reader, rest: Rest = lambda _: False) -> bool:
        """Do one thing that is due and tell the core; True = there was something, or the last one is not committed yet.

        `rest(used_s)` is called between portions and gives True to stop. Raises OSError, sqlite3.Error (disk), Stopped.
        """
        if self._told and not self._told.settled(reader):
            return True
        self._told = None
        self._sweep(reader)
        first, end = due(reader)
        if first:
            self._told = self._seal(reader, first, end, rest)
        elif self._is_short(reader):
            self._told = self._make_room(reader, rest)
        if self._told:
            self._tell(self._told)
        return self._told is not None

    def _is_short(self, reader: Reader) -> bool:
        """Room must be made; whoever is concerned hears when that begins and when it is over."""
        used, limit = reader.size(), self._limits.max_size
        near = f"{used / 1e9:.3g} GB of {limit / 1e9:.3g} GB (max_size) are used" if used >= FULL_AT * limit else ""
        words = short_of_disk(self._journal) or near
        is_short = bool(words) and self._limits.on_full == "thin"
        if is_short and self._thins is not True:
            self._tell(JournalSays(THINNED, f"{words}: old readings become minute means, these hourly ones"))
        elif not is_short and self._thins is not False and (self._thins is None or used < _EASED_AT * limit):
            self._tell(JournalSays(THINNED, ""))
        else:
            return is_short
        self._thins = is_short
        return is_short

    def _sweep(self, reader: Reader) -> None:
        """Remove half-written files, those that the journal says are superseded, and our own that the core declined. Never what others laid there."""
        known = {entry.file for entry in reader.sealed()}
        for part in self._folder.glob("*.part"):
            self._remove(part, "half written")
        for name, digest in reader.superseded().items():
            path = self._folder / name
            if name in known or name in self._spared or not path.exists():
                continue
            if digest_of(path) == digest:
                self._remove(path, "superseded")
            else:
                self._spared.add(name)
        for name in self._written - known:
            self._remove(self._folder / name, "not entered")
        self._written.clear()

    def _remove(self, path: Path, why: str) -> None:
        if path.exists():
            log.info("archive %s is removed: %s", path.name, why)
            path.unlink()

    # ── sealing ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _seal(self, reader: Reader, first: EventRecord, end: EventRecord, rest: Rest) -> FileSealed:
        before = reader.sealed()[-1:]
        previous = before[0].first if before else b""
        name = self._name(end if first.now < _TRUE_NS else first, {path.name for path in self._folder.glob("*.db")})
        head = Head(str(reader.meta("journal_id")), previous, b"", reader.series())
        rows, newest, ends = 0, first.now, [2**63 - 1, -(2**63)]
        plans: set[int] = set()
        series: set[int] = set()
        last = first

        def pack(file: ArchiveFile) -> None:
            nonlocal rows, newest, ends, last
            for some, their in _blocks(reader, first, end, rest):
                file.add(some, their, some[0].n_from, _end(some[-1]))
                series.update(np.unique(their.which).tolist())
                rows, last, newest = rows + len(their), some[-1], max(newest, *(event.now for event in some))
                plans.update(event.plan for event in some)
                if len(their):
                    ends = [min(ends[0], int(their.at.min())), max(ends[1], int(their.at.max()))]
            file.plans(reader.plans(sorted(plans)))

        began = time.monotonic()
        self._written.add(name)
        size, digest = write_file(self._folder / name, head, pack)
        log.info("sealed events %d to %d with %d rows into %s, %d bytes, in %.1f s", first.id, last.id, rows, name, size, time.monotonic() - began)
        return FileSealed(self._journal, Sealed(first.id, last.id, first.n_from, _end(last), first.now, newest, ends[0] if rows else 0,
                                                ends[1] if rows else 0, rows, 0, name, size, previous, digest, digest, None), tuple(sorted(series)))

    def _name(self, event: EventRecord, taken: set[str]) -> str:
        day = datetime.fromtimestamp(event.now // 10**9, UTC).strftime("%Y-%m-%d")
        names = (f"{day}{suffix}.db" for suffix in ("", *(f".{number}" for number in range(2, 100_000))))
        return next(name for name in names if name not in taken)

    # ── room ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _make_room(self, reader: Reader, rest: Rest) -> SeriesWanted | FileRewritten | FileDropped | None:
        """One file goes a step down; when none can, the oldest goes, but not for a disk that others fill."""
        files = [entry for entry in reader.sealed() if entry.file and not entry.lost]
        following = thinning.next_step(files)
        if following is None:
            return FileDropped(files[0]) if files and reader.size() >= FULL_AT * self._limits.max_size else None
        entry, step = following
        table = reader.series()
        if step == Step.MINUTES:
            with Archive(self._folder / str(entry.file)) as archive:
                wanted = SeriesWanted(tuple(thinning.minutes_of(table, archive.spoken())))
            if not wanted.settled(reader):
                return wanted
        self._written.add(thinning.name_of(entry, step))
        return rewrite(self._journal, entry, table, self._stepping(reader, entry, step, table), rest, thinning.name_of(entry, step))

    @staticmethod
    def _stepping(reader: Reader, entry: Sealed, step: Step, table: tuple[Series, ...]) -> Keep:
        steps = thinning.ladder(table)
        if step == Step.MINUTES:
            return lambda rows, events: thinning.to_minutes(rows, steps, events[0].now, events[-1].now)
        if step == Step.LAST:
            return lambda rows, _: thinning.to_last(rows, steps)
        hourly = sorted({hour for hour in steps.hour.tolist() if hour >= 0})
        there = thinning.hours_there(reader.rows_of_series(i, entry.at_from - thinning.HOUR, entry.at_to + thinning.HOUR, MOST) for i in hourly)
        return lambda rows, _: thinning.to_hours(rows, steps, there)


def due(reader: Reader) -> tuple[EventRecord | None, EventRecord]:
    """The first and the last event of what is to be sealed next; (None, …) = nothing. What a restart steps again stays live."""
    first, last, kept = reader.first_event(), reader.last_event(), reader.oldest_checkpoint()
    nothing = None, EventRecord(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    if first is None or last is None or kept is None or min(kept, last.id - 1) < first.id:
        return nothing
    end = reader.events_after(min(kept, last.id - 1) - 1, 1)[0]
    size = _end(end) - first.n_from + end.id - first.id
    over = end.now >= _day_end(first, end)
    full = size >= MOST or (size >= FULL and end.now - first.now >= _CALM_NS)
    return (first, end) if over or full else nothing


def _day_end(first: EventRecord, end: EventRecord) -> int:
    now = first.now if first.now >= _TRUE_NS else end.now
    return (now // DAY + 1) * DAY


def _end(event: EventRecord) -> int:
    return event.n_from + event.rows + event.derived


def _events(reader: Reader, first: EventRecord, end: EventRecord) -> Iterator[EventRecord]:
    """The events from `first` to `end`, but no further than the day, or than MOST rows and events."""
    midnight, last = _day_end(first, end), first.id - 1
    while last < end.id and (more := reader.events_after(last, PORTION)):
        for event in more:
            if event.id > end.id or event.now >= midnight or _end(event) - first.n_from + event.id - first.id > MOST:
                return
            yield event
        last = more[-1].id


def _blocks(reader: Reader, first: EventRecord, end: EventRecord, rest: Rest) -> Iterator[tuple[list[EventRecord], Rows]]:
    """Those events with their rows, about BLOCK at a time."""
    block: list[EventRecord] = []
    for event in _events(reader, first, end):
        block.append(event)
        if len(block) >= BLOCK or _end(event) - block[0].n_from >= BLOCK:
            yield block, _rows(reader, block[0].n_from, _end(event), rest)
            block = []
    if block:
        yield block, _rows(reader, block[0].n_from, _end(block[-1]), rest)


def _rows(reader: Reader, n_from: int, n_to: int, rest: Rest) -> Rows:
    parts: list[Rows] = []
    position = n_from - 1
    while position < n_to - 1:
        began = time.thread_time()
        part = reader.rows_after(position, min(PORTION, n_to - 1 - position))
        part = part.pick(part.n < n_to)
        if not len(part):
            break
        parts.append(part)
        position = int(part.n[-1])
        if rest(time.thread_time() - began):
            raise Stopped
    return joined(reader.series(), parts)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def write_file(path: Path, head: Head, pack: Callable[[ArchiveFile], None]) -> tuple[int, bytes]:
    """Write a sealed file durably, then give it its name; gives its size and SHA-256. Whatever goes wrong, no file of that name is there."""
    if not path.parent.exists():
        path.parent.mkdir(mode=0o750, parents=True)
        sync(path.parent.parent)
    part = path.with_name(path.name + ".part")
    try:
        file = ArchiveFile(part, head)
        try:
            pack(file)
            file.finish()
        finally:
            file.abandon()
        sync(part)
        size, digest = part.stat().st_size, digest_of(part)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    sync(path.parent)
    return size, digest


def sync(path: Path) -> None:
    """What was written to a file, or the names in a folder, are on the medium."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def digest_of(path: Path) -> bytes:
    """SHA-256 of a file, as sha256sum prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def rewrite(journal: Path, entry: Sealed, table: tuple[Series, ...], keep: Keep, rest: Rest = lambda _: False, name: str = "") -> FileRewritten:
    """Write a sealed file anew beside the old one, each block's rows as `keep` gives them; the entry is to be changed by the note.

    What `keep` gives must have arrival numbers of that block, rising. Events, plans and the place in the chain stay.
    """
    path = journal / FOLDER / (name or thinning.name_of(entry, Step.LAST))
    left, ends = 0, [2**63 - 1, -(2**63)]
    with Archive(journal / FOLDER / str(entry.file)) as archive:
        head = replace(archive.head(), first=entry.first)

        def pack(file: ArchiveFile) -> None:
            nonlocal left, ends
            for block in archive.blocks():
                began = time.thread_time()
                events = archive.events(block)
                rows = keep(archive.rows(block, table), events)
                file.add(events, rows, block.n_from, block.n_to)
                left += len(rows)
                if len(rows):
                    ends = [min(ends[0], int(rows.at.min())), max(ends[1], int(rows.at.max()))]
                if rest(time.thread_time() - began):
                    raise Stopped
            file.plans(archive.plans())

        size, digest = write_file(path, replace(head, series=table), pack)
    at_from, at_to = ends if left else (entry.at_from, entry.at_to)
    return FileRewritten(journal, str(entry.file), replace(
        entry, rows=left, thinned=entry.thinned + max(1, entry.rows - left), file=path.name, size=size, hash=digest, at_from=at_from, at_to=at_to))
