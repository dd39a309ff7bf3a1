"""So many bytes a day over a metered uplink: what is left, and how much of it a backlog may have.

Live rows may use the whole of it. A backlog uses only what has accrued since midnight, so that it never takes what live rows
will need in the evening.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

_REMEMBERED = 8


def local_day(utc_ns: int, zone: str) -> int:
    """The ordinal of the local date.

    >>> local_day(0, "Asia/Shanghai") - local_day(-9 * 3600 * 10**9, "Asia/Shanghai")
    1
    """
    return datetime.fromtimestamp(utc_ns / 1e9, ZoneInfo(zone)).toordinal()


def is_metered(interface: str, metered: Sequence[str]) -> bool:
    """Does what crosses this interface cost? Nothing said: all does. An interface that nobody knows does, too.

    >>> is_metered("wwan0", ["wwan*"]), is_metered("eth0", ["wwan*"]), is_metered("", ["wwan*"]), is_metered("eth0", [])
    (True, False, True, True)
    """
    return not metered or not interface or any(fnmatchcase(interface, one) for one in metered)


class DataBudget:
    """One sink's share of a day; `limit` None = no end of it."""

    def __init__(self, limit: int | None, zone: str, recall: Callable[[int], int] = lambda day: 0) -> None:
        """`recall` gives what was spent on a day before this start."""
        self._limit = limit
        self._zone = zone
        self._recall = recall
        self._day = 0
        self._seen: dict[int, int] = {}
        """Bytes of the days before it, as this process saw them."""
        self.spent = 0
        """Bytes of that day."""

    def spend(self, crossed: int, utc_ns: int) -> int:
        """Count bytes; gives the day that they count for."""
        self._turn(utc_ns)
        self.spent += crossed
        return self._day

    def is_spent(self, utc_ns: int) -> bool:
        """Nothing is left today."""
        self._turn(utc_ns)
        return self._limit is not None and self.spent >= self._limit

    def has_for_backlog(self, utc_ns: int) -> bool:
        """More has accrued since midnight than was spent."""
        self._turn(utc_ns)
        if self._limit is None:
            return True
        begins, ends = self._midnight(self._day), self._midnight(self._day + 1)
        return self.spent < self._limit * (utc_ns / 1e9 - begins) / (ends - begins)

    def until_tomorrow_s(self, utc_ns: int) -> float:
        """Seconds until the next local midnight."""
        self._turn(utc_ns)
        return max(0.0, self._midnight(self._day + 1) - utc_ns / 1e9)

    def _turn(self, utc_ns: int) -> None:
        day = local_day(utc_ns, self._zone)
        if day > self._day or day < self._day - 1:  # set back over midnight does not give the day again; further, it was wrong before
            self._seen = dict([*self._seen.items(), (self._day, self.spent)][-_REMEMBERED:])
            self._day, self.spent = day, max(self._recall(day), self._seen.get(day, 0))

    def _midnight(self, day: int) -> float:
        return datetime.fromordinal(day).replace(tzinfo=ZoneInfo(self._zone)).timestamp()
