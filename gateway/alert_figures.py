"""The sentence of a figure and its limit, with enough digits to be true; names of what they are."""

from analytics.rules import Transition
from config.site import CLASSES
from config.standard import Standard
from config.units import Limit
from gateway.wiring import Plan, Watch

_MOST_DIGITS = 12


def shown(value: float, limit: float, decimals: int) -> float:
    """A value rounded for people, yet to the same side of the limit as it is.

    >>> shown(1.6183, 1.5, 3), shown(75.04, 75.0, 1), shown(1.00004, 1.0, 3)
    (1.618, 75.04, 1.00004)
    """
    for digits in range(decimals, _MOST_DIGITS):
        found = round(value, digits)
        if (found > limit, found < limit) == (value > limit, value < limit):
            return found
    return value


def compared(value: float, limit: Limit, decimals: int, *, rises: bool, below: bool = False, raised_at: float | None = None) -> str:
    """What a value is to its limit: beyond it, or back. `raised_at` : the limit that was passed when it is not this one.

    >>> from decimal import Decimal
    >>> now = Limit(Decimal(60), "dB(A)")
    >>> compared(61.25, now, 1, rises=True), compared(57.0, now, 1, rises=False)
    ('61.2 > 60 dB(A)', '57.0 back from 60 dB(A)')
    >>> compared(57.0, now, 1, rises=False, raised_at=55.0), compared(54.0, now, 1, rises=False, raised_at=55.0)
    ('57.0 within 60 dB(A), raised at 55 dB(A)', '54.0 back from 55 dB(A)')
    """
    figure = shown(value, limit.value, decimals)
    if rises:
        same = figure == limit.value
        sign = ("≤" if below else "≥") if same else ("<" if below else ">")
        return f"{figure} {sign} {limit}"
    if raised_at is None or raised_at == limit.value:
        return f"{figure} back from {limit}"
    former = f"{raised_at:g}" if limit.unit == "1" else f"{raised_at:g} {limit.unit}"
    is_back = value >= raised_at if below else value <= raised_at
    return f"{shown(value, raised_at, decimals)} back from {former}" if is_back else f"{figure} within {limit}, raised at {former}"


def limit_of(watch: Watch, severity: int) -> Limit:
    """The limit of a severity; of the nearest one where the site file has that no more."""
    return watch.limits[min(watch.limits, key=lambda level: abs(level - severity))]


def mean_judged_s(plan: Plan, watch: Watch, t: Transition) -> float:
    """Seconds of the mean that was judged; 0 where readings come so seldom that each of them was."""
    return watch.rule.mean or 0.0 if plan.watches.window[t.watch] > 0 else 0.0


def source_of(law: Standard) -> str:
    """The standard's number, and whether some of its figures rest on memory."""
    return law.number + (", partly not verified" if "M" in law.marks() else "")


def class_name(number: float) -> str:
    """The name of a class of surface water."""
    return (*CLASSES, "worse than V")[int(number) - 1] if 1 <= number <= len(CLASSES) + 1 else f"{number:g}"


def duration(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
