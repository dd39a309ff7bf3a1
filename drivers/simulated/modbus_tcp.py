"""A simulated Modbus TCP server: one or more units behind one port of this machine."""

import heapq
import selectors
import socket
import struct
import time
from collections.abc import Iterable
from threading import Thread
from types import TracebackType
from typing import Self

from drivers.codecs.modbus import wrap
from drivers.simulated.modbus import SimulatedDevice, by_address


class TcpServer:
    """Answers for its devices until it is closed; a context manager. Listens on 127.0.0.1 only."""

    def __init__(self, devices: Iterable[SimulatedDevice], port: int = 0) -> None:
        """`port` 0 = the system chooses; `self.port` is the one in use, also after close() and start()."""
        self.devices = by_address(devices)
        self.port = port
        self._thread: Thread | None = None
        self._wake: socket.socket | None = None
        self._got: dict[socket.socket, bytes] = {}
        self._due: list[tuple[float, int, socket.socket, bytes, bool]] = []
        self._count = 0

    def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        if self._thread is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._wake, wake = socket.socketpair()
        self._thread = Thread(target=self._serve, args=(listener, wake), name="simulated server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close every connection and stop listening; the port stays noted for start()."""
        if self._thread is None or self._wake is None:
            return
        self._wake.close()
        self._thread.join()
        self._thread = self._wake = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _serve(self, listener: socket.socket, wake: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while True:
                wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
                ready = [key.fileobj for key, _ in selector.select(wait_s)]
                if wake in ready:
                    break
                while self._due and self._due[0][0] <= time.monotonic():
                    _, _, client, frame, disconnect = heapq.heappop(self._due)
                    self._send(client, frame, disconnect, selector)
                for ready_one in ready:
                    if ready_one is listener:
                        self._accept(listener, selector)
                    elif isinstance(ready_one, socket.socket) and ready_one in self._got:
                        self._hear(ready_one, selector)
        for open_one in (listener, wake, *self._got):
            open_one.close()
        self._got.clear()
        self._due.clear()

    def _accept(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        client, _ = listener.accept()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got[client] = b""
        selector.register(client, selectors.EVENT_READ)

    def _drop(self, client: socket.socket, selector: selectors.BaseSelector) -> None:
        if self._got.pop(client, None) is not None:
            selector.unregister(client)
            client.close()

    def _hear(self, client: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            came = client.recv(4096)
        except OSError:
            came = b""
        if not came:
            self._drop(client, selector)
            return
        got = self._got[client] + came
        while len(got) >= 8 and len(got) >= (size := 6 + int.from_bytes(got[4:6])):
            number, _, _, unit = struct.unpack_from(">HHHB", got)
            self._answer(client, number, unit, got[7:size])
            got = got[size:]
        self._got[client] = got

    def _answer(self, client: socket.socket, number: int, unit: int, pdu: bytes) -> None:
        device = self.devices.get(unit)
        reply = device.reply(pdu, lambda as_unit, answer: wrap(number, as_unit, answer)) if device else None
        if reply:
            self._count += 1
            heapq.heappush(self._due, (time.monotonic() + reply.delay_s, self._count, client, reply.frame, reply.disconnect))

    def _send(self, client: socket.socket, frame: bytes, disconnect: bool, selector: selectors.BaseSelector) -> None:
        if client not in self._got:
            return
        try:
            client.sendall(frame)
        except OSError:
            disconnect = True
        if disconnect:
            self._drop(client, selector)
