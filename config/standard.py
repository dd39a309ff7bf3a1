"""A standard as it is declared: one edition in one TOML file of `config/standards/`.

Figures are integers or decimal strings, so a binary float never touches the law's numbers; every figure carries its
clause and how far it was verified (A official text read, B two sources agree, C one source, M memory, not verified).
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.standard_live import Live
from config.standard_tables import MARKS, Category, Completeness, Constant, Example, Index, Limits, Mark, Pollutant, RoundingRules, Words, figure
from config.table import Table


class Standard(Table):
    """One edition of a standard. `id` and `edition` are unique; a site file names the id, the data's time the edition."""

    id: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]*$")]
    edition: Annotated[int, Field(ge=1900, le=2999)]
    number: str
    title: Words
    jurisdiction: str
    medium: Literal["air", "water", "noise", "soil", "vegetation", "emission", "energy"]
    in_force: date | None = None
    """First day; None where the date is not known, which only a single edition may leave open."""
    in_force_until: date | None = None
    """Last day."""
    in_force_verified: Mark | None = None
    """How far the first day was verified, where that differs from `verified`."""
    replaces: int | None = None
    source: Annotated[str, Field(min_length=1)]
    source_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | Literal[""] = ""
    verified: Mark
    note: str = ""
    not_verified: tuple[str, ...] = ()
    """What is known to rest on memory, or to be ambiguous, in words."""
    function: str
    """Module of analytics/indices with the arithmetic."""
    functions: tuple[str, ...] = ()
    """Functions of that module which take this standard as `law`."""
    language: Literal["zh", "en"] = "en"
    """Of the category names that results carry."""
    index: Index | None = None
    rounding: RoundingRules | None = None
    completeness: Completeness = Completeness()
    pollutants: Annotated[tuple[Pollutant, ...], Field(alias="pollutant")] = ()
    categories: Annotated[tuple[Category, ...], Field(alias="category")] = ()
    limits: tuple[Limits, ...] = ()
    constants: Annotated[dict[str, Constant], Field(alias="constant", default_factory=dict)]
    live: tuple[Live, ...] = ()
    """What it says of a station: the newest edition declares it, the edition of the data's time is asked."""
    examples: Annotated[tuple[Example, ...], Field(alias="example")]

    @model_validator(mode="after")
    def _complete(self) -> "Standard":
        if not self.examples:
            raise ValueError("no example: add [[example]] from the text, so that a wrong figure cannot land")
        if self.pollutants and (self.index is None or self.rounding is None):
            raise ValueError("pollutants need [index] and [rounding]: what is rounded how, and what the overall index is")
        if self.in_force and self.in_force_until and self.in_force_until < self.in_force:
            raise ValueError(f"in_force_until {self.in_force_until} is before in_force {self.in_force}")
        for lower, upper in zip(self.categories, self.categories[1:], strict=False):
            if upper.level <= lower.level or lower.range[1] is None or upper.range[0] <= lower.range[1]:
                raise ValueError(f"categories are not rising at level {lower.level}, {upper.level}")
        return self

    @property
    def name(self) -> str:
        """The id with its edition: HJ633-2026."""
        return f"{self.id}-{self.edition}"

    def figures(self) -> Iterator[tuple[str, Decimal | tuple[Decimal, Decimal] | None, str, str, Mark]]:
        """Every figure: its place, value, unit, clause and verification mark."""
        for scale in self.pollutants:
            mark = scale.verified or self.verified
            for row in scale.breakpoints or scale.segments or tuple((upper,) for upper in scale.bands):
                for item in row:
                    yield f"{scale.shown} {'/'.join(dict.fromkeys(scale.means.values()))}", item, scale.unit, scale.clause, mark
        for table in self.limits:
            for row_name, cells in table.rows.items():
                for column, cell in zip(table.columns, cells, strict=True):
                    unit = table.row_units.get(row_name, table.unit)
                    yield f"{table.name}.{row_name}.{column}", cell, unit, table.clause, table.mark(row_name, column, self.verified)
        for name, constant in self.constants.items():
            yield name, constant.value, constant.unit, constant.clause, constant.verified or self.verified

    def marks(self) -> str:
        """The marks of all figures and of categories' names and colours, best first: "A", or "A M" where some figure rests on memory."""
        found = {self.verified, *(mark for *_, mark in self.figures())}
        rounding = (self.rounding.concentration.verified, self.rounding.subindex.verified) if self.rounding else ()
        others = (*(window.verified for window in self.completeness.windows), *(row.verified for row in self.categories))
        found.update(mark for mark in (*rounding, *others) if mark)
        return " ".join(sorted(found))

    def table(self, name: str, on: date | None = None) -> Limits:
        """The table of that name that applies on a day (the first of that name where none is given); ValueError if there is none."""
        tables = [table for table in self.limits if table.name == name]
        for table in tables:
            if on is None or ((table.valid_from is None or table.valid_from <= on) and (table.valid_until is None or on <= table.valid_until)):
                return table
        known = ", ".join(dict.fromkeys(table.name for table in self.limits))
        raise ValueError(f"{self.name} has no table {name}" + (f" on {on}" if on else "") + f"; it has: {known}")

    def constant(self, name: str) -> Decimal:
        """A single figure by name; ValueError if there is none."""
        found = self.constants.get(name)
        if found is None or not isinstance(found.value, Decimal):
            raise ValueError(f"{self.name} has no constant {name}; it has: {', '.join(self.constants)}")
        return found.value

    def with_figures(self, changes: dict[str, str | int]) -> "Standard":
        """A copy in which figures marked M (not verified) are set by whoever is responsible for the site.

        Keys are constants, or table.row.column. A figure that was verified is the law's and is refused (ValueError).
        """
        places = {place: mark for place, _, _, _, mark in self.figures()}
        places_of = {place: (value, unit) for place, value, unit, *_ in self.figures()}
        constants, limits = dict(self.constants), list(self.limits)
        for place, written in changes.items():
            if place not in places:
                raise ValueError(f"{self.name} has no figure {place}; ecosentry standards show {self.name} lists them")
            if places[place] != "M":
                raise ValueError(f"{self.name} {place} is verified ({places[place]}: {MARKS[places[place]]}), so a site cannot change it")
            _within_bounds(f"{self.name} {place}", places_of[place], figure(written))
            if place in constants:
                constants[place] = constants[place].model_copy(update={"value": figure(written)})
                continue
            table_name, row, column = place.split(".", 1)[0], *place.split(".", 1)[1].rsplit(".", 1)
            for number, table in enumerate(limits):
                if table.name == table_name:
                    cells = list(table.rows[row])
                    cells[table.columns.index(column)] = figure(written)
                    limits[number] = table.model_copy(update={"rows": {**table.rows, row: tuple(cells)}})
        begins = [(name, constants[name].value) for name in ("day_from", "evening_from", "night_from") if name in constants]
        for (name, begin), (later, end) in pairwise(begins):
            if isinstance(begin, Decimal) and isinstance(end, Decimal) and not begin < end:
                raise ValueError(f"{self.name} {name} = {begin} is not before {later} = {end}")
        return self.model_copy(update={"constants": constants, "limits": tuple(limits)})


_MOST_TIMES, _MOST = 1000, Decimal(1_000_000)
"""No figure that a site sets is more than so many times the one that it replaces, or, where there is none, more than that."""


def _within_bounds(name: str, was: tuple[Decimal | tuple[Decimal, Decimal] | None, str], value: Decimal) -> None:
    """Refuses what cannot be a figure of this kind (ValueError): 8000 %, hour 30, a negative limit, a slip of many digits."""
    before, unit = was
    least, most = Decimal(0), _MOST
    if unit == "%":
        most = Decimal(100)
    elif unit == "h":
        most = Decimal(24)
        if value % 1:
            raise ValueError(f"{name} = {value} is not a whole hour")
    elif isinstance(before, Decimal) and before:
        most = abs(before) * _MOST_TIMES
        least = -most if before < 0 else least
    if not least <= value <= most:
        raise ValueError(f"{name} = {value:.6g} is not between {least:f} and {most:f} {unit}".rstrip())
