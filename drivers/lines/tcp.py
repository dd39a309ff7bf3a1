"""A TCP connection to a device or a serial-to-network converter. Looking up, connecting and a dead peer are all bounded."""

import errno
import select
import socket
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Annotated, Literal

from pydantic import Field

from config.errors import LineError
from config.table import Table
from config.units import Duration
from drivers.lines._wire import DescriptorWire
from drivers.reading import Clock

_SLICE_S = 0.1
_DEAD_PEER_MS = 20_000
"""Bytes that are not acknowledged for so long mean that the other side is gone."""

Address = tuple[int, tuple[str | int | bytes, ...]]
"""Family and socket address."""


class Options(Table):
    """Keys of a line of kind tcp."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    framing: Literal["tcp", "rtu"] = "tcp"
    """tcp: Modbus TCP. rtu: serial frames through a transparent converter."""
    connect: Duration = 5.0
    """Look-up and connection together take no longer."""
    round_trip: Duration = 0.01
    """What the network adds to an exchange: a radio modem needs "1 s"."""

    @property
    def character_s(self) -> float:
        """Not known and not needed: bytes come in packets."""
        return 0.0

    @property
    def silence_s(self) -> float:
        """Serial frames are told apart by silence behind the converter too: t3.5 at 9600 baud."""
        return 0.004 if self.framing == "rtu" else 0.0

    @property
    def round_trip_s(self) -> float:
        """What the network adds."""
        return self.round_trip


class Line:
    """See AskedLine."""

    def __init__(self, name: str, options: Options, secret: Callable[[str], str]) -> None:
        """A TCP line needs no secret."""
        self.name = name
        self._options = options
        self._socket: socket.socket | None = None

    def open(self, stop: Event, clock: Clock) -> DescriptorWire:
        """See AskedLine."""
        self.close()
        options = self._options
        deadline = time.monotonic() + options.connect
        why = ""
        for address in _addresses(options.host, options.port, deadline, stop):
            try:
                self._socket = _connected(address, deadline, stop)
            except OSError as error:
                why = error.strerror or str(error)
                continue
            return DescriptorWire(self._socket.fileno(), clock, stop, options.character_s, options.silence_s)
        raise LineError(f"{options.host} port {options.port}: {why or 'no address'}")

    def close(self) -> None:
        """See AskedLine."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _addresses(host: str, port: int, deadline: float, stop: Event) -> list[Address]:
    """Where the host is. The resolver cannot be interrupted, so it works in a thread that may be left behind."""
    found: SimpleQueue[list[Address] | OSError] = SimpleQueue()

    def look() -> None:
        try:
            found.put([(row[0], row[4]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except OSError as error:
            found.put(error)

    Thread(target=look, name=f"look-up {host}", daemon=True).start()
    while not stop.is_set() and time.monotonic() < deadline:
        try:
            result = found.get(timeout=_SLICE_S)
        except Empty:
            continue
        if isinstance(result, OSError):
            raise LineError(f"{host} is not known: {result.strerror or result}") from result
        return result
    raise LineError(f"{host}: the name server does not answer")


def _connected(address: Address, deadline: float, stop: Event) -> socket.socket:
    """A connection, or OSError with the cause."""
    family, place = address
    wire = socket.socket(family, socket.SOCK_STREAM)
    try:
        wire.setblocking(False)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, figure in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", _DEAD_PEER_MS)):
            if hasattr(socket, option):
                wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), figure)
        code = wire.connect_ex(place)
        while code == errno.EINPROGRESS and not stop.is_set() and time.monotonic() < deadline:
            if select.select([], [wire], [], _SLICE_S)[1]:
                code = wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "does not answer" if code == errno.EINPROGRESS else errno.errorcode.get(code, str(code)))
    except BaseException:
        wire.close()
        raise
    return wire
