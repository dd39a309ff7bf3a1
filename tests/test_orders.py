"""An order is carried out at most once: written down before it is sent, and never sent again. Virtual time, a real journal."""

import math
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from house import House as Core
from house import TurnedClock
from house import site as core_site
from polled import House, S, every
from virtual import START_UTC_NS

from config.errors import DeviceError, LineError
from config.site import DeviceTable, SiteDevice
from config.table import Table
from drivers.order import Order, Outcome, Verb
from gateway.control import DeclinedError
from gateway.gap_ledger import gaps_between
from gateway.intake import Awaited
from gateway.journal.orders import OrderEnded, OrderStarted, end_left_over
from gateway.journal.reader import Reader
from gateway.journal.writer import Writer
from gateway.ordering import Ordering
from gateway.orders import WITHIN_S, OrderRefusedError
from gateway.wiring import Expected

CLEAN, LEVEL = Order("clean"), Order("level", 1.5)


class Journal:
    """Stands for the core: notes go into a real journal; while `away` they wait."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.writer = Writer(folder)
        self.away = False
        self.waiting: list[Awaited] = []
        self.states: list[str] = []

    def tell(self, note: Awaited) -> None:
        self.waiting.append(note)
        if not self.away:
            self.commit()

    def commit(self) -> None:
        notes, self.waiting = self.waiting, []
        with self.writer.transaction():
            for note in notes:
                note.write(self.writer)
        for note in notes:
            assert isinstance(note, Awaited)
            note.kept()

    def orders(self) -> list[tuple[str, str]]:
        """(state, words) of all orders, oldest first, as another process sees them."""
        with Reader(self.folder) as reader:
            return [(one.state, one.words) for one in reader.orders(100)][::-1]


class Told:
    """What is added to a device of the house so that it obeys; every order takes 0.1 s and ends as `outcome` says."""

    def __init__(self, house: House, name: str, settle_s: float = 0.0) -> None:
        self.house, self.device = house, house.devices[name]
        self.obeyed: list[tuple[int, Order]] = []
        self.outcome: Outcome | Exception = Outcome("done", "confirmed by the device")
        self.seen: list[str] = []
        """States in the journal at the moment of sending."""
        self.device.verbs = {"clean": Verb("start the wiper", settle_s), "level": Verb("set the level", 0.0, 0.0, 10.0, "m")}
        self.device.check, self.device.obey = self.check, self.obey

    def check(self, order: Order) -> None:
        if order.verb not in self.device.verbs:
            raise ValueError(f"knows no {order.verb}")
        self.device.verbs[order.verb].check(order.value)

    def obey(self, order: Order, wire: object) -> Outcome:
        self.obeyed.append((self.house.clock.mono_ns, order))
        self.seen += [state for state, _ in self.house.journal.orders()]
        self.house.clock.go_on(0.1)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def house(tmp_path):
    made = House(a=every(1), b=every(1))
    made.journal = Journal(tmp_path)
    made.told = Told(made, "a")
    made.begin_anew(made.journal.tell)
    yield made
    made.journal.writer.close()


def test_an_order_goes_before_all_polls_and_is_on_disk_as_started_before_it_is_sent(house):
    house.run_for(1.99)
    house.poller.orders.give("a", CLEAN, "li.wei")
    house.run_for(3)
    assert [order for _, order in house.told.obeyed] == [CLEAN]
    assert (house.told.obeyed[0][0] - house.start_ns) / S < 2.03
    assert house.told.seen == ["started"]
    assert house.journal.orders() == [("done", "confirmed by the device")]
    with Reader(house.journal.folder) as reader:
        one = reader.orders(1)[0]
    assert (one.device, one.verb, one.value, one.by, one.line) == ("a", "clean", None, "li.wei", "bus")
    assert one.at <= one.started <= one.ended
    assert len(house.at("b")) == 5
    assert house.view("b")["late"] == 0


def test_while_the_journal_is_slow_the_order_waits_and_polling_goes_on(house):
    house.run_for(0.5)
    house.poller.orders.give("a", CLEAN, "")
    house.journal.away = True
    house.run_for(10)
    assert house.told.obeyed == []
    assert len(house.at("a")) == len(house.at("b")) == 11
    house.journal.commit()
    house.run_for(1)
    assert len(house.told.obeyed) == 1


def test_an_order_that_the_journal_does_not_take_is_refused_and_never_sent(house, monkeypatch):
    monkeypatch.setattr("gateway.orders._JOURNAL_S", 0.01)
    house.journal.away = True
    with pytest.raises(OrderRefusedError, match="journal cannot be written just now"):
        house.poller.orders.give("a", CLEAN, "")
    house.journal.away = False
    house.journal.commit()
    house.run_for(5)
    assert house.told.obeyed == []
    assert house.journal.orders() == [("failed", "nothing was written: the journal took it too late")]


@pytest.mark.parametrize(("raised", "words"), [
    (LineError("cannot read: Input/output error"), "it was sent; the line was lost before the answer: cannot read: Input/output error"),
    (ZeroDivisionError(), "the program failed in the middle: look at the device; the log says what happened"),
])
def test_an_order_that_breaks_off_in_the_middle_is_unknown_and_not_sent_again(house, raised, words):
    house.told.outcome = raised
    house.poller.orders.give("a", CLEAN, "")
    if isinstance(raised, LineError):
        house.run_for(10)
    else:
        with pytest.raises(ZeroDivisionError):
            house.run_for(10)
        house.run_for(10)
    assert len(house.told.obeyed) == 1
    assert house.journal.orders() == [("unknown", words)]
    assert len(house.at("b")) >= 9


@pytest.mark.parametrize("outcome", [Outcome("failed", "nothing was written: no answer"), Outcome("unknown", "it was sent; no confirmation came")])
def test_what_the_device_made_of_it_is_kept_and_it_is_not_repeated(house, outcome):
    house.told.outcome = outcome
    house.poller.orders.give("a", CLEAN, "")
    house.run_for(100)
    assert len(house.told.obeyed) == 1
    assert house.journal.orders() == [(outcome.state, outcome.words)]


def test_a_device_settles_after_its_order_and_the_others_are_asked_meanwhile(house):
    house.told.device.verbs["clean"] = Verb("start the wiper", 5.0)
    house.run_for(0.5)
    house.poller.orders.give("a", CLEAN, "")
    house.poller.orders.give("a", LEVEL, "")
    house.run_for(10)
    sent = [(at - house.start_ns) / S for at, _ in house.told.obeyed]
    assert sent[1] - sent[0] == pytest.approx(5.1, abs=0.05)
    assert not [at for at in house.at("a") if sent[0] < at < sent[1]]
    assert len(house.at("b")) == 11
    assert house.view("a")["late"] == 0, "the line has time; the device has not"
    missing = [(round((at - house.start_ns) / S), chr(reason)) for at, raw, reason in house.taker.rows("a") if math.isnan(raw)]
    assert missing == [(1, "M"), (2, "M"), (3, "M"), (4, "M")], "the ledger says maintenance"


def test_one_that_cleans_itself_is_in_maintenance_and_nobody_is_alarmed(house, tmp_path):
    """An SPS30 cleans its fan for 15 s, thirty of these intervals. Its line's rows go through a core of their own."""
    house.devices["a"]._groups = (replace(house.devices["a"]._groups[0], interval_s=0.5),)
    house.told.device.verbs["clean"] = Verb("blow the fan clean", 15.0)
    house.begin_anew(house.journal.tell)
    series, plain = house.devices["a"].series, core_site()
    devices = {"a": SiteDevice(common=DeviceTable(profile="x", line="bus", station="st"), options=Table())}
    core = Core(tmp_path / "core", plain.model_copy(update={"devices": devices, "stations": {"st": plain.stations["river"]}}),
                TurnedClock(START_UTC_NS), [Expected(series, 0.5, False)])
    for second in range(60):
        house.run_for(1)
        if second == 10:
            house.poller.orders.give("a", CLEAN, "")
        for delivery in house.taker.taken:
            if delivery.batches[0].series[0].device == "a":
                core.intake.deliver(delivery, 0)
        house.taker.taken.clear()
        core.clock.forward(1)
        core.turn()
    with core.reader() as reader:
        assert reader.alerts(10) == []
        (gap,) = gaps_between(reader, 0, 2**62, [reader.series().index(series)])
    assert gap.words == "maintenance"
    assert (gap.until - gap.since) / S == pytest.approx(15.5, abs=0.6)
    assert house.view("a")["late"] == 0
    core.kill()


def test_an_order_to_a_lost_line_fails_after_a_while_and_is_not_sent_when_the_line_returns(house):
    house.run_for(2)
    house.line.broken, house.devices["a"].fault = "not there", LineError("cannot read")
    house.run_for(3)
    house.poller.orders.give("a", CLEAN, "")
    house.run_for(WITHIN_S + 5)
    assert house.journal.orders() == [("failed", f"nothing was written: it could not be sent within {WITHIN_S:.0f} s")]
    house.line.broken, house.devices["a"].fault = "", None
    house.run_for(10)
    assert house.told.obeyed == []
    assert len(house.at("b")) > 5


def test_orders_are_taken_in_their_order_and_only_a_few_may_wait(house):
    for level in range(8):
        house.poller.orders.give("a", Order("level", float(level)), "")
    with pytest.raises(OrderRefusedError, match="8 orders wait already"):
        house.poller.orders.give("a", CLEAN, "")
    house.run_for(5)
    assert [order.value for _, order in house.told.obeyed] == [float(level) for level in range(8)]
    assert {state for state, _ in house.journal.orders()} == {"done"}


def test_a_device_that_was_given_up_may_still_be_told(house):
    house.devices["a"].fault = DeviceError("no answer")
    house.run_for(30)
    house.poller.orders.give("a", CLEAN, "")
    house.run_for(1)
    assert len(house.told.obeyed) == 1


def test_stopped_before_it_was_sent_it_has_failed(house):
    house.journal.away = True
    threading.Timer(0.05, house.journal.commit).start()
    house.poller.orders.give("a", CLEAN, "")
    house.journal.away = False
    house.poller.orders.close()
    house.run_for(5)
    assert house.told.obeyed == []
    assert house.journal.orders() == [("failed", "nothing was written: the daemon stopped")]


def test_after_a_kill_what_was_asked_has_failed_what_was_started_is_unknown_and_what_ended_stays(tmp_path):
    journal = Journal(tmp_path)
    with journal.writer.transaction():
        for state in ("asked", "started", "done", "failed", "unknown"):
            journal.writer.db.execute("INSERT INTO orders(state, words) VALUES (?, 'as it was')", (state,))
        assert end_left_over(journal.writer, 77) == 1
        assert end_left_over(journal.writer, 78) == 0
    found = journal.orders()
    assert [state for state, _ in found] == ["failed", "unknown", "done", "failed", "unknown"]
    assert "before it was sent" in found[0][1]
    assert "it is not sent again" in found[1][1]
    assert [words for _, words in found[2:]] == ["as it was"] * 3
    journal.writer.close()


def test_the_first_end_of_an_order_stands(house):
    house.poller.orders.give("a", CLEAN, "")
    house.run_for(1)
    house.journal.tell(OrderEnded(1, 0, "failed", "later"))
    house.journal.tell(OrderStarted(1, 0, lambda: None))
    assert house.journal.orders() == [("done", "confirmed by the device")]


def test_only_the_newest_orders_are_kept(house, monkeypatch):
    monkeypatch.setattr("gateway.journal.orders._KEPT", 3)
    for _ in range(5):
        house.poller.orders.give("a", CLEAN, "")
        house.run_for(1)
    with closing(sqlite3.connect(house.journal.folder / "live.db")) as db:
        assert [row[0] for row in db.execute("SELECT id FROM orders")] == [3, 4, 5]


# ── through the control socket ──
def words(house):
    return Ordering(house.journal.folder, {"a": house.poller.orders}, {"b": "nothing is written to it unless", "dust": "is only listened to"}).words()


def test_the_control_socket_gives_an_order_and_tells_what_became_of_it(house):
    given = words(house)["order"]({"device": "a", "verb": "level", "value": 2, "by": "li.wei"})
    assert (given["state"], given["value"], given["by"]) == ("asked", 2.0, "li.wei")
    house.run_for(1)
    assert words(house)["orders"]({"id": given["id"]})["state"] == "done"
    assert [one["id"] for one in words(house)["orders"]({})["orders"]] == [given["id"]]
    with pytest.raises(DeclinedError, match="no order 99"):
        words(house)["orders"]({"id": 99})


@pytest.mark.parametrize(("asked", "why"), [
    ({"device": "b", "verb": "clean"}, "nothing is written to it unless"), ({"device": "dust", "verb": "clean"}, "only listened to"),
    ({"device": "x", "verb": "clean"}, "no device x"), ({"device": "a", "verb": "dance"}, "a knows no dance"),
    ({"device": "a", "verb": "level"}, "needs a value"), ({"device": "a", "verb": "level", "value": "7"}, "must be a number"),
    ({"device": "a", "verb": "level", "value": True}, "must be a number"), ({"device": "a", "verb": "level", "value": 1e300}, "takes 0 to 10 m"),
    ({}, "no device None"),
])
def test_an_order_that_cannot_be_given_is_refused_with_the_reason_and_not_journalled(house, asked, why):
    with pytest.raises(DeclinedError, match=why):
        words(house)["order"](asked)
    house.run_for(2)
    assert house.journal.orders() == []
