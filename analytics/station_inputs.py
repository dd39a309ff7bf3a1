"""The means that enter a standard's function: made of issued hours, valid by the standard's own rule, in the unit that it wants.

A mean that has too few of its hours is None. Hours are kept as binary floats; they are judged as decimals, cut where only
the dust of binary sums lies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from analytics.indices._exact import exact
from analytics.indices.air_means import mean_of_hours, o3_max_8h_cn, running_means
from analytics.indices.air_units import ugm3_to_ppb
from config.conversion import factor
from config.quantity import vocabulary
from config.reading_standards import standards
from config.series import Flag
from config.standard import Standard

_DUST_DIGITS = 6
"""Digits after the point of an hourly mean that count: those beyond are the dust of binary sums, never measured."""
_MINUTES, _THREE_QUARTERS = 60, Fraction(3, 4)
_HOUR_S = 3600
LONGEST_HELD = 24
"""Hours for which a value is held at most, however seldom the next one is due."""
_RATIOS = {"ppb": 1, "ppm": 1000}
_MASSES = {"µg/m³": 1, "mg/m³": 1000}


@dataclass(frozen=True, slots=True)
class Hour:
    """An issued hourly mean as it enters a formula; its value is a number."""

    value: float
    flag: int
    share: float
    held: bool = False
    """It is older: the last one of an analyser that gives a value every few hours."""


Past = Callable[[str, int], Hour | None]
"""The hour of a quantity so many hours back (0 = the last one of the report); None where none was issued or it is MISSING."""


@dataclass(frozen=True, slots=True)
class Mean:
    """What enters a function: one number, or one for each hour. `share` of its time was measured."""

    value: Decimal | list[Decimal | None] | None
    flag: int = Flag.GOOD
    share: float = 0.0
    held: bool = False


ABSENT = Mean(None, Flag.MISSING)


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of a report: the hour or the day that ends at `end_ns` (UTC), of so many hours, in its zone."""

    end_ns: int
    hours: int
    zone: str
    daily: bool


def hours_held(every_s: int) -> int:
    """The hours for which a value stands that comes every so many seconds, its own included.

    >>> hours_held(600), hours_held(4 * 3600), hours_held(5400), hours_held(0)
    (1, 4, 2, 1)
    """
    return max(1, min(LONGEST_HELD, -(-every_s // _HOUR_S)))


def law_at(standard: str, end_ns: int, zone: str) -> Standard | None:
    """The edition for what ends at `end_ns` (UTC ns): that of the last moment it contains; None if there was none yet."""
    try:
        return standards().at(standard, end_ns - 1, zone)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Means:
    """The means of one report. `validity` has the completeness rules; `kelvin` is the state at which gases are converted.

    every_s : how often a quantity is measured, where that is more seldom than each hour; 0 where nobody knows.
    """

    moment: Moment
    past: Past
    validity: Standard | None
    kelvin: Decimal | None = None
    every_s: Mapping[str, int] = field(default_factory=dict)

    def of(self, quantity: str, mean: str, unit: str = "", count: int = 1) -> Mean:
        """A mean as it is declared: "24 h", "hours", "maximum" (see `config.standard_live`), in a unit."""
        if mean == "hours":
            return self._list(quantity, self.moment.hours if self.moment.daily else count, unit)
        length = self.moment.hours if mean in ("maximum", "minimum", "24 h") and self.moment.daily else int(mean.partition(" ")[0])
        if not self.moment.daily:
            return self._converted(self._running(quantity, length), quantity, unit)
        found = {"8 h": self._largest_8h, "1 h": self._largest, "maximum": self._largest, "minimum": self._smallest}.get(mean, self._whole_day)
        return self._converted(found(quantity), quantity, unit)

    def _hours(self, quantity: str, count: int) -> list[Hour | None]:
        """The newest `count` hours, oldest first; those with too few minutes are None."""
        minutes, of = self._least(quantity, "1 h", _MINUTES)
        found = [self.past(quantity, back) for back in range(count - 1, -1, -1)]
        unknown = self.every_s.get(quantity) == 0
        return [self._doubted(hour) if hour is not None and unknown else hour
                for hour in [hour if hour is not None and hour.share * of >= minutes else None for hour in found]]

    @staticmethod
    def _doubted(hour: Hour) -> Hour:
        """Where nobody knows how many readings an hour should have, a single one may be all of it."""
        return replace(hour, flag=max(hour.flag, Flag.SUSPECT))

    def _held(self, quantity: str) -> list[Hour | None]:
        """This hour, or the last one before it whose value still stands."""
        hours = self._hours(quantity, hours_held(self.every_s.get(quantity, 1)))
        known = [(back, hour) for back, hour in enumerate(reversed(hours)) if hour is not None]
        return [replace(known[0][1], held=known[0][0] > 0) if known else None]

    def _needed(self, quantity: str, least: int, length: int) -> int:
        """How many of a mean's hours must be there: fewer where the analyser does not measure in each of them."""
        every = max(self.every_s.get(quantity, 1), _HOUR_S)
        return min(-(-least * _HOUR_S // every), max(1, length * _HOUR_S // every))

    def _least(self, quantity: str, mean: str, otherwise: int) -> tuple[int, int]:
        """So many of so many. Where the standard names other quantities only, theirs hold; where it names none, three quarters."""
        rows = [window for window in self.validity.completeness.windows if window.mean == mean] if self.validity else []
        own = next((row for row in rows if quantity in row.quantities), None) or next(iter(rows), None)
        if own is None:
            return int(-(-otherwise * _THREE_QUARTERS // 1)), otherwise
        return own.least, own.of or own.least

    def _running(self, quantity: str, length: int) -> Mean:
        if length == 1:
            hours = self._held(quantity)
            return _mean(hours, _figure(hours[0]))
        hours = self._hours(quantity, length)
        least, _ = self._least(quantity, f"{length} h", length)
        return self._mean(quantity, hours, mean_of_hours([_figure(hour) for hour in hours], self._needed(quantity, least, length)))

    def _mean(self, quantity: str, hours: list[Hour | None], value: Decimal | None) -> Mean:
        """The mean with the share of what its hours should have been."""
        found = _mean(hours, value)
        return replace(found, share=min(1.0, found.share * max(self.every_s.get(quantity, 1), _HOUR_S) / _HOUR_S))

    def _whole_day(self, quantity: str) -> Mean:
        least, _ = self._least(quantity, "24 h", 24)
        hours = self._hours(quantity, self.moment.hours)
        return self._mean(quantity, hours, mean_of_hours([_figure(hour) for hour in hours], self._needed(quantity, least, len(hours))))

    def _extreme(self, quantity: str, *, largest: bool) -> Mean:
        """Of a day's hours; with as many of them as its mean needs."""
        least, _ = self._least(quantity, "24 h", 24)
        hours = self._hours(quantity, self.moment.hours)
        known = [figure for hour in hours if (figure := _figure(hour)) is not None]
        enough = len(known) >= self._needed(quantity, least, len(hours))
        return self._mean(quantity, hours, (max(known) if largest else min(known)) if enough else None)

    def _largest(self, quantity: str) -> Mean:
        return self._extreme(quantity, largest=True)

    def _smallest(self, quantity: str) -> Mean:
        return self._extreme(quantity, largest=False)

    def _largest_8h(self, quantity: str) -> Mean:
        """The largest 8 h mean of a day: in China of those within it (HJ 663), elsewhere of those that end in it, with three quarters of them."""
        hours = self._hours(quantity, self.moment.hours)
        if self.validity is not None and self.validity.jurisdiction == "CN":
            law = law_at("HJ663", self.moment.end_ns, self.moment.zone)
            found = o3_max_8h_cn([_figure(hour) for hour in hours], law=law) if law else {"valid": False}
            highest = found["max_8h"] if found["valid"] else None
            return _mean(hours, highest if isinstance(highest, Decimal) else None)
        least, _ = self._least(quantity, "8 h", 8)
        before = self._hours(quantity, self.moment.hours + 7)
        means = [one for one in running_means([_figure(hour) for hour in before], 8, least)[7:] if one is not None]
        return _mean(hours, max(means) if means and len(means) >= _THREE_QUARTERS * self.moment.hours else None)

    def _list(self, quantity: str, count: int, unit: str) -> Mean:
        hours = self._hours(quantity, count)
        values = [self._converted(Mean(_figure(hour)), quantity, unit).value for hour in (hours if self.moment.daily else reversed(hours))]
        figures = [value if isinstance(value, Decimal) else None for value in values]
        whole = _mean(hours, Decimal(0) if any(value is not None for value in figures) else None)
        return Mean(figures, whole.flag, whole.share) if whole.value is not None else ABSENT

    def _converted(self, mean: Mean, quantity: str, unit: str) -> Mean:
        own = vocabulary()[quantity].unit
        if not unit or unit == own or not isinstance(mean.value, Decimal):
            return mean
        return replace(mean, value=in_unit(quantity, mean.value, own, unit, self.kelvin))


def in_unit(quantity: str, value: Decimal, own: str, unit: str, kelvin: Decimal | None) -> Decimal:
    """A value of a quantity in another unit; from mass to ratio at the standard's own temperature and 101325 Pa.

    >>> round(in_unit("o3", Decimal(100), "µg/m³", "ppm", Decimal("298.15")), 4), in_unit("air_pressure", Decimal(1013), "hPa", "kPa", None)
    (Decimal('0.0510'), Decimal('101.3'))
    """
    if unit in _RATIOS and own in _MASSES and kelvin is not None:
        return ugm3_to_ppb(quantity, value * _MASSES[own], kelvin) / _RATIOS[unit]
    size = factor(own, unit)
    if size is None:
        raise ValueError(f"{quantity} is in {own}, which cannot become {unit}")
    return value * size.numerator / size.denominator


def _figure(hour: Hour | None) -> Decimal | None:
    return None if hour is None else exact(round(hour.value, _DUST_DIGITS))


def _mean(hours: list[Hour | None], value: Decimal | None) -> Mean:
    known = [hour for hour in hours if hour is not None]
    if value is None or not known:
        return ABSENT
    suspect = any(hour.flag == Flag.SUSPECT for hour in known)
    return Mean(value, Flag.SUSPECT if suspect else Flag.GOOD, sum(hour.share for hour in known) / len(hours), any(hour.held for hour in known))
