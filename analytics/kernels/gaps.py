"""Which intervals of a series are missing, why, and what of them came later: a left fold in arrival order. Plain twin: tests/naive.py `gaps`.

A value counts as missing if there is none, or if it failed and the device gives a reason of its own (fault, maintenance, warming up).
"""

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]

KEPT = 4
"""So many gaps of a series can still be filled; what comes for an older one is kept as any reading, and the gap stays open on paper."""
DOWN, LEFT_OUT = 103, 107
"""Reasons g (the gateway was down) and k (it did not ask, or nothing came and nobody said why)."""


@kernel
def gaps_take(
    which: I4, at: I8, flag: U1, reason: U1,
    target: I4, period: I8, started: I8,
    good_at: I8, open_since: I8, open_reason: I8,
    closed: I8, since: I8, until: I8, missing: I8, filled: I8, why: I8, revision: I8, touched: I8,
    out_series: I4, out_since: I8, out_until: I8, out_filled: F8, out_reason: U1, out_revision: I8,
) -> int:
    """Take rows and write what became known of gaps to the `out` columns (room for 3 n); gives their number.

    Rows: which int32[n], at int64[n] ns, flag and reason uint8[n]. Per series: `target` -1 = not watched, `period` ns. `started`
    int64[1]: when the gateway started. State per series: `good_at` the newest good value, the gap that is open (since, why), and
    the newest KEPT closed ones. `out_filled` is the share of a gap's values that came after all.
    """
    count = 0
    for i in range(len(which)):
        s = which[i]
        if target[s] < 0 or period[s] <= 0:
            continue
        t = at[i]
        bad = flag[i] == 9 or (flag[i] == 4 and reason[i] != 78)
        if good_at[s] >= t:
            if not bad:
                for j in range(s * KEPT, s * KEPT + KEPT):
                    if since[j] < t < until[j] and filled[j] < missing[j]:
                        filled[j] += 1
                        touched[j] = 1
            continue
        ends = 0
        begins, cause = np.int64(0), np.int64(0)
        if bad:
            if open_since[s] == 0:
                open_since[s] = good_at[s] if good_at[s] > 0 else t - period[s]
                open_reason[s] = reason[i]
                if good_at[s] > 0 and started[0] > good_at[s] and (t - good_at[s]) * 2 > period[s] * 5:
                    ends, begins, cause = started[0], good_at[s], np.int64(DOWN)
                    open_since[s] = started[0]
            elif open_reason[s] != reason[i] and t - period[s] > open_since[s]:
                ends, begins, cause = t - period[s], open_since[s], open_reason[s]
                open_since[s] = ends
                open_reason[s] = reason[i]
        else:
            if open_since[s] != 0:
                ends, begins, cause = t, open_since[s], open_reason[s]
            elif good_at[s] > 0 and (t - good_at[s]) * 2 > period[s] * 5:
                ends, begins = t, good_at[s]
                cause = np.int64(DOWN) if started[0] > good_at[s] else np.int64(LEFT_OUT)
            open_since[s] = 0
            good_at[s] = t
        if ends > begins:
            j = s * KEPT + closed[s] % KEPT
            closed[s] += 1
            since[j], until[j], why[j] = begins, ends, cause
            missing[j] = max(1, (ends - begins + period[s] // 2) // period[s] - 1)
            filled[j] = 0
            revision[j] = 0
            touched[j] = 0
            out_series[count], out_since[count], out_until[count] = target[s], begins, ends
            out_filled[count], out_reason[count], out_revision[count] = 0.0, cause, 0
            count += 1
    for i in range(len(which)):
        s = which[i]
        if target[s] < 0:
            continue
        for j in range(s * KEPT, s * KEPT + KEPT):
            if touched[j]:
                touched[j] = 0
                revision[j] += 1
                out_series[count], out_since[count], out_until[count] = target[s], since[j], until[j]
                out_filled[count], out_reason[count], out_revision[count] = filled[j] / missing[j], why[j], revision[j]
                count += 1
    return count
