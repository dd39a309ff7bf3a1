"""Sealed files hold what `live.db` held, to the bit; nobody who reads can tell where a row lies."""

import hashlib
import importlib.util
import itertools
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from house import AMMONIA, NOON, House, S, TurnedClock, site
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed import DAY, PH, days, fill, seal

from config.series import GAP, Reason
from config.site import Journal, Sink, SinkTable
from config.table import Table
from gateway.courier import Courier
from gateway.gap_ledger import gaps_between
from gateway.journal import keeping, sealing
from gateway.journal.archive import Archive
from gateway.journal.archiving import FileHarmed, drop
from gateway.journal.codec import Damaged, decode_floats, decode_ints, encode_floats, encode_ints, open_chunk, seal_chunk
from gateway.journal.copying import copy_journal
from gateway.journal.thinning import step_of
from gateway.journal.verifying import verify
from gateway.journal.writer import Writer
from gateway.overview import Overview
from gateway.traffic import Traffic

WHOLE = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-100, 100), min_size=1, max_size=50)
ANY = st.lists(st.floats() | st.decimals(-1000, 1000, places=3).map(float) | st.just(float("nan")), min_size=1, max_size=50)


def columns(rows):
    """Every column of the rows as bytes: bits, not numbers that compare equal."""
    return {f.name: getattr(rows, f.name).tobytes() for f in fields(rows)[1:]}


# ── the codec ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@given(WHOLE)
@settings(max_examples=200, deadline=None)
def test_whole_numbers_come_back_as_they_were(values):
    column = np.array(values, np.int64)
    assert decode_ints(encode_ints(column), len(column)).tolist() == values


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_floats_come_back_to_the_bit(values):
    column = np.array(values, np.float64)
    column[np.isnan(column)] = np.nan
    assert decode_floats(encode_floats(column), len(column)).tobytes() == column.tobytes()


@given(st.integers(0, 10**6), st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_a_flipped_bit_of_a_chunk_is_found(place, bit):
    chunk = bytearray(seal_chunk([encode_ints(np.arange(100)), encode_floats(np.linspace(0, 1, 100))]))
    chunk[place % len(chunk)] ^= 1 << bit
    with pytest.raises(Damaged):
        open_chunk(bytes(chunk))


# ── sealing changes nothing that can be read ─────────────────────────────────────────────────────────────────────────────
def everything(reader):
    """All that a reader can be asked about rows and events."""
    last, table = reader.last_n(), reader.series()
    events = reader.events_after(0)
    some = list(range(1, last + 1, 7))
    return {
        "all": columns(reader.rows_after(0, 10**6)), "from the middle": columns(reader.rows_after(last // 3, 100)),
        "of": columns(reader.rows_of(some)), "events": events, "few": reader.events_after(events[2].id, 5), "last": last,
        "of event": [columns(reader.rows_of_event(event)) for event in events[::5]],
        "at": [reader.n_at(event.now + k) for event in events[::4] for k in (-1, 0, 1)],
        "series": [columns(reader.rows_of_series(i, since, until, most)) for i in range(len(table))
                   for since, until in ((0, 2**62), (NOON, NOON + DAY), (NOON + DAY // 2, NOON + 2 * DAY)) for most in (3, 10**6)],
        "pieces": [columns(rows) for rows in pieces(reader, 13)],
    }


def pieces(reader, size):
    position = 0
    while len(rows := reader.rows_after(position, size)):
        yield rows
        position = int(rows.n[-1])


def test_nobody_who_reads_can_tell_what_is_sealed(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BLOCK", 40)
    house = days(tmp_path, 3)
    with house.reader() as reader:
        before = everything(reader)
        files = seal(house)
        between = everything(reader)
        while house.writer.db.execute("SELECT min(n) FROM hot").fetchone()[0] < reader.sealed()[-1].n_to:
            with house.writer.transaction():
                keeping.clear(house.writer)
        assert [path.name for path in files] == ["2026-11-21.db", "2026-11-22.db", "2026-11-23.db"]
        assert len(reader.rows_after(0, 10**6)) > 2 * house.writer.db.execute("SELECT count(*) FROM hot").fetchone()[0]
        after = everything(reader)
    for what in before:
        assert between[what] == before[what], f"{what}, sealed and still live"
        assert after[what] == before[what], f"{what}, sealed only"
    house.again()
    with house.reader() as reader:
        assert everything(reader)["all"] == before["all"]
        assert reader.last_event().id == before["events"][-1].id + 1
    house.kill()


def test_a_row_keeps_its_flag_share_revision_and_origin(tmp_path):
    """The sealed rows of this test are not all alike: means, late ones, missing ones."""
    house = days(tmp_path, 2)
    with house.reader() as reader:
        rows = reader.rows_after(0, 10**6)
    for column, least in (("flag", 2), ("share", 2), ("revision", 2), ("origin", 2), ("span", 2), ("which", 3)):
        assert len(np.unique(getattr(rows, column))) >= least, column
    assert np.isnan(rows.raw).any()
    house.kill()


def test_sealing_waits_for_the_checkpoint_and_the_end_of_the_day(tmp_path):
    house = House(tmp_path, site(), TurnedClock(NOON))
    fill(house, 20, 60.0)
    assert seal(house) == [], "the day is not over"
    house.clock.forward(86_400)
    fill(house, 2)
    assert seal(house, checkpoint=False) == [], "a restart would step these events again"
    assert len(seal(house)) == 1
    house.kill()


def test_a_full_segment_is_sealed_within_the_day(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "FULL", 50)
    house = House(tmp_path, site(), TurnedClock(NOON))
    names = []
    for _ in range(3):
        fill(house, 70, 60.0)
        names += [path.name for path in seal(house)]
    assert names == ["2026-11-21.db", "2026-11-21.2.db", "2026-11-21.3.db"]
    house.kill()


def test_what_is_written_while_a_file_is_sealed_is_neither_in_it_nor_lost(tmp_path):
    house = days(tmp_path, 1)
    sealer = sealing.Sealer(tmp_path, Journal(), house.intake.tell)

    def rest(_):
        fill(house, 1)
        return False

    with house.writer.transaction():
        house.core._checkpoint()
        house.core._checkpoint()
        house.writer.db.execute("DELETE FROM checkpoint WHERE event < (SELECT max(event) FROM checkpoint)")
    with house.reader() as reader:
        assert sealer.turn(reader, rest)
        fill(house, 1)
        assert reader.sealed()
        rows = reader.rows_after(0, 10**6)
    assert rows.n.tolist() == list(range(1, int(rows.n[-1]) + 1))
    house.kill()


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
class Greedy:
    """A sink that takes everything."""

    def __init__(self):
        self.ns = []
        self.traffic, self.in_order, self.unsure_s = Traffic(), False, 0.0

    def send(self, rows, deadline):
        self.ns += rows.n.tolist()

    def close(self):
        pass


def with_sink(**limits):
    return site().model_copy(update={"sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())}, "journal": Journal(**limits)})


def limited(size):
    return Journal().model_copy(update={"max_size": size})


def deliver(house, most=10**6):
    sink = Greedy()
    courier = Courier("store", sink, house.site.sinks["store"].common, house.site, house.folder, house.intake, None)
    with house.reader() as reader:
        position = reader.sinks()["store"].n
        while most > 0 and len(rows := reader.rows_after(position, min(most, 50))):
            assert courier.carry(rows, position) is None
            position = int(rows.n[-1])
            most -= len(rows)
        house.turn()
        record, last = reader.sinks()["store"], reader.last_n()
    assert record.sent + record.refused + record.skipped + record.thinned + record.owed + last - record.n == last
    return record, sink.ns


def test_old_days_go_as_files_and_every_sink_s_sum_holds(tmp_path):
    house = days(tmp_path, 4, with_sink())
    deliver(house, 60)
    files = seal(house)
    with house.reader() as reader:
        gone = sum(entry.rows for entry in reader.sealed()[:2])
        assert gone > 120
    for _ in range(5):
        with house.writer.transaction():
            keeping.expire(house.writer, NOON + 2 * DAY)
    seal(house)
    assert [path.exists() for path in files] == [False, False, True, True]
    with house.reader() as reader:
        assert reader.counters()["expired"] == gone
    record, ns = deliver(house)
    assert record.thinned > 60
    assert len(set(ns)) == len(ns)
    assert all(finding.good for finding in verify(tmp_path)), verify(tmp_path)
    house.again()
    assert not files[0].exists()
    house.kill()


def test_a_full_journal_thins_its_oldest_days_step_by_step_and_at_last_gives_them_up(tmp_path):
    house = days(tmp_path, 3, with_sink())
    seal(house)
    before = read_sealed(house)
    with house.reader() as reader:
        used = reader.size()
    order = [[0, 0, 0]]
    sealer = sealing.Sealer(tmp_path, limited(used // 4), house.intake.tell)
    with house.reader() as reader:
        while order[-1] != [3, 3, 3]:
            assert sealer.turn(reader)
            house.turn()
            now = [int(step_of(entry)) for entry in reader.sealed()]
            if now != order[-1]:
                order.append(now)
                assert all(finding.good for finding in verify(tmp_path))
    with house.writer.transaction():
        keeping.clear(house.writer)
    assert order[1] == [1, 0, 0], "the oldest first"
    assert order[3] == [1, 1, 1], "all readings before any minutes"
    with house.reader() as reader:
        rows = reader.rows_after(0, 10**6)
        old = rows.pick(rows.n < before[-1].n_to)
        assert reader.counters()["thinned"] == before[-1].n_to - 1 - len(old)
    record, _ = deliver(house)
    assert record.thinned == before[-1].n_to - 1 - len(old)
    for _ in range(2):
        seal(house, limited(used // 4))
    assert read_sealed(house)[0].event_from > before[0].event_from, "the oldest day went"
    house.kill()


def read_sealed(house):
    with house.reader() as reader:
        return reader.sealed()


# ── the chain ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_each_file_carries_the_hash_of_the_one_before_and_anyone_can_check_it(tmp_path):
    house = days(tmp_path, 3)
    files = seal(house)
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in files]
    for path, before in zip(files, [b"", *digests], strict=False):
        with Archive(path) as archive:
            assert archive.head().previous == before
    said = next(f.words for f in verify(tmp_path) if f.name == "archive")
    assert digests[-1].hex() in said
    house.kill()


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "swap", "forge"])
def test_verify_tells_which_day_was_harmed_and_the_others_are_still_read(tmp_path, harm):
    house = days(tmp_path, 3)
    files = seal(house)
    with house.writer.transaction():
        keeping.clear(house.writer)
    with house.reader() as reader:
        entries = reader.sealed()
        before = reader.rows_after(0, 10**6)
    middle = files[1]
    if harm == "remove":
        middle.unlink()
    elif harm == "truncate":
        middle.write_bytes(middle.read_bytes()[:5000])
    elif harm == "swap":
        shutil.copy(files[0], middle)
    elif harm == "flip":
        data = bytearray(middle.read_bytes())
        data[len(data) // 2] ^= 4
        middle.write_bytes(data)
    else:
        with closing(sqlite3.connect(middle)) as db, db:
            db.execute("UPDATE chunk SET rows = rows WHERE id = (SELECT min(id) FROM chunk)")
            db.execute("UPDATE head SET value = 'other' WHERE key = 'journal_id'")
    bad = [finding for finding in verify(tmp_path) if not finding.good]
    assert [finding.name for finding in bad] == ["archive"]
    assert middle.name in bad[0].words
    assert files[0].name not in bad[0].words
    with house.reader() as reader:
        rows = reader.rows_after(0, 10**6)
    others = before.pick((before.n < entries[1].n_from) | (before.n >= entries[1].n_to))
    assert set(others.n.tolist()) <= set(rows.n.tolist())
    kept = before.pick(np.isin(before.n, rows.n))
    if harm != "swap":
        assert columns(kept)["value"] == columns(rows)["value"], "what is read is what was written"
    house.again()
    fill(house, 1)
    house.kill()


# ── kills and files that are not whole ───────────────────────────────────────────────────────────────────────────────────
class Killed(BaseException):
    """The process ends here."""


PLACES = ("gateway.journal.sealing.ArchiveFile.add", "gateway.journal.sealing.ArchiveFile.finish", "gateway.journal.sealing.digest_of",
          "gateway.journal.sealing.sync", "pathlib.Path.rename", "gateway.journal.archiving.FileSealed.write", "gateway.journal.keeping.clear")


@pytest.mark.parametrize(("place", "after"), list(itertools.product(PLACES, (False, True))))
def test_killed_anywhere_while_sealing_every_row_is_there_once(tmp_path, monkeypatch, place, after):
    from importlib import import_module

    house = days(tmp_path, 2)
    with house.reader() as reader:
        before = columns(reader.rows_after(0, 10**6))
    module, name = place.rsplit(".", 1)
    try:
        owner = import_module(module)
    except ModuleNotFoundError:
        module, kind = module.rsplit(".", 1)
        owner = getattr(import_module(module), kind)
    original = getattr(owner, name)

    def dying(*args):
        if after:
            original(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        with pytest.raises(Killed):
            seal(house)
            with house.writer.transaction():
                keeping.clear(house.writer)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in ("live.db", "live.db-wal"):
        if (tmp_path / file).exists():
            shutil.copy(tmp_path / file, copy / file)
    if (tmp_path / "archive").exists():
        shutil.copytree(tmp_path / "archive", copy / "archive")
    house.kill()
    again = House(copy, house.site, house.clock)
    with again.reader() as reader:
        assert columns(reader.rows_after(0, 10**6)) == before
    assert len(seal(again)) == 2 or place.endswith("clear")
    with again.writer.transaction():
        keeping.clear(again.writer)
    with again.reader() as reader:
        assert columns(reader.rows_after(0, 10**6)) == before
    assert all(finding.good for finding in verify(copy)), verify(copy)
    assert not list((copy / "archive").glob("*.part"))
    again.kill()


def test_a_journal_that_had_to_begin_anew_takes_in_the_days_that_are_whole(tmp_path):
    house = days(tmp_path, 3)
    files = seal(house)
    with house.reader() as reader:
        before, entries = reader.rows_after(0, 10**6), reader.sealed()
    house.kill()
    for name in ("live.db", "live.db-wal", "live.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "live.db").write_bytes(b"\0" * 5000)
    house.start()
    with house.reader() as reader:
        rows = reader.rows_after(0, 10**6)
        assert [entry.file for entry in reader.sealed()] == [path.name for path in files]
    assert columns(rows.pick(rows.n < entries[-1].n_to)) == columns(before.pick(before.n < entries[-1].n_to))
    fill(house, 1)
    with house.reader() as reader:
        assert reader.last_n() > entries[-1].n_to
    house.kill()


def test_a_lost_day_is_counted_and_everything_else_goes_on(tmp_path):
    house = days(tmp_path, 3, with_sink())
    files = seal(house)
    with house.writer.transaction():
        keeping.clear(house.writer)
    lost = read_sealed(house)[1].rows
    house.kill()
    files[1].unlink()
    house.start()
    with house.reader() as reader:
        assert reader.counters()["lost"] == lost
    record, _ = deliver(house)
    assert record.thinned == lost
    assert next(f for f in verify(tmp_path) if f.name == "archive").good, "it is known and counted"
    house.kill()


def spells(house):
    """What the ledger of gaps says is lost: series → (since, until), and how many rows say so."""
    with house.reader() as reader:
        table, rows = reader.series(), reader.rows_after(0, 10**6)
    mine = [i for i in range(len(rows)) if rows.reason[i] == Reason.LOST]
    found = {table[rows.which[i]]: (int(rows.at[i]) - round(rows.value[i] * S), int(rows.at[i])) for i in mine}
    assert all(series.statistic == GAP for series in found)
    return {series._replace(statistic=""): times for series, times in found.items()}, len(mine)


def seen(house, low, high):
    """Independently of what noted it: the measured series that spoke with arrival numbers in low … high - 1, and when."""
    with house.reader() as reader:
        rows, table = reader.rows_after(0, 10**6), reader.series()
    mine = rows.pick((rows.n >= low) & (rows.n < high))
    return {table[w]: mine.at[mine.which == w] for w in set(mine.which.tolist()) if not table[w].statistic and table[w].device}


def at_night(house):
    """What the check of the night tells the core."""
    harmed = []
    verify(house.folder, lambda *found: harmed.append(found))
    for entry, why in harmed:
        house.intake.tell(FileHarmed.found(house.folder, entry, why))
    house.core._last_keeping = -10**9
    house.turn()
    return len(harmed)


@pytest.mark.parametrize(("found", "noted"), [("at a start", False), ("at night", True)])
def test_a_lost_day_is_in_the_ledger_of_gaps_once_for_each_series_that_was_in_it(tmp_path, found, noted):
    house = days(tmp_path, 3)
    files = seal(house)
    with house.writer.transaction():
        keeping.clear(house.writer)
        if not noted:  # sealed by an older version
            house.writer.db.execute("DELETE FROM meta WHERE key LIKE 'sealed_series:%'")
    entry = read_sealed(house)[1]
    spoke = seen(house, entry.n_from, entry.n_to)
    assert len(spoke) == 3
    if found == "at a start":
        house.kill()
        files[1].unlink()
        house.start()
    else:
        files[1].unlink()
        assert at_night(house) == 1
        assert at_night(house) == 0, "it is known from now on"
    lost, rows = spells(house)
    assert lost.keys() == spoke.keys()
    assert rows == 3
    midnight = NOON + DAY // 2
    for series, (since, until) in lost.items():
        live = [at for at in spoke[series].tolist() if at > entry.now_from]
        assert midnight <= since <= min(live), "late data of the day before are no reason to call that day lost"
        assert max(live) <= until <= midnight + DAY
    house.again()
    assert spells(house)[1] == 3, "once"
    with house.reader() as reader:
        gaps = gaps_between(reader, 0, 2**63 - 1, [reader.series().index(AMMONIA)])
    assert [gap.words for gap in gaps if gap.reason == Reason.LOST] == ["kept, but its sealed day is lost"]
    overview = Overview(tmp_path, house.site, "test", house.clock, [], dict)
    assert [gap["words"] for gap in overview.status()["gaps"]].count("kept, but its sealed day is lost") == 3
    (note,) = overview.status()["notes"]
    assert f"sealed {files[1].name}" in note
    assert "is gone" in note
    overview.close()
    assert all(finding.good for finding in verify(tmp_path)), verify(tmp_path)
    house.kill()


def test_of_a_harmed_day_only_what_cannot_be_read_is_in_the_ledger_of_gaps_and_once(tmp_path):
    house = days(tmp_path, 3)
    files = seal(house)
    with house.writer.transaction():
        keeping.clear(house.writer)
    with house.reader() as reader:
        which = reader.series().index(PH)
    with closing(sqlite3.connect(files[1])) as db, db:
        (body,) = db.execute("SELECT body FROM chunk WHERE id % (1 << 24) = ?", (which,)).fetchone()
        harmed = bytes([*body[:40], body[40] ^ 4, *body[41:]])
        db.execute("UPDATE chunk SET body = ? WHERE id % (1 << 24) = ?", (harmed, which))
    assert files[1].stat().st_size == read_sealed(house)[1].size, "else a start calls it lost"
    assert at_night(house) == 1
    assert at_night(house) == 1, "the chain is broken for good"
    lost, rows = spells(house)
    assert (lost.keys(), rows) == ({PH}, 1)
    entry = read_sealed(house)[1]
    assert lost[PH][0] >= entry.now_from
    assert lost[PH][1] <= entry.now_to
    with house.writer.transaction():
        drop(house.writer, entry.event_from, entry.event_to, "expired")
    with house.reader() as reader:
        assert reader.meta(f"harmed:{entry.event_from}") is reader.meta(f"sealed_series:{entry.event_from}") is None
    house.kill()


def test_a_day_that_is_another_day_s_file_is_lost(tmp_path):
    house = days(tmp_path, 3)
    files = seal(house)
    with house.writer.transaction():
        keeping.clear(house.writer)
    shutil.copy(files[0], files[1])
    at_night(house)
    assert len(spells(house)[0]) == 3
    assert read_sealed(house)[1].lost
    house.kill()


def test_a_disk_that_fills_while_sealing_leaves_the_rows_where_they_are(tmp_path, monkeypatch):
    house = days(tmp_path, 2)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(sealing.ArchiveFile, "add", full)
        with pytest.raises(sqlite3.OperationalError):
            seal(house)
    assert not list((tmp_path / "archive").iterdir())
    assert len(seal(house)) == 2
    house.kill()


def test_the_files_of_a_restored_older_copy_do_not_hide_what_it_holds(tmp_path):
    """live.db comes from a backup, the files from now: what both hold is there once."""
    house = days(tmp_path, 2)
    house.kill()
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(tmp_path / "live.db", kept / "live.db")
    house.start()
    with house.reader() as reader:
        before = columns(reader.rows_after(0, 10**6))
    seal(house)
    house.kill()
    shutil.copytree(tmp_path / "archive", kept / "archive")
    writer = Writer(kept)
    writer.close()
    again = House(kept, house.site, house.clock)
    with again.reader() as reader:
        assert columns(reader.rows_after(0, 10**6)) == before
    again.kill()


def test_a_backup_holds_the_sealed_days_and_the_next_one_copies_only_what_is_new(tmp_path):
    house = days(tmp_path / "journal", 2)
    seal(house)
    stick = tmp_path / "stick"
    stick.mkdir()
    first = copy_journal(house.folder, stick / "one.db")
    assert (first.new, first.all) == (2, 2)
    fill(house, 30, 3600.0)
    seal(house)
    with house.reader() as reader:
        before = columns(reader.rows_after(0, 10**6))
    second = copy_journal(house.folder, stick / "two.db")
    assert (second.new, second.all) == (1, 3)
    assert all(finding.good for finding in second.found)
    house.kill()
    restored = tmp_path / "restored"
    shutil.copytree(second.archives, restored / "archive")
    shutil.copy(stick / "two.db", restored / "live.db")
    again = House(restored, house.site, house.clock)
    with again.reader() as reader:
        rows = reader.rows_after(0, 10**6)
        assert columns(rows.pick(rows.n <= len(before["flag"]))) == before
    again.kill()


def test_a_backup_with_a_harmed_day_does_not_get_its_name(tmp_path):
    house = days(tmp_path / "journal", 2)
    files = seal(house)
    data = bytearray(files[0].read_bytes())
    data[len(data) // 2] ^= 1
    files[0].write_bytes(data)
    copy = copy_journal(house.folder, tmp_path / "copy.db")
    assert [finding.name for finding in copy.found if not finding.good] == ["archive"]
    assert not (tmp_path / "copy.db").exists()
    house.kill()


def test_half_a_million_readings_are_small_quickly_charted_and_quickly_started_from(tmp_path):
    """A generous form of the figures in docs/benchmarks.json; what they cost is CPU time, so a busy machine does not matter."""
    spec = importlib.util.spec_from_file_location("benchmark_archive", Path(__file__).parent.parent / "benchmarks/archive.py")
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench
    spec.loader.exec_module(bench)
    rng, digest, size = np.random.default_rng(1), b"", 0
    for number in range(3):
        digest, more = bench.sealed_day(tmp_path, number, digest, rng)
        size += more
    assert size / (3 * bench.STEPS * len(bench.TABLE)) < 4
    clock = bench.TurnedClock(bench.START + 3 * DAY)
    first = bench.Station7(tmp_path, clock)
    first.writer.abandon()
    began = time.process_time()
    again = bench.Station7(tmp_path, clock)
    assert time.process_time() - began < 2
    again.writer.abandon()
    assert bench.charts(tmp_path, 3)["median_ms"] < 50
