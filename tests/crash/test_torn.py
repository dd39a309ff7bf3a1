"""A torn, truncated or garbled journal never stops a start, and what it holds is a prefix without a hole."""

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from house import AMMONIA, LAEQ, House, site
from torn import TARGETS, make, open_again

from gateway.journal import writer
from gateway.journal.verifying import verify

CASES = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal as kill -9 leaves it: sealed days, a live one, a WAL."""
    return make(tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("copy"))


@pytest.mark.parametrize("seed", range(CASES))
def test_a_damaged_file_leaves_a_prefix_without_a_hole_and_a_working_start(whole, tmp_path, seed):
    open_again(whole, tmp_path / "journal", random.Random(seed), TARGETS[seed % len(TARGETS)])


def test_the_damage_in_these_cases_is_real(whole, tmp_path):
    """Some cases must lose something, or the harness is blind."""
    lost = {target: sum(open_again(whole, tmp_path / f"{target}{seed}", random.Random(seed), target).lost > 0 for seed in range(6))
            for target in TARGETS}
    assert min(lost.values()) >= 1, lost
    assert sum(lost.values()) >= 6, lost


def test_what_a_wal_that_is_torn_takes_with_it_is_whole_commits(tmp_path):
    """Commit k holds the readings 2k and 2k + 1 and their counter: never one without the other."""
    house = House(tmp_path / "journal", site())
    for k in range(40):
        house.clock.forward(1)
        house.say((AMMONIA, 2.0 * k), (LAEQ, 2.0 * k + 1))
        house.turn()
    wal = (house.folder / "live.db-wal").read_bytes()
    frame = int.from_bytes(wal[8:12]) + 24  # a page and its head
    whole = [len(wal) - back * frame for back in range(1, 21)]  # between any two frames of the newest commits
    for place in whole + [random.Random(seed).randrange(len(wal)) for seed in range(4)]:
        folder = tmp_path / str(place)
        folder.mkdir()
        shutil.copy(house.folder / "live.db", folder / "live.db")
        (folder / "live.db-wal").write_bytes(wal[:place])
        again = House(folder, site())
        with again.reader() as reader:
            values, counters = reader.rows_after(0, 1000).value.tolist(), reader.counters()
        assert values == [float(k) for k in range(len(values))]
        assert len(values) % 2 == 0
        assert counters.get("journalled", 0) == len(values)
        again.kill()
    house.kill()


def test_a_journal_that_is_no_database_is_kept_for_people_and_a_new_one_begins(tmp_path):
    (tmp_path / "live.db").write_bytes(b"\0" * 20_000)
    house = House(tmp_path, site())
    house.say((AMMONIA, 0.5))
    house.turn()
    with house.reader() as reader:
        assert reader.rows_after(0, 10).value.tolist() == [0.5]
    assert [p for p in tmp_path.iterdir() if ".damaged-" in p.name]
    house.kill()


class Killed(BaseException):
    """The process is gone: nobody catches it."""


def test_killed_anywhere_while_a_damaged_file_is_salvaged_the_next_start_salvages_it(tmp_path, monkeypatch):
    house = House(tmp_path / "journal", site())
    for k in range(20):
        house.clock.forward(1)
        house.say((AMMONIA, float(k)))
        house.turn()
    with contextlib.closing(sqlite3.connect(house.folder / "live.db")) as db, db:
        db.execute("DELETE FROM event WHERE id = 17")
    died = 0
    for moment in range(10):
        folder = tmp_path / str(moment)
        shutil.copytree(house.folder, folder)
        with monkeypatch.context() as patched:
            left = iter([False] * moment)

            def dying(work, left=left):
                def done(*given):
                    if next(left, True):
                        raise Killed
                    found = work(*given)
                    if next(left, True):
                        raise Killed
                    return found

                return done

            patched.setattr(writer, "salvage", dying(writer.salvage))
            patched.setattr(Path, "rename", dying(Path.rename))
            with contextlib.suppress(Killed):
                House(folder, site()).kill()
                patched.undo()
                break
            died += 1
        again = House(folder, site())
        with again.reader() as reader:
            rows = reader.rows_after(0, 100)
        assert [v for v in rows.value.tolist() if v == v] == [float(k) for k in range(15)], moment
        assert len([p for p in folder.iterdir() if p.name.endswith("Z")]) == 1
        assert not [p for p in folder.iterdir() if "salvaging" in p.name]
        again.kill()
    assert died >= 6, "before and after two renames and the salvage itself"
    house.kill()


def test_out_of_a_damaged_file_comes_what_lies_before_the_damage_and_the_rest_is_counted(whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    with sqlite3.connect(tmp_path / "live.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        gone, n = db.execute("SELECT id, n_from FROM event ORDER BY id DESC LIMIT 1 OFFSET 20").fetchone()
        db.execute("DELETE FROM event WHERE id = ?", (gone,))
    db.close()
    house = House(tmp_path, site())
    with house.reader() as reader:
        start = reader.last_event()
        assert start.n_from == n
        assert start.id == gone
        assert reader.counters()["lost"] == max(whole.values) - n + 1
        rows = reader.rows_after(0, 10**6)
        assert rows.n[rows.n < n].tolist() == list(range(1, n))
    assert all(finding.good for finding in verify(tmp_path)), verify(tmp_path)
    house.kill()


def test_a_damaged_index_is_made_anew_and_costs_nothing(whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True)
    index = ()
    for change in ("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master WHERE name = 'outbox_next'",
                   "DELETE FROM sqlite_master WHERE name = 'outbox_next'",
                   "INSERT INTO outbox(recipient, message, due, tries, state, body) VALUES ('hook:one', 'm', 0, 0, 'waiting', '{}')",
                   "INSERT INTO sqlite_master VALUES (?,?,?,?,?)"):
        db = sqlite3.connect(tmp_path / "live.db", isolation_level=None)
        db.execute("PRAGMA writable_schema = 1")
        found = db.execute(change, index if "?" in change else ()).fetchone()
        index = found or index
        db.close()
    with sqlite3.connect(tmp_path / "live.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() != ("ok",)
    db.close()
    house = House(tmp_path, site())
    assert not [p for p in tmp_path.iterdir() if ".damaged-" in p.name]
    with house.reader() as reader:
        assert reader.rows_after(0, 10**6).n[: len(whole.values)].tolist() == sorted(whole.values)
    assert all(finding.good for finding in verify(tmp_path)), verify(tmp_path)
    house.kill()
