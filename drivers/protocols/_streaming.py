"""What the drivers of streams share: readings with times of their own, and words about a stream that cannot be read."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from config.series import Reason, Series
from config.table import Table
from config.units import Duration
from drivers.codecs.frame import Cutter, LineCutter
from drivers.driver import Device, Heard, Trouble
from drivers.reading import Batch, Readings

_MS = 1_000_000
_PAUSE_NS = 1_000_000_000
"""Nothing goes on with what was begun before so long a silence: the rest of it was lost."""
_TELLING = 2000
"""Stray bytes after which a stream is said to be no such stream: about 2 s at 9600 baud."""

Found = Mapping[Series, tuple[float, Reason]]
"""What one frame says; NaN = the device says that it has no value."""


def said(value: float, *, is_fault: bool = False) -> tuple[float, Reason]:
    """A value with its reason: NaN is the device's word that it has none, and so is its word that it has a fault."""
    return value, Reason.FAULT if is_fault or math.isnan(value) else Reason.NORMAL


class Timing(Table):
    """`[timing]` of a profile of sensors that speak by themselves."""

    every: Duration = 0.0
    """Of a sensor that says more than is wanted: readings of one series are so far apart, what comes between is left."""


class StreamDriver(ABC):
    """See Told and Streamed. A subclass finds the frames and says what they hold."""

    def __init__(self, device: Device, series: Iterable[Series]) -> None:
        """`series` are all that its frames can hold. Raises ValueError if there is none."""
        self.name = device.name
        self._interval_s = device.interval_s
        self._series = tuple(series)
        if not self._series:
            raise ValueError(f"device {device.name}: the profile {device.profile.name} has no quantities")
        timing = device.profile.timing
        self._every_ns = round(timing.every * 1e9) if isinstance(timing, Timing) else 0
        self._taken_ns: dict[Series, int] = {}
        self._newest_ns = 0
        self._heard_ns: int | None = None
        self._spoilt = 0
        self._told_stray = 0

    @property
    def topics(self) -> tuple[str, ...]:
        """See Told: none."""
        return ()

    def wants(self, heard: Heard) -> bool:
        """See Told: it hears everything on its line."""
        return True

    def expected(self) -> tuple[tuple[Series, float], ...]:
        """See Told."""
        return tuple((series, self._interval_s) for series in self._series)

    def begin(self) -> None:
        """See Streamed."""
        self._cut.forget()
        self._heard_ns = None

    def hear(self, heard: Heard) -> Iterable[Batch]:
        """See Told: the frames that this piece of the stream completes, one row a value."""
        if self._heard_ns is not None and heard.stamp.mono_ns - self._heard_ns > _PAUSE_NS:
            self._cut.fall_silent()
        self._heard_ns = heard.stamp.mono_ns
        readings = Readings(heard.stamp)
        for found in self._read(heard.payload):
            due = {series: said for series, said in found.items() if self._is_due(series, heard.stamp.mono_ns)}
            at_ns = self._stamped(heard.stamp.utc_ns) if due else 0
            for series, (value, reason) in due.items():
                readings.add(series, value, reason, at_ns)
        batch = readings.batch()
        return [batch] if len(batch) else []

    def trouble(self) -> Trouble | None:
        """See Streamed."""
        spoilt, stray = self._counts()
        new, self._spoilt = spoilt - self._spoilt, spoilt
        if new:
            self._told_stray = stray  # the bytes around them have the same cause
            return Trouble("noise", "the checksum of what it says does not fit: a loose wire, or the wrong parity?")
        if stray < self._told_stray:
            self._told_stray = 0
        if stray - self._told_stray >= _TELLING:
            self._told_stray = stray
            return Trouble("noise", f"{stray} bytes and nothing to be understood among them: baud rate, format, or another model?")
        return None

    @abstractmethod
    def _read(self, piece: bytes) -> Iterable[Found]:
        """What the frames say that this piece completes."""

    @property
    @abstractmethod
    def _cut(self) -> Cutter | LineCutter:
        """What cuts its stream into frames."""

    @abstractmethod
    def _counts(self) -> tuple[int, int]:
        """Frames with a wrong checksum so far, and stray bytes since the last good one."""

    def _is_due(self, series: Series, mono_ns: int) -> bool:
        if not self._every_ns:
            return True
        taken_ns = self._taken_ns.get(series)
        if taken_ns is not None and mono_ns - taken_ns < self._every_ns:
            return False
        self._taken_ns[series] = mono_ns
        return True

    def _stamped(self, utc_ns: int) -> int:
        """Our stamp; frames that are heard within one millisecond get successive ones, or one would hide the other."""
        if self._newest_ns >= utc_ns > self._newest_ns - 1000 * _MS:
            utc_ns = self._newest_ns + _MS
        self._newest_ns = utc_ns
        return utc_ns
