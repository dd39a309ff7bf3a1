"""What is missing with a sealed day that is gone or damaged: of which measured series, from when to when.

Rows of the ledger of gaps belong to an event, so only the core can write them: until then the spells wait in `meta`, in the same
transaction that says that the day is lost. Which series a day holds is noted in `meta` when it is sealed, for once the file is gone nobody knows.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
_EVER = (-(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Spell:
    """Nothing can be read any more of a series, (since, until] in UTC ns."""

    series: int
    since: int
    until: int


# ── what a day holds ─────────────────────────────────────────────────────────────────────────────────────────────────────
def note_series(db: sqlite3.Connection, entry: Sealed, series: Sequence[int]) -> None:
    """Remember which series, by id, the file of an entry holds."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (f"{_HOLDS}{entry.event_from}", json.dumps(list(series))))


def forget(db: sqlite3.Connection, event_from: int) -> None:
    """The entry is gone for good: it was too old, or made room."""
    db.executemany("DELETE FROM meta WHERE key = ?", [(f"{key}{event_from}",) for key in (_HOLDS, _HARMED)])


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


# ── until it is in the ledger ────────────────────────────────────────────────────────────────────────────────────────────
def wait(db: sqlite3.Connection, spells: Iterable[Spell]) -> None:
    """Let the core put these into the ledger."""
    waiting = [*waiting_spells(db), *spells]
    if waiting:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_WAITING, json.dumps([[s.series, s.since, s.until] for s in waiting])))


def waiting_spells(db: sqlite3.Connection) -> list[Spell]:
    """What waits to be put into the ledger."""
    found = db.execute("SELECT value FROM meta WHERE key = ?", (_WAITING,)).fetchone()
    return [Spell(*one) for one in json.loads(found[0])] if found else []


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
    seconds = np.array([(spell.until - spell.since) / 1e9 for spell in spells])
    return Columns(np.array(ledgers, np.int32), until, np.zeros(n, np.int64), np.full(n, np.nan), seconds, np.full(n, Flag.GOOD, np.uint8),
                   np.full(n, Reason.LOST, np.uint8), np.zeros(n, np.uint32), np.zeros(n, np.int32), np.full(n, Origin.LIVE, np.uint8), np.zeros(n))
