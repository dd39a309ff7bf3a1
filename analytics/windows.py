"""Times in which people, or span gas, are at an instrument: what it gives then is kept with a reason, and it is not missed.

A window begins by the clock of its station and lasts so long as it is said to, in time that passes. By the clock means: a time that there is
twice is the first of the two; one that there is not, for the clock is put forward, is taken by the clock as it was before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analytics.rules import Expectations
from analytics.state import State
from config.reading_standards import time_zone
from config.series import Reason

_DAY_NS = 86_400_000_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_OWN = np.array([Reason.FAULT, Reason.MAINTENANCE, Reason.CALIBRATION, Reason.OUT_OF_SERVICE], np.uint8)
"""Reasons that an instrument gives for itself, and which count as little: they stay."""
_PERIODS = 3
"""A device that gives nothing for so many of its periods is silent; see analytics.kernels.silence."""
_AGAIN_NS = 60_000_000_000
"""Who keeps silent in a window is looked at so often."""


class Span(NamedTuple):
    """One window: open in [begin, end), what is measured counts again from `over` on. UTC ns."""

    begin: int
    end: int
    over: int


_MANY, _MOST = 8, 400
"""Days: more than so many are looked at one by one; of an interval only so many."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Planned ones and those by hand, the later before the earlier where they overlap. Arrays, so that a plan keeps them."""

    member: NDArray[np.uint8]
    """[window, series] in a row: 1 = values of this series are in it."""
    device: NDArray[np.uint8]
    """[window, device] in a row: 1 = nothing of this device counts then, so it is not missed."""
    reason: NDArray[np.uint8]
    """Per window, as the following."""
    since: NDArray[np.int64]
    """UTC ns; counts where the window has no beginnings by the clock."""
    lasts: NDArray[np.int64]
    """ns."""
    settle: NDArray[np.int64]
    """ns."""
    first: NDArray[np.int32]
    """Its beginnings are begins[first[w]:first[w + 1]]: one more than there are windows."""
    begins: NDArray[np.int32]
    """Minutes of the week by the station's clock."""
    zones: NDArray[np.uint8]
    """Names of their time zones, ASCII, separated by spaces."""

    def __len__(self) -> int:
        return len(self.reason)


@lru_cache(maxsize=64)
def _of_day(windows: Windows, day: int) -> tuple[tuple[int, Span], ...]:
    """(window, when) of all that touch a day of UTC: the same for all events of the day."""
    zones = bytes(windows.zones).decode().split(" ")
    found = []
    for window in range(len(windows)):
        begins = tuple(windows.begins[windows.first[window] : windows.first[window + 1]].tolist())
        lasts, settle, since = int(windows.lasts[window]), int(windows.settle[window]), int(windows.since[window])
        by_hand = (Span(since, since + lasts, since + lasts + settle),)
        found += [(window, span) for span in (spans_of_day(zones[window], begins, lasts, settle, day) if begins else by_hand)]
    return tuple((window, span) for window, span in found if span.begin < (day + 1) * _DAY_NS and span.over > day * _DAY_NS)


def _touching(windows: Windows, low: int, high: int, days: Iterable[int]) -> list[tuple[int, Span]]:
    """(window, when) of all that touch these days and [low, high], each once."""
    return list(dict.fromkeys((window, span) for day in days for window, span in _of_day(windows, day) if span.begin <= high and span.over > low))


def _days(begin: NDArray[np.int64], at: NDArray[np.int64], low: int, high: int) -> Iterable[int]:
    """The days of UTC in which intervals lie that reach from `low` to `high` in all; mostly one."""
    first, last = low // _DAY_NS, high // _DAY_NS
    if last - first <= _MANY:
        return range(first, last + 1)
    pairs = set(zip((begin // _DAY_NS).tolist(), (at // _DAY_NS).tolist(), strict=True))
    return sorted({day for since, until in pairs for day in range(max(since, until - _MOST), until + 1)})


@lru_cache(maxsize=1024)
def spans_of_day(zone: str, begins: tuple[int, ...], lasts: int, settle: int, day: int) -> tuple[Span, ...]:
    """The windows that touch a day of UTC (days since 1970), in order.

    zone: name of the time zone; begins: minutes of the week, Monday 00:00 = 0; lasts, settle: ns.

    >>> found = spans_of_day("Asia/Shanghai", (540,), 45 * 60 * 10**9, 0, 20780)   # Mondays, 09:00; day 20780 is 2026-11-23
    >>> [str(datetime.fromtimestamp(one.begin // 10**9, time_zone("UTC"))) for one in found]
    ['2026-11-23 01:00:00+00:00']
    """
    low = day * _DAY_NS
    clock = time_zone(zone)
    found = []
    today = date.fromordinal(_EPOCH + day)
    for back in range(-1, (lasts + settle) // _DAY_NS + 3):  # a zone is at most 26 h from another
        local = today - timedelta(days=back)
        for minute in begins:
            if minute // 1440 == local.weekday():
                at = datetime(local.year, local.month, local.day, minute % 1440 // 60, minute % 60, tzinfo=clock)
                begin = round(at.timestamp()) * 10**9
                if begin < low + _DAY_NS and begin + lasts + settle > low:
                    found.append(Span(begin, begin + lasts, begin + lasts + settle))
    return tuple(sorted(found))


def newest(zone: str, begins: tuple[int, ...], lasts: int, settle: int, at: int) -> Span | None:
    """The window that began last, at `at` (UTC ns) or before; it may be over. None only without any beginnings.

    >>> newest("UTC", (540,), 45 * 60 * 10**9, 0, 20780 * _DAY_NS).begin == 20773 * _DAY_NS + 9 * 3600 * 10**9
    True
    """
    for back in range(9):
        for span in reversed(spans_of_day(zone, begins, lasts, settle, at // _DAY_NS - back)):
            if span.begin <= at:
                return span
    return None


def reasons(
    windows: Windows, which: NDArray[np.int32], at: NDArray[np.int64], span: NDArray[np.int64], reason: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """The reasons of n readings, that of the window where they were measured in one.

    A reading is measured in a window if any of its interval, (at - span, at], is; of one without length, if its instant is. What an
    instrument says of itself and counts as little (fault, maintenance, calibration, out of service) stays; everything else gives way, also
    why nothing came.

    >>> cleaning = of([Row(Reason.MAINTENANCE, (0,), (0,), since=100, lasts=50)], series=1, devices=1)
    >>> at = np.array([99, 100, 149, 150])
    >>> bytes(reasons(cleaning, np.zeros(4, np.int32), at, np.zeros(4, np.int64), np.full(4, ord("N"), np.uint8)))
    b'NMMN'
    """
    if not len(which):
        return reason
    begin = at - np.maximum(span, 0)
    low, high = int(begin.min()), int(at.max())
    touching = _touching(windows, low, high, _days(begin, at, low, high))
    if not touching:
        return reason
    found, may, member = reason.copy(), ~np.isin(reason, _OWN), windows.member.reshape(len(windows), -1)
    hits = [(window, one, may & (member[window][which] > 0)) for window, one in touching]
    for window, one, mine in hits:
        found[mine & _within(begin, at, one.end, one.over)] = windows.reason[window]
    for window, one, mine in hits:
        found[mine & _within(begin, at, one.begin, one.end)] = windows.reason[window]
    return found


def _within(begin: NDArray[np.int64], at: NDArray[np.int64], low: int, high: int) -> NDArray[np.bool_]:
    return (begin < high) & np.where(at > begin, at > low, at >= low) & (high > low)


def excuse(windows: Windows, expect: Expectations, state: State, steady_ns: int, now_ns: int) -> None:
    """Nobody is missed for what it did not say in a window: it has three of its periods after that. `state` moves on.

    Called whenever something happens, before the silent are looked for. While a window is open who is due is looked at again soon, not at
    the window's end: people may end it earlier.
    """
    if steady_ns < int(state["silence_first_due"][0]):
        return
    due, device = state["device_due"], windows.device.reshape(len(windows), -1) > 0
    for d in ((due <= steady_ns) & (expect.device_period > 0)).nonzero()[0].tolist():
        patience = _PERIODS * int(expect.device_period[d])
        until = now_ns - (steady_ns - int(due[d]))
        days = range((until - patience) // _DAY_NS, until // _DAY_NS + 1)
        over = max((span.over for window, span in _touching(windows, until - patience, until - 1, days) if device[window, d]), default=None)
        if over is not None:
            ahead = over - now_ns + patience
            due[d] = steady_ns + (min(ahead, max(patience, _AGAIN_NS)) if over > now_ns else ahead)


@dataclass(frozen=True, slots=True)
class Row:
    """One window, as it is made: either `begins` and `zone`, or `since`."""

    reason: int
    series: tuple[int, ...]
    devices: tuple[int, ...]
    lasts: int
    settle: int = 0
    since: int = 0
    begins: tuple[int, ...] = ()
    zone: str = "UTC"


def of(rows: list[Row], series: int, devices: int) -> Windows:
    """The windows of so many series and devices."""
    member, device = np.zeros((len(rows), series), np.uint8), np.zeros((len(rows), devices), np.uint8)
    for i, row in enumerate(rows):
        member[i, list(row.series)] = 1
        device[i, list(row.devices)] = 1
    return Windows(
        member.reshape(-1), device.reshape(-1), np.array([row.reason for row in rows], np.uint8), np.array([row.since for row in rows], np.int64),
        np.array([row.lasts for row in rows], np.int64), np.array([row.settle for row in rows], np.int64),
        np.cumsum([0, *(len(row.begins) for row in rows)]).astype(np.int32), np.array([m for row in rows for m in row.begins], np.int32),
        np.frombuffer(" ".join(row.zone for row in rows).encode("ascii"), np.uint8))
