"""Messages of MQTT taken out of what the socket gives, however it is cut: the quick way and paho's own give the same."""

import random
import socket
import struct

import pytest
from paho.mqtt.client import Client

from drivers.lines._mqtt_client import MqttClient

CONNACK = {"3.1.1": b"\x20\x02\x00\x00", "5": b"\x20\x03\x00\x00\x00"}


def frame(head: int, body: bytes) -> bytes:
    left, size = len(body), b""
    while True:
        left, low = divmod(left, 128)
        size += bytes([low | (0x80 if left else 0)])
        if not left:
            return bytes([head]) + size + body


def publish(chance: random.Random, protocol: str, packet: int) -> tuple[bytes, tuple[object, ...]]:
    qos, dup, retained = chance.choice((0, 1, 1, 1)), chance.random() < 0.2, chance.random() < 0.2
    topic = "".join(chance.choice("abc/é") for _ in range(chance.choice((1, 8, 60)))).encode()
    payload = chance.randbytes(chance.choice((0, 1, 30, 127, 128, 500, 20_000, 70_000)))
    properties = b""
    if protocol == "5":
        properties = chance.choice((b"\0", b"\x02\x01\x01", b"\x07\x26\0\x01a\0\x01b", b"\x85\x01" + b"\x26\0\x01a\0\x7f" + b"x" * 127))
    body = struct.pack("!H", len(topic)) + topic + (struct.pack("!H", packet) if qos else b"") + properties + payload
    return frame(0x30 | dup << 3 | qos << 1 | retained, body), (topic, payload, qos, packet if qos else 0, dup, retained)


def client_of(protocol: str, heard: list[tuple[object, ...]]) -> tuple[MqttClient, socket.socket]:
    near, far = socket.socketpair()
    far.sendall(CONNACK[protocol])
    client = MqttClient("c", protocol, 100_000, lambda: near)
    client.heard = lambda *message: heard.append(message) is None
    client.begin("127.0.0.1", 1883, 60, 10)
    client.loop_read()
    return client, far


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_messages_are_the_same_however_the_stream_is_cut(protocol):
    chance, heard, said = random.Random(7), [], []
    client, far = client_of(protocol, heard)
    stream = b""
    for packet in range(1, 200):
        some, message = publish(chance, protocol, packet)
        stream += some
        said.append(message)
        if packet % 20 == 0:
            stream += b"\xd0\x00"  # a PINGRESP between them
    at = 0
    while at < len(stream):
        size = chance.choice((1, 2, 3, 7, 200, 5000, 60_000))
        far.sendall(stream[at : at + size])
        at += size
        for _ in range(3):
            client.loop_read()
        while client.holds_bytes:
            client.loop_read()
    assert client.socket() is not None
    assert [message[2:] for message in heard] == [message[2:] for message in said]
    assert heard == said
    client.end()
    far.close()


def test_no_message_follows_one_after_which_none_is_wanted():
    heard: list[tuple[object, ...]] = []
    client, far = client_of("3.1.1", heard)
    client.heard = lambda *message: heard.append(message) is None and len(heard) % 3 > 0
    chance, said = random.Random(3), []
    for packet in range(1, 8):
        some, message = publish(chance, "3.1.1", packet)
        far.sendall(some)
        said.append(message)
    client.loop_read()
    assert heard == said[:3]
    assert client.holds_bytes
    while client.holds_bytes:
        client.loop_read()
    assert heard == said
    client.end()
    far.close()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_stream_of_messages_takes_one_read_and_none_of_paho_s_own_steps(protocol, monkeypatch):
    """Goes red when another paho no longer asks the steps that we put in the place of its own."""
    heard: list[tuple[object, ...]] = []
    client, far = client_of(protocol, heard)
    reads, own_way = [], []
    read = Client._sock_recv
    monkeypatch.setattr(Client, "_sock_recv", lambda self, size: reads.append(size) or read(self, size))
    monkeypatch.setattr(Client, "_handle_on_message", lambda self, message: own_way.append(message))
    topic_and_number = b"\0\1a\0\7" + (b"\0" if protocol == "5" else b"")
    far.sendall(100 * frame(0x32, topic_and_number + b"61.5"))
    client.loop_read()
    assert heard == 100 * [(b"a", b"61.5", 1, 7, False, False)]
    assert (len(reads), own_way) == (1, [])
    client.end()
    far.close()


@pytest.mark.parametrize("wrong", [
    b"\x32\x06\x00\xffabcd",               # a topic longer than its packet
    b"\x32\x05\x00\x00\x00\x01x",          # no topic
    b"\x36\x05\x00\x01a\x00\x01",          # a QoS that there is not
    b"\x32\xff\xff\xff\xff\x7fx",          # a length of five bytes
])
def test_what_is_no_right_message_is_never_heard_as_one(wrong):
    heard: list[tuple[object, ...]] = []
    client, far = client_of("3.1.1", heard)
    good, message = publish(random.Random(1), "3.1.1", 9)
    far.sendall(good + wrong)
    for _ in range(5):
        if client.socket() is not None:
            client.loop_read()
    far.close()
    client.end()
    assert heard[:1] == [message]
    assert heard[1:] == []
