"""What has been journalled already: redelivered messages, and readings that a source sent twice."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from config.series import Reason
from drivers.reading import Receipt
from gateway.contracts import Rows

_REMEMBERED = 1024


class Redeliveries:
    """Messages recognised by line, packet number and content: a broker sends again what we did not acknowledge in time."""

    def __init__(self, committed: dict[tuple[str, int], bytes]) -> None:
        self._committed = committed

    def known(self, receipt: Receipt) -> bool:
        """Was exactly this message committed before the acknowledgement got lost?"""
        return receipt.again and self._committed.get((receipt.line, receipt.packet)) == receipt.digest

    def remember(self, receipt: Receipt) -> tuple[str, int, bytes]:
        """The record to commit together with the message."""
        self._committed[receipt.line, receipt.packet] = receipt.digest
        return receipt.line, receipt.packet, receipt.digest


@dataclass(slots=True)
class _Times:
    """The newest times of one series, in the order they came; the oldest gives way."""

    at: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_REMEMBERED, np.int64))
    raw: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_REMEMBERED))
    place: int = 0
    newest: int = 0

    def add(self, at: int, raw: float) -> None:
        place = self.place
        self.at[place], self.raw[place] = at, raw
        self.place = (place + 1) % _REMEMBERED
        if at > self.newest:
            self.newest = at

    def has(self, at: int, raw: float) -> bool:
        if at > self.newest:
            return False
        for place in np.flatnonzero(self.at == at):
            known = float(self.raw[place])
            if known == raw or (math.isnan(known) and math.isnan(raw)):
                return True
        return False


class Recent:
    """Per series the newest 1024 own times: a reading with its own time enters once, however often it is sent."""

    def __init__(self) -> None:
        self._series: dict[int, _Times] = {}

    def learn(self, rows: Rows) -> None:
        """Fill from the journal at start: what came, not what was found missing."""
        columns = (rows.which.tolist(), rows.at.tolist(), rows.raw.tolist(), rows.reason.tolist())
        for series, at, raw, reason in zip(*columns, strict=True):
            if reason != Reason.SILENT:
                self.remember(series, at, raw)

    def remember(self, series: int, at: int, raw: float) -> None:
        """A reading is here now, whoever stamped it."""
        self._times(series).add(at, raw)

    def meet(self, series: int, at: int, raw: float) -> Literal["new", "late", "again"]:
        """A reading comes: is it the newest, one that fills a gap or corrects (late), or one that is here already?"""
        times = self._times(series)
        newest = times.newest
        if times.has(at, raw):
            return "again"
        times.add(at, raw)
        return "new" if at > newest else "late"

    def _times(self, series: int) -> _Times:
        times = self._series.get(series)
        if times is None:
            times = self._series[series] = _Times()
        return times
