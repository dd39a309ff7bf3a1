"""Discharges and drinking water: GB 8978-1996, GB 18918-2002, GB 5749-2022, the turbidity rule of 40 CFR 141."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from analytics.indices._exact import Figure, Result, exact, judge
from config.standard import Standard


def gb18918_check(param: str, value: Figure, grade: Literal["1A", "1B", "2", "3"], temp_c: Figure | None = None, built_from_2006: bool = True, *,
                  law: Standard) -> Result:
    """Limit of a municipal treatment plant's daily mean and whether it is met; None where the grade sets none.

    mg/L. Ammonia depends on the water temperature (the bracket holds up to 12 °C), total phosphorus on when the plant was
    built. Source: GB 18918-2002 table 1, footnote 2.

    >>> from config.reading_standards import standards
    >>> gb18918_check("nh3n", "6.5", "1A", "12.1", law=standards().named("GB18918"))
    {'limit': Decimal('5'), 'pass': False}
    """
    row = param
    if param == "nh3n":
        if temp_c is None:
            raise ValueError("temp_c: the limit of ammonia depends on the water temperature; give it in °C")
        row = "nh3n_temp_gt12" if exact(temp_c) > 12 else "nh3n_temp_le12"
    elif param == "tp":
        row = "tp_built_from_2006" if built_from_2006 else "tp_built_before_2006"
    elif param == "fc":
        row = "fc_per_L"
    return judge(law.table("basic"), row, grade, value)


def gb8978_check(param: str, value: Figure, grade: Literal[1, 2, 3],
                 sector: Literal["others", "urban_2nd_stage_wwtp", "petrochemical", "pharma_dye_petrochemical", "before_1998"] = "others", *,
                 law: Standard) -> Result:
    """Limit of a discharge of grade 1 … 3 and whether it is met; None where the grade sets none. mg/L.

    Some sectors have their own limits for some items. Source: GB 8978-1996 table 4 (built from 1998) and table 2 (before).

    >>> from config.reading_standards import standards
    >>> gb8978_check("phosphate_p", "0.51", 1, law=standards().named("GB8978"))
    {'limit': Decimal('0.5'), 'pass': False}
    """
    table = law.table(sector)
    return judge(table if param in table.rows else law.table("others"), param, str(grade), value)


def gb8978_first_class_check(param: str, value: Figure, *, law: Standard) -> Result:
    """Limit of a first-class pollutant at the workshop's outlet (not the site's) and whether it is met. mg/L, activity Bq/L.

    Source: GB 8978-1996 table 1.

    >>> from config.reading_standards import standards
    >>> gb8978_first_class_check("cd", "0.1", law=standards().named("GB8978"))
    {'limit': Decimal('0.1'), 'pass': True}
    """
    return judge(law.table("first_class"), param, "limit", value)


def gb5749_check(param: str, value: Figure, *, law: Standard) -> Result:
    """Limit of drinking water, whether it is met, and how far that limit was verified: several of 2022 rest on memory (M).

    mg/L unless the item says otherwise. Source: GB 5749-2022.

    >>> from config.reading_standards import standards
    >>> gb5749_check("turbidity_ntu", "0.8", law=standards().named("GB5749"))
    {'limit': Decimal('1'), 'pass': True, 'verified': 'M'}
    """
    table = law.table("limits")
    return {**judge(table, param, "limit", value), "verified": table.mark(param, "limit", law.verified)}


def epa_turbidity(values: Sequence[Figure], *, law: Standard) -> Result:
    """A month's turbidity of conventional or direct filtration: at least 95 % of the values up to 0.3 NTU and none above 1 NTU.

    Source: 40 CFR 141.551.

    >>> from config.reading_standards import standards
    >>> epa_turbidity(["0.2"] * 19 + ["0.9"], law=standards().named("US-SWTR"))["pass"]
    True
    """
    found = [exact(value) for value in values]
    if not found:
        raise ValueError("values is empty: a month without measurements has no result")
    share = Decimal(100 * sum(value <= law.constant("p95_max") for value in found)) / len(found)
    return {"share_pct": share, "max": max(found), "pass": share >= law.constant("share") and max(found) <= law.constant("any_time_max")}
