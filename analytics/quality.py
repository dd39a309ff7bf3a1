"""Quality of readings: the flags of QARTOD from gross range and rate of change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.quality import flag_rows
from analytics.state import Column, State

COLUMNS = (
    Column("known_at", "i8", "series", fill=-(2**62)),
    Column("known_value", "f8", "series", fill=float("nan")),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Per series, float64[series] in the quantity's unit; NaN = no limit. `rate` is per second."""

    fail_low: NDArray[np.float64]
    fail_high: NDArray[np.float64]
    suspect_low: NDArray[np.float64]
    suspect_high: NDArray[np.float64]
    rate: NDArray[np.float64]


def flags(
    limits: Limits, state: State, which: NDArray[np.int32], at: NDArray[np.int64], value: NDArray[np.float64], reason: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Flags uint8[n] and tests uint32[n] of n readings in arrival order; `state` moves on.

    Source: QARTOD, Manual for Real-Time Quality Control (gross range test 4, rate of change test 7).

    >>> import numpy as np
    >>> from analytics.state import Layout, State
    >>> state = State(Layout(COLUMNS, {"series": ("ph",)}))
    >>> nan = np.array([np.nan])
    >>> limits = Limits(np.array([0.0]), np.array([14.0]), np.array([5.0]), np.array([9.0]), nan)
    >>> values = np.array([7.2, 9.5, 15.0, np.nan])
    >>> flags(limits, state, np.zeros(4, np.int32), np.arange(1, 5), values, np.full(4, ord("N"), np.uint8))[0].tolist()
    [1, 3, 4, 9]
    """
    flag = np.empty(len(which), np.uint8)
    tests = np.empty(len(which), np.uint32)
    flag_rows(which, at, value, reason, limits.fail_low, limits.fail_high, limits.suspect_low, limits.suspect_high,
              limits.rate, state["known_at"], state["known_value"], flag, tests)
    return flag, tests
