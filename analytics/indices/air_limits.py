"""Limits for air without an index: GB 3095, the WHO guideline levels, the European limit values."""

from datetime import date
from decimal import Decimal
from typing import Literal

from analytics.indices._exact import Figure, Result, exact, rounded
from config.standard import Standard
from config.standard_tables import Limits


def _row(table: Limits, quantity: str, averaging: str) -> str:
    name = f"{quantity} {averaging}"
    if name not in table.rows:
        known = [row for row in table.rows if row.startswith(f"{quantity} ")] or list(table.rows)
        raise ValueError(f'table {table.name} has no limit for "{name}"; it has: {", ".join(known)}')
    return name


def _decimals(limit: Decimal) -> int:
    """The places to which a value is made whole before it is compared: those of the limit itself."""
    return max(0, -int(limit.as_tuple().exponent))


def gb3095_check(quantity: str, averaging: str, value: Figure, area: Literal[1, 2] = 2, on: date | None = None, *, law: Standard) -> Result:
    """Limit of an air quantity and whether a mean meets it; the value is rounded half to even to the limit's places (CO one) first.

    quantity and averaging as in the table ("pm2_5", "24 h"); area 1 or 2; `on` chooses the step of 2031-01-01.
    Exceeded means greater than the limit. Source: GB 3095 tables 1 and 2.

    >>> from datetime import date
    >>> from config.reading_standards import standards
    >>> law = standards().named("GB3095-2026")
    >>> [gb3095_check("pm10", "annual", "55", on=date(year, 1, 1), law=law)["pass"] for year in (2030, 2031)]
    [True, False]
    """
    table = law.table("ambient", on)
    limit = table.number(_row(table, quantity, averaging), f"class {area}")
    places = max(_decimals(limit), 1 if quantity == "co" else 0)
    return {"limit": limit, "pass": rounded(exact(value), "half-even", places) <= limit}


def who_check(quantity: str, averaging: str, value: Figure, *, law: Standard) -> Result:
    """Whether a mean meets the WHO guideline level, and the strictest interim target it meets (IT1 … IT4, AQG, or none).

    Source: WHO global air quality guidelines 2021.

    >>> from config.reading_standards import standards
    >>> who_check("pm2_5", "annual", "12", law=standards().named("WHO-AQG"))["target"]
    'IT3'
    """
    table = law.table("levels")
    row, measured = _row(table, quantity, averaging), exact(value)
    limit, met = table.number(row, "AQG"), "none"
    for column, cell in zip(table.columns, table.rows[row], strict=True):
        if isinstance(cell, Decimal) and measured <= cell:
            met = column
    return {"limit": limit, "pass": measured <= limit, "target": met}


def eu_check(quantity: str, averaging: str, value: Figure, on: date | None = None, *, law: Standard) -> Result:
    """The European limit value, whether one mean meets it, and how many exceedances a year are allowed.

    `on` chooses the directive (2008/50/EC to 2029, (EU) 2024/2881 from 2030). Several figures of 2024 rest on memory: see its marks.

    >>> from config.reading_standards import standards
    >>> eu_check("pm10", "24 h", "46", law=standards().named("EU-AAQD-2024"))
    {'limit': Decimal('45'), 'pass': False, 'exceedances': Decimal('18')}
    """
    table = law.table("limits", on)
    row = _row(table, quantity, averaging)
    limit = table.number(row, "limit")
    return {"limit": limit, "pass": exact(value) <= limit, "exceedances": table.cell(row, "exceedances")}
