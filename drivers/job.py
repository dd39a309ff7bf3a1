"""The contract of a visit: work on a line that comes from outside its timetable (scan, probe, a record read after the fact).

A visit is below all polls. The line's thread gives it the wire for one exchange at a time, and only while nothing else is
due, so that no poll ever waits longer than one exchange. A job is a generator; `gateway/visits.py` drives it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol

from drivers.driver import Wire

Plain = Mapping[str, object]
"""What JSON can carry: it is sent to people as it is."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What a job is given for its next exchange: the open wire, and how long the line is free."""

    wire: Wire
    free_s: float
    """Until the next poll is due. An exchange may take longer (the poll waits for its end); a job that only listens, or
    that can choose between a short and a long exchange, keeps to it."""
    resting: frozenset[str] = frozenset()
    """Devices of the site file that are in a Pause (see drivers.driver): to be left alone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a job says at each of its yields."""

    done: int = 0
    """Of `of` equal portions of work; the remaining time is told from them."""
    of: int = 0
    """0 = not known."""
    words: str = ""
    """What it is about to do: `address 17 at 9600 8N1`."""
    found: tuple[Plain, ...] = ()
    """What is new since the last yield; collected, at most `gateway.visits.MOST_FOUND` of them."""
    pause_s: float = 0.0
    """Not before so much time has passed: a device needs it, and the line is free for others meanwhile."""


Work = Generator[Progress, Gap, Plain]
"""The steps of a job: yields Progress, is sent a Gap, returns its result."""


class Job(Protocol):
    """One visit to a line.

    `work` is written as one would write it with the line to oneself, except that every exchange is preceded by a yield:

        def work(self) -> Work:
            for address in range(1, 248):
                gap = yield Progress(address - 1, 247, f"address {address}")
                if self.answers(address, gap.wire):          # one request and its answer, or one listen of at most gap.free_s
                    found.append(address)
            return {"addresses": found}

    What it must keep:
    - Between two yields at most one exchange: one request with its answer or time-out. What takes longer is cut up.
    - The wire of a gap is good until the next yield only: the line may be opened anew between two exchanges.
    - Before a yield the wire is as it was found (baud rate, format), and no answer is on its way: after a time-out whose late
      answer could be taken for the next one, listen for it in the next gap (`drivers/protocols/_exchange.py` does).
    - A DeviceError is an answer to a job and is caught by it; one that escapes ends the visit as failed, with its words.
      LineError is let through: the line is opened again by its owner, the visit has failed.
    - Cancelled, or past its deadline: GeneratorExit is raised at the yield; `finally` may put things right but not use the wire.
    """

    @property
    def name(self) -> str:
        """What it does, for people: `scan of cabinet`."""
        ...

    def work(self) -> Work:
        """See above; called once, by the thread of the line."""
        ...
