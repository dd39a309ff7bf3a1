"""Surface water: classes of GB 3838-2002, the assessment method of 2011, and the trophic state of lakes."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import log
from typing import Literal

from analytics.indices._exact import Figure, Result, exact
from config.standard import Standard
from config.standard_tables import Limits

Waterbody = Literal["river", "lake"]
WORSE_THAN_V = 6
"""The class of water that meets no class (劣V类)."""
NOT_AMONG_THE_21 = ("water_temp", "tn", "fc")
"""Items of GB 3838 table 1 that do not count in the assessment of 2011."""
_STATUS = ("", "excellent", "excellent", "good", "light_pollution", "moderate_pollution", "heavy_pollution")
_NO_MULTIPLE = ("ph", "do")
_FIRST_AMONG_POLLUTANTS = ("cn", "pb", "cr6", "hg", "cd", "as", "cu", "zn", "se")
"""Cyanide, lead, chromium and other heavy metals precede when they exceed; the order among them is by class and multiple."""


def measured(value: Figure) -> Decimal:
    """A concentration as it counts: "<0.005", not detected, is half the detection limit (practice, from memory); negative ones are refused.

    >>> measured("<0.01"), measured(1.5)
    (Decimal('0.005'), Decimal('1.5'))
    """
    below = isinstance(value, str) and value.strip().startswith("<")
    found = exact(str(value).strip()[1:].strip()) / 2 if below else exact(value)
    if found < 0:
        raise ValueError(f"{value} is negative; write <LIMIT for a value below the detection limit")
    return found


def _table(law: Standard, param: str, waterbody: str) -> Limits:
    if param == "tn" and waterbody != "lake":
        raise ValueError("tn: GB 3838 sets total nitrogen for lakes and reservoirs only; it does not count in a river's class")
    lake = law.table("lake")
    return lake if waterbody == "lake" and param in lake.rows else law.table("surface")


def gb3838_class(param: str, value: Figure, waterbody: Waterbody = "river", do_saturation_pct: Figure | None = None, *, law: Standard) -> int:
    """Class 1 … 5 of one item, 6 where it meets none: the first class whose limit is met, limits inclusive.

    mg/L, faecal coliforms count/L. Dissolved oxygen is a minimum, and class I also by 90 % saturation; pH within 6 … 9 is 1,
    outside 6. Lakes have their own limits for total phosphorus. Source: GB 3838-2002 table 1, 5.1.

    >>> from config.reading_standards import standards
    >>> law = standards().named("GB3838")
    >>> gb3838_class("tp", "0.05", law=law), gb3838_class("tp", "0.05", "lake", law=law), gb3838_class("ph", "9.1", law=law)
    (2, 3, 6)
    """
    table = _table(law, param, waterbody)
    if param not in table.rows:
        raise ValueError(f'param "{param}" has no class limits in {law.number}; it has: {", ".join(table.rows)}')
    found = measured(value)
    compare = table.row_compare.get(param, table.compare)
    if param == "do" and do_saturation_pct is not None and exact(do_saturation_pct) >= law.constant("do_saturation_class_1"):
        return 1
    return next((number for number, cell in enumerate(table.rows[param], 1) if _meets(found, cell, compare)), WORSE_THAN_V)


def _meets(found: Decimal, cell: Decimal | tuple[Decimal, Decimal] | None, compare: str) -> bool:
    """Whether a value meets a limit, inclusive; a cell without a figure is met by nothing."""
    if isinstance(cell, tuple):
        return cell[0] <= found <= cell[1]
    return cell is not None and (found >= cell if compare == "min" else found <= cell)


def _multiples(values: Mapping[str, Figure], classes: Mapping[str, int], waterbody: str, law: Standard) -> dict[str, Decimal]:
    found = {}
    for param, its_class in classes.items():
        if its_class > 3 and param not in _NO_MULTIPLE:
            limit = _table(law, param, waterbody).number(param, "III")
            found[param] = (measured(values[param]) - limit) / limit
    return found


def _classes(values: Mapping[str, Figure], waterbody: Waterbody, do_saturation_pct: Figure | None, law: Standard) -> dict[str, int]:
    for name in values:
        if name not in law.table("surface").rows and name not in NOT_AMONG_THE_21:
            raise ValueError(f'values: "{name}" is not an item of {law.number}; it has: {", ".join(law.table("surface").rows)}')
    classes = {name: gb3838_class(name, value, waterbody, do_saturation_pct if name == "do" else None, law=law)
               for name, value in values.items() if name not in NOT_AMONG_THE_21}
    if not classes:
        raise ValueError("values holds none of the 21 items, so there is no class")
    return classes


def surface_water_assess(values: Mapping[str, Figure], waterbody: Waterbody = "river", do_saturation_pct: Figure | None = None, *,
                         law: Standard) -> Result:
    """Overall class, status, class by item, and by how much items worse than class III exceed it.

    values : mg/L by item. The class is the worst of the 21 items that are there; water temperature, total nitrogen and faecal
    coliforms do not count. multiple = (C - S_III) / S_III, not for pH and oxygen. Source: 环办〔2011〕22号.

    >>> from config.reading_standards import standards
    >>> found = surface_water_assess({"do": "8.1", "nh3n": "1.8", "tn": "9"}, law=standards().named("GB3838"))
    >>> found["class"], found["status"], found["exceed_multiple"]
    (5, 'moderate_pollution', {'nh3n': Decimal('0.8')})
    """
    classes = _classes(values, waterbody, do_saturation_pct, law)
    worst = max(classes.values())
    return {"class": worst, "status": _STATUS[worst], "item_class": classes, "exceed_multiple": _multiples(values, classes, waterbody, law)}


def gb3838_assess(values: Mapping[str, Figure], waterbody: Waterbody = "river", do_saturation_pct: Figure | None = None, *,
                  law: Standard) -> Result:
    """`surface_water_assess` with what it rests on: the items that were measured and not, those that limit the class, the main pollutants.

    Main pollutants: none where the status is good; else up to three items worse than class III, worst class first, then the
    larger multiple; cyanide and heavy metals precede. Source: 环办〔2011〕22号.

    >>> from config.reading_standards import standards
    >>> found = gb3838_assess({"cod": 31, "pb": "0.09", "ph": 7}, law=standards().named("GB3838"))
    >>> found["limiting"], found["main_pollutants"], len(found["not_measured"])
    (['cod', 'pb'], ['pb', 'cod'], 18)
    """
    result = surface_water_assess(values, waterbody, do_saturation_pct, law=law)
    classes = _classes(values, waterbody, do_saturation_pct, law)
    multiples = _multiples(values, classes, waterbody, law)
    worst = max(classes.values())
    exceeding = sorted((name for name, its_class in classes.items() if its_class > 3),
                       key=lambda name: (name not in _FIRST_AMONG_POLLUTANTS, -classes[name], -multiples.get(name, Decimal(0))))
    items = [name for name in law.table("surface").rows if name not in NOT_AMONG_THE_21]
    return {**result, "measured": [name for name in items if name in classes], "not_measured": [name for name in items if name not in classes],
            "limiting": sorted(name for name, its_class in classes.items() if its_class == worst),
            "main_pollutants": exceeding[:3] if worst > 3 else []}


def gb3838_live(values: Mapping[str, Figure | None], waterbody: Waterbody = "river", do_saturation_pct: Figure | None = None, *,
                law: Standard) -> Result:
    """`gb3838_assess` of a station's means, None = missing: no overall class then, unless the others are the worst already.

    Total nitrogen of a lake has its class as an item and does not count. exceed_multiple has 0 for an item within class III.

    >>> from config.reading_standards import standards
    >>> law = standards().named("GB3838")
    >>> [gb3838_live({"nh3n": value, "ph": None}, law=law)["class"] for value in ("0.4", "2.1")]
    [None, 6]
    """
    there = {name: value for name, value in values.items() if value is not None}
    items = {name: gb3838_class(name, value, waterbody, do_saturation_pct if name == "do" else None, law=law) for name, value in there.items()}
    counting = {name: value for name, value in there.items() if name not in NOT_AMONG_THE_21}
    whole = gb3838_assess(counting, waterbody, do_saturation_pct, law=law) if counting else {}
    worst = whole.get("class")
    known = worst == WORSE_THAN_V or all(name in there or name in NOT_AMONG_THE_21 for name in values)
    multiples = _multiples(there, items, waterbody, law)
    return {"class": worst if known else None, "item_class": items, "limiting": whole.get("limiting", []) if known else [],
            "exceed_multiple": {name: multiples.get(name, Decimal(0)) for name in items if name not in _NO_MULTIPLE}}


def gb3838_source_check(param: str, value: Figure, *, law: Standard) -> Result:
    """Limit of a drinking-water source and whether it is met, mg/L: the five supplementary and some selected items.

    Source: GB 3838-2002 tables 2 and 3.

    >>> from config.reading_standards import standards
    >>> gb3838_source_check("mn", "0.11", law=standards().named("GB3838"))
    {'limit': Decimal('0.1'), 'pass': False}
    """
    supplement, selected = law.table("drinking source"), law.table("drinking source selected")
    if param not in supplement.rows and param not in selected.rows:
        raise ValueError(f'param "{param}" is not an item of a drinking source; there are: {", ".join((*supplement.rows, *selected.rows))}')
    limit = (supplement if param in supplement.rows else selected).number(param, "limit")
    return {"limit": limit, "pass": measured(value) <= limit}


def river_status(counts: Sequence[int], *, law: Standard) -> str:
    """Status of a river by the classes of its sections: counts of sections of class I … V and worse.

    p = share of I-III: from 90 % excellent, from 75 % good; else q = share worse than V: below 20 % light, below 40 %
    moderate, else heavy pollution. With fewer than five sections each indicator is averaged first, so ValueError.

    >>> from config.reading_standards import standards
    >>> river_status([0, 2, 4, 2, 1, 1], law=standards().named("MEE22"))
    'light_pollution'
    """
    total = sum(counts)
    if len(counts) != WORSE_THAN_V or min(counts) < 0:
        raise ValueError("counts are six numbers of sections: class I, II, III, IV, V, worse")
    if total < law.constant("sections_least"):
        raise ValueError(f"{total} sections: with fewer than 5 average each indicator over the sections, then surface_water_assess")
    good, bad = 100 * sum(counts[:3]), 100 * counts[5]
    table = law.table("river")
    for status, (share_from, share_below) in table.rows.items():
        if isinstance(share_from, Decimal) and good >= share_from * total:
            return status
        if share_from is None and (share_below is None or (isinstance(share_below, Decimal) and bad < share_below * total)):
            return status
    raise AssertionError("the last status has no condition")


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} {value} is not greater than 0; its logarithm has no value")
    return value


def tli(chla: float, tp: float, tn: float, sd: float, codmn: float, *, law: Standard) -> Result:
    """Trophic level index of a lake: TLI = sum(W_j TLI_j), TLI_j = 10 (a + b ln x_j), W_j = r_j² / sum r².

    chla mg/m³, tp, tn and codmn mg/L, sd (transparency) m, all above 0. Grades: <30 oligotrophic, 30 … 50 mesotrophic, then
    light (to 60), moderate (to 70), hyper. Source: 总站生字〔2001〕090号.

    >>> from config.reading_standards import standards
    >>> round(tli(64.19, 0.194, 2.033, 0.64, 8.27, law=standards().named("TLI"))["tli"], 3)
    64.816
    """
    table = law.table("parts")
    inputs = {"chla": chla, "tp": tp, "tn": tn, "sd": sd, "codmn": codmn}
    squares = {name: float(table.number(name, "r")) ** 2 for name in inputs}
    figures = {name: (float(table.number(name, "a")), float(table.number(name, "b"))) for name in inputs}
    parts = {name: 10 * (figures[name][0] + figures[name][1] * log(_positive(name, value))) for name, value in inputs.items()}
    total = sum(squares[name] * part for name, part in parts.items()) / sum(squares.values())
    if total < 30:
        grade = "oligotrophic"
    else:
        grades = ((50, "mesotrophic"), (60, "light_eutrophic"), (70, "moderate_eutrophic"))
        grade = next((name for upper, name in grades if total <= upper), "hypereutrophic")
    return {"parts": parts, "tli": total, "grade": grade}


def carlson_tsi(kind: Literal["sd", "chl", "tp"], value: float, *, law: Standard) -> float:
    """Carlson's trophic state index: 60 - 14.41 ln SD(m); 9.81 ln CHL(µg/L) + 30.6; 14.42 ln TP(µg/L) + 4.15. From memory (M).

    >>> from config.reading_standards import standards
    >>> round(carlson_tsi("tp", 49.83, law=standards().named("CARLSON-TSI")), 3)
    60.512
    """
    table = law.table("parts")
    return float(table.number(kind, "a")) + float(table.number(kind, "b")) * log(_positive(kind, value))
