"""Makes a journal, and brings an older one to this format: one transaction, so that a kill in the middle leaves the old one.

`schema.sql` is the only place where structure is declared. A new table, index or column is written there and nowhere else: an
older journal gets what it lacks by comparison with it. New columns stand last in their table and are nullable or have a
DEFAULT (they are added by ALTER TABLE, which can nothing else). Only what existing rows need beyond that is a step here:
a function in STEPS under the format that it starts from.
"""

import sqlite3
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib.resources import files

FORMAT = 2


def _schema() -> str:
    return files("gateway.journal").joinpath("schema.sql").read_text("utf-8")


def create(db: sqlite3.Connection) -> None:
    """A new journal in an empty file."""
    db.executescript("BEGIN;" + _schema())
    db.execute("INSERT INTO meta VALUES ('journal_id', ?)", (uuid.uuid4().hex,))
    db.execute("COMMIT")


def migrate(db: sqlite3.Connection, found: int) -> None:
    """Bring a journal of the format `found` to FORMAT, nothing of it lost. Raises sqlite3.Error: then it is as it was."""
    db.execute("BEGIN IMMEDIATE")
    try:
        _complete(db)
        for number in range(found, FORMAT):
            STEPS[number](db)
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _complete(db: sqlite3.Connection) -> None:
    """Add the tables, columns and indexes that the schema has and the file has not."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as wanted:
        wanted.executescript(_schema())
        declared = wanted.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'index', rowid").fetchall()
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        for kind, name, sql in declared:
            if kind == "table" and name in there:
                _add_columns(db, name, _columns(wanted, name))
            elif name not in there:
                db.execute(sql)


def _columns(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """Declaration of every column of a table by its name."""
    return {name: f'"{name}" {kind}{" NOT NULL" if needed else ""}{"" if default is None else f" DEFAULT {default}"}'
            for _, name, kind, needed, default, _ in db.execute(f'PRAGMA table_info("{table}")')}


def _add_columns(db: sqlite3.Connection, table: str, wanted: Mapping[str, str]) -> None:
    known = _columns(db, table)
    for name in [name for name in wanted if name not in known]:
        db.execute(f'ALTER TABLE "{table}" ADD COLUMN {wanted[name]}')


def _from_1(db: sqlite3.Connection) -> None:
    """Format 2 only adds tables and columns."""


STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _from_1}
