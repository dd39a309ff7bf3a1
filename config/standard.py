"""A standard as it is declared: one edition in one TOML file of `config/standards/`.

Figures are integers or decimal strings, so a binary float never touches the law's numbers; every figure carries its
clause and how far it was verified (A official text read, B two sources agree, C one source, M memory, not verified).
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from config.table import Table

Mark = Literal["A", "B", "C", "M"]
MARKS: dict[str, str] = {"A": "official text read", "B": "two or more sources agree", "C": "one source", "M": "memory, not verified"}


def figure(written: object) -> Decimal:
    """A figure of the law: an integer or a decimal string.

    >>> figure("0.05"), figure(35)
    (Decimal('0.05'), Decimal('35'))
    """
    if isinstance(written, Decimal):
        return written
    if isinstance(written, bool) or not isinstance(written, int | str):
        raise ValueError(f'is not a figure: write an integer or a decimal in quotes, as in "0.05", not {written!r}')
    try:
        value = Decimal(written)
    except InvalidOperation:
        raise ValueError(f'is not a figure: "{written}"; write an integer or a decimal in quotes') from None
    if not value.is_finite():
        raise ValueError(f'is not a figure: "{written}" is not finite')
    return value


def _cell(written: object) -> object:
    """A cell of a table: a figure, a pair of figures (from, to), or None, written "none", where the law sets no limit."""
    if written is None or written == "none":
        return None
    if isinstance(written, list | tuple):
        if len(written) != 2:
            raise ValueError(f"a range is two figures, from and to, not {written!r}")
        return (figure(written[0]), figure(written[1]))
    return figure(written)


Figure = Annotated[Decimal, BeforeValidator(figure)]
Cell = Annotated[Decimal | tuple[Decimal, Decimal] | None, BeforeValidator(_cell)]
OpenFigure = Annotated[Decimal | None, BeforeValidator(_cell)]
Clause = Annotated[str, Field(min_length=1)]
RoundingRule = Literal["half-even", "half-up", "up", "down", "none"]


class Words(Table):
    """A name in the languages people read it in."""

    zh: str = ""
    en: str


class Rounding(Table):
    """How a number is made whole: half-even is GB/T 8170, up is away from zero to the next, down cuts off."""

    rule: RoundingRule
    decimals: Annotated[int, Field(ge=0, le=9)] = 0
    clause: Clause
    verified: Mark | None = None


class RoundingRules(Table):
    """What is rounded before and after the interpolation."""

    concentration: Rounding
    subindex: Rounding


class Index(Table):
    """What an overall index is made of."""

    range: tuple[OpenFigure, OpenFigure] = (None, None)
    overall: Literal["max", "sum", "weighted", "worst"] = "max"
    primary_above: OpenFigure = None
    ties: Literal["all", "first"] = "all"
    clause: Clause


class Window(Table):
    """How many values a mean needs before it is valid."""

    mean: str
    least: Annotated[int, Field(ge=1)]
    of: Annotated[int, Field(ge=1)] | None = None
    what: str
    quantities: tuple[str, ...] = ()
    clause: Clause
    verified: Mark | None = None


class MissingPollutant(Table):
    """When an index is published although a pollutant is missing."""

    publish_only_above: Figure
    else_show: str
    clause: Clause


class Completeness(Table):
    """What must be there for a result to count."""

    missing_pollutant: MissingPollutant | None = None
    windows: tuple[Window, ...] = ()
    least_pollutants: int | None = None
    one_of: tuple[str, ...] = ()


class Pollutant(Table):
    """The scale of one pollutant and averaging time: exactly one of breakpoints, segments and bands.

    breakpoints are segment ends (concentration, sub-index) joined by straight lines that meet; segments are (from, to,
    index from, index to) with gaps between them; bands are the inclusive upper ends of bands 1, 2, …
    """

    quantity: str
    name: str = ""
    """As the standard prints it, where that is not the quantity in capitals."""
    unit: str
    means: Annotated[dict[str, str], Field(min_length=1)]
    """Report → averaging time of the mean that enters it."""
    clause: Clause
    verified: Mark | None = None
    decimals: int | None = None
    """Of the concentration, where they differ from the standard's rounding.concentration."""
    breakpoints: tuple[tuple[Figure, Figure], ...] = ()
    segments: tuple[tuple[Figure, Figure, Figure, Figure], ...] = ()
    bands: tuple[Figure, ...] = ()
    above_top: Literal["cap", "hold", "extrapolate", "none", "severe", "last"] = "cap"
    """cap and hold: the index of the top; extrapolate along the last segment; severe: a category, no number; none: no index."""
    note: str = ""

    @property
    def shown(self) -> str:
        """The pollutant's name as published: PM2.5, SO2."""
        return self.name or self.quantity.upper()

    @model_validator(mode="after")
    def _rising(self) -> "Pollutant":
        if sum(bool(scale) for scale in (self.breakpoints, self.segments, self.bands)) != 1:
            raise ValueError(f"{self.quantity}: give one of breakpoints, segments and bands")
        for low, high in zip(self.breakpoints, self.breakpoints[1:], strict=False):
            if not (low[0] < high[0] and low[1] < high[1]):
                raise ValueError(f"breakpoints of {self.quantity} are not rising at {_plain(low)}, {_plain(high)}")
        for one, two in zip(self.segments, self.segments[1:], strict=False):
            if not (one[1] < two[0] and one[3] < two[2]):
                raise ValueError(f"segments of {self.quantity} are not rising at {_plain(one)}, {_plain(two)}")
        for row in self.segments:
            if not (row[0] < row[1] and row[2] < row[3]):
                raise ValueError(f"segments of {self.quantity} are not rising within {_plain(row)}")
        for lower, upper in zip(self.bands, self.bands[1:], strict=False):
            if not lower < upper:
                raise ValueError(f"bands of {self.quantity} are not rising at {lower}, {upper}")
        return self


def _plain(figures: tuple[Decimal, ...]) -> str:
    return "[" + ", ".join(str(item) for item in figures) + "]"


class Category(Table):
    """A named band of the index or class, ends inclusive; colour is a web colour or a word where no shade is given."""

    level: int
    range: tuple[Figure, OpenFigure]
    name: Words
    colour: str = ""
    verified: Mark | None = None


class Limits(Table):
    """A table of limits: rows by item, columns by class, zone, grade …."""

    name: str
    clause: Clause
    unit: str
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    compare: Literal["max", "min", "range", "value"] = "max"
    averaging: str = ""
    verified: Mark | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    """The last day on which this table applies."""
    rows: Annotated[dict[str, tuple[Cell, ...]], Field(min_length=1)]
    row_units: dict[str, str] = Field(default_factory=dict)
    row_compare: dict[str, Literal["max", "min", "range", "value"]] = Field(default_factory=dict)
    marks: dict[str, Mark] = Field(default_factory=dict)
    """Row, or row.column → its own verification mark."""
    names: dict[str, str] = Field(default_factory=dict)
    """Row → name in the standard's language."""
    note: str = ""

    @model_validator(mode="after")
    def _square(self) -> "Limits":
        for row, cells in self.rows.items():
            if len(cells) != len(self.columns):
                raise ValueError(f"{self.name}.{row} has {len(cells)} figures for {len(self.columns)} columns ({', '.join(self.columns)})")
        for name in (*self.row_units, *self.row_compare, *self.names):
            if name not in self.rows:
                raise ValueError(f"{self.name} has no row {name}")
        for name in self.marks:
            row, _, column = name.rpartition(".")
            if name not in self.rows and (row not in self.rows or column not in self.columns):
                raise ValueError(f"{self.name}.marks.{name} names no figure of this table")
        return self

    def cell(self, row: str, column: str) -> Decimal | tuple[Decimal, Decimal] | None:
        """The figure of a row and column; ValueError names what there is."""
        if row not in self.rows:
            raise ValueError(f'"{row}" is not an item of table {self.name}; it has: {", ".join(self.rows)}')
        if column not in self.columns:
            raise ValueError(f'"{column}" is not a column of table {self.name}; it has: {", ".join(self.columns)}')
        return self.rows[row][self.columns.index(column)]

    def number(self, row: str, column: str) -> Decimal:
        """The figure of a row and column where the law sets one; ValueError where it sets none or a range."""
        found = self.cell(row, column)
        if not isinstance(found, Decimal):
            raise ValueError(f"{self.name} sets no single figure for {row}, {column}")
        return found

    def mark(self, row: str, column: str, otherwise: Mark) -> Mark:
        """How far a figure was verified."""
        return self.marks.get(f"{row}.{column}") or self.marks.get(row) or self.verified or otherwise


class Constant(Table):
    """A single figure: a coefficient, an allowance, a count."""

    value: Cell
    unit: str = "1"
    clause: Clause
    verified: Mark | None = None
    what: str = ""


class Example(Table):
    """What the text itself prints, or its plain reading: run by the tests, so a wrong figure cannot land."""

    source: str = ""
    quantity: str = ""
    mean: str = ""
    value: str | int = ""
    subindex: int | None = None
    function: str = ""
    args: dict[str, object] = Field(default_factory=dict)
    result: object = None
    tolerance: Figure = Decimal(0)

    @model_validator(mode="after")
    def _one_kind(self) -> "Example":
        if bool(self.quantity) == bool(self.function):
            raise ValueError("an example has quantity, mean, value and subindex, or function, args and result")
        return self


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
        """The marks of all figures, best first: "A", or "A M" where some figure rests on memory."""
        found = {self.verified, *(mark for *_, mark in self.figures())}
        rounding = (self.rounding.concentration.verified, self.rounding.subindex.verified) if self.rounding else ()
        found.update(mark for mark in (*rounding, *(window.verified for window in self.completeness.windows)) if mark)
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
        constants, limits = dict(self.constants), list(self.limits)
        for place, written in changes.items():
            if place not in places:
                raise ValueError(f"{self.name} has no figure {place}; ecosentry standards show {self.name} lists them")
            if places[place] != "M":
                raise ValueError(f"{self.name} {place} is verified ({places[place]}: {MARKS[places[place]]}), so a site cannot change it")
            if place in constants:
                constants[place] = constants[place].model_copy(update={"value": figure(written)})
                continue
            table_name, row, column = place.split(".", 1)[0], *place.split(".", 1)[1].rsplit(".", 1)
            for number, table in enumerate(limits):
                if table.name == table_name:
                    cells = list(table.rows[row])
                    cells[table.columns.index(column)] = figure(written)
                    limits[number] = table.model_copy(update={"rows": {**table.rows, row: tuple(cells)}})
        return self.model_copy(update={"constants": constants, "limits": tuple(limits)})
