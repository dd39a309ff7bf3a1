"""HTTP push: nodes that post JSON to us. The answer 200 means that the journal has it.

The path is the topic: what is posted to /yard/air is heard by the device with topic = "yard/air". A node that sends X-Sensor (and
X-Pin), as those of sensor.community do, may share its path with others: yard/esp8266-12331981 is its topic then.
"""

import base64
import binascii
import hmac
import random
import re
import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Annotated, Self
from urllib.parse import unquote

from pydantic import Field, model_validator

from config.errors import LineError
from config.site import Secret
from config.table import Table
from config.units import Size
from drivers.driver import Deliver, Heard, Report, Told
from drivers.lines._listening import Listen, Networks, Pace, Place, networks, place
from drivers.lines._mqtt_hearing import Hearing, Poison, digest_of
from drivers.lines._push_server import PushServer
from drivers.lines._push_visit import Head, Post, Refusal
from drivers.lines._receipts import MqttReceipt, Receipts
from drivers.reading import Aside, Clock, Delivery

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_SHORTEST_TOKEN = 16
_WRONG_TOKEN_PRICE = 10.0
_NUMBERS = 1024
"""Packet numbers go round: the journal remembers one message of each."""
_KEPT = 4096
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ASK = (("www-authenticate", 'Basic realm="EcoSentry", Bearer'),)


class Options(Table):
    """Keys of a line of kind http."""

    listen: Listen = "127.0.0.1:8090"
    """HOST:PORT to listen at."""
    token: Secret | Annotated[tuple[Secret, ...], Field(min_length=1, max_length=5)] | None = None
    """What nodes must show, as bearer token or as password of any user; while it is being changed a list: [new, old]."""
    networks: Networks = ()
    """Addresses from which may be posted; left out = any."""
    max_body: Annotated[Size, Field(ge=1, le=4_000_000)] = 64_000
    """Longer messages are refused."""
    max_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 120
    """Requests of one address; more are told to come later."""

    @model_validator(mode="after")
    def _is_careful(self) -> Self:
        if not self.place.is_loopback and self.token is None:
            raise ValueError('would take what anyone posts; write token = { secret = "NAME" }')
        return self

    @property
    def place(self) -> Place:
        """Where it listens."""
        return place(self.listen)

    @property
    def tokens(self) -> tuple[Secret, ...]:
        """Any of them will do."""
        return () if self.token is None else self.token if isinstance(self.token, tuple) else (self.token,)

    def clash(self, other: Table) -> tuple[str, str] | None:
        """See config.kinds.Neighbour."""
        there = getattr(other, "place", None)
        if isinstance(there, Place) and self.place.overlaps(there):
            return f"listens at {self.place} too, and that address cannot be had twice", "give one of them another port"
        return None


class Line:
    """See ToldLine."""

    def __init__(self, name: str, options: Options, secret: Callable[[str], str]) -> None:
        """Raises Halted if the token is not there, ValueError if it is too short to be one."""
        self.name = name
        self._options, self._secret = options, secret
        self._tokens = [secret(one.secret).encode() for one in options.tokens]
        for one, token in zip(options.tokens, self._tokens, strict=True):
            if len(token) < _SHORTEST_TOKEN:
                raise ValueError(f"secret {one.secret} is too short for a token; write {_SHORTEST_TOKEN} characters or more")
        self._poison = Poison()
        burst, per_s = max(10.0, options.max_per_minute / 2), options.max_per_minute / 60
        self._requests, self._connections = Pace(burst, per_s), Pace(2 * burst, 2 * per_s)
        self._is_visitor = False
        self._number = 0

    def visitor(self) -> "Line":
        """See ToldLine. It tells every node to send again: nothing that it hears is kept."""
        line = Line(self.name, self._options, self._secret)
        line._is_visitor = True
        return line

    def run(self, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report) -> None:
        """See ToldLine."""
        options, receipts = self._options, Receipts(self.name)
        hearing = Hearing(self.name, drivers, deliver, clock, report, receipts, options.max_body, self._poison)

        def take(post: Post) -> MqttReceipt | Refusal:
            return self._take(post, hearing, server, receipts, deliver, clock, report)

        server = PushServer(options.place, networks(options.networks), self._connections, options.max_body, receipts, report,
                            lambda peer, head: self._allow(peer, head, report), take)
        pause_s = _FIRST_PAUSE_S
        try:
            while not stop.is_set():
                try:
                    server.run(stop)
                except LineError as error:
                    report.lost(str(error))
                until = time.monotonic() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
                while not stop.is_set() and time.monotonic() < until:
                    report.alive(time.monotonic_ns())
                    stop.wait(0.2)
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        finally:
            receipts.close()

    # ── who may post what ────────────────────────────────────────────────────────────────────────────────────────────
    def _allow(self, peer: str, head: Head, report: Report) -> Refusal | None:
        """Why this is not to be read, known by its head alone."""
        if not self._requests.allows(peer):
            report.count("too often")
            return Refusal(429, f"at most {self._options.max_per_minute} requests a minute", (("retry-after", "60"),))
        if not self._has_token(head):
            report.count("unauthorised")
            self._requests.fine(peer, _WRONG_TOKEN_PRICE)
            return Refusal(401, "show the token: Authorization: Bearer TOKEN, or as password of Basic", _ASK)
        if head.method != "POST":
            return Refusal(405, "only POST is answered here", (("allow", "POST"),))
        if head.headers.get("content-encoding", "identity").lower() != "identity":
            return Refusal(415, "send it uncompressed")
        return None

    def _has_token(self, head: Head) -> bool:
        if not self._tokens:
            return True
        shown = _shown_token(head.headers.get("authorization", ""))
        found = False
        for token in self._tokens:
            found |= hmac.compare_digest(shown, token)  # all of them: the time must not tell which
        return found

    # ── what becomes of a message ────────────────────────────────────────────────────────────────────────────────────
    def _take(
        self, post: Post, hearing: Hearing, server: PushServer, receipts: Receipts, deliver: Deliver, clock: Clock, report: Report,
    ) -> MqttReceipt | Refusal:
        try:
            topics = _topics(post.head)
        except ValueError as error:
            return Refusal(400, str(error))
        now = clock.now()
        heard = next((one for one in (Heard(topic, post.body, now) for topic in topics) if hearing.is_wanted(one)), None)
        if heard is None:
            report.count("unwanted")
            return Refusal(404, f"no device has this topic: {topics[-1][:80]}")
        batches, faults = hearing.read(heard)
        if self._is_visitor:
            deliver(Delivery(self.name, batches), 0.0)
            return Refusal(503, "this is only a look at the lines (check --live); send it again", (("retry-after", "60"),))
        if not batches and not faults:
            return Refusal(400, "there is nothing in it")
        digest = digest_of(heard.topic, post.body)
        again = server.repeats(post.peer, digest)
        if again is None:
            self._number = (self._number + 1) % _NUMBERS
        receipt = receipts.give(self._number if again is None else again, 1, digest, again is not None, 0)
        if not batches:
            server.verdicts[id(receipt)] = Refusal(400, f"cannot be read, and is set aside: {'; '.join(faults)}")
        deliver(Delivery(self.name, batches, receipt, Aside(heard.topic, post.body[:_KEPT], "; ".join(faults)) if faults else None), 0.0)
        return receipt


def _shown_token(authorization: str) -> bytes:
    """The token in a header, whose characters are its bytes (latin-1): Bearer TOKEN, or the password of Basic. Empty if there is none."""
    scheme, _, rest = authorization.strip().partition(" ")
    shown = rest.strip().encode("latin-1")
    if scheme.lower() == "bearer":
        return shown
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(shown, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _topics(head: Head) -> list[str]:
    """What the message may be called, the most particular first. Raises ValueError for a path that cannot be a topic."""
    path = head.target.partition("?")[0].partition("#")[0]
    try:
        topic = unquote(path, errors="strict").strip("/")
    except UnicodeDecodeError:
        raise ValueError("the path is not UTF-8") from None
    if not path.startswith("/") or not topic.isprintable() or len(topic) > 256 or set(topic) & set("+#"):
        raise ValueError("the path cannot be a topic: printable characters without + and #, at most 256")
    found = [topic]
    for header in ("x-sensor", "x-pin"):
        level = head.headers.get(header, "")
        if level and not _NAME.fullmatch(level):
            raise ValueError(f"{header} is not a name in letters, digits and . _ -")
        if level:
            found.insert(0, f"{found[0]}/{level}".removeprefix("/"))
        else:
            break
    return found
