"""One sealed file: the rows of a run of events, in blocks, each block a chunk a series. Written once, never changed.

It is an SQLite file that explains itself: `head` says which journal it is of and carries the SHA-256 of the file before, so that
the files form a chain that `sha256sum` can check; series and plans are repeated in it, so that it can be read alone. A chunk's
number is block · 2²⁴ + series, so that one series costs one look-up a block.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from config.series import Series
from gateway.contracts import Rows
from gateway.journal.codec import Damaged, Floats, Ints, decode_floats, decode_ints, encode_floats, encode_ints, open_chunk, seal_chunk
from gateway.journal.records import EventRecord

_SCHEMA = """
PRAGMA page_size = 1024; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA application_id = 0x45434F41; PRAGMA user_version = 1;
CREATE TABLE head(key TEXT PRIMARY KEY, value ANY) STRICT;
CREATE TABLE plan(version INTEGER PRIMARY KEY, sha256 BLOB, software TEXT, engine TEXT, site TEXT, body BLOB) STRICT;
CREATE TABLE block(id INTEGER PRIMARY KEY, event_from INTEGER, event_to INTEGER, n_from INTEGER, n_to INTEGER, rows INTEGER, at_from INTEGER,
                   at_to INTEGER, events INTEGER, body BLOB) STRICT;
CREATE TABLE chunk(id INTEGER PRIMARY KEY, rows INTEGER, at_from INTEGER, at_to INTEGER, body BLOB) STRICT;
"""
_SERIES = 1 << 24
_EVENT = tuple(f.name for f in fields(EventRecord))
_TYPES = {"n": np.int64, "which": np.int32, "at": np.int64, "span": np.int64, "flag": np.uint8, "reason": np.uint8, "tests": np.uint32,
          "revision": np.int32, "origin": np.uint8}
_WHOLE = ("n", "at", "span", "flag", "reason", "tests", "revision", "origin")
Plan = tuple[int, bytes, str, str, str, bytes]


@dataclass(frozen=True, slots=True)
class Block:
    """A run of whole events with their rows, as `block` tells of it."""

    id: int
    event_from: int
    event_to: int
    n_from: int
    n_to: int
    """The first arrival number that is no more in it; numbers may be missing in between (thinned)."""
    rows: int
    at_from: int
    at_to: int
    events: int


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself."""

    journal_id: str
    previous: bytes
    """SHA-256 of the file before it; empty = it is the first."""
    first: bytes
    """SHA-256 of the file as it was first sealed, if this is one that was thinned later; else empty."""
    series: tuple[Series, ...]
    """The whole series table as it was then: position = id."""


class ArchiveFile:
    """Writes a new file under a passing name; it counts only once it is closed, synced and renamed."""

    def __init__(self, path: Path, head: Head) -> None:
        path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        table = zlib.compress(json.dumps([list(series) for series in head.series], ensure_ascii=False).encode(), 6)
        self._db.executemany("INSERT INTO head VALUES (?,?)", [
            ("journal_id", head.journal_id), ("previous", head.previous), ("first", head.first), ("series", table)])
        self._blocks = 0

    def add(self, events: Sequence[EventRecord], rows: Rows, n_from: int, n_to: int) -> None:
        """One more block: whole events and those of their rows that are kept, in arrival order."""
        at = (int(rows.at.min()), int(rows.at.max())) if len(rows) else (0, 0)
        columns = [encode_ints(np.array([getattr(event, name) for event in events], np.int64)) for name in _EVENT]
        self._db.execute("INSERT INTO block VALUES (?,?,?,?,?,?,?,?,?,?)",
                         (self._blocks, events[0].id, events[-1].id, n_from, n_to, len(rows), *at, len(events), seal_chunk(columns)))
        order = rows.which.argsort(kind="stable")
        sorted_rows = rows.pick(order)
        edges = np.flatnonzero(np.diff(sorted_rows.which, prepend=-1, append=-1)).tolist() if len(rows) else []
        for start, end in pairwise(edges):
            mine = sorted_rows.pick(slice(start, end))
            self._db.execute("INSERT INTO chunk VALUES (?,?,?,?,?)", (self._blocks * _SERIES + int(mine.which[0]), end - start,
                                                                      int(mine.at.min()), int(mine.at.max()), _encode(mine)))
        self._blocks += 1

    def plans(self, plans: Iterable[Plan]) -> None:
        """The plans that its events were stepped with."""
        self._db.executemany("INSERT OR IGNORE INTO plan VALUES (?,?,?,?,?,?)", plans)

    def finish(self) -> None:
        """All is said."""
        self._db.execute("COMMIT")
        self._db.close()

    def abandon(self) -> None:
        """Let go of the file, whatever it holds."""
        self._db.close()


def _encode(rows: Rows) -> bytes:
    whole = [encode_ints(getattr(rows, name).astype(np.int64)) for name in _WHOLE]
    same = bool((rows.value.view(np.int64) == rows.raw.view(np.int64)).all())
    return seal_chunk([*whole, encode_floats(rows.raw), b"" if same else encode_floats(rows.value), encode_floats(rows.share)])


class Archive:
    """A sealed file, open for reading; it never changes, so nobody has to lock it. Methods raise Damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.stat()  # raises FileNotFoundError: it was removed as too old, or is lost
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise Damaged(f"{self.path.name}: {error}") from error

    def head(self) -> Head:
        """What it says of itself."""
        found = {str(key): value for key, value in self._ask("SELECT key, value FROM head")}
        try:
            table = json.loads(zlib.decompress(_bytes(found["series"])))
            return Head(str(found["journal_id"]), _bytes(found["previous"]), _bytes(found["first"]), tuple(Series(*one) for one in table))
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise Damaged(f"{self.path.name}: its head cannot be read ({error})") from error

    def plans(self) -> list[Plan]:
        """The plans of its events."""
        return [(_int(v), _bytes(sha), str(software), str(engine), str(site), _bytes(body))
                for v, sha, software, engine, site, body in self._ask("SELECT * FROM plan ORDER BY version")]

    def blocks(self) -> list[Block]:
        """Its blocks, in order."""
        found = self._ask("SELECT id, event_from, event_to, n_from, n_to, rows, at_from, at_to, events FROM block ORDER BY id")
        return [Block(*(_int(number) for number in one)) for one in found]

    def spoken(self, least: int = 60) -> list[int]:
        """Ids of the series with more than `least` rows."""
        found = self._ask("SELECT id % ?, sum(rows) FROM chunk GROUP BY 1 HAVING sum(rows) > ?", _SERIES, least)
        return [_int(series) for series, _ in found]

    def events(self, block: Block) -> list[EventRecord]:
        """The events of a block, in order."""
        found = self._ask("SELECT body FROM block WHERE id = ?", block.id)
        if not found:
            raise Damaged(f"{self.path.name}: block {block.id} is gone")
        columns = open_chunk(_bytes(found[0][0]))
        numbers = [decode_ints(column, block.events).tolist() for column in columns]
        return [EventRecord(*one) for one in zip(*numbers, strict=True)]

    def rows(self, block: Block, table: tuple[Series, ...]) -> Rows:
        """All rows of a block in arrival order."""
        found = self._ask("SELECT id, rows, body FROM chunk WHERE id >= ? AND id < ? ORDER BY id", block.id * _SERIES, (block.id + 1) * _SERIES)
        span = block.n_to - block.n_from
        whole = {f.name: np.empty(span, _TYPES.get(f.name, np.float64)) for f in fields(Rows)[1:]}
        there = np.zeros(span, np.bool_)
        for number, count, body in found:
            part = _decode(_int(number) % _SERIES, _int(count), _bytes(body), table)
            places = part.n - block.n_from
            if len(part) and not 0 <= int(places.min()) <= int(places.max()) < span:
                raise Damaged(f"{self.path.name}: block {block.id} has rows of another")
            for name, column in whole.items():
                column[places] = getattr(part, name)
            there[places] = True
        rows = Rows(table, **whole)
        many = int(there.sum())
        if many != block.rows:
            raise Damaged(f"{self.path.name}: block {block.id} has lost {block.rows - many} rows")
        return rows if many == span else rows.pick(there)

    def rows_of_series(self, block: Block, series: int, since: int, until: int, table: tuple[Series, ...]) -> Rows:
        """Rows of one series in a block with since < at <= until, in arrival order."""
        found = self._ask("SELECT rows, body FROM chunk WHERE id = ? AND at_to > ? AND at_from <= ?", block.id * _SERIES + series, since, until)
        if not found:
            return joined(table, [])
        rows = _decode(series, _int(found[0][0]), _bytes(found[0][1]), table)
        return rows.pick((rows.at > since) & (rows.at <= until))


def joined(table: tuple[Series, ...], parts: Sequence[Rows]) -> Rows:
    """Several runs of rows one after the other, with the series table as it is now."""
    columns = (np.concatenate([getattr(part, f.name) for part in parts]) if parts else np.empty(0, _TYPES.get(f.name, np.float64))
               for f in fields(Rows)[1:])
    return Rows(table, *columns)


def _decode(series: int, count: int, chunk: bytes, table: tuple[Series, ...]) -> Rows:
    columns = open_chunk(chunk)
    try:
        whole: dict[str, Ints] = {name: decode_ints(column, count) for name, column in zip(_WHOLE, columns, strict=False)}
        raw: Floats = decode_floats(columns[8], count)
        value = decode_floats(columns[9], count) if columns[9] else raw
        share = decode_floats(columns[10], count)
    except (ValueError, IndexError) as error:
        raise Damaged(f"a chunk of series {series}: {error}") from error
    columns_by_name = {name: column.astype(_TYPES[name]) for name, column in whole.items()}
    return Rows(series=table, which=np.full(count, series, np.int32), raw=raw, value=value, share=share, **columns_by_name)


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise Damaged("a number is none")
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise Damaged("bytes are none")
    return value
