"""What a standard says of a station's hour: the exact functions of `analytics/indices`, fed with issued hourly means.

A number that the standard does not define, or that it forbids to publish because something is missing, is None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, cast

from analytics.indices._exact import exact
from analytics.indices.air_cn import aqi_cn
from analytics.indices.air_means import mean_of_hours
from analytics.indices.water_surface import NOT_AMONG_THE_21, WORSE_THAN_V, gb3838_class, measured, surface_water_assess
from config.live_standards import LIVE
from config.reading_standards import standards
from config.series import Flag
from config.standard import Standard
from config.standard_tables import Category, Pollutant

_ALSO_OF_PARTICLES = "so2"
_DUST_DIGITS = 6
"""Digits after the point of an hourly mean that count: those beyond are the dust of binary sums, never measured."""


@dataclass(frozen=True, slots=True)
class Hour:
    """An issued hourly mean as it enters a formula; its value is a number."""

    value: float
    flag: int
    share: float


Past = Callable[[str, int], Hour | None]
"""The hour of a quantity so many hours back (0 = the one that is judged); None where none was issued or it is MISSING."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One number of a standard. `flag` is the worst of the hours that it rests on, `share` their smallest."""

    value: int | None
    flag: int = Flag.MISSING
    share: float = 0.0


NOTHING = Judged(None)


@dataclass(frozen=True, slots=True)
class About:
    """What a formula must know of the station; `items` are the quantities that it measures."""

    standard: str
    zone: str
    water_body: Literal["river", "lake"]
    items: tuple[str, ...]


def law_at(standard: str, end_ns: int, zone: str) -> Standard | None:
    """The edition for the hour that ends at `end_ns` (UTC ns): that of the last moment it contains; None if there was none yet."""
    try:
        return standards().at(standard, end_ns - 1, zone)
    except ValueError:
        return None


def hours_needed(about: About, end_ns: int) -> int:
    """How many hours, this one included, the number of an hour rests on.

    >>> from datetime import UTC, datetime
    >>> ends = [int(datetime(2026, 2, 28, hour, tzinfo=UTC).timestamp()) * 10**9 for hour in (16, 17)]
    >>> [hours_needed(About("HJ633", "Asia/Shanghai", "river", ("pm2_5",)), end) for end in ends]
    [24, 1]
    """
    law = law_at(about.standard, end_ns, about.zone)
    if law is None or about.standard != "HJ633":
        return 1
    return max((_length(scale) for scale in _scales(law, about)), default=1)


def judge(about: About, end_ns: int, past: Past) -> dict[str, Judged]:
    """The station's number under "", and one for each of its items; for the hour that ends at `end_ns` (UTC ns).

    >>> about = About("GB3838", "Asia/Shanghai", "river", ("ammonia_nitrogen", "cod"))
    >>> hours = {"ammonia_nitrogen": Hour(0.4, 1, 1.0), "cod": Hour(31.0, 1, 0.9)}
    >>> judge(about, 1795262400 * 10**9, lambda quantity, back: hours.get(quantity))[""].value
    5
    """
    law = law_at(about.standard, end_ns, about.zone)
    if law is None:
        return dict.fromkeys(("", *about.items), NOTHING)
    return _air(about, law, end_ns, past) if about.standard == "HJ633" else _water(about, law, past)


def category(standard: str, value: float, end_ns: int, zone: str) -> Category | None:
    """Name and colour of a number of a standard; None where there is none."""
    law = law_at("MEE22" if standard == "GB3838" else standard, end_ns, zone)
    if law is None or value != value:  # NaN is the only value unequal to itself
        return None
    return next((row for row in law.categories if row.range[1] is None or value <= row.range[1]), None)


def _figure(hour: Hour) -> Decimal:
    return exact(round(hour.value, _DUST_DIGITS))


def _rests_on(value: int | None, hours: list[Hour]) -> Judged:
    if value is None or not hours:
        return NOTHING
    suspect = any(hour.flag == Flag.SUSPECT for hour in hours)
    return Judged(value, Flag.SUSPECT if suspect else Flag.GOOD, min(hour.share for hour in hours))


# ── air ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _scales(law: Standard, about: About) -> list[Pollutant]:
    return [scale for scale in law.pollutants if "realtime" in scale.means and scale.quantity in about.items]


def _length(scale: Pollutant) -> int:
    """Hours of the mean that enters the real-time report."""
    return int(scale.means["realtime"].partition(" ")[0])


def _least(validity: Standard, quantity: str, mean: str) -> tuple[int, int]:
    """So many of so many: hours of a mean, minutes of an hour. GB 3095 table 4 says nothing of an hour of particles: as for gases."""
    rows = [window for window in validity.completeness.windows if window.mean == mean]
    own = next((row for row in rows if quantity in row.quantities), None)
    found = own or next(row for row in rows if _ALSO_OF_PARTICLES in row.quantities)
    return found.least, found.of or found.least


def _air(about: About, law: Standard, end_ns: int, past: Past) -> dict[str, Judged]:
    """HJ 633, real-time report. A pollutant that the station does not measure is not monitored; one that is missing makes it NA."""
    validity = law_at("GB3095", end_ns, about.zone)
    if validity is None:
        return dict.fromkeys(("", *about.items), NOTHING)
    names = LIVE["HJ633"].items
    inputs: dict[str, Decimal | None] = {}
    used: dict[str, list[Hour]] = {quantity: [] for quantity in about.items}
    scales = _scales(law, about)
    for scale in scales:
        value, hours = _mean(scale, validity, past)
        twice = sum(other.quantity == scale.quantity for other in scales) > 1
        inputs[f"{scale.shown}_{scale.means['realtime'].replace(' ', '')}" if twice else scale.shown] = value
        used[scale.quantity] += hours if value is not None else []
    not_monitored = [name for quantity, name in names.items() if quantity not in about.items]
    found = aqi_cn("realtime", inputs, not_monitored, law=law)
    scored = cast("dict[str, int | None]", found["iaqi"])
    judged = {quantity: _rests_on(scored[names[quantity]], hours) for quantity, hours in used.items()}
    rests_on = [hour for quantity, hours in used.items() if judged[quantity].value is not None for hour in hours]
    return {"": _rests_on(cast("int | None", found["aqi"]), rests_on), **judged}


def _mean(scale: Pollutant, validity: Standard, past: Past) -> tuple[Decimal | None, list[Hour]]:
    """The mean that a scale asks for, None if too little of it is there, and the hours it rests on."""
    minutes, of = _least(validity, scale.quantity, "1 h")
    hours = [past(scale.quantity, back) for back in range(_length(scale))]
    valid = [hour for hour in hours if hour is not None and hour.share * of >= minutes]
    if len(hours) == 1:
        return (_figure(valid[0]) if valid else None), valid
    least, _ = _least(validity, scale.quantity, scale.means["realtime"])
    return mean_of_hours([_figure(hour) for hour in valid], least), valid


# ── water ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _water(about: About, law: Standard, past: Past) -> dict[str, Judged]:
    """GB 3838, class of an hour. A missing item could be worse than the others: then there is no overall class, unless it is the worst already.

    A negative mean, below what the instrument can tell from zero by an unknown amount, counts as missing.
    """
    names = LIVE["GB3838"].items
    hours = {quantity: hour for quantity in about.items if (hour := past(quantity, 0)) is not None and _figure(hour) >= 0}
    beside = past("oxygen_saturation", 0)
    saturation = _figure(beside) if beside is not None and beside.value >= 0 and beside.flag != Flag.SUSPECT else None
    judged = dict.fromkeys(about.items, NOTHING)
    for quantity, hour in hours.items():
        helps = saturation if quantity == "dissolved_oxygen" else None
        judged[quantity] = _rests_on(gb3838_class(names[quantity], _figure(hour), about.water_body, helps, law=law), [hour])
    counting = [quantity for quantity in about.items if names[quantity] not in NOT_AMONG_THE_21]
    values = {names[quantity]: measured(_figure(hours[quantity])) for quantity in counting if quantity in hours}
    if not values:
        return {"": NOTHING, **judged}
    worst = cast("int", surface_water_assess(values, about.water_body, saturation, law=law)["class"])
    whole = worst == WORSE_THAN_V or all(quantity in hours for quantity in counting)
    return {"": _rests_on(worst if whole else None, [hours[quantity] for quantity in counting if quantity in hours]), **judged}
