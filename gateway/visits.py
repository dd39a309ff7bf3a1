"""The visits of one polled line: jobs from outside its timetable, one after another, each an exchange at a time.

Whoever asks (the control socket) and the line's thread meet here; what a job must keep is said in `drivers/job.py`.
Nothing of a visit is journalled: a daemon that is started anew knows none.
"""

import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from config.errors import DeviceError, LineError
from drivers.driver import Wire
from drivers.job import Gap, Job, Plain, Progress, Work
from drivers.reading import Clock

log = logging.getLogger(__name__)
MOST_FOUND = 5000
"""A job that finds more keeps its newest so many; `dropped` counts the others."""
LONGEST_S = 24 * 3600.0
"""No visit is given more than a day."""
_MOST_WAITING = 4
_KEPT = 8
"""So many ended visits can still be asked for."""
State = Literal["waiting", "running", "done", "failed", "cancelled"]
_BUG = "the job broke off: a fault of the program, the log says which"
_numbers = itertools.count(1)


class VisitRefusedError(Exception):
    """The line does not take this visit; the words say why and what to do."""


@dataclass(slots=True)
class _Visit:
    id: str
    job: Job
    until_ns: int
    asked_ns: int
    state: State = "waiting"
    words: str = ""
    progress: Progress = field(default_factory=Progress)
    ready_ns: int = 0
    began_ns: int | None = None
    ended_ns: int | None = None
    work: Work | None = None
    found: deque[Plain] = field(default_factory=lambda: deque(maxlen=MOST_FOUND))
    new: int = 0
    """How many were ever found."""
    result: Plain | None = None
    is_cancelled: bool = False


class Visits:
    """`add`, `view`, `views`, `cancel` may be called from any thread, the others by the line's own."""

    def __init__(self, line: str, clock: Clock, called: Callable[[], None]) -> None:
        """`called` wakes the line's thread."""
        self._line, self._clock, self._called = line, clock, called
        self._waiting: deque[_Visit] = deque()
        """The first is the one under way."""
        self._ended: deque[_Visit] = deque(maxlen=_KEPT)
        self._lock = Lock()

    # ── for those who ask ────────────────────────────────────────────────────────────────────────────────────────────
    def add(self, job: Job, within_s: float) -> str:
        """Take a job, to be through `within_s` seconds from now, else it is given up; gives the visit's id.

        Raises VisitRefusedError if too many wait already.
        """
        now_ns = self._clock.now().mono_ns
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                raise VisitRefusedError(f"line {self._line}: {len(self._waiting)} visits wait already; wait for their end or cancel one")
            visit = _Visit(f"{self._line}.{next(_numbers)}", job, now_ns + round(min(within_s, LONGEST_S) * 1e9), now_ns)
            self._waiting.append(visit)
        log.info("line %s: %s begins as visit %s", self._line, job.name, visit.id)
        self._called()
        return visit.id

    def views(self) -> list[dict[str, object]]:
        """All that are known, newest last, without what they found."""
        with self._lock:
            return [self._view(visit) for visit in (*self._ended, *self._waiting)]

    def view(self, visit: str, since: int = 0) -> dict[str, object] | None:
        """One visit with its result and what it found from number `since` on; None if it is not known.

        {"id", "line", "name", "state": waiting | running | done | failed | cancelled, "words", "done", "of", "remaining_s",
         "elapsed_s", "found": [...], "next": number to give as `since`, "dropped", "result": {...} | null}
        """
        with self._lock:
            one = next((v for v in (*self._ended, *self._waiting) if v.id == visit), None)
            if one is None:
                return None
            first = one.new - len(one.found)
            new = list(one.found)[max(0, since - first):]
            return {**self._view(one), "found": new, "next": one.new, "dropped": first, "result": one.result}

    def cancel(self, visit: str) -> bool:
        """End it before its next exchange; False if it is not under way."""
        with self._lock:
            one = next((v for v in self._waiting if v.id == visit), None)
            if one is None:
                return False
            one.is_cancelled = True
        self._called()
        return True

    def _view(self, visit: _Visit) -> dict[str, object]:
        now_ns, progress = self._clock.now().mono_ns, visit.progress
        elapsed_s = 0.0 if visit.began_ns is None else ((visit.ended_ns or now_ns) - visit.began_ns) / 1e9
        is_open = visit.state in ("waiting", "running")
        remaining = elapsed_s * (progress.of - progress.done) / progress.done if is_open and progress.done and progress.of else None
        return {"id": visit.id, "line": self._line, "name": visit.job.name, "state": visit.state, "words": visit.words or progress.words,
                "done": progress.done, "of": progress.of, "elapsed_s": elapsed_s, "remaining_s": remaining}

    # ── for the line's thread ────────────────────────────────────────────────────────────────────────────────────────
    def due_ns(self, now_ns: int) -> int | None:
        """When the visit under way wants the wire (monotonic); None = there is none. Ends those that are cancelled or past their time."""
        if not self._waiting:
            return None
        with self._lock:
            over = [visit for visit in self._waiting if visit.is_cancelled or now_ns >= visit.until_ns]
        for visit in over:
            self._end(visit, *(("cancelled", "cancelled") if visit.is_cancelled else ("failed", self._too_late(visit))))
        with self._lock:
            first = self._waiting[0] if self._waiting else None
            return None if first is None else min(first.ready_ns, first.until_ns)

    def ready(self, now_ns: int) -> bool:
        """Has the visit under way waited for as long as it wanted?"""
        return bool(self._waiting) and self._waiting[0].ready_ns <= now_ns

    def step(self, wire: Wire, free_s: float, resting: frozenset[str] = frozenset()) -> None:
        """The next exchange of the visit under way. Raises LineError (the visit has failed then)."""
        with self._lock:
            visit = self._waiting[0]
        try:
            if visit.work is None:
                visit.state, visit.began_ns = "running", self._clock.now().mono_ns
                visit.work = visit.job.work()
                progress = next(visit.work)
            else:
                progress = visit.work.send(Gap(wire, free_s, resting))
        except StopIteration as end:
            visit.result = end.value
            self._end(visit, "done", "done")
        except DeviceError as fault:
            self._end(visit, "failed", str(fault))
        except LineError as error:
            self._end(visit, "failed", f"the line was lost: {error}")
            raise
        except BaseException:
            self._end(visit, "failed", _BUG)
            raise
        else:
            self._said(visit, progress)

    def close(self) -> None:
        """The line's worker ends: nothing more is done."""
        with self._lock:
            rest = list(self._waiting)
        for visit in rest:
            self._end(visit, "failed", "the daemon stopped before it was done")

    def _said(self, visit: _Visit, progress: Progress) -> None:
        with self._lock:
            visit.progress, visit.ready_ns = progress, self._clock.now().mono_ns + round(progress.pause_s * 1e9)
            visit.found.extend(progress.found)
            visit.new += len(progress.found)

    def _end(self, visit: _Visit, state: State, words: str) -> None:
        with self._lock:
            visit.state, visit.words, visit.ended_ns = state, words, self._clock.now().mono_ns
            self._waiting.remove(visit)
            self._ended.append(visit)
            work, visit.work = visit.work, None
        if work is not None:
            work.close()
        log.info("line %s: %s (visit %s): %s", self._line, visit.job.name, visit.id, words)

    def _too_late(self, visit: _Visit) -> str:
        return ("not done in time" if visit.began_ns is not None else
                "the line had no time for it: lost, or filled by its polls") + f" ({(visit.until_ns - visit.asked_ns) / 1e9:.0f} s)"
