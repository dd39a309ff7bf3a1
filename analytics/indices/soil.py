"""Soil: risk screening of farmland (GB 15618) and building land (GB 36600), moisture, salinity."""

from collections.abc import Sequence
from decimal import Decimal
from math import sqrt
from typing import Literal

from analytics.indices._exact import Figure, Result, exact
from config.standard import Standard
from config.standard_tables import Limits


def _not_negative(name: str, value: Figure) -> Decimal:
    found = exact(value)
    if found < 0:
        raise ValueError(f"{name} {value} is negative")
    return found


def _ph_band(table: Limits, ph: Decimal) -> str:
    """The column of a pH: each band includes its upper edge."""
    return next((edge for edge in table.columns[:-1] if ph <= Decimal(edge)), table.columns[-1])


def gb15618_assess(metal: str, value: Figure, ph: Figure, land_use: Literal["paddy", "other", "orchard"], *, law: Standard) -> Result:
    """Screening and intervention value of farmland for a metal at a pH, the risk, and value / screening.

    mg/kg, limits inclusive: low, risk_possible (above screening), strict_control (above intervention); copper, nickel and
    zinc have no intervention value. Source: GB 15618-2018 tables 1 and 3.

    >>> from config.reading_standards import standards
    >>> gb15618_assess("cd", "0.35", "6.0", "other", law=standards().named("GB15618"))["result"]
    'risk_possible'
    """
    found, acidity = _not_negative("value", value), exact(ph)
    if not 0 <= acidity <= 14:
        raise ValueError(f"ph {ph} is not a pH from 0 to 14")
    table, upper = law.table(f"screening {land_use}"), law.table("intervention")
    screening = table.number(metal, _ph_band(table, acidity))
    intervention = upper.number(metal, _ph_band(upper, acidity)) if metal in upper.rows else None
    result = "low" if found <= screening else "risk_possible" if intervention is None or found <= intervention else "strict_control"
    return {"screening": screening, "intervention": intervention, "result": result, "index": found / screening}


def gb36600_assess(item: str, value: Figure, land_class: Literal[1, 2], *, law: Standard) -> Result:
    """Screening and intervention value of building land of class 1 or 2 for an item, the finding, and value / screening.

    mg/kg, limits inclusive: low, screening_exceeded, intervention. Source: GB 36600-2018 tables 1 and 2.

    >>> from config.reading_standards import standards
    >>> gb36600_assess("benzene", "3.0", 1, law=standards().named("GB36600"))["result"]
    'screening_exceeded'
    """
    found, table = _not_negative("value", value), law.table("values")
    screening, intervention = table.number(item, f"screening_{land_class}"), table.number(item, f"intervention_{land_class}")
    result = "low" if found <= screening else "screening_exceeded" if found <= intervention else "intervention"
    return {"screening": screening, "intervention": intervention, "result": result, "index": found / screening}


def nemerow(indices: Sequence[float]) -> float:
    """Nemerow's comprehensive index: sqrt((max(P_i)² + mean(P_i)²) / 2), P_i = C_i / S_i. From memory (M).

    >>> nemerow([1.0, 1.0])
    1.0
    """
    if not indices:
        raise ValueError("indices is empty")
    return sqrt((max(indices) ** 2 + (sum(indices) / len(indices)) ** 2) / 2)


def _grade(table: Limits, value: Decimal) -> str:
    """The first row whose upper bound takes the value."""
    for row, (bound,) in table.rows.items():
        if bound is None or (isinstance(bound, Decimal) and value <= bound):
            return row
    raise AssertionError("the last grade has no upper bound")


def nemerow_class(index: Figure, *, law: Standard) -> str:
    """Grade of a Nemerow index: clean, still_clean, light, moderate, heavy; upper bounds inclusive. Source: HJ/T 166-2004, from memory (M).

    >>> from config.reading_standards import standards
    >>> nemerow_class("0.7", law=standards().named("HJT166"))
    'clean'
    """
    return _grade(law.table("grades"), _not_negative("index", index))


def topp(ka: float) -> float:
    """Volumetric water content, m³/m³, of a mineral soil from its apparent permittivity: -0.053 + 0.0292 Ka - 5.5e-4 Ka² + 4.3e-6 Ka³.

    Source: Topp, Davis and Annan 1980 (M).

    >>> round(topp(12.4), 4)
    0.2327
    """
    return -5.3e-2 + 2.92e-2 * ka - 5.5e-4 * ka**2 + 4.3e-6 * ka**3


def topp_inverse(th: float) -> float:
    """Apparent permittivity from volumetric water content: 3.03 + 9.3 th + 146.0 th² - 76.7 th³; its own fit, not the exact inverse.

    >>> round(topp_inverse(0.2), 4)
    10.1164
    """
    return 3.03 + 9.3 * th + 146.0 * th**2 - 76.7 * th**3


def relative_soil_moisture(theta: Figure, field_capacity: Figure, *, law: Standard) -> Result:
    """Relative soil moisture R = 100 theta / field capacity, %, both by mass or both by volume, and its drought grade (not verified, M).

    >>> from config.reading_standards import standards
    >>> relative_soil_moisture("0.18", "0.3", law=standards().named("GBT20481"))
    {'R': Decimal('60.0'), 'grade': 'light'}
    """
    capacity = exact(field_capacity)
    if capacity <= 0:
        raise ValueError(f"field_capacity {field_capacity} is not above 0")
    moisture = 100 * _not_negative("theta", theta) / capacity
    return {"R": moisture, "grade": _grade(law.table("grades"), moisture)}


def salinity_class(ece: Figure, *, law: Standard) -> str:
    """Salinity class of a soil by the conductivity of its saturation extract at 25 °C, dS/m; a class begins at its lower bound.

    >>> from config.reading_standards import standards
    >>> salinity_class("3.9", law=standards().named("ECE-SALINITY"))
    'slightly'
    """
    found, table = _not_negative("ece", ece), law.table("classes")
    return next(row for row in reversed(table.rows) if found >= table.number(row, "from"))
