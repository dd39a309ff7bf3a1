"""China's air quality index (HJ 633, editions 2012 and 2026), its warning levels, and the validity rules around it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

from analytics.indices._exact import Figure, Result, Subindex, category_words, exact, maybe, rounded, subindex
from config.standard import Standard
from config.standard_tables import Pollutant


def aqi_cn(report: Literal["daily", "realtime"], inputs: Mapping[str, Figure | None], not_monitored: Sequence[str] = (), *, law: Standard) -> Result:
    """AQI with its sub-indices, primary pollutants, level and category; AQI = max(IAQI_1 … IAQI_n).

    inputs : concentration by pollutant, µg/m³ (CO mg/m³), None = missing; `PM2.5` or, with the mean that the report judges,
    `PM2.5_24h`. HJ 633-2012 judges ozone twice, as `O3` (8 h) and `O3_1h`. In 2026 a missing pollutant that is in the
    monitoring plan leaves the AQI unpublished (NA) unless the rest already gives more than 100 (5.3.1). Primary: the
    largest sub-index, ties all, only above 50. Source: HJ 633 4.3, 5.3.

    >>> from config.reading_standards import standards
    >>> law = standards().named("HJ633-2026")
    >>> air = {"SO2": "8", "NO2": "35", "CO": "0.7", "PM10": "88", "O3": "121", "PM2.5": "52"}
    >>> found = aqi_cn("daily", air, law=law)
    >>> found["aqi"], found["category"], found["primary"]
    (84, '良', ['PM2.5'])
    """
    scales = [scale for scale in law.pollutants if report in scale.means]
    known = dict.fromkeys(scale.shown for scale in scales)
    names = {*known, *(_named(scale, report) for scale in scales)}
    for place, given in (("inputs", inputs), ("not_monitored", not_monitored)):
        for name in given:
            if name not in names:
                raise ValueError(f'{place}: "{name}" is not a pollutant of {law.name} ({report}); it has: {", ".join(sorted(names))}')
    iaqi: dict[str, int | None] = {}
    for pollutant in known:
        iaqi.update(_score(law, pollutant, report, [scale for scale in scales if scale.shown == pollutant], inputs))
    scored = {pollutant: iaqi[pollutant] for pollutant in known}
    aqi = _overall(law, list(scored.values()))
    rule = law.completeness.missing_pollutant
    missing = [name for name, index in scored.items() if index is None and name not in not_monitored]
    published = aqi is not None and not (rule is not None and missing and aqi <= rule.publish_only_above)
    level, words = category_words(law, Subindex(aqi if published else None))
    return {"iaqi": iaqi, "aqi": aqi if published else None, "aqi_computed": aqi, "level": level, "category": words,
            "primary": _primary(law, scored) if published else [], "published": "AQI" if published else "NA"}


def _named(scale: Pollutant, report: str) -> str:
    """A pollutant with the mean that a report judges: PM2.5_24h."""
    return f"{scale.shown}_{scale.means[report].replace(' ', '')}"


def _score(law: Standard, pollutant: str, report: str, scales: list[Pollutant], inputs: Mapping[str, Figure | None]) -> dict[str, int | None]:
    rules = law.rounding
    assert rules is not None, "an index standard has rounding rules, or it would not have been read"
    if len(scales) == 1:
        if pollutant in inputs and _named(scales[0], report) in inputs:
            raise ValueError(f'inputs: "{pollutant}" and "{_named(scales[0], report)}" are the same; write one of them')
        return {pollutant: subindex(scales[0], rules, maybe(inputs.get(pollutant, inputs.get(_named(scales[0], report))))).index}
    found: dict[str, int | None] = {}
    for scale in scales:
        key = _named(scale, report)
        written = inputs.get(key)
        if pollutant in inputs and _bare_is(scale.means[report], pollutant, report, inputs):
            if key in inputs:
                raise ValueError(f'inputs: "{pollutant}" and "{key}" are the same; write one of them')
            written = inputs.get(pollutant)
        found[key] = subindex(scale, rules, maybe(written)).index
    scored = [index for index in found.values() if index is not None]
    return {pollutant: max(scored, default=None), **found}


def _bare_is(mean: str, pollutant: str, report: str, inputs: Mapping[str, Figure | None]) -> bool:
    """Which mean a name without one stands for: the 8 h one, or the 1 h one of a real-time report that names no 1 h value."""
    hourly = report == "realtime" and f"{pollutant}_1h" not in inputs
    return mean == ("1 h" if hourly else "8 h")


def _overall(law: Standard, scored: list[int | None]) -> int | None:
    known = [index for index in scored if index is not None]
    if not known:
        return None
    least = law.index.range[0] if law.index else None
    return max(*known, int(least or 0), 0)


def _primary(law: Standard, scored: Mapping[str, int | None]) -> list[str]:
    known = {name: index for name, index in scored.items() if index is not None}
    above = law.index.primary_above if law.index else None
    if not known or (above is not None and max(known.values()) <= above):
        return []
    return sorted(name for name, index in known.items() if index == max(known.values()))


def warning_cn(forecast_daily_aqi: Sequence[int | None], *, law: Standard) -> str | None:
    """The colour of a heavy-pollution warning that a forecast of consecutive daily AQI calls for; None if none.

    A level holds if some run of at least `days` days lies above its threshold and, where the level has a peak, so many
    days of that run lie above the peak. A missing day ends a run. Source: the warning levels of the law's edition.

    >>> from config.reading_standards import standards
    >>> warning_cn([201, 205, 90], law=standards().named("CN-HEAVY-POLLUTION-2024"))
    'orange'
    """
    table = law.table("rules")
    for name in sorted(table.rows, key=lambda row: table.number(row, "level")):
        above, days = table.number(name, "above"), table.number(name, "days")
        peak, peak_days = table.cell(name, "peak_above"), table.cell(name, "peak_days")
        for run in _runs(forecast_daily_aqi, above):
            peaked = not isinstance(peak, Decimal) or not isinstance(peak_days, Decimal) or sum(day > peak for day in run) >= peak_days
            if len(run) >= days and peaked:
                return name.split("_", maxsplit=1)[0]
    return None


def _runs(days: Sequence[int | None], above: Decimal) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for day in days:
        if day is not None and day > above:
            runs[-1].append(day)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def mean_valid(quantity: str, mean: str, count: int, *, law: Standard) -> bool | None:
    """Whether a mean of so many values counts: hourly means of a day, minutes of an hour; None where the standard sets no rule.

    Source: GB 3095 table 4.

    >>> from config.reading_standards import standards
    >>> law = standards().named("GB3095-2026")
    >>> mean_valid("pm2_5", "24 h", 20, law=law), mean_valid("pm2_5", "24 h", 19, law=law)
    (True, False)
    """
    for window in law.completeness.windows:
        if window.mean == mean and (not window.quantities or quantity in window.quantities):
            return count >= window.least
    return None


def o3_day_valid(valid_8h_means: int, daily_max_8h: Figure | None, limit: Figure, *, law: Standard) -> bool:
    """Whether a day's maximum 8 h ozone counts: 14 valid 8 h means, or fewer if the maximum exceeds the limit anyway.

    Source: HJ 663 6.1.2 (second hand).

    >>> from config.reading_standards import standards
    >>> law = standards().named("HJ663-2026")
    >>> o3_day_valid(13, 150, 160, law=law), o3_day_valid(13, 161, 160, law=law), o3_day_valid(14, 90, 160, law=law)
    (False, True, True)
    """
    highest = maybe(daily_max_8h)
    if highest is None:
        return False
    return valid_8h_means >= law.constant("o3_8h_means_a_day") or highest > exact(limit)


def percentile_cn(values: Sequence[Figure], percent: Figure) -> Decimal:
    """The p-th percentile of daily values: k = 1 + (n - 1) p, straight line between the k-th smallest and the next.

    Source: HJ 663-2013 annex A, from memory (M). ValueError if there are no values or p is not within 0..100.

    >>> percentile_cn([10, 20, 30, 40], 50)
    Decimal('25.0')
    """
    ordered = sorted(exact(value) for value in values)
    share = exact(percent) / 100
    if not ordered or not 0 <= share <= 1:
        raise ValueError("percentile_cn needs at least one value and a percent from 0 to 100")
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def below_detection(value: Figure, detection_limit: Figure, zero_drift: Figure) -> Decimal | None:
    """What a value below the detection limit counts as: half the limit; None (invalid) if it is more negative than the zero drift allows.

    Source: practice of automatic monitoring in China (HJ 193, HJ 818), from memory (M); the drift and the limit are the instrument's.

    >>> below_detection("-1.2", "2", "5"), below_detection("-6", "2", "5"), below_detection("3", "2", "5")
    (Decimal('1'), None, Decimal('3'))
    """
    measured, limit = exact(value), exact(detection_limit)
    if measured < -exact(zero_drift):
        return None
    return limit / 2 if measured < limit else measured


def exceeds_cn(value: Figure, limit: Figure, decimals: int = 0) -> bool:
    """Whether a concentration exceeds a limit: it is rounded (GB/T 8170, half to even) first, and exceeding is greater than.

    >>> exceeds_cn("75.5", 75), exceeds_cn("75.4", 75), exceeds_cn("60.5", 60)
    (True, False, False)
    """
    return rounded(exact(value), "half-even", decimals) > exact(limit)
