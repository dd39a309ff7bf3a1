"""Our rows as a Sparkplug edge node, seen by an independent decoder and by our own driver: births first, then data, death by the broker."""

import math
import time

import paho.mqtt.publish as publish
import pytest
import sparkplug_peer as peer
from broker_listener import Broker
from far_sides import make
from mqtt_devices import Journal, Running
from rows import rows
from test_sparkplug import driver
from waiting import soon, until

from config.errors import Unavailable
from config.series import Flag, Origin, Series
from drivers.codecs import sparkplug_topics
from drivers.lines.mqtt import Line, Options

pytestmark = pytest.mark.server
PH, PM = Series("st", "probe", "ph"), Series("st", "air", "pm2_5")
MOISTURE = Series("st", "probe", "soil_moisture", "10cm")
HOUR = PH._replace(statistic="mean", period_s=3600)


def sink(broker: Broker, **more):
    return make("sinks", "sparkplug", {"url": broker.url, "group": "G", "node": "E"} | more)


def some(*values: float, series=(PH,), which=None, ago_s=(), **columns):
    now_ns = time.time_ns() // 10**9 * 10**9
    at = [now_ns - round(s * 1e9) for s in (ago_s or range(len(values) - 1, -1, -1))]
    return rows(series, which or [0] * len(values), values, at=at, **columns)


def said(broker: Broker):
    """(verb, device, payload) of everything, and that the sequence numbers have no hole."""
    found = []
    seq = None
    for message in broker.got():
        if "/STATE/" in message.topic or "/NCMD/" in message.topic:
            continue
        _, group, verb, node, *device = message.topic.split("/")
        assert (group, node) == ("G", "E")
        payload = peer.parsed(message.payload)
        if verb == "NBIRTH":
            assert payload.seq == 0
        elif verb != "NDEATH":
            assert payload.seq == (seq + 1) % 256, verb
        assert (message.qos, message.retain) == (1 if verb == "NDEATH" else 0, False)
        seq = payload.seq if verb != "NDEATH" else None
        found.append((verb, device[0] if device else "", payload))
    return found


def test_births_come_first_with_names_and_aliases_then_data_by_alias(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker)
        far.send(some(7.1, 7.2, 35.4, math.nan, series=(PH, PM, MOISTURE), which=[0, 0, 1, 2], flag=[1, 4, 1, 9]), soon())
        far.send(some(7.3, 7.25, series=(PH, PM, MOISTURE, HOUR), which=[0, 3]), soon())
        far.close()
        got = said(broker)
    assert [(verb, device) for verb, device, _ in got] == [
        ("NBIRTH", ""), ("DBIRTH", "st:air"), ("DBIRTH", "st:probe"), ("DDATA", "st:air"), ("DDATA", "st:probe"),
        ("DBIRTH", "st:probe"), ("DDATA", "st:probe"), ("NDEATH", "")] or [d for _, d, _ in got][1:3] == ["st:probe", "st:air"]
    birth, death = got[0][2], got[-1][2]
    assert {m.name: (m.datatype, m.boolean_value) for m in birth.metrics}["Node Control/Rebirth"] == (peer.BOOLEAN, False)
    assert [m.long_value for m in birth.metrics if m.name == "bdSeq"] == [m.long_value for m in death.metrics]
    births = [p for v, d, p in got if (v, d) == ("DBIRTH", "st:probe")]
    assert [[(m.name, m.alias, m.datatype) for m in p.metrics] for p in births] == [
        [("ph", 1, 10), ("soil_moisture:10cm", 3, 10)], [("ph", 1, 10), ("soil_moisture:10cm", 3, 10), ("ph/mean-1h", 4, 10)]]
    data = [m for v, d, p in got if (v, d) == ("DDATA", "st:probe") for m in p.metrics]
    assert [(m.alias, m.is_null, m.HasField("name"), m.HasField("datatype")) for m in data] == [
        (1, False, False, False), (1, False, False, False), (3, True, False, False), (1, False, False, False), (4, False, False, False)]
    assert [m.properties.values[0].int_value if m.properties.keys else None for m in data] == [None, 0, 0, None, None]
    assert [m.double_value for m in data if not m.is_null] == [7.1, 7.2, 7.3, 7.25]


def test_what_waited_is_history_and_the_present_is_not(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker)
        far.send(some(1.0, 2.0, 3.0, 4.0, ago_s=(7200, 3600, 1, 30), origin=[0, 0, 0, Origin.LATE]), soon())
        far.send(some(5.0, ago_s=(2,)), soon())
        far.close()
        data = [m for v, _, p in said(broker) if v == "DDATA" for m in p.metrics]
    assert [(m.double_value, m.is_historical) for m in data] == [(1.0, True), (2.0, True), (3.0, False), (4.0, True), (5.0, True)]


def test_births_are_said_again_when_a_host_asks_also_while_there_is_nothing_to_send(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker)
        far.send(some(7.1), soon())
        publish.single("spBv1.0/G/NCMD/E", sparkplug_topics.rebirth_request(1), 1, hostname="127.0.0.1", port=broker.server.port)
        publish.single("spBv1.0/G/NCMD/E", b"nonsense", 1, hostname="127.0.0.1", port=broker.server.port)

        def reborn() -> bool:
            far.tend()
            return sum(m.topic.split("/")[2] == "NBIRTH" for m in broker.heard) == 2

        until(reborn)
        far.send(some(7.2, ago_s=(0,)), soon())
        got = said(broker)
        far.close()
    assert [verb for verb, _, _ in got] == ["NBIRTH", "DBIRTH", "DDATA", "NBIRTH", "DBIRTH", "DDATA"]
    assert got[4][2].metrics[0].double_value == 7.1, "a birth says the newest value"
    assert len({m.long_value for v, _, p in got if v == "NBIRTH" for m in p.metrics if m.name == "bdSeq"}) == 1


def test_each_connection_has_a_death_of_its_own_number(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker)
        for value in (1.0, 2.0):
            far.send(some(value), soon())
            far._visit.client.socket().close()
            time.sleep(0.2)
            far._used = -1e9  # as after a long silence: made anew
        far.close()
        numbers = [(v, m.long_value) for v, _, p in said(broker) for m in p.metrics if m.name == "bdSeq"]
    births = [n for v, n in numbers if v == "NBIRTH"]
    assert births[1] == (births[0] + 1) % 256
    assert [n for v, n in numbers if v == "NDEATH"] == births


def test_rows_wait_until_the_primary_host_is_there(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker, primary_host="scada")
        with pytest.raises(Unavailable, match="scada does not say that it is there"):
            far.send(some(7.1), soon())
        assert said(broker) == [], "who was not born does not die"

        def host(is_there: bool) -> None:
            publish.single("spBv1.0/STATE/scada", sparkplug_topics.state(is_there, 1), 1, True, "127.0.0.1", broker.server.port)

        host(True)
        far.send(some(7.1), soon())
        host(False)
        until(lambda: far.tend() or not far._host_is_there)
        with pytest.raises(Unavailable):
            far.send(some(7.2, ago_s=(0,)), soon())
        host(True)
        far.send(some(7.2, ago_s=(0,)), soon())
        far.close()
        assert [m.double_value for v, _, p in said(broker) if v == "DDATA" for m in p.metrics] == [7.1, 7.2]


def test_our_own_driver_hears_what_our_sink_says(tmp_path):
    journal = Journal()
    with Broker(tmp_path / "m") as broker:
        far = sink(broker)
        far.send(some(7.1), soon())
        with Running(Line("nodes", Options(url=broker.url), str), {"probe": driver("st:probe")}, journal):
            until(lambda: far.tend() or 7.1 in journal.values)  # it asks for births, and the sink answers
            far.send(some(0.1 + 0.2, 21.5, 8.0, series=(PH, MOISTURE), which=[0, 1, 0], ago_s=(0, 0, 4000), flag=[Flag.GOOD] * 3), soon())
            until(lambda: {0.1 + 0.2, 21.5, 8.0} <= set(journal.values))
        far.close()
    origins = {float(v): (b.origin, b.series[w].channel) for d in journal.deliveries for b in d.batches for w, v in zip(b.which, b.raw, strict=True)}
    assert (origins[0.1 + 0.2], origins[21.5], origins[8.0]) == ((Origin.LIVE, ""), (Origin.LIVE, "10cm"), (Origin.BACKFILL, ""))
