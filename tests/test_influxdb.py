"""What each of InfluxDB's answers means, from a real 1.6.7 where it can be made to say it and scripted where it cannot."""

import logging
import math
import subprocess
import sys
import time
import zlib
from email.utils import formatdate
from pathlib import Path

import pytest
from authority import Authority
from far_sides import SECRETS, make
from pydantic import ValidationError
from rows import DAY_NS, T0, rows
from servers import Answer, InfluxDB1, ScriptedServer, VictoriaMetrics
from waiting import soon

from config.errors import Halted, Refused, Unavailable
from config.series import Series
from gateway.sinks.influxdb import Options

PH = Series("qinghe", "probe", "ph")


def v1(url: str, **options):
    return make("sinks", "influxdb", {"url": url, "database": "eco"} | options)


def v2(url: str, **options):
    return make("sinks", "influxdb", {"url": url, "org": "epb", "bucket": "stations", "token": {"secret": "token"}} | options)


def some(n: int = 3, at: int = T0):
    return rows([PH], [0] * n, [7.0 + i / 10 for i in range(n)], at=[at + i * 10**9 for i in range(n)])


@pytest.mark.server
def test_a_missing_database_halts_and_says_how_to_make_it(influx: InfluxDB1) -> None:
    sink = make("sinks", "influxdb", {"url": influx.url, "database": "nope"})
    for work in (lambda: sink.send(some(), soon()), lambda: sink.check(soon())):
        with pytest.raises(Halted, match=r'no database "nope".*CREATE DATABASE nope'):
            work()
    influx.query("CREATE DATABASE nope")
    sink.send(some(), soon())
    assert len(influx.points("water", "nope")) == 3
    sink.close()


@pytest.mark.server
def test_any_write_endpoint_takes_it_not_only_influxdb_s(victoria: VictoriaMetrics) -> None:
    sink = v1(victoria.url)
    assert "takes writes" in sink.check(soon())
    for _ in range(2):
        sink.send(some(), soon())
    sink.close()
    [found] = victoria.export('{__name__="water_value"}')
    assert dict(zip(found.at_ms, found.values, strict=True)) == {T0 // 10**6: 7.0, T0 // 10**6 + 1000: 7.1, T0 // 10**6 + 2000: 7.2}


@pytest.mark.server
def test_a_wrong_password_and_a_missing_right_halt_and_say_which(tmp_path: Path) -> None:
    with InfluxDB1(tmp_path, users={"admin": SECRETS["password"]}) as server:
        server.query("CREATE USER reader WITH PASSWORD 'tok-5up3r-s3cret'")
        server.query("GRANT READ ON eco TO reader")
        for options, words in (
            ({}, "401.*password .none is given."),
            ({"user": "admin", "password": {"secret": "token"}}, 'does not accept the login.*the secret "token"'),
            ({"user": "reader", "password": {"secret": "token"}}, 'does not let this login write to database "eco"'),
        ):
            sink = v1(server.url, **options)
            for work in (lambda s=sink: s.send(some(), soon()), lambda s=sink: s.check(soon())):
                with pytest.raises(Halted, match=words) as halted:
                    work()
                assert not any(word in str(halted.value) for word in SECRETS.values())
            sink.close()
        sink = v1(server.url, user="admin", password={"secret": "password"})
        assert "takes writes to database eco" in sink.check(soon())
        sink.send(some(), soon())
        assert len(server.points("water")) == 3
        sink.close()


@pytest.mark.server
def test_a_body_that_is_too_large_is_refused_so_that_it_is_halved(tmp_path: Path) -> None:
    many = some(3000)
    with InfluxDB1(tmp_path, max_body=60_000) as server:
        sink = v1(server.url, gzip=False)
        with pytest.raises(Refused, match=r"too large.*max_body"):
            sink.send(many, soon())
        sink.send(many.pick(slice(0, 300)), soon())
        sink.close()
        sink = v1(server.url, gzip=False, max_body="50 kB")
        sink.send(many, soon())
        assert len(server.points("water")) == 3000
        sink.close()


def test_a_single_row_that_is_too_large_is_the_servers_trouble_not_the_rows() -> None:
    with ScriptedServer(Answer(413)) as server:
        sink = v1(server.url)
        with pytest.raises(Halted, match="413"):
            sink.send(some(1), soon())
        sink.close()


@pytest.mark.server
def test_one_tag_value_too_many_is_refused_in_the_servers_words(tmp_path: Path) -> None:
    with InfluxDB1(tmp_path, max_values_per_tag=5) as server:
        sink = v1(server.url)
        table = [Series("qinghe", f"device{i}", "ph") for i in range(8)]
        sink.send(rows(table, range(5), [7.0] * 5), soon())  # the limit looks at what was there before the request
        with pytest.raises(Refused, match="max-values-per-tag limit exceeded"):
            sink.send(rows(table, [0, 5], [7.5] * 2, at=T0 + DAY_NS), soon())
        sink.send(rows(table, [0], [7.5], at=T0 + DAY_NS), soon())
        assert len(server.points("water")) == 6
        sink.close()


@pytest.mark.server
def test_a_revision_overwrites_the_point(influx: InfluxDB1) -> None:
    sink = v1(influx.url)
    sink.send(rows([PH], [0], [7.0], flag=4, reason=ord("D"), raw=6.0, tests=12), soon())
    sink.send(rows([PH], [0], [7.5], revision=1), soon())
    [point] = influx.points("water")
    assert point.fields == {"value": 7.5, "raw": 7.5, "flag": 1, "reason": ord("N"), "origin": 0, "tests": 0, "revision": 1}
    sink.close()


@pytest.mark.server
def test_points_of_all_fields_and_both_kinds_of_numbers_stay_of_one_type(influx: InfluxDB1) -> None:
    sink = v1(influx.url)
    hour = Series("qinghe", "probe", "ph", statistic="mean", period_s=3600)
    for value in (7.0, 7.25, math.nan, 1e22):
        sink.send(rows([PH, hour], [0, 1], [value, value], span=[0, 3600 * 10**9], share=[math.nan, 1.0], revision=[1, 0]), soon())
    types = {row[0]: row[1] for series in influx.query("SHOW FIELD KEYS FROM water", "eco") for row in series["values"]}
    assert types == {"value": "float", "raw": "float", "share": "float", "flag": "integer", "reason": "integer", "end": "integer",
                     "tests": "integer", "origin": "integer", "revision": "integer"}
    sink.close()


@pytest.mark.server
def test_a_station_is_described_once_a_day_and_again_only_after_a_restart(influx: InfluxDB1) -> None:
    sink = v1(influx.url)
    for at in (T0, T0 + 10**9, T0 + DAY_NS):
        sink.send(some(1, at), soon())
    midnight = T0 // DAY_NS * DAY_NS
    points = influx.points("station")
    assert [p.at_ns for p in points] == [midnight, midnight + DAY_NS]
    assert points[0].tags == {"station": "qinghe"}
    assert points[0].fields == {"name": "清河断面", "area": "330106", "time_zone": "Asia/Shanghai", "latitude": 30.2741, "longitude": 120.1551}
    sink.close()


def test_a_station_point_that_is_refused_holds_no_reading_back(caplog: pytest.LogCaptureFixture) -> None:
    refuse = Answer(400, {"X-Influxdb-Version": "1.6.7"}, b'{"error":"field type conflict"}')
    with ScriptedServer(Answer(204), refuse, Answer(204)) as server, caplog.at_level(logging.WARNING):
        sink = v1(server.url)
        sink.send(some(), soon())
        sink.send(some(), soon())
        assert len(server.requests) == 3
        assert "measurement station are refused" in caplog.text
        sink.close()


@pytest.mark.parametrize(("headers", "seconds"), [
    ({"Retry-After": "7"}, 7), ({"Retry-After": "999999"}, 600), ({"Retry-After": "0"}, 0), ({}, None), ({"Retry-After": "soon"}, None),
    ({"Retry-After": "-5"}, None), ({"Retry-After": formatdate(1_000_030, usegmt=True), "Date": formatdate(1_000_000, usegmt=True)}, 30),
    ({"Retry-After": formatdate(1_000_030, usegmt=True), "Date": formatdate(1_000_090, usegmt=True)}, 0),
    ({"Retry-After": formatdate(4_000_000_000, usegmt=True)}, 600), ({"Retry-After": "9" * 400}, 600),
])
@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after_is_heard_in_both_forms_and_capped(status: int, headers: dict[str, str], seconds: float | None) -> None:
    with ScriptedServer(Answer(status, headers, b'{"error":"slow down"}')) as server:
        sink = v1(server.url)
        with pytest.raises(Unavailable, match=f"{status}: slow down") as said:
            sink.send(some(), soon())
        assert said.value.after_s == seconds
        sink.close()


def test_version_2_is_asked_as_its_api_wants_it_with_our_own_gzip() -> None:
    with ScriptedServer(Answer(204)) as server:
        sink = v2(server.url + "/influx")
        sink.send(some(), soon())
        request = server.requests[0]
        assert request.method == "POST"
        assert request.path == "/influx/api/v2/write?org=epb&bucket=stations&precision=ns"
        assert request.headers["authorization"] == f"Token {SECRETS['token']}"
        assert request.headers["content-encoding"] == "gzip"
        assert request.headers["content-type"] == "text/plain; charset=utf-8"
        assert request.headers["user-agent"] == "EcoSentry/0.1"
        assert zlib.decompress(request.body, 31).decode().splitlines()[0].startswith("water,device=probe,")
        assert server.connections == 1
        sink.close()


def test_version_2_checks_with_an_empty_write_that_2x_refuses_last_of_all() -> None:
    empty = Answer(400, {"X-Influxdb-Version": "v2.7.6"}, b'{"code":"invalid","message":"writing requires points"}')
    with ScriptedServer(empty) as server:
        sink = v2(server.url)
        assert "takes writes to bucket stations (InfluxDB v2.7.6)" in sink.check(soon())
        assert server.requests[0].body == b""
        sink.close()


def test_a_one_x_server_behind_version_2_options_is_named(tmp_path: Path) -> None:
    with ScriptedServer(Answer(404, body=b"404 page not found\n")) as server:
        sink = v2(server.url)
        with pytest.raises(Halted, match="write database instead of org and bucket"):
            sink.send(some(), soon())
        sink.close()


def test_a_missing_secret_halts_until_it_is_there() -> None:
    with ScriptedServer(Answer(204)) as server:
        sink = make("sinks", "influxdb", {"url": server.url, "org": "epb", "bucket": "b", "token": {"secret": "absent"}})
        with pytest.raises(Halted, match="no secret absent"):
            sink.send(some(), soon())
        assert not server.requests
        sink.close()


@pytest.mark.parametrize(("options", "words"), [
    ({"url": "influx:8086", "database": "e"}, "is not an address"), ({"url": "ftp://x", "database": "e"}, "is not an address"),
    ({"url": "http://a:b@x", "database": "e"}, "more than an address"), ({"url": "http://x"}, "either org and bucket"),
    ({"url": "http://x", "org": "o"}, "needs bucket"), ({"url": "http://x", "org": "o", "bucket": "b", "database": "d"}, "either"),
    ({"url": "http://x", "database": "d", "token": {"secret": "t"}}, "belong to 2.x"),
    ({"url": "http://x", "org": "o", "bucket": "b", "token": {"secret": "t"}}, "in the clear"),
    ({"url": "http://x", "database": "d", "user": "u", "password": {"secret": "t"}}, "in the clear"),
    ({"url": "http://x", "database": "d", "password": {"secret": "t"}}, "without a user"),
    ({"url": "http://x", "database": "d", "ca_file": "x"}, "needs https"),
    ({"url": "http://x", "database": "d", "password": "in the clear"}, "Secret"), ({"url": "http://x", "database": "d", "max_body": "1 kB"}, "10000"),
])
def test_options_that_cannot_work_are_refused_before_the_start(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Options.model_validate(options)


class TestTls:
    """The certificate is checked, and nothing is sent when it is wrong."""

    @pytest.mark.parametrize(("fault", "words"), [
        ("expired", "not trusted.*expired"), ("wrong host", "not trusted.*127.0.0.1"), ("wrong authority", "not trusted"),
        ("TLS 1.0", "does not speak TLS 1.2"), ("no TLS", "does not speak TLS 1.2"),
    ])
    def test_a_wrong_certificate_halts_and_nothing_is_sent(self, tmp_path: Path, fault: str, words: str) -> None:
        authority = Authority(tmp_path / "ca")
        other = Authority(tmp_path / "other", "Somebody else")
        tls = {"expired": lambda: authority.server(expired=True), "wrong host": lambda: authority.server("DNS:elsewhere.example.org"),
               "wrong authority": other.server, "TLS 1.0": lambda: authority.server(old=True), "no TLS": lambda: None}[fault]()
        greeting = b"" if tls else b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with ScriptedServer(tls=tls, greeting=greeting) as server:
            sink = v2(server.url.replace("http:", "https:"), ca_file=str(authority.file))
            with pytest.raises(Halted, match=words):
                sink.send(some(), soon(5))
            assert not server.requests
            sink.close()

    def test_the_right_certificate_is_taken_and_the_deadline_holds_over_tls_too(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        with ScriptedServer(Answer(204), Answer(204), Answer(200, body=b"x" * 500, drip_s=0.1), tls=authority.server()) as server:
            sink = v2(server.url, ca_file=str(authority.file))
            sink.send(some(), soon())
            assert len(server.requests) == 2
            began = time.monotonic()
            with pytest.raises(Unavailable, match="in time"):
                sink.send(some(), began + 1)
            assert 0.9 < time.monotonic() - began < 2
            sink.close()

    def test_a_handshake_that_never_ends_is_ended(self) -> None:
        with ScriptedServer(greeting=b"\x16\x03\x03") as server:
            sink = v2(server.url.replace("http:", "https:"))
            began = time.monotonic()
            with pytest.raises(Unavailable, match="in time"):
                sink.send(some(), began + 1)
            assert 0.9 < time.monotonic() - began < 2
            sink.close()


def test_the_official_client_is_not_loaded_whole() -> None:
    code = ("import sys; from gateway.sinks import influxdb; from gateway.sinks._write_service import Carrier, write_service;"
            "print(type(write_service(Carrier(None))).__name__, sorted(m for m in sys.modules if m.startswith('influxdb_client')));"
            "import influxdb_client; print(influxdb_client.InfluxDBClient.__name__)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out == ["WriteService []", "InfluxDBClient"]
