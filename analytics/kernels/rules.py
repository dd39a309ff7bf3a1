"""Limits over readings and rolling means, and the life of the alerts they raise: a left fold in arrival order.

Plain twin: tests/naive.py `Watch`. A watch is one rule on one series. It has up to four limits (blue, yellow, orange,
red) and one alert whose severity climbs and falls. All durations are measured on the readings' own times, so that a
replay or a restart changes nothing; a time ahead of the event's clock counts as that clock, or it would deafen until it comes.
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


MEASURED, OF_AN_HOUR, OF_A_DAY = 0, 1, 2
"""What a row is: what was measured is judged once, in order; a number of an hour again when it is renewed; that of a day even behind a newer one."""
ENERGETIC, ANGLE = 2, 3


@kernel
def rolling(w: int, at: int, value: float, behaves: int, window: int, least: float, mark: I8, total: F8, total2: F8, count: I8) -> float:
    """Rolling mean over `window` ns up to `at`, in BUCKETS equal parts aligned on UTC; NaN until it is covered.

    behaves as of kernels.means.hours_take: 2 energetic (levels in dB), 3 of directions (degrees), everything else arithmetic.
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
        total2[k] = 0.0
        count[k] = 0
    if behaves == ENERGETIC:
        total[k] += math.pow(10.0, value / 10.0)
    elif behaves == ANGLE:
        total[k] += math.cos(math.radians(value))
        total2[k] += math.sin(math.radians(value))
    else:
        total[k] += value
    count[k] += 1
    summed = 0.0
    summed2 = 0.0
    n = 0
    oldest = part
    for back in range(BUCKETS - 1, -1, -1):
        j = w * BUCKETS + (part - back) % BUCKETS
        if mark[j] == part - back and count[j] > 0:
            summed += total[j]
            summed2 += total2[j]
            n += count[j]
            oldest = min(oldest, part - back)
    if 4 * (part - oldest + 1) < 3 * BUCKETS or n < least:
        return math.nan
    if behaves == ENERGETIC:
        return round(10.0 * math.log10(summed / n), 9) if summed > 0.0 else math.nan  # there and back: 60 dB stays 60 dB
    if behaves == ANGLE:
        return round(math.degrees(math.atan2(summed2, summed)), 9) % 360.0
    return summed / n


@kernel
def judge(
    which: I4, at: I8, value: F8, flag: U1, kind: U1, now: int, behaves: U1,
    first: I4, last: I4, limit: F8, sign: F8, hold: I8, dead: F8, end_hold: I8, window: I8, least: F8, gap: I8,
    severity: U1, seen: I8, over: I8, clear: I8, over_before: I8, clear_before: I8, alert: I8, mark: I8, total: F8, total2: F8, count: I8,
    number: I8,
    out_watch: I4, out_kind: U1, out_severity: U1, out_before: U1, out_at: I8, out_value: F8, out_alert: I8, out_row: I4, out_late: U1,
) -> int:
    """Judge rows (flags 1 and 2 only: an alert rests on values nobody doubts); gives the number of transitions.

    Rows: which int32[n], at int64[n] ns, kind uint8[n] as MEASURED …; `now` UTC ns of their event. behaves uint8[series].
    Plan: watches first[s]..last[s] of series s; per watch limit float64[LEVELS] (NaN = no such level), sign +1 above,
    -1 below; durations ns; window 0 = every reading. State per watch: severity now, newest time judged, per level since
    when the value is over (0 = not) and since when it is clear of limit and dead band, both also as they were before the
    newest time judged; number[0] counts alerts. out_late: what raised it was not the newest when it came, or was renewed.
    """
    n = 0
    for i in range(len(which)):
        if flag[i] != 1 and flag[i] != 2:
            continue
        s = which[i]
        for w in range(first[s], last[s]):
            late = at[i] <= seen[w]
            if late and (kind[i] == MEASURED or window[w] > 0):
                continue
            v = value[i]
            if at[i] < seen[w]:  # a day behind the newest can raise, at once or not at all; the newest ends it
                if kind[i] != OF_A_DAY or hold[w] > 0:
                    continue
                before = severity[w]
                after = before
                for q in range(before, LEVELS):
                    if sign[w] * (v - limit[w * LEVELS + q]) > 0.0:
                        after = q + 1
                if after == before:
                    continue
                if before == 0:
                    number[0] += 1
                    alert[w] = number[0]
                severity[w] = after
                out_watch[n] = w
                out_kind[n] = RAISED if before == 0 else CLIMBED
                out_severity[n] = after
                out_before[n] = before
                out_at[n] = at[i]
                out_value[n] = v
                out_alert[n] = alert[w]
                out_row[n] = i
                out_late[n] = 1
                n += 1
                continue
            t = max(seen[w], min(at[i], now))
            unknown = seen[w] > 0 and t - seen[w] > gap[w]  # nobody knows what was in between
            for k in range(w * LEVELS, w * LEVELS + LEVELS):
                if late:
                    over[k] = over_before[k]
                    clear[k] = clear_before[k]
                elif unknown:
                    over[k] = 0
                    clear[k] = 0
                over_before[k] = over[k]
                clear_before[k] = clear[k]
            seen[w] = t
            if window[w] > 0:
                v = rolling(w, t, v, behaves[s], window[w], least[w], mark, total, total2, count)
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
            step = CLIMBED if after > before else FELL
            if before == 0:
                step = RAISED
                number[0] += 1
                alert[w] = number[0]
            elif after == 0:
                step = ENDED
            severity[w] = after
            out_watch[n] = w
            out_kind[n] = step
            out_severity[n] = after
            out_before[n] = before
            out_at[n] = t
            out_value[n] = v
            out_alert[n] = alert[w]
            out_row[n] = i
            out_late[n] = late
            n += 1
    return n
