"""Indices, classes and limits of a station's hours and days: a left fold over issued hourly means.

The newest issued hours of every input are kept, so that a number can be computed when the hour of one of its inputs is
issued, and again when that hour is issued again: then with the next revision. A day is judged once it is over, and again
when one of its hours changes. Which edition of a standard holds is decided by the hour or day itself.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.means import NEVER
from analytics.means import AGAIN_NS, SETTLE_NS, Hours
from analytics.state import Column, State
from analytics.station_calendar import HOUR_NS, day_moment, day_of
from analytics.station_formulas import NOTHING, UNLIMITED, About, Judged, Judging, Key, hours_needed, judge
from analytics.station_inputs import Hour, Moment, law_at
from config.series import Flag, Reason

KEPT = 96
"""Hours in a page of an input; an hour that is older than the newest by as many as are kept is not judged any more, and counted."""
DAYS = 8
"""Days of each daily report whose revision is known."""
LONGEST_AGAIN = 24
"""A late hour renews the numbers of at most so many hours: those whose mean holds it."""
_EMPTY = -1

COLUMNS = (
    Column("input_end", "i8", "input", KEPT, _EMPTY),
    Column("input_value", "f8", "input", KEPT),
    Column("input_share", "f8", "input", KEPT),
    Column("input_flag", "i8", "input", KEPT),
    Column("index_end", "i8", "index", KEPT, _EMPTY),
    Column("index_revision", "i8", "index", KEPT),
    Column("index_too_old", "i8", "one"),
    Column("day_end", "i8", "index", DAYS, _EMPTY),
    Column("day_due", "i8", "index", DAYS, NEVER),
    Column("day_revision", "i8", "index", DAYS, _EMPTY),
    Column("day_first_due", "i8", "one", fill=NEVER),
)


@dataclass(frozen=True, slots=True)
class Input:
    """A measured quantity that an index reads: its series id, its first place among the inputs of the state, and its pages."""

    quantity: str
    series: int
    place: int
    pages: int = 1


@dataclass(frozen=True, slots=True)
class StationIndex:
    """One report of a standard at one station: what it reads, and the series id of each quantity and channel that it gives."""

    about: About
    inputs: tuple[Input, ...]
    gives: tuple[tuple[str, str, int], ...]
    daily: bool = False
    day_from: int = 0
    """The local hour at which its days begin."""
    reads_before: int = 0
    """Hours before a day that its numbers rest on too."""


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
    span: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series)


Row = tuple[int, int, float, int, int, float, int, int]
Found = dict[Key, Judged]
Guard = Callable[[int, Callable[[], Found]], Found]
"""Judges a report by its number, so that one that fails costs no other; nothing is found for one that is switched off."""


def _unguarded(_: int, work: Callable[[], Found]) -> Found:
    return work()


def issued(rows: Sequence[Row]) -> Issued:
    """Rows of (series, end, value, flag, reason, share, revision, span) as columns."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 8
    series, end, value, flag, reason, share, revision, span = columns
    return Issued(np.array(series, np.int32), np.array(end, np.int64), np.array(value, np.float64), np.array(flag, np.uint8),
                  np.array(reason, np.uint8), np.array(share, np.float64), np.array(revision, np.int32), np.array(span, np.int64))


def take(indices: Sequence[StationIndex], state: State, hours: Sequence[Hours], now_ns: int, guard: Guard = _unguarded) -> Issued:
    """Judge every hour of a station of which an input was issued just now, and every day that is over; `state` moves on.

    now_ns : UTC; -1 while nobody knows it, and then no day ends. guard : judges one report, by its number.
    """
    if not indices or not (hours or now_ns >= int(state["day_first_due"][0])):
        return issued(())
    rows: list[Row] = []
    for number, index in enumerate(indices):
        ends = _touched(index, state, hours)
        if index.daily:
            rows += _note_days(index, number, state, ends, now_ns, guard)
        else:
            for end in sorted(_with_later(index, number, state, ends)):
                rows += _hour_of(index, number, state, end, guard)
    if now_ns >= int(state["day_first_due"][0]):
        rows += _days_due(indices, state, now_ns, guard)
    return issued(rows)


# ── hours ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _touched(index: StationIndex, state: State, hours: Sequence[Hours]) -> set[int]:
    """Keep the new hours of an index's inputs; gives their ends."""
    inputs = {one.series: one for one in index.inputs}
    ends: set[int] = set()
    for some in hours:
        for row in range(len(some)):
            one = inputs.get(int(some.series[row]))
            if one is not None:
                end = int(some.end[row])
                if _keep(state, one, end, some, row):
                    ends.add(end)
                else:
                    state["index_too_old"][0] += 1
    return ends


def _with_later(index: StationIndex, number: int, state: State, ends: set[int]) -> set[int]:
    """With the hours that were judged already and whose running means hold one of these."""
    found = set(ends)
    for end in ends:
        later = [end + back * HOUR_NS for back in range(1, LONGEST_AGAIN)]
        judged = [one for one in later if state["index_end"][number * KEPT + one // HOUR_NS % KEPT] == one
                  and any(state["input_end"][_slot(known, one)] == one for known in index.inputs)]  # not of a clock that was ahead
        found.update(one for one in judged if hours_needed(index.about, one) > (one - end) // HOUR_NS)
    return found


def _slot(one: Input, end: int) -> int:
    return one.place * KEPT + end // HOUR_NS % (KEPT * one.pages)


def _keep(state: State, one: Input, end: int, some: Hours, row: int) -> bool:
    """Put an hour into its place; False if a newer one has it."""
    k = _slot(one, end)
    if state["input_end"][k] > end:
        return False
    state["input_end"][k] = end
    state["input_value"][k] = some.value[row]
    state["input_share"][k] = some.share[row]
    state["input_flag"][k] = some.flag[row]
    return True


def _hour_of(index: StationIndex, number: int, state: State, end: int, guard: Guard) -> list[Row]:
    k = number * KEPT + end // HOUR_NS % KEPT
    if state["index_end"][k] > end:
        state["index_too_old"][0] += 1
        return []
    revision = int(state["index_revision"][k]) + 1 if state["index_end"][k] == end else 0
    state["index_end"][k], state["index_revision"][k] = end, revision
    return _rows(index, number, state, Moment(end, 1, index.about.zone, False), revision, guard)


def _rows(index: StationIndex, number: int, state: State, moment: Moment, revision: int, guard: Guard) -> list[Row]:
    inputs = {one.quantity: one for one in index.inputs}
    found = guard(number, lambda: judge(
        index.about, moment, lambda quantity, back: _hour(state, inputs.get(quantity), moment.end_ns - back * HOUR_NS)))
    rows: list[Row] = []
    span = moment.hours * HOUR_NS
    for quantity, channel, series in index.gives:
        one = found.get((quantity, channel), NOTHING)
        if one is UNLIMITED:
            continue
        if one.value is None:
            rows.append((series, moment.end_ns, float("nan"), Flag.MISSING, Reason.INCOMPLETE, 0.0, revision, span))
        else:
            reason = Reason.HELD if one.held else Reason.NORMAL
            rows.append((series, moment.end_ns, float(one.value), one.flag, reason, one.share, revision, span))
    return rows


def _hour(state: State, one: Input | None, end: int) -> Hour | None:
    if one is None:
        return None
    k = _slot(one, end)
    flag, value = int(state["input_flag"][k]), float(state["input_value"][k])
    if state["input_end"][k] != end or flag == Flag.MISSING or value != value:  # NaN is the only value unequal to itself
        return None
    return Hour(value, flag, float(state["input_share"][k]))


# ── days ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _note_days(index: StationIndex, number: int, state: State, ends: Iterable[int], now_ns: int, guard: Guard) -> list[Row]:
    """The days of these hours are due: when they are over, or a minute after the first hour that came later than that.

    Gives the rows of days that had to make room (long backfills only).
    """
    rows: list[Row] = []
    zone, day_from = index.about.zone, index.day_from
    own = {day_of(end, zone, day_from) for end in ends}
    next_ones = {day_of(end + index.reads_before * HOUR_NS, zone, day_from) for end in ends} - own
    for day in sorted(own | next_ones):
        moment = day_moment(day, zone, day_from)
        k = number * DAYS + day.toordinal() % DAYS
        newest = int(state["day_end"][k])
        if moment.end_ns < newest:
            state["index_too_old"][0] += 1
            continue
        if newest != moment.end_ns:
            if day not in own:
                continue  # nothing of this day is known yet
            if state["day_due"][k] != NEVER:
                rows += _day(index, number, state, k, guard)
            state["day_end"][k], state["day_revision"][k] = moment.end_ns, _EMPTY
        if state["day_due"][k] == NEVER:
            over = moment.end_ns + SETTLE_NS
            state["day_due"][k] = over if over >= now_ns else now_ns + AGAIN_NS
            state["day_first_due"][0] = min(int(state["day_first_due"][0]), int(state["day_due"][k]))
    return rows


def _days_due(indices: Sequence[StationIndex], state: State, now_ns: int, guard: Guard) -> list[Row]:
    rows: list[Row] = []
    for number, index in enumerate(indices):
        slots = range(number * DAYS, (number + 1) * DAYS) if index.daily else ()
        for k in sorted((k for k in slots if state["day_due"][k] <= now_ns), key=lambda k: int(state["day_end"][k])):
            rows += _day(index, number, state, k, guard)
    state["day_first_due"][0] = int(state["day_due"].min()) if len(state["day_due"]) else NEVER
    return rows


def _day(index: StationIndex, number: int, state: State, k: int, guard: Guard) -> list[Row]:
    """Judge the day in a slot, with its next revision."""
    state["day_due"][k] = NEVER
    state["day_revision"][k] += 1
    day = day_of(int(state["day_end"][k]), index.about.zone, index.day_from)
    return _rows(index, number, state, day_moment(day, index.about.zone, index.day_from), int(state["day_revision"][k]), guard)


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def mean_judged(indices: Sequence[StationIndex], state: State, series: int, item: str, end_ns: int) -> float | None:
    """The mean of an item, in its own unit, that a number of the computed series `series` rests on; None where it is no single number."""
    index = next((one for one in indices if any(number == series for *_, number in one.gives)), None)
    live, law = (index.about.live, law_at(index.about.standard, end_ns, index.about.zone)) if index else (None, None)
    if index is None or live is None or law is None:
        return None
    zone, day_from = index.about.zone, index.day_from
    moment = day_moment(day_of(end_ns, zone, day_from), zone, day_from) if index.daily else Moment(end_ns, 1, zone, False)
    inputs = {one.quantity: one for one in index.inputs}
    judging = Judging(index.about, live, law, moment, lambda quantity, back: _hour(state, inputs.get(quantity), moment.end_ns - back * HOUR_NS))
    value = judging.means.of(item, live.mean).value
    return float(value) if isinstance(value, Decimal) else None
