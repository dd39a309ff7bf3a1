"""The servers that other tests lean on do what those tests believe."""

import socket
import time

import pytest
import servers
from servers import Answer, InfluxDB1, Mosquitto, ScriptedServer, VictoriaMetrics, http


@pytest.mark.server
def test_influxdb_keeps_what_it_acknowledged_over_a_kill(influx: InfluxDB1) -> None:
    assert http(f"{influx.url}/write?db=eco&precision=ns", b"m,a=b x=1.5,n=3i 1700000000000000001")[0] == 204
    port = influx.port
    influx.kill()
    influx.start()
    assert influx.port == port
    assert influx.points("m") == [servers.StoredPoint({"a": "b"}, 1_700_000_000_000_000_001, {"x": 1.5, "n": 3})]
    assert influx.measurements() == ["m"]


@pytest.mark.server
def test_influxdb_with_users_asks_for_a_login(tmp_path) -> None:
    with InfluxDB1(tmp_path, users={"admin": "word"}) as influx:
        assert http(f"{influx.url}/write?db=eco", b"m x=1")[0] == 401
        assert http(f"{influx.url}/write?db=eco&u=admin&p=word", b"m x=1")[0] == 204
        assert len(influx.points("m")) == 1


@pytest.mark.server
def test_victoria_metrics_shows_a_point_at_once(victoria: VictoriaMetrics) -> None:
    assert http(f"{victoria.url}/api/v2/write", b"water,station=q value=1.5 1700000000000000000")[0] == 204
    found = victoria.export()
    assert [(s.metric["__name__"], s.metric["station"], s.at_ms, s.values) for s in found] == [
        ("water_value", "q", [1_700_000_000_000], [1.5])]


@pytest.mark.server
def test_mosquitto_comes_back_on_its_port_with_its_retained_messages(mosquitto: Mosquitto) -> None:
    import paho.mqtt.publish as publish
    import paho.mqtt.subscribe as subscribe

    publish.single("a/b", b"kept", qos=1, retain=True, hostname="127.0.0.1", port=mosquitto.port)
    mosquitto.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", mosquitto.port), 1).close()
    mosquitto.start()
    assert subscribe.simple("a/b", hostname="127.0.0.1", port=mosquitto.port).payload == b"kept"


def test_a_missing_program_skips_by_name() -> None:
    with pytest.raises(pytest.skip.Exception, match="needs no-such-program: apt-get install thing"):
        servers.need("no-such-program", "thing")


def test_the_scripted_server_says_what_it_was_told_and_keeps_what_it_heard() -> None:
    script = Answer(503, {"Retry-After": "7"}, b"busy"), Answer(cut=0), Answer(200, body=b"ok", drip_s=0.02)
    with ScriptedServer(*script) as far:
        assert http(far.url + "/a", b"one") == (503, b"busy")
        with pytest.raises(OSError):
            http(far.url + "/b", b"two")
        began = time.monotonic()
        assert http(far.url + "/c") == (200, b"ok")
        assert time.monotonic() - began > 0.3
        heard = [(r.method, r.path, r.body) for r in far.requests]
        assert heard == [("POST", "/a", b"one"), ("POST", "/b", b"two"), ("GET", "/c", b"")]
