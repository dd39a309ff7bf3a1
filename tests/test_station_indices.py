"""A station's hours are judged as the law has it: by the edition of the hour, again when late data come, never from half the data."""

import json
import math
import sqlite3
import zlib
from dataclasses import replace

import pytest
from house import NOON, House, S, TurnedClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from law_house import AIR, HOUR, NAMES, NEW_EDITION, STEP, WATER, answered, given_by, hours, measured, station
from line_protocol import parse

from analytics.kernels.means import RING
from analytics.station_formulas import judge
from config.reading_standards import standards
from config.series import Flag, Reason, Series
from gateway.journal.writer import START
from gateway.overview import Overview
from gateway.sinks._line_protocol import Encoder, levels
from gateway.sorting import Taken
from gateway.status import _lines
from gateway.wiring import Expected, restore


def test_the_index_of_every_hour_of_a_day_is_what_compute_says_of_its_means(tmp_path):
    site, expected = station(*AIR)
    house = House(tmp_path, site, expected=expected)
    days = [{quantity: round(value * (0.4 + 0.07 * ((hour * 5 + n * 3) % 24)), 1) for n, (quantity, value) in enumerate(AIR.items())}
            for hour in range(24)]
    for values in days:
        hours(house, values)
    aqi = given_by(house, "aqi")
    assert [end for end, *_ in aqi] == [NOON + (hour + 1) * HOUR * S for hour in range(24)]
    for (_, value, flag, revision), values in zip(aqi, days, strict=True):
        found = answered({"standard": "HJ633-2026", "report": "realtime", "inputs": {NAMES[q]: str(x) for q, x in values.items()}})
        assert (value, flag, revision) == (found["aqi"], Flag.GOOD, 0)
    assert len({value for _, value, *_ in aqi}) > 10
    for quantity in AIR:
        mine = [value for _, value, *_ in given_by(house, "iaqi", quantity)]
        assert mine == [answered({"standard": "HJ633-2026", "report": "realtime", "inputs": {NAMES[q]: str(x) for q, x in values.items()}})["iaqi"]
                        [NAMES[quantity]] for values in days]
    house.kill()


def test_the_edition_changes_with_the_hour_at_local_midnight(tmp_path):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, TurnedClock(NEW_EDITION - 24 * HOUR * S), expected)
    hours(house, {"pm2_5": 75.0}, 26)
    found = {(end - NEW_EDITION) // (HOUR * S): value for end, value, *_ in given_by(house, "aqi")}
    assert found[-4] == 100, "20 of 24 hours are there"
    assert found[-5] is None, "19 are not enough for a mean of 24 hours"
    assert (found[0], found[1], found[2]) == (100, 114, 114), "the hour that ends at midnight belongs to the old edition"
    house.kill()


def test_a_late_reading_issues_its_hour_and_the_index_of_it_again_with_the_next_revision(tmp_path):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, expected=expected)
    hours(house, {"pm2_5": 30.0}, 2)
    house.say((measured("pm2_5"), 600.0), at=NOON + 15 * S)
    house.turn()
    house.clock.forward(61)
    house.turn()
    aqi = given_by(house, "aqi")
    assert [(end, revision) for end, _, _, revision in aqi] == [(NOON + HOUR * S, 0), (NOON + 2 * HOUR * S, 0), (NOON + HOUR * S, 1)]
    mean = (6 * 30 + 600) / 7
    again = answered({"standard": "HJ633-2026", "report": "realtime", "inputs": {"PM2.5": f"{mean:.6f}"},
                      "not_monitored": ["SO2", "NO2", "PM10", "CO", "O3"]})
    assert aqi[2][1] == again["aqi"] != aqi[0][1]
    house.kill()


def test_what_comes_too_late_for_its_hour_or_its_index_is_counted_once_and_shown(tmp_path):
    site, expected = station("pm2_5", "so2")
    house = House(tmp_path, site, expected=expected)
    hours(house, {"pm2_5": 30.0}, 2)
    house.clock.forward(200 * HOUR)
    hours(house, {"pm2_5": 30.0}, 2)
    for k in range(3):
        house.say((measured("pm2_5"), 40.0), at=NOON + ((203 - RING) * HOUR + k) * S)  # newer ones have its place
    for k in range(6 * 3):
        house.say((measured("so2"), 9.0), at=NOON + (10 * HOUR + (k + 1) * STEP) * S)  # its own newest, but the index is far ahead
        house.turn()
    house.clock.forward(61)
    house.turn()
    overview = Overview(house.folder, site, "test", house.clock, [], dict)
    found = overview.status()["too_old"]
    assert found["hour_too_old"] == 3
    assert found["index_too_old"] == int(house.core.state["index_too_old"][0]) >= 2
    house.again()
    house.again()
    hours(house, {"pm2_5": 30.0})
    assert overview.status()["too_old"] == found, "a restart steps them again and does not count them again"
    house.say((measured("pm2_5"), 41.0), at=NOON + (203 - RING) * HOUR * S - 5 * S)
    house.turn()
    assert overview.status()["too_old"] == {**found, "hour_too_old": 4}
    words = "\n".join(_lines(overview.status(), running=True))
    assert f"too late: 4 readings renewed no hour, {found['index_too_old']} hours renewed no index or day" in words
    overview.close()
    house.kill()


def test_a_late_hour_renews_the_running_means_that_hold_it(tmp_path):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, TurnedClock(NEW_EDITION - 30 * HOUR * S), expected)
    hours(house, {"pm2_5": 75.0}, 26)
    late = house.clock.utc_ns - 2 * HOUR * S + 15 * S
    house.say((measured("pm2_5"), 900.0), at=late)
    house.turn()
    house.clock.forward(61)
    house.turn()
    again = [(end, value) for end, value, _, revision in given_by(house, "aqi") if revision == 1]
    assert [end for end, _ in again] == [NEW_EDITION - 5 * HOUR * S, NEW_EDITION - 4 * HOUR * S]
    assert all(value > 100 for _, value in again)
    house.kill()


@pytest.mark.parametrize(("pm2_5", "published"), [(52.0, None), (130.0, 172.0)])
def test_a_missing_pollutant_leaves_the_index_out_unless_the_rest_is_bad_enough(tmp_path, pm2_5, published):
    site, expected = station(*AIR)
    house = House(tmp_path, site, expected=expected)
    hours(house, {**{q: x for q, x in AIR.items() if q != "o3"}, "pm2_5": pm2_5})
    (aqi,) = given_by(house, "aqi")
    assert aqi[1] == published
    assert (aqi[2] == Flag.MISSING) == (published is None)
    with house.reader() as reader:
        rows, table = reader.rows_after(0, 1000), reader.series()
    rows = rows.pick(rows.span > 0)
    reasons = {table[int(w)].quantity + "/" + table[int(w)].channel: int(r) for w, r in zip(rows.which, rows.reason, strict=True)}
    assert reasons["iaqi/o3"] == Reason.INCOMPLETE
    assert reasons["aqi/"] == (Reason.INCOMPLETE if published is None else Reason.NORMAL)
    house.kill()


def test_an_hour_with_too_few_minutes_does_not_count(tmp_path):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, expected=expected)
    for k in range(6):
        house.clock.forward(STEP)
        house.say((measured("pm2_5"), 52.0 if k < 4 else math.nan))
        house.turn()
    house.clock.forward(10)
    house.turn()
    assert [row[1:3] for row in given_by(house, "aqi")] == [(None, Flag.MISSING)]
    house.kill()


@pytest.mark.parametrize(("changed", "overall"), [
    ({}, 2), ({"ammonia_nitrogen": 1.2}, 4), ({"dissolved_oxygen": 1.5}, 6), ({"ph": math.nan}, None), ({"ammonia_nitrogen": -0.2}, None),
    ({"ph": math.nan, "dissolved_oxygen": 1.5}, 6)])
def test_the_class_of_an_hour_is_that_of_its_worst_item_and_needs_all_of_them(tmp_path, changed, overall):
    site, expected = station(*WATER)
    house = House(tmp_path, site, expected=expected)
    values = {**WATER, **changed}
    hours(house, values)
    (found,) = given_by(house, "gb3838_class")
    assert found[1] == overall
    params = {"ph": "ph", "dissolved_oxygen": "do", "ammonia_nitrogen": "nh3n", "total_phosphorus": "tp"}
    whole = {params[q]: str(x) for q, x in values.items() if x >= 0}
    law = answered({"function": "surface_water_assess", "args": {"values": whole}})
    if overall is not None:
        assert law["class"] == overall
    for quantity, param in params.items():
        assert [row[1] for row in given_by(house, "gb3838_item_class", quantity)] == [law["item_class"].get(param)]
    house.kill()


def test_a_lake_is_judged_by_its_own_limits_and_by_its_nitrogen(tmp_path):
    site, expected = station("total_phosphorus", "total_nitrogen", water_body="lake")
    house = House(tmp_path, site, expected=expected)
    hours(house, {"total_phosphorus": 0.08, "total_nitrogen": 1.7})
    assert [row[1] for row in given_by(house, "gb3838_class")] == [4]
    assert [row[1] for row in given_by(house, "gb3838_item_class", "total_nitrogen")] == [5]
    house.kill()


def test_of_two_instruments_the_first_in_the_site_file_counts(tmp_path):
    site, expected = station("pm2_5")
    other = Series("yard", "other", "pm2_5")
    house = House(tmp_path, site, expected=[Expected(other, STEP, False), *expected])
    for _ in range(6):
        house.clock.forward(STEP)
        house.say((other, 400.0), (measured("pm2_5"), 30.0))
        house.turn()
    house.clock.forward(10)
    house.turn()
    assert [row[1] for row in given_by(house, "aqi")] == [43]
    house.kill()


# ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_class_worse_than_the_target_for_two_hours_is_an_alert_that_names_the_standard(tmp_path):
    rule = {"quantity": "gb3838_class", "worse_than": "target", "for": "2 h", "severity": "orange"}
    site, expected = station(*WATER, rules={"river_class": rule})
    house = House(tmp_path, site, expected=expected)
    hours(house, WATER)
    hours(house, {**WATER, "ammonia_nitrogen": 1.2}, 2)
    with house.reader() as reader:
        assert reader.alerts(10) == []
    hours(house, {**WATER, "ammonia_nitrogen": 1.2})
    hours(house, WATER)
    with house.reader() as reader:
        (alert,) = reader.alerts(10)
        notice = reader.waiting("hook:one").notice
    raised, ended = alert["log"]
    assert (raised[1], raised[2], ended[1]) == ("alert.raised", 3, "alert.ended")
    assert raised[3]["what"] == "yard/gb3838_class/class/3600 s/GB3838 IV worse than III (GB 3838-2002)"
    assert ended[3]["what"] == "yard/gb3838_class/class/3600 s/GB3838 II no longer worse than III (GB 3838-2002)"
    assert notice.data["standard"] == "GB3838-2002"
    assert (notice.data["device"], notice.data["source"], notice.data["category"]["zh"]) == ("", "GB 3838-2002", "轻度污染")
    house.kill()


@pytest.mark.parametrize(("begins", "says"), [(NOON, "(HJ 633-2026)"), (NEW_EDITION - 40 * HOUR * S, "(HJ 633-2012, partly not verified)")])
def test_an_alert_on_an_index_says_where_its_figures_are_not_verified(tmp_path, begins, says):
    site, expected = station("pm2_5", "so2", rules={"air": {"quantity": "aqi", "above": {"yellow": "100", "red": "300"}}})
    house = House(tmp_path, site, TurnedClock(begins), expected)
    hours(house, {"pm2_5": 130.0, "so2": 10.0}, 20)
    hours(house, {"pm2_5": 0.0, "so2": 10.0}, 12)
    with house.reader() as reader:
        (alert,) = reader.alerts(10)
    assert [step[1] for step in alert["log"]] == ["alert.raised", "alert.ended"]
    assert alert["log"][0][3]["what"].endswith(says)
    assert alert["log"][0][3]["verified"] == ("A" if says == "(HJ 633-2026)" else "A M")
    assert alert["log"][0][3]["source"] in says.replace(",", ")")
    house.kill()


def test_a_rule_takes_what_is_computed_only_if_it_names_it(tmp_path):
    site, expected = station("ph", rules={"water": {"medium": "water", "above": "1"}})
    house = House(tmp_path, site, expected=expected)
    hours(house, {"ph": 0.5}, 2)
    with house.reader() as reader:
        assert reader.alerts(10) == []
    assert [row[1] for row in given_by(house, "gb3838_class")] == [6, 6]
    house.kill()


# ── what people and databases see ────────────────────────────────────────────────────────────────────────────────────────
def test_live_values_carry_the_name_and_colour_of_their_category(tmp_path):
    site, expected = station("pm2_5", *WATER)
    house = House(tmp_path, site, expected=expected)
    hours(house, {"pm2_5": 130.0, **WATER})
    overview = Overview(tmp_path, site, "test", house.clock, [], dict)
    found = {(row["quantity"], row["channel"], row["statistic"]): row for row in overview.live()}
    overview.close()
    aqi = found["aqi", "", "index"]
    assert (aqi["value"], aqi["category"]["zh"], aqi["colour"]) == (172, "中度污染", "#FF0000")
    assert (aqi["device"], aqi["series"], aqi["medium"]) == ("", "yard/aqi/index/3600 s/HJ633", "air")
    assert found["gb3838_class", "", "class"]["colour"] == "blue"
    assert (aqi["standard"], aqi["verified"]) == ("HJ 633-2026", "A")
    water = found["gb3838_class", "", "class"]
    assert (water["standard"], water["verified"]) == ("GB 3838-2002", "A B C M"), "the colour is from memory, and the console says so"
    assert "standard" not in found["pm2_5", "", "mean"]
    assert "category" not in found["pm2_5", "", "mean"]
    primary = found["primary_pollutant", "", "index"]
    assert (primary["value"], primary["category"], primary["colour"]) == (32, {"en": "PM2.5", "zh": "PM2.5"}, "")
    house.kill()


def test_a_point_of_an_index_has_its_method_and_no_device(tmp_path):
    site, expected = station("pm2_5")
    house = House(tmp_path, site, expected=expected)
    hours(house, {"pm2_5": 130.0})
    with house.reader() as reader:
        lines = Encoder(level_of=levels(site.stations)).lines(reader.rows_after(0, 100))
    (line,) = [line for line in lines if "quantity=aqi" in line]
    point = parse(line)
    assert point.tags == {"method": "HJ633", "period": "1h", "quantity": "aqi", "station": "yard", "statistic": "index"}
    assert point.fields == {"value": 172.0, "flag": 1, "share": 1.0, "level": 4, "end": NOON + HOUR * S}
    without = [parse(line) for line in lines if "quantity=primary_pollutant" in line or "statistic=mean" in line]
    assert without
    assert not any("level" in one.fields for one in without)
    house.kill()


# ── the step ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_report_that_fails_costs_neither_a_reading_nor_a_mean_nor_another_report(tmp_path, monkeypatch, caplog):
    def one_fails(about, moment, past):
        return 1 / 0 if about.standard == "HJ633" else judge(about, moment, past)

    site, expected = station("pm2_5", *WATER)
    house = House(tmp_path, site, expected=expected)
    monkeypatch.setattr("analytics.station_indices.judge", one_fails)
    hours(house, {"pm2_5": 130.0, **WATER}, 2)
    with house.reader() as reader:
        rows, table = reader.rows_after(0, 1000), reader.series()
        assert reader.counters()["switched_off.report yard/HJ633"] == 1
        assert "switched_off.indices" not in reader.counters()
    names = [table[int(which)].statistic for which in rows.which]
    assert (names.count(""), names.count("mean")) == (60, 10)
    assert [value for _, value, *_ in given_by(house, "aqi")] == [None, None], "said to be missing, not silently absent"
    assert None not in [value for _, value, *_ in given_by(house, "gb3838_class")]
    assert caplog.text.count("report yard/HJ633: ZeroDivisionError") == 1
    house.kill()


def test_a_plan_comes_back_from_the_journal_and_another_figure_makes_another_plan(tmp_path, monkeypatch):
    site, expected = station(*AIR, *WATER)
    house = House(tmp_path, site, expected=expected)
    plan = house.core._plan
    again = restore(zlib.compress(plan.dump()))
    assert again.indices == plan.indices != ()
    assert again.laws == plan.laws
    assert set(plan.laws) == {"HJ633-2012", "HJ633-2026", "GB3838-2002", "GB3095-2012", "GB3095-2026", "HJ663-2013", "HJ663-2026"}
    assert again.fingerprint == plan.fingerprint
    known = standards()
    other = replace(known, all=tuple(law.model_copy(update={"note": "another"}) if law.name == "GB3838-2002" else law for law in known.all))
    monkeypatch.setattr("gateway.wiring_indices.standards", lambda: other)
    house.again()
    assert house.core._plan.fingerprint != plan.fingerprint
    house.kill()


def test_a_plan_from_before_there_were_indices_comes_back_too(tmp_path):
    site, expected = station("pm2_5", standards=())
    house = House(tmp_path, site, expected=expected)
    head, _, arrays = house.core._plan.dump().partition(b"\n")
    old = json.loads(head)
    for key in ("indices", "laws"):
        del old[key]
    for per in ("input", "index"):
        del old["keys"][per]
    again = restore(zlib.compress(json.dumps(old).encode() + b"\n" + arrays))
    assert again.indices == ()
    assert again.layout.size == house.core._plan.layout.size
    house.kill()


def test_a_plan_of_the_first_indices_comes_back_as_their_reports(tmp_path):
    """As the version before wrote it: one hourly report a standard, the station's number under an empty name."""
    site, expected = station("pm2_5", "ammonia_nitrogen")
    house = House(tmp_path, site, expected=expected)
    plan = house.core._plan
    head, _, arrays = plan.dump().partition(b"\n")
    old = json.loads(head)
    now = [index for index in plan.indices if index.about.report == "realtime"]

    def former(index) -> dict[str, object]:
        own = [row for row in index.gives if row[0] in ("aqi", "iaqi", "gb3838_class", "gb3838_item_class")]
        about = {"standard": index.about.standard, "zone": "Asia/Shanghai", "water_body": "river", "items": list(index.about.items)}
        inputs = [{"quantity": one.quantity, "series": one.series, "place": one.place} for one in index.inputs]
        return {"about": about, "inputs": inputs, "gives": [[channel, series] for _, channel, series in own]}

    old["indices"] = [former(index) for index in now]
    again = restore(zlib.compress(json.dumps(old).encode() + b"\n" + arrays))
    assert [index.about for index in again.indices] == [index.about for index in now]
    assert [set(index.gives) <= set(one.gives) for index, one in zip(again.indices, now, strict=True)] == [True, True]
    assert [{row[0] for row in index.gives} for index in again.indices] == [{"aqi", "iaqi"}, {"gb3838_class", "gb3838_item_class"}]
    house.kill()


values_of_a_moment = st.lists(st.tuples(st.sampled_from(["pm2_5", "o3", "ammonia_nitrogen", "dissolved_oxygen"]),
                                        st.one_of(st.just(math.nan), st.floats(0, 200).map(lambda x: round(x, 1)))), max_size=4)
moment = st.tuples(st.floats(60, 2400), values_of_a_moment, st.sampled_from([0, 0, 4000]))
RULES = {"class": {"quantity": "gb3838_class", "worse_than": "target"}, "air": {"quantity": "aqi", "above": {"yellow": "100", "red": "200"}}}


judged: list[bool] = []
"""Of each life of the property below, whether anything was judged in it."""


def kept(house: House) -> dict[str, list[tuple[object, ...]]]:
    db = sqlite3.connect(house.folder / "live.db")
    try:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in ("series", "hot", "alert", "alert_log", "counter")}
    finally:
        db.close()


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(moment, min_size=8, max_size=40), st.sets(st.integers(0, 39), max_size=6))
def lives_are_equal(tmp_path_factory, moments, kills):
    """One life and many lives over the change of edition, with late readings: equal rows, alerts, log and state."""
    site, expected = station("pm2_5", "o3", "ammonia_nitrogen", "dissolved_oxygen", rules=RULES)
    results = []
    for dies in (False, True):
        house = House(tmp_path_factory.mktemp("life"), site, TurnedClock(NEW_EDITION - 2 * HOUR * S), expected)
        for k, (pause, values, age) in enumerate(moments):
            house.clock.forward(pause)
            if values:
                house.say(*((measured(q), x) for q, x in values), at=(house.clock.utc_ns // S - age) * S)
            house.turn()
            if k in kills:
                if dies:
                    house.again()
                else:
                    house.core._commit_event(START, Taken([], []), house.clock.now())
        results.append((kept(house), house.core.state.buffer.tobytes()))
        judged.append(bool(given_by(house, "aqi") + given_by(house, "gb3838_class")))
        house.kill()
    assert results[0] == results[1]


def test_cut_anywhere_killed_anywhere_the_indices_are_the_same_bits(tmp_path_factory):
    """Of 300 seeds the poorest gave 52 % of streams that reach the end of an hour."""
    judged.clear()
    lives_are_equal(tmp_path_factory)
    assert sum(judged) > len(judged) // 3, "too few of the streams reached the end of an hour"
