"""Sorts what one cycle took: rows for the step, duplicates, messages nobody can read, readings without a true time.

Everything is counted here once, so that received = journalled + duplicate + undecodable + quarantined + held (+ overwritten, see intake.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from config.series import Origin, Series
from drivers.reading import Aside, Batch, Delivery, Stamp
from gateway.duplicates import Recent, Redeliveries
from gateway.intake import Note
from gateway.journal.reader import Reader
from gateway.journal.writer import Writer
from gateway.relayed import Relayed

_S = 1_000_000_000
_OLDEST_NS = 1_577_836_800 * _S
"""2020-01-01: an own time before it is a clock that was never set."""
_YOUNGEST_NS = 600 * _S
"""An own time further ahead than this is a clock that is wrong."""
_REMEMBERED = 20_000
_LATE = int(Origin.LATE)


@dataclass(slots=True)
class Taken:
    """What one cycle took, sorted out: rows for the step, and everything else that goes into the same commit."""

    deliveries: list[Delivery]
    notes: list[Note]
    series: list[Series] = field(default_factory=list)
    rows: list[tuple[int, int, int, float, int, int]] = field(default_factory=list)
    """(index into series, at, span, raw, reason, origin)."""
    held: list[tuple[str, int, int, int, int, float, int, int]] = field(default_factory=list)
    """(boot, mono, utc, index into series, span, raw, reason, origin)."""
    asides: list[tuple[str, Aside]] = field(default_factory=list)
    receipts: list[tuple[str, int, bytes]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    """Journal of another gateway → the highest of its numbers that is here with this commit."""
    unheld: bool = False
    """The held rows are among these rows now."""

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the conservation identity."""
        self.counts[name] = self.counts.get(name, 0) + n


class Sorter:
    """Knows what was journalled already; one thread, the core's."""

    def __init__(self, writer: Writer, register: Callable[[list[Series]], None]) -> None:
        """`register` gives new series their ids, in a transaction of its own."""
        self._writer = writer
        self._register = register
        self._recent = Recent()
        self._relayed = Relayed(writer.path.parent)
        with Reader(writer.path.parent) as reader:
            self.held = reader.held()
            """Readings that wait in the journal for a true clock."""
            self._redeliveries = Redeliveries(reader.receipts())
            self._recent.learn(reader.rows_after(reader.last_n() - _REMEMBERED, _REMEMBERED))

    def sort(self, deliveries: list[Delivery], notes: list[Note], stamp: Stamp) -> Taken:
        """Everything that one cycle took, in the order it came, with what is held if the clock is true now."""
        taken = Taken(deliveries, notes)
        index: dict[Series, int] = {}
        for delivery in deliveries:
            if delivery.aside:
                taken.count("received")
                taken.count("undecodable")
                taken.asides.append((delivery.line, delivery.aside))
            taken.count("received", delivery.rows)
            if delivery.receipt:
                if self._redeliveries.known(delivery.receipt):
                    taken.count("duplicate", delivery.rows)
                    if delivery.aside:
                        taken.count("undecodable", -1)
                        taken.count("duplicate")
                        taken.asides.pop()
                    continue
                taken.receipts.append(self._redeliveries.remember(delivery.receipt))
            for batch in delivery.batches:
                self._sort_batch(taken, index, delivery.line, batch, stamp)
            self._relayed.follow(taken, delivery)
        if self.held and stamp.sure:
            self._unhold(taken, index, stamp)
        taken.series = list(index)
        return taken

    def _sort_batch(self, taken: Taken, index: dict[Series, int], line: str, batch: Batch, stamp: Stamp) -> None:
        places = [index.setdefault(s, len(index)) for s in batch.series]
        columns = (batch.which.tolist(), batch.at.tolist(), batch.span.tolist(), batch.raw.tolist(), batch.reason.tolist())
        origin, before = int(batch.origin), len(taken.rows)
        ids = self._known_ids(batch.series)
        fresh = self._relayed.fresh(batch)
        for (which, at, span, raw, reason), is_fresh in zip(zip(*columns, strict=True), fresh, strict=True):
            late = 0
            if not is_fresh:
                taken.count("duplicate")
                continue
            if batch.own_time:
                if at < _OLDEST_NS or (stamp.sure and at > stamp.utc_ns + _YOUNGEST_NS):
                    taken.count("quarantined")
                    taken.asides.append((line, Aside(str(batch.series[which]), repr(raw).encode(), f"its time {at} ns is not believable")))
                    continue
                met = self._recent.meet(ids[which], at, raw)
                if met == "again":
                    taken.count("duplicate")
                    continue
                late = _LATE if met == "late" else 0
            elif not batch.stamp.sure:
                taken.count("held")
                taken.held.append((batch.stamp.boot, batch.stamp.mono_ns, at, places[which], span, raw, reason, origin))
                continue
            else:
                self._recent.remember(ids[which], at, raw)
            taken.rows.append((places[which], at, span, raw, reason, origin | late))
        taken.count("journalled", len(taken.rows) - before)

    def _known_ids(self, series: tuple[Series, ...]) -> list[int]:
        new = [s for s in series if s not in self._writer.known]
        if new:
            self._register(new)
        return [self._writer.known[s] for s in series]

    def _unhold(self, taken: Taken, index: dict[Series, int], stamp: Stamp) -> None:
        """The clock is true now: readings of this boot get their real time, older ones what the clock said then, marked."""
        with Reader(self._writer.path.parent) as reader:
            for boot, mono, utc, series, span, raw, reason, origin in reader.held_rows():
                same = boot == stamp.boot
                at = (stamp.utc_ns - (stamp.mono_ns - mono)) // 1_000_000 * 1_000_000 if same else utc
                mark = Origin.RESTAMPED if same else Origin.UNSURE
                self._recent.remember(self._writer.known[series], at, raw)
                taken.rows.append((index.setdefault(series, len(index)), at, span, raw, reason, origin | int(mark)))
                taken.count("held", -1)
                taken.count("journalled")
        taken.unheld = True
