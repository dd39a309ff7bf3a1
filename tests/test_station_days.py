"""A day is judged when it is over in the station's own zone: by its edition, from enough hours, and again when late data change it."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest
import second_standards
from house import NOON, House, S, TurnedClock
from hypothesis import given, settings
from hypothesis import strategies as st
from law_house import AIR, HOUR, NAMES, NEW_EDITION, answered, given_by, hours, measured, station

from analytics.indices._exact import exact
from analytics.indices.air_units import ugm3_to_ppb
from analytics.indices.air_us import nowcast_o3
from analytics.means import Hours
from analytics.state import Column, Layout, State, load
from analytics.station_calendar import day_moment, day_of
from analytics.station_formulas import About
from analytics.station_indices import COLUMNS, DAYS, KEPT, Input, Issued, StationIndex, take
from config.quantity import vocabulary
from config.reading_standards import standards
from config.series import Flag

DAY = 24 * HOUR * S
BITS = {quantity: 1 << bit for bit, quantity in enumerate(vocabulary()["primary_pollutant"].members)}


def day_of_air(hour: int) -> dict[str, float]:
    return {quantity: round(value * (0.4 + 0.07 * ((hour * 5 + n * 3) % 24)), 1) for n, (quantity, value) in enumerate(AIR.items())}


def exact_mean(values: list[float]) -> Decimal:
    return sum(map(Decimal, map(str, values)), Decimal(0)) / len(values)


def largest_8h(values: list[float]) -> Decimal:
    """Of the natural day: the means that end at 8:00 … 24:00."""
    return max(exact_mean(values[end - 8:end]) for end in range(8, 25))


@pytest.fixture
def a_day(tmp_path):
    """2026-03-01 in Shanghai, the first of the new edition, all of it."""
    site, expected = station(*AIR)
    house = House(tmp_path, site, TurnedClock(NEW_EDITION), expected)
    for hour in range(24):
        hours(house, day_of_air(hour))
    yield house
    house.kill()


def test_the_index_of_a_day_is_what_compute_says_of_its_means_and_its_largest_8_hours_of_ozone(a_day):
    inputs = {NAMES[q]: str(largest_8h(values) if q == "o3" else exact_mean(values))[:20]
              for q in AIR for values in [[day_of_air(hour)[q] for hour in range(24)]]}
    law = answered({"standard": "HJ633-2026", "report": "daily", "inputs": inputs})
    assert given_by(a_day, "aqi_daily") == [(NEW_EDITION + DAY, law["aqi"], Flag.GOOD, 0)]
    assert {q: given_by(a_day, "iaqi_daily", q)[0][1] for q in AIR} == {q: law["iaqi"][NAMES[q]] for q in AIR}
    names = {shown: q for q, shown in NAMES.items()}
    assert given_by(a_day, "primary_pollutant_daily")[0][1] == sum(BITS[names[shown]] for shown in law["primary"]) > 0


def test_the_row_of_a_day_is_as_long_as_the_day(a_day):
    with a_day.reader() as reader:
        rows, table = reader.rows_after(0, 100_000), reader.series()
    spans = {table[int(w)]: int(span) for w, span in zip(rows.which, rows.span, strict=True) if table[int(w)].quantity == "aqi_daily"}
    assert [(series.period_s, span) for series, span in spans.items()] == [(86400, DAY)]
    spring, autumn = (day_moment(date(2026, *day), "Europe/Berlin") for day in ((3, 29), (10, 25)))
    assert (spring.hours, autumn.hours) == (23, 25)
    assert day_of(spring.end_ns, "Europe/Berlin") == date(2026, 3, 29)


def test_the_day_before_the_new_edition_is_judged_by_the_old_one(tmp_path):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, TurnedClock(NEW_EDITION - DAY), expected)
    hours(house, {"pm2_5": 75.0}, 48)
    assert [(end - NEW_EDITION, value) for end, value, *_ in given_by(house, "aqi_daily")] == [(0, 100), (DAY, 114)]
    house.kill()


@pytest.mark.parametrize(("there", "published"), [(20, 114), (19, None)])
def test_a_day_needs_twenty_of_its_hours(tmp_path, there, published):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, TurnedClock(NEW_EDITION), expected)
    hours(house, {"pm2_5": 75.0}, there)
    hours(house, {"pm2_5": math.nan}, 24 - there)
    assert [row[1:] for row in given_by(house, "aqi_daily")] == [(published, Flag.GOOD if published else Flag.MISSING, 0)]
    assert given_by(house, "primary_pollutant_daily")[0][1] == (BITS["pm2_5"] if published else None), "no index has no primary pollutant"
    house.kill()


def test_a_device_that_is_dead_at_midnight_does_not_hold_the_day_up(tmp_path):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, TurnedClock(NEW_EDITION), expected)
    hours(house, {"pm2_5": 75.0}, 21)
    house.clock.forward(3 * HOUR + 10)
    house.turn()
    assert [row[:2] for row in given_by(house, "aqi_daily")] == [(NEW_EDITION + DAY, 114)]
    house.kill()


def test_a_late_hour_renews_its_own_day_once_and_after_midnight_too(a_day):
    before = given_by(a_day, "iaqi_daily", "pm2_5")
    hours(a_day, day_of_air(0))
    for hour in (20, 22):
        a_day.say((measured("pm2_5"), 900.0), at=NEW_EDITION + hour * HOUR * S + 900 * S)
        a_day.turn()
        a_day.clock.forward(5)
    for pause in (70, 61):
        a_day.clock.forward(pause)
        a_day.turn()
    renewed = given_by(a_day, "aqi_daily")
    assert [(end, revision) for end, _, _, revision in renewed] == [(NEW_EDITION + DAY, 0), (NEW_EDITION + DAY, 1)]
    assert given_by(a_day, "iaqi_daily", "pm2_5")[1][1] > before[0][1]


def test_a_day_survives_a_kill_in_its_middle(tmp_path):
    values = []
    for kills in ((), (1, 7, 13, 22)):
        site, expected = station("pm2_5", "o3")
        house = House(tmp_path / str(len(kills)), site, TurnedClock(NEW_EDITION), expected)
        for hour in range(25):
            hours(house, {"pm2_5": 30.0 + hour, "o3": 100.0 + hour})
            if hour in kills:
                house.again()
        values.append((given_by(house, "aqi_daily"), given_by(house, "iaqi_daily", "o3")))
        house.kill()
    assert values[0] == values[1] != ([], [])


def test_a_zone_that_is_corrected_in_the_middle_of_a_day_costs_no_day_and_gives_none_twice(tmp_path):
    """The running day of the new zone has the hours from before; none is issued when it has just begun."""
    site, expected = station("pm2_5", standards=("HJ633",), time_zone="Asia/Shanghai")
    midnight = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp()) * S
    house = House(tmp_path, site, TurnedClock(midnight - 32 * HOUR * S), expected)
    hours(house, {"pm2_5": 52.0}, 12)
    house.kill()
    house.site = station("pm2_5", standards=("HJ633",), time_zone="UTC")[0]
    house.start()
    hours(house, {"pm2_5": 52.0}, 45)
    assert given_by(house, "aqi_daily") == [(midnight, 84.0, Flag.GOOD, 0), (midnight + 24 * HOUR * S, 84.0, Flag.GOOD, 0)]
    house.kill()


def test_days_are_cut_in_the_zone_of_the_station(tmp_path):
    site, expected = station("pm2_5", time_zone="UTC")
    house = House(tmp_path, site, TurnedClock(NOON), expected)
    hours(house, {"pm2_5": 75.0}, 40)
    midnight = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) * S
    assert [(end, value) for end, value, *_ in given_by(house, "aqi_daily")] == [(midnight, None), (midnight + DAY, 114)]
    house.kill()


# ── the fold alone ───────────────────────────────────────────────────────────────────────────────────────────────────────
def index() -> StationIndex:
    return StationIndex(About("HJ633", "daily", "Asia/Shanghai", ("pm2_5",)), (Input("pm2_5", 0, 0),), (("aqi_daily", "", 1),), daily=True)


def some_hours(ends: list[int], value: float = 75.0) -> Hours:
    n = len(ends)
    return Hours(np.zeros(n, np.int32), np.array(ends, np.int64), np.full(n, value), np.ones(n, np.uint8), np.ones(n), np.zeros(n, np.int32))


def empty(columns: tuple[Column, ...] = COLUMNS) -> State:
    return State(Layout(columns, {"series": ("s", "t"), "watch": (), "device": (), "input": ("s",), "index": ("yard/HJ633/daily",)}))


def test_a_backfill_of_many_days_in_one_go_leaves_no_day_out():
    state = empty()
    days = KEPT // 24
    ends = [NEW_EDITION + hour * HOUR * S for hour in range(1, days * 24 + 1)]
    found = take([index()], state, [some_hours(ends)], ends[-1] + 5 * S)
    found2 = take([index()], state, [], ends[-1] + 61 * S * 2)
    assert sorted([*found.end, *found2.end]) == [NEW_EDITION + day * DAY for day in range(1, days + 1)]
    assert set(found2.value) == {114.0}


def the_law_of_a_day(particles: list[float | None], ozone: list[float | None]) -> tuple[int | None, int | None]:
    """By the second reading of the texts: IAQI of PM2.5 and of ozone."""
    there = [value for value in particles if value is not None]
    windows = [[value for value in ozone[end - 8:end] if value is not None] for end in range(8, 25)]
    means = [exact_mean(window) for window in windows if len(window) >= 6]
    counts = bool(means) and (len(means) >= 14 or max(means) > 160)
    return (second_standards.cn_iaqi(2026, "PM2.5_24h", str(exact_mean(there))) if len(there) >= 20 else None,
            second_standards.cn_iaqi(2026, "O3_8h", str(max(means))) if counts else None)


level = st.one_of(st.integers(0, 3000).map(lambda tenths: tenths / 10), st.sampled_from([None, 35.5, 160.5]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(level, level), min_size=24, max_size=24), st.randoms(use_true_random=False), st.integers(0, 4))
def test_whatever_the_order_of_the_hours_the_day_ends_as_the_second_reading_has_it(day, random, gaps):
    both = StationIndex(About("HJ633", "daily", "Asia/Shanghai", ("o3", "pm2_5")), (Input("pm2_5", 0, 0), Input("o3", 1, 1)),
                        (("iaqi_daily", "pm2_5", 2), ("iaqi_daily", "o3", 3)), daily=True)
    state = State(Layout(COLUMNS, {"series": ("a", "b"), "watch": (), "device": (), "input": ("a", "b"), "index": ("yard/HJ633/daily",)}))
    for hour in range(gaps):
        day[hour * 5] = (None, None)
    rows = [(which, NEW_EDITION + hour * HOUR * S, value) for hour, pair in enumerate(day, 1) for which, value in enumerate(pair)
            if value is not None]
    random.shuffle(rows)
    now, found = NEW_EDITION + DAY + 20 * S, {}
    for which, end, value in rows:
        one = some_hours([end], value)
        one.series[0] = which
        now += 7 * S
        found.update(last_of(take([both], state, [one], now)))
    found.update(last_of(take([both], state, [], now + 61 * S)))
    particles, ozone = ([pair[which] for pair in day] for which in (0, 1))
    if rows:
        assert (found[2], found[3]) == the_law_of_a_day(particles, ozone)


def last_of(issued: Issued) -> dict[int, float | None]:
    return {int(series): None if math.isnan(value) else float(value) for series, value in zip(issued.series, issued.value, strict=True)}


def test_ozone_of_two_weeks_is_judged_by_the_regression():
    """The hours of an input that needs many lie on several pages of the state."""
    hours_of_ozone = [60 + 40 * math.sin(hour / 24 * 2 * math.pi) + hour * 7 % 11 for hour in range(340)]
    inputs = (Input("o3", 0, 0, 4),)
    cheap = StationIndex(About("EU-EAQI", "hourly", "UTC", ("o3",)), inputs, (("iaqi", "o3", 1),))
    nowcast = StationIndex(About("US-EPA-AQI", "nowcast", "UTC", ("o3",)), inputs, (("iaqi", "o3", 2),))
    state = State(Layout(COLUMNS, {"series": ("s",), "watch": (), "device": (), "input": ("s#0/4", "s#1/4", "s#2/4", "s#3/4"),
                                   "index": ("yard/one",)}))
    for number, level in enumerate(hours_of_ozone):
        issued = take([cheap if number < 339 else nowcast], state, [some_hours([NEW_EDITION + number * HOUR * S], level)], -1)
    newest_first = [ugm3_to_ppb("o3", exact(round(level, 6)), "298.15") for level in reversed(hours_of_ozone)][:336]
    law = nowcast_o3(newest_first, law=standards().named("US-EPA-AQI-2024"))
    assert law["method"] == "regression"
    assert last_of(issued) == {2: law["aqi"]}


def test_while_nobody_knows_the_time_no_day_ends():
    state = empty()
    ends = [NEW_EDITION + hour * HOUR * S for hour in range(1, 25)]
    assert len(take([index()], state, [some_hours(ends)], -1)) == 0
    assert len(take([index()], state, [], NEW_EDITION + DAY + 11 * S)) == 1


def test_a_checkpoint_from_before_there_were_days_is_carried_over():
    former = tuple(column for column in COLUMNS if not column.name.startswith("day_"))
    old = empty(former)
    place = NEW_EDITION // (HOUR * S) % KEPT
    old["input_end"][place], old["input_value"][place], old["input_share"][place], old["input_flag"][place] = NEW_EDITION, 75.0, 1.0, 1
    new = load(old.dump(), empty().layout)
    assert (new["input_end"][place], new["input_value"][place]) == (NEW_EDITION, 75.0)
    assert len(new["day_end"]) == DAYS
    assert len(take([index()], new, [], NEW_EDITION + 10 * DAY)) == 0
    ends = [NEW_EDITION + hour * HOUR * S for hour in range(1, 25)]
    assert len(take([index()], new, [some_hours(ends)], NEW_EDITION + DAY + 10 * S)) == 1
