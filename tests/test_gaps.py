"""The ledger of gaps: which intervals are missing, why, and what of them came later; over restarts, kills and late data."""

import json
from itertools import pairwise

import naive
import numpy as np
import pytest
from controlled import answering
from house import AMMONIA, LAEQ, NOON, House, S, site
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import gaps
from analytics.state import Layout, State
from config.series import GAP, Origin, Reason
from drivers.reading import Delivery, Readings
from gateway.cli import main
from gateway.gap_ledger import WORDS, gaps_between, plain
from gateway.overview import Overview

PERIOD = 10 * S


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path / "journal", site())
    yield made
    made.kill()


def speak(house, times=1, apart=10.0, value=0.5):
    for _ in range(times):
        house.clock.forward(apart)
        house.say((AMMONIA, value), (LAEQ, 50.0))
        house.turn()


def stay_away(house, times, reason, apart=10.0):
    for _ in range(times):
        house.clock.forward(apart)
        readings = Readings(house.clock.now())
        readings.add(AMMONIA, float("nan"), reason)
        house.intake.deliver(Delivery("l", (readings.batch(),)), 0)
        house.say((LAEQ, 50.0))
        house.turn()


def ledger(house, series=AMMONIA):
    with house.reader() as reader:
        found = gaps_between(reader, 0, 2**63 - 1, [reader.series().index(series)])
    return [((gap.since - NOON) // S, (gap.until - NOON) // S, chr(gap.reason), gap.filled) for gap in found]


def test_a_dead_device_is_one_gap_with_its_reason_from_the_last_value_to_the_first(house):
    speak(house, 3)
    stay_away(house, 6, Reason.DEVICE)
    assert ledger(house) == [], "it goes on"
    (open_,) = house.core.open_gaps()
    assert (open_.series, (open_.since - NOON) // S, open_.until, open_.words) == (AMMONIA, 30, None, "the device did not answer")
    speak(house)
    assert ledger(house) == [(30, 100, "d", 0.0)]
    assert house.core.open_gaps() == []
    assert ledger(house, LAEQ) == []


def test_a_line_that_goes_after_its_device_died_is_another_gap_that_begins_where_the_first_ends(house):
    speak(house, 3)
    stay_away(house, 3, Reason.DEVICE)
    stay_away(house, 3, Reason.LINE)
    speak(house)
    assert ledger(house) == [(30, 60, "d", 0.0), (60, 100, "l", 0.0)]


@pytest.mark.parametrize("dead_after", [False, True])
def test_the_time_that_the_gateway_was_down_is_told_apart_from_what_its_devices_did(house, dead_after):
    speak(house, 3)
    house.kill()
    house.clock.forward(3600)
    house.start()
    if dead_after:
        stay_away(house, 2, Reason.DEVICE)
    speak(house)
    down = (30, 3630, "g", 0.0) if dead_after else (30, 3640, "g", 0.0)
    assert ledger(house) == ([down, (3630, 3660, "d", 0.0)] if dead_after else [down])


def test_polls_that_were_left_out_are_a_gap_too(house):
    speak(house, 3)
    house.clock.forward(100)
    speak(house)
    assert ledger(house) == [(30, 140, "k", 0.0)]


def test_one_missed_value_more_or_less_makes_no_gap(house):
    speak(house, 3)
    house.clock.forward(12)
    speak(house, 3)
    assert ledger(house) == []


def test_what_comes_later_fills_the_gap_and_the_ledger_says_how_far(house):
    speak(house, 3)
    stay_away(house, 9, Reason.DEVICE)
    speak(house, 3)
    for at in (40, 50, 60):
        house.say((AMMONIA, 0.4), at=NOON + at * S)
    house.turn()
    assert ledger(house) == [(30, 130, "d", pytest.approx(1 / 3))]
    house.again()
    readings = Readings(house.clock.now(), own_time=True)
    for at in (70, 80, 90, 100, 110, 120):
        readings.add(AMMONIA, 0.4, ord("N"), NOON + at * S)
    house.intake.deliver(Delivery("l", (readings.batch(),)), 0)
    house.turn()
    assert ledger(house) == [(30, 130, "d", 1.0)]


def test_what_comes_a_night_late_and_newest_first_renews_its_hours(house):
    speak(house, 3)
    house.kill()
    house.clock.forward(20 * 3600)
    house.start()
    speak(house, 3)
    late = [NOON + at * S for at in range(3600, 3600 * 19, 60)]
    for at in reversed(late):
        readings = Readings(house.clock.now(), own_time=True)
        readings.add(AMMONIA, 0.4, ord("N"), at)
        house.intake.deliver(Delivery("l", (readings.batch(),)), 0)
    house.turn()
    house.clock.forward(60)
    house.turn()
    with house.reader() as reader:
        hourly = reader.series().index(AMMONIA._replace(statistic="mean", period_s=3600))
        hours = reader.rows_of_series(hourly, NOON + 3600 * S, NOON + 3600 * 19 * S, 1000)
    assert {(at - NOON) // S // 3600 for at in hours.at.tolist()} >= set(range(3, 19))
    assert set(hours.value.round(6).tolist()) == {0.4}
    ((since, until, reason, filled),) = ledger(house)
    assert (reason, since, until - 20 * 3600) == ("g", 30, 40)
    assert 0.1 < filled < 0.2, "one a minute of one every 10 s"


def remembered(house, instants):
    """An instrument gives out of its memory what it measured then."""
    readings = Readings(house.clock.now(), own_time=True, origin=Origin.BACKFILL)
    for at in instants:
        readings.add(AMMONIA, 0.4, ord("N"), at)
    house.intake.deliver(Delivery("l", (readings.batch(),)), 0)
    house.turn()


@pytest.mark.parametrize("every", [1, 2, 6])
@pytest.mark.parametrize("killed", [False, True])
def test_an_hour_s_share_counts_the_value_that_came_later_and_not_that_it_was_missing_before(house, every, killed):
    """Independently: instants of the timetable that have a valid value, of the 360 that an hour of 10 s has."""
    house.clock.forward(10)
    speak(house, 180)
    stay_away(house, 150, Reason.LINE)
    speak(house, 60)
    away = range(NOON + 1820 * S, NOON + 3320 * S, 10 * every * S)
    remembered(house, away[: len(away) // 2])
    if killed:
        house.again()
    remembered(house, away[len(away) // 2 - 3 :])  # some twice
    house.clock.forward(120)
    house.turn()
    with house.reader() as reader:
        table = reader.series()
        hour = reader.rows_of_series(table.index(AMMONIA._replace(statistic="mean", period_s=3600)), NOON, NOON + 3600 * S, 100)
        rows = reader.rows_of_series(table.index(AMMONIA), NOON, NOON + 3600 * S, 10_000)
    valid = {at for at, raw, flag in zip(rows.at.tolist(), rows.raw.tolist(), rows.flag.tolist(), strict=True) if raw == raw and flag in (1, 2, 3)}
    assert len(valid) < len(rows)
    assert hour.share[-1] == len(valid) / 360
    assert hour.flag[-1] == (1 if len(valid) >= 270 else 3)
    assert (every == 1) == (hour.share[-1] > 0.99)


def test_a_value_that_failed_with_a_reason_of_its_own_is_missing_and_says_why(house):
    speak(house, 3)
    for _ in range(3):
        house.clock.forward(10)
        readings = Readings(house.clock.now())
        readings.add(AMMONIA, 0.5, Reason.FAULT)
        house.intake.deliver(Delivery("l", (readings.batch(),)), 0)
        house.turn()
    speak(house)
    assert ledger(house) == [(30, 70, "D", 0.0)]


def test_a_source_that_falls_silent_is_a_gap(house):
    speak(house, 3)
    for _ in range(20):
        house.clock.forward(5)
        house.say((AMMONIA, 0.5))
        house.turn()
    speak(house)
    (gap,) = ledger(house, LAEQ)
    assert gap[2] == "s"
    assert gap[:2] == (30, 140)


def test_a_kill_in_the_middle_of_a_gap_changes_nothing_of_it(house):
    speak(house, 3)
    stay_away(house, 3, Reason.DEVICE)
    house.again()
    stay_away(house, 3, Reason.DEVICE)
    speak(house)
    assert ledger(house) == [(30, 100, "d", 0.0)]


row = st.tuples(st.integers(1, 60), st.sampled_from([1, 1, 1, 1, 3, 4, 9, 9]), st.sampled_from(b"NNNdlD"))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(row, min_size=1, max_size=40), st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_the_ledger_agrees_with_its_plain_twin_wherever_it_is_cut(rows, cut, start, compiled):
    at, ordered = 1000, []
    for step, flag, reason in rows:
        at += step - 20  # some come late
        ordered.append((at * S, flag, reason))
    table = gaps.Ledger(np.array([1, -1], np.int32), np.array([PERIOD, 0]))
    state = State(Layout(gaps.COLUMNS, {"series": ("a", "a/gap")}))
    take, got = gaps.gaps_take, {}
    gaps.gaps_take = take if compiled else getattr(take, "py_func", take)
    try:
        edges = sorted({0, min(cut, len(ordered)), min(start, len(ordered)), len(ordered)})
        for begin, end in pairwise(edges):
            if begin == start:
                gaps.start(state, ordered[begin][0] - 5 * S)
            ats, flags, reasons = zip(*ordered[begin:end], strict=True)
            found = gaps.take(table, state, np.zeros(end - begin, np.int32), np.array(ats, np.int64), np.array(flags, np.uint8),
                              np.array(reasons, np.uint8))
            columns = (found.since, found.until, found.reason, found.filled)
            got |= {(a, b): (r, f) for a, b, r, f in zip(*(column.tolist() for column in columns), strict=True)}
    finally:
        gaps.gaps_take = take
    started = [(start, ordered[start][0] - 5 * S)] if start < len(ordered) else []
    want = naive.gaps(ordered, PERIOD, started)
    assert {key: (reason, pytest.approx(share)) for key, (reason, share) in want.items()} == got


def test_every_reason_has_words():
    assert set(Reason) - set(WORDS) <= {Reason.INCOMPLETE}


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────────
SITE = """
[stations.river]
name = "River"
time_zone = "Asia/Shanghai"
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
[devices]
probe = { profile = "sim_water_probe" }
"""


@pytest.fixture
def station(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    house = House(tmp_path / "journal", site())
    speak(house, 3)
    stay_away(house, 9, Reason.DEVICE)
    speak(house, 3)
    yield tmp_path / "site.toml", house
    house.kill()


def test_the_command_tells_gaps_in_the_time_of_the_station(station, capsys):
    path, house = station
    assert main(["--site", str(path), "gaps"]) == 1
    said = capsys.readouterr().out
    assert "2026-11-21 20:00:30" in said.replace("T", " ")
    assert "1.7 min" in said
    assert "river/probe/ammonia_nitrogen" in said
    assert "the device did not answer" in said
    assert "no daemon runs" in said
    assert main(["--site", str(path), "gaps", "river/probe/phh"]) == 2
    assert main(["--site", str(path), "gaps", "river/probe/ph"]) == 0
    for at in range(40, 130, 10):
        house.say((AMMONIA, 0.4), at=NOON + at * S)
    house.turn()
    capsys.readouterr()
    assert main(["--site", str(path), "gaps", "river/probe", "--json"]) == 0
    (gap,) = json.loads(capsys.readouterr().out)["gaps"]
    assert (gap["since"], gap["filled"], gap["reason"], gap["seconds"]) == ("2026-11-21T12:00:30.000+00:00", 1.0, "d", 100.0)


def test_what_goes_on_is_told_of_the_series_and_the_time_that_were_asked_for(station, capsys):
    path, house = station
    stay_away(house, 9, Reason.DEVICE)
    status = {"gaps": [plain(gap) for gap in house.core.open_gaps()]}

    def told(*words: str) -> tuple[int, list[str]]:
        code = main(["--site", str(path), "gaps", "--json", *words])
        return code, [gap["series"] for gap in json.loads(capsys.readouterr().out)["gaps"] if gap["until"] is None]

    with answering(house.folder / "control.sock", {"status": lambda asked: status}):
        assert told() == told("river/probe") == (1, [str(AMMONIA)])
        assert told(str(LAEQ)) == (0, [])
        assert told("--to", "2026-11-21 20:00")[1] == [], "it has not ended before"


def test_the_overview_follows_the_ledger_and_shows_no_gap_as_a_value(station):
    _, house = station
    overview = Overview(house.folder, site(), "test", house.clock, [], dict)
    assert [gap["series"] for gap in overview.status()["gaps"]] == [str(AMMONIA)]
    stay_away(house, 4, Reason.LINE)
    speak(house)
    assert [gap["reason"] for gap in overview.status()["gaps"]] == ["l", "d"]
    assert not [row for row in overview.live() if row["statistic"] == GAP]
    overview.close()
