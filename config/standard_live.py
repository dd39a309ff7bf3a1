"""What a standard says of a station live: declared in its TOML file as [[live]], computed by one function of its module.

A report is judged each hour or each day from the hourly means of the station's devices. The declaration says which means
go into which argument, and which results become series; so a new live standard is one TOML file and one function.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.standard_tables import Figure
from config.table import Table

EXCESS = "_excess"
"""How the quantity of a limit's report ends that says how far above the limit a value is (0 meets it); else it is its multiple (1 meets it)."""


class LiveInput(Table):
    """Where an argument comes from: a mean of a measured quantity, a key of the station, or the clock."""

    quantity: str = ""
    mean: Annotated[str, Field(pattern=r"^(\d+ h|hours|maximum|minimum)$")] = "1 h"
    """"N h" is the mean of the last N hours (of a daily report 24 h is the day, 8 h its largest running mean, 1 h its largest hour);
    hours is the list of the last `hours` means, newest first (of a daily report those of the day, oldest first); maximum and
    minimum are those of the day's hours."""
    hours: Annotated[int, Field(ge=1, le=336)] = 1
    unit: str = ""
    """What the function wants, where that is not the quantity's unit."""
    station: str = ""
    """A key of the station instead."""
    clock: Literal["", "date", "period", "day_of_year", "year", "mid_hour", "zone_west"] = ""
    """Of the report's time in the station's zone: day, or "day"/"night", day and year as numbers, the middle of the hour as a
    decimal hour, degrees west of the zone's meridian."""
    optional: bool = False
    """Left out where there is none; else there is no result without it."""
    trusted: bool = False
    """Left out where it is SUSPECT too."""

    @model_validator(mode="after")
    def _one(self) -> "LiveInput":
        if sum(map(bool, (self.quantity, self.station, self.clock))) != 1:
            raise ValueError("an input is one of quantity, station and clock")
        return self


class FactKind(Table):
    """What the `facts` of a station may say under a key: one of these words, a number in this range, or true and false."""

    words: tuple[str, ...] = ()
    range: tuple[Figure, Figure] | None = None
    """Least and most, both allowed."""
    whole: bool = False
    unit: str = ""
    truth: bool = False

    @model_validator(mode="after")
    def _one(self) -> "FactKind":
        if sum((bool(self.words), self.range is not None, self.truth)) != 1:
            raise ValueError("a fact has words, a range, or truth = true")
        return self

    def wanted(self) -> str:
        """What to write, in words."""
        if self.range is None:
            return "write true or false, without quotes" if self.truth else f"write {self.shown()}"
        return f"write {'a whole number' if self.whole else 'a number'} without quotes: {self.shown()}"

    def shown(self) -> str:
        """What it may be, in a few words."""
        if self.range is None:
            return "true or false" if self.truth else ", ".join(self.words)
        return " ".join((f"{self.range[0]} to {self.range[1]}", self.unit)).rstrip()

    def refuses(self, found: str | float) -> str:
        """What is wrong with a fact; "" if nothing is."""
        if self.truth:
            return "" if isinstance(found, bool) else "is neither true nor false"
        if self.range is None:
            return "" if not isinstance(found, bool) and str(found) in self.words else "is not known to"
        if isinstance(found, str | bool):
            return "is not a number"
        if self.whole and not isinstance(found, int):
            return "is not a whole number"
        return "" if float(self.range[0]) <= found <= float(self.range[1]) else f"is not between {self.range[0]} and {self.range[1]}"


class Gives(Table):
    """A series that a report gives."""

    quantity: str
    result: str = ""
    """Which of the named results; left out = the result itself. A list of names becomes the sum of their bits (`members`)."""
    each: bool = False
    """The result is a table by item: a series for each, whose channel is the item."""
    channel: str = ""
    statistic: str = "index"
    only_with: str = ""
    """Absent where this result is."""
    category: bool = False
    """Its number has a category of the standard: name and colour."""
    words: tuple[str, ...] = ()
    """The function's words, which become the numbers 1, 2, 3 …"""


class Live(Table):
    """One report of a standard on a station."""

    report: Annotated[str, Field(pattern=r"^[a-z0-9 ]+$")]
    every: Literal["hour", "day"] = "hour"
    day_from: Annotated[int, Field(ge=0, le=12)] = 0
    """The local hour at which the day of a daily report begins."""
    function: str
    arguments: dict[str, str | int | bool] = Field(default_factory=dict)
    """Arguments that are always the same."""
    items: dict[str, str] = Field(default_factory=dict)
    """Measured quantity → what the function calls it. One of them is enough for a series."""
    argument: str = ""
    """The argument that takes all items by name."""
    name_argument: str = ""
    value_argument: str = ""
    """Where the function judges one item at a time: the arguments that take its name and its value."""
    scales: str = ""
    """Each item's mean and unit are those of the standard's own [[pollutant]] for the report of this name."""
    means_in_names: bool = False
    """The function wants PM2.5_24h instead of PM2.5."""
    mean: Annotated[str, Field(pattern=r"^\d+ h$")] = "1 h"
    """Of the items, else."""
    unmonitored: str = ""
    """The argument that takes the names of items which no device of the station measures."""
    inputs: dict[str, LiveInput] = Field(default_factory=dict)
    validity: str = ""
    """The standard whose completeness rules hold; left out = its own, else three quarters."""
    kelvin: Figure | None = None
    """Temperature at which the standard states gases, to convert between mass and ratio (101325 Pa)."""
    negative: Literal["missing", "keep"] = "missing"
    """What a negative mean of a concentration counts as."""
    gives: tuple[Gives, ...] = ()
    limit: str = ""
    """The function gives limit and pass: this quantity says how many times the limit a value is, or how far above it (`EXCESS`); rules
    may say above = "ID"."""
    statistic: str = "limit"
    """Of the limit's series: another one where a standard limits two means of the same length."""
    passes: str = "pass"
    corrected: str = ""
    """The result that is compared, where that is not the value itself."""
    needs: tuple[str, ...] = ()
    """Keys of the station without which there is no report."""
    facts: dict[str, FactKind] = Field(default_factory=dict)
    """Key of the station's `facts` → what it may be: anything else, and every key that no standard of the station reads, is refused."""
    only: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Item → key of the station → value that it must have for the item to be judged."""
    translate: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Key of the station → its word here → the standard's word."""
    category: str = ""
    """The standard whose categories name the number; left out = its own."""
    classes: tuple[str, ...] = ()
    """Names of the numbers 1, 2, 3 …, best first, for rules that say worse_than."""

    @model_validator(mode="after")
    def _whole(self) -> "Live":
        if not self.gives and not self.limit:
            raise ValueError(f"live {self.report} gives nothing: add gives or limit")
        if self.items and not (self.argument or self.value_argument):
            raise ValueError(f"live {self.report} has items and no argument for them: argument, or value_argument")
        if bool(self.limit) != bool(self.value_argument):
            raise ValueError(f"live {self.report}: limit and value_argument belong together")
        if not self.items and not any(one.quantity for one in self.inputs.values()):
            raise ValueError(f"live {self.report} reads nothing: add items or inputs with a quantity")
        return self

    def reads(self) -> dict[str, bool]:
        """Every measured quantity that it reads → whether one of it is enough for a report (else all of these are needed)."""
        found = dict.fromkeys(self.items, True)
        for one in self.inputs.values():
            if one.quantity:
                found.setdefault(one.quantity, False)
        return found

    def series(self, items: tuple[str, ...]) -> list[tuple[str, str, str]]:
        """(quantity, channel, statistic) of each series for these items."""
        found = []
        for one in self.gives:
            found += [(one.quantity, item, one.statistic) for item in items] if one.each else [(one.quantity, one.channel, one.statistic)]
        if self.limit:
            found += [(self.limit, item, self.statistic) for item in items]
        return found

    @property
    def edge(self) -> float:
        """What a limit's quantity is where the limit is just met."""
        return 0.0 if self.limit.endswith(EXCESS) else 1.0
