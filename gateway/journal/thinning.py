"""What stays of sealed rows when room is short: readings → minute means → hourly means → what goes last. Arithmetic only.

A file goes down one step at a time, and its name says where it is (`….minutes.db`). Gaps, daily values and what covers a day or
more go last. What is missing stays a row: a minute without a valid reading is a missing one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analytics import means
from config.quantity import vocabulary
from config.series import GAP, Flag, Reason, Series
from gateway.contracts import Rows
from gateway.journal.archive import joined
from gateway.journal.records import Sealed
from gateway.wiring_means import BEHAVES, STATISTIC

MINUTE, HOUR, DAY = 60 * 10**9, 3600 * 10**9, 86_400 * 10**9
_WORTH = 1.5
"""So many readings a minute make a mean worth while: who speaks seldom keeps what was said until the hours."""
_PREFERENCE = 10
"""A day keeps its readings until it is a tenth as old as the oldest day that keeps minutes, and so on."""


class Step(IntEnum):
    """How far down a sealed file is, and how fine a series is."""

    READINGS = 0
    MINUTES = 1
    HOURS = 2
    LAST = 3


def step_of(entry: Sealed) -> Step:
    """Where a sealed file is, by its name: DAY.EVENT.STEP.db, as `name_of` makes it."""
    word = str(entry.file).removesuffix(".db").rpartition(".")[2]
    return Step[word.upper()] if word.upper() in Step.__members__ else Step.READINGS


def name_of(entry: Sealed, step: Step) -> str:
    """The name of a file after a step down."""
    return f"{str(entry.file).split('.', 1)[0]}.{entry.event_from}.{step.name.lower()}.db"


def next_step(files: Sequence[Sealed]) -> tuple[Sealed, Step] | None:
    """Which file (given oldest first) goes down next, and to where; None = all are as far down as they go.

    The oldest first; but readings of last week do not go while minutes of last year are kept, see _PREFERENCE.
    """
    steps = [(entry, step_of(entry)) for entry in files]
    left = [(entry, step) for entry, step in steps if step < Step.LAST]
    if not left:
        return None
    newest = max(entry.now_to for entry in files)
    entry, step = max(left, key=lambda one: max(DAY, newest - one[0].now_from) / _PREFERENCE ** one[1])
    return entry, Step(step + 1)


def fineness(series: Series) -> Step:
    """How fine a series is, and so with which step its rows go."""
    if series.statistic == GAP or series.period_s >= 86_400 or series.quantity.endswith("_daily"):
        return Step.LAST
    if series.period_s >= 3600:
        return Step.HOURS
    return Step.MINUTES if series.period_s else Step.READINGS if not series.statistic else Step.HOURS


def mean_of(series: Series, period_s: int) -> Series | None:
    """The series of means of a measured one, or of its minutes; None where a mean has no sense (counters, states)."""
    known = vocabulary().get(series.quantity)
    kind = BEHAVES.get(known.behaves, means.NONE) if known else means.NONE
    return series._replace(statistic=STATISTIC[kind], period_s=period_s) if kind else None


def minutes_of(table: Sequence[Series], ids: Iterable[int]) -> list[Series]:
    """The series that minute means of the measured ones among these ids are filed under."""
    found = (mean_of(table[i], 60) for i in ids if fineness(table[i]) == Step.READINGS)
    return [series for series in found if series]


@dataclass(frozen=True, slots=True)
class Ladder:
    """What becomes of which series: columns by series id."""

    fine: NDArray[np.uint8]
    """Step."""
    kind: NDArray[np.uint8]
    """How a mean is made, analytics.means; NONE for counters and states, of which the last row of a minute or an hour stays."""
    decimals: NDArray[np.int64]
    minute: NDArray[np.int32]
    """Id of the minute means of a measured series, -1 = none."""
    hour: NDArray[np.int32]
    """Id of the hourly means of a measured series or of its minutes, -1 = none."""


def ladder(table: Sequence[Series]) -> Ladder:
    """The ladder of a series table."""
    ids = {series: i for i, series in enumerate(table)}
    columns: list[tuple[int, int, int, int, int]] = []
    for series in table:
        fine, known = fineness(series), vocabulary().get(series.quantity)
        base = series._replace(statistic="", period_s=0)
        own = fine == Step.READINGS or (fine == Step.MINUTES and series == mean_of(base, 60))
        minute, hour = (mean_of(base, period) for period in (60, 3600)) if own else (None, None)
        kind = BEHAVES.get(known.behaves, means.NONE) if known else means.NONE
        columns.append((fine, kind, known.decimals + 2 if known else 6, ids.get(minute, -1) if minute and fine == Step.READINGS else -1,
                        ids.get(hour, -1) if hour else -1))
    fine_, kind_, decimals, minutes, hours = (np.array(column, np.int64) for column in (zip(*columns, strict=True) if columns else ((),) * 5))
    return Ladder(fine_.astype(np.uint8), kind_.astype(np.uint8), decimals, minutes.astype(np.int32), hours.astype(np.int32))


def hours_there(parts: Iterable[Rows]) -> NDArray[np.int64]:
    """Which hours of which series have a mean, as `to_hours` wants it."""
    return np.unique(np.concatenate([np.empty(0, np.int64), *(_hour_key(rows.which, rows.at) for rows in parts)]))


def _hour_key(which: NDArray[np.int32], at: NDArray[np.int64]) -> NDArray[np.int64]:
    return which.astype(np.int64) << 32 | -(-at // HOUR)


def to_minutes(rows: Rows, steps: Ladder, came_from: int, came_to: int) -> Rows:
    """Rows that came between those times (UTC ns), readings of whole minutes as minute means; an arrival number is that of the last reading.

    A minute that may have readings elsewhere too (at the edges, or late) stays as it is, so no mean is of half a minute. flag is the worst of
    what was used; share = valid readings of those that the usual interval promises.
    """
    end = -(-rows.at // MINUTE) * MINUTE
    own = (steps.minute[rows.which] >= 0) | (steps.kind[rows.which] == means.NONE)
    chosen = (steps.fine[rows.which] == Step.READINGS) & own & (end - MINUTE >= came_from) & (end <= came_to)
    places = np.flatnonzero(chosen)
    if not len(places):
        return rows
    places = places[np.lexsort((end[places], rows.which[places]))]
    groups = _groups(rows.which[places], end[places])
    busy = _busy(rows, places, groups)
    lasts = steps.kind[rows.which[places]] == means.NONE
    stay, gone = np.ones(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    gone[places[busy]] = True
    stay &= ~gone
    stay[_last_used(rows, places[busy & lasts], end)] = True
    mine = places[busy & ~lasts]
    made = _means(rows.pick(mine), steps, end[mine])
    found = joined(rows.series, [rows.pick(stay), made])
    return found.pick(found.n.argsort(kind="stable"))


def _groups(*columns: NDArray[np.int64] | NDArray[np.int32]) -> NDArray[np.intp]:
    """Where runs of equal entries begin."""
    if not len(columns[0]):
        return np.empty(0, np.intp)
    changes = np.zeros(len(columns[0]), np.bool_)
    changes[0] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def _busy(rows: Rows, places: NDArray[np.intp], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Rows of series that speak often enough for minute means."""
    which = rows.which[places]
    size = int(which.max()) + 1
    minutes = np.bincount(which[groups], minlength=size)
    good: NDArray[np.bool_] = np.bincount(which, minlength=size) >= _WORTH * np.maximum(minutes, 1)
    return good[which]


def _used(rows: Rows) -> NDArray[np.bool_]:
    return (rows.flag <= Flag.SUSPECT) & ~np.isnan(rows.value)


def _last_used(rows: Rows, places: NDArray[np.intp], end: NDArray[np.int64]) -> NDArray[np.intp]:
    """Of each series and interval the last valid row, else the last."""
    groups = _groups(rows.which[places], end[places])
    if not len(groups):
        return places
    order = np.arange(len(places))
    used = np.maximum.reduceat(np.where(_used(rows)[places], order, -1), groups)
    last = np.append(groups[1:], len(places)) - 1
    return places[np.where(used < 0, last, used)]


def _means(rows: Rows, steps: Ladder, end: NDArray[np.int64]) -> Rows:
    """Minute means of rows sorted by series and minute."""
    groups = _groups(rows.which, end)
    if not len(groups):
        return rows
    last, which = np.append(groups[1:], len(rows)) - 1, rows.which[groups]
    used = _used(rows)
    count = np.add.reduceat(used.astype(np.int64), groups)
    value = _values(rows, used, groups, count, steps.kind[which])
    for decimals in np.unique(steps.decimals[which]).tolist():
        mine = steps.decimals[which] == decimals
        value[mine] = value[mine].round(decimals)
    flag = np.where(count > 0, np.maximum.reduceat(np.where(used, rows.flag, 0), groups), Flag.MISSING).astype(np.uint8)
    reason = np.where(count > 0, Reason.NORMAL, rows.reason[last]).astype(np.uint8)
    many = np.maximum(np.diff(np.append(groups, len(rows))), _promised(rows)[groups])
    return replace(
        rows.pick(last), n=np.maximum.reduceat(rows.n, groups), which=steps.minute[which], at=end[groups], span=np.full(len(groups), MINUTE),
        raw=value, value=value, flag=flag, reason=reason, tests=np.zeros(len(groups), np.uint32), revision=np.zeros(len(groups), np.int32),
        origin=np.bitwise_or.reduceat(rows.origin, groups), share=(count / many).round(4))


def _promised(rows: Rows) -> NDArray[np.int64]:
    """For each row how many readings a minute its series usually gives, by the median of its intervals."""
    found = np.ones(len(rows), np.int64)
    edges = [*_groups(rows.which).tolist(), len(rows)]
    for begin, end in pairwise(edges):
        between = np.diff(rows.at[begin:end])
        between = between[between > 0]
        if len(between):
            found[begin:end] = max(1, round(MINUTE / float(np.median(between))))
    return found


def _values(rows: Rows, used: NDArray[np.bool_], groups: NDArray[np.intp], count: NDArray[np.int64], kind: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean of each group as its quantity behaves; NaN where nothing is valid."""
    def total(column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.add.reduceat(np.where(used, column, 0.0), groups), np.float64)

    of_row, value = np.repeat(kind, np.diff(np.append(groups, len(rows)))), np.where(used, rows.value, 0.0)
    angle = np.radians(np.where(of_row == means.ANGLE, value, 0.0))
    some = np.maximum(count, 1)
    found = total(value) / np.where(kind == means.AMOUNT, 1, some)
    level = np.where(of_row == means.ENERGETIC, value, 0.0)
    found = np.where(kind == means.ENERGETIC, 10 * np.log10(np.maximum(total(10 ** (level / 10)), 1e-300) / some), found)
    found = np.where(kind == means.ANGLE, np.degrees(np.arctan2(total(np.sin(angle)), total(np.cos(angle)))) % 360, found)
    found = np.where(kind == means.PEAK, np.maximum.reduceat(np.where(used, rows.value, -np.inf), groups), found)
    return np.where(count > 0, found, np.nan)


def to_hours(rows: Rows, steps: Ladder, there: NDArray[np.int64]) -> Rows:
    """Without readings and minutes of hours that have a mean (`there`); of counters and states the last row of an hour stays."""
    fine = steps.fine[rows.which] < Step.HOURS
    hour = steps.hour[rows.which]
    stay = ~(fine & (hour >= 0) & np.isin(_hour_key(hour, rows.at), there))
    end = -(-rows.at // HOUR)
    lasts = np.flatnonzero((steps.fine[rows.which] == Step.READINGS) & (steps.kind[rows.which] == means.NONE))
    lasts = lasts[np.lexsort((end[lasts], rows.which[lasts]))]
    stay[lasts] = False
    stay[_last_used(rows, lasts, end)] = True
    return rows.pick(stay)


def to_last(rows: Rows, steps: Ladder) -> Rows:
    """Gaps, daily values and what covers a day or more."""
    return rows.pick(steps.fine[rows.which] == Step.LAST)
