"""Rows on MQTT: each acknowledged, on a topic of its own, readable by Home Assistant without a word of configuration."""

import contextlib
import json
import math
import os
import signal
import socket
import threading
import time

import paho.mqtt.subscribe as subscribe
import pytest
from broker_listener import Broker
from far_sides import SECRETS, make
from pydantic import ValidationError
from rows import T0, rows
from servers import Mosquitto
from waiting import soon

from config.errors import Halted, Refused, Unavailable
from config.quantity import vocabulary
from config.series import Flag, Origin, Series
from gateway.sinks.mqtt import Options, topic_of

server = pytest.mark.server
PH = Series("qinghe", "probe", "ph")
MOISTURE = Series("qinghe", "soil", "soil_moisture", "10cm")
HOUR = PH._replace(statistic="mean", period_s=3600)
DEFAULT = Options(url="mqtt://h").topic


def sink(url: str, **options):
    return make("sinks", "mqtt", {"url": url} | options)


@server
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_row_is_published_with_everything_that_the_journal_knows_of_it(tmp_path, protocol):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker.url, protocol=protocol)
        far.send(rows([MOISTURE, HOUR], [0, 1, 0], [7.1, 0.1 + 0.2, math.nan], raw=[7.0, math.nan, math.nan], at=[T0, T0, T0 + 5 * 10**8],
                      span=[0, 3600 * 10**9, 0], share=[math.nan, 0.975, math.nan], flag=[Flag.SUSPECT, Flag.GOOD, Flag.MISSING],
                      revision=[0, 2, 0], origin=[Origin.LATE, 0, 0]), soon())
        far.close()
        heard = broker.got()
        assert [m.topic for m in heard] == ["ecosentry/qinghe/soil/soil_moisture:10cm/measured", "ecosentry/qinghe/probe/ph/mean-1h",
                                            "ecosentry/qinghe/soil/soil_moisture:10cm/measured"]
        one, hour, missing = map(json.loads, (m.payload for m in heard))
        assert one == {"n": 1, "time": "2026-09-21T14:13:20Z", "end": "2026-09-21T14:13:20Z", "station": "qinghe", "device": "soil",
                       "quantity": "soil_moisture", "channel": "10cm", "statistic": "measured", "period_s": 0, "method": "", "unit": "%",
                       "value": 7.1, "raw": 7.0, "flag": 3, "reason": "N", "share": None, "revision": 0, "origin": 64}
        assert (hour["time"], hour["value"], hour["share"], hour["revision"], hour["unit"]) == ("2026-09-21T13:13:20Z", 0.1 + 0.2, 0.975, 2, "")
        assert missing["time"] == "2026-09-21T14:13:20.500Z"
        assert (missing["value"], missing["raw"], missing["flag"], missing["reason"]) == (None, None, 9, "l")
        assert all(m.qos == 1 and not m.retain for m in heard)


@server
def test_hundreds_of_rows_are_all_acknowledged_in_order_also_by_a_broker_that_takes_few_at_once(tmp_path):
    with Broker(tmp_path / "m", max_inflight=7) as broker:
        far = sink(broker.url, timeout="60 s")
        far.send(rows([PH], [0] * 250, [float(i) for i in range(250)]), soon(60))
        assert far._visit._window == 7, "the broker's own limit is not kept"
        far.close()
        assert [row["value"] for row in broker.rows()] == [float(i) for i in range(250)]


@server
def test_one_connection_serves_many_sends_and_one_that_the_broker_closed_is_made_anew(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker.url)
        far.send(rows([PH], [0], [1.0]), soon())
        first = far._visit
        far.send(rows([PH], [0], [2.0]), soon())
        assert far._visit is first
        broker.stop()
        broker.start()
        far.send(rows([PH], [0], [3.0]), soon())
        assert far._visit is not first
        far.close()
        assert {row["value"] for row in broker.rows()} == {1.0, 2.0, 3.0}


@server
def test_nothing_counts_as_sent_while_the_broker_is_silent(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker.url)
        far.send(rows([PH], [0], [1.0]), soon())
        os.kill(broker.server.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(Unavailable, match="in time"):
                far.send(rows([PH], [0] * 50, [2.0] * 50), began + 1.0)
            assert time.monotonic() - began < 2
        finally:
            os.kill(broker.server.pid, signal.SIGCONT)
        far.send(rows([PH], [0] * 50, [2.0] * 50), soon())
        far.close()
        assert len([row for row in broker.rows() if row["value"] == 2.0]) >= 50


class Trickle:
    """Stands before a broker and hands on what it says four bytes at a time, so about one PUBACK every 5 ms."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Trickle":
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for s in list(self._open):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for s in self._open:
            s.close()

    def _spawn(self, work, *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                self._spawn(self._hand_on, near, far, 65536, 0.0)
                self._spawn(self._hand_on, far, near, 4, 0.005)

    def _hand_on(self, source: socket.socket, target: socket.socket, most: int, pause_s: float) -> None:
        with contextlib.suppress(OSError):
            while heard := source.recv(most):
                target.sendall(heard)
                time.sleep(pause_s)
            target.shutdown(socket.SHUT_RDWR)


@server
def test_a_broker_too_slow_for_a_whole_portion_gets_smaller_ones_and_at_last_all(tmp_path):
    """Else a portion that takes longer than the deadline would be begun anew for ever."""
    with Broker(tmp_path / "m") as broker, Trickle(broker.server.port) as trickle:
        far = sink(trickle.url, timeout="600 ms")
        sent = rows([PH], [0] * 400, [float(i) for i in range(400)])
        portions: list[int] = []
        said: list[str] = []

        def deliver(part) -> None:
            portions.append(len(part))
            try:
                far.send(part, soon())
            except Refused as error:
                said.append(str(error))
                deliver(part.pick(slice(None, len(part) // 2)))
                deliver(part.pick(slice(len(part) // 2, None)))

        deliver(sent)
        far.close()
        assert len(portions) > 1
        assert all("smaller portions" in words for words in said)
        assert {row["value"] for row in broker.rows()} == {float(i) for i in range(400)}


@server
def test_the_broker_keeps_the_newest_row_and_never_an_older_one(tmp_path):
    with Mosquitto(tmp_path / "m") as broker:
        far = sink(broker.url, retain=True)
        far.send(rows([PH, HOUR], [0, 0, 1], [1.0, 2.0, 5.0]), soon())
        far.send(rows([PH, HOUR], [0, 0], [8.0, 9.0], at=[T0 - 2 * 10**9, T0 - 10**9], n=[7, 8]), soon())
        far.close()
        kept = [subscribe.simple(f"ecosentry/qinghe/probe/ph/{what}", hostname="127.0.0.1", port=broker.port) for what in ("measured", "mean-1h")]
        assert [json.loads(m.payload)["value"] for m in kept] == [2.0, 5.0]


@server
def test_home_assistant_finds_each_measured_series_with_its_class_and_unit(tmp_path):
    laeq, other = Series("qinghe", "yard", "laeq"), PH._replace(device="a/b#+ é")
    with Broker(tmp_path / "m") as broker:
        far = sink(broker.url, home_assistant="homeassistant", retain=True)
        for _ in range(2):
            far.send(rows([PH, laeq, HOUR, other], [0, 1, 2, 3], [7.0, 50.0, 7.1, 7.2]), soon())
        far.close()
        told = [m for m in broker.got() if m.topic.startswith("homeassistant/")]
        assert len(told) == 3, "each once a connection, and no means"
        found = {json.loads(m.payload)["state_topic"]: json.loads(m.payload) for m in told}
        assert found.keys() == {"ecosentry/qinghe/probe/ph/measured", "ecosentry/qinghe/yard/laeq/measured",
                                "ecosentry/qinghe/a%2Fb%23%2B é/ph/measured"}
        assert len({one["unique_id"] for one in found.values()}) == 3
        assert all(m.topic.count("/") == 4 and m.topic.endswith("/config") and m.topic.isascii() for m in told)
        ph, noise = found["ecosentry/qinghe/probe/ph/measured"], found["ecosentry/qinghe/yard/laeq/measured"]
        assert ph["device_class"] == "ph"
        assert "unit_of_measurement" not in ph
        assert (noise["device_class"], noise["unit_of_measurement"], noise["state_class"]) == ("sound_pressure", "dBA", "measurement")
        assert ph["device"] == {"identifiers": ["ecosentry_qinghe_probe"], "name": "清河断面 probe"}
        assert ph["availability_topic"] == ph["state_topic"]
        assert ph["expire_after"] == 600


HA_UNITS = {  # of homeassistant/components/sensor/const.py, read in 2026
    "temperature": {"°C"}, "ph": {""}, "conductivity": {"µS/cm"}, "pm1": {"µg/m³"}, "pm25": {"µg/m³"}, "pm10": {"µg/m³"},
    "sulphur_dioxide": {"µg/m³"}, "nitrogen_monoxide": {"µg/m³"}, "nitrogen_dioxide": {"µg/m³"}, "ozone": {"µg/m³"}, "carbon_dioxide": {"ppm"},
    "volatile_organic_compounds_parts": {"ppb"}, "humidity": {"%"}, "moisture": {"%"}, "atmospheric_pressure": {"hPa"}, "pressure": {"kPa"},
    "wind_speed": {"m/s"}, "speed": {"m/s"}, "wind_direction": {"°"}, "precipitation": {"mm"}, "precipitation_intensity": {"mm/h"}, "distance": {"m"},
    "irradiance": {"W/m²"}, "illuminance": {"lx"},
    "sound_pressure": {"dBA"}, "energy": {"kWh"}, "power": {"kW"}, "power_factor": {""}, "voltage": {"V"}, "current": {"A"}, "frequency": {"Hz"},
    "signal_strength": {"dBm"}}


def test_a_device_class_stands_only_where_its_unit_is_one_that_the_class_knows():
    classed = {name: row for name, row in vocabulary().items() if row.home_assistant}
    assert len(classed) > 30
    for name, row in classed.items():
        unit = {"1": "", "dB(A)": "dBA"}.get(row.unit, row.unit)
        assert unit in HA_UNITS[row.home_assistant], name


@server
def test_a_topic_that_is_not_allowed_needs_a_human_and_loses_nothing(tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("user eco\ntopic write allowed/#\n")
    acl.chmod(0o600)
    with Mosquitto(tmp_path / "m", users={"eco": SECRETS["password"]}, more=f"acl_file {acl}") as broker:
        login = {"user": "eco", "password": {"secret": "password"}}
        far = sink(broker.url, **login)
        with pytest.raises(Halted, match="Not authorized") as said:
            far.send(rows([PH], [0], [7.0]), soon())
        assert not any(word in repr(said.value) for word in SECRETS.values())
        far.close()
        far = sink(broker.url, topic="allowed/{station}", **login)
        far.send(rows([PH], [0], [7.0]), soon())
        far.close()


@server
def test_names_from_the_wire_lead_to_no_other_topic_and_a_row_without_one_is_refused_alone(tmp_path):
    evil = [PH._replace(channel=name) for name in ("/../x", "+", "#", "a\0b", "é", "e\u0301", "\ud800", "$SYS", "a b", "%2F")]
    with Broker(tmp_path / "m") as broker:
        far = sink(broker.url)
        far.send(rows(evil, range(len(evil)), [float(i) for i in range(len(evil))], at=T0), soon())
        with pytest.raises(Refused, match="cannot be published"):
            far.send(rows([PH._replace(channel="x" * 70_000)], [0], [1.0]), soon())
        far.close()
        heard = broker.got()
        assert len({m.topic for m in heard}) == len(evil)
        assert all(m.topic.startswith("ecosentry/qinghe/probe/ph:") and m.topic.count("/") == 4 for m in heard)
        assert [json.loads(m.payload)["channel"] for m in heard] == [one.channel for one in evil]


def test_no_two_series_share_a_topic():
    series = [PH, HOUR, HOUR._replace(period_s=60), HOUR._replace(statistic="max"), PH._replace(channel="mean"), PH._replace(channel="a:b"),
              HOUR._replace(method="HJ633"), PH._replace(method="HJ633"), PH._replace(statistic="class", method="1h"), MOISTURE]
    assert len({topic_of(DEFAULT, one) for one in series}) == len(series)


@pytest.mark.parametrize("more", [
    {"topic": "a/+/b"}, {"topic": "a/{rule}"}, {"topic": "$SYS/x"}, {"home_assistant": "a/#"}, {"home_assistant": "{station}"}, {"topic": ""},
    {"retain": True, "topic": "a/{station}"}, {"home_assistant": "homeassistant", "topic": "a/{station}/{device}/{quantity}"}, {"url": "http://h"}])
def test_a_table_that_cannot_work_is_refused_before_the_start(more):
    with pytest.raises(ValidationError):
        Options.model_validate({"url": "mqtt://h"} | more)


@server
def test_a_close_from_another_thread_leaves_no_connection_behind(tmp_path):
    with Broker(tmp_path / "m") as broker:
        far = sink(broker.url)
        many = rows([PH], [0] * 5000, [1.0] * 5000)
        thread = threading.Thread(target=_try, args=(far, many))
        thread.start()
        time.sleep(0.05)
        began = time.monotonic()
        far.close()
        thread.join(5)
        assert not thread.is_alive()
        assert time.monotonic() - began < 1
        assert far._visit is None


def _try(far, sent) -> None:
    with contextlib.suppress(Unavailable):
        far.send(sent, soon())
