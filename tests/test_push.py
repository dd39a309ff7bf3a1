"""HTTP push: 200 means that the journal has it; whoever else comes is answered in words and bounded in time, bytes and number."""

import base64
import contextlib
import http.client
import io
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import servers
from daemon_inside import running
from killing import Drain, Life
from mqtt_devices import Journal, Notebook, RealClock, driver, packaged
from waiting import until
from witnesses import counters, journal_rows, wait_until

from config.errors import ConfigError
from config.reading_site import read_site_text
from drivers.codecs.json_path import ABSENT, JsonPath
from drivers.driver import Told
from drivers.lines import _push_server, _push_visit
from drivers.lines.http import Line, Options
from drivers.simulated.push_node import PushNode, airrohr
from gateway.building import load_site
from gateway.checking.check import prove
from gateway.checking.forecast import warnings
from gateway.checking.live_check import check_live
from gateway.plugins import KINDS

TOKEN = "0123456789abcdef-token"
Headers = Mapping[str, str]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Serving:
    """A line that is served in a thread of its own."""

    def __init__(self, drivers: Mapping[str, Told] | None = None, journal: Journal | None = None, **options: object) -> None:
        self.port = servers.free_port()
        table = {"listen": f"127.0.0.1:{self.port}", "token": {"secret": "token"}} | options
        self.line = Line("push", Options.model_validate(table), lambda name: TOKEN)
        self.drivers = drivers or {"air": driver(packaged("mqtt_json"), "yard/air", "air")}
        self.journal, self.notebook, self.stop = journal or Journal(), Notebook(), threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            self.line.run(self.drivers, self.journal, self.stop, RealClock(), self.notebook)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def __enter__(self) -> "Serving":
        self.thread.start()
        until(lambda: self.notebook.times("opened") >= 1)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive(), "the line did not end"

    def post(self, body: bytes, path: str = "/yard/air", headers: Headers = BEARER, method: str = "POST") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    @contextlib.contextmanager
    def raw(self, said: bytes = b"") -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), 5) as wire:
            wire.settimeout(10)
            wire.sendall(said)
            yield wire


def all_of(wire: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(OSError):
        while piece := wire.recv(4096):
            got += piece
    return got


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_200_is_said_after_the_commit_and_not_before() -> None:
    journal = Journal(releases=False)
    with Serving(journal=journal) as serving, serving.raw() as wire:
        body = b'{"pm10": 61}'
        wire.sendall(b"POST /yard/air HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: 12\r\n\r\n" + body)
        until(lambda: journal.values == [61])
        wire.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wire.recv(1)
        journal.commit()
        wire.settimeout(5)
        assert status(wire.recv(4096)) == 200


def test_a_journal_that_takes_nothing_is_no_200(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_push_visit, "_COMMIT_S", 0.3)
    monkeypatch.setattr(_push_server, "_MOST_OWED", 3)
    journal = Journal(releases=False)
    with Serving(journal=journal) as serving:
        told = [serving.post(b'{"pm10": 61}') for _ in range(5)]
        assert [code for code, _ in told] == [503] * 5
        assert "send it again" in told[0][1]
        assert len(journal.deliveries) == 3, "what waits for the journal is bounded"
        journal.releases = True
        journal.commit()
        until(lambda: serving.post(b'{"pm10": 62}')[0] == 200)


def test_one_connection_can_post_many_and_each_is_answered_in_order() -> None:
    with Serving() as serving:
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=5)
        with contextlib.closing(connection):
            for number in range(20):
                connection.request("POST", "/yard/air", json.dumps({"pm10": number}), dict(BEARER))
                answer = connection.getresponse()
                assert (answer.status, json.loads(answer.read())) == (200, {"ok": True})
        one = b"POST /yard/air HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 11\r\n\r\n" % TOKEN.encode() + b'{"pm10": 7}'
        with serving.raw(one * 3 + one.replace(b"Host", b"Connection: close\r\nHost")) as wire:
            assert all_of(wire).count(b"HTTP/1.1 200 OK") == 4
    assert serving.journal.values == [*map(float, range(20)), *[7.0] * 4]


@pytest.mark.parametrize(("headers", "code"), [
    (BEARER, 200), ({"Authorization": "Basic " + base64.b64encode(f"node:{TOKEN}".encode()).decode()}, 200), ({}, 401),
    ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": f"Bearer {TOKEN}x"}, 401), ({"Authorization": "Basic !"}, 401),
    ({"Authorization": "Bearer \u00e4"}, 401)])
def test_only_who_shows_the_token_is_heard(headers: Headers, code: int) -> None:
    with Serving() as serving:
        told = serving.post(b'{"pm10": 1}', headers=headers)
        assert told[0] == code
        assert TOKEN not in told[1]
    assert len(serving.journal.values) == (code == 200)
    assert serving.notebook.counts["unauthorised"] == (code == 401)


def test_a_token_of_any_letters_is_known_as_the_bytes_that_nodes_send(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "Schlüssel-für-den-Hof"
    monkeypatch.setitem(globals(), "TOKEN", token)
    with Serving(max_per_minute=10_000) as serving:
        head = b"POST /yard/air HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nAuthorization: "
        for shown, code in ((b"Bearer " + token.encode(), 200), (b"Basic " + base64.b64encode(b"node:" + token.encode()), 200),
                            (b"Bearer " + token.encode("latin-1"), 401)):
            with serving.raw(head + shown + b"\r\n\r\n" + b'{"pm10":7}') as wire:
                assert status(wire.recv(4096)) == code, shown
    assert serving.journal.values == [7, 7]


def test_a_token_can_be_changed_without_a_gap() -> None:
    options = Options.model_validate({"token": [{"secret": "new"}, {"secret": "old"}]})
    line = Line("push", options, {"new": "n" * 20, "old": "o" * 20}.__getitem__)
    heads = [_push_visit.Head("POST", "/", {"authorization": f"Bearer {word * 20}"}) for word in "nox"]
    assert [line._has_token(head) for head in heads] == [True, True, False]


@pytest.mark.parametrize(("body", "path", "method", "code", "words"), [
    (b'{"pm10": 1}', "/yard/air", "GET", 405, "only POST"), (b'{"pm10": 1}', "/nowhere", "POST", 404, "no device has this topic"),
    (b"{", "/yard/air", "POST", 400, "set aside"), (b"", "/yard/air", "POST", 400, "set aside"), (b"[]", "/yard/air", "POST", 400, "empty list"),
    (b"x" * 70_000, "/yard/air", "POST", 413, "64000 bytes"), (b'{"pm10": 1}', "/%FF", "POST", 400, "not UTF-8"),
    (b'{"pm10": 1}', "/a+b", "POST", 400, "cannot be a topic")])
def test_what_cannot_be_taken_is_answered_in_words(body: bytes, path: str, method: str, code: int, words: str) -> None:
    with Serving() as serving:
        told = serving.post(body, path, method=method)
        assert told[0] == code
        assert words in json.loads(told[1])["error"]
        assert serving.post(b'{"pm10": 5}', path="/yard/air?x=1")[0] == 200
    assert serving.journal.values == [5]
    assert [d.aside.payload for d in serving.journal.deliveries if d.aside] == ([body] if "set aside" in words or body == b"[]" else [])


@pytest.mark.parametrize(("head", "status"), [
    ("HEAD /yard/air HTTP/1.1\r\nHost: a", b"405"), ("HEAD / HTTP/1.1\r\nHost: a\r\nAuthorization: x", b"401")])
def test_head_is_answered_with_a_length_and_no_body(head: str, status: bytes) -> None:
    token = f"\r\nAuthorization: Bearer {TOKEN}" if status == b"405" else ""
    with Serving() as serving, serving.raw(f"{head}{token}\r\n\r\n".encode()) as wire:
        said = b"".join(iter(lambda: wire.recv(4096), b""))
    first, _, rest = said.partition(b"\r\n")
    assert status in first
    assert (b"allow: post" in rest.lower()) == (status == b"405")
    assert b"content-length: " in rest.lower()
    assert rest.partition(b"\r\n\r\n")[2] == b""


def test_what_is_said_before_the_body_spares_the_body() -> None:
    with Serving() as serving:
        head = b"POST /yard/air HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n"
        with serving.raw(head % (11, TOKEN.encode())) as wire:
            assert wire.recv(4096).startswith(b"HTTP/1.1 100")
            wire.sendall(b'{"pm10": 1}')
            assert status(wire.recv(4096)) == 200
        for said, code in ((head % (10**9, TOKEN.encode()), 413), (head % (11, b"no"), 401)):
            with serving.raw(said) as wire:
                assert status(all_of(wire)) == code
        chunked = b"POST /yard/air HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer %s\r\n\r\n" % TOKEN.encode()
        with serving.raw(chunked + b"ffff\r\n" + b"x" * 0xFFFF) as wire:
            assert status(all_of(wire)) == 413
        with serving.raw(chunked + b'b\r\n{"pm10": 2}\r\n0\r\n\r\n') as wire:
            assert status(wire.recv(4096)) == 200
    assert serving.journal.values == [1, 2]


@pytest.mark.parametrize("said", [
    b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"\0" * 100_000,
    b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"A" * 100_000,
    b"POST /yard/air HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer 0123456789abcdef-token\r\nContent-Length: 99999999999999999999\r\n\r\n",
    *(b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: " + scheme + b" \xe9\r\n\r\n" for scheme in (b"Basic", b"Bearer", b"\xe9"))])
def test_whatever_bytes_come_the_line_goes_on(said: bytes) -> None:
    with Serving() as serving:
        with contextlib.suppress(OSError), serving.raw(said) as wire:
            got = all_of(wire)
            assert not got or 400 <= status(got) < 500
        assert serving.post(b'{"pm10": 5}')[0] == 200
    assert serving.error is None
    assert serving.journal.values == [5]


def test_who_is_slow_is_let_go_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_push_visit, "_REQUEST_S", 0.5)
    with Serving(max_per_minute=10_000) as serving, contextlib.ExitStack() as stack:
        silent = stack.enter_context(serving.raw())
        head = stack.enter_context(serving.raw(b"POST /yard/air HTTP/1.1\r\nHo"))
        part = b"POST /yard/air HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 11\r\n\r\n" % TOKEN.encode()
        body = stack.enter_context(serving.raw(part))
        began = time.monotonic()
        for byte in b'{"p':  # a byte now and then does not buy more time
            body.sendall(bytes([byte]))
            assert serving.post(b'{"pm10": 5}')[0] == 200
            time.sleep(0.1)
        assert (status(all_of(head)), status(all_of(body)), all_of(silent)) == (408, 408, b"")
        assert time.monotonic() - began < 3
    assert serving.journal.values == [5, 5, 5]


def test_connections_are_bounded_in_all_and_of_one_address() -> None:
    with Serving(max_per_minute=10_000) as serving, contextlib.ExitStack() as stack:
        many = [stack.enter_context(serving.raw()) for _ in range(_push_server._MOST_A_PEER + 20)]
        until(lambda: serving.notebook.counts["busy"] == 20)
        assert all(status(all_of(wire)) == 503 for wire in many[-20:])
        for wire in many[:3]:
            wire.close()

        def is_taken() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return serving.post(b'{"pm10": 5}')[0] == 200
            return False

        until(is_taken)


def test_no_silent_connections_from_other_addresses_keep_out_a_node() -> None:
    with Serving(max_per_minute=10_000) as serving, contextlib.ExitStack() as stack:
        flood = [stack.enter_context(socket.create_connection(("127.0.0.1", serving.port), 5, (f"127.0.0.{2 + number % 5}", 0)))
                 for number in range(_push_server._MOST_VISITS)]
        with serving.raw(request(b'{"pm10": 7}')[:-1]) as slow:
            more = [stack.enter_context(socket.create_connection(("127.0.0.1", serving.port), 5, (f"127.0.0.{20 + number}", 0)))
                    for number in range(20)]
            assert serving.post(b'{"pm10": 5}')[0] == 200
            slow.sendall(b"}")
            assert status(slow.recv(4096)) == 200, "it had said something, and its address had fewer"
        assert serving.notebook.counts["busy"] == 22
        assert len(flood + more) == 84
    assert serving.journal.values == [5, 7]


def test_who_posts_too_often_is_told_to_come_later_and_a_wrong_token_costs_more() -> None:
    with Serving(max_per_minute=20) as serving:
        codes = [serving.post(b'{"pm10": 5}')[0] for _ in range(15)]
        assert codes.count(200) == 10
        assert set(codes[10:]) == {429}
    assert len(serving.journal.values) == 10
    with Serving(max_per_minute=20) as serving:
        assert [serving.post(b"", headers={})[0] for _ in range(3)] == [401, 429, 429], "guessing is slow"


def test_a_node_that_goes_away_before_its_answer_costs_nothing() -> None:
    journal = Journal(releases=False)
    with Serving(journal=journal) as serving:
        said = b"POST /yard/air HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 11\r\n\r\n" % TOKEN.encode() + b'{"pm10": 7}'
        with serving.raw(said):
            until(lambda: journal.values == [7])
        with serving.raw(said[:-5]):
            pass
        with serving.raw(said) as half:
            half.shutdown(socket.SHUT_WR)
            until(lambda: len(journal.values) == 2)
            turns = serving.notebook.turns
            time.sleep(0.5)
            assert serving.notebook.turns - turns < 10, "it waits, and does not spin"
            journal.commit()
            assert status(all_of(half)) == 200, "who only says no more still gets the answer"
        journal.releases = True
        assert serving.post(b'{"pm10": 8}')[0] == 200


def request(body: bytes, more: str = "") -> bytes:
    return f"POST /yard/air HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def cut_before(serving: Serving, journal: Journal) -> None:
    """The node is gone while its message waits for the journal."""
    with serving.raw(request(b'{"pm10": 7}')):
        until(lambda: journal.values == [7])
    journal.commit()


def cut_under(serving: Serving, journal: Journal) -> None:
    """The answer has reached the node's kernel and not the node."""
    with serving.raw(request(b'{"pm10": 7}')) as wire:
        until(lambda: journal.values == [7])
        journal.commit()
        assert wire.recv(1, socket.MSG_PEEK)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def told_again(serving: Serving, journal: Journal) -> None:
    """The journal was too slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_push_visit, "_COMMIT_S", 0.1)
        assert serving.post(b'{"pm10": 7}')[0] == 503
    journal.commit()


def stays_silent(serving: Serving, journal: Journal) -> None:
    """The first connection still waits when the node tries another."""
    serving.kept = serving.raw(request(b'{"pm10": 7}'))  # type: ignore[attr-defined]
    serving.kept.__enter__()  # type: ignore[attr-defined]
    until(lambda: journal.values == [7])


@pytest.mark.parametrize("loses", [cut_before, cut_under, told_again, stays_silent])
def test_a_body_whose_answer_cannot_have_arrived_is_known_again(loses: Callable[[Serving, Journal], None]) -> None:
    journal = Journal(releases=False)
    with Serving(journal=journal) as serving:
        loses(serving, journal)
        journal.releases = True
        for body in (b'{"pm10": 7}', b'{"pm10": 8}'):
            assert serving.post(body)[0] == 200
        receipts = [delivery.receipt for delivery in journal.deliveries if delivery.receipt is not None]
        assert [receipt.again for receipt in receipts] == [False, True, False]
        assert receipts[1].packet == receipts[0].packet != receipts[2].packet
        if loses is stays_silent:
            serving.kept.__exit__(None, None, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
def test_the_same_value_again_is_a_new_reading_when_its_node_has_had_our_answer(more: str) -> None:
    journal = Journal()
    with Serving(journal=journal) as serving, serving.raw() as kept:
        for _ in range(3):
            with serving.raw(request(b'{"pm10": 7}', more)) as wire:
                assert status(wire.recv(4096)) == 200
            kept.sendall(request(b'{"pm10": 7}'))
            assert status(kept.recv(4096)) == 200
    assert [delivery.receipt.again for delivery in journal.deliveries if delivery.receipt is not None] == [False] * 6


def test_an_answer_under_way_over_a_slow_radio_is_waited_for_before_it_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_push_visit, "_LEAVING_S", 0.05)
    monkeypatch.setattr(_push_server, "_SLICE_S", 0.02)
    under_way = [100]
    monkeypatch.setattr(_push_visit, "_on_its_way", lambda wire: under_way[0])
    journal = Journal()
    with Serving(journal=journal) as serving:
        for arrives in (True, False):
            monkeypatch.setattr(_push_visit, "_FAR_S", 10.0 if arrives else 0.1)
            with serving.raw(request(b'{"pm10": 7}', "Connection: close\r\n")) as wire:
                assert status(wire.recv(4096)) == 200
                time.sleep(0.2)
                under_way[0] = 0 if arrives else 100
                assert all_of(wire) == b""
                time.sleep(0.2)
            under_way[0] = 100
        under_way[0] = 0
        assert serving.post(b'{"pm10": 7}')[0] == 200
    assert journal.again == [False, False, True]


def test_a_reading_without_a_time_that_is_posted_again_is_journalled_once_and_counted(tmp_path: Path) -> None:
    port = servers.free_port()
    body = b'{"laeq": 54.5}'
    said = f"POST /yard/node HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with running(site(tmp_path, port)):
        until(lambda: can_connect(port))
        for linger in (1, 0, 0):
            with socket.create_connection(("127.0.0.1", port), 5) as wire:
                wire.settimeout(10)
                wire.sendall(said)
                assert status(wire.recv(4096, socket.MSG_PEEK)) == 200
                if linger:  # it is switched off before it has read the answer
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    wire.recv(4096)
    assert [raw for _, _, raw, _ in journal_rows(tmp_path, "node")] == [54.5, 54.5], "the second was the first again, the third is new"
    assert counters(tmp_path)["duplicate"] == 1


def can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_nodes_may_share_a_path_by_their_names() -> None:
    drivers = {"one": driver(packaged("sensor_community_sds011_bme280"), "data.php/esp8266-1", "one"),
               "two": driver(packaged("sensor_community_sds011_dht22"), "data.php/esp8266-2/1", "two"),
               "rest": driver(packaged("sensor_community_sds011_dht22"), "data.php", "rest")}
    with Serving(drivers) as serving:
        body = airrohr(1, {"SDS_P1": 12.3, "SDS_P2": 4.5, "temperature": 20, "BME280_pressure": 100613.25})
        for more in ({"X-Sensor": "esp8266-1"}, {"X-Sensor": "esp8266-2", "X-Pin": "1"}, {"X-Sensor": "esp8266-3"}):
            assert serving.post(body, "/data.php", {**BEARER, **more})[0] == 200
        assert serving.post(body, "/data.php", {**BEARER, "X-Sensor": "a/b"})[0] == 400
    got = [{series.quantity: float(value) for series, value in zip(batch.series, batch.raw, strict=True)}
           for delivery in serving.journal.deliveries for batch in delivery.batches]
    devices = [delivery.batches[0].series[0].device for delivery in serving.journal.deliveries]
    assert devices == ["one", "two", "rest"]
    assert got[0] == {"pm10": 12.3, "pm2_5": 4.5, "air_pressure": 1006.1325}
    assert got[1] == got[2] == {"pm10": 12.3, "pm2_5": 4.5, "air_temperature": 20.0}


def test_stopping_gives_those_who_wait_their_answer_if_it_comes_soon() -> None:
    journal = Journal(releases=False)
    said = b"POST /yard/air HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 11\r\n\r\n" % TOKEN.encode() + b'{"pm10": 7}'
    with Serving(journal=journal) as serving, serving.raw(said) as wire, serving.raw() as idle:
        until(lambda: journal.values == [7])
        serving.stop.set()
        assert all_of(idle) == b""
        journal.commit()
        assert status(all_of(wire)) == 200


def test_a_port_that_is_taken_is_said_and_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = Line("push", Options(listen=f"127.0.0.1:{taken.getsockname()[1]}"), str)
        notebook, stop = Notebook(), threading.Event()
        thread = threading.Thread(target=line.run, args=({}, Journal(), stop, RealClock(), notebook))
        thread.start()
        until(lambda: notebook.times("lost") >= 2)
        taken.close()
        until(lambda: notebook.times("opened") == 1)
        stop.set()
        thread.join(5)
    assert "in use by another program" in notebook.said[0][1]


@pytest.mark.parametrize(("table", "words"), [
    ({"listen": "0.0.0.0:8090"}, "would take what anyone posts"), ({"listen": "x:1"}, "not an address"), ({"max_body": "5 MB"}, "4000000"),
    ({"max_per_minute": 0}, "greater than"), ({"networks": "x"}, "write as in")])
def test_wrong_options_are_refused_in_words(table: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Options.model_validate(table)
    with pytest.raises(ValueError, match="too short for a token"):
        Line("push", Options.model_validate({"token": {"secret": "token"}}), lambda name: "short")


def test_the_check_refuses_two_listeners_at_one_address_and_warns_of_open_ones(tmp_path: Path) -> None:
    site = '[stations.a]\n[lines.one]\nkind = "http"\nlisten = "0.0.0.0:8090"\ntoken = { secret = "t" }\n[lines.two]\nkind = "tcp_server"\n'
    with pytest.raises(ConfigError, match="cannot be had twice"):
        read_site_text(site + 'listen = "127.0.0.1:8090"\nregistration = "x"\n', KINDS)
    (tmp_path / "site.toml").write_text(site + 'listen = "0.0.0.0:8899"\nregistration = "x"\n')
    said = "\n".join(warnings(load_site(tmp_path / "site.toml")))
    assert "lines.one: token and readings come to 0.0.0.0:8090 without TLS" in said
    assert "lines.two: 0.0.0.0:8899 takes modems from anywhere" in said


def test_a_path_leads_into_the_object_of_a_list_that_has_a_text() -> None:
    path = JsonPath.read("$.values[type=SDS_P1].value")
    assert path.find({"values": [{"type": "x", "value": 1}, {"type": "SDS_P1", "value": 2}]}) == 2
    for other in ({"values": []}, {"values": {"type": "SDS_P1"}}, {"values": [1, {"type": "SDS_P2"}]}, {"values": [{"type": "SDS_P1"}]}):
        assert path.find(other) is ABSENT
    for wrong in ("$.values[type=]", "$.values[=x]", "$.values[a=b"):
        with pytest.raises(ValueError, match="is not a path"):
            JsonPath.read(wrong)


SITE = """# site.toml
[stations.yard]
[lines.push]
kind = "http"
listen = "127.0.0.1:{port}"
token = {{ secret = "push-token" }}
max_per_minute = 60000
[devices]
node = {{ topic = "yard/node", profile = "mqtt_json", interval = "1 s" }}
[console]
enabled = false
"""


def site(folder: Path, port: int) -> Path:
    (folder / "secrets").mkdir()
    (folder / "secrets" / "push-token").write_text(TOKEN)
    (folder / "secrets" / "push-token").chmod(0o600)
    (folder / "site.toml").write_text(SITE.format(port=port), "utf-8")
    return folder / "site.toml"


def test_a_look_at_the_lines_hears_a_node_and_lets_it_send_again(tmp_path: Path) -> None:
    port, out = servers.free_port(), io.StringIO()
    file = load_site(site(tmp_path, port))
    with PushNode(port, "/yard/node", TOKEN) as node:
        node.start("pm10", lambda: 61.0, 0.1)
        assert check_live(file, prove(file), as_json=False, out=out, listen_s=10.0) == 0, out.getvalue()
    assert "pm10 61" in out.getvalue()
    assert 200 not in node.statuses
    assert 503 in node.statuses


@pytest.mark.crash
def test_what_was_answered_200_is_in_the_journal_once_also_when_the_gateway_is_killed(tmp_path: Path) -> None:
    """The node posts again what was not answered; the journal, read by SQLite alone, has every value of its ledger exactly once."""
    port, numbers = servers.free_port(), iter(range(10**6))
    path = site(tmp_path, port)
    with PushNode(port, "/yard/node", TOKEN) as node:
        node.start("laeq", lambda: 40 + next(numbers) % 5000 / 100, 0.005)
        for _ in range(2):  # the second life is careful: rows are on disk before their step
            life = Life(path, tmp_path / "log")
            life.until(b"p", 6)
            life.kill()
        life = Life(path, tmp_path / "log")
        with Drain(life):
            before = len(node.answered)
            wait_until(lambda: len(node.answered) > before + 20)
        node.close()
        assert life.end() == 0
    kept = [(at, raw) for _, at, raw, _ in journal_rows(tmp_path, "node")]
    assert len(node.answered) > 25
    assert not Counter(node.answered.items()) - Counter(kept), "answered 200 and not in the journal"
    assert max(Counter(kept).values()) == 1, "doubled"
    assert len(kept) - len(node.answered) <= 4, "only what was cut off before its answer may be more"
    found = counters(tmp_path)
    assert found["received"] == found["journalled"] + found["duplicate"] + found["undecodable"] + found["quarantined"] + found["held"]
