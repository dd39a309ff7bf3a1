"""A small house for tests of the core: a site, a clock that the test turns, and deliveries of any shape."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from config.series import Series
from config.site import Console, DeviceTable, Rule, Site, SiteDevice, Station, Subscription
from config.table import Table
from drivers.reading import Delivery, Readings, Stamp
from gateway.contracts import Notice
from gateway.core import Core
from gateway.intake import Intake
from gateway.journal.reader import Reader
from gateway.journal.writer import Writer
from gateway.wiring import Expected

S = 1_000_000_000
NOON = 1_795_262_400 * S  # 2026-11-21 12:00:00 UTC


class TurnedClock:
    """A clock that shows what the test sets."""

    def __init__(self, utc_ns: int = NOON, boot: str = "boot-1") -> None:
        self.utc_ns, self.mono_ns, self.boot, self.sure = utc_ns, 1000 * S, boot, True

    def now(self) -> Stamp:
        return Stamp(self.boot, self.mono_ns, self.utc_ns // 1_000_000 * 1_000_000, self.sure)

    def forward(self, seconds: float) -> None:
        self.utc_ns += round(seconds * S)
        self.mono_ns += round(seconds * S)


def site(**rules: dict[str, object]) -> Site:
    devices = {name: SiteDevice(common=DeviceTable(profile="x", line="l", station="river"), options=Table()) for name in ("probe", "node")}
    return Site(stations={"river": Station(name="River", time_zone="Asia/Shanghai")}, devices=devices,
                rules={name: Rule.model_validate(rule) for name, rule in rules.items()},
                subscriptions={"all": Subscription(to=("hook:one", "hook:two"), about="all"),
                               "grave": Subscription(to=("hook:three",), severity="orange")},
                console=Console(enabled=False))


AMMONIA = Series("river", "probe", "ammonia_nitrogen")
LAEQ = Series("river", "node", "laeq")
EXPECTED = [Expected(AMMONIA, 10.0, False), Expected(Series("river", "probe", "ph"), 10.0, False), Expected(LAEQ, 5.0, True)]
LADDER = {"quantity": ("ammonia_nitrogen",), "above": {"yellow": "1.0 mg/L", "orange": "1.5 mg/L", "red": "2.0 mg/L"},
          "for": "20 s", "dead_band": "0.1 mg/L", "end_for": "10 s"}


@dataclass
class FakeReceipt:
    """A receipt that remembers when it was released, in which state of the world."""

    line: str = "nodes"
    packet: int = 1
    digest: bytes = b"x" * 16
    again: bool = False
    released: int = 0

    def release(self) -> None:
        self.released += 1


@dataclass
class House:
    """A core on a folder; `again()` starts it anew, as after a kill."""

    folder: Path
    site: Site
    clock: TurnedClock = field(default_factory=TurnedClock)
    expected: list[Expected] = field(default_factory=lambda: list(EXPECTED))
    words_of: Callable[[str], str] = lambda device: ""
    """What the lines say of a device."""
    aloud: Callable[[list[tuple[str, Notice]]], None] = lambda notices: None
    """Who tells people what cannot be journalled."""

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.intake = Intake()
        self.writer = Writer(self.folder, synchronous="OFF")
        self.core = Core(self.writer, self.site, self.expected, self.clock, self.intake, lambda: None, "test", self.words_of, self.aloud)
        self.core.start()

    def kill(self) -> None:
        """Lets the connection go without any farewell: what is committed is there, the rest is not."""
        self.writer.abandon()

    def again(self) -> None:
        self.kill()
        self.start()

    def say(self, *values: tuple[Series, float], at: int | None = None, receipt: FakeReceipt | None = None, own_time: bool | None = None) -> None:
        readings = Readings(self.clock.now(), at is not None if own_time is None else own_time)
        for series, value in values:
            readings.add(series, value, ord("N"), at)
        assert self.intake.deliver(Delivery("l", (readings.batch(),), receipt), 0)

    def turn(self) -> bool:
        return self.core.cycle(0.0)

    def reader(self) -> Reader:
        return Reader(self.folder)
