"""The tables of which a standard's file is made: figures, scales of pollutants, limits, categories, constants and examples."""

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from config.table import Table

Mark = Literal["A", "B", "C", "M"]
MARKS: dict[str, str] = {"A": "official text read", "B": "two or more sources agree", "C": "one source", "M": "memory, not verified"}
_MOST_DIGITS = 40


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
    if len(str(written)) > _MOST_DIGITS or abs(value.adjusted()) > _MOST_DIGITS:
        raise ValueError(f'is not a figure: "{str(written)[:_MOST_DIGITS]}" has more digits than any figure of a standard')
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
