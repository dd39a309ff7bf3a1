"""The core keeps what it was given, in one order, and steps it to the same bits however it is cut or killed."""

import math
import sqlite3

import numpy as np
import pytest
from house import AMMONIA, LADDER, LAEQ, NOON, FakeReceipt, House, S, site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.maintenance import Maintenance
from config.series import Flag, Origin, Reason, Series
from gateway.journal.maintenance import ByHand, WorkBegins
from gateway.journal.writer import START
from gateway.sorting import Taken


def everything(house: House) -> dict[str, list[tuple[object, ...]]]:
    db = sqlite3.connect(house.folder / "live.db")
    try:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in ("hot", "alert", "alert_log", "counter")}
    finally:
        db.close()


def test_a_reading_is_journalled_with_its_flag_before_its_receipt_is_released(tmp_path):
    house = House(tmp_path, site())
    receipt = FakeReceipt()
    house.say((AMMONIA, 0.4), (AMMONIA, math.nan), at=NOON, receipt=receipt)
    assert not receipt.released
    house.turn()
    assert receipt.released == 1
    with house.reader() as reader:
        rows = reader.rows_after(0, 10)
        assert rows.value[0] == 0.4
        assert math.isnan(rows.value[1])
        assert rows.flag.tolist() == [Flag.GOOD, Flag.MISSING]
        assert rows.series[rows.which[0]] == AMMONIA
    house.kill()


def test_a_commit_that_fails_releases_nothing_and_is_tried_until_it_holds(tmp_path, monkeypatch):
    house = House(tmp_path, site())
    receipt = FakeReceipt()
    tries = []

    def failing(*args, **kwargs):
        tries.append(receipt.released)
        if len(tries) < 3:
            raise sqlite3.OperationalError("disk I/O error")
        return original(*args, **kwargs)

    original = house.writer.event
    monkeypatch.setattr(house.writer, "event", failing)
    monkeypatch.setattr(house.core.give_up, "wait", lambda _: False)
    house.say((AMMONIA, 0.4), at=NOON, receipt=receipt)
    house.turn()
    assert tries == [0, 0, 0]
    assert receipt.released == 1
    with house.reader() as reader:
        assert len(reader.rows_after(0, 10)) == 1
        assert reader.counters()["journalled"] == 1
    house.kill()


def test_the_same_message_again_after_a_kill_is_recognised_and_acknowledged(tmp_path):
    house = House(tmp_path, site())
    house.say((LAEQ, 50.0), receipt=FakeReceipt(packet=7))
    house.turn()
    house.again()
    redelivered = FakeReceipt(packet=7, again=True)
    house.say((LAEQ, 50.0), receipt=redelivered)
    house.turn()
    assert redelivered.released == 1
    with house.reader() as reader:
        assert len(reader.rows_after(0, 10)) == 1
        counters = reader.counters()
    assert counters["duplicate"] == 1
    house.say((LAEQ, 50.0), receipt=FakeReceipt(packet=7))  # the same words, but not a second sending: a new reading
    house.turn()
    with house.reader() as reader:
        assert len(reader.rows_after(0, 10)) == 2
    house.kill()


def test_a_reading_with_its_own_time_enters_once_even_from_another_packet_and_another_life(tmp_path):
    house = House(tmp_path, site())
    house.say((LAEQ, 50.0), at=NOON - S)
    house.say((LAEQ, 50.0), at=NOON - S)
    house.turn()
    house.again()
    house.say((LAEQ, 50.0), at=NOON - S)
    house.say((LAEQ, 51.0), at=NOON - 3 * S)
    house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 10)
        assert rows.at.tolist() == [NOON - S, NOON - 3 * S]
        assert rows.origin.tolist() == [Origin.LIVE, Origin.LATE]
        c = reader.counters()
    assert c["received"] == c["journalled"] + c["duplicate"] == 4
    house.kill()


def test_a_reading_whose_event_was_under_way_at_the_kill_enters_once_too(tmp_path, monkeypatch):
    """In careful mode rows are on disk before their step; a source without packet numbers (HTTP) sends them again."""
    from gateway import core as core_module

    house, original = House(tmp_path, site()), core_module.step
    house.again()
    monkeypatch.setattr(core_module, "step", _dies)
    house.say((LAEQ, 50.0), at=NOON - S)
    with pytest.raises(ProcessDied):
        house.turn()
    monkeypatch.setattr(core_module, "step", original)
    house.again()
    house.say((LAEQ, 50.0), at=NOON - S)
    house.turn()
    with house.reader() as reader:
        assert reader.rows_after(0, 10).at.tolist() == [NOON - S]
        c = reader.counters()
    assert (c["received"], c["journalled"], c["duplicate"]) == (2, 1, 1)
    house.kill()


def _dies(*_):
    raise ProcessDied


@pytest.mark.parametrize("at", [0, NOON + 3600 * S])
def test_a_time_that_cannot_be_is_set_aside_and_counted(tmp_path, at):
    house = House(tmp_path, site())
    house.say((LAEQ, 50.0), at=at)
    house.turn()
    with house.reader() as reader:
        assert len(reader.rows_after(0, 10)) == 0
        assert reader.counters() == {"received": 1, "quarantined": 1}
    house.kill()


def test_readings_under_an_unsure_clock_are_held_and_stamped_when_it_is_true(tmp_path):
    house = House(tmp_path, site())
    house.clock.sure = False
    house.clock.utc_ns = 5 * S
    house.say((AMMONIA, 0.4))
    house.turn()
    with house.reader() as reader:
        assert len(reader.rows_after(0, 10)) == 0
        assert reader.held() == 1
    house.again()  # what is held survives a kill
    house.clock.forward(30)
    house.clock.sure, house.clock.utc_ns = True, NOON
    house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 10)
        assert rows.at.tolist() == [NOON - 30 * S]
        assert rows.origin.tolist() == [Origin.RESTAMPED]
        counters = reader.counters()
    assert counters["received"] == counters["journalled"] == 1
    assert counters["held"] == 0
    house.kill()


def ladder_day(house: House) -> None:
    values = [0.5, 0.5, 1.2, 1.2, 1.2, 1.8, 1.8, 1.8, 2.5, 2.5, 2.5, 1.45, 1.45, 1.45, 0.95, 0.95, 0.8, 0.8, 0.8]
    for value in values:
        house.clock.forward(10)
        house.say((AMMONIA, value), (LAEQ, 50.0))
        house.turn()


def test_one_alert_climbs_and_falls_through_the_colours_and_tells_each_recipient_in_order(tmp_path):
    house = House(tmp_path, site(ammonia=LADDER))
    ladder_day(house)
    with house.reader() as reader:
        (alert,) = reader.alerts(10)
        assert [(kind, severity) for _, kind, severity, _ in alert["log"]] == [
            ("alert.raised", 2), ("alert.climbed", 3), ("alert.climbed", 4), ("alert.fell", 3), ("alert.fell", 2), ("alert.ended", 0)]
        assert alert["key"] == "1121-1"
        assert (alert["state"], alert["worst"]) == ("ended", 4)
        assert reader.recipients() == {"hook:one": {"waiting": 6}, "hook:two": {"waiting": 6}, "hook:three": {"waiting": 5}}
        first = reader.waiting("hook:one")
        assert first.notice.kind == "alert.raised"
        assert first.notice.data["colour"] == "yellow"
        assert first.notice.data["limit"] == 1.0
    house.kill()


def test_an_alert_keeps_its_timers_over_a_kill_at_any_place(tmp_path):
    whole = House(tmp_path / "whole", site(ammonia=LADDER))
    ladder_day(whole)
    whole.kill()
    killed = House(tmp_path / "killed", site(ammonia=LADDER))
    original = killed.turn

    def turn_and_die():
        original()
        killed.again()

    killed.turn = turn_and_die
    ladder_day(killed)
    killed.kill()
    strip = lambda log: [(r[0], r[1], *r[3:7]) for r in log]  # event numbers differ: each start is an event  # noqa: E731
    assert strip(everything(killed)["alert_log"]) == strip(everything(whole)["alert_log"])
    assert everything(killed)["alert"] == everything(whole)["alert"]


@pytest.mark.parametrize("holds", [True, False])
def test_nobody_is_missed_who_is_quiet_because_the_daemon_stops(tmp_path, holds):
    house = House(tmp_path, site())
    for _ in range(4):
        house.clock.forward(5)
        house.say((LAEQ, 50.0), (AMMONIA, 0.4))
        house.turn()
    house.clock.forward(4)
    if holds:
        house.core.hold_time()
    house.clock.forward(60)  # the lines have stopped, and others take their time
    house.say((AMMONIA, 0.5))
    house.core.stop()
    with house.reader() as reader:
        assert [alert["rule"] for alert in reader.alerts(10)] == ([] if holds else ["device_silent"] * 2)
        assert reader.counters()["journalled"] == 9, "what came last is kept"
    ended = house.core.state
    house.again()
    assert all((house.core.state[name] == ended[name]).all() for name in ("hour_first_due", "device_firing", "watch_alert"))
    house.kill()


def test_a_device_that_falls_silent_is_an_alert_after_three_periods_and_ends_when_it_speaks(tmp_path):
    house = House(tmp_path, site(), words_of=lambda device: f"no answer of {device}: power, wires A and B, address?")
    for _ in range(3):
        house.clock.forward(5)
        house.say((LAEQ, 50.0), (AMMONIA, 0.4))
        house.turn()
    for _ in range(20):
        house.clock.forward(1)
        house.say((AMMONIA, 0.4))
        house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 100)
        missing = rows.at[rows.flag == Flag.MISSING].tolist()
        (alert,) = reader.alerts(10)
    assert missing == [NOON + 15 * S + 12_500_000_000]
    assert alert["rule"] == "device_silent"
    assert alert["since"] == NOON + 30 * S
    assert alert["state"] == "firing"
    assert str(alert["body"]["what"]).endswith(f"gives no value: no answer of {LAEQ.device}: power, wires A and B, address?"), "the likely cause"
    house.say((LAEQ, 50.0))
    house.turn()
    with house.reader() as reader:
        (alert,) = reader.alerts(10)
    assert alert["state"] == "ended"
    house.kill()


def test_the_daemon_s_own_absence_is_not_a_silence_of_the_sensors(tmp_path):
    house = House(tmp_path, site())
    house.say((LAEQ, 50.0))
    house.turn()
    house.kill()
    house.clock.forward(3600)
    house.start()
    house.turn()
    with house.reader() as reader:
        assert reader.alerts(10) == []
        assert Flag.MISSING not in reader.rows_after(0, 100).flag
    house.kill()


def test_an_hour_is_issued_once_it_is_over_and_again_when_late_readings_come(tmp_path):
    house = House(tmp_path, site())
    for k in range(360):
        house.say((AMMONIA, 1.0 if k < 180 else 2.0), at=NOON + (k + 1) * 10 * S)
    house.clock.forward(3605)
    house.turn()
    house.clock.forward(10)
    house.turn()
    house.say((AMMONIA, 9.0), at=NOON + 15 * S)
    house.turn()
    house.clock.forward(61)
    house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 1000)
        hours = rows.pick(np.array([rows.series[w] == AMMONIA._replace(statistic="mean", period_s=3600) for w in rows.which]))
    assert hours.at.tolist() == [NOON + 3600 * S] * 2
    assert hours.span.tolist() == [3600 * S] * 2
    assert hours.value.tolist() == [1.5, (540 + 9) / 361]
    assert hours.revision.tolist() == [0, 1]
    assert hours.share.tolist() == [1.0, 1.0]
    house.kill()


def test_an_alert_whose_rule_is_gone_ends_at_the_next_start(tmp_path):
    house = House(tmp_path, site(ammonia=LADDER))
    for _ in range(5):
        house.clock.forward(10)
        house.say((AMMONIA, 3.0), (LAEQ, 50.0))
        house.turn()
    house.site = site()
    house.again()
    with house.reader() as reader:
        (alert,) = reader.alerts(10)
    assert alert["state"] == "ended"
    assert "no longer watched" in alert["log"][-1][3]["what"]
    house.kill()


def test_a_formula_that_fails_costs_no_reading(tmp_path, monkeypatch):
    house = House(tmp_path, site(ammonia=LADDER))
    monkeypatch.setattr("analytics.quality.flag_rows", lambda *_: 1 / 0)
    house.say((AMMONIA, 0.4))
    house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 10)
        assert rows.flag.tolist() == [Flag.NOT_EVALUATED]
        assert rows.value.tolist() == [0.4]
        assert reader.counters()["switched_off.quality"] == 1
    house.kill()


moment = st.tuples(st.floats(0.5, 40), st.lists(st.tuples(st.sampled_from([AMMONIA, LAEQ, Series("river", "probe", "ph")]),
                   st.one_of(st.just(math.nan), st.floats(0, 4).map(lambda x: round(x, 2)))), min_size=0, max_size=4), st.booleans())


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(moment, min_size=5, max_size=40), st.sets(st.integers(0, 39), max_size=6))
def test_cut_anywhere_killed_anywhere_gives_the_same_bits(tmp_path_factory, moments, kills):
    """The same stream through one life and through many lives: equal rows, alerts, log and state, bit for bit.

    A start is itself an event that gives every source a new period of grace; so both lives record one at the same places,
    one by dying and one by stepping the same START without dying.
    """
    results = []
    cleaned = Maintenance.model_validate({"device": "probe", "at": "Sat 20:02", "for": "3 min", "settle": "1 min"})
    for dies in (False, True):
        house = House(tmp_path_factory.mktemp("life"), site(ammonia=LADDER).model_copy(update={"maintenance": {"cleaned": cleaned}}))
        for k, (pause, values, own) in enumerate(moments):
            house.clock.forward(pause)
            if values:
                house.say(*values, at=house.clock.utc_ns // S * S if own else None)
            if k == 20:
                house.intake.tell(WorkBegins(ByHand("node", "zero", house.clock.utc_ns, house.clock.utc_ns + 60 * S, "somebody"), lambda: None))
            house.turn()
            if k in kills:
                if dies:
                    house.again()
                else:
                    house.core._commit_event(START, Taken([], []), house.clock.now())
        results.append((everything(house), house.core.state.buffer.tobytes()))
        house.kill()
    assert results[0] == results[1]


def test_missing_rows_of_a_silent_source_say_why(tmp_path):
    house = House(tmp_path, site())
    house.say((LAEQ, 50.0))
    house.turn()
    for _ in range(4):
        house.clock.forward(60)
        house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 100)
        silent = rows.pick(rows.flag == Flag.MISSING)
    assert len(silent) == 4
    assert set(silent.reason.tolist()) == {Reason.SILENT}
    assert (np.diff(silent.at) >= 59 * S).all()
    house.kill()


class ProcessDied(BaseException):
    """Stands for the death of the process in the middle of the step: nothing catches it."""


def test_a_reading_that_kills_the_process_is_kept_and_after_three_deaths_never_stepped_again(tmp_path, monkeypatch):
    from gateway import core as core_module

    house = House(tmp_path, site(ammonia=LADDER))
    house.say((AMMONIA, 0.4))
    house.turn()
    original, deaths = core_module.step, []

    def deadly(plan, state, events):
        if any(0.66 in e.raw.tolist() for e in events):
            deaths.append(1)
            raise ProcessDied
        return original(plan, state, events)

    monkeypatch.setattr(core_module, "step", deadly)
    receipts = []
    for life in range(6):
        if life:
            house.kill()
            try:
                house.start()
            except ProcessDied:
                continue
        if not any(r.released for r in receipts):  # the source sends it again until it is acknowledged
            receipts.append(FakeReceipt(packet=9, again=bool(life)))
            house.say((AMMONIA, 0.66), receipt=receipts[-1])
            with pytest.raises(ProcessDied):
                house.turn()
    assert len(deaths) == 4, "in normal mode, in careful mode, and at two starts"
    assert [r.released for r in receipts] == [0, 1]
    house.say((AMMONIA, 0.5))
    house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 100)
        rows = rows.pick(np.array([rows.series[w] == AMMONIA for w in rows.which]))
        assert rows.value.tolist() == [0.4, 0.66, 0.5]
        assert rows.flag.tolist() == [Flag.GOOD, Flag.NOT_EVALUATED, Flag.GOOD]
        assert [a["rule"] for a in reader.alerts(10)] == ["event_skipped"]
    house.kill()


def test_after_an_unclean_start_the_journal_holds_the_same_as_ever(tmp_path):
    """Committing before stepping changes nothing that anyone can see later."""
    plain, careful = House(tmp_path / "plain", site(ammonia=LADDER)), House(tmp_path / "careful", site(ammonia=LADDER))
    assert not plain.core._careful
    careful.core._careful = True
    ladder_day(plain)
    ladder_day(careful)
    assert careful.core._careful
    assert everything(careful) == everything(plain)
    assert careful.core.state.buffer.tobytes() == plain.core.state.buffer.tobytes()
    plain.kill()
    careful.kill()


def test_nobody_downstream_sees_a_row_before_it_has_its_flag(tmp_path, monkeypatch):
    house = House(tmp_path, site())
    house.core._careful = True
    seen = []
    original = house.core._finish

    def look_first(*args):
        with house.reader() as reader:
            seen.append(len(reader.rows_after(0, 10)))
        original(*args)

    monkeypatch.setattr(house.core, "_finish", look_first)
    house.say((AMMONIA, 0.4))
    house.turn()
    assert seen == [0]
    with house.reader() as reader:
        assert reader.rows_after(0, 10).flag.tolist() == [Flag.GOOD]
    house.kill()
