"""Canada's Air Quality Health Index."""

from decimal import Decimal, localcontext

from analytics.indices._exact import Figure, Result, Subindex, category_words, exact, rounded
from config.standard import Standard


def aqhi_exact(o3_ppb: Figure, no2_ppb: Figure, pm2_5_ugm3: Figure, *, law: Standard) -> Decimal:
    """AQHI before rounding, to 28 digits: 10/10.4 * 100 * ((e^(0.000537 O3) - 1) + (e^(0.000871 NO2) - 1) + (e^(0.000487 PM2.5) - 1)).

    3 h means; ppb, ppb, µg/m³. Source: Stieb et al. 2008.

    >>> from config.reading_standards import standards
    >>> round(aqhi_exact(5, 2, 3, law=standards().named("CA-AQHI")), 6)
    Decimal('0.566749')
    """
    with localcontext() as context:
        context.prec = 40
        parts = ((law.constant("o3"), exact(o3_ppb)), (law.constant("no2"), exact(no2_ppb)), (law.constant("pm2_5"), exact(pm2_5_ugm3)))
        total = 1000 * sum((slope * value).exp() - 1 for slope, value in parts) / law.constant("scale")
        context.prec = 28
        return +total


def aqhi(o3_ppb: Figure, no2_ppb: Figure, pm2_5_ugm3: Figure, *, law: Standard) -> Result:
    """AQHI rounded to the nearest, at least 1, with its risk; above 10 it is shown as 10+. Inputs as in `aqhi_exact`.

    >>> from config.reading_standards import standards
    >>> aqhi(60, 80, 10, law=standards().named("CA-AQHI"))["shown"]
    '10+'
    """
    if min(exact(o3_ppb), exact(no2_ppb), exact(pm2_5_ugm3)) < 0:
        return {"index": None, "level": None, "category": None, "shown": None}
    value = rounded(aqhi_exact(o3_ppb, no2_ppb, pm2_5_ugm3, law=law), "half-up", 0)
    index = int(max(value, law.constant("least")))
    level, name = category_words(law, Subindex(index))
    return {"index": index, "level": level, "category": name, "shown": "10+" if index > 10 else str(index)}
