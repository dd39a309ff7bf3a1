"""Rules over readings and rolling means, silence of devices, and the transitions of the alerts they carry."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.rules import BUCKETS, ENDED, LEVELS, RAISED, judge
from analytics.kernels.silence import NEVER, YELLOW, silence_advance, silence_hear, silence_start
from analytics.state import Column, State

COLUMNS = (
    Column("watch_severity", "u1", "watch"),
    Column("watch_seen", "i8", "watch"),
    Column("watch_over", "i8", "watch", LEVELS),
    Column("watch_clear", "i8", "watch", LEVELS),
    Column("watch_over_before", "i8", "watch", LEVELS),
    Column("watch_clear_before", "i8", "watch", LEVELS),
    Column("watch_alert", "i8", "watch"),
    Column("mean_mark", "i8", "watch", BUCKETS, -1),
    Column("mean_total", "f8", "watch", BUCKETS),
    Column("mean_total2", "f8", "watch", BUCKETS),
    Column("mean_count", "i8", "watch", BUCKETS),
    Column("alert_number", "i8", "one"),
    Column("miss_due", "i8", "series", fill=NEVER),
    Column("device_due", "i8", "device", fill=NEVER),
    Column("device_firing", "u1", "device"),
    Column("device_alert", "i8", "device"),
    Column("silence_first_due", "i8", "one", fill=NEVER),
)


@dataclass(frozen=True, slots=True)
class Watches:
    """first/last int32[series]: the watches of a series; the rest per watch, see kernels.rules.judge."""

    first: NDArray[np.int32]
    last: NDArray[np.int32]
    limit: NDArray[np.float64]
    sign: NDArray[np.float64]
    hold: NDArray[np.int64]
    dead: NDArray[np.float64]
    end_hold: NDArray[np.int64]
    window: NDArray[np.int64]
    least: NDArray[np.float64]
    gap: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Expectations:
    """told uint8[series], period int64[series] ns, device int32[series] (-1 none), device_period int64[device] ns (0 = never silent)."""

    told: NDArray[np.uint8]
    period: NDArray[np.int64]
    device: NDArray[np.int32]
    device_period: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Transition:
    """One step in the life of an alert. `watch` and `device`: which of the two is >= 0 says what it is about."""

    watch: int
    device: int
    kind: int
    severity: int
    before: int
    at: int
    value: float
    alert: int
    row: int
    """The row of the event that caused it; -1 = time alone."""
    late: bool = False
    """What caused it was found late: it is the newest number renewed, or a day behind the newest."""


def watch(
    watches: Watches, behaves: NDArray[np.uint8], state: State, now_ns: int,
    which: NDArray[np.int32], at: NDArray[np.int64], value: NDArray[np.float64], flag: NDArray[np.uint8], kind: NDArray[np.uint8] | None = None,
) -> list[Transition]:
    """Judge n rows in arrival order; `state` moves on.

    behaves : uint8[series], how a mean is made (analytics.means); kind : uint8[n], MEASURED (left out), OF_AN_HOUR, OF_A_DAY.
    now_ns : UTC of the event; a reading's own time ahead of it counts as that.
    """
    most = int((watches.last[which] - watches.first[which]).sum()) if len(which) else 0
    if most == 0:
        return []
    kind = np.zeros(len(which), np.uint8) if kind is None else kind
    who, step, severity, before = np.empty(most, np.int32), np.empty(most, np.uint8), np.empty(most, np.uint8), np.empty(most, np.uint8)
    when, what, alert = np.empty(most, np.int64), np.empty(most), np.empty(most, np.int64)
    row, late = np.empty(most, np.int32), np.empty(most, np.uint8)
    n = judge(which, at, value, flag, kind, now_ns, behaves, watches.first, watches.last, watches.limit, watches.sign, watches.hold, watches.dead,
              watches.end_hold, watches.window, watches.least, watches.gap,
              state["watch_severity"], state["watch_seen"], state["watch_over"], state["watch_clear"], state["watch_over_before"],
              state["watch_clear_before"], state["watch_alert"],
              state["mean_mark"], state["mean_total"], state["mean_total2"], state["mean_count"], state["alert_number"],
              who, step, severity, before, when, what, alert, row, late)
    return [Transition(int(who[i]), -1, int(step[i]), int(severity[i]), int(before[i]), int(when[i]), float(what[i]), int(alert[i]),
                       int(row[i]), bool(late[i])) for i in range(n)]


def start(expect: Expectations, state: State, steady_ns: int) -> None:
    """The daemon starts at `steady_ns`: everyone gets a full period before being missed."""
    silence_start(steady_ns, expect.told, expect.period, expect.device_period, state["miss_due"], state["device_due"],
                  state["device_firing"], state["silence_first_due"])


def hear(
    expect: Expectations, state: State, steady_ns: int, which: NDArray[np.int32], at: NDArray[np.int64], value: NDArray[np.float64],
    reason: NDArray[np.uint8],
) -> list[Transition]:
    """Rows came in: ends the alerts of devices that speak again."""
    most = len(which)
    device, kind, when = np.empty(most, np.int32), np.empty(most, np.uint8), np.empty(most, np.int64)
    alert, row = np.empty(most, np.int64), np.empty(most, np.int32)
    n = silence_hear(which, at, value, reason, steady_ns, expect.told, expect.period, expect.device, expect.device_period,
                     state["miss_due"], state["device_due"], state["device_firing"], state["device_alert"],
                     state["silence_first_due"], device, kind, when, alert, row)
    return [Transition(-1, int(device[i]), ENDED, 0, YELLOW, int(when[i]), float("nan"), int(alert[i]), int(row[i]))
            for i in range(n)]


def advance(
    expect: Expectations, state: State, steady_ns: int, now_ns: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], list[Transition]]:
    """Time has passed: (series int32[k], at int64[k]) of MISSING rows, and alerts of devices found silent."""
    if steady_ns < int(state["silence_first_due"][0]):
        return np.empty(0, np.int32), np.empty(0, np.int64), []
    series, at = np.empty(len(expect.told), np.int32), np.empty(len(expect.told), np.int64)
    most = len(expect.device_period)
    device, when, alert, counts = np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.int64), np.zeros(2, np.int64)
    silence_advance(steady_ns, now_ns, expect.told, expect.period, expect.device_period, state["miss_due"], state["device_due"],
                    state["device_firing"], state["device_alert"], state["alert_number"], state["silence_first_due"],
                    series, at, device, when, alert, counts)
    found = [Transition(-1, int(device[i]), RAISED, YELLOW, 0, int(when[i]), float("nan"), int(alert[i]), -1)
             for i in range(int(counts[1]))]
    return series[: counts[0]], at[: counts[0]], found
