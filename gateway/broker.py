"""Publishing to an MQTT broker with QoS 1, driven by the calling thread: sent = the broker has acknowledged.

What the alert channel and the sink share: the keys of their tables, the connection under one deadline, MQTT 5 with the
way back to 3.1.1, and what each answer of a broker means for us.
"""

import re
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import Field, field_validator, model_validator

from config.broker_session import session_clash
from config.errors import Halted, Refused, Unavailable
from config.site import Secret
from config.table import Table
from config.units import Duration
from gateway.dial import Errand, dial, in_words, is_loopback, tls_context
from gateway.traffic import Traffic

PLACE = re.compile(r"\{([^{}]*)\}")
_LOGIN = {"Not authorized", "Bad user name or password", "Banned", "Bad authentication method", "Client identifier not valid",
          "Topic name invalid", "Use another server", "Server moved"}
_CONTENT = {"Payload format invalid", "Packet too large"}
_OLD_BROKER = "Unsupported protocol version"
_NOBODY = "No matching subscribers"
_MOST_HEARD, _MOST_HEARD_BYTES = 100, 4096
_WINDOW = 100
"""So many messages are under way at once, or fewer if the broker says so."""


class BrokerTable(Table):
    """The keys that everything that publishes has."""

    url: str
    """mqtt://HOST[:1883] or mqtts://HOST[:8883] for TLS."""
    user: str = ""
    password: Secret | None = None
    allow_plain_password: bool = False
    """Without TLS a password can be read by anyone on the way; needed for mqtt:// beyond this box."""
    client_id: Annotated[str, Field(max_length=256)] = ""
    ca_file: str = ""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """auto: MQTT 5, and 3.1.1 with a broker that does not know it. Only 5 tells when publishing is not allowed."""
    timeout: Duration = 15.0

    @field_validator("url")
    @classmethod
    def _is_mqtt(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
            raise ValueError('is not the address of a broker; write "mqtts://HOST"')
        if parts.username or parts.password:
            raise ValueError("holds a login; write user and password as keys of their own")
        return url

    @model_validator(mode="after")
    def _is_discreet(self) -> Self:
        parts = urlsplit(self.url)
        if self.password and not self.user:
            raise ValueError("has a password without a user")
        if self.password and parts.scheme == "mqtt" and not (self.allow_plain_password or is_loopback(parts.hostname or "")):
            raise ValueError("would send the password in the clear; write mqtts:// or allow_plain_password = true")
        if self.ca_file and parts.scheme == "mqtt":
            raise ValueError("ca_file needs mqtts://")
        return self

    def clash(self, other: Table) -> tuple[str, str] | None:
        """See config.kinds.Neighbour."""
        return session_clash(self, other)


class Message(NamedTuple):
    """What is published; `retain`: kept by the broker for who comes later."""

    topic: str
    body: bytes
    retain: bool
    qos: int = 1
    form: str = "application/json"
    """Content type, told with MQTT 5; empty = none."""


def topic_fault(template: str, places: Collection[str]) -> str:
    """Why nothing can be published to a topic with {places}; empty if it can."""
    for name in PLACE.findall(template):
        if name not in places:
            return f"knows no {{{name}}}; there are {', '.join(sorted(places))}"
    if re.search(r"[+#${}\x00-\x1f\x7f-\x9f\ud800-\udfff]", PLACE.sub("", template)) or len(template) > 1000:
        return "may not hold + # $ { } or control characters: a message goes to one topic"
    return ""


class OldBrokerError(Exception):
    """The broker went away, or said so, when it heard a version that it does not know."""


class Broker:
    """Where to and as whom; makes connections. One thread, `close` from any."""

    def __init__(self, table: BrokerTable, secret: Callable[[str], str], keepalive_s: int = 60) -> None:
        self._table = table
        self._secret = secret
        self._keepalive_s = keepalive_s
        parts = urlsplit(table.url)
        self._secure = parts.scheme == "mqtts"
        self._host, self._port = parts.hostname or "", parts.port or (8883 if self._secure else 1883)
        self.where = f"{self._host}:{self._port}"
        self.errand = Errand()
        self.traffic = Traffic()
        self._old_broker = table.protocol == "3.1.1"
        self._will: Message | None = None

    @property
    def version(self) -> str:
        """What was spoken last."""
        return "3.1.1" if self._old_broker else "5"

    def connect(self, will: Message | None = None) -> "Visit":
        """A connection that is logged in, within the errand's time. Raises Unavailable or Halted.

        `will` is what the broker says when the connection breaks off.
        """
        self._will = will
        if not self._old_broker:
            try:
                return self._connect_as(MQTTProtocolVersion.MQTTv5)
            except OldBrokerError as error:
                if self._table.protocol == "5":
                    raise Halted(f'{self.where} does not speak MQTT 5 ({error}); write protocol = "auto"') from error
        try:
            visit = self._connect_as(MQTTProtocolVersion.MQTTv311)
        except OldBrokerError as error:
            raise Unavailable(f"{self.where} does not let us in: {error}") from error
        self._old_broker = True
        return visit

    def _connect_as(self, version: MQTTProtocolVersion) -> "Visit":
        visit = Visit(self.errand, self.traffic, version, self._table.client_id, self.where)
        if self._table.user:
            password = self._secret(self._table.password.secret) if self._table.password else None
            visit.client.username_pw_set(self._table.user, password)
        if self._will is not None:
            visit.client.will_set(self._will.topic, self._will.body, self._will.qos, self._will.retain)
        if self._secure:
            visit.client.tls_set_context(tls_context(self._table.ca_file))
        try:
            visit.connect(self._host, self._port, self._keepalive_s)
        except BaseException as error:
            visit.leave()
            if isinstance(error, OSError):
                raise in_words(error, self.where) from error
            raise
        return visit


class _Client(paho.Client):
    """Dials like everything else of ours: name and connection under one deadline."""

    errand: Errand

    def _create_socket_connection(self) -> socket.socket:
        return dial(self.host, self.port, self.errand)

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """Instead of paho's, whose handshake nobody can end."""
        assert self._ssl_context is not None  # it was given before the connection
        secured = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self.host, do_handshake_on_connect=False)
        try:
            self.errand.watch(secured)
            secured.settimeout(self.errand.left())
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured


class Visit:
    """One connection to a broker, driven by the calling thread."""

    def __init__(self, errand: Errand, traffic: Traffic, version: MQTTProtocolVersion, client_id: str, where: str) -> None:
        self._errand = errand
        self._traffic = traffic
        self._version = version
        self._where = where
        self._connected: ReasonCode | None = None
        self._published: dict[int, ReasonCode] = {}
        self._window = _WINDOW
        self._needs_listener = False
        self._granted: list[ReasonCode] | None = None
        self._heard: list[tuple[str, bytes]] = []
        self.acknowledged = 0
        """Messages of the last publish() that the broker has."""
        clean = True if version == MQTTProtocolVersion.MQTTv311 else None
        self.client = _Client(CallbackAPIVersion.VERSION2, client_id, clean, protocol=version, reconnect_on_failure=False)
        self.client.errand = errand
        self.client.max_inflight_messages_set(_WINDOW)
        self.client.on_connect = lambda _client, _data, _flags, code, properties: self._let_in(code, properties)
        self.client.on_publish = lambda _client, _data, mid, code, _properties: self._published.__setitem__(mid, code)

    def connect(self, host: str, port: int, keepalive_s: int) -> None:
        """TCP, TLS, CONNECT and its CONNACK. Raises OSError, OldBrokerError, Halted or Unavailable."""
        self.client.connect_timeout = self._errand.left()
        self.client.connect(host, port, keepalive_s)
        opened = self.client.socket()
        if isinstance(opened, socket.socket):
            self._errand.watch(opened)
            self._traffic.opened(opened)
        while self._connected is None:
            if self._turn() and self._connected is None:
                self._errand.left()
                raise OldBrokerError("it closed the connection when we said hello")
        self._judge(self._connected)

    def _let_in(self, code: ReasonCode, properties: Properties | None) -> None:
        self._connected = code
        most = getattr(properties, "ReceiveMaximum", None)
        self._window = min(_WINDOW, most) if isinstance(most, int) and most > 0 else _WINDOW

    def publish(self, messages: Sequence[Message], *, needs_listener: bool = False) -> None:
        """PUBLISH all, in order, and wait for every PUBACK. Raises Unavailable, Halted or Refused.

        `needs_listener`: what nobody is subscribed to is Unavailable; only MQTT 5 tells.
        """
        waiting: set[int] = set()
        self.acknowledged = 0
        self._needs_listener = needs_listener
        try:
            for message in messages:
                while len(waiting) >= self._window:
                    self._collect(waiting)
                waiting.add(self._send(message))
            while waiting:
                self._collect(waiting)
        except OSError as error:
            raise in_words(error, self._where) from error

    def _send(self, message: Message) -> int:
        properties = None
        if self._version == MQTTProtocolVersion.MQTTv5 and message.form:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = message.form
        try:
            return int(self.client.publish(message.topic, message.body, qos=message.qos, retain=message.retain, properties=properties).mid)
        except ValueError as error:
            raise Refused(f"cannot be published to {message.topic[:200]!r}: {error}") from error

    def _collect(self, waiting: set[int]) -> None:
        """Wait for acknowledgements, at least one packet."""
        over = self._turn() if waiting.isdisjoint(self._published) else False  # what has QoS 0 is done when it is written
        for mid in waiting & self._published.keys():
            waiting.discard(mid)
            self._judge(self._published.pop(mid))
            self.acknowledged += 1
        if over and waiting:
            self._errand.left()
            raise ConnectionResetError

    def listen(self, *filters: str) -> None:
        """SUBSCRIBE with QoS 1 and wait for the answer. Raises OSError's words as Unavailable, Halted where it is not allowed.

        The broker works through what it gets in order: with the answer it has everything that was published before, also with QoS 0.
        """
        self._granted = None
        self.client.on_subscribe = lambda _client, _data, _mid, codes, _properties: setattr(self, "_granted", codes)
        self.client.on_message = lambda _client, _data, message: self._hear(message)
        try:
            self.client.subscribe([(one, 1) for one in filters])
            while self._granted is None:
                if self._turn() and self._granted is None:
                    self._errand.left()
                    raise ConnectionResetError
        except OSError as error:
            raise in_words(error, self._where) from error
        for code in self._granted:
            if code.is_failure:
                raise Halted(f"the broker does not let us hear {', '.join(filters)}: {code}; check what the user may subscribe to")

    def _hear(self, message: paho.MQTTMessage) -> None:
        if len(self._heard) < _MOST_HEARD:
            self._heard.append((message.topic, bytes(message.payload[:_MOST_HEARD_BYTES])))

    def heard(self) -> list[tuple[str, bytes]]:
        """What was heard since the last look, at most a hundred messages."""
        found, self._heard = self._heard, []
        return found

    def attend(self) -> bool:
        """See to what has come, without waiting; False = the connection is over."""
        try:
            return self.client.loop(0.001) == MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            return False

    def leave(self, *, politely: bool = True) -> None:
        """Close what is open; not politely: without farewell, so that the broker says our will."""
        opened = self.client.socket()
        if politely:
            self.client.disconnect()
        self._count()
        self.client.on_subscribe = self.client.on_message = None
        self.client.on_connect = self.client.on_publish = None  # they refer to us, and a cycle would keep sockets open
        if opened is not None:
            opened.close()

    def _turn(self) -> bool:
        """One look at the socket; True = the connection is over."""
        over = self.client.loop(min(self._errand.left(), 1.0)) != MQTTErrorCode.MQTT_ERR_SUCCESS
        self._count()
        return over

    def _count(self) -> None:
        opened = self.client.socket()
        if isinstance(opened, socket.socket):
            self._traffic.note(opened)

    def _judge(self, code: ReasonCode) -> None:
        name = str(code)
        if not code.is_failure:
            if self._needs_listener and name == _NOBODY:
                raise Unavailable("nobody listens there yet: the broker would throw it away")
            return
        if name == _OLD_BROKER:
            raise OldBrokerError(name)
        if name in _LOGIN:
            raise Halted(f"the broker says: {name}; check user, password and what they may publish")
        if name in _CONTENT:
            raise Refused(f"the broker says: {name}")
        raise Unavailable(f"the broker says: {name}")
