"""Means that enter the air indices: exact, with the number of hours that each standard asks for."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from analytics.indices._exact import Figure, Result, maybe
from config.standard import Standard


def _mean(values: Sequence[Decimal]) -> Decimal:
    """The exact mean, to 28 digits: one division at the end."""
    total = sum((Fraction(value) for value in values), Fraction(0)) / len(values)
    return Decimal(total.numerator) / Decimal(total.denominator)


def mean_of_hours(hours: Sequence[Figure | None], least: int) -> Decimal | None:
    """Mean of hourly means, None = missing; None with fewer than `least` of them. China 20 of 24, US and UK 18, India 16, 8 h 6.

    >>> mean_of_hours(["35.1"] * 20 + [None] * 4, 20), mean_of_hours(["35.1"] * 19 + [None] * 5, 20)
    (Decimal('35.1'), None)
    """
    known = [value for value in map(maybe, hours) if value is not None]
    return _mean(known) if known and len(known) >= least else None


def running_means(hours: Sequence[Figure | None], length: int, least: int) -> list[Decimal | None]:
    """Mean of the `length` hours up to and with each hour, None with fewer than `least` of them; the first windows are shorter.

    >>> running_means([1, 2, None, 6], 2, 1)
    [Decimal('1'), Decimal('1.5'), Decimal('2'), Decimal('6')]
    """
    if length < 1:
        raise ValueError(f"length {length} is not a number of hours")
    return [mean_of_hours(hours[max(0, place - length + 1):place + 1], least) for place in range(len(hours))]


def o3_max_8h_cn(hours: Sequence[Figure | None], limit: Figure = 160, *, law: Standard) -> Result:
    """The largest 8 h running mean of ozone of a natural day, how many were valid, and whether the day counts.

    hours : the 24 hourly means of the day, None = missing. An 8 h mean needs 6 hours; the means end at 8:00 … 24:00 (17 of
    them); the day counts with 14 valid ones, or fewer if the maximum exceeds `limit` anyway. Source: GB 3095 3.9 and table 4,
    HJ 663 6.1.2 (second hand; the hours of ending from memory).

    >>> from config.reading_standards import standards
    >>> o3_max_8h_cn([60] * 16 + [100] * 8, law=standards().named("HJ663-2026"))
    {'max_8h': Decimal('100'), 'valid_means': 17, 'valid': True}
    """
    if len(hours) not in (23, 24, 25):  # where the clock changes a day is shorter or longer
        raise ValueError(f"hours has {len(hours)} means; write the 24 of the natural day, null for a missing one")
    first = int(law.constant("o3_8h_first_end"))
    means = [mean for mean in running_means(hours, 8, int(law.constant("o3_8h_hours")))[first - 1:] if mean is not None]
    highest = max(means, default=None)
    exceeds = highest is not None and highest > (maybe(limit) or 0)
    return {"max_8h": highest, "valid_means": len(means), "valid": len(means) >= law.constant("o3_8h_means_a_day") or exceeds}


def o3_max_8h_us(hours_from_7: Sequence[Figure | None]) -> Decimal | None:
    """The largest 8 h mean of ozone of a US day: 17 windows that begin at 7:00 … 23:00 local standard time, each with 6 hours.

    hours_from_7 : the 24 hourly means from 7:00 of the day to 7:00 of the next. Source: EPA-454/B-24-002, frequent questions.

    >>> o3_max_8h_us(["0.050"] * 12 + ["0.070"] * 12)
    Decimal('0.07')
    """
    if len(hours_from_7) != 24:
        raise ValueError(f"hours_from_7 has {len(hours_from_7)} means; write 24, from 7:00 to 7:00 of the next day")
    windows = [mean_of_hours(hours_from_7[begin:begin + 8], 6) for begin in range(17)]
    return max((mean for mean in windows if mean is not None), default=None)
