"""What a driver gives: columns of readings, the time they were heard, and the receipt that is owed for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from config.series import Origin, Series


class Stamp(NamedTuple):
    """One instant on this box: which boot, its monotonic clock, its idea of UTC, and whether UTC can be believed."""

    boot: str
    mono_ns: int
    utc_ns: int
    sure: bool = True


class Clock(Protocol):
    """The only source of time for drivers and the core, so that a test can be the clock."""

    def now(self) -> Stamp:
        """This instant. `utc_ns` is cut to whole milliseconds: no sensor answer is known to be finer."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings of one device, one row a value; all columns have length n.

    A row with `raw` NaN is a value that was asked for and did not come; `reason` says why.
    """

    series: tuple[Series, ...]
    which: NDArray[np.int32]
    """int32[n]: index into `series`."""
    at: NDArray[np.int64]
    """int64[n], UTC ns: the END of the interval that the value describes."""
    span: NDArray[np.int64]
    """int64[n], ns: length of the interval, 0 = instant."""
    raw: NDArray[np.float64]
    """float64[n] in the quantity's unit, before calibration; NaN = asked and not answered."""
    reason: NDArray[np.uint8]
    """uint8[n]: what the device says of itself (`Reason`), else N."""
    stamp: Stamp
    """When it was heard."""
    own_time: bool = False
    """True: `at` is the source's own time. False: `at` is our stamp, and is put off while our clock is unsure."""
    origin: Origin = Origin.LIVE
    numbered: "Numbered | None" = None
    """The source is a journal of its own, which numbers its rows: each enters once."""

    def __len__(self) -> int:
        return len(self.which)


@dataclass(frozen=True, slots=True)
class Numbered:
    """Arrival numbers that another gateway's journal gave the rows of a batch."""

    journal: str
    """Which journal, and which part of it: numbers rise within this."""
    n: NDArray[np.int64]
    """int64[n], rising."""
    after: int | None
    """The number of the row that the source sent before these; None = it does not know."""


class Receipt(Protocol):
    """Owed to a source that keeps a message until we say that it is safe (MQTT QoS 1 and 2, fleet)."""

    line: str
    packet: int
    """The source's number for the message on this connection."""
    digest: bytes
    """16 bytes over topic and payload: with `packet` and `again` it recognises a redelivery after a crash."""
    again: bool
    """The source says that it sends this a second time."""

    def release(self) -> None:
        """Acknowledge. Called by the core after the commit, from the core's thread: must not block or raise."""
        ...


@dataclass(frozen=True, slots=True)
class Aside:
    """A message that no driver could read, kept for people to look at."""

    topic: str
    payload: bytes
    """At most 4 kB of it."""
    why: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What travels from a line to the core as one unit: it is committed whole and then acknowledged once."""

    line: str
    batches: tuple[Batch, ...] = ()
    receipt: Receipt | None = None
    aside: Aside | None = None
    rows: int = field(init=False)
    """Number of readings in it."""

    def __post_init__(self) -> None:
        rows = 0
        for batch in self.batches:  # every message makes one: no comprehension
            rows += len(batch.which)
        object.__setattr__(self, "rows", rows)


class Columns:
    """Gives the `Batch` of a group that always has the same series, one present value each: what never changes is made once, read-only."""

    def __init__(self, series: tuple[Series, ...]) -> None:
        self._series = series
        self._which, self._span = np.arange(len(series), dtype=np.int32), np.zeros(len(series), np.int64)
        self._which.flags.writeable = self._span.flags.writeable = False

    def batch(self, stamp: Stamp, raw: Sequence[float], reason: bytes | bytearray) -> Batch:
        """`raw` and `reason`: one a series, in their order; the time is the stamp's."""
        count = len(self._series)
        at = np.empty(count, np.int64)
        at.fill(stamp.utc_ns)
        return Batch(self._series, self._which, at, self._span, np.array(raw, np.float64), np.frombuffer(reason, np.uint8, count), stamp)


_ONE_FIRST, _ONE_INSTANT = np.zeros(1, np.int32), np.zeros(1, np.int64)
_ONE_FIRST.flags.writeable = _ONE_INSTANT.flags.writeable = False


@dataclass(slots=True)
class Readings:
    """Collects values row by row and gives the `Batch`; the ordinary way for a driver to build one."""

    stamp: Stamp
    own_time: bool = False
    origin: Origin = Origin.LIVE
    _index: dict[Series, int] = field(default_factory=dict)
    _which: list[int] = field(default_factory=list)
    _at: list[int] = field(default_factory=list)
    _span: list[int] = field(default_factory=list)
    _raw: list[float] = field(default_factory=list)
    _reason: bytearray = field(default_factory=bytearray)
    _last: tuple[tuple[Series, ...], list[int]] = ((), [])

    def add(self, series: Series, raw: float, reason: int, at_ns: int | None = None, span_ns: int = 0) -> None:
        """Append one value; `at_ns` left out is the stamp's UTC."""
        self._which.append(self._index.setdefault(series, len(self._index)))
        self._at.append(self.stamp.utc_ns if at_ns is None else at_ns)
        self._span.append(span_ns)
        self._raw.append(raw)
        self._reason.append(reason)

    def extend(self, series: tuple[Series, ...], at_ns: Sequence[int], span_ns: int, raw: Sequence[float], reason: bytes | bytearray) -> None:
        """Append one value of each of these series; cheapest with the same tuple again and again."""
        if series is not self._last[0]:
            self._last = series, [self._index.setdefault(one, len(self._index)) for one in series]
        self._which += self._last[1]
        self._at += at_ns
        self._span += [span_ns] * len(series)
        self._raw += raw
        self._reason += reason

    def batch(self) -> Batch:
        """The columns."""
        is_first, is_instant = len(self._which) == 1, len(self._span) == 1 and not self._span[0]
        return Batch(  # most messages bring one value: an array costs more than all else that is done with it
            tuple(self._index), _ONE_FIRST if is_first else np.array(self._which, np.int32), np.array(self._at, np.int64),
            _ONE_INSTANT if is_instant else np.array(self._span, np.int64),
            np.array(self._raw, np.float64), np.frombuffer(bytes(self._reason), np.uint8), self.stamp, self.own_time, self.origin,
        )
