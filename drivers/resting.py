"""Devices that sleep between measurements, or whose supply is switched: the ordinary driver, and around it when it is awake.

While it sleeps nothing is asked, and one row says so (`y`, or `p` if its supply fails); what it gives while warming up has the reason `w`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from config.series import Reason, Series
from drivers.driver import Asked, Heard, Streamed, Told, Trouble, Wire
from drivers.duty import ALWAYS, Cycle
from drivers.reading import Batch, Readings, Stamp

MOST_WORDS = 64
"""No device is told more bytes than these at once."""
AGAIN_NS = 5_000_000_000
"""A word that shows no effect is said again after so long."""
_LAST_WORDS_NS = 2_000_000_000
"""What a device says so soon after it was put to sleep was on its way."""
_NEVER_NS = -(2**62)


class Switch(Protocol):
    """What gives a device its supply. Never waits."""

    def turn(self, on: bool) -> None:
        """It is to be on, or off; said again and again."""
        ...

    @property
    def is_on(self) -> bool | None:
        """What is known; None = nothing, or it is under way."""
        ...

    @property
    def trouble(self) -> Trouble | None:
        """Why it is not as it should be; None = it is, or will be in a moment."""
        ...


@runtime_checkable
class SleepsByWord(Protocol):
    """A Told device on a line of bytes that can be put to sleep."""

    @property
    def sleep_word(self) -> bytes:
        """Puts it to sleep; harmless if it sleeps."""
        ...

    @property
    def wake_word(self) -> bytes:
        """Wakes it, so that it speaks by itself again; harmless if it is awake."""
        ...


@runtime_checkable
class SleepsWhenAsked(Protocol):
    """An Asked device that can be put to sleep."""

    def sleep(self, wire: Wire) -> None:
        """Harmless if it sleeps. Raises DeviceError, LineError."""
        ...

    def wake(self, wire: Wire) -> None:
        """Wake it and let it measure; harmless if it is awake. Raises DeviceError, LineError."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be sent to a device now, and what it would say of itself if it could."""

    words: bytes = b""
    batches: tuple[Batch, ...] = ()
    trouble: Trouble | None = None
    """Why it is not as it should be."""


@runtime_checkable
class Directed(Protocol):
    """A Told device that has to be told something now and then. The line asks it a few times a second."""

    def direct(self, now: Stamp) -> Said:
        """At most MOST_WORDS bytes; it limits its own pace to a word in some seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How an asked device stands in its cycle."""

    state: Literal["asleep", "warming", "ready"]
    """asleep: it is not to be asked. warming: it is awake, and may still warm up."""
    until_ns: int
    """It is to be looked at again then, monotonic."""
    own_pace: bool
    """It will sleep again: it is asked at its interval from its waking on, whatever the hour."""
    batch: Batch | None = None
    """What it would say of itself if it could; once."""
    trouble: Trouble | None = None
    """Why it is not as it should be."""


@runtime_checkable
class Rests(Protocol):
    """An Asked device that is not always awake."""

    def attend(self, wire: Wire | None, now: Stamp) -> Standing:
        """Do what is due: wake it, put it to sleep, switch its supply. Without a `wire` only the last. Raises LineError."""
        ...

    def unrested(self) -> tuple[Asked, bool]:
        """The device as it is asked for a moment, woken if it sleeps by command; True = its supply is switched, and may be off."""
        ...


def missing(series: Iterable[Series], now: Stamp, reason: Reason = Reason.RESTING) -> Batch:
    """One row a series without a value: it sleeps, or as `reason` says."""
    readings = Readings(now)
    for one in series:
        readings.add(one, math.nan, reason)
    return readings.batch()


def marked(batch: Batch, reason: Reason) -> Batch:
    """A batch whose values that are well have this reason."""
    if reason == Reason.NORMAL:
        return batch
    well = (batch.reason == Reason.NORMAL) & ~np.isnan(batch.raw)
    return replace(batch, reason=np.where(well, np.uint8(reason), batch.reason).astype(np.uint8))


class RestingTold:
    """See Told, Streamed and Directed: a device that speaks by itself while it is awake."""

    def __init__(self, driver: Told, cycle: Cycle, switch: Switch | None = None) -> None:
        """Without a `switch` the driver is one that SleepsByWord. Raises ValueError if it is not."""
        self._sleep, self._wake = (driver.sleep_word, driver.wake_word) if isinstance(driver, SleepsByWord) else (b"", b"")
        if switch is None and not self._sleep:
            raise ValueError("it knows no word for sleep; give it a switched supply")
        self._driver, self._cycle, self._switch = driver, cycle, switch
        self._series = tuple(series for series, _ in driver.expected())
        self._said_ns = self._heard_ns = _NEVER_NS
        self._missing: Reason | None = None
        """Why there is nothing to be heard, as was told last."""

    @property
    def topics(self) -> tuple[str, ...]:
        """See Told."""
        return self._driver.topics

    def wants(self, heard: Heard) -> bool:
        """See Told."""
        return self._driver.wants(heard)

    def hear(self, heard: Heard) -> Iterable[Batch]:
        """See Told."""
        for batch in self._driver.hear(heard):
            self._heard_ns = heard.stamp.mono_ns
            yield marked(batch, self._cycle.reason(heard.stamp))

    def expected(self) -> tuple[tuple[Series, float], ...]:
        """See Told: once a cycle."""
        return tuple((series, self._cycle.duty.every_s or period) for series, period in self._driver.expected())

    def begin(self) -> None:
        """See Streamed. What was told before may be lost."""
        if self._switch is None:
            self._cycle.forget()
        self._said_ns = _NEVER_NS
        if isinstance(self._driver, Streamed):
            self._driver.begin()

    def trouble(self) -> Trouble | None:
        """See Streamed."""
        return self._driver.trouble() if isinstance(self._driver, Streamed) else None

    def direct(self, now: Stamp) -> Said:
        """See Directed."""
        awake = self._cycle.wants_awake(now)
        words = self._switched(now, awake) if self._switch is not None else self._told(now, awake)
        trouble = self._switch.trouble if self._switch is not None else None
        reason = Reason.POWER if trouble else None if awake else Reason.RESTING
        before, self._missing = self._missing, reason
        batches = (missing(self._series, now, reason),) if reason is not None and reason != before and self._series else ()
        return Said(words, batches, trouble)

    def unrested(self) -> tuple[Told, bool]:
        """See Rests: the device as it is heard for a moment."""
        return (self._driver, True) if self._switch is not None else (RestingTold(self._driver, Cycle(ALWAYS)), False)

    def _switched(self, now: Stamp, awake: bool) -> bytes:
        assert self._switch is not None
        self._switch.turn(awake)
        if self._switch.is_on is awake:
            self._cycle.told(now, awake)
        return b""

    def _told(self, now: Stamp, awake: bool) -> bytes:
        """The word, when it is time for it, and again while it shows no effect."""
        if self._cycle.is_awake is awake:
            if not self._is_deaf(now, awake):
                return b""
            self._cycle.forget()
        self._said_ns = now.mono_ns
        self._cycle.told(now, awake)
        return self._wake if awake else self._sleep

    def _is_deaf(self, now: Stamp, awake: bool) -> bool:
        """The last word had its time, and shows no effect."""
        if now.mono_ns - self._said_ns < AGAIN_NS:
            return False
        return self._heard_ns < self._said_ns if awake else self._heard_ns > self._said_ns + _LAST_WORDS_NS
