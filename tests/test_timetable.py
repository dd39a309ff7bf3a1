"""Jobs of the night run by the station's own clock, say what they found, and end with the daemon."""

import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.timetable import Nightly, Timetable


def at(zone, *words):
    return datetime(*words, tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(("after", "due"), [
    (at("Asia/Shanghai", 2026, 11, 21, 3, 29, 59), at("Asia/Shanghai", 2026, 11, 21, 3, 30)),
    (at("Asia/Shanghai", 2026, 11, 21, 3, 30, 1), at("Asia/Shanghai", 2026, 11, 22, 3, 30)),
    (datetime(2026, 11, 21, 19, 0, tzinfo=UTC), at("Asia/Shanghai", 2026, 11, 22, 3, 30))])
def test_a_job_is_due_at_its_hour_in_the_station_s_zone(after, due):
    job = Nightly("check", 3, 30, lambda: (True, ""))
    assert Timetable("Asia/Shanghai", [job]).next(job, after) == due


def test_there_is_one_run_a_day_over_both_changes_of_summer_time():
    job = Nightly("check", 3, 30, lambda: (True, ""))
    table = Timetable("Europe/Berlin", [job])
    for month, day in ((3, 28), (10, 24)):
        moment, runs = at("Europe/Berlin", 2026, month, day, 12), []
        for _ in range(2):
            moment = table.next(job, moment)
            runs.append(moment)
            moment += timedelta(seconds=1)
        assert (runs[1].astimezone(UTC) - runs[0].astimezone(UTC)).total_seconds() > 20 * 3600


def test_a_job_keeps_what_it_said_and_a_finding_is_loud(caplog):
    job = Nightly("check", 3, 30, lambda: (False, "2 events are missing"))
    assert job.words == "not yet"
    job.run()
    assert (job.well, job.words) == (False, "2 events are missing")
    assert caplog.records[-1].levelname == "CRITICAL"


def test_it_runs_in_its_thread_and_ends_at_once():
    ran, stop = threading.Event(), threading.Event()
    now = datetime.now(UTC)
    job = Nightly("check", now.hour, now.minute, lambda: (ran.set() or True, "ok"))
    table = Timetable("UTC", [job])
    table.trigger = lambda _: __import__("apscheduler.triggers.interval", fromlist=["IntervalTrigger"]).IntervalTrigger(seconds=0.1)
    thread = threading.Thread(target=table.run, args=(stop,))
    thread.start()
    assert ran.wait(5)
    began = time.monotonic()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 1
    assert job.words == "ok"
