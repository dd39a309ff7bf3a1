"""What has been journalled already: redelivered messages, and readings that a source sent twice."""

import math
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


class Recent:
    """Per series the newest 1024 own times: a reading with its own time enters once, however often it is sent."""

    def __init__(self) -> None:
        self._at: dict[int, NDArray[np.int64]] = {}
        self._raw: dict[int, NDArray[np.float64]] = {}
        self._next: dict[int, int] = {}
        self._newest: dict[int, int] = {}

    def learn(self, rows: Rows) -> None:
        """Fill from the journal at start: what came, not what was found missing."""
        columns = (rows.which.tolist(), rows.at.tolist(), rows.raw.tolist(), rows.reason.tolist())
        for series, at, raw, reason in zip(*columns, strict=True):
            if reason != Reason.SILENT:
                self.remember(series, at, raw)

    def remember(self, series: int, at: int, raw: float) -> None:
        """A reading is here now, whoever stamped it."""
        if series not in self._at:
            self._at[series] = np.zeros(_REMEMBERED, np.int64)
            self._raw[series] = np.zeros(_REMEMBERED)
            self._next[series] = 0
        place = self._next[series] % _REMEMBERED
        self._at[series][place] = at
        self._raw[series][place] = raw
        self._next[series] += 1
        self._newest[series] = max(at, self._newest.get(series, 0))

    def meet(self, series: int, at: int, raw: float) -> Literal["new", "late", "again"]:
        """A reading comes: is it the newest, one that fills a gap or corrects (late), or one that is here already?"""
        newest = self._newest.get(series, 0)
        if at <= newest:
            for place in np.flatnonzero(self._at[series] == at):
                known = float(self._raw[series][place])
                if known == raw or (math.isnan(known) and math.isnan(raw)):
                    return "again"
        self.remember(series, at, raw)
        return "new" if at > newest else "late"
