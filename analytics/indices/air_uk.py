"""The United Kingdom's Daily Air Quality Index."""

from collections.abc import Mapping

from analytics.indices._exact import Figure, Result, Subindex, category_words, worst_band
from config.standard import Standard


def daqi(inputs: Mapping[str, Figure | None], *, law: Standard) -> Result:
    """DAQI 1 … 10: index by pollutant, the largest, who gives it, its band.

    inputs : µg/m³ by pollutant, None = missing: O3 8 h running, NO2 1 h, SO2 15 min, PM 24 h. Source: Defra, thresholds of April 2013.

    >>> from config.reading_standards import standards
    >>> daqi({"PM2.5": "36", "NO2": "70"}, law=standards().named("UK-DAQI"))
    {'sub': {'PM2.5': 4, 'NO2': 2}, 'index': 4, 'main': ['PM2.5'], 'category': 'Moderate'}
    """
    sub, worst = worst_band(inputs, law)
    return {"sub": sub, "index": worst, "main": sorted(name for name, band in sub.items() if band is not None and band == worst),
            "category": category_words(law, Subindex(worst))[1]}
