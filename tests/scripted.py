"""An HTTP server that answers from a list, for what a real server cannot be made to say."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Self, cast


@dataclass(frozen=True, slots=True)
class Answer:
    """What `ScriptedServer` says to one request."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0
    """Before the first byte."""
    drip_s: float = 0
    """Between two bytes: a slow-loris."""
    cut: int | None = None
    """Close the connection after so many bytes of the answer; 0 = without a word."""
    raw: bytes | None = None
    """Say exactly this instead of HTTP."""

    def octets(self) -> bytes:
        if self.raw is not None:
            return self.raw
        headers = {} if self.status == 204 else {"Content-Length": str(len(self.body))}
        headers |= dict(self.headers)
        head = f"HTTP/1.1 {self.status} Scripted\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        return head.encode() + b"\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """time.monotonic() when it was complete."""


class ScriptedServer:
    """An HTTP/1.1 server on 127.0.0.1 that answers request after request from `answers`, and the last one for ever.

    `by` decides by the request instead. `tls` serves https. `greeting` is said as soon as somebody connects, for
    protocols where that is rude; nothing is read then. Requests are kept in `requests`. Not for load.
    """

    def __init__(
        self, *answers: Answer, by: Callable[[Request], Answer] | None = None, tls: ssl.SSLContext | None = None,
        greeting: bytes = b"",
    ) -> None:
        self.answers = list(answers) or [Answer()]
        self.requests: list[Request] = []
        self.by = by
        self._tls = tls
        self._greeting = greeting
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.address = "127.0.0.1"
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen, on the same port as before if there was one."""
        self._ended.clear()
        self._listener = socket.create_server((self.address, self.port), reuse_port=False)
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept, self._listener)
        return self

    def stop(self) -> None:
        """Close the port and every connection, and wait for the threads."""
        self._ended.set()
        if self._listener is not None:
            self._listener.close()
            with self._lock:
                for s in self._open:
                    with contextlib.suppress(OSError):
                        s.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join(5)
        self._listener, self._threads = None, []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, count: int, within_s: float = 5) -> list[Request]:
        """The requests, once there are so many."""
        end = time.monotonic() + within_s
        while len(self.requests) < count:
            assert time.monotonic() < end, f"{len(self.requests)} requests instead of {count}"
            time.sleep(0.005)
        return self.requests

    def _spawn(self, work: Callable[[socket.socket], None], s: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(s,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._ended.is_set():
            try:
                s, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connections += 1
            self._spawn(self._converse, s)

    def _converse(self, s: socket.socket) -> None:
        with self._lock:
            self._open.add(s)
        raw = s
        try:
            s.settimeout(30)
            if self._tls is not None:
                s = self._tls.wrap_socket(s, server_side=True)
                with self._lock:
                    self._open.add(s)
            if self._greeting:
                s.sendall(self._greeting)
                self._ended.wait(30)
                return
            with s, cast("BinaryIO", s.makefile("rb")) as stream, self._patient():
                while not self._ended.is_set() and (request := _read(stream)) is not None:
                    with self._lock:
                        self.requests.append(request)
                        answer = self._answer(request)
                    if not self._say(s, answer):
                        return
        except (OSError, ValueError):
            pass  # the client went away: a test's own business
        finally:
            with self._lock:
                self._open -= {raw, s}
            raw.close()
            s.close()

    @contextlib.contextmanager
    def _patient(self) -> Iterator[None]:
        """A client of another protocol is left waiting."""
        try:
            yield
        except NotHttpError:
            self._ended.wait(30)

    def _answer(self, request: Request) -> Answer:
        if self.by is not None:
            return self.by(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _say(self, s: socket.socket, answer: Answer) -> bool:
        """True if the connection goes on."""
        if self._ended.wait(answer.delay_s):
            return False
        octets = answer.octets()[: answer.cut]
        if answer.drip_s:
            for i in range(len(octets)):
                s.sendall(octets[i : i + 1])
                if self._ended.wait(answer.drip_s):
                    return False
        else:
            s.sendall(octets)
        return answer.cut is None and answer.raw is None


class NotHttpError(Exception):
    """What came does not begin like a request."""


def _read(stream: BinaryIO) -> Request | None:
    line = stream.readline()
    if line and b"HTTP/" not in line:
        raise NotHttpError
    if not line.strip():
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while line := stream.readline().strip():
        key, _, value = line.decode("latin-1").partition(":")
        headers[key.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while size := int(stream.readline(), 16):
            parts.append(stream.read(size))
            stream.readline()
        stream.readline()
        body = b"".join(parts)
    else:
        body = stream.read(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body, time.monotonic())
