"""Sealed files that no entry of the table `archive` names: which are of a lost day, which belong into the journal, which to somebody else.

They come from a folder that was away for a start, from a backup, from a kill, or `live.db` is new or older than they are. A file is removed only
when all that it holds is elsewhere and was looked at there; what is neither that nor taken in gets another name, and the log says so.
"""

import hashlib
import logging
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Self

from gateway.journal import identity, losing
from gateway.journal.archive import Archive, Block, Head, Plan
from gateway.journal.codec import Damaged
from gateway.journal.columns import series_table
from gateway.journal.records import HOW_MOVED, KEPT_FROM, EventRecord, Sealed
from gateway.journal.shelf import sealed

log = logging.getLogger("ecosentry.journal")
_EVENT = "id, kind, now, sure, steady, plan, n_from, rows, derived, done"


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that no entry names, and the entry that it would have."""

    path: Path
    entry: Sealed
    head: Head

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Look into a file; one that nobody can read is kept for people under another name. Raises OSError."""
        if not os.access(path, os.R_OK):
            log.error("archive %s is not in the journal and cannot be read: check its owner and mode, then start again", path.name)
            return None
        try:
            with Archive(path) as archive:
                head, blocks = archive.head(), archive.blocks()
                events = [event for block in (*blocks[:1], *blocks[-1:]) for event in archive.events(block)]
            if not events:
                raise Damaged("it holds no event")
            return cls(path, _described(path, head, blocks, events), head)
        except (Damaged, sqlite3.Error, OSError) as error:
            set_aside(path, "damaged", f"it cannot be read ({error})")
            return None

    def events(self) -> list[EventRecord]:
        """All its events. Raises Damaged, sqlite3.Error."""
        with Archive(self.path) as archive:
            return [event for block in archive.blocks() for event in archive.events(block)]

    def plans(self) -> list[Plan]:
        """The plans of its events. Raises Damaged, sqlite3.Error."""
        with Archive(self.path) as archive:
            return archive.plans()


def digest_of(path: Path) -> bytes:
    """SHA-256 of a file, as sha256sum prints it. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _described(path: Path, head: Head, blocks: list[Block], events: list[EventRecord]) -> Sealed:
    filled, digest = [block for block in blocks if block.rows], digest_of(path)
    now = min(event.now for event in events), max(event.now for event in events)
    at = min((b.at_from for b in filled), default=0), max((b.at_to for b in filled), default=0)
    entry = Sealed(blocks[0].event_from, blocks[-1].event_to, blocks[0].n_from, blocks[-1].n_to, *now, *at, sum(b.rows for b in blocks), 0,
                   path.name, path.stat().st_size, head.previous, digest, digest, None)
    return replace(entry, first=head.first, thinned=max(1, entry.n_to - entry.n_from - entry.rows)) if head.first else entry


def set_aside(path: Path, word: str, why: str) -> None:
    """Nobody reads a file by its new name, and nothing removes it."""
    names = (path.with_name(f"{path.name}.{word}{number}") for number in ("", *(f".{k}" for k in range(2, 10_000))))
    to = next(name for name in names if not name.exists())
    log.error("archive %s: %s; kept as %s", path.name, why, to.name)
    path.rename(to)


# ── a day that came back ─────────────────────────────────────────────────────────────────────────────────────────────────
def put_back(db: sqlite3.Connection, folder: Path, strays: Sequence[Stray], missing: Sequence[Sealed]) -> list[Stray]:
    """Give entries that miss their file, lost or not yet, the one that is theirs; gives the strays that are left. `folder`: the archive's.

    A file that was thinned since is theirs too: `live.db` is older than it.
    """
    left, wanted = list(strays), {entry.event_from: entry for entry in missing}
    for stray in sorted(strays, key=lambda one: (not any(one.entry.hash == e.hash for e in missing), all(one.path.name != e.file for e in missing))):
        entry = wanted.get(stray.entry.event_from)
        if entry is None or stray.entry.first != entry.first or stray.entry.event_to != entry.event_to:
            continue
        name = str(entry.file) if stray.entry.hash == entry.hash else stray.path.name
        if name != stray.path.name:
            if (folder / name).exists():
                set_aside(folder / name, "damaged", "the whole file is here under another name")
            stray.path.rename(folder / name)
        _enter_again(db, entry, replace(stray.entry, file=name))
        left.remove(stray)
        del wanted[entry.event_from]
    return left


def _enter_again(db: sqlite3.Connection, entry: Sealed, found: Sealed) -> None:
    db.execute("UPDATE archive SET rows = ?, thinned = ?, file = ?, size = ?, hash = ?, at_from = ?, at_to = ?, lost = NULL WHERE event_from = ?",
               (found.rows, found.thinned, found.file, found.size, found.hash, found.at_from, found.at_to, entry.event_from))
    if entry.lost:
        losing.came_back(db, entry, found.rows)
        log.warning("archive %s is back: %d rows of events %d to %d can be read again", found.file, found.rows, entry.event_from, entry.event_to)
    else:
        log.warning("archive %s is in the place of %s", found.file, entry.file)


# ── what is not known yet ────────────────────────────────────────────────────────────────────────────────────────────────
def take_in(db: sqlite3.Connection, folder: Path, strays: Sequence[Stray]) -> None:
    """Enter what belongs into this journal, and clear away the rest. Raises sqlite3.Error, OSError."""
    entries = sealed(db)
    last = int(db.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0])
    is_new = not entries and not last
    if strays and is_new:
        ids = _most_related(strays)
        identity.remember(db, ids)
        words = f"live.db is new, archive/ has files already: {sum(one.head.journal_id in ids for one in strays)} of one journal are taken in"
        log.critical("%s; what came after them is lost, unless a file live.db.damaged-… or live.db-wal.kept-… has it", words)
        db.execute("INSERT OR IGNORE INTO meta VALUES (?,?)", (HOW_MOVED, words))
    mine = [one for one in sorted(strays, key=lambda one: (one.entry.event_from, one.entry.thinned)) if _is_ours(db, one, entries)]
    mine = [one for one in mine if not _is_superseded(folder, one, entries)]
    beyond = max((one.entry.event_to for one in mine), default=0) > last
    taken = [one for one in mine if (beyond or not _is_live(db, one)) and _adopt(db, one)]
    if taken and taken[-1].entry.event_to > last:
        _end_open(db, folder, taken[-1].entry, is_new=is_new)


def _most_related(strays: Sequence[Stray]) -> set[str]:
    """The ids of the files that belong together by id or by the chain, of the most files."""
    groups = {one.head.journal_id: {one.head.journal_id} for one in strays}
    before = {one.entry.first: one.head.journal_id for one in strays}
    for one in strays:
        if one.entry.previous in before:
            joined = groups[one.head.journal_id] | groups[before[one.entry.previous]]
            groups |= dict.fromkeys(joined, joined)
    return max(groups.values(), key=lambda ids: sum(one.head.journal_id in ids for one in strays))


def _is_ours(db: sqlite3.Connection, stray: Stray, entries: Sequence[Sealed]) -> bool:
    """By its id or the chain, and it means the same by the numbers of series."""
    chained = {link for entry in entries for link in (entry.first, entry.previous) if link}
    known, table = series_table(db), stray.head.series
    if stray.head.journal_id not in identity.own_ids(db) and not {stray.entry.first, stray.entry.previous} & chained:
        set_aside(stray.path, "foreign", f"it is of another journal ({stray.head.journal_id})")
    elif list(table[: len(known)]) != known[: len(table)]:
        set_aside(stray.path, "foreign", "its series are not those of this journal")
    else:
        return True
    return False


def _is_superseded(folder: Path, stray: Stray, entries: Sequence[Sealed]) -> bool:
    """The journal has these events already, in a sealed file: removed if that is whole and holds as much of the same, else kept aside."""
    over = [entry for entry in entries if entry.event_from <= stray.entry.event_to and entry.event_to >= stray.entry.event_from]
    if not over:
        return False
    entry, path = over[0], folder / str(over[0].file)
    if entry.first == stray.entry.first and not entry.lost and stray.entry.rows <= entry.rows and path.exists() and digest_of(path) == entry.hash:
        log.info("archive %s is removed: %s holds it", stray.path.name, entry.file)
        stray.path.unlink()
    else:
        set_aside(stray.path, "aside", f"the journal knows its events {stray.entry.event_from} to {stray.entry.event_to} from {entry.file}")
    return True


def _is_live(db: sqlite3.Connection, stray: Stray) -> bool:
    """All that it holds is in `live.db`: it is removed, for it was not entered when it was sealed."""
    one = stray.entry
    live = _live_events(db, one)
    rows = db.execute("SELECT count(*) FROM hot WHERE n >= ? AND n < ?", (one.n_from, one.n_to)).fetchone()[0]
    try:
        is_live = bool(live) and live == stray.events() and rows >= one.rows
    except (Damaged, sqlite3.Error):
        return False
    if is_live:
        log.info("archive %s is removed: live.db holds its events %d to %d", stray.path.name, one.event_from, one.event_to)
        stray.path.unlink()
    return is_live


def _live_events(db: sqlite3.Connection, entry: Sealed) -> list[EventRecord]:
    found = db.execute(f"SELECT {_EVENT} FROM event WHERE id >= ? AND id <= ? ORDER BY id", (entry.event_from, entry.event_to))
    return [EventRecord(*one) for one in found]


def _adopt(db: sqlite3.Connection, stray: Stray) -> bool:
    """Enter a file, unless it would hide something of `live.db` that it does not hold; that goes for what an earlier one has made known too."""
    entry = stray.entry
    if why := _why_not(db, stray):
        set_aside(stray.path, "aside", why)
        return False
    values = astuple(entry)
    db.execute(f"INSERT INTO archive VALUES ({','.join('?' * len(values))})", values)
    known = db.execute("SELECT count(*) FROM series").fetchone()[0]
    db.executemany("INSERT INTO series VALUES (?,?,?,?,?,?,?,?)", [(i, *one) for i, one in enumerate(stray.head.series) if i >= known])
    db.executemany("INSERT OR IGNORE INTO plan VALUES (?,?,?,?,?,?)", stray.plans())
    log.warning("archive %s with %d rows is taken into the journal", entry.file, entry.rows)
    return True


def _why_not(db: sqlite3.Connection, stray: Stray) -> str:
    entry, known, table = stray.entry, series_table(db), stray.head.series
    border, kept = db.execute("SELECT coalesce(max(event_to), 0), coalesce((SELECT value FROM meta WHERE key = ?), 0) FROM archive",
                              (KEPT_FROM,)).fetchone()
    if entry.event_to < kept:
        return "its days were removed as too old, or for room"
    if db.execute("SELECT count(*) FROM archive WHERE event_from <= ? AND event_to >= ?", (entry.event_to, entry.event_from)).fetchone()[0]:
        return "another file holds its events"
    if list(table[: len(known)]) != known[: len(table)]:
        return "its series are not those of this journal"
    try:
        mine = {event.id: event for event in stray.events()}
        stray.plans()
    except (Damaged, sqlite3.Error) as error:
        return f"it cannot be read ({error})"
    if any(event != mine.get(event.id) for event in _live_events(db, entry)):
        return "live.db has other events with its numbers"
    hidden = db.execute("SELECT min(id), max(id) FROM event WHERE id > ? AND id < ?", (border, entry.event_from)).fetchone()
    return f"it would hide events {hidden[0]} to {hidden[1]} of live.db: a file before it is missing" if hidden[0] else ""


def _end_open(db: sqlite3.Connection, folder: Path, last: Sealed, *, is_new: bool) -> None:
    """The files reach further than `live.db`: what came after them is not known, and its numbers are given again."""
    db.execute("DELETE FROM checkpoint WHERE event < ?", (last.event_to,))
    losing.wait(db, losing.of_open_end(db, folder, last))
    if not is_new:
        identity.renew(db, f"sealed files reach further than live.db, to event {last.event_to}; numbers behind it are given again")
