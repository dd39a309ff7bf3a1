"""What is missing of a series is asked for where it was measured, if the instrument keeps a record of its own.

The ledger of gaps says what; so nothing has to be remembered here, and a daemon that is killed in the middle goes on. A visit does the
work, below all polls. What is in the journal already is not taken again; what comes is late data and fills the gap.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from config.series import Reason, Series
from drivers.driver import Deliver, Remembers
from drivers.job import Progress, Work
from drivers.reading import Batch, Delivery
from gateway.gap_ledger import Gap, gaps_between
from gateway.journal.reader import Reader
from gateway.visits import VisitRefusedError, Visits

log = logging.getLogger(__name__)
LOOK_EVERY_S = 30.0
_REACH_NS = 31 * 86_400 * 10**9
_NEWEST = 4
"""So many gaps of a series can still be filled: analytics.kernels.gaps.KEPT."""
_WITHIN_S = 6 * 3600.0
_MOST_TRIES = 5
_WHILE_RESTING_S = 0.5
_REMEMBERED = frozenset({Reason.DOWN, Reason.LINE, Reason.DEVICE, Reason.COMMUNICATION, Reason.LEFT_OUT, Reason.POWER})
"""Why values are missing that the instrument may have all the same."""

Wanted = Mapping[Series, Sequence[Gap]]


@dataclass(frozen=True, slots=True)
class Recall:
    """The visit that reads an instrument's record for what is missing. See drivers.job.Job."""

    line: str
    device: str
    driver: Remembers
    wanted: Wanted
    folder: Path
    deliver: Deliver

    @property
    def name(self) -> str:
        """See Job."""
        return f"record of {self.device}"

    def work(self) -> Work:
        """See Job."""
        spells = sorted({(gap.since, gap.until or 0) for gaps in self.wanted.values() for gap in gaps}, reverse=True)
        taken = 0
        for number, (since, until) in enumerate(spells):
            reading = self.driver.history(since, until)
            next(reading)
            while True:
                gap = yield Progress(number, len(spells), "the instrument's own record")
                while self.device in gap.resting:
                    gap = yield Progress(number, len(spells), "the device is at work for a poll", pause_s=_WHILE_RESTING_S)
                try:
                    batch = reading.send(gap.wire)
                except StopIteration:
                    break
                new = self._new(batch)
                while len(new) and not self.deliver(Delivery(self.line, (new,)), 0.0):
                    yield Progress(number, len(spells), "the journal is busy", pause_s=_WHILE_RESTING_S)
                taken += len(new)
        return {"device": self.device, "rows": taken}

    def _new(self, batch: Batch) -> Batch:
        """The rows that lie in a gap of their series and are not in the journal."""
        if not len(batch):
            return batch
        keep = np.zeros(len(batch), bool)
        with Reader(self.folder) as reader:
            table = reader.series()
            for place, series in enumerate(batch.series):
                here = batch.which == place
                inside = np.zeros(len(batch), bool)
                for gap in self.wanted.get(series, ()):
                    inside |= here & (batch.at > gap.since) & (batch.at < (gap.until or 0))
                if inside.any():
                    first, last = int(batch.at[inside].min()), int(batch.at[inside].max())
                    known = reader.rows_of_series(table.index(series), first - 1, last, 10 * len(batch) + 1000)
                    keep |= inside & ~np.isin(batch.at, known.at[~np.isnan(known.raw)])
        return Batch(batch.series, batch.which[keep], batch.at[keep], batch.span[keep], batch.raw[keep], batch.reason[keep], batch.stamp,
                     batch.own_time, batch.origin)


@dataclass(slots=True)
class Memory:
    """A device that remembers: where it hangs, and what was asked of it in this life of the daemon."""

    line: str
    driver: Remembers
    visits: Visits
    asked: dict[tuple[Series, int | None], int]
    """How often, by gap."""
    visit: str = ""
    """The newest."""


class Recalling:
    """Looks now and then for what is missing and may be remembered; the worker of all lines together."""

    def __init__(self, folder: Path, deliver: Deliver, devices: Mapping[str, tuple[str, Remembers, Visits]]) -> None:
        """`devices`: by name its line, driver and the visits of that line."""
        self._folder, self._deliver = folder, deliver
        self._memories = {name: Memory(line, driver, visits, {}) for name, (line, driver, visits) in devices.items()}

    def run(self, stop: Event) -> None:
        """Until `stop` is set."""
        while not stop.wait(LOOK_EVERY_S):
            self.look(time.time_ns())

    def look(self, now_ns: int) -> None:
        """Begin a visit for each device of which something is missing, unless one is under way."""
        for name, memory in self._memories.items():
            view = memory.visits.view(memory.visit)
            if view is not None and view["state"] in ("waiting", "running"):
                continue
            wanted = self._wanted(memory, now_ns, failed=view is not None and view["state"] != "done")
            if not wanted:
                continue
            try:
                memory.visit = memory.visits.add(Recall(memory.line, name, memory.driver, wanted, self._folder, self._deliver), _WITHIN_S)
            except VisitRefusedError:
                continue  # others visit the line: later
            for series, gaps in wanted.items():
                for gap in gaps:
                    key = series, gap.until
                    memory.asked[key] = memory.asked.get(key, 0) + 1

    def _wanted(self, memory: Memory, now_ns: int, *, failed: bool) -> dict[Series, list[Gap]]:
        """Gaps that can still be filled; one that was asked for is asked for again only after a visit that failed."""
        with Reader(self._folder) as reader:
            ids = {series: number for number, series in enumerate(reader.series())}
            found: dict[Series, list[Gap]] = {}
            for series in memory.driver.remembered:
                if series in ids:
                    gaps = [gap for gap in gaps_between(reader, now_ns - _REACH_NS, now_ns, [ids[series]]) if gap.until is not None]
                    most = _MOST_TRIES if failed else 1
                    open_ = [gap for gap in gaps[-_NEWEST:] if not gap.is_filled and gap.reason in _REMEMBERED
                             and memory.asked.get((series, gap.until), 0) < most]
                    if open_:
                        found[series] = open_
        return found
