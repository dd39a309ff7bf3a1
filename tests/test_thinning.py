"""When room is short, readings become minute means, these hourly ones; gaps, daily values and alerts go last. A plain twin says what is right."""

import json
import math
import os
import statistics
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest
from house import NOON, House, S, TurnedClock, site
from sealed import DAY, seal
from test_sealing import deliver, limited, read_sealed, with_sink

from config.series import Series
from gateway.alerts import iso
from gateway.cli import main
from gateway.coarser import coarse
from gateway.journal import keeping, room, sealing
from gateway.journal.sealing import Sealer
from gateway.journal.thinning import Step, fineness, next_step, step_of
from gateway.journal.verifying import verify
from gateway.wiring import Expected

LEVEL, SOUND, PEAK = (Series("river", "probe", "ammonia_nitrogen"), Series("river", "node", "laeq"), Series("river", "node", "lamax"))
ANGLE, AMOUNT = Series("river", "probe", "wind_direction"), Series("river", "probe", "rain")
STATE, SLOW = Series("river", "probe", "gb3838_class"), Series("river", "node", "ph")
MEASURED = (LEVEL, SOUND, PEAK, ANGLE, AMOUNT, STATE)
STATISTIC = {LEVEL: "mean", SOUND: "leq", PEAK: "max", ANGLE: "mean", AMOUNT: "sum"}
NAN = math.nan


def values(k):
    """What the six sensors say at turn k: some of it missing, some of it not believable."""
    level = NAN if k % 17 == 0 or 60 <= k < 69 else -5.0 if k % 23 == 0 else round(0.2 + k % 9 / 10, 2)
    return ((LEVEL, level), (SOUND, 40.0 + k * 7 % 30), (PEAK, 60.0 + k * 11 % 23), (ANGLE, (350 + k * 3 % 25) % 360), (AMOUNT, k % 3 / 5),
            (STATE, k // 5 % 5 + 1.0))


def finely(folder, plan=None, hours=2.2, days=1):
    """Days with a few hours of readings every 10 s, and a slow sensor; the last of them is not over."""
    expected = [Expected(series, 10.0, False) for series in MEASURED] + [Expected(SLOW, 600.0, False)]
    house = House(folder, plan or site(), TurnedClock(NOON - DAY // 4 + 3 * S), expected)
    k = 0
    for day in range(days):
        for _ in range(round(hours * 360)):
            k += 1
            house.clock.forward(10)
            house.say(*values(k), *([(SLOW, 7.0 + k % 3)] if k % 60 == 0 else []))
            house.turn()
        house.clock.forward((NOON - DAY // 4 + (day + 1) * DAY + 3 * S - house.clock.utc_ns) / S)
    for _ in range(30):
        house.clock.forward(60)
        house.say(*values(1))
        house.turn()
    seal(house)
    with house.writer.transaction():
        keeping.clear(house.writer)
    return house


def thinned(house, size=1):
    """One file goes a step down; gives all rows by series."""
    before = [entry.file for entry in read_sealed(house)]
    for _ in range(3):
        with house.reader() as reader:
            Sealer(house.folder, limited(size), house.intake.tell).turn(reader)
        house.turn()
        if [entry.file for entry in read_sealed(house)] != before:
            break
    with house.reader() as reader:
        return by_series(reader.rows_after(0, 10**6))


def by_series(rows):
    found = defaultdict(list)
    for i in range(len(rows)):
        found[rows.series[rows.which[i]]].append(SimpleNamespace(**{name: plain(getattr(rows, name)[i].item()) for name in (
            "n", "at", "span", "value", "flag", "reason", "share", "origin", "revision")}))
    return found


def plain(value):
    return None if value != value else value


def plain_mean(series, used):
    if series == SOUND:
        return 10 * math.log10(sum(10 ** (v / 10) for v in used) / len(used))
    if series == PEAK:
        return max(used)
    if series == AMOUNT:
        return sum(used)
    if series == ANGLE:
        return math.degrees(math.atan2(sum(math.sin(math.radians(v)) for v in used), sum(math.cos(math.radians(v)) for v in used))) % 360
    return statistics.fmean(used)


def test_readings_become_the_minute_means_that_a_plain_twin_makes(tmp_path):
    house = finely(tmp_path)
    with house.reader() as reader:
        before = by_series(reader.rows_after(0, 10**6))
        events = [e for e in reader.events_after(0) if e.id <= read_sealed(house)[0].event_to]
    first, last, border = events[0].now, events[-1].now, read_sealed(house)[0].n_to
    after = thinned(house)
    assert step_of(read_sealed(house)[0]) == Step.MINUTES
    for series, statistic in STATISTIC.items():
        minutes = defaultdict(list)
        for row in before[series]:
            if row.n < border:
                minutes[-(-row.at // (60 * S)) * 60 * S].append(row)
        whole = {end: rows for end, rows in minutes.items() if end - 60 * S >= first and end <= last}
        got = after[series._replace(statistic=statistic, period_s=60)]
        assert [row.at for row in got] == sorted(whole)
        assert len(got) > 120
        for row in got:
            rows = whole[row.at]
            used = [one.value for one in rows if one.flag in (1, 2, 3)]
            assert (row.n, row.span, row.share) == (rows[-1].n, 60 * S, round(len(used) / 6, 4))
            assert row.flag == (max(one.flag for one in rows if one.flag in (1, 2, 3)) if used else 9)
            assert row.value == pytest.approx(plain_mean(series, used), abs=6e-3 if series == ANGLE else 6e-4) if used else row.value is None
        edges = [row.n for end, rows in sorted(minutes.items()) if end not in whole for row in rows]
        assert [row.n for row in after[series] if row.n < border] == edges
    assert any(row.value is None for row in after[LEVEL._replace(statistic="mean", period_s=60)]), "nothing valid: a missing minute"
    old = [row for row in before[STATE] if row.n < border]
    kept = [row for row in after[STATE] if row.n < border]
    assert len(kept) < len(old) / 5
    assert {row.n: row for row in kept} == {row.n: row for row in old if row.n in {k.n for k in kept}}, "a state stays as it was said"
    assert after[SLOW] == before[SLOW], "who speaks seldom keeps what was said"
    for series in before:
        if series.statistic:
            assert after[series] == before[series], series
    house.kill()


def test_minutes_give_way_to_hours_hours_to_gaps_and_days_and_every_sum_holds_at_each_step(tmp_path):
    house = finely(tmp_path, with_sink())
    deliver(house, 300)
    with house.reader() as reader:
        before, border = by_series(reader.rows_after(0, 10**6)), read_sealed(house)[0].n_to
    sizes, hashes = [read_sealed(house)[0].size], [entry.first for entry in read_sealed(house)]
    for step in (Step.MINUTES, Step.HOURS, Step.LAST):
        after = thinned(house)
        entry = read_sealed(house)[0]
        assert step_of(entry) == step
        sizes.append(entry.size)
        old = {series: [row for row in rows if row.n < border] for series, rows in after.items()}
        hourly = LEVEL._replace(statistic="mean", period_s=3600)
        if step == Step.HOURS:
            there = {row.at for row in before[hourly]}
            left = [row for series in (LEVEL, LEVEL._replace(statistic="mean", period_s=60)) for row in old.get(series, [])]
            assert all(-(-row.at // (3600 * S)) * 3600 * S not in there for row in left), "where no hour was issued minutes stay"
            assert len(old[hourly]) >= 2
            assert 2 <= len(old[STATE]) <= 4, "the last state of each hour"
        if step == Step.LAST:
            assert {fineness(series) for series, rows in old.items() if rows} == {Step.LAST}
            assert any(series.statistic == "gap" for series, rows in old.items() if rows)
        assert all(finding.good for finding in verify(tmp_path)), verify(tmp_path)
    assert sizes == sorted(sizes, reverse=True)
    assert [entry.first for entry in read_sealed(house)] == hashes, "the chain is that of what was sealed"
    record, _ = deliver(house)
    assert record.thinned > 0
    with house.reader() as reader:
        counters = reader.counters()
        rows = reader.rows_after(0, 10**6)
        assert counters["thinned"] == reader.last_n() - len(rows)
        assert counters["thinned"] == sum(counters[f"thinned.to_{word}"] for word in ("minutes", "hours", "last"))
        held = rows.n.tolist()
    house.again()
    with house.reader() as reader:
        assert reader.rows_after(0, 10**6).n.tolist()[: len(held)] == held
    house.kill()


SITE = """
[stations.river]
time_zone = "Asia/Shanghai"
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
[devices]
probe = { profile = "sim_water_probe" }
[journal]
path = "."
"""


def test_the_words_of_the_command_do_not_pretend_that_readings_are_there_which_became_means(tmp_path, capsys):
    house = finely(tmp_path, days=2)
    (tmp_path / "site.toml").write_text(SITE)

    def said(*words):
        capsys.readouterr()
        main(["--site", str(tmp_path / "site.toml"), *words])
        return capsys.readouterr()

    assert "made room" not in said("gaps").out + said("journal", "show", "--last", "100000").err
    thinned(house)
    first = read_sealed(house)[0]
    words = f"what came from {iso(first.now_from)} to {iso(first.now_to)} made room: kept as minute means, not as readings"
    assert f"({words})" in said("gaps").out
    assert json.loads(said("gaps", "--json").out)["coarser"] == [{"since": iso(first.now_from), "until": iso(first.now_to), "kept": "minute means"}]
    assert words in said("journal", "show", "--last", "100000").err
    assert words in said("journal", "export").err
    assert words not in said("journal", "show", "--last", "5").err, "the newest readings are there"
    assert words not in said("journal", "export", "--from", "2026-11-22").err
    assert words not in said("journal", "export", "--what", "1h").err
    thinned(house)
    thinned(house)
    assert "hourly means" in said("gaps").out
    house.kill()


def test_a_journal_that_has_to_begin_anew_knows_how_far_its_files_were_thinned(tmp_path):
    house = finely(tmp_path)
    after = thinned(house)
    with house.reader() as reader:
        Sealer(tmp_path, limited(8 * 10**9), house.intake.tell).turn(reader)
    assert len(list((tmp_path / "archive").iterdir())) == 1, "the finer file is removed when the coarser one is entered"
    house.kill()
    for name in ("live.db", "live.db-wal", "live.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "live.db").write_bytes(b"\0" * 5000)
    house.start()
    assert step_of(read_sealed(house)[0]) == Step.MINUTES
    minute = SOUND._replace(statistic="leq", period_s=60)
    with house.reader() as reader:
        assert by_series(reader.rows_after(0, 10**6))[minute] == after[minute]
    house.kill()


def test_a_kill_while_a_file_goes_down_leaves_it_whole_before_or_after(tmp_path, monkeypatch):
    house = finely(tmp_path, hours=0.5)
    with house.reader() as reader:
        before = reader.rows_after(0, 10**6).n.tolist()
    told = []
    sealer = Sealer(tmp_path, limited(1), told.append)
    with house.reader() as reader:
        assert sealer.turn(reader)
        house.intake.tell(told[-1])
        house.turn()
        sealer.turn(reader)
    assert len(list((tmp_path / "archive").iterdir())) == 2, "written, and nobody knows it yet"
    house.again()
    assert len(list((tmp_path / "archive").iterdir())) == 1
    with house.reader() as reader:
        assert reader.rows_after(0, 10**6).n.tolist()[: len(before)] == before
    house.kill()


def test_the_oldest_goes_first_and_last_week_keeps_readings_while_last_year_has_minutes(tmp_path):
    house = finely(tmp_path, hours=0.1)
    one = read_sealed(house)[0]
    house.kill()

    def entry(age, word=""):
        return replace(one, event_from=1000 - age, file=f"d.{age}{word}.db", now_from=one.now_to - age * DAY)

    assert next_step([entry(30), entry(20), entry(0)])[0].file == "d.30.db"
    assert next_step([entry(30, ".minutes"), entry(20), entry(0)])[0].file == "d.20.db"
    assert next_step([entry(300, ".minutes"), entry(20), entry(0)]) == (entry(300, ".minutes"), Step.HOURS)
    assert next_step([entry(300, ".last"), entry(20, ".hours")]) == (entry(20, ".hours"), Step.LAST)
    assert next_step([entry(300, ".last")]) is None


def test_a_nearly_full_disk_thins_too_but_no_day_is_given_up_for_it_and_people_are_told(tmp_path, monkeypatch):
    house = finely(tmp_path, hours=0.5, days=2)
    real, free = os.statvfs, [0.04]
    monkeypatch.setattr(room.os, "statvfs", lambda path: SimpleNamespace(
        f_bavail=int(free[0] * 10**6), f_frsize=4096, f_blocks=10**6, f_flag=real(path).f_flag))
    sealer = Sealer(tmp_path, limited(8 * 10**9), house.intake.tell)

    def turns(count):
        with house.reader() as reader:
            for _ in range(count):
                sealer.turn(reader)
                house.turn()
            return [(alert["rule"], alert["state"]) for alert in reader.alerts(9) if alert["rule"].startswith("journal")]

    assert turns(1) == [("journal_thinned", "firing")]
    assert turns(30) == [("journal_thinned", "firing")], "told once"
    assert [step_of(entry) for entry in read_sealed(house)] == [Step.LAST, Step.LAST]
    house.again()
    with house.reader() as reader:
        assert reader.alerts(1)[0]["state"] == "firing", "a restart does not end it"
    free[0] = 0.5
    sealer = Sealer(tmp_path, limited(8 * 10**9), house.intake.tell)
    assert turns(3) == [("journal_thinned", "ended")]
    house.kill()


def test_a_journal_told_to_stop_when_full_is_never_thinned(tmp_path):
    house = finely(tmp_path, hours=0.3)
    limits = limited(1).model_copy(update={"on_full": "stop"})
    with house.reader() as reader:
        assert not sealing.Sealer(tmp_path, limits, house.intake.tell).turn(reader)
    assert [step_of(entry) for entry in read_sealed(house)] == [Step.READINGS]
    house.kill()


def test_live_rows_give_way_too_and_gaps_stay(tmp_path):
    house = House(tmp_path, site(), TurnedClock(NOON), [Expected(LEVEL, 10.0, False)])
    for k in range(400):
        house.clock.forward(600 if k % 50 == 0 else 10)
        house.say((LEVEL, 1.0))
        house.turn()
    with house.reader() as reader:
        gaps = [row.n for series, rows in by_series(reader.rows_after(0, 10**6)).items() if series.statistic == "gap" for row in rows]
    for _ in range(4):
        with house.writer.transaction():
            house.core._checkpoint()
            house.core._checkpoint()
            house.writer.db.execute("DELETE FROM checkpoint WHERE event < (SELECT max(event) FROM checkpoint)")
            keeping.thin(house.writer, 1)
    with house.reader() as reader:
        left = by_series(reader.rows_after(0, 10**6))
        (coarser,) = coarse(reader, 0, 2**63 - 1)
    assert (coarser.kept, coarser.since) == ("means", NOON + 600 * S)
    assert coarser.until <= min(row.at for row in left[LEVEL])
    assert [row.n for series, rows in left.items() if series.statistic == "gap" for row in rows][: len(gaps) - 1] == gaps[:-1]
    assert len(gaps) >= 5
    assert len(left[LEVEL]) < 5
    house.kill()
