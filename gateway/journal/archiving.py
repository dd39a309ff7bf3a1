"""Notes of the sealer, written by the core with its next commit: a file was sealed, written anew with fewer rows, or is to go."""

from dataclasses import astuple, dataclass, field
from pathlib import Path
from threading import Event
from typing import Self

from config.series import Series
from gateway.journal import losing, superseding
from gateway.journal.losing import Spell
from gateway.journal.reader import Reader
from gateway.journal.records import KEPT_FROM, Sealed
from gateway.journal.shelf import FOLDER
from gateway.journal.thinning import step_of
from gateway.journal.tidying import lose
from gateway.journal.writer import Writer


def _is_there(journal: Path, entry: Sealed) -> bool:
    path = journal / FOLDER / str(entry.file)
    return path.exists() and path.stat().st_size == entry.size


@dataclass(frozen=True, slots=True)
class FileSealed:
    """These events and rows are in that file, durably: from now on they are read there."""

    journal: Path
    entry: Sealed
    series: tuple[int, ...] = ()
    """Ids of the series in it."""
    declined: Event = field(default_factory=Event, compare=False)

    def write(self, writer: Writer) -> None:
        """Enter it, if it is there and continues what is sealed; its rows leave `live.db` afterwards, see keeping.clear."""
        end, live = writer.db.execute("SELECT (SELECT max(event_to) FROM archive), (SELECT min(id) FROM event)").fetchone()
        follows = self.entry.event_from > end if end is not None else True
        if follows and live is not None and live <= self.entry.event_from and _is_there(self.journal, self.entry):
            values = astuple(self.entry)
            writer.db.execute(f"INSERT INTO archive VALUES ({','.join('?' * len(values))})", values)
            losing.note_series(writer.db, self.entry, self.series)
        else:
            self.declined.set()

    def settled(self, reader: Reader) -> bool:
        """The core has dealt with it."""
        return self.declined.is_set() or any(entry.file == self.entry.file for entry in reader.sealed())


@dataclass(frozen=True, slots=True)
class FileRewritten:
    """The rows of the file `old` that are kept are now in another."""

    journal: Path
    old: str
    entry: Sealed
    declined: Event = field(default_factory=Event, compare=False)

    def write(self, writer: Writer) -> None:
        """Let the entry name the new file, if it still names the old one."""
        found = writer.db.execute("SELECT rows, hash FROM archive WHERE file = ?", (self.old,)).fetchone()
        if found and _is_there(self.journal, self.entry):
            new = self.entry
            writer.db.execute("UPDATE archive SET rows = ?, thinned = ?, file = ?, size = ?, hash = ?, at_from = ?, at_to = ? WHERE file = ?",
                              (new.rows, new.thinned, new.file, new.size, new.hash, new.at_from, new.at_to, self.old))
            superseding.note(writer.db, self.journal / FOLDER, self.old, found[1])
            gone = max(0, int(found[0]) - new.rows)
            writer.count({"thinned": gone, f"thinned.to_{step_of(new).name.lower()}": gone})
        else:
            self.declined.set()

    def settled(self, reader: Reader) -> bool:
        """The core has dealt with it."""
        return self.declined.is_set() or any(entry.file == self.entry.file for entry in reader.sealed())


@dataclass(frozen=True, slots=True)
class FileDropped:
    """The oldest file makes room."""

    entry: Sealed
    declined: Event = field(default_factory=Event, compare=False)

    def write(self, writer: Writer) -> None:
        """Take it out of the table; the sealer removes the file when that is committed. Not while its rows still leave `live.db`."""
        if writer.db.execute("SELECT count(*) FROM (SELECT 1 FROM hot WHERE n < ? LIMIT 1)", (self.entry.n_to,)).fetchone()[0]:
            self.declined.set()
            return
        gone = drop(writer, self.entry.event_from, self.entry.event_to, "thinned")
        writer.count({"thinned.to_nothing": gone})

    def settled(self, reader: Reader) -> bool:
        """The core has dealt with it."""
        return self.declined.is_set() or all(entry.file != self.entry.file for entry in reader.sealed())


@dataclass(frozen=True, slots=True)
class FileHarmed:
    """A file is not as it was sealed, or gone."""

    journal: Path
    entry: Sealed
    why: str
    spells: list[Spell] | None
    """What cannot be read of it; None = nothing can."""

    @classmethod
    def found(cls, journal: Path, entry: Sealed, why: str) -> Self:
        """Look what of it can still be read; takes as long as reading the day. Raises JournalError."""
        with Reader(journal) as reader:
            return cls(journal, entry, why, reader.harm(entry))

    def write(self, writer: Writer) -> None:
        """Put it into the ledger of gaps, once; a file of which nothing is left is lost."""
        known = writer.db.execute("SELECT count(*) FROM archive WHERE file = ? AND hash = ? AND lost IS NULL",
                                  (self.entry.file, self.entry.hash)).fetchone()[0]
        if known and self.spells is None:
            lose(writer.db, self.journal / FOLDER, self.entry, self.why)
        elif known and self.spells and losing.is_new_harm(writer.db, self.entry):
            losing.wait(writer.db, self.spells)


@dataclass(frozen=True, slots=True)
class SeriesWanted:
    """Minute means are to be made: their series need ids."""

    series: tuple[Series, ...]

    def write(self, writer: Writer) -> None:
        """Give them ids, for ever."""
        writer.ids(self.series)

    def settled(self, reader: Reader) -> bool:
        """They have them."""
        return set(self.series) <= set(reader.series())


def drop(writer: Writer, event_from: int, event_to: int, counter: str) -> int:
    """Take one entry out of the table; gives how many rows went with it."""
    found = writer.db.execute("DELETE FROM archive WHERE event_from = ? RETURNING rows, file, hash", (event_from,)).fetchone()
    if not found:
        return 0
    losing.forget(writer.db, event_from)
    superseding.note(writer.db, writer.path.parent / FOLDER, str(found[1]), found[2])
    writer.meta(KEPT_FROM, event_to + 1)
    writer.count({counter: int(found[0])})
    return int(found[0])
