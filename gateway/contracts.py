"""What sinks and channels promise, and what they are given. One file in `gateway/sinks` or `gateway/channels` each.

`gateway/sinks/<kind>.py` holds `class Options` (its keys in `[sinks.NAME]`) and `class Sink`;
`gateway/channels/<kind>.py` holds `class Options` and `class Channel`. The file name is the kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from config.series import Series
from config.site import Site
from gateway.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Rows:
    """Journalled rows in arrival order; all columns have length n. A row with `value` NaN is MISSING or never came."""

    series: tuple[Series, ...]
    """The series table: position = id."""
    n: NDArray[np.int64]
    """Arrival number, rising, for ever."""
    which: NDArray[np.int32]
    at: NDArray[np.int64]
    """UTC ns, END of the interval."""
    span: NDArray[np.int64]
    raw: NDArray[np.float64]
    value: NDArray[np.float64]
    """Calibrated, in the quantity's unit."""
    flag: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    tests: NDArray[np.uint32]
    """Two bits a test, see analytics.quality."""
    revision: NDArray[np.int32]
    origin: NDArray[np.uint8]
    share: NDArray[np.float64]
    """Share of the interval that valid readings cover, 0..1; NaN for what is measured."""

    def __len__(self) -> int:
        return len(self.n)

    def pick(self, choice: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of the rows, in the same order."""
        columns = (getattr(self, f.name)[choice] for f in fields(self)[1:])
        return type(self)(self.series, *columns)


class Sink(Protocol):
    """A store of readings. Sending the same rows twice must leave the store as sending them once."""

    traffic: Traffic
    """What crossed the uplink; one that uses none leaves it at 0."""
    in_order: bool
    """Rows must come as they arrived, also after an outage; else live rows go first and the backlog beside them."""
    unsure_s: float
    """So long after it was accepted the far side may still lose a row if it crashes; 0 = accepted is durable."""

    def send(self, rows: Rows, deadline: float) -> None:
        """Store all rows, durably as far as the store can say; return = accepted. `deadline` is time.monotonic().

        Raises Unavailable (keep all, try later), Refused (the store will never take this body: the courier halves it
        until single rows are left and sets those aside with the words), Halted (a human is needed; keep all).
        """
        ...

    def check(self, deadline: float) -> str:
        """Log in and see that writing would be allowed, without writing; gives one sentence for people.

        Raises Unavailable or Halted with the cause.
        """
        ...

    def close(self) -> None:
        """Let go of connections; may be called while send() runs in its own thread, and makes that end soon."""
        ...


@runtime_checkable
class Tended(Protocol):
    """A sink whose far side may ask for something while nothing is sent: Sparkplug B."""

    def tend(self) -> None:
        """Called about once a second while there are no rows. Answers what was asked, keeps the connection alive; never waits or raises."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one recipient."""

    id: str
    """Idempotence key: the same for every try. Letters, digits, _ and - only."""
    at_ns: int
    """When it happened, UTC ns."""
    kind: str
    """alert.raised, alert.climbed, alert.fell, alert.ended, alert.withdrawn, test."""
    subject: str
    """One line for people."""
    data: Mapping[str, object]
    """What `docs/alerts.md` describes; JSON types only."""


class Channel(Protocol):
    """A way for messages to leave."""

    def tell(self, notice: Notice, deadline: float) -> None:
        """Deliver to the address that this channel was made for; return = the other side has it.

        Raises Unavailable (try again), Refused (never), Gone (never again to this address), Halted (a human first).
        """
        ...

    def check(self, deadline: float) -> str:
        """Connect and log in, send nothing; gives one sentence for people. Raises like tell()."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a sink or channel may know of the house beside its own options."""

    name: str
    """NAME of its table."""
    site: Site
    secret: Callable[[str], str]
    """The secret of that name. Raises Halted, saying where it was looked for."""
    version: str
    """Of EcoSentry, for the User-Agent."""
    journal: str = ""
    """Sinks: the identity of the journal whose rows these are; empty where nothing is sent."""
    address: str = ""
    """Channels: the part after CHANNEL: of the recipient."""
