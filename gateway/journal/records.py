"""What the reader gives of events, sinks, messages and sealed files."""

from dataclasses import dataclass

from gateway.contracts import Notice

OWED = "owed."
"""Before the name of a sink in `meta`: how many rows that it refused are to be sent to it again."""

KEPT_FROM = "kept_from"
"""In `meta`: the first event that has not been removed as too old."""

HOW_MOVED = "moved"
"""In `meta`: that the files were moved under a daemon, and what became of it; the next start tells people."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it was journalled; its rows are n_from … n_from + rows - 1, what was derived follows them."""

    id: int
    kind: int
    now: int
    sure: int
    steady: int
    plan: int
    n_from: int
    rows: int
    derived: int
    done: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next message for a recipient."""

    id: int
    due: int
    tries: int
    notice: Notice
    fires: bool = False
    """The alert that it tells of has not ended."""
    earlier: tuple[int, ...] = ()
    """Messages of the same alert before it, for the same recipient."""
    given_up: frozenset[int] = frozenset()
    """Those among them that nobody was told."""


@dataclass(frozen=True, slots=True)
class SinkRecord:
    """How far a sink has come."""

    name: str
    n: int
    sent: int
    refused: int
    skipped: int
    thinned: int
    state: str
    words: str
    owed: int = 0
    """Rows that let newer ones go first, or that it refused and that are to be sent again."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that a sink will not take."""

    sink: str
    n: int
    at: int
    """When it was refused, UTC ns."""
    words: str | None
    """The store's; None = it is owed again."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed file as the table `archive` knows it, or a run of events that is lost."""

    event_from: int
    event_to: int
    n_from: int
    n_to: int
    """The first arrival number that is no more in it."""
    now_from: int
    now_to: int
    at_from: int
    at_to: int
    rows: int
    thinned: int
    """Rows that were taken out of it since it was sealed."""
    file: str | None
    size: int
    """Bytes of the file."""
    previous: bytes
    """SHA-256 of the file before, as that was first sealed."""
    first: bytes
    """SHA-256 of this file as it was first sealed: a link of the chain."""
    hash: bytes
    """SHA-256 of the file as it is."""
    lost: str | None
    """Why nothing of it can be read any more; None = it can."""
