"""Journalled rows as InfluxDB line protocol; `docs/influxdb.md` is the contract that this module keeps.

One point is one (series, interval): its tags spell the series out, its time is the interval's start. The tags of a
series never change, so they are escaped once and kept (measured: that is what makes this many times faster than
building points one by one).

Names come from the wire too (an MQTT topic can be a channel), so nothing about them is taken for granted. Line
protocol has no way to write a line feed or a backslash before a separator in a tag, so those characters are percent-
encoded; so is `%` itself, which makes the spelling reversible: two names are never one.
"""

import re
from collections.abc import Callable, Mapping
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from analytics.station_standing import standing
from config.quantity import vocabulary
from config.series import Flag, Reason, Series
from config.site import Station
from gateway.contracts import Rows
from gateway.spelling import spell

MEASURED = "measured"
"""The tag `statistic` of a value as measured: a tag that is absent cannot be chosen in Grafana's editor."""

_SEPARATOR = re.compile("([,= ])")
_UNITS = ((3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))
_TESTS_MATTER = np.isin(np.arange(256), [Flag.SUSPECT, Flag.FAIL])
_MANY = 16
"""From so many rows on, looking at whole columns first is cheaper (measured)."""


def tag(name: str) -> str:
    r"""A name as a tag's value, escaped; different names give different spellings.

    >>> tag("a b=c,d"), tag("two\nlines"), tag("ends in \\"), tag("100 %")
    ('a\\ b\\=c\\,d', 'two%0Alines', 'ends\\ in\\ %5C', '100\\ %25')
    """
    return _SEPARATOR.sub(r"\\\1", spell(name))


def text(label: str) -> str:
    r"""A label for people as a string field, quoted; line feeds and other control characters become spaces.

    >>> text('He said "no"\\')
    '"He said \\"no\\"\\\\"'
    """
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", label).encode("utf-8", "replace").decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def length(span_ns: int) -> str:
    """A length of time as people write it in queries, exactly.

    >>> length(3_600_000_000_000), length(86_400_000_000_000), length(1_500_000_000)
    ('1h', '24h', '1500ms')
    """
    size, unit = next(pair for pair in _UNITS if span_ns % pair[0] == 0)
    return f"{span_ns // size}{unit}"


def medium(quantity: str) -> str:
    """The measurement that a quantity belongs to; `other` for a name that the vocabulary does not know."""
    row = vocabulary().get(quantity)
    return row.medium if row else "other"


def start_of_line(series: Series, span_ns: int, measurement: str) -> str:
    """Measurement and tags of a row, with the space before its fields. Tags are sorted; an empty one is left out."""
    statistic = series.statistic
    if statistic.rstrip("_") == MEASURED:
        statistic += "_"  # so that a statistic of that very name stays another series
    tags = {
        "channel": series.channel, "device": series.device, "method": series.method,
        "period": length(series.period_s * 1_000_000_000) if series.period_s else "",
        "quantity": series.quantity,
        "span": length(span_ns) if span_ns != series.period_s * 1_000_000_000 else "",
        "station": series.station, "statistic": statistic or MEASURED,
    }
    return ",".join([measurement, *(f"{key}={tag(value)}" for key, value in tags.items() if value)]) + " "


def station_line(name: str, station: Station, day_ns: int) -> str:
    """What is known of a station, as a point of the measurement `station` at the start of a UTC day."""
    fields = [f"{key}={text(value)}" for key, value in
              (("area", station.area), ("name", station.name), ("time_zone", station.time_zone)) if value]
    fields += [f"{key}={value!r}" for key, value in
               (("latitude", station.latitude), ("longitude", station.longitude)) if value is not None]
    return f"station,station={tag(name)} {','.join(sorted(fields))} {day_ns}" if fields else ""


Levels = Callable[[Series, float, int], int]
"""Number of the category of a computed value that ends at an instant (UTC ns); 0 = it has none."""


def levels(stations: Mapping[str, Station]) -> Levels:
    """The categories of the standards' editions, in the zones of these stations."""
    def level(series: Series, value: float, end_ns: int) -> int:
        station = stations.get(series.station)
        found = standing(series, value, end_ns, station.time_zone if station else "UTC")
        return found.level if found else 0
    return level


class Encoder:
    """Writes rows as lines; remembers the escaped start of every series. For one thread."""

    def __init__(self, medium_of: Callable[[str], str] = medium, level_of: Levels | None = None) -> None:
        self._medium_of = medium_of
        self._level_of = level_of
        self._table: tuple[Series, ...] = ()
        self._starts: list[str] = []
        self._odd: dict[tuple[int, int], str] = {}
        self._period: list[int] = []
        self._is_instant: NDArray[np.bool_] = np.empty(0, np.bool_)

    def lines(self, rows: Rows) -> list[str]:
        """One line a row, in the rows' order, without line feeds."""
        self._learn(rows.series)
        plain = self._plain(rows) if len(rows) >= _MANY else None
        if plain is None or not plain.any():
            return self._one_by_one(rows)
        starts = self._starts
        columns = zip(rows.which.tolist(), rows.value.tolist(), rows.flag.tolist(), rows.at.tolist(), strict=True)
        lines = [f"{starts[w]}value={value!r},flag={flag}i {at}" for w, value, flag, at in columns]
        others = np.flatnonzero(~plain)
        for i, line in zip(others.tolist(), self._one_by_one(rows.pick(others)), strict=True):
            lines[i] = line
        return lines

    def _learn(self, table: tuple[Series, ...]) -> None:
        if table is self._table:
            return
        known = len(self._table)
        if table[:known] != self._table:  # another journal
            known, self._starts, self._period, self._odd = 0, [], [], {}
        new = table[known:]
        self._period += [s.period_s * 1_000_000_000 for s in new]
        self._starts += [start_of_line(s, s.period_s * 1_000_000_000, self._medium_of(s.quantity)) for s in new]
        self._is_instant = np.array([not s.period_s and not s.statistic for s in table], np.bool_)
        self._table = table

    def _plain(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows are readings of an instant with nothing to say but value and flag: nearly all."""
        plain: NDArray[np.bool_] = (
            self._is_instant[rows.which] & (rows.span == 0) & np.isfinite(rows.value) & (rows.raw == rows.value)
            & ~_TESTS_MATTER[rows.flag] & (rows.reason == Reason.NORMAL) & (rows.origin == 0) & (rows.revision == 0)
            & ~np.isfinite(rows.share)
        )
        return plain

    def _one_by_one(self, rows: Rows) -> list[str]:
        """Rows of any kind. One of revision 0 leaves out what is ordinary, and a revision writes every field.

        Else a point that is written again would keep the fields that its new self does not have.
        """
        columns = (rows.which, rows.at, rows.span, rows.raw, rows.value, rows.flag, rows.reason, rows.tests, rows.revision, rows.origin,
                   rows.share)
        lines = []
        for w, at, span, raw, value, flag, reason, tests, revision, origin, share in zip(*(c.tolist() for c in columns), strict=True):
            fields = f"value={value!r},flag={flag}i" if isfinite(value) else f"flag={flag}i"
            if isfinite(raw) and (revision or raw != value) and not self._table[w].statistic:
                fields += f",raw={raw!r}"
            if isfinite(share):
                fields += f",share={share!r}"
            if self._level_of and self._table[w].method and isfinite(value) and (level := self._level_of(self._table[w], value, at)):
                fields += f",level={level}i"
            if span:
                fields += f",end={at}i"
            if revision:
                fields += f",reason={reason}i,origin={origin}i,tests={tests}i,revision={revision}i"
            else:
                if reason != Reason.NORMAL:
                    fields += f",reason={reason}i"
                if origin:
                    fields += f",origin={origin}i"
                if flag in (Flag.SUSPECT, Flag.FAIL):
                    fields += f",tests={tests}i"
            start = self._starts[w] if span == self._period[w] else self._with_span(w, span)
            lines.append(f"{start}{fields} {at - span}")
        return lines

    def _with_span(self, which: int, span_ns: int) -> str:
        start = self._odd.get((which, span_ns))
        if start is None:
            if len(self._odd) >= 10_000:  # a device whose every span is another one
                self._odd.clear()
            series = self._table[which]
            start = start_of_line(series, span_ns, self._medium_of(series.quantity))
            self._odd[which, span_ns] = start
        return start
