"""The Canadian water quality index."""

from collections.abc import Sequence
from fractions import Fraction
from math import sqrt

from analytics.indices._exact import Figure, Result, exact, maybe
from config.standard import Standard

Test = tuple[str, Figure | None, Figure | None, Figure | None]
"""Variable, value, lower and upper objective; a missing value is no test, a missing objective no bound."""


def _excursion(name: str, value: Figure, lower: Figure | None, upper: Figure | None) -> Fraction:
    """By how much a test fails: x / upper - 1, or lower / x - 1; 0 where it passes."""
    found, low, high = Fraction(exact(value)), maybe(lower), maybe(upper)
    if high is not None and found > high:
        if high <= 0:
            raise ValueError(f"{name}: an upper objective of {high} has no excursion; it must be above 0")
        return found / Fraction(high) - 1
    if low is not None and found < low:
        if found <= 0:
            raise ValueError(f"{name}: {value} is below its lower objective {low}, but an excursion from 0 or less has no value")
        return Fraction(low) / found - 1
    return Fraction(0)


def ccme_wqi(tests: Sequence[Test], *, law: Standard) -> Result:
    """CCME WQI = 100 - sqrt(F1² + F2² + F3²) / 1.732, within 0 … 100, and its category.

    F1 = share of variables that ever fail, F2 = share of tests that fail, F3 = nse / (0.01 nse + 0.01) with nse = sum of
    excursions / number of tests. A missing value is not a test. The printed categories are read half-open (95, 80, 65, 45).

    >>> from config.reading_standards import standards
    >>> found = ccme_wqi([("nh3", 2, None, 1), ("nh3", 1, None, 1), ("do", 8, 5, None)], law=standards().named("CCME-WQI"))
    >>> round(found["wqi"], 2), found["category"]
    (62.42, 'Marginal')
    """
    made = [(name, _excursion(name, value, lower, upper)) for name, value, lower, upper in tests if value is not None]
    if not made:
        raise ValueError("tests is empty: without a measured value there is no index")
    failed = [(name, excursion) for name, excursion in made if excursion > 0]
    scope = float(Fraction(100 * len({name for name, _ in failed}), len({name for name, _ in made})))
    frequency = float(Fraction(100 * len(failed), len(made)))
    nse = sum((excursion for _, excursion in failed), Fraction(0)) / len(made)
    amplitude = float(100 * nse / (nse + 1))
    index = min(max(100 - sqrt(scope**2 + frequency**2 + amplitude**2) / 1.732, 0.0), 100.0)
    category = next(row for row in reversed(law.categories) if index >= row.range[0])
    return {"F1": scope, "F2": frequency, "F3": amplitude, "nse": float(nse), "wqi": index, "category": category.name.en}
