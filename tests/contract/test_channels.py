"""What every channel promises, tried on every channel there is. A new channel adds its far side to FAR."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from far_sides import CHANNELS, SECRETS, make
from notices import NOTICE
from rows import T0
from servers import Answer, Mosquitto, ScriptedServer
from waiting import soon

from config.errors import Refused, Unavailable
from gateway.contracts import Channel, Notice


class Hook:
    def __init__(self) -> None:
        self._server = ScriptedServer(Answer(200, body=b"thanks"))

    def __enter__(self) -> "Hook":
        self.url = self._server.start().url + "/hooks/qinghe?key=1"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def got(self) -> list[dict[str, object]]:
        return [json.loads(r.body) for r in self._server.requests if r.method == "POST"]


class Broker:
    def __init__(self, folder: Path) -> None:
        self._server = Mosquitto(folder, users={"eco": SECRETS["password"]})
        self._heard: list[paho.MQTTMessage] = []

    def __enter__(self) -> "Broker":
        self._server.start()
        self.url = self._server.url
        self._listener = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._listener.username_pw_set("eco", SECRETS["password"])
        ready = threading.Event()
        self._listener.on_message = lambda _client, _data, message: self._heard.append(message)
        self._listener.on_subscribe = lambda *_: ready.set()
        self._listener.connect("127.0.0.1", self._server.port)
        self._listener.subscribe("ecosentry/#", 1)
        self._listener.loop_start()
        assert ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.disconnect()
        self._listener.loop_stop()
        self._server.stop()

    def got(self) -> list[dict[str, object]]:
        count = -1
        while count != len(self._heard):  # what the broker has acknowledged it hands on at once
            count = len(self._heard)
            time.sleep(0.1)
        return [json.loads(m.payload) for m in self._heard]


@dataclass(frozen=True)
class Far:
    options: Callable[[str], dict[str, object]]
    real: Callable[[Path], Hook | Broker]


FAR = {
    "webhook": Far(lambda url: {"url": url, "key": {"secret": "hook"}}, lambda d: Hook()),
    "mqtt": Far(lambda url: {"url": url.replace("http:", "mqtt:").partition("/hooks")[0], "user": "eco", "password": {"secret": "password"}},
                Broker),
}
every = pytest.mark.parametrize("kind", FAR)


def test_every_channel_is_under_contract() -> None:
    assert FAR.keys() == CHANNELS


@contextmanager
def channel(kind: str, url: str) -> Iterator[Channel]:
    made = make("channels", kind, FAR[kind].options(url))
    try:
        yield made
    finally:
        made.close()


@pytest.mark.server
@every
def test_what_is_told_arrives_and_twice_is_known_by_its_id(kind: str, tmp_path: Path) -> None:
    with FAR[kind].real(tmp_path / "far") as far, channel(kind, far.url) as c:
        c.tell(NOTICE, soon())
        c.tell(NOTICE, soon())
        one, two = far.got()
        assert one == two == {"id": NOTICE.id, "type": "alert.raised", "timestamp": "2026-09-21T14:13:20.000Z",
                              "subject": NOTICE.subject, "data": dict(NOTICE.data)}


@pytest.mark.server
@every
def test_check_logs_in_and_sends_nothing(kind: str, tmp_path: Path) -> None:
    with FAR[kind].real(tmp_path / "far") as far, channel(kind, far.url) as c:
        assert "127.0.0.1" in c.check(soon())
        assert far.got() == []


@every
def test_down_is_unavailable(kind: str) -> None:
    with ScriptedServer() as server:
        url = server.url
    with channel(kind, url) as c:
        for work in (lambda: c.tell(NOTICE, soon()), lambda: c.check(soon())):
            with pytest.raises(Unavailable, match="refuses the connection"):
                work()


@every
def test_the_deadline_is_kept_when_the_far_side_is_silent(kind: str) -> None:
    with ScriptedServer(Answer(delay_s=60)) as server, channel(kind, server.url) as c:
        for work in (c.check, lambda deadline: c.tell(NOTICE, deadline)):
            began = time.monotonic()
            with pytest.raises(Unavailable, match="in time"):
                work(began + 0.4)  # type: ignore[operator]
            assert 0.35 < time.monotonic() - began < 1.9


@every
@pytest.mark.parametrize("said", [b"\x00" * 100, b"220 mail ESMTP\r\n\r\n", bytes(range(256)), b"\xff" * 5])
def test_garbage_is_unavailable(kind: str, said: bytes) -> None:
    with ScriptedServer(greeting=said) as server, channel(kind, server.url) as c, pytest.raises(Unavailable):
        c.tell(NOTICE, soon(0.4))


@every
def test_a_far_side_that_hangs_up_is_unavailable(kind: str) -> None:
    with ScriptedServer(Answer(cut=0)) as server, ExitStack() as stack:
        c = stack.enter_context(channel(kind, server.url))
        killer = threading.Timer(0.5, server.stop)
        killer.start()
        with pytest.raises(Unavailable):
            c.tell(NOTICE, soon(5))
        killer.join()


@every
def test_closing_ends_what_waits(kind: str) -> None:
    with ScriptedServer(Answer(delay_s=60)) as server, channel(kind, server.url) as c:
        said: list[Exception] = []

        def tell() -> None:
            try:
                c.tell(NOTICE, soon(60))
            except Unavailable as error:
                said.append(error)

        thread = threading.Thread(target=tell)
        thread.start()
        end = soon(5)
        while not server.connections and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        began = time.monotonic()
        c.close()
        thread.join(5)
        assert not thread.is_alive()
        assert time.monotonic() - began < 1.5
        assert len(said) == 1


@every
def test_what_json_cannot_carry_is_refused(kind: str) -> None:
    with ScriptedServer() as server, channel(kind, server.url) as c:
        with pytest.raises(Refused, match="JSON"):
            c.tell(Notice("es_1", T0, "test", "x", {"what": object()}), soon(2))
        assert server.connections == 0
