"""The worker of one told line: binds line, drivers, intake and health, and notices devices that have fallen silent."""

import logging
import time
from collections.abc import Mapping
from threading import Event

from drivers.driver import Deliver, Told, ToldLine, Trouble
from drivers.likely import UNSPOKEN
from drivers.reading import Clock
from gateway.health import LineHealth

log = logging.getLogger("ecosentry.line")
_LOOK_EVERY_NS = 1_000_000_000
_PERIODS = 3
"""A device that says nothing for so many of its intervals is silent."""


class Listener:
    """Listens on one line until it is stopped; what the line reports goes to its health, changes also to the log."""

    def __init__(
        self, name: str, line: ToldLine, drivers: Mapping[str, Told], clock: Clock, deliver: Deliver, health: LineHealth,
        intervals_s: Mapping[str, float] | None = None,
    ) -> None:
        """`intervals_s`: how often each device is expected to speak; left out = what its driver expects of its series."""
        self.name = name
        self._line, self._drivers, self._clock, self._deliver, self._health = line, dict(drivers), clock, deliver, health
        self._patience_ns = {
            device: round(_PERIODS * interval * 1e9)
            for device in drivers if (interval := (intervals_s or {}).get(device) or _interval_s(drivers[device])) is not None}
        self._heard_ns: dict[str, int] = {}
        self._withheld = set[str]()
        """Devices of which it is known why they are silent."""
        self._trouble: dict[str, str] = {}
        """What was last wrong with a device, since it spoke."""
        self._looked_ns = 0
        self._words = self._note = ""

    def run(self, stop: Event) -> None:
        """Work until `stop` is set. Whatever raises is a bug, or a message that will be set aside when it comes again."""
        now = time.monotonic_ns()
        self._heard_ns = dict.fromkeys(self._drivers, now)
        try:
            self._line.run(self._drivers, self._deliver, stop, self._clock, self)
        finally:
            self._health.stopped()

    # what the line reports: drivers.driver.Report
    def opened(self, words: str = "") -> None:
        """See Report."""
        log.info("line %s: connected%s", self.name, f", but {words}" if words else "")
        self._words = self._note = ""
        self._heard_ns = dict.fromkeys(self._drivers, time.monotonic_ns())
        self._health.opened(words)

    def lost(self, words: str) -> None:
        """See Report; the same trouble is logged once."""
        if words != self._words:
            log.warning("line %s: %s; trying again", self.name, words)
        self._words = words
        self._health.lost(words)

    def answered(self, device: str, mono_ns: int, words: str = "") -> None:
        """See Report."""
        self._heard_ns[device] = time.monotonic_ns()
        self._trouble.pop(device, None)
        self._health.answered(device, mono_ns, words)

    def failed(self, device: str, cause: str, words: str) -> None:
        """See Report."""
        self._trouble[device] = words
        self._health.failed(device, cause, words)

    def withheld(self, device: str, trouble: Trouble | None) -> None:
        """See Report."""
        (self._withheld.discard if trouble is None else self._withheld.add)(device)
        self._health.withheld(device, trouble)

    def count(self, cause: str, times: int = 1) -> None:
        """See Report."""
        self._health.count(cause, times)

    def noted(self, words: str) -> None:
        """See Report."""
        if words != self._note:
            if words:
                log.info("line %s: %s", self.name, words)
            self._note = words
            self._health.noted(words)

    def alive(self, mono_ns: int) -> None:
        """See Report."""
        if mono_ns - self._looked_ns < _LOOK_EVERY_NS:
            return
        self._looked_ns = mono_ns
        if self._words:
            return  # the line is lost: its devices cannot be heard
        for device, patience_ns in self._patience_ns.items():
            silent_ns = mono_ns - self._heard_ns[device]
            if silent_ns > patience_ns and device not in self._withheld:
                self._health.silent(device, f"has not spoken for {silent_ns / 1e9:.0f} s: {self._trouble.get(device) or UNSPOKEN}")


def _interval_s(driver: Told) -> float | None:
    """The shortest period that a driver expects of one of its series; None = it promises nothing."""
    return min((period for _, period in driver.expected()), default=None)
