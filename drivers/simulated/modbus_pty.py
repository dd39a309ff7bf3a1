"""A simulated RS-485 line: Modbus RTU devices on the far end of a pseudo-terminal, several addresses on one line."""

import heapq
import os
import select
import termios
import time
import tty
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Self

from drivers.codecs.modbus import is_sealed, seal
from drivers.codecs.modbus_device import request_size
from drivers.simulated.modbus import SimulatedDevice, by_address

_SPEEDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as the line saw it, in seconds of time.monotonic()."""

    came_s: float
    """When the whole request was there."""
    answered_s: float
    """When the answer's last byte left (a paced answer leaves whole, when its last byte would); equals `came_s` while there is none."""


class SerialBus:
    """Answers for its devices until it is closed; a context manager. `path` is what the gateway opens."""

    def __init__(self, devices: Iterable[SimulatedDevice], link: Path | None = None, paced_baud: int = 0) -> None:
        """`link`: a name that stays when the line is unplugged and plugged again.

        `paced_baud`: requests and answers take their time on the wire at this baud rate (10 bits a character); 0 = none.
        """
        self.devices = by_address(devices)
        self.link = link
        self.seen: list[Exchange] = []
        """The newest 10 000 exchanges."""
        self._character_s = 10 / paced_baud if paced_baud else 0.0
        self._ends: tuple[int, int] | None = None
        self._thread: Thread | None = None
        self._wake: tuple[int, int] | None = None
        self._due: list[tuple[float, float, bytes]] = []
        self._lock = Lock()

    @property
    def path(self) -> Path:
        """The device file, or the link to it. Raises RuntimeError while it is unplugged without a link."""
        if self.link is not None:
            return self.link
        if self._ends is None:
            raise RuntimeError("the line is unplugged")
        return Path(os.ttyname(self._ends[1]))

    @property
    def baudrate(self) -> int:
        """What the gateway has set on its end; 0 = not known."""
        return _SPEEDS.get(termios.tcgetattr(self._ends[0])[4], 0) if self._ends else 0

    def plug(self) -> None:
        """Make the line (again)."""
        with self._lock:
            if self._ends is not None:
                return
            far, near = os.openpty()
            tty.setraw(near)
            os.set_blocking(far, False)
            self._ends, self._wake = (far, near), os.pipe()
            if self.link is not None:
                self.link.unlink(missing_ok=True)
                self.link.symlink_to(os.ttyname(near))
            self._thread = Thread(target=self._serve, args=(far, self._wake[0]), name="simulated line", daemon=True)
            self._thread.start()

    def unplug(self) -> None:
        """Take the line away: whoever has it open gets an input/output error, and its name is gone."""
        with self._lock:
            if self._ends is None or self._thread is None or self._wake is None:
                return
            os.close(self._wake[1])
            self._thread.join()
            if self.link is not None:
                self.link.unlink(missing_ok=True)
            for end in (*self._ends, self._wake[0]):
                os.close(end)
            self._ends = self._thread = self._wake = None
            self._due.clear()

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.unplug()

    def _serve(self, far: int, wake: int) -> None:
        """One thread: requests in, answers out when their time has come."""
        got, last_s = b"", 0.0
        while True:
            wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            ready = select.select([far, wake], [], [], wait_s)[0]
            if wake in ready:
                return
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, came_s, frame = heapq.heappop(self._due)
                self._transmit(far, came_s, frame)
            if far in ready:
                got = b"" if now - last_s > 0.05 + 8 * self._character_s else got
                requests, got = _requests(got + _read(far))
                last_s = now
                for request in requests:
                    self._hear(request, now)

    def _hear(self, request: bytes, now: float) -> None:
        """Let the device that is meant make its answer, and note when it has to leave."""
        end_s = now + len(request) * self._character_s
        device = self.devices.get(request[0])
        reply = device.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu)) if device else None
        self._note(Exchange(end_s, end_s))
        if reply and reply.frame:
            heapq.heappush(self._due, (end_s + reply.delay_s + len(reply.frame) * self._character_s, end_s, reply.frame))

    def _transmit(self, far: int, came_s: float, frame: bytes) -> None:
        leaves_s = time.monotonic()
        if self.seen and self.seen[-1].came_s == came_s:
            self.seen[-1] = Exchange(came_s, leaves_s)
        with suppress(BlockingIOError):  # nobody reads: the bytes are lost, as on a real line
            os.write(far, frame)

    def _note(self, exchange: Exchange) -> None:
        if len(self.seen) >= 10_000:
            del self.seen[:5_000]
        self.seen.append(exchange)


def _read(far: int) -> bytes:
    try:
        return os.read(far, 4096)
    except OSError:
        return b""


def _requests(got: bytes) -> tuple[list[bytes], bytes]:
    """Whole good requests, and what may become one; bytes that cannot are dropped one by one."""
    found = []
    while len(got) >= 2:
        size = request_size(got)
        if size == 0 or 0 < len(got) < size:
            break
        if size > 0 and is_sealed(got[:size]):
            found.append(got[:size])
            got = got[size:]
        else:
            got = got[1:]
    return found, got
