"""After power-up an instrument's values are kept, flagged and left out of means and rules until it is ready."""

import naive
import numpy as np
import pytest
from house import AMMONIA, LADDER, LAEQ, NOON, House, S, site
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import warming
from analytics.state import Layout, State
from config.reading_site import read_site_text
from config.series import Flag, Reason
from gateway.gap_ledger import gaps_between
from gateway.plugins import Plugins

READY_S = 60


@pytest.fixture
def house(tmp_path):
    """The probe, polled every 10 s, needs a minute after power-up; the node needs none."""
    made = site(ammonia=LADDER)
    probe = made.devices["probe"]
    devices = made.devices | {"probe": probe.model_copy(update={"common": probe.common.model_copy(update={"ready": float(READY_S)})})}
    house = House(tmp_path / "journal", made.model_copy(update={"devices": devices}))
    yield house
    house.kill()


def speak(house, times=1, value=0.5):
    for _ in range(times):
        house.clock.forward(10)
        house.say((AMMONIA, value), (LAEQ, 50.0))
        house.turn()


def stay_away(house, seconds):
    for _ in range(seconds // 10):
        house.clock.forward(10)
        house.say((AMMONIA, float("nan")), (LAEQ, 50.0))
        house.turn()


def reasons(house, series=AMMONIA):
    with house.reader() as reader:
        rows = reader.rows_of_series(reader.series().index(series), 0, 2**62, 10_000)
    return "".join(chr(reason) for reason, flag in zip(rows.reason.tolist(), rows.flag.tolist(), strict=True) if flag != Flag.MISSING)


def test_the_first_values_after_power_up_are_kept_and_fail_until_the_instrument_is_ready(house):
    speak(house, 9, value=9.0)
    assert reasons(house) == "wwwwwwNNN"
    assert reasons(house, LAEQ) == "N" * 9
    with house.reader() as reader:
        rows = reader.rows_of_series(reader.series().index(AMMONIA), 0, 2**62, 100)
        assert rows.flag.tolist() == [Flag.FAIL] * 6 + [Flag.GOOD] * 3
        assert rows.value.tolist() == [9.0] * 9, "what it gave is kept"
        alerts = reader.alerts(10)
    assert [alert["since"] for alert in alerts] == [NOON + 90 * S], "20 s after the first that counted"


def test_hourly_means_and_alerts_rest_on_ready_values_only_and_the_ledger_says_why(house):
    speak(house, 6, value=9.0)
    speak(house, 360, value=0.5)
    with house.reader() as reader:
        table = reader.series()
        mean = reader.rows_of_series(table.index(AMMONIA._replace(statistic="mean", period_s=3600)), 0, 2**62, 10)
        gaps = gaps_between(reader, 0, 2**62, [table.index(AMMONIA)])
        assert reader.alerts(10) == []
    assert mean.value.tolist() == [0.5]
    assert [(chr(gap.reason), gap.words) for gap in gaps] == [("w", "warming up")]


@pytest.mark.parametrize(("silent_s", "again"), [(20, ""), (60, "w" * 6)])
def test_who_answers_again_after_a_silence_has_been_powered_up(house, silent_s, again):
    speak(house, 10)
    stay_away(house, silent_s)
    speak(house, 8)
    assert reasons(house) == "w" * 6 + "N" * 4 + again + "N" * (8 - len(again))


def test_a_restart_of_the_daemon_is_no_power_up_but_one_of_the_box_is(house):
    speak(house, 10)
    house.kill()
    house.clock.forward(600)
    house.start()
    speak(house, 2)
    assert reasons(house) == "w" * 6 + "N" * 6
    house.kill()
    house.clock.forward(40)
    house.clock.boot, house.clock.mono_ns = "boot-2", 5 * S
    house.start()
    house.again()  # the daemon dies before the instrument has spoken
    speak(house, 8)
    assert reasons(house) == "w" * 6 + "N" * 6 + "w" * 6 + "NN"


def test_one_that_was_off_while_the_gateway_came_back_is_cold_when_it_speaks_at_last(house):
    speak(house, 10)
    house.again()
    stay_away(house, 60)
    speak(house, 7)
    assert reasons(house) == "w" * 6 + "N" * 4 + "w" * 6 + "N"


def test_kills_in_the_middle_of_warming_up_change_nothing(house):
    speak(house, 2)
    house.again()
    speak(house, 2)
    house.again()
    speak(house, 5)
    assert reasons(house) == "w" * 6 + "NNN"


def test_a_jump_of_the_clock_is_no_silence(house):
    speak(house, 10)
    house.clock.utc_ns += 300 * S
    speak(house, 3)
    assert reasons(house) == "w" * 6 + "N" * 7


def test_what_comes_late_from_the_time_of_warming_up_is_told_apart_by_its_own_time(house):
    speak(house, 10)
    house.say((AMMONIA, 0.4), at=NOON + 15 * S)
    house.say((AMMONIA, 0.4), at=NOON + 75 * S)
    house.turn()
    with house.reader() as reader:
        rows = reader.rows_of_series(reader.series().index(AMMONIA), 0, 2**62, 100)
    late = {at: chr(reason) for at, value, reason in zip(rows.at.tolist(), rows.value.tolist(), rows.reason.tolist(), strict=True) if value == 0.4}
    assert late == {NOON + 15 * S: "w", NOON + 75 * S: "N"}


def test_what_the_instrument_says_of_itself_goes_before(house):
    from drivers.reading import Delivery, Readings

    house.clock.forward(10)
    readings = Readings(house.clock.now())
    readings.add(AMMONIA, 0.5, Reason.FAULT)
    house.intake.deliver(Delivery("l", (readings.batch(),)), 0)
    house.turn()
    assert reasons(house) == "D"


row = st.tuples(st.integers(0, 1), st.integers(0, 9), st.sampled_from([1.0, 1.0, 1.0, float("nan")]), st.sampled_from(b"NNND"))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(row, max_size=40), st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=3), st.booleans())
def test_warming_up_agrees_with_its_plain_twin_wherever_it_is_cut(rows, starts, compiled):
    """Each row is an event of its own; the clock goes on by a varying step, and some rows come late."""
    table = warming.Warming(np.array([0, 1], np.int32), np.array([15, 6]), np.array([9, 20]))
    state = State(Layout(warming.COLUMNS, {"series": ("a", "b"), "device": ("a", "b")}))
    warm_rows, got, told = warming.warm_rows, [], []
    warming.warm_rows = warm_rows if compiled else getattr(warm_rows, "py_func", warm_rows)
    now, begun = 1000, []
    try:
        for place, (device, step, value, reason) in enumerate(rows):
            now += 2 * step
            for where, booted in starts:
                if where == place:
                    begun.append((place, now, booted))
                    warming.start(state, now, booted=booted)
            at = now + 50_000 - (30 if step == 7 else 0)
            told.append((device, at, value, reason, now))
            found = warming.reasons(table, state, now, np.array([device], np.int32), np.array([at]), np.array([value]), np.array([reason], np.uint8))
            got += found.tolist()
    finally:
        warming.warm_rows = warm_rows
    assert got == naive.warming(told, {0: (15, 9), 1: (6, 20)}, begun)


SITE = """
[stations.river]
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
[devices]
probe = { profile = "sim_water_probe", ready = "15 min" }
meter = { profile = "sim_water_probe", address = 2 }
"""


def test_the_site_file_says_when_an_instrument_is_ready():
    file = read_site_text(SITE, Plugins())
    assert file.devices["probe"].common.ready == 900
    assert file.devices["meter"].common.ready is None
