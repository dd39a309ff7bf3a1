"""The contracts of drivers and lines. A driver is Asked or Told; a line is an open wire, owned by one thread.

`drivers/protocols/<kind>.py` holds `class Driver`, `class Options` (its keys in a `[devices.NAME]` table) and
`class Row` (its keys in a row of a profile's `[quantities]`). `drivers/lines/<kind>.py` holds `class Line` and
`class Options` (its keys in `[lines.NAME]`). The file name is the kind; there is no registry.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Protocol, TypeVar, runtime_checkable

from config.device import Profile
from config.series import Series
from config.table import Table
from drivers.owed import Owed
from drivers.reading import Batch, Clock, Delivery, Receipt, Stamp

Row = TypeVar("Row", bound=Table)


@dataclass(frozen=True, slots=True)
class Device:
    """Everything that a driver is made from; put together from the site file and the profile."""

    station: str
    name: str
    profile: Profile
    options: Table
    """An instance of the protocol's `Options`."""
    line_options: Table
    """An instance of the line's `Options`: baud rate, framing …"""
    interval_s: float
    """How often to ask, or how often the device is expected to speak."""
    may_obey: bool = False
    """The site file allows that something is written to it; see drivers.order."""

    def series(self, quantity: str, channel: str = "") -> Series:
        """The series of one measured quantity of this device."""
        return Series(self.station, self.name, quantity, channel)

    def rows(self, kind: type[Row]) -> dict[Series, Row]:
        """The rows of its profile, `kind` being the protocol's `Row`; each by the series that "quantity" or "quantity:channel" names."""
        return {self.series(*name.partition(":")[::2]): row for name, row in self.profile.rows.items() if isinstance(row, kind)}


@dataclass(frozen=True, slots=True)
class Group:
    """Values that are read together in one go of the timetable."""

    name: str
    interval_s: float
    priority: int
    """Lower is read first when several are due."""
    line_time_s: float
    """How long the exchange occupies the line, for the load forecast."""
    series: tuple[Series, ...]
    """What comes out: these are MISSING when nothing is answered."""
    expected_s: float = 0.0
    """A value is due so often, where that is not `interval_s`: the device sleeps in between. 0 = it is."""


class Wire(Protocol):
    """An open line. Every wait ends at its deadline or when the daemon stops, whichever is first."""

    clock: Clock
    owed: Owed
    """Answers that may still come; it outlives the wire, as devices do."""

    def send(self, data: bytes) -> None:
        """Put bytes on the wire, keeping the line's silent interval before them. Raises LineError."""
        ...

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        """Bytes until `want(so_far)` says how many more are needed: 0 = complete, -1 = cannot become a frame.

        Returns what came (also when the time is over or the frame is hopeless). Raises LineError if the wire is gone.
        """
        ...

    def drain(self) -> int:
        """Throw away what arrived unasked (late answers); gives the number of bytes."""
        ...


@runtime_checkable
class Called(Protocol):
    """A wire whose far side has connected to us: a modem of a line of kind tcp_server."""

    @property
    def caller(self) -> str:
        """Who is connected, from where and since when, for people."""
        ...


@runtime_checkable
class Asked(Protocol):
    """A device that answers when asked: Modbus, SDI-12, DL/T 645."""

    def groups(self) -> tuple[Group, ...]:
        """What to ask and how often."""
        ...

    def poll(self, group: Group, wire: Wire) -> "Batch | Pause":
        """One reading of the group. What came is kept, the rest is NaN with its reason.

        A device that needs time before it can go on is not waited for: the poll gives a Pause, and others are asked meanwhile.
        Raises DeviceError if nothing came at all, LineError if the wire is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pause:
    """Come back to me in `for_s`; others may be asked meanwhile (SDI-12 concurrent measurement, settling after a command).

    Until then this device is left alone: no other group of it, no order, no visit's concern. The wire of the first part is
    gone by then; `then` is given the one that is open, and what it needs to remember it holds itself. It is dropped, and the
    group MISSING, when the line is lost meanwhile. The interval runs on: a pause longer than it leaves out slots, counted.
    """

    for_s: float
    then: Callable[[Wire], "Batch | Pause"]
    """Goes on where the poll left off; the same rules hold for what it gives and raises."""


def finish(outcome: Batch | Pause, wire: Wire) -> Batch:
    """The batch of a poll whose pauses are waited for on the spot, by those who have the line to themselves."""
    while isinstance(outcome, Pause):
        wire.receive(lambda so_far: 1, outcome.for_s)
        outcome = outcome.then(wire)
    return outcome


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it was heard."""

    topic: str
    payload: bytes
    stamp: Stamp
    retained: bool = False
    receipt: Receipt | None = None


@runtime_checkable
class Told(Protocol):
    """A device that speaks by itself: MQTT, streaming serial, HTTP. Pure: no threads, no waiting."""

    @property
    def topics(self) -> tuple[str, ...]:
        """MQTT filters that it wants to hear; empty on a line that has no topics."""
        ...

    def wants(self, heard: Heard) -> bool:
        """Is this message for this device?"""
        ...

    def hear(self, heard: Heard) -> Iterable[Batch]:
        """The readings in a message. Raises Undecodable: it is set aside and acknowledged."""
        ...

    def expected(self) -> tuple[tuple[Series, float], ...]:
        """Series known beforehand and their period in seconds; one that stays silent for longer is MISSING."""
        ...


@runtime_checkable
class Skips(Protocol):
    """A Told device that reads a message of which a part cannot be read: the rest of it is not lost."""

    def skipped(self) -> tuple[int, str]:
        """How many parts of the messages since this was last asked gave no row, not even a missing one, and why the last of them."""
        ...


@runtime_checkable
class Overhears(Protocol):
    """An asked device that can also be read while another master asks it: a line with `mode = "listen"`."""

    def overheard(self) -> Told:
        """The same device, read from what it answers to others."""
        ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a stream, for people: `cause` is one word for the counters."""

    cause: str
    words: str


@runtime_checkable
class Streamed(Protocol):
    """A Told device on a line that carries bytes instead of messages: it hears the stream in whatever pieces it comes.

    It never raises Undecodable: what cannot be read is counted and told by `trouble`.
    """

    def begin(self) -> None:
        """The line was opened: nothing that was begun before is continued."""
        ...

    def trouble(self) -> Trouble | None:
        """What was wrong in the stream since this was last asked, if anything is worth telling."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """Something that a driver says back on its line, without certainty (QoS 0, not retained)."""

    topic: str
    payload: bytes


@runtime_checkable
class Converses(Protocol):
    """A Told device that keeps a session with its far side, and sometimes has to say something itself: Sparkplug B, fleet.

    The line asks after messages and about once a second; it says little (`drivers/lines/_mqtt_hearing.py` bounds it) and one topic only
    once a second, so a driver that was asked cannot know that it was heard.
    """

    def connected(self) -> None:
        """The line was connected (again): what was said meanwhile may be lost."""
        ...

    def replies(self, now: Stamp) -> tuple[Reply, ...]:
        """What it wants to say now; it limits its own pace."""
        ...

    def trouble(self) -> Trouble | None:
        """What was wrong with what it heard since this was last asked, if anything is worth telling."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A device that keeps its own record and can be asked for what was missed. Below all polls: see `gateway/recalling.py`."""

    @property
    def remembered(self) -> tuple[Series, ...]:
        """What it keeps a record of; empty = nothing."""
        ...

    def history(self, since_ns: int, until_ns: int) -> Generator[Batch, Wire, None]:
        """Readings between these times, both left out, in any order, with Origin.BACKFILL and times of their own.

        At each yield it gives what the last exchange brought (perhaps nothing) and is sent the wire for the next one. Raises DeviceError,
        LineError.
        """
        ...


class Deliver(Protocol):
    """How a line hands on what it heard. Bounded: see `gateway.intake`."""

    def __call__(self, delivery: Delivery, wait_s: float) -> bool:
        """True: taken. False: full for `wait_s` (nothing taken). A delivery with a receipt is always taken."""
        ...


class AskedLine(Protocol):
    """`drivers/lines/{serial,tcp}.py`: gives a wire to its one owner."""

    def open(self, stop: Event, clock: Clock) -> Wire:
        """An open wire, or LineError. Everything that can be slow (DNS, connect) is bounded."""
        ...

    def close(self) -> None:
        """Let the wire go; harmless if it is not open."""
        ...


class Report(Protocol):
    """How a told line says how it and its devices are doing; `gateway.listener` keeps it for people. Never waits."""

    def opened(self, words: str = "") -> None:
        """Connected (again). `words` says what is not as it should be all the same."""
        ...

    def lost(self, words: str) -> None:
        """Not connected, and why."""
        ...

    def answered(self, device: str, mono_ns: int, words: str = "") -> None:
        """A message of this device was understood. `words` tells what was missing in it."""
        ...

    def failed(self, device: str, cause: str, words: str) -> None:
        """A message of this device could not be used; `cause` is one word for counters."""
        ...

    def withheld(self, device: str, trouble: Trouble | None) -> None:
        """It cannot speak, because of this: its supply. None = nothing of that kind. Told again and again."""
        ...

    def count(self, cause: str, times: int = 1) -> None:
        """Something that belongs to no device: dropped, unwanted, retained, session and so on."""
        ...

    def noted(self, words: str) -> None:
        """What people should know of a line that works; empty = nothing more. Told again and again, logged when it changes."""
        ...

    def alive(self, mono_ns: int) -> None:
        """The line's thread turns; called several times a second, connected or not."""
        ...


class ToldLine(Protocol):
    """`drivers/lines/mqtt.py`, and `serial` and `tcp` for devices that speak by themselves: runs in its own thread until `stop`."""

    def run(self, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report) -> None:
        """Connect, subscribe, hear, acknowledge; reconnects by itself. `drivers` by device name.

        When `stop` is set it hears no more, waits up to 2 s for receipts that are still owed, and returns.
        """
        ...

    def visitor(self) -> "ToldLine":
        """The same line for a short look (`check --live`): it takes no message away from the daemon's own session."""
        ...
