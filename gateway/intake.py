"""The bounded queue into the core: deliveries of the lines, and notes of those who deliver onwards.

A polled line waits when it is full. A delivery with a receipt is always taken: its number is bounded by the broker's
in-flight window, and refusing it would only make the broker send it again. While the journal cannot be written nobody waits: the
queue is a ring then, larger, and the oldest readings without a receipt give way to newer ones, counted.
"""

import time
from collections import deque
from threading import Condition
from typing import Protocol, runtime_checkable

from drivers.reading import Delivery
from gateway.journal.writer import Writer


class Note(Protocol):
    """Something that changes no result (a sink's progress, a message that was told); written with the next commit."""

    def write(self, writer: Writer) -> None:
        """Called inside the core's transaction."""
        ...


@runtime_checkable
class Awaited(Note, Protocol):
    """A note that someone waits for: it is committed at once, and then it is told so."""

    def kept(self) -> None:
        """It is on disk. Called by the core's thread: must not block or raise."""
        ...


class Intake:
    """Many threads deliver, the core takes."""

    def __init__(self, most_rows: int = 4000, ring_rows: int = 10_000) -> None:
        self._most_rows = most_rows
        self._ring_rows = ring_rows
        self._is_ring = False
        self._overwritten = 0
        self._changed = Condition()
        """Its lock may be taken twice by one thread."""
        self._deliveries: deque[Delivery] = deque()
        self._notes: deque[Note] = deque()
        self._rows = 0
        self._enough = 0
        """The core sleeps until so many rows wait; 0 = it does not sleep."""
        self._awake = False

    def deliver(self, delivery: Delivery, wait_s: float) -> bool:
        """True: taken. False: full for `wait_s`, nothing taken. Always taken if a receipt is owed."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            if self._has_no_room(delivery):
                self.wake()
            while self._has_no_room(delivery):
                rest = deadline - time.monotonic()
                if rest <= 0 or not self._changed.wait(rest):
                    return False
            if self._is_ring and delivery.receipt is None:
                self._overwrite(delivery.rows)
            self._deliveries.append(delivery)
            self._rows += delivery.rows
            if self._is_enough():
                self._changed.notify_all()
        return True

    def _has_no_room(self, delivery: Delivery) -> bool:
        return delivery.receipt is None and not self._is_ring and self._rows > 0 and self._rows + delivery.rows > self._most_rows

    def _is_enough(self) -> bool:
        """Is there what the core sleeps for?"""
        return self._enough == 1 or 0 < self._enough <= self._rows

    def _overwrite(self, rows: int) -> None:
        """Make room in the ring for so many rows; nothing goes that is owed a receipt."""
        while self._rows + rows > self._ring_rows:
            oldest = next((i for i, delivery in enumerate(self._deliveries) if delivery.receipt is None), None)
            if oldest is None:
                return
            gone = self._deliveries[oldest]
            del self._deliveries[oldest]
            self._rows -= gone.rows
            self._overwritten += gone.rows + (gone.aside is not None)

    def ring(self, on: bool) -> None:
        """Nobody waits for the core from now on (the journal cannot be written), or everyone does again."""
        with self._changed:
            self._is_ring = on
            self._changed.notify_all()

    def overwritten(self) -> int:
        """How many readings were overwritten since it was asked last."""
        with self._changed:
            found, self._overwritten = self._overwritten, 0
        return found

    def notes(self) -> list[Note]:
        """The notes alone, oldest first; deliveries stay."""
        with self._changed:
            found = list(self._notes)
            self._notes.clear()
        return found

    def tell(self, note: Note) -> None:
        """Never waits: notes are few and small."""
        with self._changed:
            self._notes.append(note)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let the core look at its clock or at its stop mark."""
        with self._changed:
            self._awake = True
            self._changed.notify_all()

    def take(self, wait_s: float, most_rows: int, enough: int = 1) -> tuple[list[Delivery], list[Note]]:
        """What is there, oldest first, at most about `most_rows` rows; waits for a note or for `enough` rows, 1 = for any delivery.

        Who gathers anyway asks for many: to wake up for each message costs more than the message.
        """
        with self._changed:
            if wait_s > 0 and not (self._notes or self._awake or (self._deliveries and (enough == 1 or self._rows >= enough))):
                self._enough = enough
                self._changed.wait(wait_s)
                self._enough = 0
            self._awake = False
            taken: list[Delivery] = []
            rows = 0
            while self._deliveries and (not taken or rows + self._deliveries[0].rows <= most_rows):
                taken.append(self._deliveries.popleft())
                rows += taken[-1].rows
            self._rows -= rows
            notes = list(self._notes)
            self._notes.clear()
            self._changed.notify_all()
        return taken, notes

    @property
    def rows(self) -> int:
        """Readings that wait now."""
        return self._rows
