"""A clock that a test turns, and a line whose far side is a function: no thread, no waiting."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from config.errors import LineError
from drivers.owed import Owed
from drivers.reading import Clock, Delivery, Stamp

START_UTC_NS = 1_789_999_200_000_000_000
"""A full hour."""


class VirtualClock:
    """Stands still until it is told to go on."""

    def __init__(self, mono_ns: int = 50_000_000_000, utc_ns: int = START_UTC_NS) -> None:
        self.mono_ns = mono_ns
        self.utc_ns = utc_ns

    def now(self) -> Stamp:
        return Stamp("virtual", self.mono_ns, self.utc_ns // 1_000_000 * 1_000_000)

    def go_on(self, seconds: float) -> None:
        self.mono_ns += round(seconds * 1e9)
        self.utc_ns += round(seconds * 1e9)


class VirtualWire:
    """Answers come from `respond(request) -> (seconds, bytes)`; None = silence. The clock goes on by what it takes."""

    def __init__(self, clock: VirtualClock, respond: Callable[[bytes], tuple[float, bytes] | None], character_s: float = 0.0) -> None:
        self.clock: Clock = clock
        self.owed = Owed()
        self.virtual = clock
        self.respond = respond
        self.character_s = character_s
        self.pending: list[tuple[int, bytes]] = []
        """(arrives at mono_ns, bytes), in order."""
        self.sent: list[tuple[int, bytes]] = []

    def send(self, data: bytes) -> None:
        self.virtual.go_on(len(data) * self.character_s)
        self.sent.append((self.virtual.mono_ns, data))
        answer = self.respond(data)
        if answer is not None:
            self.pending.append((self.virtual.mono_ns + round(answer[0] * 1e9), answer[1]))
            self.pending.sort()

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        until = self.virtual.mono_ns + round(timeout_s * 1e9)
        got = b""
        while want(got) > 0:
            if not self.pending or self.pending[0][0] > until:
                self.virtual.go_on(max(0, until - self.virtual.mono_ns) / 1e9)
                break
            arrives, frame = self.pending.pop(0)
            self.virtual.go_on(max(0, arrives - self.virtual.mono_ns) / 1e9)
            got += frame
        return got

    def drain(self) -> int:
        here = [frame for arrives, frame in self.pending if arrives <= self.virtual.mono_ns]
        self.pending = self.pending[len(here) :]
        return sum(map(len, here))


@dataclass
class VirtualLine:
    """Gives the wire, or fails to open while `broken` holds words."""

    wire: VirtualWire
    broken: str = ""
    opened: list[int] = field(default_factory=list)
    """mono_ns of every try."""
    is_open: bool = False

    def open(self, stop: Event, clock: Clock) -> VirtualWire:
        self.opened.append(self.wire.virtual.mono_ns)
        if self.broken:
            raise LineError(self.broken)
        self.is_open = True
        return self.wire

    def close(self) -> None:
        self.is_open = False


class Taker:
    """Stands for the core's queue; while `full`, every try costs its waiting time."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.taken: list[Delivery] = []
        self.full = False

    def __call__(self, delivery: Delivery, wait_s: float) -> bool:
        if self.full:
            self.clock.go_on(wait_s)
            return False
        self.taken.append(delivery)
        return True

    def rows(self, device: str) -> list[tuple[int, float, int]]:
        """(mono_ns, raw, reason) of the first series of a device in each of its batches."""
        return [(b.stamp.mono_ns, float(b.raw[0]), int(b.reason[0]))
                for d in self.taken for b in d.batches if b.series[0].device == device]
