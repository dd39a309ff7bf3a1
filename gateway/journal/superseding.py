"""Sealed files that the journal has done with: too old, thinned into another, dropped for room.

The transaction that lets go of a file notes its name and hash; only what is noted so is removed afterwards, also by the next start.
"""

import sqlite3
from pathlib import Path

_NOTE = "superseded:"


def note(db: sqlite3.Connection, folder: Path, name: str, digest: bytes) -> None:
    """The file `name` of the archive's folder is of no more use, when this is committed. Notes of files that are gone are forgotten."""
    clear_notes(db, folder)
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_NOTE + name, digest))


def clear_notes(db: sqlite3.Connection, folder: Path) -> None:
    """Forget what is gone."""
    db.executemany("DELETE FROM meta WHERE key = ?", [(_NOTE + name,) for name in superseded(db) if not (folder / name).exists()])


def superseded(db: sqlite3.Connection) -> dict[str, bytes]:
    """SHA-256 by name of the files to be removed."""
    found = db.execute("SELECT key, value FROM meta WHERE key >= ? AND key < ?", (_NOTE, _NOTE[:-1] + ";"))
    return {str(key).removeprefix(_NOTE): bytes(value) for key, value in found}
