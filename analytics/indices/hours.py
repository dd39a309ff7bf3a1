"""Which local hour and natural day an hourly mean belongs to, and how it is labelled where."""

from datetime import date, datetime, timedelta
from typing import Literal

from config.reading_standards import day_start_ns, local_day, time_zone

_HOUR_NS = 3600 * 1_000_000_000


def hour_label(end_ns: int, zone: str, names: Literal["begin", "end"]) -> str:
    """The label of an hourly mean that ends at an instant (UTC ns): by its beginning, as HJ 212 has it, or by its end, as many bureaus publish.

    The hour before midnight ends at 24:00 of its own day. On days of clock change the offset tells the two hours of one name apart.

    >>> midnight = 1772294400000000000
    >>> hour_label(midnight, "Asia/Shanghai", "begin"), hour_label(midnight, "Asia/Shanghai", "end")
    ('2026-02-28 23:00+0800', '2026-02-28 24:00+0800')
    """
    begin = datetime.fromtimestamp((end_ns - _HOUR_NS) // 1_000_000_000, time_zone(zone))
    if names == "begin":
        return begin.strftime("%Y-%m-%d %H:%M%z")
    end = datetime.fromtimestamp(end_ns // 1_000_000_000, time_zone(zone))
    if (end.hour, end.minute) == (0, 0):
        return begin.strftime("%Y-%m-%d 24:00%z")
    return end.strftime("%Y-%m-%d %H:%M%z")


def natural_day(end_ns: int, zone: str) -> date:
    """The day to which a mean that ends at an instant belongs: that of the last moment it contains, so midnight closes the day before.

    >>> natural_day(1772294400000000000, "Asia/Shanghai")
    datetime.date(2026, 2, 28)
    """
    return local_day(end_ns - 1, zone)


def hours_of_day(day: date, zone: str) -> int:
    """Hours of a natural day in a zone: 24, or 23 and 25 where the clock changes.

    >>> hours_of_day(date(2026, 3, 1), "Asia/Shanghai"), hours_of_day(date(2026, 3, 29), "Europe/Berlin")
    (24, 23)
    """
    return (day_start_ns(day + timedelta(days=1), zone) - day_start_ns(day, zone)) // _HOUR_NS


def night_of(end_ns: int, zone: str, night_from: int = 22, day_from: int = 6) -> date | None:
    """The night that an hourly level belongs to, named by the day on which it begins: 22 … 24 of d and 00 … 06 of d + 1; None by day.

    >>> hour = 3600 * 10**9
    >>> [str(night_of(1772294400000000000 + n * hour, "Asia/Shanghai")) for n in (-2, -1, 1, 6, 7)]
    ['None', '2026-02-28', '2026-02-28', '2026-02-28', 'None']
    """
    begin = datetime.fromtimestamp((end_ns - _HOUR_NS) // 1_000_000_000, time_zone(zone))
    if begin.hour >= night_from:
        return begin.date()
    return begin.date() - timedelta(days=1) if begin.hour < day_from else None
