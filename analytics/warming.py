"""Instruments that need their time after power-up: what they give until then is kept, and is no measurement yet."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytics.kernels.warming import NEVER, warm_rows
from analytics.state import Column, State

COLUMNS = (
    Column("warm_began", "i8", "one", 2, NEVER),
    Column("warm_heard_at", "i8", "device", fill=NEVER),
    Column("warm_heard_steady", "i8", "device", fill=NEVER),
    Column("warm_since", "i8", "device", fill=NEVER),
    Column("warm_until", "i8", "device", fill=NEVER),
)


@dataclass(frozen=True, slots=True)
class Warming:
    """Per series the `device` it comes from (int32, -1 = none); per device int64 ns, see `analytics.kernels.warming.warm_rows`."""

    device: NDArray[np.int32]
    ready: NDArray[np.int64]
    patience: NDArray[np.int64]


def none(count: int) -> Warming:
    """So many series of devices that measure at once."""
    return Warming(np.full(count, -1, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64))


def start(state: State, steady_ns: int, *, booted: bool) -> None:
    """The gateway starts; `booted`: its box, too, and with it whatever hangs on the same supply."""
    began = state["warm_began"]
    began[0] = steady_ns
    if booted:
        began[1] = steady_ns


def reasons(
    warming: Warming, state: State, steady_ns: int, which: NDArray[np.int32], at: NDArray[np.int64], value: NDArray[np.float64],
    reason: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """The reasons of n readings in arrival order, w where the instrument was warming up; `state` moves on.

    >>> from analytics.state import Layout
    >>> state = State(Layout(COLUMNS, {"series": ("ph",), "device": ("probe",)}))
    >>> probe = Warming(np.zeros(1, np.int32), np.array([15]), np.array([30]))
    >>> bytes(reasons(probe, state, 0, np.zeros(4, np.int32), np.array([100, 110, 120, 130]), np.ones(4), np.full(4, ord("N"), np.uint8)))
    b'wwNN'
    """
    found = reason.copy()
    warm_rows(which, at, value, steady_ns, warming.device, warming.ready, warming.patience, state["warm_began"], state["warm_heard_at"],
              state["warm_heard_steady"], state["warm_since"], state["warm_until"], found)
    return found
