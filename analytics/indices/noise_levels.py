"""Sound levels: energy means, percentiles, day-night levels, frequency and time weightings. All in dB."""

from collections.abc import Sequence
from math import exp, log10, sqrt
from math import log as natural_log
from typing import Literal

from analytics.indices._exact import Figure, Result, exact
from config.standard import Standard

_F1, _F2, _F3, _F4 = 20.60, 107.7, 737.9, 12194.0
"""Poles of the weightings A and C, Hz (IEC 61672-1)."""


def _checked(levels: Sequence[float]) -> Sequence[float]:
    if not levels:
        raise ValueError("levels is empty: there is no level of nothing")
    return levels


def level_sum(levels: Sequence[float]) -> float:
    """Level of sources together: 10 lg sum(10^(L_i / 10)).

    >>> round(level_sum([60.0, 60.0]), 3)
    63.01
    """
    top = max(_checked(levels))
    return top + 10 * log10(sum(10 ** ((level - top) / 10) for level in levels))


def leq(levels: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Equivalent continuous level: 10 lg (sum(w_i 10^(L_i / 10)) / sum w_i); weights are durations, equal if left out.

    Source: GB 12348-2008 3.3.

    >>> round(leq([60.0, 70.0], [50, 10]), 3)
    63.979
    """
    top = max(_checked(levels))
    shares = [1.0] * len(levels) if weights is None else weights
    total = sum(shares)
    if len(shares) != len(levels) or min(shares) < 0 or not total > 0:
        raise ValueError("weights are durations: one for each level, none negative, not all 0")
    energy = sum(share * 10 ** ((level - top) / 10) for level, share in zip(levels, shares, strict=True))
    if energy <= 0:
        return leq([level for level, share in zip(levels, shares, strict=True) if share > 0])
    return top + 10 * log10(energy / total)


def level_sd(levels: Sequence[float]) -> float | None:
    """Standard deviation of levels (n - 1); None for a single one. The convention is from memory (M).

    >>> level_sd([50.0, 52.0])
    1.4142135623730951
    """
    count = len(_checked(levels))
    if count == 1:
        return None
    mean = sum(levels) / count
    return sqrt(sum((level - mean) ** 2 for level in levels) / (count - 1))


def ln_level(levels: Sequence[float], n: float) -> float:
    """Level exceeded n % of the time: the (100 - n)-th percentile, straight line at (N - 1)(100 - n) / 100. L90 is the background.

    The interpolation is our choice.

    >>> ln_level([40.0, 50.0, 60.0], 50), ln_level([40.0, 50.0, 60.0], 10)
    (50.0, 58.0)
    """
    if not 0 <= n <= 100:
        raise ValueError(f"n {n} % is not a share from 0 to 100")
    ordered = sorted(_checked(levels))
    place = (len(ordered) - 1) * (100 - n) / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _hours(h: Sequence[float]) -> Sequence[float]:
    if len(h) != 24:
        raise ValueError(f"h has {len(h)} levels; write 24, h[0] from 00:00 to 01:00 local time")
    return h


def day_night_cn(h: Sequence[float]) -> Result:
    """Ld (06 … 22), Ln (22 … 06), Ldn and 24 h level of 24 hourly levels; h[0] is 00:00 to 01:00.

    Ldn = 10 lg [(16 · 10^(Ld / 10) + 8 · 10^((Ln + 10) / 10)) / 24]. The night of a day as it is reported: 22 … 24 of one
    date belong with 00 … 06 of the next, so give hours of one night. Source: GB 22337-2008 3.8 (hours).

    >>> day_night_cn([50.0] * 24)["leq24"]
    50.0
    """
    day, night = leq(_hours(h)[6:22]), leq([*h[22:], *h[:6]])
    return {"ld": day, "ln": night, "ldn_cn": leq([day, night + 10], [16, 8]), "leq24": leq(h)}


def _spread(law: Standard, name: str) -> int:
    return int(law.constant(name))


def ldn_us(h: Sequence[float], *, law: Standard) -> float:
    """Day-night level of 24 hourly levels: nights (22 … 07) count 10 dB more. Source: US EPA 1974, from memory (M).

    >>> from config.reading_standards import standards
    >>> round(ldn_us([60.0] * 24, law=standards().named("US-LDN")), 2)
    66.41
    """
    day, night = _spread(law, "day_from"), _spread(law, "night_from")
    penalty = float(law.constant("night_penalty"))
    return leq([level + (0 if day <= hour < night else penalty) for hour, level in enumerate(_hours(h))])


def lden_eu(h: Sequence[float], *, law: Standard) -> float:
    """Day-evening-night level: evenings (19 … 23) count 5 dB more, nights (23 … 07) 10 dB. Source: 2002/49/EC annex I, from memory (M).

    >>> from config.reading_standards import standards
    >>> round(lden_eu([60.0] * 24, law=standards().named("EU-END")), 2)
    66.4
    """
    day, evening, night = (_spread(law, name) for name in ("day_from", "evening_from", "night_from"))
    penalties = (float(law.constant("evening_penalty")), float(law.constant("night_penalty")))
    added = [0.0 if day <= hour < evening else penalties[0] if evening <= hour < night else penalties[1] for hour in range(24)]
    return leq([level + extra for level, extra in zip(_hours(h), added, strict=True)])


def _parts(hours: Sequence[float | None], lengths: Sequence[int]) -> list[float | None]:
    """Levels of the parts of a day that follow each other, the last one to its end; None for one without three quarters of its hours."""
    found, begin = [], 0
    for number, length in enumerate(lengths):
        part = hours[begin:] if number == len(lengths) - 1 else hours[begin : begin + length]
        known = [level for level in part if level is not None]
        found.append(leq(known) if 4 * len(known) >= 3 * len(part) and known else None)
        begin += length
    return found


def ldn_us_live(hours: Sequence[float | None], *, law: Standard) -> Result:
    """`ldn_us` of a station's day from 07:00, None = missing, with the levels of its day and its night. Night is the end of the list.

    A night in which the clock changes has an hour more or less. Three quarters of the hours of each are our choice.

    >>> from config.reading_standards import standards
    >>> round(ldn_us_live([60.0] * 14 + [None] * 3 + [60.0] * 7, law=standards().named("US-LDN"))["ldn"], 2)
    66.41
    """
    length = _spread(law, "night_from") - _spread(law, "day_from")
    day, night = _parts(hours, (length, 24 - length))
    both = None if day is None or night is None else leq([day, night + float(law.constant("night_penalty"))], [length, 24 - length])
    return {"day": day, "night": night, "ldn": both}


def lden_eu_live(hours: Sequence[float | None], *, law: Standard) -> Result:
    """`lden_eu` of a station's day from 07:00, None = missing, with the levels of its day, evening and night. As `ldn_us_live`.

    >>> from config.reading_standards import standards
    >>> round(lden_eu_live([60.0] * 24, law=standards().named("EU-END"))["lden"], 2)
    66.4
    """
    begin, evening_from, night_from = (_spread(law, name) for name in ("day_from", "evening_from", "night_from"))
    lengths = (evening_from - begin, night_from - evening_from, 24 - (night_from - begin))
    day, evening, night = _parts(hours, lengths)
    whole = None
    if day is not None and evening is not None and night is not None:
        whole = leq([day, evening + float(law.constant("evening_penalty")), night + float(law.constant("night_penalty"))], lengths)
    return {"day": day, "evening": evening, "night": night, "lden": whole}


def a_weight(f: float) -> float:
    """Weighting A at a frequency, Hz: 20 lg [f4² f⁴ / ((f² + f1²) sqrt((f² + f2²)(f² + f3²)) (f² + f4²))] + 2.000. Source: IEC 61672-1 E.6.

    >>> round(a_weight(1000.0), 2), round(a_weight(10.0), 1)
    (0.0, -70.4)
    """
    if f <= 0:
        raise ValueError(f"f {f} Hz is not a frequency above 0")
    s = f * f
    return 20 * log10(_F4**2 * s * s / ((s + _F1**2) * sqrt((s + _F2**2) * (s + _F3**2)) * (s + _F4**2))) + 2.000


def c_weight(f: float) -> float:
    """Weighting C at a frequency, Hz: 20 lg [f4² f² / ((f² + f1²)(f² + f4²))] + 0.062. Source: IEC 61672-1 E.1.

    >>> round(c_weight(10.0), 1)
    -14.3
    """
    if f <= 0:
        raise ValueError(f"f {f} Hz is not a frequency above 0")
    s = f * f
    return 20 * log10(_F4**2 * s / ((s + _F1**2) * (s + _F4**2))) + 0.062


def exact_third_octave(n: int) -> Result:
    """Centre and edges, Hz, of the third-octave band n (0 is 1 kHz): 1000 · 10^(n / 10), edges · 10^(±1 / 20). Source: IEC 61260-1, base 10.

    >>> exact_third_octave(-10)["centre"]
    100.0
    """
    centre = 1000 * 10 ** (n / 10)
    return {"centre": centre, "lower": centre * 10 ** (-1 / 20), "upper": centre * 10 ** (1 / 20)}


def laeq_from_bands(centres: Sequence[float], levels: Sequence[float]) -> float:
    """A-weighted level of band levels: energy sum of L_i + A(f_i), f_i the exact centres in Hz.

    >>> round(laeq_from_bands([1000.0], [60.0]), 2)
    60.0
    """
    return level_sum([level + a_weight(centre) for centre, level in zip(centres, levels, strict=True)])


def time_weight_decay_db(tau: float, t: float) -> float:
    """Change after t seconds of silence of a time-weighted level: -10 t / (tau ln 10); tau 0.125 s (F), 1 s (S).

    >>> round(time_weight_decay_db(0.125, 1.0), 2)
    -34.74
    """
    if tau <= 0:
        raise ValueError(f"tau {tau} s is not a time constant above 0")
    return -10 * t / (tau * natural_log(10))


def time_weight_burst_db(tau: float, T: float) -> float:  # noqa: N803 - the source's symbol
    """Highest time-weighted level of a burst of T seconds against the steady one: 10 lg (1 - e^(-T / tau)).

    >>> round(time_weight_burst_db(0.125, 0.2), 2)
    -0.98
    """
    if tau <= 0 or T <= 0:
        raise ValueError("tau and T are times above 0 s")
    return 10 * log10(1 - exp(-T / tau))


def valid_rate(n: int, total: int) -> float:
    """Share of valid data, %: 100 n / N. Source: HJ 906-2017 3.1.

    >>> valid_rate(3402, 3600)
    94.5
    """
    if total <= 0 or not 0 <= n <= total:
        raise ValueError(f"{n} of {total} is not a share")
    return 100 * n / total


def weighting_table_error(weighting: Literal["A", "C"] = "A", *, law: Standard) -> float:
    """Largest difference, dB, between our weighting at the exact frequencies and the printed table (rounded to 0.1 dB).

    >>> from config.reading_standards import standards
    >>> weighting_table_error("C", law=standards().named("IEC61672")) < 0.05
    True
    """
    table = law.table("weightings")
    weigh = a_weight if weighting == "A" else c_weight
    return max(abs(weigh(1000 * 10 ** ((place - 20) / 10)) - float(table.number(row, weighting))) for place, row in enumerate(table.rows))


def hour_span(levels: Sequence[Figure], minutes: Sequence[int]) -> float:
    """Leq of parts of an hour weighted by their valid minutes.

    >>> round(hour_span([60, 70], [50, 10]), 3)
    63.979
    """
    return leq([float(exact(level)) for level in levels], [float(part) for part in minutes])
