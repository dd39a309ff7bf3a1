"""Receipts of an MQTT line: given out with each message, released by the core's thread, acknowledged by the line's thread."""

import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class MqttReceipt:
    """See drivers.reading.Receipt."""

    line: str
    packet: int
    digest: bytes
    again: bool
    qos: int
    connection: int
    """Which connection delivered it: only there may it be acknowledged."""
    _desk: "Receipts" = field(repr=False)

    def release(self) -> None:
        """See drivers.reading.Receipt."""
        self._desk.released(self)


class Receipts:
    """What is owed on one line, over all its connections."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._released: deque[MqttReceipt] = deque()
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._rung = False
        self.owed = 0
        """Given out and not released yet, also on connections that are gone: bounds what waits for the journal."""

    @property
    def ear(self) -> socket.socket:
        """Readable when something was released."""
        return self._ear

    def give(self, packet: int, qos: int, digest: bytes, again: bool, connection: int) -> MqttReceipt:
        """The receipt for one message."""
        self.owed += 1
        return MqttReceipt(self._line, packet, digest, again, qos, connection, self)

    def released(self, receipt: MqttReceipt) -> None:
        """From any thread: never blocks or raises."""
        self._released.append(receipt)
        if not self._rung:
            self._rung = True
            with suppress(OSError):  # full: it is ringing. Closed: the line has ended, the broker will send it again
                self._bell.send(b"\0")

    def take(self, connection: int) -> list[MqttReceipt]:
        """What was released since, of this connection; receipts of dead connections are forgotten."""
        return [receipt for receipt in self.take_all() if receipt.connection == connection]

    def take_all(self) -> list[MqttReceipt]:
        """What was released since, of every connection."""
        if not self._rung and not self._released:
            return []
        with suppress(BlockingIOError):
            self._ear.recv(64)
        self._rung = False  # before looking: what comes after rings again
        found = []
        while self._released:
            found.append(self._released.popleft())
            self.owed -= 1
        return found

    def close(self) -> None:
        """No more bells; releasing stays harmless."""
        self._ear.close()
        self._bell.close()
