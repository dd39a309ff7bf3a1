"""India's National Air Quality Index (CPCB 2014)."""

from collections.abc import Mapping

from analytics.indices._exact import Figure, Result, maybe, scale_of, subindex
from config.standard import Standard


def naqi(inputs: Mapping[str, Figure | None], *, law: Standard) -> Result:
    """NAQI: sub-index by input, the largest of them, and whether enough pollutants were there.

    inputs : by POLLUTANT_AVERAGING ("PM2.5_24h" µg/m³, "CO_8h" mg/m³ …), None = missing. At least three pollutants, one of
    them PM2.5 or PM10. A value above the last closed band is Severe: the table defines no number, so there is no overall number.

    >>> from config.reading_standards import standards
    >>> naqi({"PM2.5_24h": "85", "PM10_24h": "140", "NO2_24h": "60"}, law=standards().named("IN-NAQI"))["aqi"]
    183
    """
    assert law.rounding is not None, "an index standard has rounding rules, or it would not have been read"
    found = {}
    for key, value in inputs.items():
        pollutant, _, averaging = key.partition("_")
        found[key] = subindex(scale_of(law, pollutant, averaging), law.rounding, maybe(value))
    measured = {key.partition("_")[0] for key, item in found.items() if item.index is not None or item.severe}
    severe = [key for key, item in found.items() if item.severe]
    needed, one_of = law.completeness.least_pollutants or 0, law.completeness.one_of
    sub = {key: item.index for key, item in found.items()}
    if len(measured) < needed or not measured & set(one_of):
        return {"sub": sub, "aqi": None, "status": f"insufficient data (needs >={needed} pollutants incl. {' or '.join(one_of)})"}
    if severe:
        return {"sub": sub, "aqi": None, "status": f"severe (401-500): {', '.join(severe)} above the last closed band, which has no number"}
    return {"sub": sub, "aqi": max(item.index for item in found.values() if item.index is not None), "status": "ok"}
