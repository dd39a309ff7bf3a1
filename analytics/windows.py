"""Times in which people, or span gas, are at an instrument: what it gives then is kept with a reason, and it is not missed.

A window begins by the clock of its station and lasts so long as it is said to, in time that passes. By the clock means: a time that there is
twice is the first of the two; one that there is not, for the clock is put forward, is taken by the clock as it was before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.silence import NEVER
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


class Span(NamedTuple):
    """One window: open in [begin, end), what is measured counts again from `over` on. UTC ns."""

    begin: int
    end: int
    over: int


@dataclass(frozen=True, slots=True)
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

    def spans(self, window: int, since: int, until: int) -> Iterator[Span]:
        """The windows of one row that touch [since, until], in order."""
        begins = tuple(self.begins[self.first[window] : self.first[window + 1]].tolist())
        lasts, settle = int(self.lasts[window]), int(self.settle[window])
        if not begins:
            begin = int(self.since[window])
            yield Span(begin, begin + lasts, begin + lasts + settle)
            return
        zone = bytes(self.zones).decode().split(" ")[window]
        seen = -(2**63)
        for day in range(since // _DAY_NS, until // _DAY_NS + 1):
            for span in spans_of_day(zone, begins, lasts, settle, day):
                if span.begin > seen:
                    seen = span.begin
                    yield span


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
    found = reason.copy()
    if not len(which):
        return found
    member = windows.member.reshape(len(windows), -1)
    begin, may = at - np.maximum(span, 0), ~np.isin(reason, _OWN)
    hits = [(window, one, mine) for window in range(len(windows)) if (mine := may & (member[window][which] > 0)).any()
            for since, until in _days(begin[mine], at[mine]) for one in windows.spans(window, since, until)]
    for window, one, mine in hits:
        found[mine & _within(begin, at, one.end, one.over)] = windows.reason[window]
    for window, one, mine in hits:
        found[mine & _within(begin, at, one.begin, one.end)] = windows.reason[window]
    return found


def _days(begin: NDArray[np.int64], at: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The stretches of days that these intervals lie in: mostly one."""
    days = np.unique(np.stack([begin // _DAY_NS, at // _DAY_NS]), axis=1) * _DAY_NS
    return [(int(since), int(until)) for since, until in days.T]


def _within(begin: NDArray[np.int64], at: NDArray[np.int64], low: int, high: int) -> NDArray[np.bool_]:
    return (begin < high) & np.where(at > begin, at > low, at >= low) & (high > low)


def excuse(windows: Windows, expect: Expectations, state: State, steady_ns: int, now_ns: int) -> None:
    """Nobody is missed in a window: who gives nothing is silent three of its periods after the window at the earliest. `state` moves on.

    Called whenever something happened, so a window that is open now is seen; one that opened and closed since then is found by when the
    device was due.
    """
    due, device = state["device_due"], windows.device.reshape(len(windows), -1) > 0
    watched = (due != NEVER) & (expect.device_period > 0)
    late = (watched & (due <= steady_ns)).nonzero()[0].tolist()
    for window in range(len(windows)):
        instants = [(now_ns, watched & device[window])]
        instants += [(now_ns - (steady_ns - int(due[d])), np.arange(len(due)) == d) for d in late if device[window, d]]
        for at_ns, who in instants:
            span = _open(windows, window, at_ns)
            if span is not None:
                due[who] = np.maximum(due[who], steady_ns + span.over - now_ns + _PERIODS * expect.device_period[who])


def _open(windows: Windows, window: int, at_ns: int) -> Span | None:
    return next((span for span in windows.spans(window, at_ns, at_ns) if span.begin <= at_ns < span.over), None)


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
