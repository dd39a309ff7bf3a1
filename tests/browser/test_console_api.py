"""What the console answers on the wire, over real sockets, without a browser."""

import asyncio
import contextlib
import gzip
import http.client
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from itertools import pairwise
from types import SimpleNamespace

import h11
import pytest
from canned_view import HOUR, CannedView, S, alert, realistic
from serving import Served

from gateway import strict_json
from gateway.console import asking, feed
from gateway.console.assets import assets, language, words
from gateway.console.patience import Patience
from gateway.console.server import ConsoleServer


def get(address: str, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(*address.removeprefix("http://").split(":"), timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers or "host" in headers, skip_accept_encoding=True)
        for name, text in headers.items():
            connection.putheader(name.replace("_", "-"), text)
        connection.endheaders()
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def parsed(address: str, path: str) -> dict:
    answer, body = get(address, path)
    assert answer.status == 200, body
    return json.loads(body)


class Streamed:
    """A listener at the stream."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=10)
        self.connection.request("GET", "/api/v0/stream")
        self.answer = self.connection.getresponse()

    def event(self) -> tuple[str, dict]:
        found: dict[str, str] = {}
        while line := self.answer.readline().decode().rstrip("\n"):
            key, _, text = line.partition(": ")
            found[key] = text
        return found["event"], json.loads(found["data"])

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@pytest.fixture
def view() -> CannedView:
    return realistic(now=time.time_ns())


@pytest.fixture(scope="module")
def standing() -> Iterator[Served]:
    """One console for all tests that only read."""
    served = Served(realistic(now=time.time_ns()))
    served.start()
    yield served
    served.stop()


@pytest.fixture
def address(standing) -> str:
    return standing.server.address


# ── the API says what the view says ───────────────────────────────────────────────────────────────────────────────────


def test_live_is_the_view_s_rows_with_times_that_javascript_can_hold(standing):
    address, view = standing.server.address, standing.view
    answer = parsed(address, "/api/v0/live")
    assert answer["format"] == 1
    assert abs(int(answer["now"]) - time.time_ns()) < 5 * S
    assert [{**row, "at": int(row["at"])} for row in answer["live"]] == view.live()
    assert all(isinstance(row["at"], str) for row in answer["live"])


def test_status_is_the_object_that_the_command_prints(standing):
    address, view = standing.server.address, standing.view
    assert parsed(address, "/api/v0/status") == view.status()


def test_alerts_come_with_their_history_and_no_more_than_asked_for(standing):
    address, view = standing.server.address, standing.view
    rows = parsed(address, "/api/v0/alerts")["alerts"]
    assert [row["id"] for row in rows] == [row["id"] for row in view.alerts(50)]
    assert [step["kind"] for step in rows[0]["history"]] == ["alert.raised", "alert.climbed"]
    assert rows[0]["since"] == str(view.alerts(1)[0]["since"])
    assert rows[0]["history"][0]["at"] == rows[0]["since"]
    assert rows[0]["until"] is None
    assert len(parsed(address, "/api/v0/alerts?most=1")["alerts"]) == 1


def test_a_chart_is_the_view_s_points_of_several_series_at_once(standing):
    address, view = standing.server.address, standing.view
    until, since = view.now(), view.now() - HOUR
    answer = parsed(address, f"/api/v0/chart?series=3,0&since={since}&until={until}&most=50")
    assert answer["columns"] == ["at", "value", "flag"]
    assert [chart["series"] for chart in answer["charts"]] == [3, 0]
    for chart in answer["charts"]:
        expected = [[str(p["at"]), p["value"], p["flag"]] for p in view.chart(chart["series"], since, until, 50)]
        assert chart["points"] == expected
        assert len(expected) > 20


def test_a_chart_takes_written_times_with_offset(address):
    answer = parsed(address, "/api/v0/chart?series=0&since=2026-11-21T08:00:00.5%2B08:00&until=2026-11-21T01:00:00Z")
    assert (answer["since"], answer["until"]) == ("1795219200500000000", "1795222800000000000")


def test_what_json_cannot_say_is_null_and_broken_names_stay_json():
    body = strict_json.encode({"value": float("nan"), "rows": [(1.5, float("-inf"))], "name": "a\udc80b"})
    assert json.loads(body) == {"value": None, "rows": [[1.5, None]], "name": "a\udc80b"}


def test_health_says_ok_or_why_not(serve, view):
    address = serve(view).server.address
    answer, body = get(address, "/healthz")
    assert (answer.status, body) == (200, b"ok\n")
    view.unwell = "journal: the disk is full"
    answer, body = get(address, "/healthz")
    assert (answer.status, body) == (503, b"journal: the disk is full\n")


def test_half_requests_keep_nobody_out_and_end_in_time(serve, view, monkeypatch):
    monkeypatch.setattr("gateway.console.patience.REQUEST_S", 0.8)
    address = serve(view).server.address
    host, _, port = address.removeprefix("http://").rpartition(":")
    said = (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
    began, gone = time.monotonic(), []
    with contextlib.ExitStack() as wires:
        for number in range(90):
            wire = wires.enter_context(socket.create_connection((host, int(port)), 5))
            wire.sendall(said[number % 3])
        assert get(address, "/healthz")[0].status == 200, "while they are there"
        while not gone and time.monotonic() < began + 5:  # each byte buys it nothing
            try:
                wire.sendall(b"x")
                time.sleep(0.05)
            except OSError:
                gone.append(time.monotonic() - began)
    assert gone
    assert gone[0] < 3
    assert get(address, "/healthz")[0].status == 200


def test_of_many_streams_from_elsewhere_the_oldest_gives_way_and_one_s_own_do_not():
    def one(peer: str, number: int, *, owes: bool) -> Patience:
        made = Patience.__new__(Patience)
        made.began_s, made.conn, made.client = float(number), SimpleNamespace(their_state=h11.IDLE if owes else h11.DONE), (peer, 1)
        made.transport = SimpleNamespace(abort=lambda: gone.append(made))
        made.connections = everyone
        everyone.add(made)
        return made

    everyone: set[Patience] = set()
    gone: list[Patience] = []
    streams = [one("10.0.0.9", number, owes=False) for number in range(60)]
    newcomer = one("10.0.0.1", 99, owes=True)
    newcomer._make_room()
    assert gone == [streams[0]]
    one("10.0.0.9", 100, owes=True)._make_room()
    assert gone[1:] == [newcomer], "who has asked nothing yet goes before a stream"
    one("10.0.0.9", 101, owes=False)._make_room()
    assert len(gone) == 3
    assert gone[2].owes


# ── what is not taken ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "words_in_it"),
    [
        ("chart", "is not an id"),
        ("chart?series=x", "'x' is not an id"),
        ("chart?series=1;2", "is not an id"),
        ("chart?series=-1", "is not an id"),
        ("chart?series=١", "is not an id"),
        ("chart?series=1,1", "twice"),
        ("chart?series=" + ",".join(map(str, range(65))), "more than 64"),
        ("chart?series=1&series=2", "series is given twice"),
        ("chart?series=1&sinec=5", "unknown parameter 'sinec'"),
        ("chart?series=1&most=1", "from 2 to 2000"),
        ("chart?series=1&most=2001", "from 2 to 2000"),
        ("chart?series=1&most=1e3", "not a whole number"),
        ("chart?series=1,2,3,4,5,6,7,8,9,10,11&most=2000", "are more than 20000"),
        ("chart?series=1&since=yesterday", "neither UTC nanoseconds"),
        ("chart?series=1&since=2026-11-21T08:00:00", "with offset"),
        ("chart?series=1&since=99999999999999999999", "neither"),
        ("chart?series=1&since=9223372036854775808", "neither"),
        ("chart?series=1&since=5&until=5", "not before"),
        ("alerts?most=0", "from 1 to 200"),
        ("alerts?most=", "from 1 to 200"),
        ("live?x=1", "unknown parameter 'x'; known here: none"),
        ("status?format=2", "unknown parameter"),
        ("stream?series=1", "takes no parameters"),
    ],
)
def test_a_wrong_question_gets_400_and_says_what_is_wrong(address, path, words_in_it):
    answer, body = get(address, "/api/v0/" + path.encode().decode("latin-1") if path.isascii() else "/api/v0/chart?series=%D9%A1")
    assert answer.status == 400
    assert words_in_it in json.loads(body)["error"]


def test_an_unknown_series_or_page_gets_404(address):
    for path in ("/api/v0/chart?series=999", "/api/v0/nothing", "/static/../server.py", "/static/%2e%2e/server.py", "/static/", "/en", "/index.html"):
        answer, body = get(address, path)
        assert answer.status == 404, path
        assert "error" in json.loads(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_nothing_but_get_is_answered(address, method):
    for path in ("/", "/api/v0/live", "/api/v0/stream", "/nothing"):
        answer, _ = get(address, path, method)
        assert answer.status == 405
        assert answer.getheader("allow") == "GET"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example", "192.168.1.5:8080", "[::2]:80", "", "0.0.0.0"]
)
def test_a_foreign_host_is_refused_so_that_no_page_can_rebind_its_name(address, host):
    for path in ("/", "/api/v0/live", "/healthz"):
        answer, body = get(address, path, Host=host)
        assert answer.status == 421
        assert "not a name of this console" in json.loads(body)["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9000", "localhost:8080", "LOCALHOST.", "[::1]:8080"])
def test_loopback_names_are_answered_on_any_port_because_a_tunnel_has_its_own(address, host):
    assert get(address, "/api/v0/live", Host=host)[0].status == 200


def test_a_wildcard_answers_to_addresses_but_to_no_name(serve, view, caplog):
    address = serve(view, "0.0.0.0:0").server.address
    assert address.startswith("http://127.0.0.1:")
    assert get(address, "/healthz", Host="192.168.1.5:8080")[0].status == 200
    assert get(address, "/healthz", Host="evil.example")[0].status == 421
    assert "whoever reaches that address can read it" in caplog.text


def test_the_page_of_another_site_cannot_use_the_api(address):
    assert get(address, "/api/v0/stream", Sec_Fetch_Site="cross-site")[0].status == 403
    assert get(address, "/api/v0/live", Sec_Fetch_Site="cross-site")[0].status == 403
    assert get(address, "/api/v0/live", Sec_Fetch_Site="same-origin")[0].status == 200
    assert get(address, "/", Sec_Fetch_Site="cross-site")[0].status == 200, "a link from a message may open the page"


def test_too_long_questions_are_refused_and_the_rest_goes_on(address):
    assert get(address, "/?" + "x" * 2001)[0].status == 414
    assert get(address, "/healthz", X_Long="x" * 17_000)[0].status == 431
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nX: ")
        try:
            for _ in range(200):
                endless.sendall(b"x" * 10_000)
                time.sleep(0.001)
        except OSError:
            pass
        else:
            pytest.fail("two megabytes of one header were taken")
    assert get(address, "/healthz")[0].status == 200


def test_every_answer_carries_the_security_headers_and_no_cookie(address):
    for path in ("/", "/static/main.js", "/messages/zh.json", "/api/v0/live", "/api/v0/nothing", "/api/v0/chart", "/healthz"):
        answer, _ = get(address, path)
        policy = answer.getheader("content-security-policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert answer.getheader("referrer-policy") == "no-referrer"
        assert answer.getheader("set-cookie") is None
        assert answer.getheader("server") is None
        assert answer.getheader("access-control-allow-origin") is None


# ── the page's files ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_are_packed_tagged_and_not_sent_twice(address):
    answer, body = get(address, "/static/main.js", Accept_Encoding="gzip")
    assert answer.getheader("content-encoding") == "gzip"
    plain_answer, text = get(address, "/static/main.js")
    assert gzip.decompress(body) == text == files("gateway.console").joinpath("static", "main.js").read_bytes()
    again, nothing = get(address, "/static/main.js", If_None_Match=plain_answer.getheader("etag"))
    assert (again.status, nothing) == (304, b"")


def test_the_page_holds_no_script_style_or_address_of_elsewhere():
    for path, asset in assets().items():
        text = asset.body.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), path
        if asset.kind.startswith("text/html"):
            assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), path


def test_the_whole_page_is_small_enough_for_a_thin_line():
    assert sum(len(asset.small) for path, asset in assets().items() if path not in ("/zh", "/messages/zh.json")) < 40_000


@pytest.mark.parametrize(
    ("asked", "accepted", "spoken"),
    [("zh", "en", "zh"), ("en", "zh-CN", "en"), ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("", "de,en;q=0.5,zh;q=0.4", "en"), ("", "", "en"),
     ("xx", "zh", "zh"), ("", "fr;q=x,zh", "zh"), ("../en", "fr", "en")],
)
def test_the_page_speaks_what_is_asked_for_or_preferred(address, asked, accepted, spoken):
    assert language(asked, accepted) == spoken
    answer, body = get(address, f"/?lang={asked}", Accept_Language=accepted)
    assert answer.getheader("content-language") == spoken
    assert f'<html lang="{spoken}">'.encode() in body


def test_both_languages_say_the_same_things_and_everything_the_page_asks_for():
    english, chinese = words("en"), words("zh")
    assert list(english) == list(chinese)
    for key in english:
        assert set(re.findall(r"{\w+}", english[key])) == set(re.findall(r"{\w+}", chinese[key])), key
    source = "".join(asset.body.decode() for path, asset in assets().items() if path.endswith(".js") or path == "/en")
    asked = set(re.findall(r'\bt\("(\w+)"', source)) | set(re.findall(r'data-say="(\w+)"', source))
    assert len(asked) > 40
    assert asked <= set(english)
    starts = set(re.findall(r"\bt\(`(\w+_)\$", source)) | {f"{key}_" for key in re.findall(r'counted\("(\w+)"', source)}
    assert all(any(key.startswith(start) for key in english) for start in starts)


# ── the stream ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_stream_tells_everything_first_then_only_what_changed(serve, view):
    address = serve(view).server.address
    stream = Streamed(address)
    kind, everything = stream.event()
    assert kind == "all"
    assert {row["series"] for row in everything["series"]} == {row["series"] for row in view.live()}
    assert everything["order"] == ["1121-3", "1121-2", "1120-1"]
    assert everything["status"]["conservation"]["holds"] is True
    at = view.now() + S
    with view.lock:
        view.rows["qinghe/ph/ph"] = {"value": 6.9, "flag": 3, "at": at}
    kind, change = stream.event()
    assert kind == "change"
    assert set(change) == {"now", "values"}
    assert change["values"] == [[0, str(at), 6.9, 3, "N", None]]
    with view.lock:
        view.alerts_now = [alert("1121-4", "qinghe/ph/ph", "red", at, 6.9, 7.0), *view.alerts_now[1:]]
    _, change = stream.event()
    assert [row["id"] for row in change["alerts"]] == ["1121-4"]
    assert change["order"] == ["1121-4", "1121-2", "1120-1"]
    with view.lock:
        view.names = view.names[:-1]
    _, change = stream.event()
    assert change["gone"] == [len(view.names)]
    stream.close()


def test_a_quiet_stream_still_gives_signs_of_life(serve, view, monkeypatch):
    address = serve(view).server.address
    monkeypatch.setattr(feed, "BEAT_S", 0.5)
    stream = Streamed(address)
    stream.event()
    kind, beat = stream.event()
    assert (kind, set(beat)) == ("beat", {"now"})
    stream.close()


def test_nothing_is_read_while_nobody_listens(serve, view):
    address = serve(view).server.address
    stream = Streamed(address)
    stream.event()
    stream.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        looks = view.looks
        time.sleep(2.2)
        if view.looks == looks:
            return
    pytest.fail("the view is still being read")


def test_listeners_are_bounded_and_a_place_is_free_again_when_one_leaves(serve, view):
    address = serve(view).server.address
    streams = [Streamed(address) for _ in range(feed.MOST_LISTENERS)]
    for stream in streams:
        assert stream.event()[0] == "all"
    answer, body = get(address, "/api/v0/stream")
    assert answer.status == 503
    assert "streams already" in json.loads(body)["error"]
    assert get(address, "/api/v0/live")[0].status == 200
    streams.pop().close()
    deadline = time.monotonic() + 5
    while (last := Streamed(address)).answer.status != 200 and time.monotonic() < deadline:
        last.close()
        time.sleep(0.05)
    assert last.event()[0] == "all"
    for stream in [*streams, last]:
        stream.close()


def test_a_listener_that_takes_nothing_is_let_go_and_delays_no_other(view, monkeypatch):
    async def play() -> tuple[list[bytes | None], list[str]]:
        asker = asking.Asking(view)
        one = feed.Feed(asker, "0.1.0")
        stuck, brisk = one.join(), one.join()
        running = asyncio.create_task(one.run())
        heard = []
        for turn in range(feed.MOST_WAITING + 3):
            with view.lock:
                view.rows["qinghe/ph/ph"] = {"value": float(turn)}
            heard.append(re.search(rb"event: (\w+)", await asyncio.wait_for(brisk.messages.get(), 5))[1].decode())
        running.cancel()
        asker.close()
        return [await stuck.messages.get()], heard

    monkeypatch.setattr(feed, "EVERY_S", 0.02)
    with ThreadPoolExecutor(1) as thread:  # the browser's own loop may run in this one
        left, heard = thread.submit(asyncio.run, play()).result()
    assert left == [None]
    assert heard == ["all"] + ["change"] * (feed.MOST_WAITING + 2)


# ── starting, stopping, failing ───────────────────────────────────────────────────────────────────────────────────────


def test_it_ends_within_a_second_with_open_streams_idle_and_half_sent_requests(serve, view):
    served = serve(view)
    host, port = served.server.address.removeprefix("http://").split(":")
    streams = [Streamed(served.server.address) for _ in range(3)]
    for stream in streams:
        stream.event()
    idle = socket.create_connection((host, int(port)))
    half = socket.create_connection((host, int(port)))
    half.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    deaf = socket.create_connection((host, int(port)))
    deaf.sendall(b"GET /api/v0/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    time.sleep(0.3)
    assert served.stop() < 1.0
    assert not served.errors
    assert not served.server.bound.is_set()
    for one in (idle, half, deaf):
        one.close()
    for stream in streams:
        while stream.answer.readline():
            pass
        stream.close()


def test_it_ends_within_a_second_while_the_view_hangs(serve, view):
    release = threading.Event()
    served = serve(view)
    view.live = lambda: release.wait(20) and []
    stream = Streamed(served.server.address)
    time.sleep(0.2)
    seconds = served.stop()
    release.set()
    stream.close()
    assert seconds < 1.0


def test_a_view_that_does_not_answer_in_time_is_a_503_and_not_a_hang(serve, view, monkeypatch):
    monkeypatch.setattr(asking, "WAIT_S", 0.2)
    release = threading.Event()
    view.alerts = lambda most: release.wait(20) and []
    address = serve(view).server.address
    answer, body = get(address, "/api/v0/alerts")
    release.set()
    assert answer.status == 503
    assert "did not answer in time" in json.loads(body)["error"]
    assert get(address, "/api/v0/live")[0].status == 200


def test_a_failing_view_ends_the_run_with_its_error_for_the_supervisor_and_it_can_run_again(serve, view):
    served = serve(view)
    address = served.server.address
    whole = view.live

    def broken() -> list:
        raise ValueError("the journal is torn")

    view.live = broken
    stream = Streamed(address)
    served.thread.join(5)
    stream.close()
    assert [str(error) for error in served.errors] == ["the journal is torn"]
    view.live = whole
    assert served.start() == address, "the same port, so that open pages find it again"
    assert get(address, "/api/v0/live")[0].status == 200


def test_a_taken_port_gives_the_next_one_and_says_so(serve, view, caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with caplog.at_level(logging.WARNING):
            address = serve(view, f"127.0.0.1:{port}").server.address
        assert re.fullmatch(rf"{port} is in use by \"[^\"]+\" \(pid \d+\); console at {address} instead", caplog.messages[0])
        assert port < int(address.rpartition(":")[2]) <= port + 20
        assert get(address, "/healthz")[0].status == 200


def test_no_free_port_is_an_error_that_names_them(view, monkeypatch):
    monkeypatch.setattr("gateway.console.port.TRIES", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"ports {port} to {port} of 127.0.0.1 are all in use"):
            ConsoleServer(view, f"127.0.0.1:{port}", "0.1.0").run(threading.Event())


def test_it_listens_on_ipv6_loopback_too(serve, view):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    address = serve(view, "[::1]:0").server.address
    assert address.startswith("http://[::1]:")
    with socket.create_connection(("::1", int(address.rpartition(":")[2]))) as wire:
        wire.sendall(f"GET /healthz HTTP/1.1\r\nHost: {address.removeprefix('http://')}\r\nConnection: close\r\n\r\n".encode())
        assert b"200 OK" in wire.makefile("rb").read()


def test_charts_are_in_time_order_and_bounded(standing):
    address, view = standing.server.address, standing.view
    points = parsed(address, f"/api/v0/chart?series=0&since={view.now() - 6 * HOUR}&most=300")["charts"][0]["points"]
    assert 2 <= len(points) <= 300
    assert all(int(a[0]) < int(b[0]) for a, b in pairwise(points))
