"""Rows as lines of CSV (RFC 4180 without line feeds in cells): what is exported for people and kept as files by day.

A row is one line whatever its names hold, so a file can be cut at any line end and is still a table.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from analytics.station_inputs import law_at
from config.quantity import unit_of
from config.series import Flag, Series
from config.site import Station
from gateway.contracts import Rows
from gateway.spelling import spell

COLUMNS = ("n", "time", "end", "station", "device", "quantity", "channel", "statistic", "period_s", "method", "unit", "value", "raw", "flag",
           "reason", "share", "revision", "origin", "tests", "edition")
"""What the columns mean stands in docs/sinks.md."""
HEADER = ",".join(COLUMNS)
_S = 1_000_000_000
_MINUTE_S = 60
_FORMULA = "=+-@"
"""A cell that begins so is a formula to a spreadsheet."""
_FLAGS = {int(flag): flag.name.lower() for flag in Flag}


def cell(name: str) -> str:
    r"""A name as a cell: reversible, on one line, and never a formula.

    >>> cell("10cm"), cell("=1+1"), cell("two\nlines")
    ('10cm', '%3D1+1', 'two%0Alines')
    """
    spelled = spell(name)
    return f"%{ord(spelled[0]):02X}{spelled[1:]}" if spelled[:1] in _FORMULA and spelled else spelled


def reason_letter(reason: int) -> str:
    """The letter of a reason; its number if it is none."""
    return chr(reason) if reason < 128 and chr(reason).isalnum() else str(reason)


def zones(stations: Mapping[str, Station]) -> Callable[[str], tzinfo]:
    """The time zone of a station; UTC for one that the site file no longer has."""
    known: dict[str, tzinfo] = {name: ZoneInfo(station.time_zone) for name, station in stations.items()}
    return lambda station: known.get(station, UTC)


class LocalTime:
    """Instants as people at one station write them; remembers minutes, for most rows share one."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._minutes: dict[int, tuple[date, str, str]] = {}

    def text(self, at_ns: int) -> str:
        """ISO 8601 with offset, with as many digits as it takes to be exact.

        >>> LocalTime(ZoneInfo("Asia/Shanghai")).text(1_790_000_000_500_000_000)
        '2026-09-21T22:13:20.500+08:00'
        """
        seconds, rest = divmod(at_ns, _S)
        _, head, offset = self._minute(seconds // _MINUTE_S)
        fraction = f".{rest:09d}" if rest % 1000 else f".{rest // 1000:06d}" if rest % 1_000_000 else f".{rest // 1_000_000:03d}" if rest else ""
        return f"{head}:{seconds % _MINUTE_S:02d}{fraction}{offset}"

    def day(self, at_ns: int) -> date:
        """The local date."""
        return self._minute(at_ns // _S // _MINUTE_S)[0]

    def _minute(self, minute: int) -> tuple[date, str, str]:
        found = self._minutes.get(minute)
        if found is None:
            if len(self._minutes) > 10_000:
                self._minutes.clear()
            local = datetime.fromtimestamp(minute * _MINUTE_S, UTC).astimezone(self._zone)
            found = self._minutes[minute] = (local.date(), local.strftime("%Y-%m-%dT%H:%M"), local.isoformat()[19:])
        return found


class Table:
    """Writes rows as lines of CSV; remembers what is the same for all rows of a series. For one thread."""

    def __init__(self, zone_of: Callable[[str], tzinfo]) -> None:
        self._zone_of = zone_of
        self._clocks: dict[str, LocalTime] = {}
        self._series: tuple[Series, ...] = ()
        self._starts: list[str] = []
        self._editions: dict[tuple[str, str, date], str] = {}

    def clock(self, station: str) -> LocalTime:
        """The local time of a station."""
        if station not in self._clocks:
            self._clocks[station] = LocalTime(self._zone_of(station))
        return self._clocks[station]

    def lines(self, rows: Rows) -> Iterator[str]:
        """One line a row, in the rows' order, in the order of COLUMNS, without line feeds. Missing and NaN are empty cells."""
        self._learn(rows.series)
        columns = (rows.n, rows.which, rows.at, rows.span, rows.value, rows.raw, rows.flag, rows.reason, rows.share, rows.revision, rows.origin,
                   rows.tests)
        for n, which, at, span, value, raw, flag, reason, share, revision, origin, tests in zip(*(c.tolist() for c in columns), strict=True):
            clock = self.clock(rows.series[which].station)
            measured = "" if rows.series[which].statistic else _number(raw)
            yield (f"{n},{clock.text(at - span)},{clock.text(at)},{self._starts[which]},{_number(value)},{measured},{_FLAGS.get(flag, flag)},"
                   f"{reason_letter(reason)},{_number(share)},{revision},{origin},{tests},{self._edition(rows.series[which], at, clock)}")

    def _edition(self, series: Series, at: int, clock: LocalTime) -> str:
        """Of the standard that a row was computed by: that of the last instant of its interval; empty where there is none."""
        if not series.method:
            return ""
        zone = str(self._zone_of(series.station))
        key = series.method, zone, clock.day(at - 1)
        found = self._editions.get(key)
        if found is None:
            law = law_at(series.method, at, zone)
            found = self._editions[key] = str(law.edition) if law else ""
        return found

    def _learn(self, series: tuple[Series, ...]) -> None:
        if series is self._series:
            return
        known = len(self._series)
        if series[:known] != self._series:  # another journal
            known, self._starts = 0, []
        self._starts += [_start(one) for one in series[known:]]
        self._series = series


def _start(series: Series) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(
        [*(cell(name) for name in series[:4]), cell(series.statistic) or "measured", series.period_s, cell(series.method), unit_of(series)])
    return out.getvalue()


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""
