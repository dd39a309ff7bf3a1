"""Days and hours of a station in its legal zone: where a day begins, to which day an hour belongs, what the clock shows."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from analytics.station_inputs import Moment
from config.reading_standards import day_start_ns, local_day, time_zone

HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """What a report's function may ask of the time: of an hour its own, of a day that of its beginning."""

    date: date
    hour: int
    """The local hour, by its beginning."""
    mid_hour: float
    day_of_year: int
    year: int
    zone_west: float
    """Degrees west of Greenwich of the zone's standard meridian: 15 for each hour."""


def clock_of(moment: Moment) -> Clock:
    """The clock at a report's moment: the beginning of its last hour, or of its day.

    >>> found = clock_of(Moment(1772294400 * 10**9, 1, "Asia/Shanghai", False))
    >>> str(found.date), found.hour, found.mid_hour, found.zone_west
    ('2026-02-28', 23, 23.5, 240.0)
    """
    begin = (moment.end_ns - moment.hours * HOUR_NS) // 1_000_000_000
    local = datetime.fromtimestamp(begin, time_zone(moment.zone))
    offset, saved = local.utcoffset() or timedelta(0), local.dst() or timedelta(0)
    in_standard_time = local - saved
    west = -(offset - saved).total_seconds() / 3600 * 15
    middle = in_standard_time.hour + in_standard_time.minute / 60 + 0.5
    return Clock(local.date(), local.hour, middle, local.timetuple().tm_yday, local.year, west % 360)


def day_of(end_ns: int, zone: str, day_from: int = 0) -> date:
    """The day of the hour that ends at `end_ns` (UTC ns), where days begin at the local hour `day_from`.

    >>> midnight = 1772294400 * 10**9
    >>> str(day_of(midnight, "Asia/Shanghai")), str(day_of(midnight + 6 * HOUR_NS, "Asia/Shanghai", 6))
    ('2026-02-28', '2026-02-28')
    """
    day = local_day(end_ns - HOUR_NS, zone)
    return day if not day_from or end_ns - HOUR_NS >= _begin(day, zone, day_from) else day - timedelta(days=1)


def day_moment(day: date, zone: str, day_from: int = 0) -> Moment:
    """A whole day as the moment of a report.

    >>> day_moment(date(2026, 3, 29), "Europe/Berlin").hours, day_moment(date(2026, 2, 28), "Asia/Shanghai").end_ns
    (23, 1772294400000000000)
    """
    begin, end = _begin(day, zone, day_from), _begin(day + timedelta(days=1), zone, day_from)
    return Moment(end, (end - begin) // HOUR_NS, zone, True)


def _begin(day: date, zone: str, day_from: int) -> int:
    if not day_from:
        return day_start_ns(day, zone)
    local = datetime(day.year, day.month, day.day, day_from, tzinfo=time_zone(zone))
    return int(local.timestamp()) * 1_000_000_000
