"""Rows between numpy columns and SQLite. NaN is NULL in the file: SQLite has no NaN of its own.

A value that is NULL equals its raw reading, unless the row is MISSING: then there is none, whatever the module gave.
"""

import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from config.series import Flag, Series
from gateway.contracts import Rows

NAMES = "n, series, at, span, raw, value, flag, reason, tests, revision, origin, share"
_TYPES = ("i8", "i4", "i8", "i8", "f8", "f8", "u1", "u1", "u4", "i4", "u1", "f8")


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows on their way into the journal, length n: `Rows` before they have arrival numbers."""

    which: NDArray[np.int32]
    at: NDArray[np.int64]
    span: NDArray[np.int64]
    raw: NDArray[np.float64]
    value: NDArray[np.float64]
    flag: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    tests: NDArray[np.uint32]
    revision: NDArray[np.int32]
    origin: NDArray[np.uint8]
    share: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.which)

    def records(self, n_from: int) -> Iterable[tuple[object, ...]]:
        """Tuples for `INSERT INTO hot`; a value that equals its raw reading is written as NULL."""
        raw, value = self.raw.tolist(), self.value.tolist()
        stored = [None if v == r else v for v, r in zip(value, raw, strict=True)]
        share = [None if math.isnan(s) else s for s in self.share.tolist()]
        return zip(range(n_from, n_from + len(raw)), self.which.tolist(), self.at.tolist(), self.span.tolist(), raw, stored,
                   self.flag.tolist(), self.reason.tolist(), self.tests.tolist(), self.revision.tolist(), self.origin.tolist(), share,
                   strict=True)


def together(parts: Sequence[Columns]) -> Columns:
    """Several runs of rows, at least one, one after the other."""
    return parts[0] if len(parts) == 1 else Columns(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Columns)))


def rows(series: tuple[Series, ...], records: Sequence[tuple[object, ...]]) -> Rows:
    """Columns from what SQLite gave, in the order of NAMES."""
    columns = list(zip(*records, strict=True)) if records else [()] * len(_TYPES)
    arrays = [np.array(c, "f8") if t == "f8" else np.array(c, t) for c, t in zip(columns, _TYPES, strict=True)]
    n, which, at, span, raw, value, flag, reason, tests, revision, origin, share = arrays
    value = np.where(np.isnan(value) & (flag != Flag.MISSING), raw, value)
    return Rows(series, n, which, at, span, raw, value, flag, reason, tests, revision, origin, share)


def series_table(db: sqlite3.Connection, since: int = 0) -> list[Series]:
    """The series from id `since` on, in order of id."""
    return [Series(*record) for record in db.execute(
        "SELECT station, device, quantity, channel, statistic, period_s, method FROM series WHERE id >= ? ORDER BY id", (since,))]
