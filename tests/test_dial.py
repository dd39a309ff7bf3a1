"""One deadline holds over name, connection and bytes, and another thread can end the wait."""

import socket
import threading
import time

import pytest
from servers import Answer, ScriptedServer

from config.errors import Halted, Unavailable
from gateway.dial import Errand, Forbidden, dial, in_words
from gateway.exchange import LONGEST_ANSWER, Exchange


def errand(seconds: float) -> Errand:
    made = Errand()
    made.begin(time.monotonic() + seconds)
    return made


@pytest.fixture
def no_dns(monkeypatch: pytest.MonkeyPatch):
    """A resolver that answers nobody, as when the uplink is gone."""
    gone = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gone.wait(10) and [])
    yield
    gone.set()


@pytest.mark.usefixtures("no_dns")
def test_a_resolver_that_hangs_does_not_hold_us() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        dial("influx.example.org", 8086, errand(0.5))
    assert 0.4 < time.monotonic() - began < 1


@pytest.mark.usefixtures("no_dns")
def test_a_look_up_can_be_ended() -> None:
    work = errand(30)
    threading.Timer(0.3, work.end).start()
    began = time.monotonic()
    with pytest.raises(ConnectionAbortedError):
        dial("influx.example.org", 8086, work)
    assert time.monotonic() - began < 1


def test_a_name_that_is_not_known_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror) as said:
        dial("influx.example.org", 8086, errand(1))
    assert "cannot be looked up" in str(in_words(said.value, "influx.example.org:8086"))


def test_a_dead_address_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):  # a listener whose queue is full does not answer
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(full.getsockname())
        waiting.append(s)
    with ScriptedServer() as alive:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (full.getsockname(), ("127.0.0.1", alive.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with dial("two.example.org", 1, errand(2)) as connected:
            assert connected.getpeername()[1] == alive.port
    for s in (*waiting, full):
        s.close()


@pytest.mark.parametrize(("address", "near"), [
    ("127.0.0.1", True), ("::1", True), ("10.1.2.3", True), ("192.168.1.9", True), ("fe80::1", True), ("fd00::1", True), ("100.64.0.1", True),
    ("8.8.8.8", False), ("2606:4700::1111", False), ("::ffff:8.8.8.8", False),
])
def test_what_is_near_is_told_by_the_address_not_by_the_name(monkeypatch: pytest.MonkeyPatch, address: str, near: bool) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))])
    monkeypatch.setattr(socket.socket, "connect", lambda *_: (_ for _ in ()).throw(ConnectionRefusedError()))
    with pytest.raises(ConnectionRefusedError if near else Forbidden):
        dial("hook.example.org", 80, errand(1), near_only=True)


@pytest.mark.parametrize(("error", "kind", "words"), [
    (ConnectionRefusedError(), Unavailable, "is the server running"), (ConnectionResetError(), Unavailable, "in the middle"),
    (TimeoutError(), Unavailable, "in time"), (OSError(101, "Network is unreachable"), Unavailable, "no way to"),
    (Forbidden("no"), Halted, "no"), (BrokenPipeError(), Unavailable, "in the middle"), (OSError(5, "odd"), Unavailable, "odd"),
])
def test_every_failure_has_words(error: OSError, kind: type[Exception], words: str) -> None:
    said = in_words(error, "h:1")
    assert type(said) is kind
    assert words in str(said)


def test_an_endless_answer_is_read_up_to_a_bound() -> None:
    with ScriptedServer(Answer(400, {"Content-Length": str(50_000_000)}, b"x" * 3_000_000)) as server:
        exchange = Exchange("test")
        answer = exchange.request("POST", server.url, time.monotonic() + 5, b"")
        assert len(answer.body) == LONGEST_ANSWER
        assert len(answer.words) == 500
        exchange.close()


def test_the_connection_is_kept_and_a_lost_one_is_replaced() -> None:
    with ScriptedServer(Answer(204)) as server:
        exchange = Exchange("test")
        for _ in range(3):
            assert exchange.request("POST", server.url, time.monotonic() + 5, b"x").status == 204
        assert server.connections == 1
        server.stop()
        server.start()
        assert exchange.request("POST", server.url, time.monotonic() + 5, b"x").status == 204
        exchange.close()


def test_an_upload_that_nobody_reads_is_ended_in_time() -> None:
    with ScriptedServer(greeting=b"x") as server:
        exchange = Exchange("test")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="in time"):
            exchange.request("POST", server.url, began + 1, b"x" * 50_000_000)
        assert 0.9 < time.monotonic() - began < 2
        exchange.close()
