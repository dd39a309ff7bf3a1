"""Hourly means of readings: arithmetic, energetic for sound, vectorial for angles, sums for amounts, the largest of peaks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.means import NEVER, RING, hours_close, hours_take
from analytics.state import Column, State

SETTLE_NS = 10_000_000_000
"""An hour is issued this long after its end, so that what was under way at its end is in it."""
AGAIN_NS = 60_000_000_000
"""A late reading re-issues its hour after this long, together with what else came late."""
_SUMS = ("hour_start", "hour_due", "hour_total", "hour_lost", "hour_total2", "hour_lost2", "hour_good", "hour_suspect",
         "hour_rows", "hour_missing", "hour_revision")

COLUMNS = (
    Column("hour_start", "i8", "series", RING, -1),
    Column("hour_due", "i8", "series", RING, NEVER),
    *(Column(name, "f8", "series", RING) for name in _SUMS[2:6]),
    *(Column(name, "i8", "series", RING) for name in _SUMS[6:]),
    Column("hour_first_due", "i8", "one", fill=NEVER),
    Column("hour_too_old", "i8", "one"),
)
NONE, ARITHMETIC, ENERGETIC, ANGLE, AMOUNT, PEAK = range(6)


@dataclass(frozen=True, slots=True)
class Kinds:
    """Per series: behaves uint8 (NONE … PEAK) and period int64 ns (0 = unknown)."""

    behaves: NDArray[np.uint8]
    period: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours that were issued, columns of length n; `series` is the id of the measured series."""

    series: NDArray[np.int32]
    end: NDArray[np.int64]
    value: NDArray[np.float64]
    flag: NDArray[np.uint8]
    share: NDArray[np.float64]
    revision: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.series)


def _ring(state: State) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any, Any, Any]:
    start, due, total, lost, total2, lost2, good, suspect, rows, missing, revision = (state[name] for name in _SUMS)
    return start, due, total, lost, total2, lost2, good, suspect, rows, missing, revision


def close(kinds: Kinds, state: State, now_ns: int) -> Hours:
    """Issue every hour that is due at `now_ns` (UTC)."""
    most = len(kinds.behaves) * RING if now_ns >= int(state["hour_first_due"][0]) else 0
    out = Hours(np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most), np.empty(most, np.uint8), np.empty(most),
                np.empty(most, np.int32))
    n = 0
    if most:
        n = hours_close(now_ns, kinds.behaves, kinds.period, *_ring(state), state["hour_first_due"],
                        out.series, out.end, out.value, out.flag, out.share, out.revision)
    return Hours(out.series[:n], out.end[:n], out.value[:n], out.flag[:n], out.share[:n], out.revision[:n])


def take(
    kinds: Kinds, state: State, now_ns: int,
    which: NDArray[np.int32], at: NDArray[np.int64], value: NDArray[np.float64], flag: NDArray[np.uint8], late: NDArray[np.bool_],
) -> list[Hours]:
    """Add n readings in arrival order; gives hours that had to be issued to make room (long backfills only).

    late : bool[n], came after newer ones or out of an instrument's memory: it takes the place of a MISSING row of its hour.
    """
    issued = []
    row = 0
    while row < len(which):
        row = hours_take(row, which, at, value, flag, late, now_ns, SETTLE_NS, AGAIN_NS, kinds.behaves, *_ring(state),
                         state["hour_first_due"], state["hour_too_old"])
        if row < len(which):
            issued.append(close(kinds, state, now_ns))
    return issued
