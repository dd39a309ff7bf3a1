"""Analysers that measure every few hours, and devices of which nobody knows how often they speak."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from house import House, S, TurnedClock
from law_house import AIR, NAMES, answered, given_by, hours, measured, station

from config.reading_site import read_site_file
from config.series import Flag, Reason
from gateway.checking.forecast import warnings
from gateway.plugins import KINDS
from gateway.wiring import Expected

BEGIN = int(datetime(2026, 11, 20, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * S
HOUR = 3600


def lived(tmp_path, every: int, count: int, *, spoilt: tuple[int, ...] = (), ph: bool = True, slow: str = "ammonia_nitrogen", **more) -> House:
    """A probe with pH each half hour, an analyser with 1.8 mg/L (of ammonia class V) in the first of each `every` hours."""
    site, _ = station("ph", slow, **{"standards": ("GB3838",), **more})
    expected = [Expected(measured(slow), every * HOUR, False), *([Expected(measured("ph"), 1800, False)] if ph else [])]
    house = House(tmp_path, site, TurnedClock(BEGIN), expected)
    for number in range(count):
        for half in range(2):
            house.clock.forward(1800)
            gives = half == 0 and number % every == 0 and number not in spoilt
            house.say(*([(measured("ph"), 7.4)] if ph else []), *([(measured(slow), 1.8)] if gives else []))
            house.turn()
        house.clock.forward(10)
        house.turn()
        house.clock.forward(-10)
    return house


def reasons(house: House, quantity: str) -> list[int]:
    with house.reader() as reader:
        rows, table = reader.rows_after(0, 100_000), reader.series()
    return [int(reason) for which, reason in zip(rows.which, rows.reason, strict=True) if table[int(which)].quantity == quantity]


@pytest.mark.parametrize("every", [2, 4])
def test_a_value_of_an_analyser_stands_until_its_next_one_and_says_so(tmp_path, every):
    house = lived(tmp_path, every, 2 * every)
    assert [value for _, value, *_ in given_by(house, "gb3838_class")] == [5.0] * 2 * every
    assert reasons(house, "gb3838_class") == ([Reason.NORMAL] + [Reason.HELD] * (every - 1)) * 2
    house.kill()


def test_a_value_does_not_stand_longer_than_its_period(tmp_path):
    house = lived(tmp_path, 4, 10, spoilt=(4,))
    assert [value for _, value, *_ in given_by(house, "gb3838_class")] == [5.0] * 4 + [None] * 4 + [5.0] * 2
    house.kill()


@pytest.mark.parametrize(("every", "spoilt", "there"), [
    (4, (), True), (4, (8,), True), (4, (8, 16), False), (2, (0, 10), True), (2, (0, 10, 12), False),
])
def test_a_day_needs_as_large_a_part_of_an_analysers_values_as_of_hours(tmp_path, every, spoilt, there):
    """20 of 24 hours: 5 of 6 values, 10 of 12."""
    house = lived(tmp_path, every, 25, spoilt=spoilt)
    ((_, value, flag, revision),) = given_by(house, "gb3838_class_daily")
    assert (value, flag, revision) == ((5.0, Flag.GOOD, 0) if there else (None, Flag.MISSING, 0))
    house.kill()


def test_days_of_discharge_take_an_analysers_values_too(tmp_path):
    house = lived(tmp_path, 2, 25, slow="cod", standards=("GB18918",), facts={"discharge_grade": "1A"})
    assert [value for _, value, *_ in given_by(house, "water_limit_multiple", "cod")] == [pytest.approx(1.8 / 50)]
    house.kill()


@pytest.mark.parametrize("ph", [True, False])
def test_a_class_worse_than_the_target_for_two_hours_is_told_with_an_analyser_of_four_hours(tmp_path, ph):
    rules = {"worse": {"quantity": "gb3838_class", "worse_than": "target", "for": "2 h"}}
    house = lived(tmp_path, 4, 9, ph=ph, rules=rules)
    with house.reader() as reader:
        assert [alert["rule"] for alert in reader.alerts(9)] == ["worse"]
    house.kill()


@pytest.mark.parametrize(("interval", "flag"), [(None, Flag.SUSPECT), (600, Flag.MISSING)])
def test_one_reading_is_never_a_full_hour_of_the_law(tmp_path, interval, flag):
    """What comes unasked under a topic is expected by nobody: its device's `interval` says how much an hour should hold."""
    site, _ = station("so2", standards=("HJ633",))
    device = site.devices["box"]
    box = device.model_copy(update={"common": device.common.model_copy(update={"interval": interval})})
    site = site.model_copy(update={"devices": {**site.devices, "box": box}})
    house = House(tmp_path, site, TurnedClock(BEGIN), [])
    house.clock.forward(3000)
    house.say((measured("so2"), 600.0))
    house.turn()
    house.clock.forward(620)
    house.turn()
    assert [found for *_, found, _ in given_by(house, "aqi")] == [flag]
    house.kill()


@pytest.mark.parametrize(("zone", "standard", "warned"), [
    ("", "HJ633", True), ('time_zone = "UTC"\n', "HJ633", False), ('time_zone = "Asia/Shanghai"\n', "HJ633", False), ("", "EU-EAQI", False)])
def test_days_of_utc_are_warned_of_where_no_station_has_them(tmp_path, zone, standard, warned):
    site = f"""[stations.yard]\n{zone}standards = ["{standard}"]
[lines.nodes]\nkind = "mqtt"\nurl = "mqtt://127.0.0.1:1"
[devices]\none = {{ topic = "yard/{{quantity}}", profile = "mqtt_plain", quantities = ["pm2_5"] }}\n"""
    (tmp_path / "site.toml").write_text(site)
    assert any("stations.yard: no time_zone" in words for words in warnings(read_site_file(tmp_path / "site.toml", KINDS))) is warned


@pytest.mark.parametrize(("so2", "index"), [(-0.4, 0), (-0.6, None)])
def test_an_hour_is_negative_after_the_law_s_rounding_only(tmp_path, so2, index):
    """HJ 633, 4.2.2: whole µg/m³, so -0.4 is 0. What `compute` says of the same means is what the station says."""
    air = {**AIR, "so2": so2}
    site, expected = station(*air, standards=("HJ633",))
    house = House(tmp_path, site, TurnedClock(BEGIN), expected)
    hours(house, air)
    law = answered({"standard": "HJ633-2026", "report": "realtime", "inputs": {NAMES[quantity]: str(value) for quantity, value in air.items()}})
    assert [value for _, value, *_ in given_by(house, "iaqi", "so2")] == [index] == [law["iaqi"]["SO2"]]
    assert [value for _, value, *_ in given_by(house, "aqi")] == [law["aqi"]]
    house.kill()
