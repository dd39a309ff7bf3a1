"""How seldom the journal is written: no commit before it is needed, none later than promised, nothing acknowledged before it."""

import threading
import time

import pytest
from house import AMMONIA, LAEQ, NOON, FakeReceipt, House, TurnedClock, site
from pydantic import ValidationError

from config.series import Flag
from config.site import Journal

WITHIN_S = 1.2


class RunningClock(TurnedClock):
    """Goes on by itself."""

    def now(self):
        passed = time.monotonic_ns()
        self.mono_ns, self.utc_ns = passed, NOON + passed
        return super().now()


def begin(folder, within_s):
    return House(folder, site().model_copy(update={"journal": Journal(durable_within=f"{within_s} s")}), RunningClock())


def keep(house, seconds, receipts):
    """Run the core and speak every 50 ms; gives when each reading was said and when its receipt was released."""
    stop = threading.Event()

    def turn():
        while not stop.is_set():
            house.core.cycle(0.3)

    runner = threading.Thread(target=turn)
    runner.start()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        receipts.append(Timed())
        house.say((AMMONIA, 0.5), receipt=receipts[-1])
        time.sleep(0.05)
    stop.set()
    runner.join()


class Timed(FakeReceipt):
    """A receipt that knows when it was made and released."""

    def __init__(self):
        super().__init__()
        self.made, self.after = time.monotonic(), None

    def release(self):
        super().release()
        self.after = time.monotonic() - self.made


def commits(house):
    with house.reader() as reader:
        return [event for event in reader.events_after(0) if event.rows]


def test_commits_are_as_seldom_as_the_site_allows_and_no_reading_waits_longer(tmp_path):
    house = begin(tmp_path, WITHIN_S)
    receipts = []
    keep(house, 3.5 * WITHIN_S, receipts)
    house.core.stop()
    assert 3 <= len(commits(house)) <= 8, "about one a second, not twenty"
    released = [one.after for one in receipts if one.after is not None]
    assert len(released) == len(receipts), "stopping commits what still waited"
    assert max(released) < WITHIN_S + 1.0
    assert sum(event.rows for event in commits(house)) == len(receipts)
    house.kill()


def test_a_reading_after_a_pause_is_committed_at_once(tmp_path):
    house = begin(tmp_path, 60)
    house.core._last_commit = time.monotonic() - 61
    house.say((AMMONIA, 0.5))
    assert house.core.cycle(5.0)
    house.say((AMMONIA, 0.6))
    assert not house.core.cycle(0.1), "the next one has a minute"
    assert len(commits(house)) == 1
    house.core.stop()
    assert len(commits(house)) == 2
    house.kill()


def test_a_kill_takes_only_what_was_not_acknowledged(tmp_path):
    house = begin(tmp_path, 60)
    house.core._last_commit = time.monotonic()
    receipt = FakeReceipt()
    house.say((AMMONIA, 0.5), receipt=receipt)
    house.core.cycle(0.1)
    house.again()
    assert receipt.released == 0
    assert commits(house) == []
    house.kill()


def test_who_is_heard_once_a_minute_by_the_journal_is_not_called_silent(tmp_path):
    clock = TurnedClock()
    house = House(tmp_path, site().model_copy(update={"journal": Journal(durable_within="60 s")}), clock)
    for _ in range(30):
        clock.forward(59.5)
        house.say((AMMONIA, 0.5), (LAEQ, 50.0))
        house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 1000)
        assert not (rows.flag == Flag.MISSING).any()
        assert reader._db.execute("SELECT count(*) FROM alert").fetchone()[0] == 0
    clock.forward(300)
    house.turn()
    with house.reader() as reader:
        assert reader._db.execute("SELECT count(*) FROM alert").fetchone()[0] >= 2, "who falls silent is still noticed"
    house.kill()


@pytest.mark.parametrize("wrong", ["100 ms", "2 min"])
def test_it_has_its_bounds(wrong):
    with pytest.raises(ValidationError):
        Journal(durable_within=wrong)
