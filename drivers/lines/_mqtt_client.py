"""paho's client as our line needs it: it reads in large pieces, keeps huge messages out of memory, acknowledges in bulk."""

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from typing import Literal

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_PIECE = 65536
_HEADERS = 131_072
"""Topic and packet number of a message need less."""
_PUBACK = 0x40
_DISCONNECT = b"\xe0\0"
_NEVER = 0xFFFFFFFF
_MOST_5 = 16 * 2**20
"""MQTT 5: a larger message is not sent to us at all."""


class MqttClient(Client):
    """One connection to a broker; a new one is made for every try. Used by the line's thread only."""

    def __init__(
        self, client_id: str, protocol: Literal["3.1.1", "5"], most_payload: int, dial: Callable[[], socket.socket], *, visitor: bool = False,
    ) -> None:
        """`dial` gives a connected socket, bounded in time. A visitor's session ends with its connection."""
        five = protocol == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2, client_id, clean_session=None if five else visitor,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False, manual_ack=True)
        self._five = five
        self._visitor = visitor
        self._dial = dial
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
