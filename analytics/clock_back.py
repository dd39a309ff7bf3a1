"""What a clock that was ahead has left in the state: dropped when it is set back, or rules, hours and indices would be deaf until then.

Whatever waits for something newer waits for the clock to come there again: an hour, or a year. What was issued for a time ahead keeps its
revision, so that the hour itself, when it comes, is a renewal of it. Measured on the events' own times, so a redo drops the same.
"""

import numpy as np

from analytics.kernels.means import HOUR, NEVER
from analytics.kernels.rules import BUCKETS
from analytics.means import AGAIN_NS, SETTLE_NS
from analytics.rules import Watches
from analytics.state import Column, State
from analytics.station_indices import DAYS, KEPT

COLUMNS = (
    Column("newest_now", "i8", "one"),
    Column("hour_ahead", "i8", "one"),
)
SLACK_NS = 10_000_000_000
"""A clock that is disciplined steps back by less."""
_DAY = 25 * HOUR
"""No day is longer."""


def follow(watches: Watches, state: State, now_ns: int, *, regained: bool) -> None:
    """An event at `now_ns` (UTC, believed) comes; `regained`: the ones before it were not believed.

    Drops what lies ahead if the time went back; `hour_ahead` counts the hours of series that had readings.
    """
    newest = int(state["newest_now"][0])
    state["newest_now"][0] = max(newest, now_ns)
    if newest and not regained and now_ns >= newest - SLACK_NS:
        return
    state["newest_now"][0] = now_ns
    _readings(state, now_ns)
    _hours(state, now_ns)
    _watches(watches, state, now_ns)
    _indices(state, now_ns)


def _readings(state: State, now: int) -> None:
    """The newest readings that the next ones are compared with; who warms up."""
    fills = {column.name: column.fill for column in state.layout.columns}
    for time, value in (("known_at", "known_value"), ("count_at", "count")):
        if time in fills:
            ahead = state[time] > now
            state[time][ahead], state[value][ahead] = fills[time], fills[value]
    if "warm_since" in fills:
        ahead = state["warm_since"] > now
        state["warm_since"][ahead], state["warm_until"][ahead] = fills["warm_since"], fills["warm_until"]
    for time in ("warm_heard_at", "gap_good_at", "gap_open_since"):
        if time in fills:
            np.minimum(state[time], now, out=state[time])


def _hours(state: State, now: int) -> None:
    start, due = state["hour_start"], state["hour_due"]
    ahead = start > now
    state["hour_ahead"][0] += int((ahead & (state["hour_rows"] > 0)).sum())
    for name in ("hour_total", "hour_lost", "hour_total2", "hour_lost2", "hour_good", "hour_suspect", "hour_rows", "hour_missing"):
        state[name][ahead] = 0
    due[ahead] = NEVER
    latest = np.maximum(start + (HOUR + SETTLE_NS), now + AGAIN_NS)
    np.minimum(due, latest, out=due, where=due != NEVER)
    state["hour_first_due"][0] = due.min() if len(due) else NEVER


def _watches(watches: Watches, state: State, now: int) -> None:
    seen = state["watch_seen"]
    np.copyto(seen, now - watches.gap, where=seen > now)
    for name in ("watch_over", "watch_clear", "watch_over_before", "watch_clear_before"):
        state[name][state[name] > now] = 0
    width = np.maximum(watches.window // BUCKETS, 1)
    ahead = state["mean_mark"] > np.repeat((now - 1) // width, BUCKETS)
    state["mean_mark"][ahead] = -1
    for name in ("mean_total", "mean_total2", "mean_count"):
        state[name][ahead] = 0


def _indices(state: State, now: int) -> None:
    """A number that is ahead by less than half of what is kept stands in nobody's way."""
    state["input_end"][state["input_end"] > now] = -1
    state["index_end"][state["index_end"] > now + KEPT // 2 * HOUR] = -1
    end, due = state["day_end"], state["day_due"]
    due[end > now + _DAY] = NEVER
    far = end > now + DAYS // 2 * 24 * HOUR
    end[far], state["day_revision"][far] = -1, -1
    np.minimum(due, np.maximum(end + SETTLE_NS, now + AGAIN_NS), out=due, where=due != NEVER)
    state["day_first_due"][0] = due.min() if len(due) else NEVER
