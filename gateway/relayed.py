"""Rows that another gateway's journal has numbered: each enters once, and a hole in the numbers is noticed.

How far each journal has come is kept in ours, in the same commit as its rows: a restart or a kill changes nothing about it.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from drivers.reading import Aside, Batch, Delivery
from gateway.journal.reader import Reader

log = logging.getLogger("ecosentry.relayed")
MARK = "relayed."
"""Begin of the names under which the journal keeps this."""
GAPS = "relayed_gaps"
"""Counter of holes; not part of the conservation identity, for what was never received is not counted there."""


class _Taken(Protocol):
    """What of `gateway.sorting.Taken` is written to."""

    marks: dict[str, int]
    asides: list[tuple[str, Aside]]

    def count(self, name: str, n: int = 1) -> None: ...


class Relayed:
    """How far each journal of another gateway has come; one thread, the core's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._newest: dict[str, int] = {}

    def _known(self, journal: str) -> int:
        if journal not in self._newest:
            with Reader(self._folder) as reader:
                found = reader.meta(MARK + journal)
            self._newest[journal] = found if isinstance(found, int) else 0
        return self._newest[journal]

    def fresh(self, batch: Batch) -> Iterable[bool]:
        """For each row of a batch: is it not here yet, as far as numbers tell?"""
        if batch.numbered is None:
            return [True] * len(batch)
        found: list[bool] = (batch.numbered.n > self._known(batch.numbered.journal)).tolist()
        return found

    def follow(self, taken: _Taken, delivery: Delivery) -> None:
        """After all batches of a delivery: note how far it came, and say what is missing before it."""
        numbered = [batch.numbered for batch in delivery.batches if batch.numbered is not None and len(batch)]
        if not numbered:
            return
        for journal in dict.fromkeys(one.journal for one in numbered):
            mine = [one for one in numbered if one.journal == journal]
            known, after = self._known(journal), mine[0].after
            if known and after is not None and after > known:
                words = f"rows {known + 1} to {after} of journal {journal} never came"
                log.warning("line %s: %s", delivery.line, words)
                taken.count(GAPS)
                taken.asides.append((delivery.line, Aside(journal, b"", words)))
            self._newest[journal] = taken.marks[journal] = max(known, *(int(one.n[-1]) for one in mine))
