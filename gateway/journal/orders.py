"""Orders in the journal: asked → started → done | failed | unknown. Each step is on disk before the next is taken.

So an order is carried out at most once: what was started and has no end when the daemon starts again is unknown, and is
never sent again; what was only asked was surely not sent, and has failed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from gateway.journal.writer import Writer
from gateway.spelling import in_one_line

State = Literal["asked", "started", "done", "failed", "unknown"]
_KEPT = 10_000
"""The newest so many are kept, whatever their age."""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order as it stands. Times are UTC ns."""

    id: int
    at: int
    line: str
    device: str
    verb: str
    value: float | None
    by: str
    state: State
    words: str
    started: int | None
    ended: int | None


@dataclass(slots=True)
class OrderAsked:
    """An order was given. `then` is told its number once it is on disk."""

    at: int
    line: str
    device: str
    verb: str
    value: float | None
    by: str
    then: Callable[[int], None]
    id: int = field(default=0, init=False)

    def write(self, writer: Writer) -> None:
        """See Note."""
        self.id = writer.db.execute("INSERT INTO orders(at, line, device, verb, value, by, state, words) "
                                    "VALUES (?,?,?,?,?,?,'asked','') RETURNING id",
                                    (self.at, self.line, self.device, in_one_line(self.verb), self.value, in_one_line(self.by))).fetchone()[0]
        writer.db.execute("DELETE FROM orders WHERE id <= ?", (self.id - _KEPT,))

    def kept(self) -> None:
        """See Awaited."""
        self.then(self.id)


@dataclass(frozen=True, slots=True)
class OrderStarted:
    """It is about to be sent: not before `then`."""

    id: int
    at: int
    then: Callable[[], None]

    def write(self, writer: Writer) -> None:
        """See Note."""
        writer.db.execute("UPDATE orders SET state = 'started', started = ? WHERE id = ? AND state = 'asked'", (self.at, self.id))

    def kept(self) -> None:
        """See Awaited."""
        self.then()


@dataclass(frozen=True, slots=True)
class OrderEnded:
    """What became of it. The first end that is told stands."""

    id: int
    at: int
    state: Literal["done", "failed", "unknown"]
    words: str

    def write(self, writer: Writer) -> None:
        """See Note."""
        writer.db.execute("UPDATE orders SET state = ?, ended = ?, words = ? WHERE id = ? AND state IN ('asked', 'started')",
                          (self.state, self.at, in_one_line(self.words), self.id))

    def kept(self) -> None:
        """See Awaited: whoever gave it waits for the end."""


def end_left_over(writer: Writer, now: int) -> int:
    """At a start: orders that have no end get one; gives how many are unknown."""
    writer.db.execute("UPDATE orders SET state = 'failed', ended = ?, words = 'the daemon ended before it was sent; give it again if it is "
                      "still wanted' WHERE state = 'asked'", (now,))
    return int(writer.db.execute(
        "UPDATE orders SET state = 'unknown', ended = ?, words = 'the daemon ended between sending and the answer: look at the device; "
        "it is not sent again' WHERE state = 'started'", (now,)).rowcount)
