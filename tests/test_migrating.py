"""A journal of an older format opens, loses nothing, and goes on; one of a newer format is left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from house import AMMONIA, LADDER, LAEQ, House, site

from gateway.journal import migrating
from gateway.journal.migrating import FORMAT
from gateway.journal.reader import Reader
from gateway.journal.verifying import verify
from gateway.journal.writer import JournalError, Writer

FORMAT_1 = (Path(__file__).parent / "cases/journal_format_1/schema.sql").read_text("utf-8")


def contents(folder: Path, tables: dict[str, list[str]] | None = None) -> dict[str, list[tuple[object, ...]]]:
    """Every table with the columns that it had."""
    with closing(sqlite3.connect(folder / "live.db")) as db:
        tables = tables or {name: [c[1] for c in db.execute(f"PRAGMA table_info({name})")] for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}
        return {name: db.execute(f"SELECT {', '.join(chr(34) + c + chr(34) for c in columns)} FROM {name} ORDER BY 1, 2").fetchall()
                for name, columns in tables.items()}


def columns(folder: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(folder / "live.db")) as db:
        return {name: [c[1] for c in db.execute(f"PRAGMA table_info({name})")] for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}


def live_a_day(house: House) -> None:
    for value in (0.5, 1.2, 1.2, 1.2, 1.8, 1.8, 2.5):
        house.clock.forward(10)
        house.say((AMMONIA, value), (LAEQ, 50.0))
        house.turn()


@pytest.fixture
def old(tmp_path, monkeypatch) -> House:
    """What a daemon of format 1 left: readings, an alert, messages, a checkpoint, no farewell."""
    from config.site import Sink, SinkTable
    from config.table import Table

    plan = site(ammonia=LADDER).model_copy(update={"sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())}})
    house = House(tmp_path, plan)
    live_a_day(house)
    with house.writer.transaction():
        house.core._checkpoint()
    house.kill()
    kept = contents(tmp_path)
    for name in ("live.db", "live.db-wal", "live.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    with closing(sqlite3.connect(tmp_path / "live.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(FORMAT_1)
        known = {name: [c[1] for c in db.execute(f"PRAGMA table_info({name})")] for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name, wanted in known.items():
            db.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(wanted))})", [row[: len(wanted)] for row in kept[name]])
    return house


def test_a_journal_of_format_1_loses_nothing_and_goes_on(old, tmp_path):
    tables, before = columns(tmp_path), contents(tmp_path)
    assert len(before["hot"]) == 14
    assert before["alert"]
    assert before["outbox"]
    assert before["checkpoint"]
    assert before["sink"]
    Writer(tmp_path).close()
    assert contents(tmp_path, tables) == before
    old.start()
    old.clock.forward(10)
    old.say((AMMONIA, 2.6))
    old.turn()
    with old.reader() as reader:
        rows = reader.rows_after(0, 100)
        assert rows.n.tolist() == list(range(1, 16))
        assert rows.value[-1] == 2.6
        assert [alert["state"] for alert in reader.alerts(10)] == ["firing"]
    old.kill()
    assert all(finding.good for finding in verify(tmp_path))


def test_a_migrated_journal_has_the_structure_of_a_new_one(old, tmp_path):
    Writer(tmp_path).close()
    Writer(tmp_path / "new").close()
    assert columns(tmp_path) == columns(tmp_path / "new")
    with closing(sqlite3.connect(tmp_path / "live.db")) as db, closing(sqlite3.connect(tmp_path / "new" / "live.db")) as new:
        for name in columns(tmp_path):
            assert db.execute(f"PRAGMA table_info({name})").fetchall() == new.execute(f"PRAGMA table_info({name})").fetchall(), name
        query = "SELECT type, name FROM sqlite_master ORDER BY type, name"
        assert db.execute(query).fetchall() == new.execute(query).fetchall()
        assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)


def test_a_migration_that_fails_in_the_middle_leaves_the_old_journal_whole(old, tmp_path, monkeypatch):
    before = contents(tmp_path)

    def full(db):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(migrating, "STEPS", {1: full})
    with pytest.raises(JournalError, match="full"):
        Writer(tmp_path)
    assert contents(tmp_path) == before
    monkeypatch.undo()
    Writer(tmp_path).close()
    with Reader(tmp_path) as reader:
        assert reader.last_n() == 14


def test_commands_leave_an_older_or_newer_journal_alone_and_say_what_to_do(old, tmp_path):
    with pytest.raises(JournalError, match="next start of the daemon"):
        Reader(tmp_path)
    with closing(sqlite3.connect(tmp_path / "live.db")) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    for opened in (Reader, Writer):
        with pytest.raises(JournalError, match="newer software"):
            opened(tmp_path)
