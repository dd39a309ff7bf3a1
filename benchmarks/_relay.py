"""A TCP relay that notes when which bytes passed, and what MQTT and HTTP say of it afterwards: an outside clock for latencies."""

import gzip
import re
import socket
import threading
import time
from collections.abc import Iterator


class Relay:
    """Listens on a free port and passes everything on to `port`; `passed` holds (connection, "up" or "down", time ns, bytes)."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.passed: list[tuple[int, str, int, bytes]] = []
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends.append(end)
            number += 1
            for way, one, other in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self._pass, args=(number, way, one, other), daemon=True).start()

    def _pass(self, number: int, way: str, one: socket.socket, other: socket.socket) -> None:
        try:
            while some := one.recv(65536):
                other.sendall(some)
                self.passed.append((number, way, time.time_ns(), some))
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        """Let everything go."""
        for end in (self._listener, *self._ends):
            end.close()

    def stream(self, way: str, number: int) -> Iterator[tuple[int, bytes]]:
        return ((at, some) for n, w, at, some in self.passed if (n, w) == (number, way))

    @property
    def connections(self) -> list[int]:
        return sorted({n for n, *_ in self.passed})


def _packets(stream: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    """(time of its last byte, first byte, body) of every MQTT packet."""
    held = b""
    for at, some in stream:
        held += some
        while len(held) >= 2:
            size = place = 0
            while place < 4 and 1 + place < len(held):
                size |= (held[1 + place] & 127) << 7 * place
                place += 1
                if held[place] < 128:
                    break
            else:
                break
            if len(held) < 1 + place + size:
                break
            yield at, held[0], held[1 + place : 1 + place + size]
            held = held[1 + place + size :]


def _told_ns(payload: bytes) -> int:
    return 1000 * max(int(t) for t in re.findall(rb'"t": (\d+)', payload))


def until_puback_ms(relay: Relay) -> list[float]:
    """From when a message was published (its own time) until its PUBACK came from the subscriber; MQTT 3.1.1."""
    found = []
    for number in relay.connections:
        waiting: dict[bytes, int] = {}
        events = [(at, head, body) for way in ("down", "up") for at, head, body in _packets(relay.stream(way, number))]
        for at, head, body in sorted(events, key=lambda one: one[0]):
            if head & 0xF0 == 0x30 and head & 0x06:
                topic = int.from_bytes(body[:2], "big")
                waiting[body[2 + topic : 4 + topic]] = _told_ns(body[4 + topic :])
            elif head == 0x40 and body[:2] in waiting:
                found.append((at - waiting.pop(body[:2])) / 1e6)
    return found


def until_stored_ms(relay: Relay) -> list[float]:
    """From the own time of a point until the database had answered the request that brought it (204)."""
    found = []
    for number in relay.connections:
        posts = _bodies(b"".join(some for _, some in relay.stream("up", number)))
        answers = [at for at, some in relay.stream("down", number) for _ in re.findall(rb"HTTP/1\.1 \d+", some)]
        for body, at in zip(posts, answers, strict=False):
            lines = gzip.decompress(body).splitlines() if body[:2] == b"\x1f\x8b" else body.splitlines()
            found += [(at - int(line.rsplit(b" ", 1)[1])) / 1e6 for line in lines if b"statistic=measured" in line]
    return found


def _bodies(stream: bytes) -> Iterator[bytes]:
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        size = int(length[1]) if length else 0
        yield rest[:size]
        stream = rest[size:]
