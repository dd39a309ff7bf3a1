"""Where sealed rows lie: finds them in the files of `archive/` by arrival number, time or series. One shelf a reader.

What cannot be read (damaged, lost, just removed as too old) is left out, said once a file, and shows as missing numbers.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from config.series import Series
from gateway.contracts import Rows
from gateway.journal.archive import Archive, Block, joined
from gateway.journal.codec import Damaged
from gateway.journal.records import EventRecord, Sealed

log = logging.getLogger("ecosentry.journal")
FOLDER = "archive"
_NAMES = ", ".join(f.name for f in fields(Sealed))
_OPEN = 4
"""Files kept open by one reader."""


def sealed(db: sqlite3.Connection, where: str = "", *parameters: object) -> list[Sealed]:
    """Entries of the table `archive` in order."""
    return [Sealed(*one) for one in db.execute(f"SELECT {_NAMES} FROM archive {where or 'ORDER BY event_from'}", parameters)]


class Shelf:
    """The sealed files of a journal, seen through a connection to its `live.db`: call it inside a transaction of that."""

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self._folder = folder / FOLDER
        self._db = db
        self._files: dict[str, tuple[Archive, list[Block]]] = {}
        self._decoded: tuple[str, int, Rows] | None = None
        self._said: set[str] = set()

    def close(self) -> None:
        """Let go of the files."""
        for archive, _ in self._files.values():
            archive.close()
        self._files.clear()
        self._decoded = None

    def end(self) -> int:
        """The first arrival number that is not sealed; 0 = nothing is."""
        return int(self._db.execute("SELECT coalesce(max(n_to), 0) FROM archive").fetchone()[0])

    def end_of_events(self) -> int:
        """The last event that is sealed; 0 = none."""
        found = self._db.execute("SELECT event_to FROM archive ORDER BY event_from DESC LIMIT 1").fetchone()
        return int(found[0]) if found else 0

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def rows_after(self, n: int, most: int, table: tuple[Series, ...]) -> list[Rows]:
        """Runs of at most `most` rows after arrival number `n`, in order: all that are sealed, if they are fewer."""
        runs: list[Rows] = []
        while most > 0 and (entry := self._entry_after(n)):
            for block in self._blocks(entry):
                if block.n_to <= n + 1 or most <= 0:
                    continue
                rows = self._rows(entry, block, table)
                start = int(np.searchsorted(rows.n, n, "right"))
                runs.append(rows.pick(slice(start, start + most)))
                most -= len(runs[-1])
                n = block.n_to - 1
            n = max(n, entry.n_to - 1)
        return runs

    def rows_of(self, ns: Sequence[int], table: tuple[Series, ...]) -> list[Rows]:
        """The rows of these arrival numbers (rising) that are still there."""
        runs: list[Rows] = []
        place = 0
        while place < len(ns) and (entry := self._entry_after(ns[place] - 1)):
            for block in self._blocks(entry):
                mine = [n for n in ns[place:] if block.n_from <= n < block.n_to]
                if mine:
                    rows = self._rows(entry, block, table)
                    runs.append(rows.pick(np.isin(rows.n, mine)))
            while place < len(ns) and ns[place] < entry.n_to:
                place += 1
        return runs

    def rows_of_series(self, series: int, since: int, until: int, most: int, table: tuple[Series, ...]) -> list[Rows]:
        """Runs of rows of one series with since < at <= until in arrival order: the newest ones, at least `most` if there are so many."""
        runs: list[Rows] = []
        for entry in sealed(self._db, "WHERE at_to > ? AND at_from <= ? AND lost IS NULL ORDER BY event_from DESC", since, until):
            for block in reversed(self._blocks(entry)):
                if most > 0 and block.at_to > since and block.at_from <= until:
                    rows = self._of_series(entry, block, series, since, until, table)
                    most -= len(rows)
                    runs.append(rows)
            if most <= 0:
                break
        return runs[::-1]

    def forget(self) -> None:
        """The decoded block is not needed soon: give back its memory."""
        self._decoded = None

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def events_after(self, event: int) -> Iterator[EventRecord]:
        """Sealed events with a higher number, in order."""
        for entry in sealed(self._db, "WHERE event_to > ? AND lost IS NULL ORDER BY event_from", event):
            for block in self._blocks(entry):
                if block.event_to > event:
                    yield from (one for one in self._events(entry, block) if one.id > event)

    def n_at(self, now: int) -> int | None:
        """The first arrival number of what was taken at or after `now`; None if nothing of that is sealed."""
        for entry in sealed(self._db, "WHERE now_to >= ? AND lost IS NULL ORDER BY event_from LIMIT 2", now):
            for block in self._blocks(entry):
                for event in self._events(entry, block):
                    if event.now >= now:
                        return event.n_from
        return None

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _entry_after(self, n: int) -> Sealed | None:
        found = sealed(self._db, "WHERE n_to > ? ORDER BY n_to LIMIT 1", n + 1)
        return found[0] if found else None

    def _open(self, entry: Sealed) -> tuple[Archive, list[Block]]:
        name = str(entry.file)
        found = self._files.pop(name, None)
        if found is None:
            archive = Archive(self._folder / name)
            try:
                found = archive, archive.blocks()
            except Damaged:
                archive.close()
                raise
        self._files[name] = found
        while len(self._files) > _OPEN:
            self._files.pop(next(iter(self._files)))[0].close()
        return found

    def _blocks(self, entry: Sealed) -> list[Block]:
        if entry.file is None or entry.lost:
            return []
        try:
            return self._open(entry)[1]
        except (Damaged, OSError, sqlite3.Error) as error:
            self._say(entry, error)
            return []

    def _rows(self, entry: Sealed, block: Block, table: tuple[Series, ...]) -> Rows:
        if self._decoded and self._decoded[:2] == (entry.file, block.id):
            return replace(self._decoded[2], series=table)
        try:
            rows = self._open(entry)[0].rows(block, table)
        except (Damaged, OSError, sqlite3.Error) as error:
            self._say(entry, error)
            return joined(table, [])
        self._decoded = str(entry.file), block.id, rows
        return rows

    def _of_series(self, entry: Sealed, block: Block, series: int, since: int, until: int, table: tuple[Series, ...]) -> Rows:
        try:
            return self._open(entry)[0].rows_of_series(block, series, since, until, table)
        except (Damaged, OSError, sqlite3.Error) as error:
            self._say(entry, error)
            return joined(table, [])

    def _events(self, entry: Sealed, block: Block) -> list[EventRecord]:
        try:
            return self._open(entry)[0].events(block)
        except (Damaged, OSError, sqlite3.Error) as error:
            self._say(entry, error)
            return []

    def _say(self, entry: Sealed, error: Exception) -> None:
        if str(entry.file) not in self._said:
            self._said.add(str(entry.file))
            log.error("archive %s cannot be read (%s): its rows are left out; ecosentry journal verify tells more", entry.file, error)
