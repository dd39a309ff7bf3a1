"""What `ecosentry influx setup` would do to a server: steps that can be said, done and undone, one after the other.

A plan is made by looking only. Made again after its steps are done it is empty, so the command may run as often as one likes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

COPY_DAYS = 3
"""So far back the server looks for hourly and daily rows to copy, every hour: what comes later needs `--copy`."""
FIELDS = ("value", "flag", "share", "level", "end", "reason", "origin", "tests", "revision")
"""The fields that a statistic can have (docs/influxdb.md)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change."""

    what: str
    undo: str
    """What takes it back, for people; says so if nothing does."""
    do: Callable[[], None]
    """Raises Unavailable or Halted."""


@dataclass(slots=True)
class Plan:
    """What is to be done at one server for one sink, in this order."""

    server: str
    """Which server, with its version."""
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the server cannot do, or does already."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How long a store keeps its rows, in whole seconds; 0 = for ever."""

    raw_s: int
    hourly_s: int
    daily_s: int

    @property
    def copies(self) -> tuple[tuple[str, int, str], ...]:
        """The stores for means beside the one for everything: name, how long, what `period` its rows have (a regular expression)."""
        return (("hourly", self.hourly_s, "^([1-9]|1[0-9]|2[0-3])h$"), ("daily", self.daily_s, "^24h$")) if self.raw_s else ()


def how_long(seconds: int) -> str:
    """For people.

    >>> how_long(0), how_long(90 * 86400), how_long(90_000)
    ('for ever', 'for 90 d', 'for 25 h')
    """
    if not seconds:
        return "for ever"
    return f"for {seconds // 86400} d" if seconds % 86400 == 0 else f"for {seconds / 3600:g} h"
