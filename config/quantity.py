"""The vocabulary: what can be measured, in which unit, and how its values behave."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

from config.series import GAP, Series
from config.table import Table
from config.units import unit


class Quantity(Table):
    """One row of quantities.toml."""

    unit: str
    medium: Literal["water", "air", "weather", "noise", "soil", "vegetation", "emission", "energy", "technical"]
    behaves: Literal["level", "sound", "angle", "counter", "amount", "peak", "state"] = "level"
    """How a mean of it is made: level arithmetic, sound energetic, angle vectorial; amount is summed; of a peak the largest
    counts; counter and state have none."""
    plausible: tuple[float, float]
    """Outside of this no real place has such a value: FAIL."""
    rate: float | None = None
    """Fastest believable change, unit per second; faster is SUSPECT."""
    decimals: int = 1
    """Digits that a person reads."""
    en: str
    zh: str
    members: tuple[str, ...] = ()
    """A number that stands for a set: the quantities of its bits 1, 2, 4 …"""
    home_assistant: str = ""
    """Device class of Home Assistant, where it has one for this quantity in this unit."""
    cf: str = ""
    """CF standard name."""
    hj212: str = ""
    """Factor code of HJ 212-2017 annex B."""


@cache
def vocabulary() -> dict[str, Quantity]:
    """Every quantity by name. Raises ValueError if the packaged table is broken (a bug, tested)."""
    table = tomllib.loads(files("config").joinpath("quantities.toml").read_text("utf-8"))
    found = {name: Quantity(**row) for name, row in table.items()}
    for name, row in found.items():
        if row.unit != unit(row.unit):
            raise ValueError(f"quantities.toml: {name}: write the unit as {unit(row.unit)}")
    return found


def unit_of(series: Series) -> str:
    """The unit of a series' values; "" where they have none."""
    if series.statistic == GAP:
        return "s"
    known = vocabulary().get(series.quantity)
    return "" if known is None or known.unit == "1" else known.unit
