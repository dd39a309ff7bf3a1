"""Noise limits of China: zones (GB 3096), works (GB 12348), community (GB 22337), building sites (GB 12523), HJ 640 grades."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from analytics.indices._exact import Figure, Result, exact, maybe, rounded
from analytics.indices.noise_levels import leq
from config.standard import Standard

Period = Literal["day", "night"]


def period_of(hour: int, *, law: Standard) -> Period:
    """Whether a local hour (0 … 23, its beginning) is day or night; 06 … 22 is day unless the site says otherwise.

    >>> from config.reading_standards import standards
    >>> law = standards().named("GB3096")
    >>> period_of(5, law=law), period_of(6, law=law), period_of(21, law=law), period_of(22, law=law)
    ('night', 'day', 'day', 'night')
    """
    return "day" if law.constant("day_from") <= hour < law.constant("night_from") else "night"


def gb3096_check(zone: str, period: Period, leq_db: Figure, lmax_sudden: Figure | None = None, *, law: Standard) -> Result:
    """Limit of a functional zone (0, 1, 2, 3, 4a, 4b), whether Leq meets it, and at night whether the sudden maximum does.

    dB(A), inclusive; a sudden night maximum may exceed the limit by 15. Source: GB 3096-2008 table 1, 5.4.

    >>> from config.reading_standards import standards
    >>> gb3096_check("4b", "night", 59, "75.1", law=standards().named("GB3096"))
    {'limit': Decimal('60'), 'leq_pass': True, 'lmax_pass': False}
    """
    limit = law.table("zones").number(zone, period)
    found: Result = {"limit": limit, "leq_pass": exact(leq_db) <= limit}
    highest = maybe(lmax_sudden)
    if highest is not None and period == "night":
        found["lmax_pass"] = highest <= limit + law.constant("night_sudden_over")
    return found


def night_peak(period: Period, lmax: Figure, zone: str = "all", *, law: Standard) -> Result:
    """Limit of an hour's highest level at night and whether it is met; by day there is none. dB(A), inclusive.

    The limit of Leq and 15 dB: sudden noise (GB 3096), occasional noise (GB 12348; frequent noise may exceed by 10 only), building
    sites (GB 12523). What was sudden or occasional nobody tells an instrument: an hour's maximum counts as such.

    >>> from config.reading_standards import standards
    >>> night_peak("night", "65.1", "2", law=standards().named("GB3096"))
    {'limit': Decimal('65'), 'pass': False}
    """
    over = next((law.constant(name) for name in ("night_sudden_over", "night_occasional_over", "night_max_over") if name in law.constants), None)
    if period == "day" or over is None:
        return {"limit": None, "pass": None}
    limit = law.table("boundary" if zone == "all" else "zones").number(zone, period) + over
    return {"limit": limit, "pass": exact(lmax) <= limit}


def gb12348_check(zone: Literal["0", "1", "2", "3", "4"], period: Period, leq_db: Figure, lmax: Figure | None = None,
                  lmax_kind: Literal["frequent", "occasional"] = "occasional", indoor: bool = False, *, law: Standard) -> Result:
    """Limit at a works' boundary, whether Leq meets it, and at night whether the maximum does.

    dB(A), inclusive. Night maxima may exceed the limit by 10 (frequent) or 15 (occasional); measured indoors because the
    boundary is nearer than 1 m, the limit is 10 lower. Source: GB 12348-2008 4.1.1-4.1.5.

    >>> from config.reading_standards import standards
    >>> gb12348_check("2", "day", 50, indoor=True, law=standards().named("GB12348"))
    {'limit': Decimal('50'), 'leq_pass': True}
    """
    limit = law.table("zones").number(zone, period) - (law.constant("indoor_deduction") if indoor else 0)
    found: Result = {"limit": limit, "leq_pass": exact(leq_db) <= limit}
    highest = maybe(lmax)
    if highest is not None and period == "night":
        found["lmax_pass"] = highest <= limit + law.constant(f"night_{lmax_kind}_over")
    return found


def gb12348_room_check(zone: Literal["0", "1", "2-4"], room: Literal["A", "B"], period: Period, leq_db: Figure,
                       octaves_db: Sequence[Figure | None] = (), *, law: Standard) -> Result:
    """Limits in a room for noise that the building carries: of Leq, dB(A), and of the octave bands 31.5, 63, 125, 250, 500 Hz, dB.

    Rooms: A for sleeping, B for daytime. octaves_db in that order, None = not measured. Source: GB 12348-2008 tables 2 and 3.

    >>> from config.reading_standards import standards
    >>> gb12348_room_check("1", "A", "night", "29.9", [70, 51], law=standards().named("GB12348"))
    {'limit': Decimal('30'), 'leq_pass': True, 'octave_pass': [False, True]}
    """
    limit, bands = law.table("structure_leq").number(f"{zone} {room}", period), law.table("structure_octave")
    if len(octaves_db) > len(bands.columns):
        raise ValueError(f"octaves_db has {len(octaves_db)} levels for {len(bands.columns)} bands: {', '.join(bands.columns)} Hz")
    met = [None if level is None else exact(level) <= bands.number(f"{zone} {period} {room}", column)
           for column, level in zip(bands.columns, octaves_db, strict=False)]
    return {"limit": limit, "leq_pass": exact(leq_db) <= limit, "octave_pass": met}


def gb22337_check(zone: Literal["0", "1", "2", "3", "4"], period: Period, leq_db: Figure, indoor: bool = False, *, law: Standard) -> Result:
    """Limit of community noise at a boundary and whether Leq meets it; measured indoors it is 10 lower. dB(A), inclusive.

    Source: GB 22337-2008 table 1.

    >>> from config.reading_standards import standards
    >>> gb22337_check("1", "night", 45, law=standards().named("GB22337"))
    {'limit': Decimal('45'), 'leq_pass': True}
    """
    limit = law.table("zones").number(zone, period) - (law.constant("indoor_deduction") if indoor else 0)
    return {"limit": limit, "leq_pass": exact(leq_db) <= limit}


def gb12523_check(period: Period, leq_db: Figure, lmax: Figure | None = None, indoor: bool = False, *, law: Standard) -> Result:
    """Limit at a building site's boundary, whether Leq meets it, and at night whether the maximum does (limit + 15). dB(A), inclusive.

    Source: GB 12523-2011 4.1-4.3.

    >>> from config.reading_standards import standards
    >>> gb12523_check("night", "55.1", 70, law=standards().named("GB12523"))
    {'limit': Decimal('55'), 'leq_pass': False, 'lmax_pass': True}
    """
    limit = law.table("boundary").number("all", period) - (law.constant("indoor_deduction") if indoor else 0)
    found: Result = {"limit": limit, "leq_pass": exact(leq_db) <= limit}
    highest = maybe(lmax)
    if highest is not None and period == "night":
        found["lmax_pass"] = highest <= limit + law.constant("night_max_over")
    return found


def background_correct(measured: Figure, background: Figure, *, law: Standard) -> Result:
    """A measured level less its background by the standard's table; invalid where they differ by less than 3 dB.

    Above 10 dB nothing is taken off; else the difference is made whole (GB/T 8170) and looked up: 3 → -3, 4 and 5 → -2,
    6 to 10 → -1. Source: GB 12348-2008 5.7, table 4.

    >>> from config.reading_standards import standards
    >>> background_correct(60, 54, law=standards().named("GB12348"))
    {'correction': Decimal('-1'), 'result': Decimal('59'), 'valid': True}
    """
    level = exact(measured)
    difference = level - exact(background)
    if difference > law.constant("background_none_above"):
        return {"correction": Decimal(0), "result": level, "valid": True}
    if difference < law.constant("background_least"):
        return {"correction": None, "result": None, "valid": False}
    table, whole = law.table("background"), rounded(difference, "half-even", 0)
    row = next(name for name in table.rows if table.number(name, "from") <= whole <= table.number(name, "to"))
    correction = table.number(row, "correction")
    return {"correction": correction, "result": level + correction, "valid": True}


def day_night_live(hours: Sequence[float | None], day_from: int = 6, night_from: int = 22) -> Result:
    """Ld, Ln and Ldn of a station's 24 hours from `day_from` on, None = missing: each with three quarters of its hours, Ldn with both.

    A county may set other hours than 06 and 22. The standards say nothing of missing hours: three quarters is our choice.

    >>> found = day_night_live([60.0] * 12 + [None] * 4 + [50.0] * 5 + [None] * 3)
    >>> found["ld"], found["ln"], found["ldn_cn"]
    (60.0, None, None)
    """
    if len(hours) != 24:
        raise ValueError(f"hours has {len(hours)} levels; write the 24 from {day_from:02}:00, null for a missing one")
    if not 0 <= day_from < night_from <= 24:
        raise ValueError(f"day_from {day_from} and night_from {night_from} are not hours of one day, the first before the second")
    length = night_from - day_from
    parts = [[level for level in part if level is not None] for part in (hours[:length], hours[length:])]
    day, night = (leq(part) if part and 4 * len(part) >= 3 * of else None for part, of in zip(parts, (length, 24 - length), strict=True))
    both = None if day is None or night is None else leq([day, night + 10], [length, 24 - length])
    return {"ld": day, "ln": night, "ldn_cn": both}


def hj640_grade(kind: Literal["regional_avg", "road_traffic"], period: Period, l: Figure, *, law: Standard) -> int:  # noqa: E741 - the level's symbol
    """Grade 1 (good) … 5 (poor) of a city's regional average or road-traffic level; upper bounds inclusive (assumed). dB(A).

    Source: HJ 640-2012, second hand.

    >>> from config.reading_standards import standards
    >>> hj640_grade("road_traffic", "day", "68.1", law=standards().named("HJ640"))
    2
    """
    bounds = law.table(kind).rows[period]
    return next((grade for grade, bound in enumerate(bounds, 1) if isinstance(bound, Decimal) and exact(l) <= bound), len(bounds) + 1)


def noise_valid_rate_enough(rate: Figure, *, law: Standard) -> bool:
    """Whether a share of valid data, %, is enough for an hour or a day; the least rate is not verified (M): set it for the site.

    >>> from config.reading_standards import standards
    >>> noise_valid_rate_enough("94.5", law=standards().named("HJ906"))
    True
    """
    return exact(rate) >= law.constant("least_valid_rate")
