"""What leaves the house: a position moves when the store has accepted, a message is done when the other side has it."""

import json
import time
from threading import Event, Thread

import pytest
from house import AMMONIA, LADDER, LAEQ, NOON, House, S, TurnedClock, site

from config.errors import Gone, Halted, Refused, Unavailable
from config.site import Sink, SinkTable, Station, Subscription
from config.table import Table
from gateway.bell import Bell
from gateway.courier import Courier
from gateway.journal import alert_tables
from gateway.journal.progress import Requeue, SinkSays
from gateway.outbox import Messenger
from gateway.traffic import Traffic


class Store:
    """The far side: keeps what it accepts, in the order it came; `mood` decides about each body."""

    def __init__(self, mood=lambda rows: None):
        self.kept, self.bodies, self.mood = [], [], mood
        self.traffic, self.in_order, self.unsure_s = Traffic(), False, 0.0

    def send(self, rows, deadline):
        assert 0 < deadline - time.monotonic() <= 30
        self.bodies.append(len(rows))
        self.mood(rows)
        self.kept += rows.n.tolist()

    def close(self):
        pass


@pytest.fixture
def house(tmp_path):
    plan = site().model_copy(update={"sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())}})
    house = House(tmp_path, plan)
    for k in range(50):
        house.clock.forward(1)
        house.say((AMMONIA, k / 100), (LAEQ, 50.0))
        house.turn()
    yield house
    house.kill()


def carry(house, store, **choice):
    courier = Courier("store", store, SinkTable(**choice), house.site, house.folder, house.intake, Bell())
    with house.reader() as reader:
        position = reader.sinks()["store"].n
        pause = courier.carry(reader.rows_after(position, 5000), position)
    house.turn()
    with house.reader() as reader:
        return pause, reader.sinks()["store"], reader.last_n()


def test_the_position_moves_when_the_store_has_accepted(house):
    pause, record, last = carry(house, Store())
    assert pause is None
    assert (record.n, record.sent, record.state) == (last, last, "ok")


@pytest.mark.parametrize(("error", "state", "least"), [
    (Unavailable("connection refused"), "unavailable", 0.5), (Unavailable("busy", 30.0), "unavailable", 30.0),
    (Halted("token wrong"), "halted", 100.0)])
def test_a_store_that_cannot_take_it_keeps_its_place_and_is_tried_later(house, error, state, least):
    def no(rows):
        raise error

    pause, record, _ = carry(house, Store(no))
    assert pause >= least
    assert (record.n, record.sent, record.refused, record.state) == (0, 0, 0, state)
    assert record.words == str(error)


def test_refused_rows_are_found_by_halving_and_set_aside_with_the_store_s_words(house):
    bad = {7, 60, 61}

    def picky(rows):
        if bad & set(rows.n.tolist()):
            raise Refused("field type conflict")

    store = Store(picky)
    pause, record, last = carry(house, store)
    assert pause is None
    assert sorted(store.kept) == [n for n in range(1, last + 1) if n not in bad]
    assert (record.n, record.sent, record.refused) == (last, last - 3, 3)
    assert len(store.bodies) < 45
    with house.reader() as reader:
        aside = reader._db.execute("SELECT n, words FROM refused ORDER BY n").fetchall()
    assert aside == [(n, "field type conflict") for n in sorted(bad)]


def alerts(house):
    with house.reader() as reader:
        return [(one["rule"], one["state"]) for one in reader.alerts(10) if str(one["rule"]).startswith("sink_")]


def test_a_store_that_refuses_all_since_the_start_is_not_believed_and_costs_few_requests(house):
    def never(rows):
        raise Refused("no Route matched")

    store = Store(never)
    pause, record, _ = carry(house, store)
    assert (record.n, record.refused, record.state) == (0, 0, "halted")
    assert "no Route matched" in record.words
    assert pause >= 100
    assert len(store.bodies) < 70
    assert alerts(house) == [("sink_halted", "firing")]
    store.mood = lambda rows: None
    _, record, last = carry(house, store)
    assert (record.n, record.sent, record.state) == (last, last, "ok"), "what was held was lost"
    assert alerts(house) == [("sink_halted", "ended")]


def test_rows_that_are_refused_before_any_is_taken_are_set_aside_if_a_later_one_is_taken(house):
    """An outage that was longer than the server keeps readings: its first thousands of rows are refused, and rightly."""
    def too_old(rows):
        if rows.n.min() <= 60:
            raise Refused("beyond retention policy")

    _, record, last = carry(house, Store(too_old))
    assert (record.n, record.sent, record.refused, record.state) == (last, last - 60, 60, "ok")


def test_rows_that_are_set_aside_are_an_alert_until_they_are_taken_or_for_a_day_none_was(house):
    def say(value):
        house.clock.forward(10)
        house.say((AMMONIA, value))
        house.turn()

    store = Store(lambda rows: None)
    carry(house, store)
    assert alerts(house) == []

    def no(rows):
        raise Refused("field type conflict")

    store.mood = no
    courier = Courier("store", store, SinkTable(), house.site, house.folder, house.intake, Bell(), clock=house.clock)
    courier._sending._has_taken = True

    def refuse():
        with house.reader() as reader:
            say(0.5)
            position = reader.sinks()["store"].n
            courier.carry(reader.rows_after(position, 10), position)
        house.turn()

    for _ in range(3):
        refuse()
    assert alerts(house) == [("sink_refused", "firing")], "one alert, however many rows"
    with house.reader() as reader:
        assert "field type conflict" in str(reader.alerts(10))
    house.again()
    say(0.5)
    house.intake.tell(SinkSays("store", "ok", "", ""))
    carry(house, Store())
    assert alerts(house) == [("sink_refused", "firing")], "a restart, or that the sink is well, ended it"
    house.clock.forward(86_400 + 60)
    say(0.5)
    carry(house, Store())
    assert alerts(house) == [("sink_refused", "ended")], "a day ago"
    courier._intake = courier._sending._intake = house.intake
    refuse()
    assert alerts(house) == [("sink_refused", "firing"), ("sink_refused", "ended")]
    house.intake.tell(Requeue("store"))
    house.turn()
    assert alerts(house) == [("sink_refused", "ended")] * 2


def test_a_store_that_dies_while_halving_gets_everything_again(house):
    calls = []

    def dies(rows):
        calls.append(1)
        if 3 in rows.n.tolist() and len(rows) > 1:
            raise Refused("no")
        if len(calls) > 3:
            raise Unavailable("gone")

    _, record, _ = carry(house, Store(dies))
    assert (record.n, record.sent, record.refused) == (0, 0, 0)


def test_a_sink_gets_only_the_series_it_asked_for_and_the_rest_is_counted_as_skipped(house):
    store = Store()
    _, record, last = carry(house, store, medium=("noise",))
    assert record.sent == len(store.kept) == 50
    assert record.sent + record.skipped == last == record.n


def test_a_link_too_slow_for_all_that_waits_is_given_less_at_once_until_all_is_through(house):
    """Else the same large request would run out of time for ever."""
    def slow(rows):
        if len(rows) > 60:
            raise Unavailable("no answer in time")

    store, stop = Store(slow), Event()
    store.in_order = True
    for k in range(100):
        house.say((AMMONIA, k / 100), (LAEQ, 50.0))
    house.turn()
    courier = Courier("store", store, SinkTable(), house.site, house.folder, house.intake, Bell())
    courier._sending._backoff.first_s = 0.001
    thread = Thread(target=courier.run, args=(stop,))
    thread.start()
    with house.reader() as reader:
        last, deadline = reader.last_n(), time.monotonic() + 10
    while len(store.kept) < last and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert store.kept == list(range(1, last + 1))
    assert last >= 300
    assert max(store.bodies[-3:]) > 50, "as soon as it is through, more is sent at once again"


def test_a_courier_follows_the_journal_while_it_grows(house):
    store, bell, stop = Store(), Bell(), Event()
    courier = Courier("store", store, SinkTable(), house.site, house.folder, house.intake, bell)
    thread = Thread(target=courier.run, args=(stop,))
    thread.start()
    for _ in range(20):
        house.clock.forward(1)
        house.say((AMMONIA, 0.1))
        house.turn()
        bell.ring()
    deadline = time.monotonic() + 10
    while len(store.kept) < house.writer.next_n - 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    bell.ring()
    thread.join(5)
    assert not thread.is_alive()
    assert store.kept == list(range(1, house.writer.next_n))


class Phone:
    """The far side of a channel."""

    def __init__(self, *moods):
        self.heard, self._moods = [], list(moods)

    def tell(self, notice, deadline):
        mood = self._moods.pop(0) if self._moods else None
        if mood:
            raise mood
        self.heard.append(notice)

    def close(self):
        pass


@pytest.fixture
def alarmed(tmp_path):
    house = House(tmp_path, site(ammonia=LADDER))
    for value in (0.5, 1.2, 1.2, 1.2, 1.8, 1.8, 1.8, 0.2, 0.2, 0.2):
        house.clock.forward(10)
        house.say((AMMONIA, value), (LAEQ, 50.0))
        house.turn()
    yield house
    house.kill()


def messenger(house, phone, recipient="hook:one"):
    return Messenger(recipient, phone, house.folder, house.intake, Bell(), house.clock)


def outbox(house, recipient="hook:one"):
    with house.reader() as reader:
        return reader._db.execute("SELECT state, tries, words FROM outbox WHERE recipient = ? ORDER BY id", (recipient,)).fetchall()


def test_a_recipient_is_told_everything_once_and_in_order(alarmed):
    phone = Phone()
    one = messenger(alarmed, phone)
    with alarmed.reader() as reader:
        done = 0
        while (waiting := reader.waiting("hook:one", done)) is not None:
            assert one.tell(waiting, 0) is None
            done = waiting.id
    alarmed.turn()
    assert [n.kind for n in phone.heard] == ["alert.raised", "alert.climbed", "alert.ended"]
    assert [s for s, _, _ in outbox(alarmed)] == ["told"] * 3
    assert {s for s, _, _ in outbox(alarmed, "hook:two")} == {"waiting"}
    assert all("." not in n.id for n in phone.heard)
    json.dumps(phone.heard[0].data, allow_nan=False)


@pytest.mark.parametrize("error", [Unavailable("timed out"), Halted("401"), Gone("410")])
def test_a_message_that_could_not_be_told_stays_first_and_says_why(alarmed, error):
    phone = Phone(error)
    one = messenger(alarmed, phone)
    with alarmed.reader() as reader:
        first = reader.waiting("hook:one")
        assert one.tell(first, 0) >= (86400 if isinstance(error, Gone) else 3)
        alarmed.turn()
        again = reader.waiting("hook:one")
    assert again.id == first.id
    assert again.notice.id == first.notice.id, "the same id, or the other side cannot know it"
    assert outbox(alarmed)[0] == ("waiting", 1, str(error))


def test_a_message_is_noted_as_told_only_when_the_other_side_has_it(alarmed):
    """Else a crash in between would leave a person without the alarm, and nobody would know."""
    seen = []

    class Watched(Phone):
        def tell(self, notice, deadline):
            alarmed.turn()
            seen.append(outbox(alarmed)[0][0])
            super().tell(notice, deadline)

    with alarmed.reader() as reader:
        messenger(alarmed, Watched()).tell(reader.waiting("hook:one"), 0)
    alarmed.turn()
    assert seen == ["waiting"]
    assert outbox(alarmed)[0][0] == "told"


def test_who_chose_a_station_is_told_of_its_devices_and_of_the_box_alone(tmp_path):
    chosen = {"a": {"station": ("river",)}, "b": {"station": ("hill",)}, "c": {"area": ("330106",)}, "d": {"area": ("1",)}, "all": {}}
    plan = site().model_copy(update={
        "stations": {"river": Station(area="330106"), "hill": Station(area="1")},
        "sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())},
        "subscriptions": {name: Subscription(to=(f"hook:{name}",), about="all", **more) for name, more in chosen.items()}})
    house = House(tmp_path, plan)
    house.say((AMMONIA, 0.5), (AMMONIA._replace(quantity="ph"), 7.0))
    house.turn()
    house.clock.forward(60)
    house.turn()
    with house.reader() as reader:
        assert sorted(reader.recipients()) == ["hook:a", "hook:all", "hook:c"], "devices of the river fell silent"
    house.intake.tell(SinkSays("store", "halted", "401", "sink_halted"))
    house.turn()
    with house.reader() as reader:
        assert sorted(reader.recipients()) == [f"hook:{name}" for name in sorted(chosen)], "a sink is of no station"
    house.kill()


def test_a_message_that_is_refused_for_ever_makes_way_for_the_next(alarmed):
    one = messenger(alarmed, Phone(Refused("unknown format")))
    with alarmed.reader() as reader:
        first = reader.waiting("hook:one")
        assert one.tell(first, 0) is None
        alarmed.turn()
        assert reader.waiting("hook:one").id > first.id
    assert outbox(alarmed)[0] == ("dead", 1, "unknown format")


def alarm(house, *values):
    """Three readings of each, ten seconds apart: enough for the rule."""
    for value in values:
        for _ in range(3):
            house.clock.forward(10)
            house.say((AMMONIA, value), (LAEQ, 50.0))
            house.turn()


def tell_all(house, one):
    """As the worker does; what cannot be told now stays."""
    done = 0
    with house.reader() as reader:
        while (waiting := reader.waiting("hook:one", done)) is not None:
            one.tell(waiting, 5)
            done = waiting.id
    house.turn()


class Unplugged(Phone):
    def tell(self, notice, deadline):
        raise Unavailable("no network")


def kinds(phone):
    return [notice.kind for notice in phone.heard if notice.data["rule"] == "ammonia"]


@pytest.mark.parametrize(("values", "heard"), [
    ((1.2, 1.8), ["alert.raised", "alert.climbed"]), ((1.2,), ["alert.raised"]), ((1.2, 0.2), []),
    ((1.2, 1.8, 0.2), ["alert.climbed", "alert.ended"]),
], ids=["orange fires", "yellow fires", "yellow is over", "orange is over"])
def test_after_days_without_a_network_what_is_grave_or_fires_is_told(tmp_path, values, heard):
    house, phone = House(tmp_path, site(ammonia=LADDER)), Phone()
    alarm(house, 0.5, *values)
    house.clock.forward(9 * 86_400)
    tell_all(house, messenger(house, Unplugged()))
    tell_all(house, messenger(house, phone))
    assert kinds(phone) == heard
    house.kill()


def test_who_was_told_of_a_beginning_is_told_of_the_end_however_late(tmp_path):
    house, phone = House(tmp_path, site(ammonia=LADDER)), Phone()
    alarm(house, 0.5, 1.2)
    tell_all(house, messenger(house, phone))
    alarm(house, 0.2)
    house.clock.forward(9 * 86_400)
    tell_all(house, messenger(house, Unplugged()))
    tell_all(house, messenger(house, phone))
    assert kinds(phone) == ["alert.raised", "alert.ended"]
    house.kill()


def test_who_was_not_told_of_a_beginning_is_not_told_of_the_end_also_before_the_journal_knows(tmp_path):
    house, phone = House(tmp_path, site(ammonia=LADDER)), Phone(Refused("unknown format"))
    alarm(house, 0.5, 1.2, 0.2)
    tell_all(house, messenger(house, phone))  # one life: what it tells is journalled at its end
    assert kinds(phone) == []
    assert [words for _, _, words in outbox(house)] == ["unknown format", "its beginning was not told"]
    house.kill()


def test_of_too_many_messages_those_of_the_oldest_alerts_that_are_over_give_way(tmp_path, monkeypatch):
    monkeypatch.setattr(alert_tables, "MOST_WAITING", 4)
    house, phone = House(tmp_path, site(ammonia=LADDER)), Phone()
    alarm(house, 0.5, 1.2, 0.2, 1.2, 1.8, 0.2, 1.2)
    with house.reader() as reader:
        assert reader.recipients()["hook:one"] == {"dead": 2, "waiting": 4}, "the yellow one that is over"
    tell_all(house, messenger(house, phone))
    assert kinds(phone) == ["alert.raised", "alert.climbed", "alert.ended", "alert.raised"]
    assert outbox(house)[0] == ("dead", 0, "more than 4 messages waited")
    house.kill()


def test_a_message_older_than_a_day_is_given_up(alarmed):
    clock = TurnedClock(NOON + 25 * 3600 * S)
    one = Messenger("hook:one", Phone(Unavailable("still down")), alarmed.folder, alarmed.intake, Bell(), clock)
    with alarmed.reader() as reader:
        assert one.tell(reader.waiting("hook:one"), 40) is None
    alarmed.turn()
    assert outbox(alarmed)[0] == ("dead", 41, "still down")


def test_what_was_told_before_a_crash_but_not_noted_is_told_again_with_the_same_id(alarmed):
    phone = Phone()
    with alarmed.reader() as reader:
        messenger(alarmed, phone).tell(reader.waiting("hook:one"), 0)
    alarmed.again()  # the note was not committed
    with alarmed.reader() as reader:
        messenger(alarmed, phone).tell(reader.waiting("hook:one"), 0)
    assert len({n.id for n in phone.heard}) == 1
    assert len(phone.heard) == 2
