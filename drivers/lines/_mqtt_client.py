"""paho's client as our line needs it: it reads in large pieces, keeps huge messages out of memory, acknowledges in bulk.

A PUBLISH of QoS 0 or 1 that lies whole in what was read is taken apart here: on paho's way through locks, logs and a message object it
costs more than all that becomes of the reading afterwards. Everything else, and whatever looks wrong, goes paho's way.
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_PIECE = 65536
_HEADERS = 131_072
"""Topic and packet number of a message need less."""
_PUBACK = 0x40
_DISCONNECT = b"\xe0\0"
_PUBLISH = {0x30 | dup | qos | retain for dup in (0, 8) for qos in (0, 2) for retain in (0, 1)}
_NEVER = 0xFFFFFFFF
_MOST_5 = 16 * 2**20
"""MQTT 5: a larger message is not sent to us at all."""


class MqttClient(Client):
    """One connection to a broker; a new one is made for every try. Used by the line's thread only."""

    def __init__(
        self, client_id: str, protocol: Literal["3.1.1", "5"], most_payload: int, dial: Callable[[], socket.socket],
        secure: Callable[[socket.socket], ssl.SSLSocket] | None = None, *, visitor: bool = False,
    ) -> None:
        """`dial` gives a connected socket, `secure` puts TLS over it, both bounded in time. A visitor's session ends with its connection."""
        five = protocol == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2, client_id, clean_session=None if five else visitor,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False, manual_ack=True)
        self.heard: Callable[[bytes, bytes, int, int, bool, bool], bool] = lambda *_: True
        """Called with each message: topic as bytes, payload, QoS, packet number, dup, retained. It says whether the next may follow at once."""
        self.on_message = self._on_a_message
        self._five = five
        self._visitor = visitor
        self._dial = dial
        self._secure = secure
        self._most = most_payload + _HEADERS
        self._came = b""
        self._at = 0

    def begin(self, host: str, port: int, keepalive_s: int, most_in_flight: int) -> None:
        """Connect and send CONNECT. Raises OSError, LineError of `dial`."""
        if not self._five:
            self.connect(host, port, keepalive_s)
            return
        wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        wishes.ReceiveMaximum = most_in_flight
        wishes.MaximumPacketSize = _MOST_5
        if not self._visitor:
            wishes.SessionExpiryInterval = _NEVER
        self.connect(host, port, keepalive_s, clean_start=self._visitor, properties=wishes)

    @property
    def holds_bytes(self) -> bool:
        """Bytes have been read from the socket that are not worked through: do not wait for the socket."""
        return self._at < len(self._came) or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0)

    def farewell(self, until: float) -> None:
        """DISCONNECT, and wait (until that time, monotonic) for the broker to close: then it has seen every acknowledgement.

        What still comes is not read. Closed at once, a connection that is opened again quickly would overtake the
        acknowledgements and get everything twice.
        """
        self._packet_queue(_PUBACK, _DISCONNECT, 0, 1)  # as DISCONNECT paho would close the socket behind it
        poll = select.poll()
        while self._sock is not None and time.monotonic() < until:
            poll.register(self._sock, select.POLLIN | (select.POLLOUT if self.want_write() else 0))
            poll.poll(50)
            if self.want_write():
                self.loop_write()
            try:
                while self._sock is not None:
                    if not super()._sock_recv(_PIECE):
                        return
            except BlockingIOError:
                continue
            except OSError:
                return

    def end(self) -> None:
        """Close the socket, whatever state it is in."""
        self._sock_close()
        self._came, self._at = b"", 0

    def acknowledge(self, packets: Iterable[int]) -> None:
        """PUBACK for all these packet numbers, in one piece."""
        frames = b"".join(struct.pack("!BBH", _PUBACK, 2, packet) for packet in packets)
        if frames:
            self._packet_queue(_PUBACK, frames, 0, 1)

    def _create_socket_connection(self) -> socket.socket:
        return self._dial()

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """Instead of paho's, which shakes hands for seconds without a look at anything else."""
        return self._secure(tcp_sock) if self._secure is not None else super()._ssl_wrap_socket(tcp_sock)

    def _on_a_message(self, client: Client, _: Any, message: MQTTMessage) -> None:  # noqa: ANN401
        """What went paho's way."""
        self.heard(message._topic, bytes(message.payload), message.qos, message.mid, message.dup, message.retain)  # noqa: SLF001

    def _packet_read(self) -> MQTTErrorCode:
        """The client's step of reading: the messages that have come, as far as they are wanted now; else one packet, or what there is of it."""
        if self._in_packet["command"]:
            return super()._packet_read()
        if self._at >= len(self._came):
            try:
                self._came, self._at = super()._sock_recv(_PIECE), 0
            except BlockingIOError:
                return MQTTErrorCode.MQTT_ERR_AGAIN
            except OSError:
                return MQTTErrorCode.MQTT_ERR_CONN_LOST
            if not self._came:
                return MQTTErrorCode.MQTT_ERR_CONN_LOST
            self._last_msg_in = time.monotonic()
        while self._at < len(self._came):
            message = self._message()
            if message is None:
                return super()._packet_read()
            if not self.heard(*message):
                break
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _message(self) -> tuple[bytes, bytes, int, int, bool, bool] | None:
        """Take the PUBLISH that begins here (MQTT 5.0, 3.3), as `heard` wants it; None = it is none, not whole or not right, nothing was taken."""
        came = self._came
        head = came[self._at]
        if head not in _PUBLISH:
            return None
        size, place = _length(came, self._at + 1)
        end = place + size
        if not 5 <= size <= len(came) - place:
            return None
        packet, at = 0, place + 2
        topic = came[at : (at := at + (came[place] << 8 | came[place + 1]))]
        if head & 2 and at + 2 <= end:
            packet, at = came[at] << 8 | came[at + 1], at + 2
        if self._five and at < end:
            properties, at = _length(came, at)
            at += properties
        if not topic or at > end or (head & 2 and not packet):
            return None
        self._at = end
        return topic, came[at:end], head >> 1 & 3, packet, bool(head & 8), bool(head & 1)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._came):
            self._came, self._at = super()._sock_recv(_PIECE), 0
        piece = self._came[self._at : self._at + bufsize]
        self._at += len(piece)
        packet = self._in_packet
        if not self._five and len(piece) > 1 and packet["have_remaining"] and len(packet["packet"]) >= self._most:
            packet["to_process"] -= len(piece) - 1  # a monstrous message: what is too much of it is not kept
            return piece[-1:]
        return piece


def _length(came: bytes, at: int) -> tuple[int, int]:
    r"""A variable byte integer (MQTT 5.0, 1.5.5) and where it ends; more than all there is if it is cut.

    >>> _length(b"..\xc1\x02", 2)
    (321, 4)
    """
    value = 0
    for shift in (0, 7, 14, 21):
        if at >= len(came):
            break
        byte = came[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    return _NEVER, at
