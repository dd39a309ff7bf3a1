"""What a rule judges and tells: the mean that the docs name, what is renewed late, after a clock that was wrong, in words that are true."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from house import NOON, House, S, TurnedClock
from law_house import HOUR, given_by, hours, measured, station

from analytics.state import Layout, carry
from gateway.overview import Overview
from gateway.restoring import restore_state
from gateway.status import _lines
from gateway.wiring import Expected, restore

MIDNIGHT = NOON + 4 * HOUR * S
"""Of 2026-11-22 in Shanghai."""


def told(house: House, rule: str) -> list[str]:
    """What was said of a rule, oldest first."""
    with house.reader() as reader:
        return [step[3]["what"] for alert in reversed(reader.alerts(20)) if alert["rule"] == rule for step in alert["log"]]


def redone(house: House) -> None:
    """What a restart would step again from the newest checkpoint on gives the same bits."""
    with house.reader() as reader:
        body = reader.plan(reader.last_event().plan)
        assert restore_state(reader, restore(body)).state.buffer.tobytes() == house.core.state.buffer.tobytes()


def test_a_rule_judges_the_mean_that_the_journal_keeps_of_the_same_hour(tmp_path: Path) -> None:
    rules = {"loud": {"quantity": "laeq", "mean": "1 h", "above": "60 dB(A)"},
             "south": {"quantity": "wind_direction", "mean": "1 h", "above": "150 °"}}
    site, _ = station("laeq", "wind_direction", standards=(), rules=rules)
    sound, wind = measured("laeq"), measured("wind_direction")
    house = House(tmp_path, site, expected=[Expected(sound, 60, False), Expected(wind, 60, False)])
    for k in range(70):
        house.clock.forward(60)
        house.say((sound, 80.0 if k % 4 == 0 else 40.0), (wind, 350.0 if k % 2 else 30.0))
        house.turn()
    with house.reader() as reader:
        rows, table = reader.rows_after(0, 1000), reader.series()
    kept = {table[int(w)].quantity: float(v) for w, v in zip(rows.which, rows.value, strict=True) if table[int(w)].period_s == HOUR}
    assert kept == {"laeq": pytest.approx(73.98, abs=0.01), "wind_direction": pytest.approx(10.0)}
    assert len(told(house, "loud")) == 1, "45 minutes of 40 dB do not silence 15 of 80 dB"
    assert not told(house, "south"), "350 and 30 degrees are north"
    redone(house)
    house.kill()


def test_a_day_that_late_data_raise_above_its_limit_is_told_as_found_late(tmp_path: Path) -> None:
    rules = {"limit": {"quantity": "pm2_5", "mean": "24 h", "above": "GB3095"}, "index": {"quantity": "aqi_daily", "above": 100}}
    site, expected = station("pm2_5", standards=("GB3095", "HJ633"), air_class=2, rules=rules)
    house = House(tmp_path, site, TurnedClock(MIDNIGHT), expected)
    hours(house, {"pm2_5": 50.0}, 20)
    for _ in range(24):
        house.clock.forward(600)
        house.turn()
    hours(house, {"pm2_5": 50.0}, 1)
    assert not told(house, "limit") + told(house, "index"), "a day of 50 is within its limit"
    for k in range(24):
        house.say((measured("pm2_5"), 200.0), at=MIDNIGHT + 20 * HOUR * S + (k + 1) * 600 * S)
        house.turn()
    for _ in range(2):
        house.clock.forward(130)
        house.turn()
    assert [revision for *_, revision in given_by(house, "aqi_daily")] == [0, 1]
    for rule in rules:
        (words,) = told(house, rule)
        assert words.endswith(", found late: of 2026-11-23T00:00"), words
    redone(house)
    hours(house, {"pm2_5": 30.0}, 24)
    assert [len(told(house, rule)) for rule in rules] == [2, 2], "the next day ends them"
    house.kill()


def test_a_day_behind_the_newest_raises_too(tmp_path: Path) -> None:
    site, expected = station("pm2_5", rules={"index": {"quantity": "aqi_daily", "above": 100}})
    house = House(tmp_path, site, TurnedClock(MIDNIGHT), expected)
    hours(house, {"pm2_5": 50.0}, 19)
    house.clock.forward(5 * HOUR)
    hours(house, {"pm2_5": 50.0}, 24)
    for _ in range(2):
        house.clock.forward(60)
        house.turn()
    assert [value for _, value, *_ in given_by(house, "aqi_daily")][-1] == 80.0
    for k in range(3 * 6):
        house.say((measured("pm2_5"), 400.0), at=MIDNIGHT + 24 * HOUR * S - k * 600 * S)
        house.turn()
    for _ in range(2):
        house.clock.forward(130)
        house.turn()
    assert len({end for end, *_ in given_by(house, "aqi_daily")}) == 2, "the older of two"
    (words,) = told(house, "index")
    assert words.endswith(", found late: of 2026-11-23T00:00")
    house.kill()


def test_an_hour_that_its_last_reading_raises_late_is_told(tmp_path: Path) -> None:
    site, _ = station("pm2_5", standards=("HJ633",), rules={"heavy": {"quantity": "aqi", "above": {"red": 200}}})
    series = measured("pm2_5")
    house = House(tmp_path, site, expected=[Expected(series, 600, True)])
    for _ in range(5):
        house.clock.forward(600)
        house.say((series, 30.0), at=house.clock.utc_ns)
        house.turn()
    house.clock.forward(615)
    house.turn()
    assert len(given_by(house, "aqi")) == 1
    house.say((series, 1400.0), at=NOON + HOUR * S)
    house.turn()
    house.clock.forward(70)
    house.turn()
    assert len(told(house, "heavy")) == 1
    redone(house)
    house.kill()


def test_events_of_an_older_version_are_stepped_again_as_it_stepped_them(tmp_path: Path) -> None:
    """After a power cut and with a new version: alerts keep their numbers, and the rule on sound begins anew."""
    rules = {"dust": {"quantity": "pm2_5", "mean": "1 h", "above": "100 µg/m³"}, "loud": {"quantity": "laeq", "mean": "1 h", "above": "60 dB(A)"}}
    site, _ = station("laeq", "pm2_5", standards=(), rules=rules)
    sound, dust = measured("laeq"), measured("pm2_5")
    house = House(tmp_path, site, expected=[Expected(sound, 60, False), Expected(dust, 60, False)])
    with house.reader() as reader:
        new = restore(reader.plan(reader.last_event().plan))
    keys = {**new.layout.keys, "watch": tuple(key.replace("|sound", "") for key in new.layout.keys["watch"])}
    house.core._plan = replace(new, manner=0, layout=Layout(new.layout.columns, keys))
    house.core._state = carry(house.core._state, house.core._plan.layout)
    with house.writer.transaction():
        house.core._version = house.writer.plan(house.core._plan.fingerprint, "older", "numba", "{}", zlib.compress(house.core._plan.dump()))
    for k in range(60):
        house.clock.forward(60)
        house.say((sound, 80.0 if k % 4 == 0 else 40.0), (dust, 150.0))
        house.turn()
    assert (len(told(house, "dust")), told(house, "loud")) == (1, []), "as the older version was"
    house.again()
    for k in range(60):
        house.clock.forward(60)
        house.say((sound, 80.0 if k % 4 == 0 else 40.0), (dust, 20.0))
        house.turn()
    assert [words.split()[5] for words in told(house, "dust")] == [">", "back"], "the same alert goes on, and ends"
    assert len(told(house, "loud")) == 1
    house.kill()


@pytest.mark.parametrize("ahead_h", [1, 8, 48, 27 * 32 + 3])  # the last: the rings of hours and of indices are both met again
@pytest.mark.parametrize("killed", [False, True])
def test_rules_and_hours_go_on_at_once_after_a_clock_that_was_ahead(tmp_path: Path, ahead_h: int, killed: bool) -> None:
    rules = {"dust": {"quantity": "pm2_5", "above": "100 µg/m³"}, "index": {"quantity": "aqi", "above": 100},
             "mean": {"quantity": "pm2_5", "mean": "1 h", "above": "100 µg/m³"}}
    site, expected = station("pm2_5", standards=("HJ633",), rules=rules)
    series = measured("pm2_5")
    house = House(tmp_path, site, expected=expected)
    house.clock.utc_ns += ahead_h * HOUR * S
    for _ in range(9):
        house.clock.forward(600)
        house.say((series, 30.0))
        house.turn()
    house.clock.utc_ns -= ahead_h * HOUR * S
    if killed:
        house.again()
    before = len(given_by(house, "aqi"))
    for k in range(3 * 6 + 3):
        house.clock.forward(600)
        house.say((series, 300.0))
        house.turn()
        if k == 0:
            assert len(told(house, "dust")) == 1, "the first reading after it is judged"
        if k == 7:
            assert len(told(house, "mean")) == 1, "a mean is judged when it is covered anew"
    house.clock.forward(20)
    house.turn()
    found = given_by(house, "aqi")[before:]
    assert {(end - NOON) // HOUR // S for end, value, *_ in found if value is not None} >= {3, 4, 5}
    assert not [row for row in found if row[0] > house.clock.utc_ns], "nothing more is said of hours that have not come"
    assert len(told(house, "index")) == 1
    assert len({(end, revision) for end, _, _, revision in given_by(house, "aqi")}) == len(given_by(house, "aqi"))
    redone(house)
    house.kill()


def test_a_clock_that_was_ahead_is_counted_and_shown(tmp_path: Path) -> None:
    site, expected = station("pm2_5", rules={})
    house = House(tmp_path, site, expected=expected)
    hours(house, {"pm2_5": 30.0}, 2)
    assert "was ahead" not in "\n".join(_lines(Overview(house.folder, site, "test", house.clock, [], dict).status(), running=True))
    house.clock.utc_ns += 8 * HOUR * S
    hours(house, {"pm2_5": 30.0}, 2)
    house.clock.utc_ns -= 8 * HOUR * S
    house.say((measured("pm2_5"), 30.0))
    house.turn()
    status = Overview(house.folder, site, "test", house.clock, [], dict).status()
    assert status["too_old"]["hour_ahead"] == 2
    assert "2 hours of series begin anew" in "\n".join(_lines(status, running=True))
    house.again()
    house.again()
    assert Overview(house.folder, site, "test", house.clock, [], dict).status()["too_old"]["hour_ahead"] == 2, "counted once"
    house.kill()


def test_an_own_time_that_is_ahead_deafens_nothing(tmp_path: Path) -> None:
    site, _ = station("laeq", standards=(), rules={"loud": {"quantity": "laeq", "above": "70 dB(A)", "for": "20 s"}})
    series = measured("laeq")
    house = House(tmp_path, site, expected=[Expected(series, 10, True)])
    house.clock.forward(10)
    house.say((series, 40.0), at=house.clock.utc_ns + 590 * S)
    house.turn()
    for _ in range(4):
        assert not told(house, "loud")
        house.clock.forward(10)
        house.say((series, 95.0), at=house.clock.utc_ns)
        house.turn()
        if told(house, "loud"):
            break
    assert house.clock.utc_ns == NOON + 40 * S
    assert len(told(house, "loud")) == 1
    house.kill()


def steps(house: House, rule: str) -> list[dict[str, object]]:
    """What programs were told of a rule, oldest first."""
    with house.reader() as reader:
        return [step[3] for alert in reversed(reader.alerts(20)) if alert["rule"] == rule for step in alert["log"]]


def test_a_multiple_of_a_limit_is_no_concentration_and_the_mean_is_told_beside_it(tmp_path: Path) -> None:
    """The limit of ammonia depends on the temperature of the water: 7 mg/L is 1.4 times 5."""
    rules = {"nh3": {"quantity": "ammonia_nitrogen", "above": "GB18918"}, "cod": {"quantity": "cod", "above": "GB18918"}}
    site, expected = station("ammonia_nitrogen", "water_temperature", "cod", standards=("GB18918",),
                             facts={"discharge_grade": "1A", "built_from_2006": "no"}, rules=rules)
    house = House(tmp_path, site, TurnedClock(MIDNIGHT), expected)
    hours(house, {"ammonia_nitrogen": 7.0, "water_temperature": 15.0, "cod": 50.04}, 25)
    (told_of,) = steps(house, "nh3")
    assert (told_of["value"], told_of["limit"], told_of["unit"]) == (1.4, 1.0, "1")
    assert (told_of["measured"], told_of["measured_unit"]) == (7.0, "mg/L")
    assert told_of["what"] == "yard/ammonia_nitrogen 24 h 7.0 mg/L: 1.4 > 1 of its limit (GB 18918-2002)"
    assert [words["what"] for words in steps(house, "cod")] == ["yard/cod 24 h 50.04 > 50 mg/L (GB 18918-2002)"]
    house.kill()


def test_a_message_has_as_many_digits_as_it_takes_to_be_true(tmp_path: Path) -> None:
    site, expected = station("ammonia_nitrogen", standards=(), rules={"nh3": {"quantity": "ammonia_nitrogen", "above": "1.0 mg/L"}})
    house = House(tmp_path, site, expected=expected)
    for value in (1.00004, 0.99996):
        house.clock.forward(600)
        house.say((measured("ammonia_nitrogen"), value))
        house.turn()
    assert told(house, "nh3") == ["yard/probe/ammonia_nitrogen 1.00004 > 1.0 mg/L", "yard/probe/ammonia_nitrogen 0.99996 back from 1.0 mg/L"]
    house.kill()


@pytest.mark.parametrize(("pause_s", "what", "mean_s"), [(2400, "60.0 > 40 mg/L", 0.0), (600, "mean 1 h 60.0 > 40 mg/L", 3600.0)])
def test_a_message_speaks_of_a_mean_only_where_one_was_judged(tmp_path: Path, pause_s: int, what: str, mean_s: float) -> None:
    site, _ = station("cod", standards=(), rules={"cod": {"quantity": "cod", "mean": "1 h", "above": "40 mg/L"}})
    house = House(tmp_path, site, expected=[Expected(measured("cod"), pause_s, False)])
    for _ in range(7):
        house.clock.forward(pause_s)
        house.say((measured("cod"), 60.0))
        house.turn()
    (told_of,) = steps(house, "cod")
    assert (told_of["what"], told_of["mean_s"]) == (f"yard/probe/cod {what}", mean_s)
    house.kill()


def test_an_alert_keeps_the_limit_that_it_was_raised_at(tmp_path: Path) -> None:
    rules = {"law": {"quantity": "laeq", "above": "GB3096"}, "own": {"quantity": "laeq", "above": {"yellow": "50 dB(A)", "red": "55 dB(A)"}}}
    site, expected = station("laeq", standards=("GB3096",), noise_zone="1", rules=rules)
    house = House(tmp_path, site, TurnedClock(NOON - 6 * HOUR * S), expected)
    hours(house, {"laeq": 57.0}, 1)
    house.kill()
    other = {**rules, "own": {"quantity": "laeq", "above": {"yellow": "58 dB(A)"}}}
    house.site = station("laeq", standards=("GB3096",), noise_zone="2", rules=other)[0]
    house.start()
    hours(house, {"laeq": 57.0}, 1)
    law, own = steps(house, "law"), steps(house, "own")
    assert [step["what"] for step in law] == ["yard/laeq hour 57.0 > 55 dB(A) (GB 3096-2008)",
                                              "yard/laeq hour 57.0 within 60 dB(A), raised at 55 dB(A) (GB 3096-2008)"]
    assert [step["limit"] for step in law] == [55.0, 55.0]
    assert own[-1]["what"] == "yard/probe/laeq 57.0 within 58 dB(A), raised at 55 dB(A)"
    house.kill()
