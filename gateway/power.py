"""What the box lives on: stop what can wait when it gets low, stop in good order before it is gone, begin again when it is surely back."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal

import numpy as np

from analytics import signals
from analytics.state import Layout, State
from config.errors import DeviceError, LineError
from config.series import Flag, Reason, Series
from config.site import Power, Site
from config.site_power import is_contact
from drivers.driver import Asked, AskedLine, Wire, finish
from drivers.reading import Clock
from gateway.bell import Bell
from gateway.building import Builder
from gateway.journal.reader import Reader
from gateway.journal.writer import Writer
from gateway.wiring_signals import wire_signals

log = logging.getLogger("ecosentry.power")
Supply = Literal["well", "low", "critical"]
STOPPED = "power_stop"
"""Word in `meta`: the daemon stopped because of its supply, and waits for it at the next start."""
_GRACE_S = 5.0
"""Between "critical" and the stop: messages to people leave."""
_BLIND_S = 300.0
"""A start that waits for the supply waits no longer when nothing is measured of it: a broken sensor must not silence a station."""
_LOOK_EVERY_S = 30.0
_AT_ONCE = 2000


@dataclass(slots=True)
class Guard:
    """Judges the supply, with hysteresis. Pure: times are given."""

    power: Power
    state: Supply = "well"
    _failed_at: float = math.inf
    _good_at: float = math.inf
    _contact: bool = field(init=False)

    def __post_init__(self) -> None:
        self._contact = is_contact(self.power)

    def judge(self, value: float, now_s: float) -> Supply:
        """The state after a measured value, at a monotonic time."""
        self._good_at = min(self._good_at, now_s) if self._is_back(value) else math.inf
        if self.state != "well" and now_s - self._good_at >= self.power.back_for:
            self.state, self._failed_at = "well", math.inf
        elif self._is_low(value):
            self._failed_at = min(self._failed_at, now_s)
            self.state = "critical" if self.state == "critical" or self._is_critical(value, now_s) else "low"
        return self.state

    def _is_back(self, value: float) -> bool:
        return value < 0.5 if self._contact else self.power.back is not None and value >= self.power.back.value

    def _is_low(self, value: float) -> bool:
        return value >= 0.5 if self._contact else self.power.low is not None and value < self.power.low.value

    def _is_critical(self, value: float, now_s: float) -> bool:
        if self._contact:
            return now_s - self._failed_at >= self.power.stop_after
        return self.power.critical is not None and value < self.power.critical.value


@dataclass(frozen=True, slots=True)
class Stopped:
    """A note: whether the daemon stops for its supply."""

    for_power: bool

    def write(self, writer: Writer) -> None:
        """Keep it for the next start."""
        writer.meta(STOPPED, int(self.for_power))


class PowerWatch:
    """The worker: follows the series and says what is to be done."""

    def __init__(self, site: Site, folder: Path, bell: Bell, shed: Callable[[], None], restore: Callable[[], None], halt: Callable[[], None]) -> None:
        """`shed` stops what can wait, `restore` starts it again, `halt` stops everything in good order."""
        power = site.power
        self._series = watched(site)
        self._folder = folder
        self._bell = bell
        self._guard = Guard(power)
        self._do = {"low": shed, "well": restore, "critical": halt}
        self._power = power
        self.words = ""
        """For the status."""

    def run(self, stop: Event) -> None:
        """Follow the supply until `stop`, or until it is critical."""
        with Reader(self._folder) as reader:
            position, heard, before = reader.last_n(), 0, self._guard.state
            while not stop.is_set():
                position, value = self._newest(reader, position)
                if value is not None:
                    state = self._guard.judge(value, time.monotonic())
                    self.words = f"supply {state}: {self._power.quantity} {value:g}"
                    if state != before:
                        log.warning("%s", self.words)
                        if state == "critical":
                            stop.wait(_GRACE_S)
                        self._do[state]()
                        before = state
                heard = self._bell.wait(heard, 1.0)

    def _newest(self, reader: Reader, position: int) -> tuple[int, float | None]:
        """The newest good value after a position, and the new position."""
        value = None
        while len(rows := reader.rows_after(position, _AT_ONCE)):
            position = int(rows.n[-1])
            for i in range(len(rows)):
                if rows.series[rows.which[i]] == self._series and rows.flag[i] in (Flag.GOOD, Flag.NOT_EVALUATED):
                    value = float(rows.value[i])
        return position, value


def await_supply(site: Site, build: Builder, clock: Clock, stop: Event, alive: Callable[[], None]) -> None:
    """After a stop for the supply: wait until it is back for as long as the site file asks, or nothing is measured of it.

    The device is read by itself, before anything else starts: this costs the journal nothing. `alive` is called every second.
    A device that speaks by itself is not waited for.
    """
    power = site.power
    driver = build.driver(power.device)
    if not isinstance(driver, Asked):
        return
    supply = _Supply(site, driver, build.asked_line(site.devices[power.device].common.line), clock)
    guard, seen = Guard(power, "critical"), time.monotonic()
    try:
        while not stop.is_set():
            value, now = supply.read(stop), time.monotonic()
            if value is not None:
                seen = now
                if guard.judge(value, now) == "well":
                    log.warning("the supply is back (%s %g): everything starts", power.quantity, value)
                    return
                log.info("waiting for the supply: %s %g", power.quantity, value)
            elif now - seen > _BLIND_S:
                log.warning("nothing is measured of the supply: everything starts")
                return
            ends = now + min(_LOOK_EVERY_S, max(0.1, power.back_for / 3))
            while time.monotonic() < ends and not stop.wait(min(1.0, ends - now)):
                alive()
    finally:
        supply.close()


class _Supply:
    """Reads the one series, with what its input module means by it."""

    def __init__(self, site: Site, driver: Asked, line: AskedLine, clock: Clock) -> None:
        self._series = watched(site)
        self._signals = wire_signals(site, [self._series], [0])
        self._driver, self._line, self._clock = driver, line, clock
        self._wire: Wire | None = None

    def read(self, stop: Event) -> float | None:
        """The value, or None if there is none now."""
        try:
            self._wire = self._wire or self._line.open(stop, self._clock)
            group = next(group for group in self._driver.groups() if self._series in group.series)
            batch = finish(self._driver.poll(group, self._wire), self._wire)
        except (LineError, DeviceError) as error:
            log.info("waiting for the supply: %s", error)
            if isinstance(error, LineError):
                self.close()
            return None
        value = next((float(raw) for which, raw in zip(batch.which, batch.raw, strict=True) if batch.series[which] == self._series), math.nan)
        if self._signals is not None:
            one = np.zeros(1, np.int32)
            state = State(Layout(signals.COLUMNS, {"series": (str(self._series),)}))
            found = signals.values(self._signals, state, one, np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([value]),
                                   np.full(1, int(Reason.NORMAL), np.uint8))
            value = float(found.value[0])
        return None if math.isnan(value) else value

    def close(self) -> None:
        """Let the line go."""
        self._wire = None
        self._line.close()


def watched(site: Site) -> Series:
    """The series of the supply."""
    power = site.power
    return Series(site.devices[power.device].common.station, power.device, power.quantity, power.channel)
