"""The step: numbered events in, flags, means and alert transitions out. Pure; the only times it sees are the events' own.

*Law of folding:* cutting a run of events anywhere gives the same bits. So it holds for a restart, which steps the events
after the last checkpoint again and throws their effects away, and for a replay.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from analytics import clock_back, gaps, means, quality, rules, signals, station_indices, warming, windows
from analytics.kernels.means import NEVER
from analytics.kernels.rules import LEVELS, OF_A_DAY, OF_AN_HOUR
from analytics.state import Layout, Per, State
from config.series import Flag, Origin, Reason
from gateway.journal.columns import Columns, together
from gateway.journal.writer import BOOTED, START, STARTS
from gateway.wiring import COLUMNS, Plan

NOTHING = Columns(*(np.empty(0, t) for t in ("i4", "i8", "i8", "f8", "f8", "u1", "u1", "u4", "i4", "u1", "f8")))
_HOUR_NS = 3600 * 10**9
_LATER = np.uint8(Origin.LATE | Origin.BACKFILL | Origin.IMPORTED)
Result = TypeVar("Result")
Number = TypeVar("Number", np.float64, np.int64, np.int32, np.uint8)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, with its recorded times; readings are columns of length n in arrival order (n = 0 for time alone)."""

    kind: int
    now: int
    """UTC ns, as far as it was known."""
    sure: bool
    """Whether the clock could be believed; while it cannot, nobody is called silent and no hour ends."""
    steady: int
    """ns on the monotonic clock carried over restarts."""
    which: NDArray[np.int32]
    at: NDArray[np.int64]
    span: NDArray[np.int64]
    raw: NDArray[np.float64]
    reason: NDArray[np.uint8]
    origin: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Effects:
    """What an event led to."""

    rows: Columns
    """Its readings, calibrated and flagged."""
    derived: Columns
    """Means, indices and classes that were issued, and MISSING rows of sources that did not speak."""
    transitions: list[rules.Transition]


class PartFailed(Exception):
    """A part of the step has a bug: it is switched off, measured values go on."""

    def __init__(self, part: str, words: str) -> None:
        self.part = part
        super().__init__(f"{part}: {words}")


def unevaluated(plan: Plan, event: Event) -> Columns:
    """The readings of an event as they are before anyone has judged them: flag 2, or 9 where nothing came.

    What an input module gives has no value yet.
    """
    n = len(event.which)
    value = event.raw if plan.signals is None else np.where(plan.signals.kind[event.which] > 0, np.nan, event.raw)
    flag = np.where(np.isnan(value), np.uint8(Flag.MISSING), np.uint8(Flag.NOT_EVALUATED))
    return Columns(event.which, event.at, event.span, event.raw, value, flag, event.reason, np.zeros(n, np.uint32),
                   np.zeros(n, np.int32), event.origin, np.full(n, np.nan))


def _guard(part: str, plan: Plan, work: Callable[[], Result], instead: Result) -> Result:
    if part in plan.off:
        return instead
    try:
        return work()
    except PartFailed:
        raise
    except Exception as error: # the core's guard: a formula must never cost a reading
        raise PartFailed(part, f"{type(error).__name__}: {error}") from error


def step(plan: Plan, state: State, events: list[Event]) -> tuple[State, list[Effects]]:
    """The state after `events`, and what each of them led to; `state` itself stays as it was. Raises PartFailed."""
    state = state.copy()
    return state, [_one(plan, state, event) for event in events]


def warm_up() -> None:
    """Compile or load every kernel, so that the first reading does not wait for it: seconds on a small box."""
    one, far = np.zeros(1, np.int32), np.array([60 * _HOUR_NS])
    two, number = np.ones(1, np.uint8), np.ones(1)
    none = np.full(1, np.nan)
    keys: dict[Per, tuple[str, ...]] = {"series": ("s",), "watch": ("w",), "device": ("d",)}
    plan = Plan(
        quality.Limits(none, none, none, none, none), means.Kinds(two, far),
        rules.Watches(one, one + np.int32(1), np.ones(LEVELS), number, far, number, far, far, number, far),
        rules.Expectations(two, far, one, far), one, Layout(COLUMNS, keys), signals=signals.none(1), warming=warming.none(1))
    rows = {"which": one, "at": far, "span": far, "raw": number, "reason": two, "origin": two}
    state, _ = step(plan, State(plan.layout), [Event(START, 1, True, 1, **rows)])
    step(plan, state, [Event(START, 100 * _HOUR_NS, True, 1000 * _HOUR_NS, **rows)])


def _one(plan: Plan, state: State, event: Event) -> Effects:
    regained = event.sure and not state["sure"][0]
    state["sure"][0] = event.sure
    if event.sure and plan.manner:
        _guard("clock", plan, lambda: clock_back.follow(plan.watches, state, event.now, regained=regained), None)
    if event.kind in STARTS:
        gaps.start(state, event.now)
        warming.start(state, event.steady, booted=event.kind == BOOTED)
    if event.kind in STARTS or regained:
        _guard("rules", plan, lambda: rules.start(plan.expect, state, event.steady), None)
    hours = [_guard("means", plan, lambda: means.close(plan.kinds, state, event.now), None)] if event.sure else []
    nobody = (np.empty(0, np.int32), np.empty(0, np.int64), list[rules.Transition]())
    no_hours: list[means.Hours] = []
    no_transitions: list[rules.Transition] = []
    silent, silent_at, transitions = nobody
    _excuse(plan, state, event)
    if event.sure:
        silent, silent_at, transitions = _guard(
            "rules", plan, lambda: rules.advance(plan.expect, state, event.steady, event.now), nobody)
    rows = unevaluated(plan, event)
    if plan.signals is not None:
        rows = _meant(plan, plan.signals, state, event, rows)
    if plan.warming is not None:
        rows = _ready(plan, plan.warming, state, event, rows)
    if plan.windows is not None:
        rows = replace(rows, reason=_at_work(plan, plan.windows, rows.which, rows.at, rows.span, rows.reason))
    value = rows.value
    flag, tests = _guard("quality", plan, lambda: quality.flags(plan.limits, state, event.which, event.at, value, rows.reason),
                         (rows.flag, rows.tests))
    if len(value):
        hours += _guard("means", plan, lambda: _means(plan, state, event, rows, flag), no_hours)
        transitions = transitions + _guard("rules", plan, lambda: _rules(plan, state, event, value, flag), no_transitions)
    quiet = _quiet(plan, silent, silent_at)
    missed = _guard("gaps", plan, lambda: _gaps(plan, state, rows, flag, quiet), None)
    issued = [h for h in hours if h is not None and len(h)]
    judged = _guard("indices", plan, lambda: _judged(plan, state, issued, event), station_indices.issued(()))
    if len(judged):
        transitions = transitions + _guard("rules", plan, lambda: _rules_of_indices(plan, state, event, judged), no_transitions)
    return Effects(replace(rows, flag=flag, tests=tests), _derived(plan, quiet, issued, judged, missed), transitions)


def _meant(plan: Plan, table: signals.Signals, state: State, event: Event, rows: Columns) -> Columns:
    """The rows with the values that the signals of input modules mean."""
    as_they_are = signals.Values(rows.value, rows.span, rows.reason)
    found = _guard("signals", plan, lambda: signals.values(table, state, event.which, event.at, event.span, event.raw, event.reason), as_they_are)
    flag = np.where(np.isnan(found.value), np.uint8(Flag.MISSING), np.uint8(Flag.NOT_EVALUATED))
    return replace(rows, value=found.value, span=found.span, reason=found.reason, flag=flag)


def _means(plan: Plan, state: State, event: Event, rows: Columns, flag: NDArray[np.uint8]) -> list[means.Hours]:
    """Hours that these rows end. What a sleeper gives, and one that warms up, was never expected: it makes no hour incomplete."""
    wanted = (rows.reason != Reason.WARMING) & (rows.reason != Reason.RESTING)
    late = (rows.origin & _LATER) > 0
    if wanted.all():
        return means.take(plan.kinds, state, event.now, event.which, event.at, rows.value, flag, late)
    return means.take(plan.kinds, state, event.now, event.which[wanted], event.at[wanted], rows.value[wanted], flag[wanted], late[wanted])


def _ready(plan: Plan, table: warming.Warming, state: State, event: Event, rows: Columns) -> Columns:
    """The rows with the reason of those that an instrument gave before it was ready."""
    return replace(rows, reason=_guard("warming", plan, lambda: warming.reasons(
        table, state, event.steady, event.which, event.at, rows.value, rows.reason), rows.reason))


def _at_work(
    plan: Plan, table: windows.Windows, which: NDArray[np.int32], at: NDArray[np.int64], span: NDArray[np.int64], reason: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """The reasons of rows, that of the window where people were at the instrument."""
    return _guard("windows", plan, lambda: windows.reasons(table, which, at, span, reason), reason)


def _quiet(plan: Plan, silent: NDArray[np.int32], at: NDArray[np.int64]) -> Columns:
    """The MISSING rows of sources that did not speak, with why."""
    if not len(silent):
        return NOTHING
    rows = _rows(silent, at, np.full(len(silent), np.nan), flag=Flag.MISSING, reason=Reason.SILENT)
    return rows if plan.windows is None else replace(rows, reason=_at_work(plan, plan.windows, silent, at, rows.span, rows.reason))


def _excuse(plan: Plan, state: State, event: Event) -> None:
    """Nobody is missed while people are at the instrument."""
    table = plan.windows
    if table is not None and event.sure:
        _guard("windows", plan, lambda: windows.excuse(table, plan.expect, state, event.steady, event.now), None)


def _gaps(
    plan: Plan, state: State, rows: Columns, flag: NDArray[np.uint8], quiet: Columns,
) -> gaps.Gaps | None:
    """What became known of gaps with these rows, and with those of sources that did not speak."""
    if plan.ledger is None or not len(quiet) + len(rows):
        return None
    return gaps.take(
        plan.ledger, state, np.concatenate([quiet.which, rows.which]), np.concatenate([quiet.at, rows.at]),
        np.concatenate([quiet.flag, flag]), np.concatenate([quiet.reason, rows.reason]))


def _rules(plan: Plan, state: State, event: Event, value: NDArray[np.float64], flag: NDArray[np.uint8]) -> list[rules.Transition]:
    heard = rules.hear(plan.expect, state, event.steady, event.which, event.at, event.raw, event.reason)
    return heard + rules.watch(plan.watches, _behaves(plan), state, _most_now(plan, event), event.which, event.at, value, flag)


def _judged(plan: Plan, state: State, hours: list[means.Hours], event: Event) -> station_indices.Issued:
    """What the standards say, each report guarded by itself."""
    names = plan.layout.keys["index"] if plan.indices else ()
    return station_indices.take(plan.indices, state, hours, event.now if event.sure else -1,
                                lambda number, work: _guard(f"report {names[number]}", plan, work, {}))


def _most_now(plan: Plan, event: Event) -> int:
    """What no time of a reading can be later than, as far as the box knows."""
    return event.now if event.sure and plan.manner else NEVER


def _behaves(plan: Plan) -> NDArray[np.uint8]:
    """How the rules' means are made."""
    return plan.kinds.behaves if plan.manner else np.full_like(plan.kinds.behaves, means.ARITHMETIC)


def _rules_of_indices(plan: Plan, state: State, event: Event, judged: station_indices.Issued) -> list[rules.Transition]:
    kind = np.where(judged.span > _HOUR_NS, np.uint8(OF_A_DAY), np.uint8(OF_AN_HOUR)) if plan.manner else None
    found = rules.watch(plan.watches, _behaves(plan), state, _most_now(plan, event), judged.series, judged.end, judged.value, judged.flag, kind)
    return [replace(one, row=-1) for one in found]


def _derived(
    plan: Plan, quiet: Columns, hours: list[means.Hours], judged: station_indices.Issued,
    missed: gaps.Gaps | None,
) -> Columns:
    parts = [quiet] if len(quiet) else []
    parts += [_rows(plan.hourly[h.series], h.end, h.value, span=_HOUR_NS, flag=h.flag, revision=h.revision, share=h.share) for h in hours]
    if len(judged):
        parts.append(_rows(judged.series, judged.end, judged.value, span=judged.span, flag=judged.flag, reason=judged.reason,
                           revision=judged.revision, share=judged.share))
    if missed is not None and len(missed):
        parts.append(_rows(missed.series, missed.until, (missed.until - missed.since) / 1e9, reason=missed.reason, revision=missed.revision,
                           share=missed.filled))
    return together(parts) if parts else NOTHING


_Whole = int | NDArray[np.integer[Any]]


def _rows(
    which: NDArray[np.int32], at: NDArray[np.int64], value: NDArray[np.float64], *, span: _Whole = 0, flag: _Whole = Flag.GOOD,
    reason: _Whole = Reason.NORMAL, revision: _Whole = 0, share: float | NDArray[np.float64] = np.nan,
) -> Columns:
    """Derived rows, columns of length n: what nobody measured has no raw reading."""
    n = len(which)

    def column(given: _Whole | float | NDArray[np.float64], dtype: type[Number]) -> NDArray[Number]:
        return np.broadcast_to(np.asarray(given, dtype), n).copy()

    return Columns(which.astype(np.int32), at, column(span, np.int64), column(np.nan, np.float64), value, column(flag, np.uint8),
                   column(reason, np.uint8), np.zeros(n, np.uint32), column(revision, np.int32), column(int(Origin.LIVE), np.uint8),
                   column(share, np.float64))
