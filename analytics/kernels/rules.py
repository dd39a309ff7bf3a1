"""Limits over readings and rolling means, and the life of the alerts they raise: a left fold in arrival order.

Plain twin: tests/naive.py `Watch`. A watch is one rule on one series. It has up to four limits (blue, yellow, orange,
red) and one alert whose severity climbs and falls. All durations are measured on the readings' own times, so that a
replay, a restart or a step of our clock changes nothing.
"""

import math

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]

LEVELS = 4
BUCKETS = 60
RAISED, CLIMBED, FELL, ENDED = 1, 2, 3, 4


@kernel
def rolling(w: int, at: int, value: float, window: int, least: float, mark: I8, total: F8, count: I8) -> float:
    """Rolling mean over `window` ns up to `at`, in BUCKETS equal parts aligned on UTC; NaN until it is covered.

    Covered: three quarters of the parts lie between the oldest and the newest reading in it, and it holds at least
    `least` readings. A reading older than the window is not taken.
    """
    width = window // BUCKETS
    part = (at - 1) // width
    k = w * BUCKETS + part % BUCKETS
    if mark[k] > part:
        return math.nan
    if mark[k] != part:
        mark[k] = part
        total[k] = 0.0
        count[k] = 0
    total[k] += value
    count[k] += 1
    summed = 0.0
    n = 0
    oldest = part
    for back in range(BUCKETS - 1, -1, -1):
        j = w * BUCKETS + (part - back) % BUCKETS
        if mark[j] == part - back and count[j] > 0:
            summed += total[j]
            n += count[j]
            oldest = min(oldest, part - back)
    if 4 * (part - oldest + 1) < 3 * BUCKETS or n < least:
        return math.nan
    return summed / n


@kernel
def judge(
    which: I4, at: I8, value: F8, flag: U1,
    first: I4, last: I4, limit: F8, sign: F8, hold: I8, dead: F8, end_hold: I8, window: I8, least: F8, gap: I8,
    severity: U1, seen: I8, over: I8, clear: I8, alert: I8, mark: I8, total: F8, count: I8, number: I8,
    out_watch: I4, out_kind: U1, out_severity: U1, out_before: U1, out_at: I8, out_value: F8, out_alert: I8, out_row: I4,
) -> int:
    """Judge rows (flags 1 and 2 only: an alert rests on values nobody doubts); gives the number of transitions.

    Plan: watches first[s]..last[s] of series s; per watch limit float64[LEVELS] (NaN = no such level), sign +1 above,
    -1 below; durations ns; window 0 = every reading. State per watch: severity now, newest time judged, per level since
    when the value is over (0 = not) and since when it is clear of limit and dead band; number[0] counts alerts.
    """
    n = 0
    for i in range(len(which)):
        if flag[i] != 1 and flag[i] != 2:
            continue
        s = which[i]
        for w in range(first[s], last[s]):
            t = at[i]
            if t <= seen[w]:
                continue
            if seen[w] > 0 and t - seen[w] > gap[w]:  # nobody knows what was in between
                for q in range(LEVELS):
                    over[w * LEVELS + q] = 0
                    clear[w * LEVELS + q] = 0
            seen[w] = t
            v = value[i]
            if window[w] > 0:
                v = rolling(w, t, v, window[w], least[w], mark, total, count)
                if math.isnan(v):
                    continue
            before = severity[w]
            reached = 0
            kept = 0
            for q in range(LEVELS):
                k = w * LEVELS + q
                if math.isnan(limit[k]):
                    continue
                if sign[w] * (v - limit[k]) > 0.0:
                    if over[k] == 0:
                        over[k] = t
                    clear[k] = 0
                    if t - over[k] >= hold[w]:
                        reached = q + 1
                else:
                    over[k] = 0
                    if sign[w] * (v - limit[k]) + dead[w] < 0.0 or dead[w] == 0.0:
                        if clear[k] == 0:
                            clear[k] = t
                    else:
                        clear[k] = 0
                if q + 1 <= before and (clear[k] == 0 or t - clear[k] < end_hold[w]):
                    kept = q + 1
            after = max(reached, kept)
            if after == before:
                continue
            kind = CLIMBED if after > before else FELL
            if before == 0:
                kind = RAISED
                number[0] += 1
                alert[w] = number[0]
            elif after == 0:
                kind = ENDED
            severity[w] = after
            out_watch[n] = w
            out_kind[n] = kind
            out_severity[n] = after
            out_before[n] = before
            out_at[n] = t
            out_value[n] = v
            out_alert[n] = alert[w]
            out_row[n] = i
            n += 1
    return n
