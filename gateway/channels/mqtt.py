"""Alerts published to an MQTT topic, as JSON, with QoS 1: told = the broker has acknowledged.

Alerts are rare, so each is a visit of its own: connect, publish, wait for the PUBACK, leave. No thread and no state
stay behind between two alerts, and a broker that was away in the meantime does not matter. A repeated try may publish
twice; `id` in the document is the same, which is how a subscriber knows.
"""

import re
import socket
import time
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import Field, field_validator, model_validator

from config.errors import ConfigError, Halted, Problem, Refused, Unavailable
from config.site import Secret
from config.table import Table
from config.units import Duration
from gateway.channels._document import document
from gateway.contracts import Notice, Surroundings
from gateway.dial import Errand, dial, in_words, is_loopback, tls_context

_PLACE = re.compile(r"\{([^{}]*)\}")
_PLACES = {"station", "device", "quantity", "rule", "alert", "colour", "state", "about", "area"}
_LOGIN = {"Not authorized", "Bad user name or password", "Banned", "Bad authentication method", "Client identifier not valid",
          "Topic name invalid", "Use another server", "Server moved"}
_CONTENT = {"Payload format invalid", "Packet too large"}
_OLD_BROKER = "Unsupported protocol version"
_CONTENT_TYPE = "application/json"


class Options(Table):
    """Keys of `[channels.NAME]` with kind = "mqtt"."""

    url: str
    """mqtt://HOST[:1883] or mqtts://HOST[:8883] for TLS."""
    topic: Annotated[str, Field(min_length=1)] = "ecosentry/{station}/alerts"
    """May hold {station} {device} {quantity} {rule} {alert} {colour} {state} {about} {area}."""
    state_topic: str = ""
    """If given: the newest message of each alert, kept by the broker for who comes later, taken away when it has ended."""
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

    @field_validator("topic", "state_topic")
    @classmethod
    def _is_template(cls, topic: str) -> str:
        if wrong := _what_is_wrong(topic):
            raise ValueError(wrong)
        return topic


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


class Channel:
    """Publishes to one topic of one broker; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options = options
        self._around = around
        self._topic = around.address or options.topic
        if wrong := _what_is_wrong(self._topic):
            raise ConfigError([Problem("", f'channel {around.name}: the topic "{self._topic}" {wrong}')])
        parts = urlsplit(options.url)
        self._secure = parts.scheme == "mqtts"
        self._host, self._port = parts.hostname or "", parts.port or (8883 if self._secure else 1883)
        self._errand = Errand()
        self._old_broker = options.protocol == "3.1.1"

    def tell(self, notice: Notice, deadline: float) -> None:
        """Publish and wait for the PUBACK. Raises Unavailable, Halted or Refused."""
        body = document(notice)
        messages = [(fill(self._topic, notice), body, False)]
        if self._options.state_topic:
            over = notice.data.get("state") == "ended" or notice.kind in ("alert.ended", "alert.withdrawn")
            messages.append((fill(self._options.state_topic, notice), b"" if over else body, True))
        self._visit(messages, deadline)

    def check(self, deadline: float) -> str:
        """Connects and logs in. Whether publishing is allowed shows with the first message."""
        self._visit([], deadline)
        version = "3.1.1" if self._old_broker else "5"
        return f"{self._host}:{self._port} lets us in (MQTT {version})"

    def close(self) -> None:
        """Let go; a try that runs ends soon with Unavailable."""
        self._errand.end()

    def _visit(self, messages: list[tuple[str, bytes, bool]], deadline: float) -> None:
        self._errand.begin(min(deadline, time.monotonic() + self._options.timeout))
        if not self._old_broker:
            try:
                return self._visit_as(MQTTProtocolVersion.MQTTv5, messages)
            except _OldBrokerError as error:
                if self._options.protocol == "5":
                    raise Halted(f'{self._host}:{self._port} does not speak MQTT 5 ({error}); write protocol = "auto"') from error
        try:
            self._visit_as(MQTTProtocolVersion.MQTTv311, messages)
        except _OldBrokerError as error:
            raise Unavailable(f"{self._host}:{self._port} does not let us in: {error}") from error
        self._old_broker = True
        return None

    def _visit_as(self, version: MQTTProtocolVersion, messages: list[tuple[str, bytes, bool]]) -> None:
        visit = _Visit(self._errand, version, self._options.client_id)
        client = visit.client
        if self._options.user:
            password = self._around.secret(self._options.password.secret) if self._options.password else None
            client.username_pw_set(self._options.user, password)
        if self._secure:
            client.tls_set_context(tls_context(self._options.ca_file))
        try:
            visit.connect(self._host, self._port)
            for topic, body, retain in messages:
                visit.publish(topic, body, retain)
            client.disconnect()
        except OSError as error:
            raise in_words(error, f"{self._host}:{self._port}") from error
        finally:
            visit.leave()


def fill(template: str, notice: Notice) -> str:
    """The topic of one notice; a value that could not be one level of a topic has those characters replaced by _."""

    def value(match: re.Match[str]) -> str:
        text = str(notice.data.get(match[1]) or "none")
        return re.sub(r"[+#/$\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "_", text)[:200]

    return _PLACE.sub(value, template)


class _OldBrokerError(Exception):
    """The broker went away, or said so, when it heard a version that it does not know."""


class _Client(paho.Client):
    """Dials like everything else of ours: name and connection under one deadline."""

    errand: Errand

    def _create_socket_connection(self) -> socket.socket:
        return dial(self.host, self.port, self.errand)


class _Visit:
    """One connection to a broker, driven by the calling thread."""

    def __init__(self, errand: Errand, version: MQTTProtocolVersion, client_id: str) -> None:
        self._errand = errand
        self._version = version
        self._connected: ReasonCode | None = None
        self._published: dict[int, ReasonCode] = {}
        clean = True if version == MQTTProtocolVersion.MQTTv311 else None
        self.client = _Client(CallbackAPIVersion.VERSION2, client_id, clean, protocol=version, reconnect_on_failure=False)
        self.client.errand = errand
        self.client.on_connect = lambda _client, _data, _flags, code, _properties: setattr(self, "_connected", code)
        self.client.on_publish = lambda _client, _data, mid, code, _properties: self._published.__setitem__(mid, code)

    def connect(self, host: str, port: int) -> None:
        """TCP, TLS, CONNECT and its CONNACK."""
        self.client.connect_timeout = self._errand.left()
        self.client.connect(host, port)
        opened = self.client.socket()
        if isinstance(opened, socket.socket):
            self._errand.watch(opened)
        while self._connected is None:
            if self._turn() and self._connected is None:
                self._errand.left()
                raise _OldBrokerError("it closed the connection when we said hello")
        self._judge(self._connected)

    def publish(self, topic: str, body: bytes, retain: bool) -> None:
        """PUBLISH and its PUBACK."""
        properties = None
        if self._version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = _CONTENT_TYPE
        try:
            sent = self.client.publish(topic, body, qos=1, retain=retain, properties=properties)
        except ValueError as error:
            raise Refused(f"cannot be published to {topic!r}: {error}") from error
        while sent.mid not in self._published:
            if self._turn():
                self._errand.left()
                raise ConnectionResetError
        self._judge(self._published[sent.mid])

    def leave(self) -> None:
        """Close what is open."""
        opened = self.client.socket()
        self.client.disconnect()
        self.client.on_connect = self.client.on_publish = None  # they refer to us, and a cycle would keep sockets open
        if opened is not None:
            opened.close()

    def _turn(self) -> bool:
        """One look at the socket; True = the connection is over."""
        return self.client.loop(min(self._errand.left(), 1.0)) != MQTTErrorCode.MQTT_ERR_SUCCESS

    def _judge(self, code: ReasonCode) -> None:
        name = str(code)
        if not code.is_failure:
            return
        if name == _OLD_BROKER:
            raise _OldBrokerError(name)
        if name in _LOGIN:
            raise Halted(f"the broker says: {name}; check user, password and what they may publish")
        if name in _CONTENT:
            raise Refused(f"the broker says: {name}")
        raise Unavailable(f"the broker says: {name}")


def _what_is_wrong(topic: str) -> str:
    """Why nothing can be published there; empty if it can."""
    for name in _PLACE.findall(topic):
        if name not in _PLACES:
            return f"knows no {{{name}}}; there are {', '.join(sorted(_PLACES))}"
    if re.search(r"[+#${}\x00-\x1f\x7f-\x9f\ud800-\udfff]", _PLACE.sub("", topic)) or len(topic) > 1000:
        return "may not hold + # $ { } or control characters: a message goes to one topic"
    return ""
