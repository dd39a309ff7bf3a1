"""Alerts on MQTT: acknowledged by the broker, on a topic that no value can change, readable for who comes later."""

import dataclasses
import json
import socket
import threading
import time
from pathlib import Path
from typing import BinaryIO

import paho.mqtt.publish as publish
import paho.mqtt.subscribe as subscribe
import pytest
from authority import Authority
from far_sides import SECRETS, make
from notices import NOTICE
from pydantic import ValidationError
from servers import Mosquitto
from waiting import soon

from config.errors import ConfigError, Halted, Unavailable
from gateway.channels.mqtt import Options, fill

server = pytest.mark.server


def channel(url: str, address: str = "", **options):
    return make("channels", "mqtt", {"url": url} | options, address=address)


def retained(broker: Mosquitto, topic: str) -> list[tuple[str, bytes]]:
    """What the broker keeps under a topic, ended by a marker of ours."""
    publish.single("marker", b"end", retain=True, hostname="127.0.0.1", port=broker.port)
    found = []
    client = subscribe.simple([topic, "marker"], msg_count=1, hostname="127.0.0.1", port=broker.port)
    while client.topic != "marker":
        found.append((client.topic, client.payload))
        publish.single(client.topic, b"", retain=True, hostname="127.0.0.1", port=broker.port)
        client = subscribe.simple([topic, "marker"], msg_count=1, hostname="127.0.0.1", port=broker.port)
    return found


@server
@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto"])
def test_both_versions_publish(mosquitto: Mosquitto, protocol: str) -> None:
    c = channel(mosquitto.url, protocol=protocol)
    c.tell(NOTICE, soon())
    assert ("3.1.1" if protocol == "3.1.1" else "MQTT 5") in c.check(soon())
    c.close()


def test_a_handshake_that_never_ends_is_ended_from_another_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        c = channel(f"mqtts://127.0.0.1:{deaf.getsockname()[1]}")
        far: list[socket.socket] = []

        def meet() -> None:
            far.append(deaf.accept()[0])
            far[0].recv(1)  # the hello of TLS is there: it waits for ours
            c.close()

        thread = threading.Thread(target=meet)
        thread.start()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            c.check(soon(30))
        assert time.monotonic() - began < 5
        thread.join()
        far[0].close()


class OldBroker:
    """Knows MQTT 3.1.1 alone: takes a CONNECT, acknowledges one PUBLISH. `refusal` is its answer to any other version."""

    def __init__(self, refusal: bytes) -> None:
        self._refusal = refusal
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self.published: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "OldBroker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        for _ in range(2):
            try:
                s, _ = self._listener.accept()
            except OSError:
                return
            with s, s.makefile("rb") as stream:
                connect = self._packet(stream)
                if connect[6] != 4:
                    s.sendall(self._refusal)
                    continue
                s.sendall(b"\x20\x02\x00\x00")
                publish = self._packet(stream)
                self.published.append(publish)
                topic = int.from_bytes(publish[:2], "big")
                s.sendall(b"\x40\x02" + publish[2 + topic : 4 + topic])
                stream.read()

    @staticmethod
    def _packet(stream: BinaryIO) -> bytes:
        stream.read(1)
        length = shift = 0
        while True:
            octet = stream.read(1)[0]
            length |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                return stream.read(length)


@pytest.mark.parametrize("refusal", [b"", b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"], ids=["hangs up", "says so in 3.1.1", "says so in 5"])
def test_a_broker_that_does_not_know_version_5_is_spoken_to_in_3_1_1(refusal: bytes) -> None:
    with OldBroker(refusal) as broker:
        c = channel(broker.url)
        c.tell(NOTICE, soon())
        assert NOTICE.id.encode() in broker.published[0]
        c.close()
    with OldBroker(refusal) as broker:
        c = channel(broker.url, protocol="5")
        with pytest.raises(Halted, match="does not speak MQTT 5"):
            c.tell(NOTICE, soon())
        c.close()
        broker._listener.shutdown(socket.SHUT_RDWR)


@server
def test_the_newest_state_is_kept_for_who_comes_later_until_the_alert_ends(mosquitto: Mosquitto) -> None:
    c = channel(mosquitto.url, state_topic="ecosentry/{station}/state/{alert}")
    c.tell(NOTICE, soon())
    [(topic, payload)] = retained(mosquitto, "ecosentry/#")
    assert topic == "ecosentry/qinghe/state/0921-3"
    assert json.loads(payload)["id"] == NOTICE.id
    c.tell(NOTICE, soon())
    c.tell(dataclasses.replace(NOTICE, kind="alert.ended", data={**NOTICE.data, "state": "ended"}), soon())
    assert retained(mosquitto, "ecosentry/#") == []
    c.close()


@server
def test_the_recipients_own_topic_goes_before_the_channels(mosquitto: Mosquitto) -> None:
    c = channel(mosquitto.url, address="bureau/{colour}", state_topic="kept/{station}")
    c.tell(NOTICE, soon())
    assert [topic for topic, _ in retained(mosquitto, "kept/#")] == ["kept/qinghe"]
    assert c._topic == "bureau/{colour}"
    c.close()


@server
def test_a_wrong_login_halts_and_a_forbidden_topic_is_not_lost_in_silence(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("user eco\ntopic write allowed/#\n")
    acl.chmod(0o600)
    with Mosquitto(tmp_path / "m", users={"eco": SECRETS["password"]}, more=f"acl_file {acl}") as broker:
        for options in ({}, {"user": "eco", "password": {"secret": "token"}}):
            c = channel(broker.url, **options)
            with pytest.raises(Halted, match=r"(?i)not authori[sz]ed|bad user name") as said:
                c.tell(NOTICE, soon())
            assert not any(word in str(said.value) for word in SECRETS.values())
            c.close()
        login = {"user": "eco", "password": {"secret": "password"}}
        c = channel(broker.url, topic="allowed/x", **login)
        c.tell(NOTICE, soon())
        c.close()
        c = channel(broker.url, topic="forbidden/x", **login)
        with pytest.raises(Halted, match="Not authorized"):
            c.tell(NOTICE, soon())
        c.close()


@server
def test_tls_is_checked_and_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    authority.server()
    files = f"certfile {tmp_path}/ca/server0.pem\nkeyfile {tmp_path}/ca/server0.key"
    with Mosquitto(tmp_path / "m", more=files) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        c = channel(url, ca_file=str(authority.file))
        c.tell(NOTICE, soon())
        assert "lets us in" in c.check(soon())
        c.close()
        c = channel(url)
        with pytest.raises(Halted, match="not trusted"):
            c.tell(NOTICE, soon())
        c.close()
        c = channel(broker.url)
        with pytest.raises(Unavailable):
            c.tell(NOTICE, soon(3))
        c.close()


def test_a_value_cannot_lead_to_another_topic() -> None:
    evil = dataclasses.replace(NOTICE, data={"station": "a/+/#\0\n$x", "colour": "", "alert": "é"})
    assert fill("e/{station}/{colour}/{alert}/{rule}", evil) == "e/a_______x/none/é/none"


@pytest.mark.parametrize("topic", ["a/+/b", "a/#", "$SYS/x", "a/{nonsense}", "a/{station", "a\0b", "x" * 1001])
def test_a_topic_that_is_none_is_refused_before_the_start(topic: str) -> None:
    with pytest.raises(ValidationError):
        Options(url="mqtt://h", topic=topic)
    with pytest.raises(ConfigError, match="topic"):
        channel("mqtt://127.0.0.1", address=topic)


@pytest.mark.parametrize("url", ["http://h", "h:1883", "mqtt://", "mqtt://u:p@h", "mqtt://h/topic"])
def test_an_address_that_is_no_brokers_is_refused_before_the_start(url: str) -> None:
    with pytest.raises(ValidationError):
        Options(url=url)


@pytest.mark.parametrize(("more", "words"), [
    ({"user": "eco"}, "in the clear"), ({}, "without a user"), ({"user": "eco", "allow_plain_password": True, "ca_file": "x"}, "needs mqtts"),
])
def test_a_password_does_not_travel_in_the_clear_unless_that_is_said(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Options.model_validate({"url": "mqtt://broker.example.org", "password": {"secret": "password"}} | more)
    Options.model_validate({"url": "mqtt://broker.example.org", "password": {"secret": "password"}, "user": "eco", "allow_plain_password": True})
