"""Jobs by the wall clock, once a night in the station's zone. Polling never goes this way: a clock step would move it.

A job takes its period from the journal, not from when it ran last, so a night that was missed (the box was off, the clock
jumped) costs nothing; a job that is late is still run once.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

log = logging.getLogger("ecosentry.timetable")
_LATE_S = 12 * 3600


@dataclass(slots=True)
class Nightly:
    """One job and what it said last; `work` gives (all is well, words for people) and raises nothing that it can foresee."""

    name: str
    hour: int
    minute: int
    work: Callable[[], tuple[bool, str]]
    words: str = field(default="not yet", init=False)
    well: bool = field(default=True, init=False)

    def run(self) -> None:
        """Do it now, and keep what it says."""
        self.well, self.words = self.work()
        log.log(logging.INFO if self.well else logging.CRITICAL, "%s: %s", self.name, self.words)


class Timetable:
    """The worker that keeps the hours."""

    def __init__(self, zone: str, jobs: list[Nightly]) -> None:
        self._zone = ZoneInfo(zone)
        self._jobs = jobs

    def run(self, stop: Event) -> None:
        """Keep the hours until `stop`."""
        scheduler = BackgroundScheduler(timezone=self._zone)
        for job in self._jobs:
            scheduler.add_job(job.run, self.trigger(job), id=job.name, misfire_grace_time=_LATE_S, coalesce=True, max_instances=1)
        scheduler.start()
        try:
            stop.wait()
        finally:
            scheduler.shutdown(wait=False)

    def trigger(self, job: Nightly) -> CronTrigger:
        """When a job is due."""
        return CronTrigger(hour=job.hour, minute=job.minute, timezone=self._zone)

    def next(self, job: Nightly, after: datetime) -> datetime | None:
        """When it is due next after an instant."""
        due: datetime | None = self.trigger(job).get_next_fire_time(None, after)
        return due
