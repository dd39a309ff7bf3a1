"""The words of the control socket by which a visit is begun, asked for and cancelled.

{"word": "visit", "line": L, "job": J, "within_s": 600, …what the job needs} → the visit as `visits` tells it; at once, nothing is waited for.
{"word": "visits"} → {"visits": [...], "jobs": [...]}; with "id" and "since" → one visit with its result and what it found.
{"word": "cancel", "id": …} → true.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from config.table import Table
from drivers.driver import Asked
from drivers.job import Job
from gateway.control import DeclinedError, Word
from gateway.reading_job import reading
from gateway.visits import LONGEST_S, VisitRefusedError, Visits

_WITHIN_S = 600.0
"""The deadline of a visit that was given none."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a job may know of the line that it is made for."""

    line: str
    kind: str
    options: Table
    """The line's `Options`: baud rate, framing …"""
    drivers: Mapping[str, Asked]
    """By device, as the timetable uses them; only the line's own thread may call them, so a job does so in its `work`."""


Maker = Callable[[Place, Mapping[str, object]], Job]
"""Makes a job of what was asked. Raises ValueError, in words for people, if that is not right."""


def _scan(place: Place, asked: Mapping[str, object]) -> Job:
    from gateway.scanning.scan_job import scanning

    return scanning(place.line, place.options, place.drivers, asked)


def _probe(place: Place, asked: Mapping[str, object]) -> Job:
    from gateway.scanning.probe_job import probing

    return probing(place.line, place.options, asked)


JOBS: Mapping[str, Maker] = {"read": lambda place, asked: reading(place.drivers, asked), "scan": _scan, "probe": _probe}
"""The jobs that may be asked for, by the word for them. A new one is a line here."""


@dataclass(frozen=True, slots=True)
class Visited:
    """A polled line, for those who want to visit it."""

    place: Place
    visits: Visits


class Visiting:
    """Finds the line of a visit; a line that is not polled says why it takes none."""

    def __init__(self, lines: Mapping[str, Visited], told: Mapping[str, str], jobs: Mapping[str, Maker] = JOBS) -> None:
        """`told`: lines whose devices speak by themselves, and their kind."""
        self._lines, self._told, self._jobs = dict(lines), dict(told), dict(jobs)

    def words(self) -> dict[str, Word]:
        """For the control socket."""
        return {"visit": self.begin, "visits": self.look, "cancel": self.cancel}

    def begin(self, asked: Mapping[str, object]) -> object:
        """Begin a visit. Raises DeclinedError."""
        line, job, within_s = asked.get("line"), asked.get("job"), asked.get("within_s", _WITHIN_S)
        visited = self._line(str(line))
        maker = self._jobs.get(str(job))
        if maker is None:
            raise DeclinedError(f"no visit is called {str(job)[:40]}; there is {', '.join(sorted(self._jobs))}")
        if not isinstance(within_s, int | float) or isinstance(within_s, bool) or not 0 < within_s <= LONGEST_S:
            raise DeclinedError(f"within_s must be a number of seconds above 0, at most {LONGEST_S:.0f}")
        try:
            number = visited.visits.add(maker(visited.place, asked), float(within_s))
        except (ValueError, VisitRefusedError) as error:
            raise DeclinedError(str(error)) from error
        return visited.visits.view(number)

    def look(self, asked: Mapping[str, object]) -> object:
        """All visits, or one. Raises DeclinedError for one that is not known."""
        if "id" not in asked:
            return {"visits": [view for visited in self._lines.values() for view in visited.visits.views()], "jobs": sorted(self._jobs)}
        since = asked.get("since", 0)
        number = str(asked["id"])[:80]
        for visited in self._lines.values():
            view = visited.visits.view(number, since if isinstance(since, int) else 0)
            if view is not None:
                return view
        raise DeclinedError(f"no visit {number}: it ended long ago, or the daemon was started anew")

    def cancel(self, asked: Mapping[str, object]) -> object:
        """Cancel one. Raises DeclinedError if it is not under way."""
        number = str(asked.get("id"))[:80]
        if not any(visited.visits.cancel(number) for visited in self._lines.values()):
            raise DeclinedError(f"no visit {number} is under way")
        return True

    def _line(self, name: str) -> Visited:
        if name in self._told:
            raise DeclinedError(f"line {name} ({self._told[name]}) is only listened to: its devices speak by themselves and nothing is sent on it")
        if name not in self._lines:
            raise DeclinedError(f"no polled line {name[:40]} in the site file that runs; there is {', '.join(sorted(self._lines)) or 'none'}")
        return self._lines[name]
