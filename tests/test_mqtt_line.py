"""The MQTT line against a real broker: nothing is acknowledged before it is released, and nothing is lost or held up."""

import contextlib
import ipaddress
import json
import logging
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import servers
from mqtt_devices import Journal, Notebook, RealClock, Running, driver, packaged
from waiting import until

from config.series import Series
from drivers.driver import Heard, Told
from drivers.lines._topics import covers, sparse
from drivers.lines.mqtt import Line, Options, machine_client_id
from drivers.reading import Batch
from gateway.health import LineHealth
from gateway.listener import Listener

pytestmark = pytest.mark.server
PROTOCOLS = ("3.1.1", "5")


def line(broker: servers.Mosquitto, **options: object) -> Line:
    table = {"url": broker.url, "client_id": "under-test"} | options
    return Line("nodes", Options.model_validate(table), lambda name: f"secret {name}")


def node(topic: str = "yard/air") -> dict[str, Told]:
    return {"air": driver(packaged("mqtt_json"), topic, "air")}


class Publisher:
    """Publishes with paho, which is known; waits until the broker has everything."""

    def __init__(self, broker: servers.Mosquitto) -> None:
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="publisher")
        self.client.max_inflight_messages_set(1000)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def send(self, *values: float, topic: str = "yard/air", qos: int = 1) -> None:
        self.raw(*(json.dumps({"pm10": value}).encode() for value in values), topic=topic, qos=qos)

    def raw(self, *payloads: bytes, topic: str = "yard/air", qos: int = 1, retain: bool = False) -> None:
        for sent in [self.client.publish(topic, payload, qos, retain) for payload in payloads]:
            sent.wait_for_publish(10)

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def publisher(mosquitto: servers.Mosquitto) -> Iterator[Publisher]:
    with Publisher(mosquitto) as one:
        yield one


@pytest.fixture(autouse=True)
def _short_farewell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one test is about how long receipts are waited for."""
    if "stopping" not in request.node.name:
        monkeypatch.setattr("drivers.lines._mqtt_connection._LEAVING_S", 0.1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_heard_is_delivered_once_and_acknowledged(mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str) -> None:
    journal = Journal()
    with Running(line(mosquitto, protocol=protocol), node(), journal) as running:
        publisher.send(*range(100))
        until(lambda: len(journal.values) == 100)
    assert journal.values == list(range(100))
    assert running.notebook.counts["answered air"] == 100
    later = Journal()
    with Running(line(mosquitto, protocol=protocol), node(), later):
        publisher.send(300)
        until(lambda: 300 in later.values)
    assert later.values == [300], "something came again although it was acknowledged"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_was_not_released_comes_again_marked(mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str) -> None:
    first = Journal(releases=False)
    with Running(line(mosquitto, protocol=protocol), node(), first):
        publisher.send(*range(50))
        until(lambda: len(first.values) == 50)
        assert first.again == [False] * 50
    second = Journal()
    with Running(line(mosquitto, protocol=protocol), node(), second):
        until(lambda: len(second.values) == 50)
        publisher.send(50)
        until(lambda: len(second.values) == 51)
    assert second.values == list(range(51))
    assert second.again == [True] * 50 + [False]
    numbers = [[(d.receipt.packet, d.receipt.digest) for d in journal.deliveries if d.receipt] for journal in (first, second)]
    assert numbers[0] == numbers[1][:50]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_what_was_released_is_gone_from_the_broker(mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str) -> None:
    first = Journal(releases=False)
    with Running(line(mosquitto, protocol=protocol), node(), first):
        publisher.send(*range(20))
        until(lambda: len(first.values) == 20)
        for delivery in first.deliveries[::2]:
            assert delivery.receipt
            delivery.receipt.release()
    second = Journal()
    with Running(line(mosquitto, protocol=protocol), node(), second):
        until(lambda: len(second.values) == 10)
    assert second.values == list(range(1, 20, 2))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_was_published_while_we_were_away_waits(mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str) -> None:
    with Running(line(mosquitto, protocol=protocol), node(), Journal()):
        pass
    publisher.send(*range(100))
    journal = Journal()
    with Running(line(mosquitto, protocol=protocol), node(), journal):
        until(lambda: len(journal.values) == 100)
    assert journal.values == list(range(100))
    assert journal.again == [False] * 100


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_receipt_of_a_dead_connection_acknowledges_nothing_on_the_next(
    mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str,
) -> None:
    """Packet numbers are used again: acknowledging by an old one could drop another message."""
    journal = Journal(releases=False)
    with Running(line(mosquitto, protocol=protocol), node(), journal) as running:
        publisher.send(*range(5))
        until(lambda: len(journal.values) == 5)
        old = [d.receipt for d in journal.deliveries if d.receipt]
        mosquitto.stop()
        mosquitto.start()
        running.up(2)
        until(lambda: len(journal.values) == 10)
        for receipt in old:
            receipt.release()
        time.sleep(0.5)
    third = Journal()
    with Running(line(mosquitto, protocol=protocol), node(), third):
        until(lambda: len(third.values) == 5)
    assert third.values == list(range(5))


def test_a_broker_that_dies_and_returns_costs_nothing_and_others_words_say_so(mosquitto: servers.Mosquitto) -> None:
    journal, notebook = Journal(), Notebook()
    with Running(line(mosquitto), node(), journal, notebook) as running:
        with Publisher(mosquitto) as publisher:
            publisher.send(1)
        until(lambda: journal.values == [1])
        mosquitto.stop()
        until(lambda: notebook.times("lost") >= 2)
        mosquitto.start()
        running.up(2)
        with Publisher(mosquitto) as publisher:
            publisher.send(2)
        until(lambda: 2 in journal.values)
    assert ("lost", "the broker closed the connection") in notebook.said or ("lost", "the connection broke off") in notebook.said
    assert any(kind == "lost" and "ECONNREFUSED" in words for kind, words, *_ in notebook.said)
    assert notebook.counts["session"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_clients_with_one_client_id_ask_whether_there_is_another(
    mosquitto: servers.Mosquitto, monkeypatch: pytest.MonkeyPatch, protocol: str,
) -> None:
    monkeypatch.setattr("drivers.lines.mqtt._FIRST_PAUSE_S", 0.05)
    notebook = Notebook()
    with Running(line(mosquitto, protocol=protocol), node(), Journal(), notebook):
        other = Running(line(mosquitto, protocol=protocol), node(), Journal(), notebook)
        asked = "is there another client with our client_id, under-test?"
        until(lambda: any(words.endswith(asked) for kind, words, *_ in notebook.said if kind == "lost"))
        other.end()
    first = [words for kind, words, *_ in notebook.said if kind == "lost"][:2]
    assert not any(asked in words for words in first), "once is an accident"


def test_a_session_that_the_broker_forgot_is_counted(mosquitto: servers.Mosquitto) -> None:
    notebook = Notebook()
    with Running(line(mosquitto), node(), Journal(), notebook) as running:
        mosquitto.stop()
        (mosquitto.folder / "mosquitto.db").unlink()
        mosquitto.start()
        running.up(2)
    assert notebook.counts["session"] == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_more_is_read_while_the_whole_window_waits_for_the_journal(
    mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str,
) -> None:
    journal = Journal(releases=False)
    with Running(line(mosquitto, protocol=protocol, max_in_flight=7), node(), journal) as running:
        publisher.send(*range(100))
        until(lambda: len(journal.values) == 7)
        time.sleep(0.5)
        assert len(journal.values) == 7
        journal.releases = True
        journal.commit()
        until(lambda: len(journal.values) == 100)
    assert journal.values == list(range(100))
    assert running.error is None


def test_reconnecting_does_not_get_around_the_window(mosquitto: servers.Mosquitto) -> None:
    """A journal that takes nothing for long must not be handed the same messages again and again."""
    journal = Journal(releases=False)
    with Running(line(mosquitto, max_in_flight=5), node(), journal) as running:
        with Publisher(mosquitto) as publisher:
            publisher.send(*range(10))
        until(lambda: len(journal.values) == 5)
        mosquitto.stop()
        mosquitto.start()
        time.sleep(1.5)
        assert len(journal.values) == 5
        assert running.notebook.times("opened") == 1
        journal.commit()
        until(lambda: len(journal.values) == 10)
        assert journal.values == [*range(5), *range(5)]
        journal.releases = True
        journal.commit()
        until(lambda: journal.values[-1] == 9)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_qos_0_that_finds_no_room_is_dropped_and_counted(mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str) -> None:
    journal, notebook = Journal(full=True), Notebook()
    with Running(line(mosquitto, protocol=protocol), node(), journal, notebook):
        publisher.send(*range(30), qos=0)
        publisher.send(99, qos=1)
        until(lambda: journal.values == [99])
        assert notebook.counts["dropped"] == 30


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_messages_that_nobody_can_read_are_set_aside_and_do_not_come_again(
    mosquitto: servers.Mosquitto, publisher: Publisher, protocol: str,
) -> None:
    journal, notebook = Journal(), Notebook()
    hostile = [b"", b"{", b"\xff", b"[" * 100_000, b'{"pm10": NaN}', b"\x00" * 5000, b'{"pm10":1,"pm10":2}']
    with Running(line(mosquitto, protocol=protocol), node("yard/#"), journal, notebook):
        publisher.raw(*hostile)
        publisher.raw(b"x" * 10_000_000)
        publisher.send(5)
        until(lambda: journal.values == [5])
    asides = [d.aside for d in journal.deliveries if d.aside]
    assert [a.payload for a in asides] == [p[:4096] for p in [*hostile, b"x" * 4096]]
    assert all(a.why for a in asides)
    assert "longer than max_payload" in asides[-1].why
    assert (notebook.counts["too big"], notebook.times("failed")) == (1, len(hostile))
    later = Journal()
    with Running(line(mosquitto, protocol=protocol), node("yard/#"), later):
        publisher.send(6)
        until(lambda: bool(later.deliveries))
    assert later.values == [6]


def test_a_topic_that_no_device_wants_is_set_aside(mosquitto: servers.Mosquitto, publisher: Publisher) -> None:
    journal, notebook = Journal(), Notebook()
    drivers = {"noise": driver(packaged("mqtt_plain"), "yard/{channel}/{quantity}")}
    with Running(line(mosquitto), drivers, journal, notebook):
        publisher.raw(b"50", topic="yard/in the corner/laeq")
        publisher.raw(b"50", topic="yard/corner/laeq")
        until(lambda: journal.values == [50])
    assert [d.aside.why for d in journal.deliveries if d.aside] == ["no device wants this topic"]
    assert notebook.counts["unwanted"] == 1


def test_one_message_for_two_devices_is_one_delivery(mosquitto: servers.Mosquitto, publisher: Publisher) -> None:
    """Brokers may send a message once for each filter that takes it; filters that cover others are enough."""
    journal = Journal()
    drivers = {"one": driver(packaged("mqtt_json"), "yard/air", "one"), "two": driver(packaged("mqtt_json"), "yard/#", "two"),
               "other": driver(packaged("mqtt_json"), "field/air", "other")}
    with Running(line(mosquitto), drivers, journal):
        publisher.send(1)
        publisher.send(2, topic="field/air")
        until(lambda: len(journal.deliveries) == 2)
        time.sleep(0.2)
    assert [[b.series[0].device for b in d.batches] for d in journal.deliveries] == [["one", "two"], ["other"]]


def test_an_old_kept_message_is_no_reading(mosquitto: servers.Mosquitto, publisher: Publisher) -> None:
    publisher.raw(b'{"pm10": 1}', retain=True)
    journal, notebook = Journal(), Notebook()
    with Running(line(mosquitto), node(), journal, notebook):
        publisher.send(2)
        until(lambda: journal.values == [2])
    assert notebook.counts["retained"] == 1


class Broken:
    """A driver with a bug."""

    topics = ("yard/#",)

    def __init__(self) -> None:
        self.heard = 0

    def wants(self, heard: Heard) -> bool:
        return True

    def hear(self, heard: Heard) -> Iterable[Batch]:
        self.heard += 1
        if heard.payload == b"poison":
            raise ZeroDivisionError("a bug")
        return ()

    def expected(self) -> tuple[tuple[Series, float], ...]:
        return ()


def test_a_message_on_which_a_driver_fails_stops_the_line_once_and_is_then_set_aside(
    mosquitto: servers.Mosquitto, publisher: Publisher,
) -> None:
    journal, drivers, one = Journal(), {"broken": Broken()}, line(mosquitto)
    first = Running(one, drivers, journal).up()  # type: ignore[arg-type]
    publisher.raw(b"poison")
    first.thread.join(5)
    assert isinstance(first.error, ZeroDivisionError), "a bug is the supervisor's to hear of"
    with Running(one, drivers, journal):  # type: ignore[arg-type]
        until(lambda: bool(journal.deliveries))
    assert [d.aside.why for d in journal.deliveries if d.aside] == ["broken: its driver failed on this message"]
    assert drivers["broken"].heard == 1


def test_stopping_waits_for_receipts_that_the_journal_still_gives_but_not_for_ever(
    mosquitto: servers.Mosquitto, publisher: Publisher,
) -> None:
    journal = Journal(releases=False)
    running = Running(line(mosquitto), node(), journal).up()
    publisher.send(*range(10))
    until(lambda: len(journal.values) == 10)
    threading.Timer(0.5, journal.commit).start()
    assert 0.4 < running.end() < 1.5
    later = Journal(releases=False)
    running = Running(line(mosquitto), node(), later).up()
    publisher.send(10)
    until(lambda: len(later.values) == 1)
    assert later.values == [10], "released while stopping, so acknowledged"
    assert 1.4 < running.end() < 3


def test_a_stop_while_nothing_answers_is_quick() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        for scheme, port in (("mqtt", deaf.getsockname()[1]), ("mqtt", servers.free_port()), ("mqtts", deaf.getsockname()[1])):
            one = Line("nodes", Options(url=f"{scheme}://127.0.0.1:{port}"), str)
            running = Running(one, node(), Journal())
            time.sleep(0.3)
            assert running.end() < 1, "also in the middle of TLS"


def test_a_broker_that_does_not_go_on_with_tls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.lines.mqtt._TLS_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        notebook = Notebook()
        running = Running(Line("nodes", Options(url=f"mqtts://127.0.0.1:{deaf.getsockname()[1]}"), str), node(), Journal(), notebook)
        until(lambda: notebook.times("lost") > 0)
        running.end()
    assert "does not go on with TLS" in notebook.said[0][1]


def test_a_broker_that_takes_the_connection_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.lines._mqtt_connection._GREETING_S", 0.3)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(5)
        notebook = Notebook()
        running = Running(Line("nodes", Options(url=f"mqtt://127.0.0.1:{deaf.getsockname()[1]}"), str), node(), Journal(), notebook)
        until(lambda: notebook.times("lost") > 0)
        running.end()
    assert "has not answered" in notebook.said[0][1]


def test_a_wrong_password_is_said_and_the_right_one_works(tmp_path: Path) -> None:
    with servers.Mosquitto(tmp_path, users={"site": "secret right"}) as broker:
        for protocol in PROTOCOLS:
            notebook = Notebook()
            running = Running(line(broker, user="site", password={"secret": "wrong"}, protocol=protocol), node(), Journal(), notebook)
            until(lambda: notebook.times("lost") > 0)  # noqa: B023 - used at once
            running.end()
            assert "the broker refuses us" in notebook.said[0][1]
            with Running(line(broker, user="site", password={"secret": "right"}, protocol=protocol), node(), Journal()):
                pass


def test_a_visitor_hears_live_messages_and_takes_none_away(mosquitto: servers.Mosquitto, publisher: Publisher) -> None:
    one = line(mosquitto)
    with Running(one, node(), Journal()):
        pass
    publisher.send(1)
    seen = Journal()
    with Running(one.visitor(), node(), seen):  # type: ignore[arg-type]
        publisher.send(2)
        until(lambda: seen.values == [2])
    journal = Journal()
    with Running(one, node(), journal):
        until(lambda: len(journal.values) == 2)
    assert journal.values == [1, 2]


def test_tls_is_checked_against_the_given_certificate(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    more = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/ca.pem\nkeyfile {tmp_path}/key.pem"
    with servers.Mosquitto(tmp_path / "broker", more=more) as broker:
        secure = {"url": f"mqtts://127.0.0.1:{broker.port}"}
        journal = Journal()
        with Running(line(broker, **secure, ca_file=str(tmp_path / "ca.pem")), node(), journal):
            other = paho.Client(paho.CallbackAPIVersion.VERSION2)
            other.tls_set(str(tmp_path / "ca.pem"))
            other.connect("127.0.0.1", broker.port)
            other.loop_start()
            for value in range(200):
                other.publish("yard/air", json.dumps({"pm10": value, "note": "x" * 2000}), 1)
            until(lambda: len(journal.values) == 200)
            other.disconnect()
            other.loop_stop()
        notebook = Notebook()
        running = Running(line(broker, **secure), node(), Journal(), notebook)
        until(lambda: notebook.times("lost") > 0)
        running.end()
        assert "certificate verify failed" in notebook.said[0][1].lower()


def make_authority(folder: Path) -> None:
    """An authority (ca), and certificates by it for the broker (broker) and for us (client)."""
    openssl = servers.need("openssl")

    def run(*words: object) -> None:
        subprocess.run([openssl, *map(str, words)], check=True, capture_output=True, cwd=folder)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    for name, subject in (("broker", "/CN=127.0.0.1"), ("client", "/CN=gateway")):
        (folder / "more").write_text("subjectAltName=IP:127.0.0.1")
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2, "-extfile", "more",
            "-out", f"{name}.pem")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_broker_that_knows_its_clients_by_certificates_is_shown_ours(tmp_path: Path, protocol: str) -> None:
    make_authority(tmp_path)
    more = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/broker.pem\nkeyfile {tmp_path}/broker.key\nrequire_certificate true"
    with servers.Mosquitto(tmp_path / "mosquitto", more=f"{more}\nuse_identity_as_username true") as broker:
        table = {"url": f"mqtts://127.0.0.1:{broker.port}", "ca_file": str(tmp_path / "ca.pem"), "client_id": "under-test", "protocol": protocol}
        ours = {"cert_file": str(tmp_path / "client.pem"), "key": {"secret": "client"}}

        def made(secret: str, **keys: object) -> Line:
            return Line("nodes", Options.model_validate(table | keys), lambda name: (tmp_path / f"{secret}.key").read_text().strip())

        with Running(made("client", **ours), node(), Journal()):
            pass
        notebook = Notebook()
        running = Running(made("client"), node(), Journal(), notebook)
        until(lambda: notebook.times("lost") > 0)
        running.end()
        assert "does it want a certificate?" in notebook.said[0][1] or "certificate required" in notebook.said[0][1].lower()
        with pytest.raises(ValueError, match="fits no private key"):
            made("broker", **ours)
        with pytest.raises(ValueError, match="key cannot be used"):
            Line("nodes", Options.model_validate(table | ours), lambda name: "no key")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_broker_says_whether_we_are_there_also_when_we_cannot(
    mosquitto: servers.Mosquitto, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, protocol: str,
) -> None:
    """Last will: seen by another client, after a farewell and after a connection that ended without one."""
    heard: list[str] = []
    publisher.client.on_message = lambda client, _, message: heard.append(message.payload.decode())
    publisher.client.subscribe("state/gateway", 1)
    one, journal, notebook = line(mosquitto, protocol=protocol, state_topic="state/gateway"), Journal(), Notebook()
    with Running(one, node("#"), journal, notebook):
        until(lambda: heard == ["online"])
        publisher.send(5)
        until(lambda: journal.values == [5])
        with Running(one.visitor(), node(), Journal()):  # type: ignore[arg-type]
            pass
    until(lambda: heard == ["online", "offline"])
    monkeypatch.setattr("drivers.lines._mqtt_connection.Connection._leave", lambda *_: None)
    with Running(one, node(), Journal()):
        until(lambda: heard[2:] == ["online"])
    until(lambda: heard[2:] == ["online", "offline"])
    assert notebook.counts["unwanted"] == 0, "our own voice is no message"
    assert [d.aside for d in journal.deliveries if d.aside] == []


@pytest.mark.parametrize(("protocol", "sent"), [("5", 7), ("3.1.1", 50)])
def test_with_mqtt_5_the_broker_sends_no_more_than_we_can_owe(tmp_path: Path, protocol: str, sent: int) -> None:
    """Receive maximum, as the broker's own log tells; 3.1.1 knows no such word, and there we stop reading."""
    with servers.Mosquitto(tmp_path, more="log_type all\nlog_dest stderr") as broker, Publisher(broker) as publisher:
        journal = Journal(releases=False)
        with Running(line(broker, protocol=protocol, max_in_flight=7), node(), journal):
            publisher.send(*range(50))
            until(lambda: len(journal.values) == 7)
            until(lambda: broker.log.count("Sending PUBLISH to under-test") >= sent)
            time.sleep(0.2)
            assert broker.log.count("Sending PUBLISH to under-test") == sent
            journal.releases = True
            journal.commit()
            until(lambda: len(journal.values) == 50)


def make_certificate(folder: Path) -> None:
    subprocess.run([servers.need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "ca.pem"],
                   check=True, capture_output=True)


@pytest.mark.parametrize(("options", "words"), [
    ({"url": "http://broker"}, "not the address of a broker"), ({"url": "mqtt://"}, "not the address"),
    ({"url": "mqtt://u:p@broker"}, "holds a user"), ({"url": "mqtt://broker", "user": "u", "password": {"secret": "p"}}, "in the clear"),
    ({"url": "mqtt://broker", "password": {"secret": "p"}}, "needs user"),
    ({"url": "mqtt://broker", "ca_file": "/x"}, "needs mqtts"), ({"url": "mqtt://broker", "protocol": "3.1"}, "3.1.1"),
    ({"url": "mqtt://b", "keepalive": "1 s"}, "5"), ({"url": "mqtts://b", "cert_file": "x"}, "without the other"),
    ({"url": "mqtt://b", "cert_file": "x", "key": {"secret": "k"}}, "cert_file needs mqtts"),
    ({"url": "mqtts://b", "state_topic": "a/#"}, "can be published to"),
])
def test_wrong_options_are_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Options.model_validate(options)


def test_a_password_may_go_in_the_clear_to_this_machine_or_when_told_so() -> None:
    for url, more in (("mqtt://127.0.0.1", {}), ("mqtt://[::1]:1884", {}), ("mqtt://localhost", {}), ("mqtts://broker", {}),
                      ("mqtt://broker", {"allow_plain_password": True})):
        options = Options.model_validate({"url": url, "user": "u", "password": {"secret": "p"}} | more)
        assert options.host
    assert (Options(url="mqtts://b").port, Options(url="mqtt://b").port, Options(url="mqtt://[::1]:5").port) == (8883, 1883, 5)
    assert ipaddress.ip_address(Options(url="mqtt://[::1]:5").host).is_loopback


def test_the_client_id_is_one_that_every_broker_takes() -> None:
    assert machine_client_id("nodes") == machine_client_id("nodes") != machine_client_id("other")
    assert len(machine_client_id("nodes")) == 23
    assert machine_client_id("nodes").isalnum()


@pytest.mark.parametrize(("wide", "narrow", "does"), [
    ("#", "a/b", True), ("#", "$SYS/a", False), ("a/#", "a", True), ("a/+", "a/b", True), ("a/+", "a/#", False), ("a/+", "a/+", True),
    ("+/+", "a", False), ("a/b", "a/+", False), ("a/#", "a/+/#", True), ("+", "$x", False), ("a/+/c", "a/b/d", False), ("a/+", "a", False),
])
def test_filters_cover_each_other(wide: str, narrow: str, does: bool) -> None:
    assert covers(wide, narrow) == does


def test_filters_that_others_cover_are_left_out() -> None:
    assert sparse(["a/b", "a/#", "c/+", "c/d", "c/d"]) == ("a/#", "c/+")


def packet(kind: int, body: bytes) -> bytes:
    length, n = b"", len(body)
    while True:
        n, digit = divmod(n, 128)
        length += bytes([digit | (0x80 if n else 0)])
        if not n:
            return bytes([kind]) + length + body


class FakeBroker:
    """For what a good broker never does: one connection, bytes from `script(socket)` after CONNACK and SUBACK."""

    def __init__(self, script: Callable[[socket.socket], None], granted: int = 1) -> None:
        self.granted = granted
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.script = script
        self.sockets: list[socket.socket] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                wire, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(wire)
            with contextlib.suppress(OSError):
                wire.recv(4096)
                wire.sendall(packet(0x20, b"\0\0"))
                asked = wire.recv(4096)
                wire.sendall(packet(0x90, asked[2:4] + bytes([self.granted])))
                self.script(wire)

    def __enter__(self) -> "FakeBroker":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for wire in self.sockets:
            wire.close()
        self.thread.join(5)


def publish(topic: bytes, number: int, payload: bytes, flags: int = 2) -> bytes:
    return packet(0x30 | flags, struct.pack("!H", len(topic)) + topic + struct.pack("!H", number) + payload)


def test_a_monstrous_message_does_not_fill_the_memory() -> None:
    acknowledged = threading.Event()
    sizes: list[int] = []

    def script(wire: socket.socket) -> None:
        head = publish(b"yard/air", 7, b"")[2:]
        length = 200_000_000 + len(head)
        digits = b"".join(bytes([(length >> shift & 127) | 128]) for shift in (0, 7, 14)) + bytes([length >> 21])
        wire.sendall(b"\x32" + digits + head)
        piece = b"x" * 1_000_000
        for _ in range(200):
            wire.sendall(piece)
        wire.sendall(publish(b"yard/air", 8, b'{"pm10": 3}'))
        got = b""
        wire.settimeout(10)
        while got.count(b"\x40\x02") < 2:
            got += wire.recv(100)
        assert got == b"\x40\x02\x00\x07\x40\x02\x00\x08"
        acknowledged.set()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    journal, notebook = Journal(), Notebook()
    with FakeBroker(script) as broker, Running(Line("nodes", Options(url=f"mqtt://127.0.0.1:{broker.port}"), str), node(), journal, notebook):
        assert acknowledged.wait(30)
        sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert journal.values == [3]
    assert notebook.counts["too big"] == 1
    assert sizes[0] < 50_000, f"{sizes[0]} kB more than before"


@pytest.mark.parametrize(("granted", "words"), [
    (0x80, "does not let us hear yard/air"), (0, "yard/air only with QoS 0: messages can be lost"), (1, "")])
def test_what_the_broker_does_not_grant_is_said(granted: int, words: str) -> None:
    notebook = Notebook()
    with FakeBroker(lambda wire: None, granted) as broker:
        options = Options(url=f"mqtt://127.0.0.1:{broker.port}")
        with Running(Line("nodes", options, str), node(), Journal(), notebook):
            pass
    [(_, said)] = [entry for entry in notebook.said if entry[0] == "opened"]
    assert words in said
    assert bool(said) == bool(words)


def test_what_is_not_mqtt_ends_the_connection_and_not_the_line() -> None:
    chance = random.Random(7)

    def script(wire: socket.socket) -> None:
        with contextlib.suppress(OSError):
            kind = chance.choice([0x10, 0x20, 0x30, 0x34, 0x40, 0x62, 0x82, 0x90, 0xB0, 0xF0, 0])
            wire.sendall(packet(kind, chance.randbytes(chance.randrange(20))) + chance.randbytes(20))
            time.sleep(0.005)
            wire.shutdown(socket.SHUT_RDWR)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.lines.mqtt._FIRST_PAUSE_S", 0.001)
        patch.setattr("drivers.lines.mqtt._LONGEST_PAUSE_S", 0.002)
        for protocol in PROTOCOLS:
            notebook = Notebook()
            with FakeBroker(script) as broker:
                options = Options(url=f"mqtt://127.0.0.1:{broker.port}", protocol=protocol)  # type: ignore[arg-type]
                running = Running(Line("nodes", options, str), node(), Journal(), notebook)
                until(lambda: notebook.times("lost") >= 50 or running.error is not None)  # noqa: B023 - used at once
                running.end()
                assert running.error is None


def test_a_broker_that_freezes_is_noticed_and_nothing_is_lost(mosquitto: servers.Mosquitto, publisher: Publisher) -> None:
    journal, notebook = Journal(), Notebook()
    options = Options.model_validate({"url": mosquitto.url, "client_id": "under-test"}).model_copy(update={"keepalive": 1.0})
    with Running(Line("nodes", options, str), node(), journal, notebook) as running:
        publisher.send(1)
        until(lambda: journal.values == [1])
        os.kill(mosquitto.pid, signal.SIGSTOP)
        try:
            until(lambda: notebook.times("lost") > 0)
        finally:
            os.kill(mosquitto.pid, signal.SIGCONT)
        running.up(2)
        publisher.send(2)
        until(lambda: journal.values == [1, 2])
    assert ("lost", "the broker no longer answers") in notebook.said


def test_a_packet_number_of_a_new_session_is_not_taken_for_an_old_message() -> None:
    """In a session that began with this process only what was given out in it can come again."""

    def script(wire: socket.socket) -> None:
        wire.sendall(publish(b"yard/air", 1, b'{"pm10": 3}', flags=2 | 8) + publish(b"yard/air", 1, b'{"pm10": 3}', flags=2 | 8))

    journal = Journal()
    with FakeBroker(script) as broker, Running(Line("nodes", Options(url=f"mqtt://127.0.0.1:{broker.port}"), str), node(), journal):
        until(lambda: len(journal.deliveries) == 2)
    assert journal.again == [False, True]


def test_a_listener_keeps_health_and_notices_silence(mosquitto: servers.Mosquitto, publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ecosentry.line")
    health, stop, journal = LineHealth("nodes", "mqtt", {"air": "yard"}), threading.Event(), Journal()
    listener = Listener("nodes", line(mosquitto), node(), RealClock(), journal, health, {"air": 0.5})
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    try:
        until(lambda: health.line()["state"] == "open")
        publisher.send(1)
        until(lambda: health.devices(time.monotonic_ns())[0]["state"] == "good")
        publisher.raw(b"junk")
        until(lambda: health.line()["causes"].get("undecodable") == 1)
        assert "not JSON" in health.devices(0)[0]["words"]
        until(lambda: health.devices(0)[0]["state"] == "silent")
        mosquitto.stop()
        until(lambda: health.devices(0)[0]["state"] == "unreachable")
        mosquitto.start()
        until(lambda: health.line()["state"] == "open")
    finally:
        stop.set()
        thread.join(10)
    assert health.line()["state"] == "stopped"
    lost = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert 1 <= len(lost) <= 3, [r.getMessage() for r in lost]


def test_paho_acknowledges_nothing_by_itself(mosquitto: servers.Mosquitto, publisher: Publisher) -> None:
    """Seen from the broker: as many messages are in flight as the window allows, and none leaves it."""
    journal = Journal(releases=False)
    with Running(line(mosquitto), node(), journal):
        publisher.send(*range(100))
        until(lambda: len(journal.values) == 100)
        mosquitto.stop()
    mosquitto.start()
    second = Journal()
    with Running(line(mosquitto), node(), second):
        until(lambda: len(second.values) == 100)
    assert second.values == list(range(100))
