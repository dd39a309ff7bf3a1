"""A visit uses the time that polls leave: an exchange at a time, told, cancellable, bounded. Virtual time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from polled import House, S, every

from config.errors import DeviceError, LineError
from drivers.driver import Pause
from drivers.job import Gap, Progress, Work
from gateway.control import ControlServer, DeclinedError, ask
from gateway.visiting import JOBS, Place, Visited, Visiting
from gateway.visits import MOST_FOUND, VisitRefusedError


class Walk:
    """Asks `of` addresses, each `takes_s`; what an exchange meets is for the test to say."""

    name = "walk"

    def __init__(self, house: House, of: int = 20, takes_s: float = 0.1, meet: Callable[[int, Gap], None] = lambda number, gap: None,
                 pause_s: float = 0.0) -> None:
        self.house, self.of, self.takes_s, self.meet, self.pause_s = house, of, takes_s, meet, pause_s
        self.asked: list[int] = []
        self.gaps: list[Gap] = []
        self.ended = ""

    def work(self) -> Work:
        try:
            for number in range(self.of):
                gap = yield Progress(number, self.of, f"address {number}", ({"address": number - 1},) if number else (), self.pause_s)
                self.asked.append(self.house.clock.mono_ns)
                self.gaps.append(gap)
                self.meet(number, gap)
                self.house.clock.go_on(self.takes_s)
        except GeneratorExit:
            self.ended = "closed"
            raise
        return {"addresses": self.of}


def view(house: House, number: str, since: int = 0) -> dict[str, object]:
    found = house.poller.visits.view(number, since)
    assert found is not None
    return found


def test_a_visit_is_below_all_polls_and_no_poll_waits_longer_than_one_of_its_exchanges():
    house = House(a=every(1), low=every(1, priority=2))
    walk = Walk(house, of=100, takes_s=0.15)
    number = house.poller.visits.add(walk, 600)
    house.run_for(40)
    assert view(house, number)["state"] == "done"
    for device in ("a", "low"):
        assert house.view(device)["late"] == 0
        assert max(at % 1 for at in house.at(device)) <= 0.15 + 0.02 + 1e-6, "one exchange of the visit, one of the other device"
    assert len(walk.asked) == 100
    assert all(gap.free_s > 0 for gap in walk.gaps)
    assert max(gap.free_s for gap in walk.gaps) <= 1.0


def test_a_visit_tells_how_far_it_is_what_it_found_and_how_long_it_will_take():
    house = House(a=every(1))
    number = house.poller.visits.add(Walk(house), 600)
    assert view(house, number)["state"] == "waiting"
    house.run_for(1.1)
    half = view(house, number)
    assert half["state"] == "running"
    assert half["done"] == 11
    assert half["of"] == 20
    assert half["words"] == "address 11"
    assert half["found"] == [{"address": n} for n in range(11)]
    assert half["remaining_s"] == pytest.approx(0.9, abs=0.2)
    house.run_for(3)
    rest = view(house, number, since=half["next"])
    assert rest["state"] == "done"
    assert rest["result"] == {"addresses": 20}
    assert rest["found"] == [{"address": n} for n in range(11, 19)]
    assert rest["remaining_s"] is None


def test_a_cancelled_visit_does_no_further_exchange_and_may_put_things_right():
    house = House(a=every(1))
    walk = Walk(house)
    number = house.poller.visits.add(walk, 600)
    house.run_for(0.5)
    asked = len(walk.asked)
    assert house.poller.visits.cancel(number)
    house.run_for(5)
    assert len(walk.asked) == asked > 0
    assert walk.ended == "closed"
    assert view(house, number)["state"] == "cancelled"
    assert not house.poller.visits.cancel(number)


def test_a_visit_past_its_deadline_is_given_up_also_on_a_line_that_never_has_time_for_it():
    house = House(a=every(1, takes_s=1.5))
    walk = Walk(house)
    number = house.poller.visits.add(walk, 10)
    house.run_for(15)
    assert not walk.asked
    assert view(house, number)["state"] == "failed"
    assert "no time for it" in str(view(house, number)["words"])

    idle = House(a=every(10))
    number = idle.poller.visits.add(Walk(idle, of=1000, takes_s=0.5), 20)
    idle.run_for(30)
    assert "not done in time" in str(view(idle, number)["words"])


def test_a_visit_that_waits_for_a_device_leaves_the_line_to_the_others():
    house = House(a=every(1))
    walk = Walk(house, of=5, pause_s=3)
    number = house.poller.visits.add(walk, 60)
    house.run_for(20)
    assert view(house, number)["state"] == "done"
    assert all(b - a >= 3 * S for a, b in zip(walk.asked, walk.asked[1:], strict=False))
    assert len(house.at("a")) == 20


def test_visits_come_one_after_another_and_only_a_few_may_wait():
    house = House(a=every(1))
    numbers = [house.poller.visits.add(Walk(house, of=3), 600) for _ in range(4)]
    with pytest.raises(VisitRefusedError, match="wait already"):
        house.poller.visits.add(Walk(house), 600)
    house.run_for(0.3)
    assert [view(house, number)["state"] for number in numbers] == ["done", "waiting", "waiting", "waiting"]
    house.run_for(5)
    assert {view(house, number)["state"] for number in numbers} == {"done"}


def test_a_lost_line_ends_the_visit_and_is_opened_again_for_the_polls():
    house = House(a=every(1))

    def pulled(number: int, gap: Gap) -> None:
        if number == 3:
            raise LineError("cannot read: Input/output error")

    number = house.poller.visits.add(Walk(house, meet=pulled), 600)
    house.run_for(10)
    assert view(house, number)["state"] == "failed"
    assert "Input/output error" in str(view(house, number)["words"])
    assert len(house.at("a")) == 10


def test_a_fault_that_the_job_lets_through_ends_it_with_its_words_and_a_bug_with_the_worker():
    house = House(a=every(1))

    def declined(number: int, gap: Gap) -> None:
        raise DeviceError("exception 1 (illegal function)", "exception")

    def bug(number: int, gap: Gap) -> None:
        raise ZeroDivisionError

    number = house.poller.visits.add(Walk(house, meet=declined), 600)
    house.run_for(2)
    assert view(house, number)["words"] == "exception 1 (illegal function)"
    number = house.poller.visits.add(Walk(house, meet=bug), 600)
    with pytest.raises(ZeroDivisionError):
        house.run_for(2)
    assert view(house, number)["state"] == "failed"
    house.run_for(2)
    assert len(house.at("a")) >= 4, "the same bug is not met twice"


def test_what_a_visit_finds_is_bounded_and_what_is_left_out_is_counted():
    house = House(a=every(10))
    number = house.poller.visits.add(Walk(house, of=MOST_FOUND + 101, takes_s=0.001), 600)
    house.run_for(60)
    found = view(house, number)
    assert len(found["found"]) == MOST_FOUND
    assert found["dropped"] == 100
    assert found["found"][0] == {"address": 100}


def test_a_visit_is_told_which_devices_are_in_the_middle_of_a_measurement():
    house = House(a=every(5), b=every(5))
    device = house.devices["a"]
    poll = device.poll
    device.poll = lambda group, wire: Pause(2.0, lambda later: poll(group, later))
    walk = Walk(house, of=30)
    house.poller.visits.add(walk, 600)
    house.run_for(4.5)
    assert [bool(gap.resting) for gap in walk.gaps] == [at < house.start_ns + 2 * S for at in walk.asked]
    assert walk.gaps[0].resting == {"a"}


# ── through the control socket ──
@contextmanager
def served(tmp_path, visiting: Visiting) -> Iterator[Callable[..., object]]:
    stop = threading.Event()
    server = threading.Thread(target=ControlServer(tmp_path / "c.sock", visiting.words()).run, args=(stop,))
    server.start()
    try:
        while ask(tmp_path / "c.sock", "visits") is None:
            pass
        yield lambda word, **arguments: ask(tmp_path / "c.sock", word, **arguments)
    finally:
        stop.set()
        server.join()


def visiting(house: House) -> Visiting:
    place = Place("bus", "serial", house.options, house.devices)
    return Visiting({"bus": Visited(place, house.poller.visits)}, {"dust": "serial"}, {**JOBS, "walk": lambda place, asked: Walk(house)})


def test_the_control_socket_begins_a_visit_tells_of_it_and_cancels_it(tmp_path):
    house = House(a=every(1))
    with served(tmp_path, visiting(house)) as word:
        begun = word("visit", line="bus", job="walk", within_s=60)
        assert begun["state"] == "waiting"
        house.run_for(1)
        now = word("visits", id=begun["id"])
        assert now["state"] == "running"
        assert now["done"] > 3
        assert [one["id"] for one in word("visits")["visits"]] == [begun["id"]]
        assert word("visits")["jobs"] == ["probe", "read", "scan", "walk"]
        assert word("cancel", id=begun["id"]) is True
        house.run_for(1)
        assert word("visits", id=begun["id"])["state"] == "cancelled"


@pytest.mark.parametrize(("asked", "words"), [
    ({"line": "dust", "job": "walk"}, "only listened to: its devices speak by themselves and nothing is sent on it"),
    ({"line": "x", "job": "walk"}, "no polled line x in the site file that runs; there is bus"),
    ({"line": "bus", "job": "x"}, "no visit is called x; there is probe, read, scan, walk"),
    ({"line": "bus", "job": "walk", "within_s": 0}, "within_s must be a number of seconds"),
    ({"line": "bus", "job": "walk", "within_s": True}, "within_s must be a number of seconds"),
    ({"line": "bus", "job": "read", "device": "x"}, "no device x on this line; there is a"),
])
def test_a_visit_that_cannot_be_is_refused_with_the_reason(tmp_path, asked, words):
    with served(tmp_path, visiting(House(a=every(1)))) as word, pytest.raises(RuntimeError, match=words):
        word("visit", **asked)


def test_visits_that_are_not_known_are_said_so():
    words = visiting(House(a=every(1))).words()
    with pytest.raises(DeclinedError, match="ended long ago, or the daemon was started anew"):
        words["visits"]({"id": "bus.0"})
    with pytest.raises(DeclinedError, match="under way"):
        words["cancel"]({"id": "bus.0"})


def test_a_device_is_read_out_of_its_turn_with_its_pauses():
    house = House(a=every(3600), b=every(1))
    device = house.devices["a"]
    poll = device.poll
    device.poll = lambda group, wire: Pause(2.0, lambda later: poll(group, later))
    house.run_for(5)
    begun = visiting(house).words()["visit"]({"line": "bus", "job": "read", "device": "a"})
    house.run_for(4)
    assert view(house, begun["id"])["result"] == {"device": "a", "values": [{"quantity": "ph", "channel": "", "value": 7.0, "reason": "N"}]}
    assert len(house.taker.rows("a")) == 1, "told, not journalled"
