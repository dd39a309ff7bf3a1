"""The write-ahead log of a `live.db` that is gone or empty is not thrown away: what it holds is read, or kept for people."""

import os
import shutil

import pytest
from house import AMMONIA, NOON, House, S, TurnedClock, site
from sealed import fill, seal

from gateway.journal.verifying import verify
from gateway.journal.writer import JournalDamaged


def rows_of(house):
    with house.reader() as reader:
        rows = reader.rows_after(0, 10**6)
    return {(n, at, value) for n, at, value in zip(rows.n.tolist(), rows.at.tolist(), rows.raw.tolist(), strict=True) if value == value}


def killed(house, folder):
    """What a kill -9 leaves in `folder`."""
    shutil.copytree(house.folder, folder)
    house.kill()


def alerts_of(house):
    with house.reader() as reader:
        return [alert["rule"] + ": " + alert["body"]["what"] for alert in reader.alerts(50)]


def begun(folder, *, folded):
    house = House(folder, site(), TurnedClock(NOON))
    fill(house, 10)
    if folded:
        house.writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        fill(house, 400)
    return house


@pytest.mark.parametrize("harm", ["empty", "gone"])
def test_a_log_whose_file_is_empty_or_gone_gives_back_all_that_was_acknowledged(tmp_path, harm, caplog):
    house = begun(tmp_path / "first", folded=False)
    before, folder = rows_of(house), tmp_path / "j"
    killed(house, folder)
    if harm == "empty":
        os.truncate(folder / "live.db", 0)
    else:
        (folder / "live.db").unlink()
        (folder / "live.db-shm").unlink()
    size = (folder / "live.db-wal").stat().st_size
    house = House(folder, site(), TurnedClock(NOON + 900 * S, "boot-2"))
    assert before
    assert before <= rows_of(house)
    (kept,) = folder.glob("live.db-wal.kept-*")
    assert kept.stat().st_size == size
    assert f"live.db was {harm}; its write-ahead log was there with" in caplog.text
    assert [words for words in alerts_of(house) if words.startswith("journal_moved") and kept.name in words]
    assert all(finding.good for finding in verify(folder)), verify(folder)
    house.again()
    assert before <= rows_of(house)
    house.kill()


def test_of_a_log_whose_older_pages_went_with_the_file_what_is_lost_is_counted_and_both_are_kept(tmp_path):
    house = begun(tmp_path / "first", folded=True)
    with house.reader() as reader:
        last, journal = reader.last_n(), reader.meta("journal_id")
    folder = tmp_path / "j"
    killed(house, folder)
    os.truncate(folder / "live.db", 0)
    house = House(folder, site(), TurnedClock(NOON + 9000 * S, "boot-2"))
    with house.reader() as reader:
        assert reader.counters()["lost"] == last
        assert reader.meta("journal_id") != journal
    assert len(list(folder.glob("live.db-wal.kept-*"))) == 1
    assert len(list(folder.glob("live.db.damaged-*Z"))) == 1
    house.say((AMMONIA, 0.5))
    house.turn()
    house.kill()


def test_a_log_that_nobody_can_read_is_kept_and_the_station_measures(tmp_path, caplog):
    (tmp_path / "live.db-wal").write_bytes(b"no log at all, but somebody may know what it is" * 9)
    house = House(tmp_path, site(), TurnedClock(NOON))
    assert len(list(tmp_path.glob("live.db-wal.kept-*"))) == 1
    assert "without the file they cannot be read" in caplog.text
    fill(house, 2)
    assert seal(house) == []
    house.kill()


def test_a_journal_that_is_damaged_while_it_is_written_is_salvaged_by_the_next_start(tmp_path):
    """Not by this one: every reader in it has the damaged file open and would follow that for ever."""
    house = begun(tmp_path, folded=False)
    house.writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with house.reader() as reader:
        journal = reader.meta("journal_id")
    root = house.writer.db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'hot'").fetchone()[0]
    house.writer.abandon()
    with (tmp_path / "live.db").open("r+b") as file:
        file.seek((root - 1) * 1024)
        file.write(os.urandom(1024))
    house.writer._checked = False  # as after a commit that found it
    with pytest.raises(JournalDamaged, match="was damaged while the daemon wrote it"):
        fill(house, 1)
    assert not list(tmp_path.glob("live.db.damaged-*"))
    house.again()
    assert len(list(tmp_path.glob("live.db.damaged-*Z"))) == 1
    with house.reader() as reader:
        assert reader.meta("journal_id") != journal
    house.kill()
