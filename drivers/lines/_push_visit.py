"""One connection of somebody who pushes: its bytes become requests, whatever they are, in bounded time and room. No waiting here.

HTTP/1.1 is read by h11, which knows the protocol and touches no socket.
"""

import fcntl
import json
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import h11

from drivers.lines._receipts import MqttReceipt

_LONGEST_HEAD = 16_384
_PIECE = 65_536
_REQUEST_S = 15.0
"""A request, from its first byte or the connection's begin, is whole within this."""
_COMMIT_S = 30.0
"""So long the journal is waited for before a request is told to come again."""
_LEAVING_S = 1.0
"""After the last answer: so long what still comes is thrown away, or the answer could be lost with the connection."""
_ACKNOWLEDGED_S = 1.0
"""The other side's system, where it is there, has acknowledged an answer within this."""
_FAR_S = 10.0
"""So long that is waited for where a reading was answered, before its answer counts as lost."""
_REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 405: b"Method Not Allowed", 408: b"Request Timeout",
            413: b"Content Too Large", 415: b"Unsupported Media Type", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
            500: b"Internal Server Error", 503: b"Service Unavailable"}


def _on_its_way(wire: socket.socket) -> int:
    """Bytes that were sent and that the other side has not acknowledged."""
    try:
        found: int = struct.unpack("i", fcntl.ioctl(wire, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    except OSError:
        return 1
    return found


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the body; header names in lower case, the last of a name counts."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says what is wrong."""

    status: int
    words: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """A whole request."""

    head: Head
    body: bytes
    peer: str


State = Literal["reading", "waiting", "leaving", "gone"]


@dataclass(slots=True)
class Visit:
    """A connection and where it stands. Used by the line's thread only."""

    wire: socket.socket
    peer: str
    allow: Callable[[str, Head], Refusal | None]
    """Asked (address, head) before the body is read."""
    most_body: int
    taken: MqttReceipt | None = None
    """Of what it posted last."""
    was_told_again: bool = False
    """It was answered that the journal has not got it yet, and may have it now."""
    state: State = "reading"
    until_s: float = field(default_factory=lambda: time.monotonic() + _REQUEST_S)
    _talk: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD))
    _head: Head | None = None
    _body: bytearray = field(default_factory=bytearray)
    _is_begun: bool = False
    _is_broken: bool = False
    _answered_s: float = 0.0

    @property
    def silent_s(self) -> float:
        """So long its request is waited for, or the rest of it."""
        return time.monotonic() - self.until_s + _REQUEST_S

    @property
    def is_unheard(self) -> bool:
        """Of the last answer it is not known that it arrived."""
        if self._is_broken or self.state == "gone":
            return self._is_broken
        if self.was_told_again or self.state == "waiting":
            return True
        return time.monotonic() - self._answered_s > _ACKNOWLEDGED_S and self._has_lost()

    def _has_lost(self) -> bool:
        """Something that we sent was not taken; our own farewell counts as a byte."""
        return _on_its_way(self.wire) > (self.state == "leaving") or self.wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def read(self) -> Post | None:
        """What came; a request once it is whole. Refusals are answered here."""
        try:
            came = self.wire.recv(_PIECE)
        except BlockingIOError:
            return None
        except OSError:
            came, self._is_broken = b"", True
        if self.state == "leaving":
            if not came:
                self.close()
            return None
        if not came and not self._is_begun:
            self.close()
            return None
        if came and not self._is_begun:
            self._is_begun, self.until_s = True, time.monotonic() + _REQUEST_S
        try:
            self._talk.receive_data(came)
            return self._next()
        except h11.RemoteProtocolError as error:
            if not came:
                self.close()  # it went away in the middle of its request
            else:
                self.answer(Refusal(error.error_status_hint, f"this is not a request that can be read: {error}"), is_last=True)
            return None

    def go_on(self) -> Post | None:
        """After an answer: the next request, if it is here already."""
        try:
            return self._next() if self.state == "reading" and self._is_begun else None
        except h11.RemoteProtocolError as error:
            self.answer(Refusal(error.error_status_hint, str(error)), is_last=True)
            return None

    def _next(self) -> Post | None:
        while self.state == "reading":
            event = self._talk.next_event()
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self.most_body:
                    self.answer(self._too_long(), is_last=True)
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                self.state, self.until_s = "waiting", time.monotonic() + _COMMIT_S
                return Post(self._head, bytes(self._body), self.peer)
            elif isinstance(event, h11.ConnectionClosed):
                self.close()
            else:
                return None
        return None

    def _begin(self, request: h11.Request) -> None:
        headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in request.headers}
        self.taken, self.was_told_again = None, False  # who asks anew over the same connection has had its answer
        self._head, self._body = Head(request.method.decode("latin-1"), request.target.decode("latin-1"), headers), bytearray()
        length = headers.get("content-length", "0")
        refusal = self.allow(self.peer, self._head)
        if refusal is None and (not length.isdecimal() or int(length[:12]) > self.most_body):
            refusal = self._too_long()
        if refusal is not None:
            self.answer(refusal, is_last=True)
        elif self._talk.they_are_waiting_for_100_continue:
            self._send(self._talk.send(h11.InformationalResponse(status_code=100, headers=[])))

    def _too_long(self) -> Refusal:
        return Refusal(413, f"more than {self.most_body} bytes are not taken at once")

    def answer(self, said: Refusal | None, *, is_last: bool = False) -> None:
        """200, or what is wrong. The connection goes on if the other side wants it to and `is_last` does not end it."""
        status = said.status if said else 200
        body = json.dumps({"error": said.words} if said else {"ok": True}).encode() + b"\n"
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("cache-control", "no-store")]
        headers += said.headers if said else ()
        if is_last:
            headers.append(("connection", "close"))
        is_head = self._head is not None and self._head.method == "HEAD"  # an answer to it has a length and no body
        reply = h11.Response(status_code=status, headers=headers, reason=_REASONS.get(status, b""))
        try:
            octets = (self._talk.send(reply) or b"") + (b"" if is_head else self._talk.send(h11.Data(data=body)) or b"")
            octets += self._talk.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError:  # it is beyond answering: a half-sent request of a version that has no answers, say
            self.close()
            return
        self._send(octets)
        self._answered_s = time.monotonic()
        if self.state == "gone":
            return
        if not is_last and self._talk.our_state is h11.DONE and self._talk.their_state is h11.DONE:
            self._talk.start_next_cycle()
            self._head, self._is_begun = None, bool(self._talk.trailing_data[0])
            self.state, self.until_s = "reading", time.monotonic() + _REQUEST_S
        else:
            self.state, self.until_s = "leaving", time.monotonic() + _LEAVING_S
            with suppress(OSError):
                self.wire.shutdown(socket.SHUT_WR)

    def expire(self) -> None:
        """Its time is over."""
        if self.state == "reading" and self._is_begun:
            self.answer(Refusal(408, f"the request was not whole within {_REQUEST_S:.0f} s"), is_last=True)
        elif self.state == "waiting":
            self.was_told_again = True
            self.answer(Refusal(503, "the journal has not taken it yet; send it again", (("retry-after", "60"),)), is_last=True)
        elif self.taken is not None and self._has_lost() and time.monotonic() - self._answered_s < _FAR_S:
            self.until_s = time.monotonic() + _LEAVING_S  # a radio may take so long to acknowledge: else the next reading were the same again
        else:
            self.close()

    def _send(self, octets: bytes | None) -> None:
        """Answers are small: who does not take one whole is let go."""
        try:
            whole = not octets or self.wire.send(octets) == len(octets)
        except OSError:
            whole = False
        if not whole:
            self.close()

    def close(self) -> None:
        """Let it go."""
        if self.state != "gone":
            self._is_broken |= self.was_told_again or self.state == "waiting" or self._has_lost()
        self.state = "gone"
        self.wire.close()
