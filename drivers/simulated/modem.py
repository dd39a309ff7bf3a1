"""A simulated modem (DTU): connects to the gateway, registers, keeps alive, and carries what the devices behind it say."""

import heapq
import itertools
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from threading import Thread
from types import TracebackType
from typing import Self

from drivers.codecs.modbus import is_sealed, seal
from drivers.codecs.modbus_device import request_size
from drivers.simulated.modbus import SimulatedDevice, by_address

_AGAIN_S = 0.2


class Modem:
    """Runs until it is closed; a context manager. Every knob may be turned while it runs."""

    def __init__(self, port: int, devices: Iterable[SimulatedDevice] = (), registration: bytes = b"", heartbeat: bytes = b"") -> None:
        """`port` of 127.0.0.1 is where the gateway listens; it is tried until somebody does."""
        self.port, self.registration, self.heartbeat = port, registration, heartbeat
        self.devices = by_address(devices)
        self.round_trip_s: Callable[[], float] = lambda: 0.0
        """Of each answer, as the network pleases."""
        self.register_in = 1 << 30
        """The registration comes in pieces of so many bytes."""
        self.pieces = 1 << 30
        """Answers come in pieces of so many bytes, a few milliseconds apart."""
        self.beats_inside = False
        """A heartbeat stands in the middle of every answer."""
        self.beat_every_s = 0.0
        """0 = never by itself."""
        self.is_quiet = False
        """It has the connection and says nothing any more, as after a loss of signal."""
        self.connections = 0
        self.requests = 0
        self._numbers = itertools.count()
        self._thread: Thread | None = None
        self._wake: socket.socket | None = None

    def start(self) -> None:
        """Connect, and again whenever the connection ends."""
        self._wake, ear = socket.socketpair()
        self._thread = Thread(target=self._run, args=(ear,), name="simulated modem", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up for good."""
        if self._thread is not None and self._wake is not None:
            self._wake.close()
            self._thread.join()
            self._thread = self._wake = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, ear: socket.socket) -> None:
        with ear:
            ear.settimeout(_AGAIN_S)
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", self.port), 2) as wire:
                        self.connections += 1
                        if not self._converse(wire, ear):
                            return
                except OSError:
                    pass
                try:
                    ear.recv(1)
                except TimeoutError:
                    continue
                return

    def _converse(self, wire: socket.socket, ear: socket.socket) -> bool:
        """One connection; True if the other side ended it."""
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due: list[tuple[float, int, bytes]] = []
        self._plan(due, self.registration, 0.0, self.register_in)
        got, beat_s = b"", time.monotonic() + self.beat_every_s
        with selectors.DefaultSelector() as selector:
            selector.register(wire, selectors.EVENT_READ)
            selector.register(ear, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                while due and due[0][0] <= now:
                    piece = heapq.heappop(due)[2]
                    if not self.is_quiet:
                        wire.sendall(piece)
                if self.beat_every_s and now >= beat_s and not self.is_quiet:
                    wire.sendall(self.heartbeat)
                    beat_s = now + self.beat_every_s
                waits = [due[0][0] - now] if due else []
                waits += [beat_s - now] if self.beat_every_s else []
                ready = [key.fileobj for key, _ in selector.select(min([0.1, *(max(0.0, wait) for wait in waits)]))]
                if ear in ready:
                    return False
                if wire in ready:
                    came = wire.recv(4096)
                    if not came:
                        return True
                    got = self._hear(got + came, due)

    def _hear(self, got: bytes, due: list[tuple[float, int, bytes]]) -> bytes:
        """Answers what is whole; gives the rest."""
        while len(got) >= 2:
            size = request_size(got)
            if size == 0 or 0 < len(got) < size:
                break
            if size > 0 and is_sealed(got[:size]):
                self._ask(got[:size], due)
                got = got[size:]
            else:
                got = got[1:]
        return got

    def _ask(self, request: bytes, due: list[tuple[float, int, bytes]]) -> None:
        self.requests += 1
        device = self.devices.get(request[0])
        reply = device.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu)) if device else None
        if reply and reply.frame:
            half = len(reply.frame) // 2
            frame = reply.frame[:half] + self.heartbeat + reply.frame[half:] if self.beats_inside else reply.frame
            self._plan(due, frame, reply.delay_s + self.round_trip_s(), self.pieces)

    def _plan(self, due: list[tuple[float, int, bytes]], data: bytes, after_s: float, size: int) -> None:
        for number, at in enumerate(range(0, len(data), size)):
            heapq.heappush(due, (time.monotonic() + after_s + 0.003 * number, next(self._numbers), data[at : at + size]))
