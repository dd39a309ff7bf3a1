"""While people, or span gas, are at an instrument its values are kept with that reason and never count, and it is not missed."""

from datetime import UTC, datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

import naive
import numpy as np
import pytest
from house import AMMONIA, LADDER, LAEQ, NOON, House, S, site
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.windows import Row, of, reasons, spans_of_day
from config.maintenance import Maintenance
from config.series import Flag, Reason, Series
from config.site import DeviceTable, SiteDevice, Station
from config.table import Table
from drivers.reading import Delivery, Readings
from gateway.alerts import SILENT
from gateway.gap_ledger import gaps_between
from gateway.restoring import restore_state
from gateway.wiring import restore

PH = AMMONIA._replace(quantity="ph")
CLEANING = {"device": "probe", "at": "Sat 20:05", "for": "10 min"}
"""NOON is Saturday, 20:00 in Shanghai."""


def a_house(folder, **windows):
    made = site(ammonia=LADDER)
    return House(folder, made.model_copy(update={"maintenance": {name: Maintenance.model_validate(table) for name, table in windows.items()}}))


@pytest.fixture
def house(tmp_path):
    """The probe is cleaned from minute 5 to minute 15."""
    house = a_house(tmp_path / "journal", cleaning=CLEANING)
    yield house
    house.kill()


def speak(house, minutes, value=0.5):
    """Both speak every 10 s."""
    for _ in range(round(minutes * 6)):
        house.clock.forward(10)
        house.say((AMMONIA, value), (LAEQ, 50.0))
        house.turn()


def tell(house, value, reason):
    """A reading of the probe with a reason that its poller or itself gives."""
    readings = Readings(house.clock.now())
    readings.add(AMMONIA, value, int(reason))
    house.intake.deliver(Delivery("l", (readings.batch(),)), 0)


def node_alone(house, minutes):
    """Nothing comes of the probe, and nobody says why."""
    for _ in range(round(minutes * 6)):
        house.clock.forward(10)
        house.say((LAEQ, 50.0))
        house.turn()


def no_answer(house, minutes):
    """The probe does not answer, and its poller says so."""
    for _ in range(round(minutes * 6)):
        house.clock.forward(10)
        tell(house, float("nan"), Reason.DEVICE)
        house.say((LAEQ, 50.0))
        house.turn()


def rows(house, series=AMMONIA):
    with house.reader() as reader:
        found = reader.rows_of_series(reader.series().index(series), 0, 2**62, 10_000)
    return [((at - NOON) / S, value, chr(reason), flag)
            for at, value, reason, flag in zip(found.at.tolist(), found.value.tolist(), found.reason.tolist(), found.flag.tolist(), strict=True)]


def gaps(house, series=AMMONIA):
    with house.reader() as reader:
        found = gaps_between(reader, 0, 2**62, [reader.series().index(series)])
    return [((gap.since - NOON) / S, (gap.until - NOON) / S, gap.words) for gap in found]


def alerts(house):
    with house.reader() as reader:
        return [(one["rule"], one["state"], (one["since"] - NOON) / S) for one in reader.alerts(20)]


def test_values_in_a_window_are_kept_fail_and_raise_nothing_and_the_ledger_says_maintenance(house):
    speak(house, 4.9)
    speak(house, 10, value=9.0)
    speak(house, 60)
    inside = [row for row in rows(house) if row[2] != "N"]
    assert [at for at, *_ in inside] == list(range(300, 900, 10)), "the first instant of the window is in it, its end is not"
    assert {(value, reason, flag) for _, value, reason, flag in inside} == {(9.0, "M", Flag.FAIL)}
    assert {reason for _, _, reason, _ in rows(house, LAEQ)} == {"N"}, "the others count"
    assert alerts(house) == []
    assert gaps(house) == [(290.0, 900.0, "maintenance")]
    with house.reader() as reader:
        mean = reader.rows_of_series(reader.series().index(AMMONIA._replace(statistic="mean", period_s=3600)), 0, 2**62, 10)
    assert mean.value.tolist() == [0.5]


def test_the_same_values_without_a_window_are_an_alert(tmp_path):
    house = a_house(tmp_path)
    speak(house, 4.9)
    speak(house, 10, value=9.0)
    assert [rule for rule, *_ in alerts(house)] == ["ammonia"]
    house.kill()


@pytest.mark.parametrize("silence", [node_alone, no_answer])
def test_who_is_silent_in_a_window_is_not_missed(house, silence):
    speak(house, 4.9)
    silence(house, 10)
    speak(house, 2)
    assert alerts(house) == []


def test_the_ledger_says_maintenance_where_the_poller_says_that_nothing_was_answered(house):
    speak(house, 4.9)
    no_answer(house, 10)
    speak(house, 2)
    assert gaps(house) == [(290.0, 900.0, "maintenance")]


@pytest.mark.parametrize("silence", [node_alone, no_answer])
def test_who_is_silent_still_after_a_window_is_missed_after_three_of_its_periods(house, silence):
    speak(house, 4.9)
    silence(house, 10.5)
    assert alerts(house) == []
    silence(house, 0.5)
    assert alerts(house) == [(SILENT, "firing", 930.0)]


def test_who_was_silent_before_a_window_is_missed_unless_people_come_first(house):
    speak(house, 4)
    node_alone(house, 2)
    assert alerts(house) == [(SILENT, "firing", 270.0)]


def test_a_window_that_came_and_went_while_nothing_happened_excuses_too(house):
    """The box was suspended, or the disk was full: the core turns again after the window only."""
    speak(house, 4.9)
    house.clock.forward(620)
    house.turn()
    assert alerts(house) == [(SILENT, "firing", 305.0)], "the node, which no window excuses; not the probe"


def test_a_told_device_that_keeps_still_in_its_window_is_not_missed_and_its_missing_rows_say_so(tmp_path):
    house = a_house(tmp_path, calibration={"device": "node", "at": ["20:05"], "for": "10 min", "kind": "zero", "settle": "1 min"})

    def probe_alone(minutes):
        for _ in range(round(minutes * 6)):
            house.clock.forward(10)
            house.say((AMMONIA, 0.5))
            house.turn()

    speak(house, 5)
    probe_alone(10.9)
    missing = [row for row in rows(house, LAEQ) if row[3] == Flag.MISSING]
    assert missing
    assert {reason for _, _, reason, _ in missing} == {"C"}
    assert alerts(house) == []
    probe_alone(0.6)
    assert alerts(house) == [(SILENT, "firing", 975.0)], "three of its periods after the window and its settling"
    speak(house, 1)
    assert gaps(house, LAEQ)[0][2] == "calibration"
    house.kill()


def test_a_window_of_one_quantity_leaves_the_others_and_a_dead_device_is_missed(tmp_path):
    house = a_house(tmp_path, zero={"device": "probe", "quantity": "ammonia_nitrogen", "at": "Sat 20:05", "for": "10 min", "kind": "zero"})
    for _ in range(36):
        house.clock.forward(10)
        house.say((AMMONIA, 0.0), (PH, 7.0), (LAEQ, 50.0))
        house.turn()
    assert {reason for at, _, reason, _ in rows(house) if at >= 300} == {"C"}
    assert {reason for _, _, reason, _ in rows(house, PH)} == {"N"}
    node_alone(house, 1)
    assert alerts(house) == [(SILENT, "firing", 390.0)]
    house.kill()


def test_after_span_gas_values_count_only_once_the_instrument_has_settled(tmp_path):
    house = a_house(tmp_path, span={"device": "probe", "at": "20:01", "for": "1 min", "kind": "span", "settle": "2 min"})
    speak(house, 5, value=9.0)
    assert [at for at, _, reason, _ in rows(house) if reason == "C"] == list(range(60, 240, 10))
    speak(house, 1, value=0.5)
    assert alerts(house) == [("ammonia", "ended", 30.0)], "it was above before, and went on"
    house.kill()


def test_late_readings_are_judged_by_their_own_time(house):
    speak(house, 30)
    for at in (299.9, 300, 899.9, 900):
        house.say((AMMONIA, 0.4), at=NOON + round(at * S))
    house.turn()
    assert {at: reason for at, value, reason, _ in rows(house) if value == 0.4} == {299.9: "N", 300.0: "M", 899.9: "M", 900.0: "N"}


def test_an_interval_that_touches_the_window_is_in_it():
    table = of([Row(Reason.MAINTENANCE, (0,), (), since=1000, lasts=500)], 1, 1)
    at = np.array([1000, 1001, 1500, 1599, 1600])
    found = reasons(table, np.zeros(5, np.int32), at, np.full(5, 100), np.full(5, ord("N"), np.uint8))
    assert bytes(found) == b"NMMMN"


def test_what_an_instrument_says_of_itself_and_counts_as_little_stays_all_else_gives_way(house):
    house.clock.forward(400)
    for word in "NDMCFTSwdB":
        house.clock.forward(1)
        tell(house, 0.5, ord(word))
        house.turn()
    assert "".join(reason for _, _, reason, _ in rows(house)) == "MDMCFMMMMM"
    assert {flag for *_, flag in rows(house)} == {Flag.FAIL}


def test_kills_in_the_middle_of_a_window_and_another_site_file_after_it_change_nothing(house, tmp_path):
    other = a_house(tmp_path / "other", cleaning=CLEANING)
    for one, kills in ((house, True), (other, False)):
        for part in (4, 3, 5, 2):
            speak(one, part, value=9.0)
            if kills:
                one.again()
    assert rows(house) == rows(other)
    house.kill()
    house.site = house.site.model_copy(update={"maintenance": {}})
    house.start()
    speak(house, 1)
    assert [row[:3] for row in rows(house)][: 14 * 6] == [row[:3] for row in rows(other)], "what was judged stays judged"
    assert gaps(house)[0][2] == "maintenance"
    other.kill()


class Relay(Table):
    """Options of a device that stands for another gateway."""

    RELAYS: ClassVar[bool] = True


def test_a_window_of_another_gateway_takes_all_that_it_measures(tmp_path):
    made = site()
    hub = SiteDevice(common=DeviceTable(profile="x", line="l", station="leaf"), options=Relay())
    house = House(tmp_path, made.model_copy(update={
        "stations": {**made.stations, "leaf": Station(time_zone="Asia/Shanghai")}, "devices": {**made.devices, "hub": hub},
        "maintenance": {"moved": Maintenance.model_validate({"device": "hub", "at": "20:00", "for": "1 h"})}}))
    far = Series("leaf", "far_probe", "ph")
    house.clock.forward(10)
    house.say((far, 7.0), (AMMONIA, 0.5))
    house.turn()
    assert [reason for _, _, reason, _ in rows(house, far) + rows(house)] == ["M", "N"]
    house.kill()


# ── the clock ──
HOUR = 3600 * S


def begins(zone, at, day):
    minute = at[0] * 60 + at[1]
    days = [datetime(2026, *day, tzinfo=UTC).toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal() + i for i in (-1, 0, 1)]
    found = {span for one in days for span in spans_of_day(zone, tuple(d * 1440 + minute for d in range(7)), HOUR, 0, one)}
    local = f"2026-{day[0]:02d}-{day[1]:02d}"
    return [datetime.fromtimestamp(span.begin / S, UTC).strftime("%H:%M") for span in sorted(found)
            if datetime.fromtimestamp(span.begin / S, ZoneInfo(zone)).strftime("%Y-%m-%d") == local]


@pytest.mark.parametrize(("day", "at", "utc"), [
    ((3, 28), (2, 30), ["01:30"]), ((3, 29), (2, 30), ["01:30"]), ((3, 29), (3, 30), ["01:30"]), ((3, 30), (2, 30), ["00:30"]),
    ((10, 24), (2, 30), ["00:30"]), ((10, 25), (2, 30), ["00:30"]), ((10, 26), (2, 30), ["01:30"])])
def test_a_time_that_there_is_not_is_taken_by_the_clock_before_one_that_there_is_twice_is_the_first(day, at, utc):
    """Berlin: 2026-03-29 has no 02:30, 2026-10-25 has two."""
    assert begins("Europe/Berlin", at, day) == utc


stamps = st.integers(0, 60 * 86_400)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"]),
       st.lists(st.integers(0, 7 * 1440 - 1), min_size=1, max_size=4, unique=True), st.integers(1, 7 * 86_399), st.integers(0, 86_400),
       st.lists(st.tuples(stamps, st.sampled_from([0, 60, 3600, 90_000]), st.sampled_from(b"NNDdw")), min_size=1, max_size=12))
def test_windows_agree_with_their_plain_twin(zone, minutes, lasts_s, settle_s, told):
    """Two months around the change of the clock, several time zones, readings in any order; and all at once is as one after another."""
    base = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
    table = of([Row(Reason.CALIBRATION, (0,), (0,), lasts_s * S, settle_s * S, begins=tuple(sorted(minutes)), zone=zone)], 1, 1)
    at, span, reason = (np.array(column) for column in zip(*told, strict=True))
    found = reasons(table, np.zeros(len(at), np.int32), (at + base) * S, span * S, reason.astype(np.uint8))
    assert found.tolist() == [naive.window(base + t, s, word, zone, minutes, lasts_s + settle_s) for t, s, word in told]
    ones = [reasons(table, np.zeros(1, np.int32), (at[i : i + 1] + base) * S, span[i : i + 1] * S, reason[i : i + 1].astype(np.uint8))[0]
            for i in range(len(at))]
    assert found.tolist() == ones


def test_a_plan_of_the_journal_has_the_windows_of_its_time(house):
    """Events after the last checkpoint are stepped again by the plan that they name, under whatever site file."""
    speak(house, 4.9)
    no_answer(house, 5)
    judged, due = rows(house), house.core.state["device_due"].copy()
    house.kill()
    with house.reader() as reader:
        version = reader.last_event().plan
        kept = restore(reader.plan(version))
        again = restore_state(reader, kept)
    assert kept.fingerprint == house.core._plan.fingerprint
    assert again.state["device_due"].tolist() == due.tolist()
    assert [row for row in judged if row[2] == "M"]
    house.start()
