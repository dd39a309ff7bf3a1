"""Currents, pulses and contacts become values: a left fold in arrival order per series. Plain twin: tests/naive.py `signals`."""

import math

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]

LOOP, AMOUNT, RATE, INVERTED = 1, 2, 3, 4
NORMAL, FAULT, OVER_RANGE, BEGUN = 78, 68, 84, 99


@kernel
def convert(
    which: I4, at: I8, raw: F8,
    kind: U1, low: F8, high: F8, zero: F8, full: F8, grid: F8, size: F8, most: F8,
    count_at: I8, count: F8,
    value: F8, span: I8, reason: U1,
) -> None:
    """Set `value`, and `span` and `reason` where the signal says more than the device did; `value` is `raw` where `kind` is 0.

    Rows: which int32[n] series id; at int64[n] ns; raw float64[n]. Per series: LOOP maps low … high (mA) to zero … full; of
    counters `full` is what one pulse (a second) is worth, `size` where it begins again (0 = never), `most` the largest
    believable value; values are rounded to 1/`grid`. State per series: the newest count and its time.
    A current with live zero is judged by NAMUR NE 43: up to 3.6 and from 21 mA the wire or the transmitter is broken (D),
    up to 3.8 and from 20.5 mA the value is at the end of its range (T).
    """
    for i in range(len(which)):
        s = which[i]
        v = raw[i]
        if kind[s] == 0 or math.isnan(v):
            value[i] = v
            continue
        if kind[s] == LOOP:
            value[i] = np.rint(((v - low[s]) * (full[s] - zero[s]) / (high[s] - low[s]) + zero[s]) * grid[s]) / grid[s]
            if low[s] > 0.0 and reason[i] == NORMAL:
                if v <= 0.9 * low[s] or v >= 1.05 * high[s]:
                    reason[i] = FAULT
                elif v < 0.95 * low[s] or v > 1.025 * high[s]:
                    reason[i] = OVER_RANGE
        elif kind[s] == INVERTED:
            value[i] = 0.0 if v != 0.0 else 1.0
        else:
            value[i] = math.nan
            if at[i] > count_at[s] and not math.isnan(count[s]):
                span[i] = at[i] - count_at[s]
                per = full[s] if kind[s] == AMOUNT else full[s] * 1e9 / span[i]
                step = v - count[s]
                rolled = step < 0.0 and size[s] > 0.0
                if rolled:
                    step += size[s]
                found = np.rint(step * per * grid[s]) / grid[s]
                if step >= 0.0 and not (rolled and found > most[s]):  # a drop that is no believable turn is another meter
                    value[i] = found
            if math.isnan(value[i]):
                reason[i] = BEGUN
            if at[i] > count_at[s]:
                count_at[s] = at[i]
                count[s] = v
