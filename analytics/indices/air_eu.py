"""The European Air Quality Index: the worst of five pollutants' bands, hour by hour."""

from collections.abc import Mapping

from analytics.indices._exact import Figure, Result, Subindex, category_words, worst_band
from config.standard import Standard


def eaqi(inputs: Mapping[str, Figure | None], *, law: Standard) -> Result:
    """The European index of an hour: level by pollutant, the worst, who gives it, its name.

    inputs : µg/m³ by pollutant, None = missing; 1 h means (before November 2024 PM as 24 h running means).
    Source: European Environment Agency, index of 2017 or of 2024.

    >>> from config.reading_standards import standards
    >>> eaqi({"PM2.5": "16", "NO2": "25", "O3": None}, law=standards().named("EU-EAQI-2024"))["category"]
    'Moderate'
    """
    sub, worst = worst_band(inputs, law)
    return {"sub": sub, "index": worst, "main": sorted(name for name, band in sub.items() if band is not None and band == worst),
            "category": category_words(law, Subindex(worst))[1]}
