"""Planned work on instruments: `[maintenance.NAME]` of the site file, and the clock times at which it begins."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from config.selector import Measured, Names
from config.series import Reason
from config.table import Table
from config.units import Duration

WEEK = 7 * 24 * 60
"""Minutes of a week."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
Kind = Literal["maintenance", "zero", "span", "calibration"]
REASONS: dict[str, Reason] = {"maintenance": Reason.MAINTENANCE, "zero": Reason.CALIBRATION, "span": Reason.CALIBRATION,
                              "calibration": Reason.CALIBRATION}
"""The reason that values have, by kind of window."""
LONGEST_S = 7 * 86400.0
_AT = re.compile(rf"^(?:((?:{'|'.join(DAYS)})(?:\s*,\s*(?:{'|'.join(DAYS)}))*)\s+)?([01]\d|2[0-3]):([0-5]\d)$")
_NO_TIME = 'is no time of the week; write "09:00" for every day, "Mon 09:00" or "Mon,Thu 09:00"'
_MOST = 64


def minutes_of(at: str) -> tuple[int, ...]:
    """When something begins in a week, in minutes since Monday 00:00 on the clock. Raises ValueError for what is no such time.

    >>> minutes_of("Mon,Thu 09:00"), len(minutes_of("02:30"))
    ((540, 4860), 7)
    """
    match = _AT.match(at)
    if not match:
        raise ValueError(_NO_TIME)
    days = sorted(DAYS.index(day.strip()) for day in match[1].split(",")) if match[1] else range(7)
    return tuple(day * 1440 + int(match[2]) * 60 + int(match[3]) for day in days)


def _at_most_a_week(lasts: float) -> float:
    if lasts > LONGEST_S:
        raise ValueError("is longer than a week, and a window begins each week; leave the device out instead")
    return lasts


def _times(at: tuple[str, ...]) -> tuple[str, ...]:
    if len(at) > _MOST:
        raise ValueError(f"has {len(at)} times; at most {_MOST}")
    wrong = next((one for one in at if not _AT.match(one)), "")
    if wrong:
        raise ValueError(f'has "{wrong[:40]}", which {_NO_TIME}' if len(at) > 1 else _NO_TIME)
    begins = [minute for one in at for minute in minutes_of(one)]
    if len(set(begins)) < len(begins):
        raise ValueError("has the same time twice")
    return at


class WindowCommands(Table):
    """`orders = { begin = "zero_on", end = "zero_off" }`: what its device is told when a window begins and when it ends."""

    begin: str = ""
    """A command of the device's profile …"""
    end: str = ""
    """… and another."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.begin or self.end):
            raise ValueError('is empty; write begin = "…", end = "…" or both')
        return self


class Maintenance(Measured):
    """Planned work: values in its windows are kept with a reason, and never count."""

    at: Annotated[Names, AfterValidator(_times)]
    """When a window begins, by the station's clock: "09:00" (every day), "Mon 09:00", "Mon,Thu 09:00", or a list of these."""
    lasts: Annotated[Duration, AfterValidator(_at_most_a_week), Field(alias="for", ge=1)]
    """How long it is open."""
    kind: Kind = "maintenance"
    """Values have the reason M; zero, span and calibration give C."""
    settle: Annotated[Duration, Field(ge=0, le=86400)] = 0.0
    """So long after its end values are still no measurement: back from zero or span gas."""
    orders: WindowCommands | None = None
    """What each `device` is told at the beginning and at the end of a window; it needs orders = true."""

    @property
    def begins(self) -> tuple[int, ...]:
        """Minutes of the week at which its windows begin, rising."""
        return tuple(sorted(minute for one in self.at for minute in minutes_of(one)))

    @property
    def shortest_s(self) -> float:
        """The shortest time between two beginnings, by the clock."""
        begins = self.begins
        return 60.0 * min((after - before) % WEEK or WEEK for before, after in zip(begins, begins[1:] + begins[:1], strict=True))

    @property
    def reason(self) -> Reason:
        """What its values have as reason."""
        return REASONS[self.kind]
