"""Hourly means, a left fold in arrival order per series. Plain twin: tests/naive.py `Hours`.

A reading belongs to the hour in which its interval ends: an hour holds start < at <= end. Sums are compensated
(Neumaier), so a mean does not depend on how many readings came before. A day of hours stays open for late readings;
a late reading re-issues its hour with the next revision.
"""

import math

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]
B1 = NDArray[np.bool_]

HOUR = 3_600_000_000_000
NEVER = 9_223_372_036_854_775_807
RING = 27
"""Hours that stay open: a day and three hours, so that what an instrument remembers of a night still counts."""


@kernel
def _add(total: F8, lost: F8, k: int, x: float) -> None:
    t = total[k] + x
    if abs(total[k]) >= abs(x):
        lost[k] += (total[k] - t) + x
    else:
        lost[k] += (x - t) + total[k]
    total[k] = t


@kernel
def hours_take(
    begin_row: int, which: I4, at: I8, value: F8, flag: U1, late: B1, now: int, settle: int, again: int,
    behaves: U1,
    start: I8, due: I8, total: F8, lost: F8, total2: F8, lost2: F8, good: I8, suspect: I8, rows: I8, missing: I8, revision: I8,
    first_due: I8, too_old: I8,
) -> int:
    """Add readings from `begin_row` on to their hours; gives the row where it stopped, n when all were taken.

    It stops where a row needs the place of an hour that has not been issued yet; that hour is then due at once, so call
    `hours_close` and go on. `too_old[0]` counts readings that were too old for any open hour.

    behaves uint8[series]: 0 no mean, 1 arithmetic, 2 energetic (levels in dB), 3 angle (degrees), 4 amount (sum), 5 peak (the largest).
    Ring state, RING entries a series: start ns of the hour (-1 empty), due UTC ns when it is issued (NEVER = issued and
    unchanged), sums, counts. `rows` is what was expected as far as rows tell: a `late` one takes the place of one that is `missing`
    (flag 9), for both speak of one value. `again` ns: how long after a late reading an issued hour is issued again.
    """
    for i in range(begin_row, len(which)):
        s = which[i]
        b = behaves[s]
        if b == 0:
            continue
        begin = (at[i] - 1) // HOUR * HOUR
        k = s * RING + (begin // HOUR) % RING
        if start[k] != begin:
            if start[k] > begin and (start[k] <= now or due[k] != NEVER):  # not one that was ahead, see analytics.clock_back
                too_old[0] += 1
                continue
            if start[k] >= 0 and due[k] != NEVER:
                due[k] = now
                first_due[0] = min(first_due[0], now)
                return i
            start[k] = begin
            due[k] = begin + HOUR + settle
            total[k] = 0.0
            lost[k] = 0.0
            total2[k] = 0.0
            lost2[k] = 0.0
            good[k] = 0
            suspect[k] = 0
            rows[k] = 0
            missing[k] = 0
            revision[k] = 0
        f = flag[i]
        if late[i] and missing[k] > 0:
            if f != 9:
                missing[k] -= 1
        else:
            rows[k] += 1
            if f == 9:
                missing[k] += 1
        if f == 1 or f == 2 or f == 3:
            good[k] += 1
            if f == 3:
                suspect[k] += 1
            if b == 2:
                _add(total, lost, k, math.pow(10.0, value[i] / 10.0))
            elif b == 3:
                _add(total, lost, k, math.cos(math.radians(value[i])))
                _add(total2, lost2, k, math.sin(math.radians(value[i])))
            elif b == 5:
                total[k] = max(total[k], value[i]) if good[k] > 1 else value[i]
            else:
                _add(total, lost, k, value[i])
        if due[k] == NEVER:
            due[k] = max(now + again, begin + HOUR + settle)
        elif due[k] < begin + HOUR + settle:
            due[k] = begin + HOUR + settle
        first_due[0] = min(first_due[0], due[k])
    return len(which)


@kernel
def hours_close(
    now: int, behaves: U1, period: I8,
    start: I8, due: I8, total: F8, lost: F8, total2: F8, lost2: F8, good: I8, suspect: I8, rows: I8, missing: I8, revision: I8, first_due: I8,
    out_series: I4, out_end: I8, out_value: F8, out_flag: U1, out_share: F8, out_revision: I4,
) -> int:
    """Issue every hour that is due at `now`; gives how many, in order of series, then hour. Outputs hold RING a series.

    Value NaN and flag 9 where no reading was valid. Share = valid readings of those expected (of those that came where
    no period is known). Flag 3 below a share of 0.75 or when most of what was used was suspect.
    """
    n = 0
    if now < first_due[0]:
        return n
    first_due[0] = NEVER
    for s in range(len(behaves)):
        if behaves[s] == 0:
            continue
        base = -1
        for r in range(RING):
            k = s * RING + r
            if start[k] >= 0 and (base < 0 or start[k] < start[base]):
                base = k
        if base < 0:
            continue
        for r in range(RING):
            k = s * RING + (base - s * RING + r) % RING
            if start[k] < 0:
                continue
            if due[k] > now:
                first_due[0] = min(first_due[0], due[k])
                continue
            expected = rows[k]
            if period[s] > 0:
                expected = max(expected, HOUR // period[s])
            share = good[k] / expected if expected > 0 else 0.0
            value = math.nan
            if good[k] > 0:
                mean = (total[k] + lost[k]) / good[k]
                if behaves[s] == 2:
                    value = 10.0 * math.log10(mean)
                elif behaves[s] == 3:
                    value = math.degrees(math.atan2(total2[k] + lost2[k], total[k] + lost[k])) % 360.0
                elif behaves[s] == 4:
                    value = total[k] + lost[k]
                elif behaves[s] == 5:
                    value = total[k]
                else:
                    value = mean
            flag = 1
            if good[k] == 0:
                flag = 9
            elif share < 0.75 or 2 * suspect[k] > good[k]:
                flag = 3
            out_series[n] = s
            out_end[n] = start[k] + HOUR
            out_value[n] = value
            out_flag[n] = flag
            out_share[n] = share
            out_revision[n] = revision[k]
            revision[k] += 1
            due[k] = NEVER
            n += 1
    return n
