"""A connection to an MQTT broker, 3.1.1 or 5: nothing is acknowledged before the journal has it.

One thread owns it and sleeps on the socket and on the bell of the receipts. The session is kept at the broker, so what is
published while we are away waits there. A message that was not acknowledged comes again; which ones did is the core's
business. Nothing here waits for the core: a message of QoS 1 or 2 is always handed over, and when as many are owed as the
in-flight window allows, nothing more is read from the socket.
"""

import hashlib
import ipaddress
import logging
import os
import random
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from config.broker_session import session_clash
from config.errors import LineError
from config.site import Secret
from config.table import Table
from config.units import Duration, Size
from drivers.driver import Deliver, Report, Told
from drivers.lines._dial import dial, secured
from drivers.lines._mqtt_client import MqttClient
from drivers.lines._mqtt_connection import OFFLINE, Connection
from drivers.lines._mqtt_hearing import Hearing, Poison
from drivers.lines._receipts import Receipts
from drivers.reading import Clock

log = logging.getLogger(__name__)
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_CONNECT_S, _TLS_S = 10.0, 5.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_CALM_S = 10.0
"""A connection that held for so long makes the next pause short again."""
_SLICE_S = 0.2
_BRIEF_S, _BRIEF_TIMES = 30.0, 3
"""So short connections, so many in a row, are no accident of the network: the longest pause of another of ours is not longer."""


class Options(Table):
    """Keys of a line of kind mqtt."""

    url: str
    """mqtt://HOST:PORT, or mqtts:// for TLS; 1883 and 8883 unless said."""
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    user: str = ""
    password: Secret | None = None
    allow_plain_password: bool = False
    """Without TLS a password can be read by anyone on the way."""
    ca_file: str = ""
    """Certificates to trust instead of the system's."""
    cert_file: str = ""
    """Our own certificate, PEM, for brokers that want one; its key is `key`."""
    key: Secret | None = None
    """The private key of `cert_file`, PEM, without a password of its own."""
    state_topic: str = ""
    """Where the broker keeps "online" while we are connected and "offline" (our last will) when we are not; left out = nowhere."""
    client_id: Annotated[str, Field(max_length=256)] = ""
    """The name of our session at the broker; left out = made from this machine and the line's name."""
    keepalive: Annotated[Duration, Field(ge=5, le=65535)] = 30.0
    max_in_flight: Annotated[int, Field(ge=1, le=65535)] = 1000
    """So many messages may wait for the journal; protocol 5 tells the broker."""
    max_payload: Annotated[Size, Field(ge=1, le=16_000_000)] = 256_000
    """Longer messages are set aside unread."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("is not the address of a broker; write mqtt://HOST:PORT or mqtts://HOST:PORT")
        if parts.username is not None:
            raise ValueError('holds a user or password; write user = "…" and password = { secret = "NAME" }')
        if parts.port == 0:
            raise ValueError("has port 0")
        return url

    @field_validator("state_topic")
    @classmethod
    def _can_be_published_to(cls, topic: str) -> str:
        if set(topic) & set("+#") or topic.startswith("$") or len(topic.encode()) > 1000 or not topic.isprintable():
            raise ValueError("is not a topic that can be published to; write one without + and #, not beginning with $")
        return topic

    @model_validator(mode="after")
    def _is_discreet(self) -> Self:
        if self.password and not self.user:
            raise ValueError("password needs user")
        if self.password and not self.allow_plain_password and not self.is_secure and not _is_loopback(self.host):
            raise ValueError("would send the password in the clear; write mqtts:// or allow_plain_password = true")
        if (self.ca_file or self.cert_file) and not self.is_secure:
            raise ValueError(f"{'ca_file' if self.ca_file else 'cert_file'} needs mqtts://")
        if bool(self.cert_file) != bool(self.key):
            raise ValueError('has cert_file or key without the other; write cert_file = "…" and key = { secret = "NAME" }')
        return self

    def clash(self, other: Table) -> tuple[str, str] | None:
        """See config.kinds.Neighbour."""
        return session_clash(self, other)

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def is_secure(self) -> bool:
        """TLS is asked for."""
        return urlsplit(self.url).scheme == "mqtts"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def machine_client_id(line: str) -> str:
    """A client id that stays the same on this machine: 23 letters and digits, which every broker takes (3.1.1, 3.1.3.1)."""
    marks = Path("/etc/machine-id")
    machine = marks.read_text("ascii").strip() if marks.is_file() else ""
    return "ecosentry" + hashlib.sha256(f"{machine or socket.gethostname()}/{line}".encode()).hexdigest()[:14]


class Line:
    """See ToldLine."""

    def __init__(self, name: str, options: Options, secret: Callable[[str], str]) -> None:
        """Raises Halted if a secret is not there, ValueError if `ca_file`, `cert_file` or `key` cannot be used."""
        self.name = name
        self._options = options
        self._secret = secret
        self._password = secret(options.password.secret) if options.password else None
        self._client_id = options.client_id or machine_client_id(name)
        self._trust = _trust(options, secret(options.key.secret) if options.key else "")
        self._poison = Poison()
        self._connections = 0
        self._was_connected = False
        self._greeted_s: float | None = None
        self._brief = 0
        self._is_visitor = False

    def visitor(self) -> "Line":
        """See ToldLine: a session of its own that ends with the visit."""
        line = Line(self.name, self._options, self._secret)
        line._client_id = "visitor" + secrets.token_hex(8)
        line._is_visitor = True
        return line

    def run(self, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report) -> None:
        """See ToldLine."""
        options = self._options
        receipts = Receipts(self.name)
        hearing = Hearing(self.name, drivers, deliver, clock, report, receipts, options.max_payload, self._poison)
        pause_s = _FIRST_PAUSE_S
        try:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    self._connect(hearing, receipts, report, stop)
                except LineError as error:
                    if not stop.is_set():
                        report.lost(str(error) + self._suspicion())
                if time.monotonic() - began > _CALM_S:
                    pause_s = _FIRST_PAUSE_S
                self._rest(pause_s * random.uniform(0.5, 1.0), receipts, report, stop)  # noqa: S311 - jitter is no secret
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        finally:
            receipts.close()

    def _suspicion(self) -> str:
        """In words, when connections end again and again soon after the broker had taken them."""
        is_brief = self._greeted_s is not None and time.monotonic() - self._greeted_s < _BRIEF_S
        self._brief = self._brief + 1 if is_brief else 0
        if self._brief < _BRIEF_TIMES:
            return ""
        return f", {self._brief} times in a row soon after connecting: is there another client with our client_id, {self._client_id}?"

    def _connect(self, hearing: Hearing, receipts: Receipts, report: Report, stop: Event) -> None:
        """One connection, until it is lost (LineError) or `stop` is set."""
        options, trust = self._options, self._trust
        self._connections += 1
        self._greeted_s = None
        client = MqttClient(
            self._client_id, options.protocol, options.max_payload,
            lambda: dial(options.host, options.port, _CONNECT_S, stop),
            partial(secured, trust=trust, host=options.host, within_s=_TLS_S, stop=stop) if trust else None, visitor=self._is_visitor)
        if options.user:
            client.username_pw_set(options.user, self._password)
        if trust:
            client.tls_set_context(trust)

        def greeted(session_present: bool) -> None:
            if self._was_connected and not session_present:
                report.count("session")
                log.warning("line %s: the broker has forgotten our session; what was published meanwhile is lost", self.name)
            self._was_connected, self._greeted_s = True, time.monotonic()

        state_topic = "" if self._is_visitor else options.state_topic
        if state_topic:
            client.will_set(state_topic, OFFLINE, 1, retain=True)
        connection = Connection(client, self._connections, hearing, receipts, options.max_in_flight, report, greeted, state_topic)
        connection.run(options.host, options.port, round(options.keepalive), stop)

    def _rest(self, pause_s: float, receipts: Receipts, report: Report, stop: Event) -> None:
        """Wait before the next try, and for the journal if it still has a whole window of messages to write."""
        until = time.monotonic() + pause_s
        while not stop.is_set() and (time.monotonic() < until or receipts.owed >= self._options.max_in_flight):
            receipts.take(self._connections)
            report.alive(time.monotonic_ns())
            stop.wait(min(_SLICE_S, max(0.001, until - time.monotonic())))


def _trust(options: Options, key: str) -> ssl.SSLContext | None:
    if not options.is_secure:
        return None
    try:
        trust = ssl.create_default_context(cafile=options.ca_file or None)
    except OSError as error:
        raise ValueError(f"ca_file {options.ca_file} cannot be used: {error.strerror or error}") from error
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.cert_file:
        _show(trust, options.cert_file, key)
    return trust


def _show(trust: ssl.SSLContext, cert_file: str, key: str) -> None:
    """Let our certificate be shown. The key comes from the secrets and touches no file: ssl reads it out of memory."""
    memory = os.memfd_create("key")
    try:
        os.write(memory, key.encode() + b"\n")
        trust.load_cert_chain(cert_file, f"/proc/self/fd/{memory}", password=lambda: "")
    except OSError as error:
        what = "fits no private key" if "MISMATCH" in str(error) else f"or its key cannot be used: {error.strerror or error}"
        raise ValueError(f"cert_file {cert_file} {what}; both are PEM, the key without a password") from error
    finally:
        os.close(memory)
