"""The US air quality index (40 CFR 58 appendix G, EPA-454/B-24-002) and the NowCasts of particles and ozone."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import cast

import numpy as np

from analytics.indices._exact import NONE, Figure, Result, Subindex, category_words, exact, maybe, rounded, scale_of, subindex
from analytics.indices._nowcast import nowcast_fraction, nowcast_o3_ppb
from config.standard import Standard


def _score(law: Standard, pollutant: str, averaging: str, value: Figure | None) -> Subindex:
    assert law.rounding is not None, "an index standard has rounding rules, or it would not have been read"
    return subindex(scale_of(law, pollutant, averaging), law.rounding, maybe(value))


def _ozone(law: Standard, inputs: Mapping[str, Figure | None]) -> Subindex:
    """The larger of 8 h and 1 h; the 8 h table defines nothing above 0.200 ppm, the 1 h table nothing below 0.125 ppm (note 2)."""
    found = [_score(law, "O3", mean, inputs.get(f"O3_{mean}")) for mean in ("8h", "1h")]
    return max(found, key=lambda item: -1 if item.index is None else item.index)


def _sulphur(law: Standard, inputs: Mapping[str, Figure | None]) -> Subindex:
    """Up to 304 ppb the 1 h table; from 305 ppb the 24 h table, which begins at 305 ppb: below it the index is exactly 200."""
    hourly, daily = maybe(inputs.get("SO2_1h")), maybe(inputs.get("SO2_24h"))
    scale = scale_of(law, "SO2", "1h")
    if hourly is not None and hourly // 1 <= scale.segments[-1][1]:
        return _score(law, "SO2", "1h", hourly)
    found = _score(law, "SO2", "24h", daily)
    if hourly is not None and daily is not None and found.index is None:
        return Subindex(int(scale.segments[-1][3]))
    return found if hourly is not None or found.index is not None else NONE


def aqi_us(inputs: Mapping[str, Figure | None], *, law: Standard) -> Result:
    """US AQI of a day: sub-index by pollutant, the largest of them, the pollutants that give it, the category.

    inputs : by POLLUTANT_AVERAGING ("O3_8h" ppm, "PM2.5_24h" µg/m³, "CO_8h" ppm, "SO2_1h" ppb …), None = missing.
    Concentrations are truncated, the index rounded to the nearest, and extended beyond 500. Source: EPA-454/B-24-002 table 6.

    >>> from config.reading_standards import standards
    >>> aqi_us({"O3_8h": "0.078", "PM2.5_24h": "35.9", "CO_8h": "8.4"}, law=standards().named("US-EPA-AQI-2024"))["aqi"]
    126
    """
    found: dict[str, Subindex] = {}
    for key in inputs:
        pollutant, _, averaging = key.partition("_")
        scale_of(law, pollutant, averaging)
        if pollutant == "O3":
            found[pollutant] = _ozone(law, inputs)
        elif pollutant == "SO2":
            found[pollutant] = _sulphur(law, inputs)
        else:
            found[pollutant] = _score(law, pollutant, averaging, inputs[key])
    known = {name: item.index for name, item in found.items() if item.index is not None}
    aqi = max(known.values(), default=None)
    return {"sub": {name: item.index for name, item in found.items()}, "aqi": aqi,
            "main": sorted(name for name, index in known.items() if index == aqi), "category": category_words(law, Subindex(aqi))[1]}


def _shown(value: Fraction) -> str:
    """A fraction with up to 12 decimals, without trailing zeros."""
    digits = (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal("1e-12"), rounding=ROUND_HALF_EVEN)
    text = format(digits, "f").rstrip("0").rstrip(".")
    return text or "0"


def nowcast_pm(pollutant: str, hours_most_recent_first: Sequence[Figure | None], *, law: Standard) -> Result:
    """The NowCast of PM2.5 or PM10 (µg/m³) from up to 12 hourly means, its AQI and category.

    hours_most_recent_first : µg/m³, None = missing, older hours that are not given are missing.
    The NowCast is truncated like a 24 h mean (PM2.5 0.1, PM10 1). Source: EPA-454/B-24-002 pages 16-17.

    >>> from config.reading_standards import standards
    >>> found = nowcast_pm("PM2.5", ["9.0", "9.1"], law=standards().named("US-EPA-AQI-2024"))
    >>> found["nowcast_exact"], found["nowcast_truncated"], found["aqi"]
    ('1638/181', '9.0', 50)
    """
    scale = scale_of(law, pollutant, "24h")
    found = nowcast_fraction(hours_most_recent_first)
    if found is None:
        return {"valid": False, "weight": None, "nowcast": None, "nowcast_truncated": None, "aqi": None, "category": None}
    weight, value = found
    places = scale.decimals or 0
    units = value.numerator * 10**places // value.denominator if value >= 0 else -(-value.numerator * 10**places // value.denominator)
    cut = Decimal(units).scaleb(-places)
    scored = _score(law, pollutant, "24h", cut)
    return {"valid": True, "weight": _shown(weight), "nowcast": _shown(value), "nowcast_exact": f"{value.numerator}/{value.denominator}",
            "nowcast_truncated": str(cut), "aqi": scored.index, "category": category_words(law, scored)[1]}


def nowcast_o3(hours_most_recent_first: Sequence[Figure | None], *, law: Standard) -> Result:
    """The NowCast of ozone as published: ppb, how it was made, the AQI of it as an 8 h value and the category.

    hours_most_recent_first : 1 h means in ppb, up to 336, None = missing. Made by regression,
    surrogate, zero, none, or the NowCast of an earlier hour.

    >>> from config.reading_standards import standards
    >>> nowcast_o3(["60"], law=standards().named("US-EPA-AQI-2024"))["nowcast_ppb"]
    '55.50'
    """
    newest_first = [maybe(value) for value in hours_most_recent_first]
    value, way = nowcast_o3_ppb(np.array([float("nan") if item is None else float(item) for item in reversed(newest_first)], dtype=np.float64))
    if value != value:
        return {"valid": False, "method": way, "nowcast_ppb": None, "aqi": None, "category": None}
    if way == "surrogate":
        newest = next(item for item in newest_first if item is not None)
        shown = format(rounded(newest * Decimal("0.85") + Decimal("4.5"), "half-even", 2), "f")
    else:
        shown = format(Decimal(repr(value)).quantize(Decimal("1e-10")), "f")
    scored = _score(law, "O3", "8h", Decimal(shown) / 1000)
    return {"valid": True, "method": way, "nowcast_ppb": shown, "aqi": scored.index, "category": category_words(law, scored)[1]}


def aqi_us_now(measured: Mapping[str, Figure | None], pm2_5_hours: Sequence[Figure | None] = (), pm10_hours: Sequence[Figure | None] = (),
               o3_hours_ppb: Sequence[Figure | None] = (), co_8h_ppm: Figure | None = None, no2_1h_ppb: Figure | None = None,
               so2_1h_ppb: Figure | None = None, so2_24h_ppb: Figure | None = None, *, law: Standard) -> Result:
    """The AQI of an hour as AirNow shows it: NowCasts of particles and ozone, the newest means of the gases; the largest, and who gives it.

    measured : the pollutants of the station (values are not read). Hours newest first; ozone above 0.125 ppm in its newest hour
    also by the 1 h table. Which gases AirNow shows hourly is not in the text: their own averaging times are used (our reading).

    >>> from config.reading_standards import standards
    >>> found = aqi_us_now({"PM2.5": None, "NO2": None}, ["9.0", "9.1"], no2_1h_ppb=60, law=standards().named("US-EPA-AQI-2024"))
    >>> found["sub"], found["main"]
    ({'PM2.5': 50, 'NO2': 57}, ['NO2'])
    """
    newest = maybe(o3_hours_ppb[0]) if o3_hours_ppb else None
    by_table = {"CO": ("8h", co_8h_ppm), "NO2": ("1h", no2_1h_ppb)}
    sub: dict[str, int | None] = {}
    for name in measured:
        if name in ("PM2.5", "PM10"):
            found = cast("int | None", nowcast_pm(name, pm2_5_hours if name == "PM2.5" else pm10_hours, law=law)["aqi"])
        elif name == "O3":
            by_hour = None if newest is None else _score(law, "O3", "1h", newest / 1000).index
            now = cast("int | None", nowcast_o3(o3_hours_ppb, law=law)["aqi"])
            found = max((one for one in (by_hour, now) if one is not None), default=None)
        elif name == "SO2":
            found = _sulphur(law, {"SO2_1h": so2_1h_ppb, "SO2_24h": so2_24h_ppb}).index
        else:
            averaging, value = by_table[name]
            found = _score(law, name, averaging, value).index
        sub[name] = found
    known = {name: index for name, index in sub.items() if index is not None}
    aqi = max(known.values(), default=None)
    return {"sub": sub, "aqi": aqi, "main": sorted(name for name, index in known.items() if index == aqi),
            "category": category_words(law, Subindex(aqi))[1]}


def surrogate_o3(o3_1h_ppb: Figure) -> Decimal:
    """The surrogate of the ozone NowCast, 0.85 O3 + 4.5 ppb, used where the regression has too few hours.

    >>> surrogate_o3(75)
    Decimal('68.25')
    """
    return Decimal("0.85") * exact(o3_1h_ppb) + Decimal("4.50")
