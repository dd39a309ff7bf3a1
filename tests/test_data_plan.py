"""What a data plan costs: bytes as the interface counts them, a day's budget, and backlogs that wait for an uplink that costs nothing."""

import time
from itertools import cycle
from pathlib import Path

import pytest
from delivering import Delivery, Store
from far_sides import make
from house import AMMONIA, NOON, House, S, TurnedClock, site
from networks import FAR, FarInflux, Network, _run
from pydantic import ValidationError
from rows import T0, rows
from servers import Answer, ScriptedServer

from config.errors import Halted, Unavailable
from config.series import Series
from config.site import Sink, SinkTable
from config.table import Table
from gateway.bell import Bell
from gateway.courier import Courier
from gateway.data_budget import DataBudget
from gateway.journal.progress import SinkSays
from gateway.traffic import interface_of

PH = Series("qinghe", "probe", "ph")
CHINA_MIDNIGHT = NOON + 4 * 3600 * S
"""NOON is 20:00 in Asia/Shanghai, the zone of the station."""


def some(n, at=T0):
    return rows([PH], [0] * n, [7.0 + i % 13 / 10 for i in range(n)], at=[at + i * 10**9 for i in range(n)])


@pytest.mark.crash
@pytest.mark.server
def test_bytes_are_counted_as_the_interface_counts_them(tmp_path):
    """The witness is the interface of a network namespace that carries nothing else."""
    with Network() as network, FarInflux(tmp_path, network) as influx:
        sink = make("sinks", "influxdb", {"url": influx.url, "database": "eco"})

        def work():
            before = _interface_bytes()
            for k in range(30):
                sink.send(some(200, T0 + k * 10**12), time.monotonic() + 10)
            return _interface_bytes() - before

        crossed = network.near.do(work)
        said = sink.traffic.bytes
        sink.close()
        assert crossed > 30_000
        assert said == pytest.approx(crossed, rel=0.03)


def _interface_bytes():
    """/proc/net/dev of this thread's namespace, Ethernet's headers left out."""
    [line] = [line for line in Path("/proc/thread-self/net/dev").read_text().splitlines() if line.strip().startswith("wire0:")]
    figures = [int(word) for word in line.split(":")[1].split()]
    return figures[0] + figures[8] - 14 * (figures[1] + figures[9])


# ── the budget ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_when_the_day_s_bytes_are_used_up_rows_wait_until_local_midnight(tmp_path):
    with Delivery(tmp_path, Store(TurnedClock(NOON), bytes_each=100), bytes_per_day="100 kB") as delivery:
        notes = []
        tell, delivery.intake.tell = delivery.intake.tell, lambda note: (notes.append(note), tell(note))[1]
        for _ in range(80):
            delivery.poll()
            delivery.run(60)
        day = delivery.live._db.execute("SELECT day, bytes FROM traffic").fetchall()
        assert len(day) == 1
        assert 100_000 <= day[0][1] <= 102_600, "at most one request more than the limit"
        assert delivery.store.traffic.bytes == day[0][1]
        assert delivery.live.sinks()["store"].state == "spent"
        assert [note.alert for note in notes if isinstance(note, SinkSays) and note.alert] == ["sink_spent"], "one alert"
        waiting = delivery.sums()["waiting"]
        assert waiting > 500
        delivery.clock.forward((CHINA_MIDNIGHT - delivery.clock.utc_ns) / S - 60)
        delivery.run(50)
        assert delivery.sums()["waiting"] == waiting
        delivery.run(75)
        assert delivery.sums()["waiting"] < waiting
        assert delivery.live.sinks()["store"].state == "ok"


def test_a_restart_does_not_give_the_day_s_bytes_again(tmp_path):
    with Delivery(tmp_path, Store(TurnedClock(NOON), bytes_each=1000), bytes_per_day="30 kB") as delivery:
        for _ in range(4):
            delivery.poll()
            delivery.run(60)
        assert delivery.live.sinks()["store"].state == "spent"
        delivery.again()
        requests = len(delivery.store.requests)
        delivery.run(30)
        assert len(delivery.store.requests) == requests


def test_a_backlog_leaves_live_rows_what_they_need_for_the_rest_of_the_day():
    budget = DataBudget(1_000_000, "Asia/Shanghai")
    assert budget.has_for_backlog(NOON)  # 20 of 24 hours have passed
    budget.spend(830_000, NOON)
    assert budget.has_for_backlog(NOON)
    budget.spend(10_000, NOON)
    assert not budget.has_for_backlog(NOON)
    assert not budget.is_spent(NOON), "live rows go on"
    assert budget.has_for_backlog(NOON + 3600 * S)
    assert budget.until_tomorrow_s(NOON) == 4 * 3600
    budget.spend(0, CHINA_MIDNIGHT)
    assert budget.spent == 0


def test_a_clock_that_is_set_back_does_not_give_the_day_again():
    budget = DataBudget(1000, "UTC")
    budget.spend(1000, NOON)
    budget.spend(1, NOON - 86_400 * S)
    assert budget.is_spent(NOON)


def test_a_clock_that_was_wrong_for_once_does_not_stop_the_days(tmp_path):
    day = 86_400 * S
    with Delivery(tmp_path, Store(TurnedClock(NOON), bytes_each=100), bytes_per_day="1 MB") as delivery:
        sending = delivery.courier._sending
        for at, sure in ((NOON, True), (NOON + 4000 * day, True), (NOON, True), (NOON + 4000 * day, False), (NOON, True)):
            delivery.clock.utc_ns, delivery.clock.sure = at, sure
            delivery.clock.mono_ns += 20 * S
            delivery.store.traffic.bytes += 400_000
            sending.count()
            delivery.commit()
        assert sending.until_allowed_s() > 0, "three times, and once while it was not sure, that day took 400 kB"
        assert sorted(n for n, in delivery.live._db.execute("SELECT bytes FROM traffic")) == [400_000, 1_600_000]
        delivery.clock.utc_ns += day
        assert sending.until_allowed_s() == 0.0
        assert sending.has_way_for_backlog()


def test_unmetered_needs_to_know_what_costs():
    with pytest.raises(ValidationError, match="metered ="):
        SinkTable.model_validate({"backlog": "unmetered"})


# ── the other uplink ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.crash
def test_a_backlog_waits_for_the_cable_while_live_rows_go_over_the_mobile_network(tmp_path):
    """Two wires between two namespaces; the routes of the near one say which of them is used."""
    with Network() as network:
        _run("ip", "link", "add", "wwan0", "netns", network.near.name, "type", "veth", "peer", "name", "wwan0", "netns", network.far.name)
        for side, address in ((network.near, "10.231.8.1"), (network.far, "10.231.8.2")):
            _run("ip", "-n", side.name, "addr", "add", f"{address}/30", "dev", "wwan0")
            _run("ip", "-n", side.name, "link", "set", "wwan0", "up")
        _run("ip", "-n", network.far.name, "addr", "add", "10.231.9.1/32", "dev", "lo")
        _run("ip", "-n", network.near.name, "route", "add", "10.231.9.1/32", "via", "10.231.8.2", "metric", "200")
        server = network.far.do(lambda: _listening("10.231.9.1"))
        try:
            network.near.do(lambda: _over_two_uplinks(tmp_path, server.port, network))
        finally:
            server.stop()


def _listening(address):
    server = ScriptedServer(Answer(204))
    server.address = address
    return server.start()


def _over_two_uplinks(folder, port, network):
    clock = TurnedClock(NOON)
    with Delivery(folder, Store(clock), metered="wwan*", backlog="unmetered") as delivery:
        delivery.poll()
        delivery.run(1)
        delivery.store.down = True
        for _ in range(15):
            delivery.poll(40, turns_clock=True)
            delivery.run(61)
        delivery.store = make("sinks", "influxdb", {"url": f"http://10.231.9.1:{port}", "database": "eco"})
        delivery.again()
        delivery.run(3)
        owed = delivery.sums()["owed"]
        assert owed > 10_000
        assert delivery.store.traffic.interface() == "wwan0"
        delivery.poll()
        delivery.run(30)
        assert delivery.sums()["owed"] == owed, "the backlog went over the uplink that costs"
        assert delivery.sums()["waiting"] == 0, "live rows go all the same"
        assert "not metered" in delivery.live.sinks()["store"].words
        paid = delivery.live._db.execute("SELECT sum(bytes) FROM traffic").fetchone()[0]
        _run("ip", "-n", network.near.name, "route", "add", "10.231.9.1/32", "via", FAR, "metric", "100")  # the cable is plugged in
        delivery.run(120)
        assert delivery.sums()["owed"] == 0
        assert interface_of(delivery.store.traffic.local) == "wire0", "the connection has moved"
        assert delivery.live._db.execute("SELECT sum(bytes) FROM traffic").fetchone()[0] - paid < 2000
        delivery.store.close()


# ── what people are told ─────────────────────────────────────────────────────────────────────────────────────────────────
def told(house):
    with house.reader() as reader:
        return [kind for alert in reader.alerts(20) if str(alert["rule"]).startswith("sink_") for _, kind, _, _ in alert["log"]]


def sinks_house(folder):
    return House(folder, site().model_copy(update={"sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())}}))


def turn(house, courier, reader):
    house.clock.forward(courier.turn(reader) + 1)
    house.turn()


def test_a_restart_while_the_store_is_away_neither_ends_the_alert_nor_raises_it_again(tmp_path):
    house, store = sinks_house(tmp_path), Store(TurnedClock(NOON))
    store.down = True
    for _ in range(2):
        courier = Courier("store", store, SinkTable(), house.site, house.folder, house.intake, Bell(), clock=house.clock)
        with house.reader() as reader, house.reader() as past:
            courier.begin(reader, past)
            house.say((AMMONIA, 0.5))
            until = house.clock.mono_ns + 2 * 3600 * S
            while house.clock.mono_ns < until:
                turn(house, courier, reader)
        assert told(house) == ["alert.raised"]
        house.again()
    store.down = False
    courier = Courier("store", store, SinkTable(), house.site, house.folder, house.intake, Bell(), clock=house.clock)
    with house.reader() as reader, house.reader() as past:
        courier.begin(reader, past)
        for _ in range(3):
            turn(house, courier, reader)
    assert told(house) == ["alert.raised", "alert.ended"]
    house.kill()


def test_a_store_that_needs_a_human_and_fails_in_turns_is_one_alert(tmp_path):
    house, store, answers = sinks_house(tmp_path), Store(TurnedClock(NOON)), cycle([Halted("401: the token"), Unavailable("500")])

    def moody(rows):
        raise next(answers)

    store.mood = moody
    courier = Courier("store", store, SinkTable(), house.site, house.folder, house.intake, Bell(), clock=house.clock)
    with house.reader() as reader, house.reader() as past:
        courier.begin(reader, past)
        house.say((AMMONIA, 0.5))
        for _ in range(80):
            turn(house, courier, reader)
    assert told(house) == ["alert.raised"]
    house.kill()


def test_a_sink_whose_store_was_not_asked_is_not_well_again(tmp_path):
    """Rows of which it takes none need no request: that proves nothing."""
    house, store, choice = sinks_house(tmp_path), Store(TurnedClock(NOON)), SinkTable(medium=("noise",))
    with house.writer.transaction():
        SinkSays("store", "halted", "401", "sink_halted").write(house.writer)
    courier = Courier("store", store, choice, house.site, house.folder, house.intake, Bell(), clock=house.clock)
    with house.reader() as reader, house.reader() as past:
        courier.begin(reader, past)
        house.say((AMMONIA, 0.5))
        for _ in range(3):
            turn(house, courier, reader)
        assert reader.sinks()["store"].skipped > 0
        assert (reader.sinks()["store"].state, store.requests) == ("halted", [])
    house.kill()


def test_what_a_sink_says_is_one_alert_that_ends_when_it_is_over_and_survives_a_restart(tmp_path):
    plan = site().model_copy(update={"sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())}})
    house = House(tmp_path, plan)

    def says(*notes):
        for state, words, alert in notes:
            house.intake.tell(SinkSays("store", state, words, alert))
        house.turn()
        with house.reader() as reader:
            return [(one["rule"], one["state"]) for one in reader.alerts(10)]

    assert says(("halted", "401: the token", "sink_halted")) == [("sink_halted", "firing")]
    house.again()
    assert says(("halted", "403: the right", "sink_halted")) == [("sink_halted", "firing")], "raised twice, or ended by a restart"
    found = says(("spent", "today's bytes", "sink_spent"))
    assert sorted(found) == [("sink_halted", "ended"), ("sink_spent", "firing")]
    assert {state for _, state in says(("ok", "", ""))} == {"ended"}
    with house.reader() as reader:
        assert reader.recipients()["hook:one"]["waiting"] == 4, "each beginning and each end is told"
    house.kill()
