"""One connection to a broker, from CONNECT to the end of it, in the line's thread."""

import select
import time
from collections.abc import Callable
from threading import Event
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from config.errors import LineError
from drivers.driver import Report
from drivers.lines._mqtt_client import MqttClient
from drivers.lines._mqtt_hearing import Hearing
from drivers.lines._receipts import Receipts

_SLICE_S = 0.2
"""No wait is longer than this without a look at `stop`."""
_GREETING_S = 10.0
"""CONNACK and SUBACK come within this."""
_LEAVING_S = 1.5
"""So long receipts that are still owed are waited for when the daemon stops."""
_FAREWELL_S = 1.8
"""Counted from the same moment: so long the broker may take to see the last acknowledgements."""
_ONLINE, OFFLINE = "online", "offline"
_AT_ONCE = 8
"""Filters in one SUBSCRIBE: some hosted brokers take no more."""
_WHY = {"Keep alive timeout": "the broker no longer answers", "Protocol error": "what came is not MQTT"}


class Connection:
    """Connects, subscribes, hears, acknowledges; `run` raises LineError when it is over."""

    def __init__(
        self, client: MqttClient, number: int, hearing: Hearing, receipts: Receipts, most_owed: int, report: Report,
        greeted: Callable[[bool], None], state_topic: str = "",
    ) -> None:
        """`number` tells this connection from all others of the line; `greeted(session_present)` is called once.

        At `state_topic` the broker keeps whether we are there.
        """
        self._state_topic = state_topic
        self._client, self._number, self._hearing = client, number, hearing
        self._receipts, self._most_owed, self._report, self._greeted = receipts, most_owed, report, greeted
        self._asked: dict[int, list[str]] = {}
        self._complaints: list[str] = []
        self._why = ""
        self._is_up = self._is_greeted = False
        self._poll = select.poll()
        self._poll.register(receipts.ear, select.POLLIN)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.heard = self._on_message
        client.on_disconnect = self._on_disconnect

    def run(self, host: str, port: int, keepalive_s: int, stop: Event) -> None:
        """Until the connection is lost (LineError) or `stop` is set (returns after a DISCONNECT)."""
        try:
            self._client.begin(host, port, keepalive_s, self._most_owed)
            stopped = self._work(stop)
            if self._is_up:
                self._leave(stopped)
        except OSError as error:
            raise LineError(f"{host} port {port}: {error.strerror or error}") from error
        finally:
            self._client.end()

    def _leave(self, stopped: float) -> None:
        """A farewell makes the broker forget our last will: what it would have said is said here."""
        self._say(OFFLINE)
        self._client.farewell(stopped + _FAREWELL_S)

    def _say(self, state: str) -> None:
        if self._state_topic:
            self._client.publish(self._state_topic, state, qos=1, retain=True)

    def _work(self, stop: Event) -> float:
        """Gives the moment (monotonic) when `stop` was seen."""
        greeting_ends = time.monotonic() + _GREETING_S
        stopped: float | None = None
        while stopped is None or (self._receipts.owed and self._is_up and time.monotonic() < stopped + _LEAVING_S):
            if stop.is_set() and stopped is None:
                stopped = time.monotonic()
            self._acknowledge()
            self._turn(hears=stopped is None and self._receipts.owed < self._most_owed)
            self._report.alive(time.monotonic_ns())
            if self._is_up and stopped is None:
                self._reply()
            if not self._is_up and time.monotonic() > greeting_ends:
                raise LineError(f"the broker took the connection but has not answered for {_GREETING_S:.0f} s")
        self._acknowledge()
        return stopped

    def _acknowledge(self) -> None:
        receipts = self._receipts.take(self._number)
        if not receipts:
            return
        self._client.acknowledge(receipt.packet for receipt in receipts if receipt.qos == 1)
        for receipt in receipts:
            if receipt.qos == 2:
                self._client.ack(receipt.packet, 2)

    def _reply(self) -> None:
        """What drivers have to say; never waited for."""
        for reply in self._hearing.replies():
            self._client.publish(reply.topic, reply.payload, qos=0)

    def _turn(self, *, hears: bool) -> None:
        """Sleep until there is something to do, and do it."""
        client = self._client
        wire = self._wire()
        self._poll.register(wire, (select.POLLIN if hears else select.POLLRDHUP) | (select.POLLOUT if client.want_write() else 0))
        ready = dict(self._poll.poll(0 if hears and client.holds_bytes else 1000 * _SLICE_S)).get(wire, 0)
        if hears and (client.holds_bytes or ready & (select.POLLIN | select.POLLHUP | select.POLLERR)):
            client.loop_read()
            while client.socket() is not None and client.holds_bytes and self._receipts.owed < self._most_owed:
                client.loop_read()
        elif ready & (select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL):
            raise LineError("the broker closed the connection")
        if ready & select.POLLOUT:
            client.loop_write()
        if hears:  # who does not read cannot see the answer to a ping
            client.loop_misc()
        self._wire()

    def _wire(self) -> int:
        """The socket's descriptor. Raises LineError with the reason if the connection is over."""
        wire = self._client.socket()
        if wire is None:
            raise LineError(self._why or "the broker closed the connection")
        return wire.fileno()

    # paho calls these from loop_read, in the line's thread
    def _on_connect(self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None) -> None:  # noqa: ANN401
        self._is_greeted = True
        if reason.is_failure:
            self._why = f"the broker refuses us: {reason}"
            return
        self._hearing.connected(self._number, flags.session_present)
        self._greeted(flags.session_present)
        filters = self._hearing.filters
        for first in range(0, len(filters), _AT_ONCE):
            some = list(filters[first : first + _AT_ONCE])
            number = client.subscribe([(topic, 1) for topic in some])[1]
            if number is not None:
                self._asked[number] = some
        self._up()

    def _on_subscribe(self, client: Client, _: Any, number: int, reasons: list[ReasonCode], properties: Properties | None) -> None:  # noqa: ANN401
        for topic, reason in zip(self._asked.pop(number, ()), reasons, strict=False):
            if reason.is_failure:
                self._complaints.append(f"the broker does not let us hear {topic}: {reason}")
            elif reason.value == 0:
                self._complaints.append(f"the broker gives {topic} only with QoS 0: messages can be lost")
        self._up()

    def _up(self) -> None:
        if not self._asked:
            if not self._is_up:
                self._say(_ONLINE)
            self._is_up = True
            self._report.opened("; ".join(self._complaints))

    def _on_message(self, name: bytes, payload: bytes, qos: int, packet: int, dup: bool, retained: bool) -> bool:
        try:
            topic = name.decode()
        except UnicodeDecodeError:
            topic = "a topic that is not UTF-8"
        if self._state_topic and topic == self._state_topic:  # our own voice, where a device has a wide filter
            self._client.ack(packet, qos)
            return True
        self._hearing.message(topic, payload, qos, packet, dup, retained)
        return self._receipts.owed < self._most_owed

    def _on_disconnect(self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None) -> None:  # noqa: ANN401
        if not self._why:
            ended = f"the broker ended the connection: {reason}" if flags.is_disconnect_packet_from_server else ""
            silent = "" if self._is_greeted else " before the broker answered: is it one, does it want a certificate?"
            self._why = ended or _WHY.get(str(reason), f"the connection broke off{silent}")
