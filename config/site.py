"""The site file's tables. What a kind of line, sink, channel or device needs beside these stands in its plug-in's `Options`.

Reading a file, and every error with its place and repair, is `config.reading_site`'s work.
"""

from enum import IntEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, PrivateAttr, WithJsonSchema, model_validator

from config.input_table import Input
from config.maintenance import Maintenance
from config.regime import DutyTable, Ready, SupplyTable
from config.selector import Names, Selector
from config.table import Table
from config.units import Duration, LimitField, RangeField, RateField, Size

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Severity(IntEnum):
    """The four warning colours (Emergency Response Law, art. 42 of the 2007 text), rising."""

    BLUE = 1
    YELLOW = 2
    ORANGE = 3
    RED = 4

    @property
    def colour(self) -> str:
        """The word that people read and write."""
        return self.name.lower()


Colour = Literal["blue", "yellow", "orange", "red"]


CLASSES = ("I", "II", "III", "IV", "V")
"""Of surface water (GB 3838), best first."""
WaterClass = Literal["I", "II", "III", "IV", "V"]
TARGET = "target"
"""Stands for the station's `water_target` in a rule."""


def _no_standard_twice(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("names a standard twice")
    return names


def is_standard(text: object) -> bool:
    """Is this the name of a standard, where a limit would stand?

    >>> is_standard("GB3096"), is_standard("1.0 mg/L")
    (True, False)
    """
    return isinstance(text, str) and text[:2].isalpha() and text[:2].isascii() and text[:2].isupper()


def severity(colour: str) -> Severity:
    """The severity of a colour word."""
    return Severity[colour.upper()]


class Secret(Table):
    """A secret by name: the only way to give one."""

    secret: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Station(Table):
    """The place that numbers belong to."""

    name: str = ""
    """What people read; the NAME of the table is never shown to the public and never changed."""
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    area: str = ""
    """Division code (GB/T 2260): rules, subscriptions and sinks select by it."""
    time_zone: str = "UTC"
    """Days are cut in it, hours at whole hours of UTC; stored time is always UTC."""
    standards: Annotated[tuple[str, ...], AfterValidator(_no_standard_twice)] = ()
    """Which are computed each hour, without a year: the edition in force at the time of the data is used."""
    water_body: Literal["river", "lake"] | None = None
    """What the station stands at; a reservoir is a lake."""
    water_target: WaterClass | None = None
    """The class that this section must reach: rules say worse_than = "target"."""
    air_class: Literal[1, 2] | None = None
    """GB 3095: 1 for nature reserves and scenic areas, 2 for where people live and work."""
    noise_zone: Literal["0", "1", "2", "3", "4a", "4b"] | None = None
    """Functional zone of GB 3096."""
    elevation: Annotated[float, Field(ge=-450, le=9000)] | None = None
    """Metres above the sea."""
    facts: Annotated[dict[str, bool | str | int | float], Field(max_length=32)] = {}
    """What else a standard must know of the place, by the names that the standard has for it."""


class LineTable(Table):
    """What every line has beside its kind's own keys."""

    station: str = ""
    """The default for its devices."""
    where: str = ""
    """Cabinet, terminal: goes into the alert when this line is silent, for the person who drives there."""


class Quality(Table):
    """Limits of one quantity of one device, where the quantity's own do not fit."""

    range: RangeField | None = None
    """Written "0..500 mg/L": outside is FAIL."""
    suspect: RangeField | None = None
    """Written "0..100 mg/L": outside is SUSPECT."""
    rate: RateField | None = None
    """Written "50 mg/L per h": a faster change is SUSPECT; kept here per second."""


class DeviceTable(Table):
    """What every device has beside its protocol's own keys."""

    profile: str
    """Knows registers, units, ranges, timing; `ecosentry devices` lists them."""
    line: str = ""
    """Left out = the only line."""
    station: str = ""
    """Left out = the line's station, else the only one."""
    name: str = ""
    """What people read."""
    serial: str = ""
    """Of the instrument in this place today."""
    interval: Duration | None = None
    """How often to ask, or how often it is expected to speak; left out = as the profile says."""
    ready: Ready | None = None
    """After power-up its values are kept for so long, but are no measurement yet; left out = as the profile says."""
    duty: DutyTable | None = None
    """It sleeps between measurements; left out = as the profile says, else it never does."""
    supply: SupplyTable | None = None
    """What switches its supply; left out = it always has one."""
    before: Annotated[tuple[str, ...], Field(max_length=8)] | None = None
    """Commands of its profile that it is given each time before it measures: wipe, rinse. It needs `orders` and `duty`.

    Left out = as the profile says; [] = none."""
    orders: bool = False
    """It may be told what its profile has in [commands] (`ecosentry order`); without this nothing is ever written to it."""
    quality: dict[str, Quality] = {}
    """By quantity, where the quantity's own limits do not fit."""
    inputs: dict[str, Input] = {}
    """By terminal, what is wired to an input module."""


_LIMIT_OR_LADDER = {"anyOf": [
    {"type": ["string", "number"], "examples": ["1.0 mg/L"]},
    {"type": "object", "additionalProperties": False, "minProperties": 1,
     "properties": {colour: {"type": ["string", "number"]} for colour in ("blue", "yellow", "orange", "red")}}]}
Ladder = Annotated[dict[Colour, LimitField], WithJsonSchema(_LIMIT_OR_LADDER, mode="validation")]
"""A limit for each colour; written as a single limit it has the rule's severity."""


class Rule(Selector):
    """What is not right, and how sure to be."""

    mean: Duration | None = None
    """Judge the rolling mean over this long; left out = every reading."""
    above: Ladder = {}
    """One limit, or a limit for each colour: one alert whose colour climbs and falls."""
    below: Ladder = {}
    """The same for values that are too low."""
    worse_than: str = ""
    """A class, as in "III", for quantities that are classes; "target" is the station's own."""
    severity: Colour = "yellow"
    """Of a single limit; a ladder names its own."""
    hold: Annotated[Duration, Field(alias="for")] = 0.0
    """So long beyond the limit before it fires."""
    dead_band: LimitField | None = None
    """So far back inside the limit before it ends."""
    end_for: Duration = 0.0
    """And so long back inside before it ends."""
    source: str = ""
    """Where the limit comes from: printed in every message."""
    advice: str = ""
    """What to do: the first line of the message."""

    _law: str = PrivateAttr("")

    @property
    def law(self) -> str:
        """The standard whose limit for the station and the time holds, above = "GB3096"; "" for figures."""
        return self._law

    @model_validator(mode="wrap")
    @classmethod
    def _single_limit(cls, written: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        """A single limit, above = "1.0 mg/L", is a ladder of one step, in the rule's severity; a standard is none."""
        if not isinstance(written, dict):
            return read(written)
        colour, law = written.get("severity", "yellow"), written.get("above")
        named: dict[str, object] = {"above": {}} if is_standard(law) else {}
        found = read({**written, **{side: {colour: written[side]} for side in ("above", "below")
                                    if isinstance(written.get(side), str | int | float) and colour in get_args(Colour)}, **named})
        found._law = str(law) if named else ""  # noqa: SLF001 - its own
        return found


class ChannelTable(Table):
    """What every channel has beside its kind's own keys (nothing yet)."""


def _no_doubles(to: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(to)) != len(to):
        raise ValueError("names a recipient twice")
    return to


class Subscription(Selector):
    """Who is told what."""

    to: Annotated[Names, AfterValidator(_no_doubles)]
    """CHANNEL:ADDRESS, or CHANNEL alone where the channel has one address of its own."""
    severity: Colour = "blue"
    """This and worse."""
    about: Literal["environment", "technical", "all"] = "environment"
    """Technical is the box, the wires and the instruments, not the river."""


class SinkTable(Selector):
    """What every sink has beside its kind's own keys."""

    send_every: Annotated[Duration, Field(le=86400)] = 0.0
    """Rows are gathered for so long and go in one request; 0 = as soon as they are journalled."""
    bytes_per_day: Annotated[Size, Field(ge=10_000)] | None = None
    """More never crosses the uplink on a day of the first station's zone; what is left waits. Messages to people are not counted."""
    metered: Names = ()
    """Network interfaces that cost, "wwan*"; only what crosses them counts for bytes_per_day. None = all of them."""
    backlog: Literal["beside", "unmetered"] = "beside"
    """beside: what has waited is sent beside what is new. unmetered: only over an interface that is not metered."""
    backlog_rate: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Rows a second of a backlog, at most; left out: what live rows leave room for."""

    @model_validator(mode="after")
    def _knows_what_costs(self) -> Self:
        if self.backlog == "unmetered" and not self.metered:
            raise ValueError('has backlog = "unmetered" and does not say which interfaces cost; write metered = "wwan*" beside it')
        return self


class Journal(Table):
    """Where readings are kept, for how long and in how much room."""

    path: str = ""
    """Folder; empty = $STATE_DIRECTORY, else journal/ beside the site file."""
    keep: Duration = 400 * 86400.0
    """Older readings are removed."""
    max_size: Size = 8 * 10**9
    """More than this is never used."""
    durable_within: Annotated[Duration, Field(ge=0.2, le=60)] = 0.2
    """A reading is on disk so soon after it came, and acknowledged then. Longer spares the card: each commit writes about 12 kB."""
    on_full: Literal["thin", "stop"] = "thin"
    """At the size limit, thin: oldest readings become minute means, these hourly ones. stop: nothing more is taken, and that is an alert."""


class Console(Table):
    """The box's own page."""

    enabled: bool = True
    listen: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$")] = "127.0.0.1:8080"
    """Only this box by default; from elsewhere: ssh -L 8080:127.0.0.1:8080."""
    note: Annotated[str, Field(max_length=500)] = ""
    """A line for everyone who looks: whose data these are, whom to call."""


class ClockTable(Table):
    """When the box's own time is believed."""

    trust: Literal["plausible", "synchronised"] = "plausible"
    """plausible: later than this software and everything journalled. synchronised: only what the kernel calls so."""


class Power(Table):
    """What the box lives on, watched through a series that a device measures: a battery's voltage, or a contact that says "failed"."""

    device: str = ""
    """Left out = not watched."""
    quantity: str = "battery_voltage"
    channel: str = ""
    low: LimitField | None = None
    """Below it what can wait is stopped: sinks and console. People are told."""
    critical: LimitField | None = None
    """Below it the daemon stops in good order."""
    back: LimitField | None = None
    """From here on everything goes on, after `back_for`."""
    back_for: Annotated[Duration, Field(ge=0, le=86400)] = 300.0
    """So long it must have been good before everything goes on."""
    stop_after: Annotated[Duration, Field(ge=1, le=86400)] = 600.0
    """Of a contact: so long after it failed the daemon stops in good order."""


class Line(Table):
    """A line: its kind, the keys that all lines have, and those of its kind."""

    kind: str
    common: LineTable
    options: Table


class SiteDevice(Table):
    """A device: the keys that all devices have (line and station filled in), and those of its protocol."""

    common: DeviceTable
    options: Table


class Channel(Table):
    """A channel: its kind and the keys of its kind."""

    kind: str
    common: ChannelTable
    options: Table


class Sink(Table):
    """A sink: its kind, which series it gets, and the keys of its kind."""

    kind: str
    common: SinkTable
    options: Table


class Site(Table):
    """A whole site file, checked: every name in it leads somewhere."""

    file: str = ""
    stations: dict[Slug, Station]
    lines: dict[Slug, Line] = {}
    devices: dict[Slug, SiteDevice] = {}
    maintenance: dict[Slug, Maintenance] = {}
    rules: dict[Slug, Rule] = {}
    channels: dict[Slug, Channel] = {}
    subscriptions: dict[Slug, Subscription] = {}
    sinks: dict[Slug, Sink] = {}
    journal: Journal = Journal()
    console: Console = Console()
    clock: ClockTable = ClockTable()
    power: Power = Power()
