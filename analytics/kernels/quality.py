"""Quality flags of readings, a left fold in arrival order per series. Plain twin: tests/naive.py `flags`."""

import math

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]
U4 = NDArray[np.uint32]


@kernel
def flag_rows(
    which: I4, at: I8, value: F8, reason: U1,
    fail_low: F8, fail_high: F8, suspect_low: F8, suspect_high: F8, rate: F8,
    known_at: I8, known_value: F8,
    flag: U1, tests: U4,
) -> None:
    """Set `flag` (QARTOD 1 3 4 9) and `tests` (two bits a test: 0 not evaluated, 1 pass, 2 suspect, 3 fail).

    Test 0 gross range, test 1 rate of change. Rows: which int32[n] series id; at int64[n] ns; value float64[n], NaN =
    missing; reason uint8[n]. Limits per series, NaN = no limit; rate in units per second. State per series: the newest
    value that did not fail (known_at ns, known_value).
    """
    for i in range(len(which)):
        s = which[i]
        v = value[i]
        if math.isnan(v) or math.isinf(v):
            flag[i] = 9
            tests[i] = 0
            continue
        worst = 1
        done = 0
        if not (math.isnan(fail_low[s]) and math.isnan(suspect_low[s])):
            grade = 1
            if v < suspect_low[s] or v > suspect_high[s]:
                grade = 2
            if v < fail_low[s] or v > fail_high[s]:
                grade = 3
            done |= grade
            worst = max(worst, 1 if grade == 1 else grade + 1)
        if not math.isnan(rate[s]) and at[i] > known_at[s] and not math.isnan(known_value[s]):
            grade = 1
            if abs(v - known_value[s]) * 1e9 > rate[s] * (at[i] - known_at[s]):
                grade = 2
            done |= grade << 2
            worst = max(worst, 1 if grade == 1 else grade + 1)
        word = reason[i]
        if (
            word == 68 or word == 66 or word == 70 or word == 114  # D fault, B communication, F out of service, r rejected where it was measured
            or word == 77 or word == 67 or word == 119 or word == 121  # M maintenance, C calibration, w warming, y resting: not the river's
        ):
            worst = 4
        elif word != 78 and worst < 3:  # any other word of the instrument than N
            worst = 3
        flag[i] = worst
        tests[i] = done
        if worst != 4 and at[i] > known_at[s]:
            known_at[s] = at[i]
            known_value[s] = v
