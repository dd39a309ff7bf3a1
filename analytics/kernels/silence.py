"""Who has not spoken: MISSING values of sources that speak by themselves, and devices that give nothing at all.

Plain twin: tests/naive.py `Silence`. Measured on the steady clock (monotonic, carried over restarts), never on UTC.
"""

import math

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]

NEVER = 9_223_372_036_854_775_807
MINUTE = 60_000_000_000
MAINTENANCE = 77
"""Reason M."""
RAISED, ENDED = 1, 4
YELLOW = 2


@kernel
def silence_start(steady: int, told: U1, period: I8, device_period: I8, miss_due: I8, device_due: I8, firing: U1, first_due: I8) -> None:
    """The daemon starts: what was due while nobody listened is a gap of ours, not a silence of theirs."""
    first_due[0] = NEVER
    for s in range(len(told)):
        miss_due[s] = NEVER
        if told[s] and period[s] > 0:
            miss_due[s] = steady + period[s] * 5 // 2
            first_due[0] = min(first_due[0], miss_due[s])
    for d in range(len(device_period)):
        device_due[d] = NEVER
        if device_period[d] > 0 and firing[d] == 0:
            device_due[d] = steady + device_period[d] * 3
            first_due[0] = min(first_due[0], device_due[d])


@kernel
def silence_hear(
    which: I4, at: I8, value: F8, reason: U1, steady: int, told: U1, period: I8, device: I4, device_period: I8,
    miss_due: I8, device_due: I8, firing: U1, alert: I8, first_due: I8,
    out_device: I4, out_kind: U1, out_at: I8, out_alert: I8, out_row: I4,
) -> int:
    """Rows came in; gives the number of devices that speak again. A NaN is not speech, yet one in maintenance (M) is not called silent."""
    n = 0
    for i in range(len(which)):
        s = which[i]
        if math.isnan(value[i]):
            d = device[s]
            if reason[i] == MAINTENANCE and d >= 0 and device_period[d] > 0 and firing[d] == 0:
                device_due[d] = max(device_due[d], steady + device_period[d] * 3)
            continue
        if told[s] and period[s] > 0:
            miss_due[s] = steady + period[s] * 5 // 2
            first_due[0] = min(first_due[0], miss_due[s])
        d = device[s]
        if d < 0 or device_period[d] <= 0:
            continue
        device_due[d] = steady + device_period[d] * 3
        first_due[0] = min(first_due[0], device_due[d])
        if firing[d] != 0:
            firing[d] = 0
            out_device[n] = d
            out_kind[n] = ENDED
            out_at[n] = at[i]
            out_alert[n] = alert[d]
            out_row[n] = i
            n += 1
    return n


@kernel
def silence_advance(
    steady: int, now: int, told: U1, period: I8, device_period: I8,
    miss_due: I8, device_due: I8, firing: U1, alert: I8, number: I8, first_due: I8,
    out_series: I4, out_at: I8, out_device: I4, out_device_at: I8, out_alert: I8, counts: I8,
) -> None:
    """Time has passed: counts[0] MISSING rows (out_series, out_at UTC ns), counts[1] devices found silent.

    A missing value is told at two and a half periods, then at every period but at most once a minute.
    """
    counts[0] = 0
    counts[1] = 0
    if steady < first_due[0]:
        return
    first_due[0] = NEVER
    for s in range(len(told)):
        if told[s] and period[s] > 0:
            if miss_due[s] <= steady:
                out_series[counts[0]] = s
                out_at[counts[0]] = now - (steady - miss_due[s])
                counts[0] += 1
                pause = max(period[s], MINUTE)
                miss_due[s] += ((steady - miss_due[s]) // pause + 1) * pause
            first_due[0] = min(first_due[0], miss_due[s])
    for d in range(len(device_period)):
        if device_period[d] > 0 and firing[d] == 0:
            if device_due[d] <= steady:
                firing[d] = YELLOW
                number[0] += 1
                alert[d] = number[0]
                out_device[counts[1]] = d
                out_device_at[counts[1]] = now - (steady - device_due[d])
                out_alert[counts[1]] = number[0]
                counts[1] += 1
                device_due[d] = NEVER
            else:
                first_due[0] = min(first_due[0], device_due[d])
