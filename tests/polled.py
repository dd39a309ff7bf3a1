"""One polled line in virtual time: devices that answer as they are told, a poller, and what came of it."""

from collections.abc import Callable
from threading import Event

from virtual import Taker, VirtualClock, VirtualLine, VirtualWire

from config.errors import DeviceError
from config.series import Reason, Series
from drivers.driver import Group, Pause, Wire
from drivers.lines.serial import Options as SerialOptions
from drivers.reading import Batch, Readings
from gateway.health import LineHealth
from gateway.intake import Note
from gateway.poller import Poller

MS = 1_000_000
S = 1000 * MS


class Device:
    """An asked device whose exchange takes `takes_s`, or fails as `fault` says."""

    def __init__(self, clock: VirtualClock, name: str, interval_s: float = 1.0, takes_s: float = 0.02, priority: int = 1) -> None:
        self.clock = clock
        self.takes_s = takes_s
        self.timeout_s = 0.5
        self.fault: Exception | None = None
        self.polled: list[int] = []
        self.on_poll: Callable[[], None] = lambda: None
        self.series = Series("st", name, "ph")
        self._groups = (Group("all", interval_s, priority, takes_s, (self.series,)),)

    def groups(self) -> tuple[Group, ...]:
        return self._groups

    def poll(self, group: Group, wire: Wire) -> Batch:
        self.polled.append(self.clock.mono_ns)
        self.on_poll()
        self.clock.go_on(self.timeout_s if isinstance(self.fault, DeviceError) else self.takes_s)
        if self.fault is not None:
            raise self.fault
        readings = Readings(self.clock.now())
        readings.add(self.series, 7.0, Reason.NORMAL)
        return readings.batch()


class House:
    """One line with its poller; time goes on as fast as the steps say."""

    def __init__(self, **devices: Callable[[VirtualClock, str], Device]) -> None:
        self.clock = VirtualClock()
        self.devices = {name: make(self.clock, name) for name, make in devices.items()}
        self.options = SerialOptions(port="/dev/x")
        self.line = VirtualLine(VirtualWire(self.clock, lambda request: None))
        self.taker = Taker(self.clock)
        self.health = LineHealth("bus", "serial", dict.fromkeys(self.devices, "st"))
        self.stop = Event()
        self.begin_anew(lambda note: None)
        self.start_ns = self.clock.mono_ns

    def begin_anew(self, tell: Callable[[Note], None]) -> None:
        """A new poller over the same line and devices."""
        self.poller = Poller("bus", self.line, self.devices, self.clock, self.taker, self.health, seed=1, tell=tell)

    def run_for(self, seconds: float) -> None:
        until = self.clock.mono_ns + round(seconds * 1e9)
        for _ in range(200_000):
            if self.clock.mono_ns >= until:
                return
            wait_s = self.poller.step(self.stop)
            self.clock.go_on(min(wait_s, (until - self.clock.mono_ns) / 1e9))
        raise AssertionError("the poller spins without waiting")

    def at(self, device: str) -> list[float]:
        """Seconds since the start of each poll."""
        return [(ns - self.start_ns) / S for ns in self.devices[device].polled]

    def view(self, device: str) -> dict[str, object]:
        return dict(next(d for d in self.health.devices(self.clock.mono_ns) if d["name"] == device))


def every(seconds: float, takes_s: float = 0.02, priority: int = 1) -> Callable[[VirtualClock, str], Device]:
    return lambda clock, name: Device(clock, name, seconds, takes_s, priority)


def pausing(house: House, name: str, for_s: float, times: int = 1) -> None:
    """Let a device of the house need so much time before it gives what it has."""
    device = house.devices[name]
    poll = device.poll

    def part(left: int) -> Callable[[Group, Wire], Batch | Pause]:
        def go_on(group: Group, wire: Wire) -> Batch | Pause:
            if not left:
                return poll(group, wire)
            house.clock.go_on(0.02)
            if device.fault is not None:
                raise device.fault
            return Pause(for_s, lambda later: part(left - 1)(group, later))
        return go_on

    device.poll = part(times)
