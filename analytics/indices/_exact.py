"""Exact arithmetic that the standards share: decimals in, fractions inside, the named rounding rule at the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction

from config.standard import Standard
from config.standard_tables import Category, Limits, Pollutant, Rounding, RoundingRules

Figure = Decimal | int | float | str
"""A number as it comes: a decimal string or Decimal is itself; a float stands for its shortest decimal (35.4, not 35.39999…)."""
Result = dict[str, object]
"""Named results, ready for JSON: figures are Decimal, int or str."""

_RULES = {"half-even": ROUND_HALF_EVEN, "half-up": ROUND_HALF_UP, "up": ROUND_CEILING, "down": ROUND_DOWN}


def exact(value: Figure) -> Decimal:
    """The decimal that a number stands for; ValueError for text that is none, for booleans and for infinities and NaN.

    >>> exact(0.1) + exact("0.2")
    Decimal('0.3')
    """
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number")
    try:
        found = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        raise ValueError(f'"{value}" is not a number; write it like "35.4"') from None
    if not found.is_finite():
        raise ValueError(f"{value} is not a number; a missing value is null")
    if found and not (-400 < found.adjusted() < 18 and len(found.as_tuple().digits) <= 28):
        raise ValueError(f"{value!s:.40} is beyond what is measured: write at most 28 digits, below 1E+18")
    return found


def maybe(value: Figure | None) -> Decimal | None:
    """The decimal that a number stands for; None where it is missing (None or NaN).

    >>> maybe(float("nan")), maybe("1.50")
    (None, Decimal('1.50'))
    """
    if value is None or (isinstance(value, float) and value != value):  # NaN is the only value unequal to itself
        return None
    return exact(value)


def rounded(value: Decimal, rule: str, decimals: int) -> Decimal:
    """A value made whole at so many decimals: half-even (GB/T 8170), half-up, up (towards plus infinity), down (cut off), none.

    >>> rounded(Decimal("36.5"), "half-even", 0), rounded(Decimal("9.199"), "down", 1)
    (Decimal('36'), Decimal('9.1'))
    """
    if rule == "none":
        return value
    found = value.quantize(Decimal(1).scaleb(-decimals), rounding=_RULES[rule])
    return found or abs(found)  # no negative zero


def whole(value: Fraction, rule: str) -> int:
    """A fraction made an integer by a named rule, without a division in binary or decimal floating point.

    >>> whole(Fraction(209, 2), "half-up"), whole(Fraction(209, 2), "half-even"), whole(Fraction(201, 4), "up")
    (105, 104, 51)
    """
    below, rest = divmod(value.numerator, value.denominator)
    double = 2 * rest - value.denominator
    if rule == "up":
        return below + (rest > 0)
    if rule == "down":
        return below if value >= 0 else below + (rest > 0)
    if rule == "half-up":
        return below + (double >= 0)
    return below + (double > 0 or (double == 0 and below % 2 == 1))


@dataclass(frozen=True, slots=True)
class Subindex:
    """What one pollutant scores: `index` is None where the standard defines no number; `severe` says that it lies above the table."""

    index: int | None
    exact: Fraction | None = None
    severe: bool = False


NONE = Subindex(None)


def concentration_rounding(scale: Pollutant, rules: RoundingRules) -> Rounding:
    """How this pollutant's concentration is rounded before the interpolation."""
    found = rules.concentration
    return found if scale.decimals is None else found.model_copy(update={"decimals": scale.decimals})


def subindex(scale: Pollutant, rules: RoundingRules, concentration: Decimal | None) -> Subindex:
    """The sub-index of a concentration on one pollutant's scale; none for a missing or (after rounding) negative one.

    I = (I_hi - I_lo) / (C_hi - C_lo) * (C - C_lo) + I_lo, computed as one fraction and then rounded by the standard's rule.
    """
    if concentration is None:
        return NONE
    how = concentration_rounding(scale, rules)
    value = rounded(concentration, how.rule, how.decimals)
    if value < 0:
        return NONE
    if scale.bands:
        return _banded(scale, value)
    rows = scale.segments or tuple((low[0], high[0], low[1], high[1]) for low, high in zip(scale.breakpoints, scale.breakpoints[1:], strict=False))
    if value < rows[0][0]:
        return NONE
    if value > rows[-1][1]:
        return _above(scale, rules, rows[-1], value)
    low, high, index_low, index_high = next(row for row in rows if value <= row[1])
    return _line(low, high, index_low, index_high, max(value, low), rules)


def _line(low: Decimal, high: Decimal, index_low: Decimal, index_high: Decimal, value: Decimal, rules: RoundingRules) -> Subindex:
    found = Fraction(index_high - index_low) * Fraction(value - low) / Fraction(high - low) + Fraction(index_low)
    return Subindex(whole(found, rules.subindex.rule), found)


def _banded(scale: Pollutant, value: Decimal) -> Subindex:
    band = next((number for number, upper in enumerate(scale.bands, 1) if value <= upper), len(scale.bands) + 1)
    return Subindex(band, Fraction(band))


def _above(scale: Pollutant, rules: RoundingRules, top: tuple[Decimal, ...], value: Decimal) -> Subindex:
    if scale.above_top in ("cap", "hold"):
        return Subindex(int(top[3]), Fraction(top[3]))
    if scale.above_top == "extrapolate":
        return _line(top[0], top[1], top[2], top[3], value, rules)
    return Subindex(None, severe=scale.above_top == "severe")


def category(law: Standard, found: Subindex) -> Category | None:
    """The category of a sub-index or index; the worst one for a value above the table; None where there is no index."""
    if found.severe:
        return law.categories[-1]
    if found.index is None:
        return None
    return next((row for row in law.categories if row.range[1] is None or found.index <= row.range[1]), law.categories[-1])


def category_words(law: Standard, found: Subindex) -> tuple[int | None, str | None]:
    """Level and name of the category of an index, in the standard's language."""
    row = category(law, found)
    if row is None:
        return None, None
    return row.level, row.name.zh if law.language == "zh" else row.name.en


def same_mean(one: str, other: str) -> bool:
    """Do two spellings mean the same averaging time? "24 h", "24h" and "24h-running" against "24 h running".

    >>> same_mean("24 h", "24h"), same_mean("8 h", "1h")
    (True, False)
    """
    return one.replace(" ", "").replace("-", "") == other.replace(" ", "").replace("-", "")


def scale_of(law: Standard, pollutant: str, averaging: str, report: str = "") -> Pollutant:
    """The scale of a pollutant ("PM2.5" or "pm2_5") and averaging time; ValueError says what the standard has.

    `report` may name several ("daily+realtime"); one of them must use this mean.
    """
    named = [scale for scale in law.pollutants if pollutant in (scale.shown, scale.quantity)]
    if not named:
        raise ValueError(f'{law.name} has no pollutant "{pollutant}"; it has: {", ".join(dict.fromkeys(s.shown for s in law.pollutants))}')
    reports = [part.split("(")[0].strip() for part in report.split("+")] if report else []
    for scale in named:
        for its_report, mean in scale.means.items():
            if same_mean(mean, averaging) and (not reports or its_report in reports):
                return scale
    known = "; ".join(f"{mean} ({its_report})" for scale in named for its_report, mean in scale.means.items())
    if not averaging:
        raise ValueError(f"{pollutant}: {law.name} needs its averaging time, one of: {known}")
    raise ValueError(f"{law.name} has no {pollutant} {averaging}" + (f" in the report {report}" if report else "") + f"; it has: {known}")


def worst_band(inputs: Mapping[str, Figure | None], law: Standard) -> tuple[dict[str, int | None], int | None]:
    """Band by pollutant and the worst of them, for an index of bands."""
    assert law.rounding is not None, "an index standard has rounding rules, or it would not have been read"
    scales = {scale.shown: scale for scale in law.pollutants}
    unknown = [name for name in inputs if name not in scales]
    if unknown:
        raise ValueError(f'inputs: "{unknown[0]}" is not a pollutant of {law.name}; it has: {", ".join(scales)}')
    sub = {name: subindex(scales[name], law.rounding, maybe(value)).index for name, value in inputs.items()}
    return sub, max((band for band in sub.values() if band is not None), default=None)


def judge(table: Limits, row: str, column: str, value: Figure) -> Result:
    """Limit and whether a value meets it: limits are inclusive; where the table sets none, both are None."""
    cell, found = table.cell(row, column), exact(value)
    if found < 0:
        raise ValueError(f"{value} is negative; what was not detected is written as 0 or half the detection limit")
    if cell is None:
        return {"limit": None, "pass": None}
    if isinstance(cell, tuple):
        return {"limit": list(cell), "pass": cell[0] <= found <= cell[1]}
    if table.row_compare.get(row, table.compare) == "min":
        return {"limit": cell, "pass": found >= cell}
    return {"limit": cell, "pass": found <= cell}
