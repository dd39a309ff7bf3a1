"""The ledger of gaps: what is missing of each measured series, why, and how much of it came later."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.gaps import KEPT, gaps_take
from analytics.state import Column, State

COLUMNS = (
    Column("gap_started", "i8", "one"),
    Column("gap_good_at", "i8", "series"),
    Column("gap_open_since", "i8", "series"),
    Column("gap_open_reason", "i8", "series"),
    Column("gap_closed", "i8", "series"),
    *(Column(f"gap_{name}", "i8", "series", KEPT) for name in ("since", "until", "missing", "filled", "why", "revision", "touched")),
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Per series: the series that its gaps are filed under, -1 = not watched, and how often it should come (ns)."""

    target: NDArray[np.int32]
    period: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gaps:
    """What became known, columns of length n."""

    series: NDArray[np.int32]
    since: NDArray[np.int64]
    """UTC ns: the last value before."""
    until: NDArray[np.int64]
    """The first value after."""
    filled: NDArray[np.float64]
    """Share of the missing values that came after all, 0 to 1."""
    reason: NDArray[np.uint8]
    revision: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series)


def start(state: State, now: int) -> None:
    """The gateway starts: what is missing until now is its own gap."""
    state["gap_started"][0] = now


def take(
    ledger: Ledger, state: State, which: NDArray[np.int32], at: NDArray[np.int64], flag: NDArray[np.uint8], reason: NDArray[np.uint8],
) -> Gaps:
    """Gaps that ended with these rows, and older ones of which something came; `state` moves on.

    >>> from analytics.state import Layout, State
    >>> state = State(Layout(COLUMNS, {"series": ("ph",)}))
    >>> ledger = Ledger(np.zeros(1, np.int32), np.array([10]))
    >>> found = take(ledger, state, np.zeros(3, np.int32), np.array([100, 110, 150]), np.array([1, 9, 1], np.uint8), np.full(3, ord("d"), np.uint8))
    >>> found.since.tolist(), found.until.tolist(), bytes(found.reason), state["gap_missing"].tolist()
    ([100], [150], b'd', [4, 0, 0, 0])
    """
    room = 3 * len(which)
    found = Gaps(np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room), np.empty(room, np.uint8),
                 np.empty(room, np.int64))
    n = gaps_take(which, at, flag, reason, ledger.target, ledger.period, state["gap_started"],
                  state["gap_good_at"], state["gap_open_since"], state["gap_open_reason"], state["gap_closed"], state["gap_since"],
                  state["gap_until"], state["gap_missing"], state["gap_filled"], state["gap_why"], state["gap_revision"], state["gap_touched"],
                  found.series, found.since, found.until, found.filled, found.reason, found.revision)
    return Gaps(found.series[:n], found.since[:n], found.until[:n], found.filled[:n], found.reason[:n], found.revision[:n])
