"""The ledger of gaps, read back: rows of statistic "gap", one for each interval that is missing of a series."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from config.series import GAP, Reason, Series
from gateway.alerts import iso
from gateway.contracts import Rows
from gateway.journal.reader import Reader

WORDS = {
    Reason.DOWN: "the gateway was down", Reason.LINE: "the line was gone", Reason.DEVICE: "the device did not answer",
    Reason.COMMUNICATION: "the answer could not be used", Reason.SILENT: "nothing was heard", Reason.LEFT_OUT: "polls were left out",
    Reason.FAULT: "the instrument reports a fault", Reason.MAINTENANCE: "maintenance", Reason.CALIBRATION: "calibration",
    Reason.OUT_OF_SERVICE: "out of service", Reason.POWER: "power", Reason.HELD: "the clock was not yet true",
    Reason.BEGUN: "a counter began anew", Reason.OVER_RANGE: "over range", Reason.MANUAL: "set by hand", Reason.NORMAL: "no value in the answer",
    Reason.WARMING: "warming up", Reason.RESTING: "duty cycle",
    Reason.LOST: "kept, but its sealed day is lost",
    Reason.DOUBTED: "doubted where it was measured", Reason.REJECTED: "rejected where it was measured",
}
"""Why something is missing, for people."""
_MOST = 10_000
_DAY_NS = 86_400 * 10**9
NEWEST = 20


@dataclass(frozen=True, slots=True)
class Gap:
    """One interval without values, (since, until) in UTC ns; until None = it goes on."""

    series: Series
    since: int
    until: int | None
    reason: int
    filled: float
    """Share of the missing values that came later, 0 to 1."""
    rows: int = 0
    """Of a sink: how many rows it lacks."""
    sink: str = ""

    @property
    def is_filled(self) -> bool:
        """Nothing is missing any more."""
        return self.filled >= 1

    @property
    def words(self) -> str:
        """Why, for people."""
        return f"refused by {self.sink}" if self.sink else words_of(self.reason)


def words_of(reason: int) -> str:
    """A reason for people; its letter where there are no words."""
    return WORDS.get(Reason(reason), Reason(reason).name.lower().replace("_", " ")) if reason in set(Reason) else chr(reason)


def plain(gap: Gap) -> dict[str, object]:
    """A gap as JSON carries it; times in ISO 8601, UTC."""
    return {"series": str(gap.series), "sink": gap.sink or None, "since": iso(gap.since), "until": None if gap.until is None else iso(gap.until),
            "seconds": None if gap.until is None else (gap.until - gap.since) / 1e9, "reason": chr(gap.reason) if gap.reason else None,
            "words": gap.words, "filled": gap.filled, "rows": gap.rows or None}


def series_of(gap: Series) -> Series:
    """The measured series that a series of gaps is about."""
    return gap._replace(statistic="")


def gaps_between(reader: Reader, since: int, until: int, wanted: Iterable[int]) -> list[Gap]:
    """Gaps of the measured series with these ids that ended in (since, until], oldest first; each by its newest revision."""
    table = reader.series()
    ids = {series: i for i, series in enumerate(table)}
    found: list[Gap] = []
    for i in wanted:
        ledger = ids.get(table[i]._replace(statistic=GAP))
        if ledger is not None:
            found += newest(reader.rows_of_series(ledger, since, until, _MOST))
    return sorted(found, key=lambda gap: (gap.since, gap.series))


def newest(rows: Rows) -> list[Gap]:
    """Gaps of rows of the ledger; of several revisions the last."""
    by_end: dict[tuple[int, int], Gap] = {}
    columns = (rows.which, rows.at, rows.value, rows.reason, rows.share)
    for which, at, value, reason, share in zip(*(column.tolist() for column in columns), strict=True):
        by_end[which, at] = Gap(series_of(rows.series[which]), at - round(value * 1e9), at, reason, share)
    return list(by_end.values())


def sink_gaps(reader: Reader, sinks: Sequence[str]) -> list[Gap]:
    """What sinks refused for good, neighbouring rows of a series and the same words as one."""
    found: list[Gap] = []
    for sink in sinks:
        refused = [one for one in reader.refused(sink, _MOST) if one.words]
        rows = reader.rows_of([one.n for one in refused])
        last: dict[int, Gap] = {}
        for which, at, span in zip(rows.which.tolist(), rows.at.tolist(), rows.span.tolist(), strict=True):
            before = last.get(which)
            begin = before.since if before else at - span
            last[which] = Gap(rows.series[which], min(begin, at), max(at, before.until or at) if before else at, 0, 0.0,
                              (before.rows if before else 0) + 1, sink)
        found += last.values()
    return found


class Followed:
    """The newest gaps, kept up with the rows that come; for those who ask every second."""

    def __init__(self, reader: Reader) -> None:
        now = time.time_ns()
        measured = [i for i, series in enumerate(reader.series()) if not series.statistic]
        self._gaps = {(gap.series, gap.until): gap for gap in gaps_between(reader, now - 7 * _DAY_NS, now + _DAY_NS, measured)}

    def take(self, rows: Rows) -> None:
        """Remember the gaps among these rows."""
        ledgers = [i for i, series in enumerate(rows.series) if series.statistic == GAP]
        if ledgers:
            self._gaps |= {(gap.series, gap.until): gap for gap in newest(rows.pick(np.isin(rows.which, ledgers)))}
            while len(self._gaps) > _MOST:
                self._gaps.pop(next(iter(self._gaps)))

    def newest(self) -> list[Gap]:
        """The newest ones, newest first; those of lost days before the others, however old the day is."""
        gaps = sorted(self._gaps.values(), key=lambda gap: -(gap.until or 0))
        lost = [gap for gap in gaps if gap.reason == Reason.LOST]
        return lost[:NEWEST] + [gap for gap in gaps if gap.reason != Reason.LOST][:NEWEST]
