"""Signals of input modules: what the module gives stays the raw reading, what it means becomes the value."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.signals import convert
from analytics.state import Column, State

COLUMNS = (
    Column("count_at", "i8", "series", fill=-(2**62)),
    Column("count", "f8", "series", fill=float("nan")),
)


@dataclass(frozen=True, slots=True)
class Signals:
    """Per series; see `analytics.kernels.signals.convert`."""

    kind: NDArray[np.uint8]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    zero: NDArray[np.float64]
    full: NDArray[np.float64]
    grid: NDArray[np.float64]
    size: NDArray[np.float64]
    most: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Values:
    """What the readings of an event mean, columns of length n."""

    value: NDArray[np.float64]
    span: NDArray[np.int64]
    reason: NDArray[np.uint8]


def none(count: int) -> Signals:
    """So many series that are what their devices say."""
    return Signals(np.zeros(count, np.uint8), *(np.zeros(count) for _ in range(7)))


def values(
    signals: Signals, state: State, which: NDArray[np.int32], at: NDArray[np.int64], span: NDArray[np.int64], raw: NDArray[np.float64],
    reason: NDArray[np.uint8],
) -> Values:
    """Values of n readings in arrival order; `state` moves on. A counter's first reading, and one after it began anew, has none.

    >>> from analytics.state import Layout
    >>> loop = Signals(np.array([1], np.uint8), *(np.array([x]) for x in (4.0, 20.0, 0.0, 5.0, 1e6, 0.0, 9e3)))
    >>> state, one = State(Layout(COLUMNS, {"series": ("level",)})), np.zeros(2, np.int32)
    >>> found = values(loop, state, one, np.arange(2), np.zeros(2, np.int64), np.array([12.0, 3.5]), np.full(2, ord("N"), np.uint8))
    >>> found.value.tolist(), bytes(found.reason)
    ([2.5, -0.15625], b'ND')
    """
    found = Values(np.empty(len(which)), span.copy(), reason.copy())
    convert(which, at, raw, signals.kind, signals.low, signals.high, signals.zero, signals.full, signals.grid, signals.size, signals.most,
            state["count_at"], state["count"], found.value, found.span, found.reason)
    return found
