"""What is missing with a sealed day that is gone or damaged: of which measured series, from when to when.

Rows of the ledger of gaps belong to an event, so only the core can write them: until then the spells wait in `meta`, in the same
transaction that says that the day is lost. Which series a day holds is noted in `meta` when it is sealed, for once the file is gone nobody knows.
When the file comes back, the same rows are issued again with the next revision: nothing of them is missing any more.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from config.series import Flag, Origin, Reason, Series
from gateway.journal.archive import Archive, Block
from gateway.journal.codec import Damaged
from gateway.journal.columns import Columns, series_table
from gateway.journal.records import Sealed
from gateway.journal.shelf import sealed

_WAITING = "lost_spells"
_HOLDS = "sealed_series:"
_HARMED = "harmed:"
_LOST = "lost_day:"
_EVER = (-(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Spell:
    """Nothing can be read any more of a series, (since, until] in UTC ns; until 0 = until the core writes it down."""

    series: int
    since: int
    until: int
    revision: int = 0
    """How often it was issued before; odd = the file has come back."""


# ── what a day holds ─────────────────────────────────────────────────────────────────────────────────────────────────────
def note_series(db: sqlite3.Connection, entry: Sealed, series: Sequence[int]) -> None:
    """Remember which series, by id, the file of an entry holds."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (f"{_HOLDS}{entry.event_from}", json.dumps(list(series))))


def forget(db: sqlite3.Connection, event_from: int) -> None:
    """The entry is gone for good: it was too old, or made room."""
    db.executemany("DELETE FROM meta WHERE key = ?", [(f"{key}{event_from}",) for key in (_HOLDS, _HARMED, _LOST)])


def _measured(db: sqlite3.Connection, folder: Path, entry: Sealed) -> list[int]:
    """The measured series that a file holds or held, by id; where nobody noted it, those of the file or of the days beside it."""
    noted = db.execute("SELECT value FROM meta WHERE key = ?", (f"{_HOLDS}{entry.event_from}",)).fetchone()
    found = set(json.loads(noted[0])) if noted else _spoken(folder, entry)
    if not found:
        for beside in (sealed(db, "WHERE event_to < ? AND lost IS NULL ORDER BY event_from DESC LIMIT 1", entry.event_from),
                       sealed(db, "WHERE event_from > ? AND lost IS NULL ORDER BY event_from LIMIT 1", entry.event_to)):
            found |= _spoken(folder, beside[0]) if beside else set()
    return [i for i, series in enumerate(series_table(db)) if i in found and _is_measured(series)]


def _spoken(folder: Path, entry: Sealed) -> set[int]:
    try:
        with Archive(folder / str(entry.file)) as archive:
            return set(archive.spoken(0))
    except (Damaged, OSError, sqlite3.Error):
        return set()


def _is_measured(series: Series) -> bool:
    return bool(series.device) and not series.statistic


# ── what is missing with it ──────────────────────────────────────────────────────────────────────────────────────────────
def of_day(db: sqlite3.Connection, folder: Path, entry: Sealed) -> list[Spell]:
    """What is missing with a whole file. What it held of other days (late data) is not known any more."""
    since, until = max(entry.at_from, entry.now_from), min(entry.at_to, entry.now_to)
    if since >= until:
        since, until = entry.now_from, max(entry.now_to, entry.now_from + 1)
    return [Spell(series, since, until) for series in _measured(db, folder, entry)]


def of_harm(db: sqlite3.Connection, folder: Path, entry: Sealed) -> list[Spell] | None:
    """What cannot be read of a file that is not as it was sealed; None = nothing can. Takes as long as reading the day."""
    path = folder / str(entry.file)
    try:
        if path.stat().st_size != entry.size:
            return None  # so the next start finds it too
        with Archive(path) as archive:
            blocks = archive.blocks()
            if not blocks or (blocks[0].event_from, blocks[-1].event_to) != (entry.event_from, entry.event_to):
                return None
            measured, table = _measured(db, folder, entry), tuple(series_table(db))
            return [spell for block in blocks for spell in _of_block(archive, block, entry, measured, table)]
    except (Damaged, OSError, sqlite3.Error):
        return None


def _of_block(archive: Archive, block: Block, entry: Sealed, measured: Sequence[int], table: tuple[Series, ...]) -> list[Spell]:
    since, until = max(block.at_from, entry.now_from), min(block.at_to, entry.now_to)
    read, gone, rows = set(), set(), 0
    for series in range(len(table)):
        try:
            found = len(archive.rows_of_series(block, series, *_EVER, table))
        except Damaged:
            gone.add(series)
            continue
        rows += found
        read |= {series} if found else set()
    if rows < block.rows and not gone:
        gone = set(measured) - read
    return [Spell(series, since, max(until, since + 1)) for series in sorted(gone) if _is_measured(table[series])]


def of_open_end(db: sqlite3.Connection, folder: Path, entry: Sealed) -> list[Spell]:
    """What came after this file, the last one, was in a `live.db` that is gone: nobody knows what it was, nor how far it went."""
    return [Spell(series, entry.now_to, 0) for series in _measured(db, folder, entry)]


# ── gone, and back again ─────────────────────────────────────────────────────────────────────────────────────────────────
def lose(db: sqlite3.Connection, folder: Path, entry: Sealed) -> None:
    """A file is gone with all its rows: count them, and let the ledger of gaps know. `folder`: the archive's."""
    spells, _ = _noted(db, entry)
    spells = [replace(spell, revision=spell.revision + 1) for spell in spells] or of_day(db, folder, entry)
    _note_lost(db, entry, spells, entry.rows)
    wait(db, spells)
    _count_lost(db, entry.rows)


def came_back(db: sqlite3.Connection, entry: Sealed, rows: int) -> None:
    """The file of a lost entry is there again with so many rows."""
    spells, counted = _noted(db, entry)
    spells = [replace(spell, revision=spell.revision + 1) for spell in spells]
    _note_lost(db, entry, spells, 0)
    wait(db, spells)
    _count_lost(db, -(rows if counted is None else counted))


def _noted(db: sqlite3.Connection, entry: Sealed) -> tuple[list[Spell], int | None]:
    """What was said of a lost day, and how many rows were counted; an older version noted neither, and said what can be found out again."""
    found = db.execute("SELECT value FROM meta WHERE key = ?", (f"{_LOST}{entry.event_from}",)).fetchone()
    if found:
        noted = json.loads(found[0])
        return [Spell(*one) for one in noted["spells"]], noted["rows"]
    ends = db.execute("SELECT count(*) FROM meta WHERE key = ?", (f"{_HOLDS}{entry.event_from}",)).fetchone()[0]
    return (of_day(db, Path(), entry) if entry.lost and ends else []), None


def _note_lost(db: sqlite3.Connection, entry: Sealed, spells: Iterable[Spell], rows: int) -> None:
    noted = {"rows": rows, "spells": [astuple(spell) for spell in spells]}
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (f"{_LOST}{entry.event_from}", json.dumps(noted)))


def _count_lost(db: sqlite3.Connection, rows: int) -> None:
    if rows:
        db.execute("INSERT INTO counter VALUES ('lost', max(0, ?)) ON CONFLICT(name) DO UPDATE SET value = max(0, value + ?)", (rows, rows))


# ── until it is in the ledger ────────────────────────────────────────────────────────────────────────────────────────────
def wait(db: sqlite3.Connection, spells: Iterable[Spell]) -> None:
    """Let the core put these into the ledger."""
    waiting = [*waiting_spells(db), *spells]
    if waiting:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_WAITING, json.dumps([astuple(spell) for spell in waiting])))


def waiting_spells(db: sqlite3.Connection, now: int = 0) -> list[Spell]:
    """What waits to be put into the ledger; what goes on until now ends at `now`, UTC ns, if that is given."""
    found = db.execute("SELECT value FROM meta WHERE key = ?", (_WAITING,)).fetchone()
    spells = [Spell(*one) for one in json.loads(found[0])] if found else []
    return [spell if spell.until else replace(spell, until=max(now, spell.since + 1)) for spell in spells] if now else spells


def settle(db: sqlite3.Connection) -> None:
    """It is in the ledger with this transaction."""
    db.execute("DELETE FROM meta WHERE key = ?", (_WAITING,))


def is_new_harm(db: sqlite3.Connection, entry: Sealed) -> bool:
    """It was not yet known that this file is harmed; from now on it is."""
    key = f"{_HARMED}{entry.event_from}"
    return db.execute("INSERT OR IGNORE INTO meta VALUES (?,1)", (key,)).rowcount > 0


def as_rows(spells: Sequence[Spell], ledgers: Sequence[int]) -> Columns:
    """Rows of the ledger of gaps; `ledgers`: the ids that each spell is filed under."""
    n = len(spells)
    until = np.array([spell.until for spell in spells], np.int64)
    revision = np.array([spell.revision for spell in spells], np.int32)
    seconds = np.array([(spell.until - spell.since) / 1e9 for spell in spells])
    return Columns(np.array(ledgers, np.int32), until, np.zeros(n, np.int64), np.full(n, np.nan), seconds, np.full(n, Flag.GOOD, np.uint8),
                   np.full(n, Reason.LOST, np.uint8), np.zeros(n, np.uint32), revision, np.full(n, Origin.LIVE, np.uint8),
                   (revision % 2).astype(np.float64))
