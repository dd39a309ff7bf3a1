"""What every sink promises, tried on every sink there is. A new sink adds its far sides to FAR."""

import csv
import math
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
import sparkplug_peer
from broker_listener import Broker
from far_sides import SECRETS, SINKS, make
from line_protocol import Line, parse, series_of
from rows import T0, rows
from servers import Answer, InfluxDB1, Request, ScriptedServer, VictoriaMetrics, http
from waiting import soon

from config.errors import Halted, Refused, Unavailable
from config.series import Series
from drivers.codecs.fleet_rows import read as read_fleet_rows
from gateway.contracts import Rows, Sink

PH = Series("qinghe", "probe", "ph")
PM = Series("qinghe", "station", "pm2_5")
Stored = set[tuple[Series, int, float | None]]


@dataclass(frozen=True)
class Far:
    """One way to make a sink, and what lies behind it."""

    kind: str
    options: Callable[[str], dict[str, object]]
    """From the address of the far side."""
    real: Callable[[Path], object]
    """A real server (context manager with url)."""
    stored: Callable[[object], Stored]
    """What that server holds, all of it."""
    refuse_air: Callable[[object], None] | None
    """Makes the real server refuse the medium air; None if it takes anything."""
    wire: str = "http"
    """What is spoken with it; empty = no wire."""


def influx1_stored(server: InfluxDB1) -> Stored:
    found: Stored = set()
    for name in set(server.measurements()) - {"station"}:
        for p in server.points(name):
            series, _ = series_of(Line(name, p.tags, {}, 0))
            found.add((series, p.at_ns // 10**6, p.fields.get("value")))  # type: ignore[arg-type]
    return found


def victoria_stored(server: VictoriaMetrics) -> Stored:
    found: Stored = set()
    for samples in server.export():
        measurement, _, field = samples.metric["__name__"].rpartition("_")
        if measurement == "station" or field not in ("value", "flag"):
            continue
        tags = {k: v for k, v in samples.metric.items() if k not in ("__name__", "db")}
        series, _ = series_of(Line("", tags, {}, 0))
        for at, value in zip(samples.at_ms, samples.values, strict=True):
            if field == "value" or value == 9:
                found.add((series, at, value if field == "value" else None))
    return found


def conflict(server: InfluxDB1) -> None:
    assert http(f"{server.url}/write?db=eco", b'air,station=other value="a text" %d' % T0)[0] == 204


class Disk:
    """A folder that can go away and come back, as a stick does."""

    def __init__(self, folder: Path) -> None:
        self._place = folder
        folder.mkdir()
        self.url = str(folder / "rows")

    def __enter__(self) -> "Disk":
        return self

    def __exit__(self, *_: object) -> None: ...

    def stop(self) -> None:
        self._place.rename(self._place.with_name("taken out"))

    def start(self) -> None:
        self._place.with_name("taken out").rename(self._place)


def csv_stored(disk: Disk) -> Stored:
    found: Stored = set()
    for path in Path(disk.url).glob("*/*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                series = Series(*(unquote(row[key]) for key in ("station", "device", "quantity", "channel")))
                at = round(datetime.fromisoformat(row["time"]).timestamp() * 1000)
                found.add((series, at, float(row["value"]) if row["value"] else None))
    return found


def lines_stored(disk: Disk) -> Stored:
    found: Stored = set()
    for path in Path(disk.url).glob("*/*.lp"):
        for line in map(parse, path.read_text("utf-8").splitlines()):
            found.add((series_of(line)[0], line.at_ns // 10**6, line.fields.get("value")))  # type: ignore[arg-type]
    return found


def published(broker: Broker) -> Stored:
    found: Stored = set()
    for row in broker.rows():
        series = Series(*(str(row[key]) for key in ("station", "device", "quantity", "channel")))
        at = round(datetime.fromisoformat(str(row["time"])).timestamp() * 1000)
        found.add((series, at, row["value"]))  # type: ignore[arg-type]
    return found


def handed_on(broker: Broker) -> Stored:
    """As the hub's driver would read them."""
    found: Stored = set()
    for message in broker.got():
        table = read_fleet_rows(message.payload)
        for which, at, span, value in zip(table.which, table.at, table.span, table.value, strict=True):
            found.add((Series(table.station, *table.series[which]), (at - span) // 10**6, value))
    return found


def birthed(broker: Broker) -> Stored:
    """As a host sees it: aliases by the births that came before, values of data messages."""
    found: Stored = set()
    names: dict[tuple[str, int], str] = {}
    for message in broker.got():
        _, _, verb, _, *device = message.topic.split("/")
        for metric in sparkplug_peer.parsed(message.payload).metrics:
            if verb == "DBIRTH":
                names[device[0], metric.alias] = metric.name
            elif verb == "DDATA":
                series = Series(*device[0].split(":"), names[device[0], metric.alias])
                found.add((series, metric.timestamp, None if metric.is_null else metric.double_value))
    return found


FAR = {
    "influxdb 1.x": Far("influxdb", lambda url: {"url": url, "database": "eco"}, lambda d: InfluxDB1(d), influx1_stored, conflict),
    "influxdb 2.x": Far("influxdb", lambda url: {"url": url, "org": "epb", "bucket": "stations", "token": {"secret": "token"}},
                        lambda d: VictoriaMetrics(d), victoria_stored, None),
    "files csv": Far("files", lambda url: {"folder": url}, Disk, csv_stored, None, ""),
    "files lines": Far("files", lambda url: {"folder": url, "format": "lines"}, Disk, lines_stored, None, ""),
    "files parquet": Far("files", lambda url: {"folder": url, "format": "parquet"}, Disk, csv_stored, None, ""),
    "mqtt": Far("mqtt", lambda url: {"url": url.replace("http:", "mqtt:")}, Broker, published, None, "mqtt"),
    "fleet": Far("fleet", lambda url: {"url": url.replace("http:", "mqtt:")}, Broker, handed_on, None, "mqtt"),
    "sparkplug": Far("sparkplug", lambda url: {"url": url.replace("http:", "mqtt:"), "group": "G", "node": "E"}, Broker, birthed, None, "mqtt"),
}
every = pytest.mark.parametrize("name", FAR)
http_only = pytest.mark.parametrize("name", [name for name, far in FAR.items() if far.wire == "http"])
wired = pytest.mark.parametrize("name", [name for name, far in FAR.items() if far.wire])


def test_every_sink_is_under_contract() -> None:
    assert {far.kind for far in FAR.values()} == SINKS


@contextmanager
def sink(name: str, url: str, **options: object) -> Iterator[Sink]:
    made = make("sinks", FAR[name].kind, FAR[name].options(url) | options)
    try:
        yield made
    finally:
        made.close()


def ten(seed: int = 0) -> Rows:
    """Ten rows: nine of water, one of them missing, and one of air."""
    values = [7.1, 7.2, math.nan, 35.4, 7.5, 7.6, 7.7, 7.8, 7.9, 8.0]
    order = range(seed * 10, seed * 10 + 10)
    return rows([PH, PM], [1 if i == 3 else 0 for i in range(10)], values, n=[i + 1 for i in order], at=[T0 + i * 10**9 for i in order])


def as_stored(sent: Rows) -> Stored:
    return {(sent.series[w], at // 10**6, None if math.isnan(v) else v)
            for w, at, v in zip(sent.which.tolist(), sent.at.tolist(), sent.value.tolist(), strict=True)}


def deliver(far: Sink, sent: Rows) -> list[tuple[Rows, str]]:
    """As the courier does: halve what is refused down to single rows; gives those, with the server's words."""
    try:
        far.send(sent, soon())
    except Refused as error:
        if len(sent) == 1:
            return [(sent, str(error))]
        half = len(sent) // 2
        return deliver(far, sent.pick(slice(None, half))) + deliver(far, sent.pick(slice(half, None)))
    return []


@pytest.mark.server
@every
def test_sending_twice_is_sending_once(name: str, tmp_path: Path) -> None:
    with FAR[name].real(tmp_path / "far") as server, sink(name, server.url) as far:
        for _ in range(2):
            far.send(ten(), soon())
        far.send(ten(1), soon())
        assert FAR[name].stored(server) == as_stored(ten()) | as_stored(ten(1))


@pytest.mark.server
@every
def test_check_says_that_it_would_be_taken_and_stores_nothing(name: str, tmp_path: Path) -> None:
    with FAR[name].real(tmp_path / "far") as server, sink(name, server.url) as far:
        assert "takes writes" in far.check(soon())
        assert FAR[name].stored(server) == set()


@pytest.mark.server
@pytest.mark.parametrize("name", [name for name, far in FAR.items() if far.refuse_air])
def test_nine_of_ten_are_stored_when_one_is_refused(name: str, tmp_path: Path) -> None:
    with FAR[name].real(tmp_path / "far") as server, sink(name, server.url) as far:
        refuse_air = FAR[name].refuse_air
        assert refuse_air is not None
        refuse_air(server)
        [(refused, words)] = deliver(far, ten())
        assert refused.series[refused.which[0]] == PM
        assert "field type conflict" in words
        assert {row for row in FAR[name].stored(server) if row[0].station == "qinghe"} == {r for r in as_stored(ten()) if r[0] == PH}


REFUSALS = {
    "2.x": ({"X-Influxdb-Version": "2.7"}, b'{"code":"invalid","message":"unable to parse it"}', "unable to parse it"),
    "3.x": ({}, b'{"error":"partial write of line protocol occurred","data":[{"original_line":"air","line_number":4,"error_message":"no"}]}',
            "partial write of line protocol occurred"),
}


@http_only
@pytest.mark.parametrize("generation", REFUSALS)
def test_one_refused_row_of_ten_is_found_by_halving(name: str, generation: str) -> None:
    headers, body, said = REFUSALS[generation]
    taken: set[str] = set()

    def answer(request: Request) -> Answer:
        text = unpacked(request)
        if "\nair," in "\n" + text:
            return Answer(400, {"Content-Type": "application/json", **headers}, body)
        taken.update(line for line in text.splitlines() if not line.startswith("station,"))
        return Answer(204)

    with ScriptedServer(by=answer) as server, sink(name, server.url) as far:
        [(refused, words)] = deliver(far, ten())
        assert (refused.n.tolist(), words) == ([4], said)
        assert {parse(line).at_ns for line in taken} == {T0 + i * 10**9 for i in range(10)} - {T0 + 3 * 10**9}


def unpacked(request: Request) -> str:
    return (zlib.decompress(request.body, 31) if request.headers.get("content-encoding") == "gzip" else request.body).decode()


@http_only
def test_down_is_unavailable_and_comes_back(name: str) -> None:
    server = ScriptedServer().start()
    with sink(name, server.url) as far:
        far.send(ten(), soon())
        server.stop()
        for _ in range(3):
            with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+ (refuses|closed)"):
                far.send(ten(), soon())
        server.start()
        far.send(ten(), soon())
        server.stop()


@pytest.mark.server
@every
def test_what_could_not_be_sent_is_taken_when_the_far_side_is_back(name: str, tmp_path: Path) -> None:
    with FAR[name].real(tmp_path / "far") as server, sink(name, server.url) as far:
        far.send(ten(), soon())
        server.stop()
        for _ in range(2):
            with pytest.raises(Unavailable):
                far.send(ten(1), soon())
        with pytest.raises(Unavailable):
            far.check(soon())
        server.start()
        far.send(ten(1), soon())
        assert FAR[name].stored(server) >= as_stored(ten(1))


SLOW = {
    "silent": Answer(delay_s=60), "a byte at a time": Answer(200, body=b"x" * 500, drip_s=0.1),
    "a header at a time": Answer(raw=b"HTTP/1.1 204 No Content\r\n" + b"X-Filler: 1\r\n" * 99, drip_s=0.05),
}


@wired
@pytest.mark.parametrize("how", SLOW)
def test_the_deadline_is_kept_however_slow_the_answer(name: str, how: str) -> None:
    with ScriptedServer(SLOW[how]) as server, sink(name, server.url) as far:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="in time"):
            far.send(ten(), began + 0.4)
        assert 0.35 < time.monotonic() - began < 1.9


@wired
def test_closing_ends_a_send_that_waits(name: str) -> None:
    with ScriptedServer(Answer(delay_s=60)) as server, sink(name, server.url) as far:
        said: list[BaseException] = []

        def send() -> None:
            try:
                far.send(ten(), soon(60))
            except Unavailable as error:
                said.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        end = soon(5)
        while not server.connections and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        began = time.monotonic()
        far.close()
        thread.join(5)
        assert not thread.is_alive()
        assert time.monotonic() - began < 1
        assert len(said) == 1


GARBAGE = {
    "random bytes": Answer(raw=bytes(range(256)) * 4),
    "nothing": Answer(cut=0),
    "half a status line": Answer(cut=7),
    "half an answer": Answer(400, {"Content-Type": "application/json"}, b'{"error":"half of what was', cut=70),
    "another protocol": Answer(raw=b"220 mail.example.org ESMTP\r\n"),
    "a page that says 200": Answer(200, {"Content-Type": "text/html"}, b"<html><title>Log in to this network</title></html>"),
    "a proxy that says 400": Answer(400, {"Content-Type": "text/html"}, b"<h1>400 Bad Request</h1><center>nginx</center>"),
    "a gateway that says 400 in JSON": Answer(400, {"Server": "kong"}, b'{"message":"no Route matched with those values"}'),
    "another API's error": Answer(400, {}, b'{"error":"Bad Request","status":400}'),
    "another API's data": Answer(400, {}, b'{"error":"Bad Request","data":[]}'),
    "another API's words": Answer(422, {}, b'{"code":400,"message":"no"}'),
    "201": Answer(201), "202": Answer(202), "500": Answer(500, body=b"\xff\xfe"), "502": Answer(502), "504": Answer(504), "599": Answer(599),
}


@http_only
@pytest.mark.parametrize("what", GARBAGE)
def test_an_answer_that_is_no_answer_keeps_everything(name: str, what: str) -> None:
    with ScriptedServer(GARBAGE[what]) as server, sink(name, server.url) as far:
        for _ in range(2):
            with pytest.raises(Unavailable):
                far.send(ten(), soon(5))


@wired
@pytest.mark.parametrize("said", [b"\x00" * 100, b"220 mail ESMTP\r\n\r\n", bytes(range(256)), b"\xff" * 5])
def test_garbage_instead_of_an_answer_keeps_everything(name: str, said: bytes) -> None:
    with ScriptedServer(greeting=said) as server, sink(name, server.url) as far, pytest.raises(Unavailable):
        far.send(ten(), soon(0.4))


@http_only
@pytest.mark.parametrize("status", [401, 403, 404, 301, 302, 307, 405])
def test_what_needs_a_human_halts_with_words_and_without_the_secret(name: str, status: int) -> None:
    told = Answer(status, {"Location": "http://127.0.0.1:1/elsewhere"}, b'{"message":"no"}')
    with ScriptedServer(told) as server, sink(name, server.url) as far:
        with pytest.raises(Halted) as halted:
            far.send(ten(), soon())
        with pytest.raises(Halted):
            far.check(soon())
        assert str(status) in str(halted.value) or "sends us on" in str(halted.value)
        assert not any(word in repr(halted.value) for word in SECRETS.values())
        assert len(server.requests) == 2, "a redirect was followed"
