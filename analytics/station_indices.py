"""Indices and classes of a station's hours: a left fold over issued hourly means.

The newest issued hours of every input are kept, so that an index can be computed when the hour of one of its inputs is
issued, and again when that hour is issued again: then with the next revision. Which edition of a standard holds is
decided by the hour itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.means import Hours
from analytics.state import Column, State
from analytics.station_formulas import NOTHING, About, Hour, hours_needed, judge
from config.series import Flag, Reason

HOUR_NS = 3_600_000_000_000
KEPT = 96
"""Hours of each input; an hour that is older than the newest by so many is not judged any more, and counted."""
_EMPTY = -1

COLUMNS = (
    Column("input_end", "i8", "input", KEPT, _EMPTY),
    Column("input_value", "f8", "input", KEPT),
    Column("input_share", "f8", "input", KEPT),
    Column("input_flag", "i8", "input", KEPT),
    Column("index_end", "i8", "index", KEPT, _EMPTY),
    Column("index_revision", "i8", "index", KEPT),
    Column("index_too_old", "i8", "one"),
)


@dataclass(frozen=True, slots=True)
class Input:
    """A measured quantity that an index reads: its series id, and its place among the inputs of the state."""

    quantity: str
    series: int
    place: int


@dataclass(frozen=True, slots=True)
class StationIndex:
    """One standard at one station: what it reads, and the series id of what it gives ("" = the station's own number)."""

    about: About
    inputs: tuple[Input, ...]
    gives: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Issued:
    """Numbers that were issued, columns of length n; `series` is the id of the computed series."""

    series: NDArray[np.int32]
    end: NDArray[np.int64]
    value: NDArray[np.float64]
    flag: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    share: NDArray[np.float64]
    revision: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.series)


Row = tuple[int, int, float, int, int, float, int]


def issued(rows: Sequence[Row]) -> Issued:
    """Rows of (series, end, value, flag, reason, share, revision) as columns."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    series, end, value, flag, reason, share, revision = columns
    return Issued(np.array(series, np.int32), np.array(end, np.int64), np.array(value, np.float64), np.array(flag, np.uint8),
                  np.array(reason, np.uint8), np.array(share, np.float64), np.array(revision, np.int32))


def take(indices: Sequence[StationIndex], state: State, hours: Sequence[Hours]) -> Issued:
    """Judge every hour of a station of which an input was issued just now; `state` moves on."""
    if not indices or not hours:
        return issued(())
    rows: list[Row] = []
    for number, index in enumerate(indices):
        for end in _touched(index, number, state, hours):
            rows += _one(index, number, state, end)
    return issued(rows)


def _touched(index: StationIndex, number: int, state: State, hours: Sequence[Hours]) -> list[int]:
    """Keep the new hours of an index's inputs; gives the ends of the hours to be judged, rising."""
    places = {one.series: one.place for one in index.inputs}
    ends: set[int] = set()
    for some in hours:
        for row in range(len(some)):
            place = places.get(int(some.series[row]))
            if place is not None:
                end = int(some.end[row])
                if _keep(state, place, end, some, row):
                    ends.add(end)
                else:
                    state["index_too_old"][0] += 1
    for end in sorted(ends):
        ends.update(later for later in _issued_after(number, state, end) if hours_needed(index.about, later) > (later - end) // HOUR_NS)
    return sorted(ends)


def _slot(place: int, end: int) -> int:
    return place * KEPT + end // HOUR_NS % KEPT


def _keep(state: State, place: int, end: int, some: Hours, row: int) -> bool:
    """Put an hour into its place; False if a newer one has it."""
    k = _slot(place, end)
    if state["input_end"][k] > end:
        return False
    state["input_end"][k] = end
    state["input_value"][k] = some.value[row]
    state["input_share"][k] = some.share[row]
    state["input_flag"][k] = some.flag[row]
    return True


def _issued_after(number: int, state: State, end: int) -> list[int]:
    """Ends of hours within a day after `end` that were judged already: a running mean of theirs may hold it."""
    later = [end + back * HOUR_NS for back in range(1, 24)]
    return [one for one in later if state["index_end"][_slot(number, one)] == one]


def _one(index: StationIndex, number: int, state: State, end: int) -> list[Row]:
    k = _slot(number, end)
    if state["index_end"][k] > end:
        state["index_too_old"][0] += 1
        return []
    revision = int(state["index_revision"][k]) + 1 if state["index_end"][k] == end else 0
    state["index_end"][k], state["index_revision"][k] = end, revision
    places = {one.quantity: one.place for one in index.inputs}
    found = judge(index.about, end, lambda quantity, back: _hour(state, places.get(quantity), end - back * HOUR_NS))
    rows: list[Row] = []
    for item, series in index.gives:
        one = found.get(item, NOTHING)
        if one.value is None:
            rows.append((series, end, float("nan"), Flag.MISSING, Reason.INCOMPLETE, 0.0, revision))
        else:
            rows.append((series, end, float(one.value), one.flag, Reason.NORMAL, one.share, revision))
    return rows


def _hour(state: State, place: int | None, end: int) -> Hour | None:
    if place is None:
        return None
    k = _slot(place, end)
    flag, value = int(state["input_flag"][k]), float(state["input_value"][k])
    if state["input_end"][k] != end or flag == Flag.MISSING or value != value:  # NaN is the only value unequal to itself
        return None
    return Hour(value, flag, float(state["input_share"][k]))
