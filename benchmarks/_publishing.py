"""Nodes that publish at QoS 1, in a process of their own that costs little: MQTT 3.1.1 frames on a bare socket.

    python _publishing.py PORT READINGS MESSAGES PER_SECOND

Ten nodes take turns at `bench/n0` … `bench/n9`; each reading has a time of its own in µs, which is when it was published. 0 a second is
as fast as the broker takes them. Ends when the broker has acknowledged all of them.
"""

import json
import socket
import struct
import sys
import threading
import time

NODES = 10
QUANTITIES = ("pm1", "pm2_5", "pm10", "so2", "no2", "no", "o3", "co", "h2s", "nh3")
_WINDOW = 500


def payload(readings: int, number: int, t_us: int) -> bytes:
    """One value, or a list of objects of ten values each, as a node sends what it has gathered."""
    if readings == 1:
        return b'{"t": %d, "pm10": %.1f}' % (t_us, 20 + number % 700 / 10)
    return json.dumps([{"t": t_us - 10 * i, **_values(number + i)} for i in range(readings // 10)]).encode()


def _values(number: int) -> dict[str, float]:
    return {name: round(20 + number % 70 + k / 10, 1) for k, name in enumerate(QUANTITIES)}


def frame(kind: int, body: bytes) -> bytes:
    """A control packet with its remaining length (MQTT 3.1.1, 2.2.3)."""
    left, size = len(body), b""
    while True:
        left, low = divmod(left, 128)
        size += bytes([low | 0x80 if left else low])
        if not left:
            return bytes([kind]) + size + body


def _text(words: str) -> bytes:
    return struct.pack("!H", len(words)) + words.encode()


def main() -> None:
    port, readings, messages = map(int, sys.argv[1:4])
    per_second = float(sys.argv[4])
    wire = socket.create_connection(("127.0.0.1", port))
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.sendall(frame(0x10, _text("MQTT") + b"\x04\x02\x00\x3c" + _text("bench-publisher")))
    wire.recv(4)
    room, answered = threading.Semaphore(_WINDOW), 0

    def hear() -> None:
        nonlocal answered
        came = 0
        while answered < messages and (some := wire.recv(65536)):
            whole, came = divmod(came + len(some), 4)  # every PUBACK has four bytes
            answered += whole
            if whole:
                room.release(whole)

    hearing = threading.Thread(target=hear)
    hearing.start()
    began, newest = time.monotonic(), 0
    for number in range(messages):
        room.acquire()
        if per_second and (early := began + number / per_second - time.monotonic()) > 0:
            time.sleep(early)
        newest = max(time.time_ns() // 1000, newest + 100)
        head = _text(f"bench/n{number % NODES}") + struct.pack("!H", number % 65535 + 1)
        wire.sendall(frame(0x32, head + payload(readings, number, newest)))
    hearing.join(60)
    wire.sendall(b"\xe0\0")
    wire.close()
    assert answered == messages, f"{answered} of {messages}"


if __name__ == "__main__":
    main()
