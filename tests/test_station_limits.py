"""Limits of the law by station, hour, day and edition: how far from them, and rules that name the standard instead of a figure."""

import math
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from house import House, S, TurnedClock
from law_house import HOUR, given_by, hours, measured, station

from config.reading_standards import standards
from config.site import Rule

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = 24 * HOUR * S


def local(*when: int) -> int:
    return int(datetime(*when, tzinfo=SHANGHAI).timestamp()) * S


def lived(tmp_path, begins: int, values: list[dict[str, float]], rules=None, **facts) -> House:
    """A house in which so many hours have passed."""
    site, expected = station(*values[0], rules=rules, **facts)
    house = House(tmp_path, site, TurnedClock(begins), expected)
    for one in values:
        hours(house, one)
    return house


def alerts(house: House) -> list[tuple[str, list[str]]]:
    with house.reader() as reader:
        return [(alert["rule"], [step[3]["what"] for step in alert["log"]]) for alert in reversed(reader.alerts(20))]


# ── GB 3096 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
NOISE = {"standards": ("GB3096",), "noise_zone": "2"}


def test_the_limit_of_noise_is_that_of_the_zone_and_the_local_hour(tmp_path):
    house = lived(tmp_path, local(2026, 11, 21, 4), [{"laeq": 55.5}] * 20, **NOISE)
    found = {datetime.fromtimestamp(end // S - HOUR, SHANGHAI).hour: value for end, value, *_ in given_by(house, "noise_excess", "laeq")}
    assert {hour: round(value, 6) for hour, value in found.items()} == {hour: (-4.5 if 6 <= hour < 22 else 5.5) for hour in (*range(4, 24),)}
    house.kill()


@pytest.mark.parametrize(("zone", "limit"), [("0", 40), ("1", 45), ("2", 50), ("3", 55), ("4a", 55), ("4b", 60)])
def test_a_limit_is_met_by_its_own_figure_and_by_nothing_more(tmp_path, zone, limit):
    house = lived(tmp_path, local(2026, 11, 21, 1), [{"laeq": limit}, {"laeq": limit + 0.1}], standards=("GB3096",), noise_zone=zone)
    met, over = (value for _, value, *_ in given_by(house, "noise_excess", "laeq"))
    assert met <= 0 < over
    house.kill()


def test_a_county_may_have_other_nights(tmp_path):
    house = lived(tmp_path, local(2026, 11, 21, 6), [{"laeq": 55.0}] * 2, **NOISE, facts={"day_from": 7, "night_from": 22})
    assert [round(value, 6) for _, value, *_ in given_by(house, "noise_excess", "laeq")] == [5.0, -5.0]
    house.kill()


def test_a_rule_whose_limit_is_a_standard_tells_the_limit_of_the_hour_in_its_own_unit(tmp_path):
    rules = {"night": {"quantity": "laeq", "mean": "1 h", "above": "GB3096", "severity": "orange", "for": "1 h"}}
    house = lived(tmp_path, local(2026, 11, 21, 20), [{"laeq": 55.5}] * 12, rules, **NOISE)
    ((rule, steps),) = alerts(house)
    assert rule == "night"
    what = "yard/laeq hour 55.5"
    assert steps == [f"{what} > 50 dB(A) (GB 3096-2008)", f"{what} within 60 dB(A), raised at 50 dB(A) (GB 3096-2008)"]
    with house.reader() as reader:
        notice = reader.waiting("hook:one").notice
    data = notice.data
    assert (data["value"], data["limit"], data["unit"], data["quantity"], data["severity"]) == (55.5, 50.0, "dB(A)", "laeq", 3)
    assert (data["standard"], data["source"]) == ("GB3096-2008", "GB 3096-2008")
    house.kill()


def test_day_and_night_levels_are_energy_means_of_a_day_that_begins_at_six(tmp_path):
    levels = [60.0 + (hour % 5) if 6 <= hour < 22 else 45.0 + (hour % 3) for hour in ((6 + i) % 24 for i in range(24))]
    house = lived(tmp_path, local(2026, 11, 21, 6), [{"laeq": level} for level in levels] + [{"laeq": 50.0}], **NOISE)

    def energy(some: list[float]) -> float:
        return 10 * math.log10(sum(10 ** (level / 10) for level in some) / len(some))

    ld, ln = energy(levels[:16]), energy(levels[16:])
    ldn = 10 * math.log10((16 * 10 ** (ld / 10) + 8 * 10 ** ((ln + 10) / 10)) / 24)
    for quantity, expected in (("noise_day", ld), ("noise_night", ln), ("noise_day_night", ldn)):
        ((end, value, *_),) = given_by(house, quantity)
        assert end == local(2026, 11, 22, 6)
        assert value == pytest.approx(expected, abs=1e-6)
    house.kill()


def test_the_nights_of_a_county_are_the_same_for_the_hour_and_for_the_day(tmp_path):
    """Day 07:00 to 21:00: quiet hours at 21 and 06 are those of the night, for the limit and for Ln."""
    levels = [{"laeq": 60.0 if 7 <= (7 + i) % 24 < 21 else 45.0} for i in range(24)]
    house = lived(tmp_path, local(2026, 11, 21, 7), [*levels, {"laeq": 60.0}], **NOISE, facts={"day_from": 7, "night_from": 21})
    for quantity, expected in (("noise_day", 60.0), ("noise_night", 45.0)):
        assert [(end, round(value, 6)) for end, value, *_ in given_by(house, quantity)] == [(local(2026, 11, 22, 7), expected)]
    assert {round(value, 6) for _, value, *_ in given_by(house, "noise_excess", "laeq")} == {0.0, -5.0}
    house.kill()


@pytest.fixture
def figures(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("standards")
    monkeypatch.setattr("config.reading_standards.LOCAL", folder)
    yield folder / "figures.toml"
    standards.cache_clear()


def test_the_day_of_a_definition_begins_when_the_site_s_figures_say(tmp_path, figures):
    figures.write_text('["EU-END-2002"]\nday_from = 6\nevening_from = 18\nnight_from = 22\n')
    standards.cache_clear()
    levels = [60.0] * 12 + [55.0] * 4 + [50.0] * 8
    house = lived(tmp_path, local(2026, 11, 21, 6), [{"laeq": level} for level in [*levels, 60.0]], standards=("EU-END",))
    for quantity, expected in (("noise_day", 60.0), ("noise_evening", 55.0), ("noise_night", 50.0)):
        assert [(end, round(value, 6)) for end, value, *_ in given_by(house, quantity)] == [(local(2026, 11, 22, 6), expected)]
    house.kill()


@pytest.mark.parametrize(("standard", "quantity", "zone", "day", "lengths", "added"), [
    ("US-LDN", "noise_day_night", "America/New_York", (2026, 11, 20), (15, 9), (0, 10)),
    ("EU-END", "noise_day_evening_night", "Europe/Berlin", (2026, 11, 20), (12, 4, 8), (0, 5, 10)),
    ("EU-END", "noise_day_evening_night", "Europe/Berlin", (2026, 3, 28), (12, 4, 7), (0, 5, 10)),
    ("US-LDN", "noise_day_night", "America/New_York", (2026, 10, 31), (15, 10), (0, 10)),
])
def test_evening_and_night_count_more_in_the_us_and_the_eu_also_when_the_clock_changes(tmp_path, standard, quantity, zone, day, lengths, added):
    levels = [round(62.0 - i / 2, 1) for i in range(sum(lengths))]
    begins = int(datetime(*day, 7, tzinfo=ZoneInfo(zone)).timestamp()) * S
    house = lived(tmp_path, begins, [{"laeq": level} for level in [*levels, 50.0]], standards=(standard,), time_zone=zone)
    parts, begin = [], 0
    for length, more in zip(lengths, added, strict=True):
        part = levels[begin : begin + length]
        parts.append(sum(10 ** (level / 10) for level in part) / length * 10 ** (more / 10))
        begin += length
    hours_of_24 = [*lengths[:-1], 24 - sum(lengths[:-1])]
    ((end, value, *_),) = given_by(house, quantity)
    assert end == begins + sum(lengths) * HOUR * S
    assert value == pytest.approx(10 * math.log10(sum(n * part for n, part in zip(hours_of_24, parts, strict=True)) / 24), abs=1e-6)
    house.kill()


def test_a_peak_at_night_may_exceed_the_limit_by_fifteen_and_by_day_there_is_none(tmp_path):
    rules = {"peak": {"quantity": "lamax", "above": "GB3096"}}
    house = lived(tmp_path, local(2026, 11, 21, 20), [{"lamax": 80.0}] * 2 + [{"lamax": 65.0}, {"lamax": 66.5}], rules, **NOISE)
    assert [(end, round(value, 6)) for end, value, *_ in given_by(house, "noise_excess", "lamax")] == [
        (local(2026, 11, 21, 23), 0.0), (local(2026, 11, 22), 1.5)]
    assert alerts(house) == [("peak", ["yard/lamax night peak 66.5 > 65 dB(A) (GB 3096-2008)"])]
    house.kill()


@pytest.mark.parametrize(("standard", "night"), [("GB12348", 55), ("GB22337", 55), ("GB12523", 55)])
def test_boundary_community_and_building_site_have_their_own_limits(tmp_path, standard, night):
    house = lived(tmp_path, local(2026, 11, 21, 1), [{"laeq": night + 2.0}], standards=(standard,), noise_zone="4a")
    assert [round(value, 6) for _, value, *_ in given_by(house, "noise_excess", "laeq")] == [2.0]
    house.kill()


# ── GB 3095 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
AIR = {"standards": ("GB3095",), "air_class": 2}


def test_the_limit_of_air_takes_its_step_at_the_local_midnight_of_2031(tmp_path):
    house = lived(tmp_path, local(2030, 12, 31), [{"pm2_5": 57.0}] * 48, {"day": {"quantity": "pm2_5", "above": "GB3095"}}, **AIR)
    found = given_by(house, "limit_multiple", "pm2_5")
    assert [(end, value) for end, value, *_ in found] == [(local(2031, 1, 1), 57 / 60), (local(2031, 1, 2), 57 / 50)]
    assert alerts(house) == [("day", ["yard/pm2_5 24 h 57.0 > 50 µg/m³ (GB 3095-2026)"])]
    house.kill()


@pytest.mark.parametrize(("value", "over"), [(60.4, False), (60.5, False), (60.6, True)])
def test_a_mean_is_rounded_as_the_law_has_it_before_it_exceeds(tmp_path, value, over):
    house = lived(tmp_path, local(2026, 4, 1), [{"pm2_5": value}] * 24, **AIR)
    ((_, multiple, *_),) = given_by(house, "limit_multiple", "pm2_5")
    assert (multiple > 1) == over
    house.kill()


@pytest.mark.parametrize(("area", "hour", "largest"), [(1, 190 / 160, 150 / 100), (2, 190 / 200, 150 / 160)])
def test_ozone_has_a_limit_for_its_hours_and_one_for_its_largest_eight(tmp_path, area, hour, largest):
    day = [{"o3": 190.0 if 12 <= h < 16 else 110.0 if 10 <= h < 18 else 60.0} for h in range(24)]
    house = lived(tmp_path, local(2026, 4, 1), day, standards=("GB3095",), air_class=area)
    found = given_by(house, "limit_multiple", "o3")
    assert max(value for end, value, *_ in found if end <= local(2026, 4, 2)) == pytest.approx(max(hour, largest))
    assert found[-1][1] == pytest.approx(largest), "(4 · 190 + 4 · 110) / 8"
    assert len(found) == 25
    house.kill()


def test_a_rule_says_which_mean_of_the_law_it_means():
    assert Rule.model_validate({"above": "GB3095"}).law == "GB3095"
    assert Rule.model_validate({"above": "60 µg/m³"}).law == ""
    assert Rule.model_validate({"above": "60 µg/m³"}).above["yellow"].figure == Decimal(60)


def test_a_rule_with_a_mean_of_an_hour_watches_hours_only(tmp_path):
    rules = {"hour": {"quantity": "so2", "mean": "1 h", "above": "GB3095"}, "day": {"quantity": "so2", "mean": "24 h", "above": "GB3095"}}
    house = lived(tmp_path, local(2026, 4, 1), [{"so2": 200.0}] * 23 + [{"so2": 600.0}] + [{"so2": 10.0}], rules, **AIR)
    assert [(rule, steps[0]) for rule, steps in alerts(house)] == [
        ("hour", "yard/so2 1 h 600.0 > 500 µg/m³ (GB 3095-2026)"),
        ("day", "yard/so2 24 h 216.7 > 150 µg/m³ (GB 3095-2026)")]
    house.kill()


def test_a_late_hour_takes_an_exceedance_back(tmp_path):
    house = lived(tmp_path, local(2026, 4, 1), [{"pm2_5": 62.0}] * 24 + [{"pm2_5": 10.0}], **AIR)
    house.say((measured("pm2_5"), 0.0), at=local(2026, 4, 1, 22) + 900 * S)
    house.turn()
    for pause in (70, 61):
        house.clock.forward(pause)
        house.turn()
    found = given_by(house, "limit_multiple", "pm2_5")
    assert [(value > 1, revision) for _, value, _, revision in found] == [(True, 0), (True, 1)]
    assert found[1][1] < found[0][1]
    house.kill()
