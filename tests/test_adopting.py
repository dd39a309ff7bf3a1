"""Sealed files that no entry names are taken in where they belong, and never removed while they hold what is nowhere else."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from house import NOON, House, S, TurnedClock
from sealed import days, fill, seal

from config.series import Reason
from config.site import Journal
from gateway.gap_ledger import gaps_between
from gateway.journal import keeping
from gateway.journal.copying import copy_journal
from gateway.journal.identity import own_ids
from gateway.journal.sealing import Sealer
from gateway.journal.verifying import verify


@dataclass
class Station:
    """A journal of three sealed days, and a backup of it from the second one, when nothing was sealed yet."""

    folder: Path
    backup: Path
    now: int
    rows: dict[int, tuple[int, float]]
    """All that was in it by arrival number."""
    sealed: list[str]
    end: int
    """The first number that is not sealed."""

    def copy(self, to: Path, live: Path | None = None) -> Path:
        shutil.copytree(self.folder, to)
        if live:
            for name in ("live.db", "live.db-wal", "live.db-shm"):
                (to / name).unlink(missing_ok=True)
            shutil.copy(live, to / "live.db")
        return to

    def house(self, folder: Path, site) -> House:
        return House(folder, site, TurnedClock(self.now + 600 * S, "boot-2"))


def rows_of(house):
    with house.reader() as reader:
        rows = reader.rows_after(0, 10**6)
    return {n: (at, value) for n, at, value in zip(rows.n.tolist(), rows.at.tolist(), rows.raw.tolist(), strict=True) if value == value}


def built(folder: Path, *, cleared: bool, turns: int = 30) -> tuple[Station, object]:
    house = days(folder / "j", 1)
    copy_journal(house.folder, folder / "backup.db")
    fill(house, turns, 3600.0)
    rows = rows_of(house)
    files = seal(house)
    with house.reader() as reader:
        end = reader.sealed()[-1].n_to
    while cleared and house.writer.db.execute("SELECT min(n) FROM hot").fetchone()[0] < end:
        with house.writer.transaction():
            keeping.clear(house.writer)
    site, now = house.site, house.clock.utc_ns
    house.kill()
    return Station(folder / "j", folder / "backup.db", now, rows, [path.name for path in files], end), site


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    return built(tmp_path_factory.mktemp("station"), cleared=True)


@pytest.fixture
def station(built_once):
    return built_once[0]


@pytest.fixture
def plan(built_once):
    return built_once[1]


def names(folder):
    return sorted(path.name for path in (folder / "archive").iterdir())


def lost_gaps(house):
    with house.reader() as reader:
        table = reader.series()
        measured = [i for i, series in enumerate(table) if not series.statistic]
        gaps = gaps_between(reader, 0, 2**63 - 1, measured)
    return [gap for gap in gaps if gap.reason == Reason.LOST]


def identity(house):
    with house.reader() as reader:
        return str(reader.meta("journal_id"))


def is_whole(station, house):
    """Everything that was sealed is there, to the bit, and every check of the journal says so."""
    there = rows_of(house)
    assert {n: row for n, row in there.items() if n < station.end} == {n: row for n, row in station.rows.items() if n < station.end}
    assert all(finding.good for finding in verify(house.folder)), verify(house.folder)


# ── live.db is older than the files ──────────────────────────────────────────────────────────────────────────────────────
def test_days_that_were_sealed_after_the_backup_that_live_db_is_from_are_taken_in(tmp_path, station, plan):
    house = station.house(station.copy(tmp_path / "j", station.backup), plan)
    assert names(house.folder) == station.sealed
    assert rows_of(house).keys() >= {n for n in station.rows if n < station.end}
    gaps = lost_gaps(house)
    assert len(gaps) == 3, "of each series it is said that nobody knows what came after the newest file"
    assert all(gap.until == station.now + 600 * S for gap in gaps)
    fill(house, 3)
    is_whole(station, house)
    house.again()
    is_whole(station, house)
    assert len(lost_gaps(house)) == 3, "once"
    assert names(house.folder) == station.sealed
    house.kill()


@pytest.mark.parametrize("turns", [5, 60])
def test_a_live_db_that_went_on_without_its_newer_files_keeps_its_rows_and_the_files_are_kept_aside(tmp_path, station, plan, caplog, turns):
    folder = station.copy(tmp_path / "j", station.backup)
    (folder / "archive").rename(tmp_path / "away")
    house = station.house(folder, plan)
    fill(house, turns)
    mine = rows_of(house)
    house.kill()
    (tmp_path / "away").rename(folder / "archive")
    house.start()
    assert mine.items() <= rows_of(house).items()
    same = station.sealed[:1] if turns < 60 else []  # the first day is the same in both; if nothing reaches further, live.db alone has it
    assert names(folder) == [*same, f"{station.sealed[1]}.aside"]
    assert not lost_gaps(house)
    assert "live.db has other events with its numbers" in caplog.text
    house.kill()


# ── a folder that was away ───────────────────────────────────────────────────────────────────────────────────────────────
def test_days_that_were_away_for_a_start_are_back_at_the_next_and_the_ledger_says_so(tmp_path, station, plan):
    folder = station.copy(tmp_path / "j")
    house = station.house(folder, plan)
    house.kill()
    before = None
    for _ in range(2):
        (folder / "archive").rename(tmp_path / "away")
        house.start()
        assert not rows_of(house).keys() & {n for n in station.rows if n < station.end}
        gaps = lost_gaps(house)
        assert gaps
        assert not any(gap.is_filled for gap in gaps)
        with house.reader() as reader:
            assert reader.counters()["lost"] == sum(entry.n_to - entry.n_from for entry in reader.sealed())
        house.kill()
        (tmp_path / "away").rename(folder / "archive")
        house.start()
        is_whole(station, house)
        back = lost_gaps(house)
        assert [(gap.series, gap.since, gap.until) for gap in back] == [(gap.series, gap.since, gap.until) for gap in gaps]
        assert all(gap.is_filled for gap in back)
        with house.reader() as reader:
            assert reader.counters()["lost"] == 0
            assert not [entry for entry in reader.sealed() if entry.lost]
        assert names(folder) == station.sealed
        assert before in (None, back)
        before = back
        house.kill()


def test_a_day_that_is_away_while_live_db_still_holds_it_is_not_lost(tmp_path):
    station, plan = built(tmp_path, cleared=False, turns=3)
    (station.folder / "archive").rename(tmp_path / "away")
    house = station.house(station.folder, plan)
    assert station.rows.items() <= rows_of(house).items()
    with house.reader() as reader:
        assert "lost" not in reader.counters()
    house.kill()
    (tmp_path / "away").rename(station.folder / "archive")
    house.start()
    assert station.rows.items() <= rows_of(house).items()
    assert len(seal(house)) == len(station.sealed)
    assert station.rows.items() <= rows_of(house).items()
    house.kill()


# ── files that somebody laid there or renamed ────────────────────────────────────────────────────────────────────────────
def test_a_day_that_somebody_renamed_is_found_by_what_it_is(tmp_path, station, plan):
    folder = station.copy(tmp_path / "j")
    (folder / "archive" / station.sealed[0]).rename(folder / "archive" / f"copy of {station.sealed[0]}")
    house = station.house(folder, plan)
    is_whole(station, house)
    assert names(folder) == station.sealed
    house.kill()


def test_the_sealer_removes_nothing_that_others_laid_there(tmp_path, station, plan):
    folder = station.copy(tmp_path / "j")
    house = station.house(folder, plan)
    shutil.copy(folder / "archive" / station.sealed[0], folder / "archive" / "copy.db")
    (folder / "archive" / "2026-01-01.db.part").write_bytes(b"half a file")
    (folder / "archive" / station.sealed[1]).rename(folder / "archive" / "renamed.db")
    with house.reader() as reader:
        Sealer(folder, Journal(), house.intake.tell).turn(reader)
    assert names(folder) == sorted([station.sealed[0], *station.sealed[2:], "copy.db", "renamed.db"])
    house.again()
    is_whole(station, house)
    assert names(folder) == station.sealed, "a copy of what is there, whole, is not needed"
    house.kill()


def test_files_of_another_station_are_kept_aside_and_said(tmp_path, station, plan, caplog):
    other, _ = built(tmp_path, cleared=True, turns=3)
    folder = station.copy(tmp_path / "mine")
    for name in other.sealed:
        shutil.copy(other.folder / "archive" / name, folder / "archive" / f"box2-{name}")
    house = station.house(folder, plan)
    is_whole(station, house)
    assert names(folder) == sorted([*station.sealed, *(f"box2-{name}.foreign" for name in other.sealed)])
    assert "it is of another journal" in caplog.text
    house.kill()
    for name in ("live.db", "live.db-wal", "live.db-shm"):  # nobody knows any more whose journal it is: that of most files
        (folder / name).unlink(missing_ok=True)
    for name in other.sealed:
        (folder / "archive" / f"box2-{name}.foreign").rename(folder / "archive" / f"0-{name}")
    house.start()
    is_whole(station, house)
    assert names(folder) == sorted([*station.sealed, *(f"0-{name}.foreign" for name in other.sealed)])
    assert "live.db is new, archive/ has files already" in caplog.text
    assert len(lost_gaps(house)) == 3
    house.kill()


def test_what_the_journal_has_let_go_of_is_removed_by_the_next_start_and_nothing_else(tmp_path, station, plan):
    folder = station.copy(tmp_path / "j")
    house = station.house(folder, plan)
    with house.writer.transaction():
        assert keeping.expire(house.writer, NOON + 100 * 86_400 * S)
    assert names(folder) == station.sealed
    house.again()
    assert names(folder) == station.sealed[1:]
    shutil.copy(station.folder / "archive" / station.sealed[0], folder / "archive")
    house.again()
    assert names(folder) == [f"{station.sealed[0]}.aside", *station.sealed[1:]], "somebody has brought it back: it is kept, but not shown"
    house.kill()


# ── what a killed backup leaves ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_backup_removes_what_a_killed_one_left_but_not_what_another_is_writing(tmp_path, station):
    stick = tmp_path / "stick"
    (stick / "ecosentry-archive-12345678").mkdir(parents=True)
    left = [stick / "ecosentry-20261101T000000Z.db.part", stick / "ecosentry-20261101T000000Z.db.part-journal",
            stick / "ecosentry-archive-12345678" / "2026-11-01.db.part"]
    kept = [stick / "holiday.db.part", stick / "ecosentry-20261101T000000Z.db", stick / "ecosentry-archive-12345678" / "2026-11-01.db"]
    for path in (*left, *kept):
        path.write_bytes(b"something")
    opened = os.open(stick, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_SH)  # as another backup has it
    copy_journal(station.folder, stick / "ecosentry-one.db")
    assert all(path.exists() for path in (*left, *kept))
    os.close(opened)
    copy_journal(station.folder, stick / "ecosentry-two.db")
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*kept, stick / "ecosentry-one.db", stick / "ecosentry-two.db"))


# ── numbers that are given again ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_journal_restored_from_a_backup_counts_within_a_new_id_and_knows_its_files_by_the_old_one(tmp_path, station, plan):
    plain = station.house(station.copy(tmp_path / "j"), plan)
    first = identity(plain)
    plain.again()
    assert identity(plain) == first, "a start alone changes nothing"
    copy = copy_journal(plain.folder, tmp_path / "copy.db")
    assert identity(plain) == first, "nor does being copied"
    plain.kill()
    restored = tmp_path / "restored"
    shutil.copytree(copy.archives, restored / "archive")
    shutil.copy(tmp_path / "copy.db", restored / "live.db")
    house = station.house(restored, plan)
    second = identity(house)
    assert second[:8] != first[:8], "ids of messages begin so"
    assert first in own_ids(house.writer.db)
    is_whole(station, house)
    house.again()
    assert identity(house) == second, "once"
    house.writer.db.execute("DELETE FROM archive")
    house.again()
    is_whole(station, house)
    house.kill()
