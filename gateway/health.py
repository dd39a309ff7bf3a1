"""How a line and its devices are doing: written by the line's own thread, read by whoever wants to see it.

One `LineHealth` a line, the same for polled and told ones. It only remembers and counts; what to do about a fault is
decided elsewhere. Everything it gives is plain data for `View.status()`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, TypedDict

from drivers.driver import Trouble

LineState = Literal["starting", "open", "lost", "stopped"]
DeviceState = Literal["waiting", "good", "failing", "silent", "unreachable", "maintenance"]
"""waiting: nothing yet. failing: the last try failed. silent: given up for now, tried now and then. unreachable: its line is lost.

maintenance: one of these three while people are at it (see gateway.overview)."""


class LineView(TypedDict):
    """One line as people see it."""

    name: str
    kind: str
    state: LineState
    where: str
    words: str
    """What is wrong in one sentence; empty when all is well."""
    devices: int
    polls: int
    """Polls that were tried, or messages that were heard."""
    late: int
    """Polls left out whole because the line or the core had no time for them."""
    errors: int
    causes: dict[str, int]
    """Errors by cause: silent, short, noise, exception, wrong, late, busy, line, undecodable, dropped …"""


class DeviceView(TypedDict):
    """One device as people see it."""

    name: str
    station: str
    line: str
    state: DeviceState
    retry_s: float | None
    """Its breaker is open: it is tried again in so long; None = it is closed."""
    age_s: float | None
    """Since its last good answer; None = none yet."""
    words: str
    polls: int
    late: int
    errors: int
    causes: dict[str, int]


@dataclass(slots=True)
class _Device:
    station: str
    state: DeviceState = "waiting"
    words: str = ""
    good_mono_ns: int | None = None
    try_at_ns: int | None = None
    polls: int = 0
    late: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    withheld: str = ""
    """Why it is not asked just now."""


class LineHealth:
    """State and counters of one line and of each device on it. Every method may be called from any thread."""

    def __init__(self, name: str, kind: str, devices: Mapping[str, str], where: str = "") -> None:
        """`devices` maps the name of each device to its station."""
        self.name = name
        self._kind = kind
        self._where = where
        self._state: LineState = "starting"
        self._words = ""
        self._polls = 0
        self._causes: Counter[str] = Counter()
        self._devices = {device: _Device(station) for device, station in devices.items()}
        self._lock = Lock()

    def opened(self, words: str = "") -> None:
        """The wire is open (again)."""
        with self._lock:
            self._state, self._words = "open", words
            for device in self._devices.values():
                if device.state == "unreachable":
                    device.state, device.words = "waiting", ""

    def noted(self, words: str) -> None:
        """What people should know of a line that works; no error."""
        with self._lock:
            self._words = words

    def lost(self, words: str) -> None:
        """The wire is gone or cannot be opened; counted as one error `line`."""
        with self._lock:
            self._state, self._words = "lost", words
            self._causes["line"] += 1
            for device in self._devices.values():
                device.state, device.words = "unreachable", words

    def stopped(self) -> None:
        """The worker of this line has ended."""
        with self._lock:
            self._state, self._words = "stopped", ""

    def answered(self, device: str, mono_ns: int, words: str = "") -> None:
        """A good answer, or a message that was understood. `words` tells of what was missing in it."""
        with self._lock:
            self._polls += 1
            one = self._devices[device]
            one.polls += 1
            one.state, one.words, one.good_mono_ns, one.try_at_ns = "good", words, mono_ns, None

    def failed(self, device: str, cause: str, words: str, given_up: bool = False, try_at_ns: int | None = None) -> None:
        """One try of a device failed; `given_up` = its breaker is open, it is tried again at `try_at_ns` (monotonic)."""
        with self._lock:
            self._polls += 1
            self._causes[cause] += 1
            one = self._devices[device]
            one.polls += 1
            one.causes[cause] += 1
            one.state, one.words = ("silent" if given_up else "failing"), words
            one.try_at_ns = try_at_ns if given_up else None

    def withheld(self, device: str, trouble: Trouble | None) -> None:
        """It is not asked, or not asleep, because of this; counted once. None = nothing is amiss with that."""
        with self._lock:
            one, words = self._devices[device], trouble.words if trouble else ""
            if trouble and one.state != "unreachable" and one.words != words:
                one.causes[trouble.cause] += not one.withheld
                self._causes[trouble.cause] += not one.withheld
                one.state, one.words, one.try_at_ns = "failing", words, None
            elif one.withheld and not trouble and one.words == one.withheld:
                one.state, one.words = "waiting", ""
            one.withheld = words

    def put_off(self, device: str, try_at_ns: int) -> None:
        """One that is given up is tried again at another time than was said."""
        with self._lock:
            one = self._devices[device]
            one.try_at_ns = try_at_ns if one.try_at_ns is not None else None

    def silent(self, device: str, words: str) -> None:
        """A device that speaks by itself did not, for longer than expected; counted once as `silent`."""
        with self._lock:
            one = self._devices[device]
            if one.state != "silent":
                one.causes["silent"] += 1
                self._causes["silent"] += 1
            one.state, one.words = "silent", words

    def why(self, device: str) -> str:
        """What is likely wrong with a device; of one that speaks by itself with what its line has to say. Empty if it is another line's."""
        with self._lock:
            one = self._devices.get(device)
            if one is None:
                return ""
            by_itself = one.state == "silent" and one.try_at_ns is None
            return f"{one.words}; line {self.name}: {self._words}" if by_itself and self._words else one.words

    def late(self, device: str, polls: int = 1) -> None:
        """So many polls of a device were left out whole because there was no time for them."""
        with self._lock:
            self._devices[device].late += polls

    def count(self, cause: str, times: int = 1) -> None:
        """An error of the line that belongs to no device: undecodable, dropped, foreign and so on."""
        with self._lock:
            self._causes[cause] += times

    def line(self) -> LineView:
        """The line now."""
        with self._lock:
            return LineView(
                name=self.name, kind=self._kind, state=self._state, where=self._where, words=self._words,
                devices=len(self._devices), polls=self._polls, late=sum(d.late for d in self._devices.values()),
                errors=self._causes.total(), causes=dict(self._causes),
            )

    def devices(self, mono_ns: int) -> list[DeviceView]:
        """Its devices now, in the order of the site file; `mono_ns` is the present for their age."""
        with self._lock:
            return [
                DeviceView(
                    name=name, station=d.station, line=self.name, state=d.state,
                    retry_s=None if d.try_at_ns is None else max(0.0, (d.try_at_ns - mono_ns) / 1e9),
                    age_s=None if d.good_mono_ns is None else (mono_ns - d.good_mono_ns) / 1e9,
                    words=d.words, polls=d.polls, late=d.late, errors=d.causes.total(), causes=dict(d.causes),
                )
                for name, d in self._devices.items()
            ]
