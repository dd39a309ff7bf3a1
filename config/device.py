"""A device profile: what a model of sensor measures and where it keeps it. One TOML file in `config/devices/` each."""

from typing import Annotated, Any, Literal

from pydantic import Field

from config.input_table import Input
from config.regime import DutyTable, Ready
from config.table import Table
from config.units import Duration


class ProfileFile(Table):
    """The keys of a profile file; the rows of `quantities` belong to the protocol (its `Row`) and are checked there."""

    maker: str
    model: str
    medium: Literal["water", "air", "weather", "noise", "soil", "vegetation", "emission", "energy", "technical", "any"]
    """What it is sold for; any = the profile of a format rather than of an instrument."""
    protocol: str
    source: str
    """Where the figures come from: which manual, which page."""
    verified: Literal["A", "B", "C", "M", "S"]
    """A maker's text, B two sources, C one, M memory; S our own simulated device."""
    evidence: Literal["example", "layout"] = "layout"
    interval: Duration
    ready: Ready | None = None
    """It needs so long after power-up; a site file may say otherwise."""
    duty: DutyTable | None = None
    """It is to sleep between measurements; a site file may say otherwise."""
    before: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """Commands that it is given each time before it measures, because it would not measure without; a site file may say otherwise."""
    default: dict[str, Any] = {}
    """As it leaves the factory: baudrate, format, address … the site file overrides."""
    timing: dict[str, Any] = {}
    """What the planner needs; the protocol's `Timing` checks it."""
    commands: dict[str, dict[str, Any]] = {}
    """What it can be told, `[commands.NAME]`; the protocol's `Command` checks them."""
    status: dict[str, dict[str, Any]] = {}
    """What it says of itself, `[status.NAME]`; the protocol's `Status` checks them."""
    history: dict[str, Any] = {}
    """Where it keeps a record of its own; the protocol's `History` checks it."""
    inputs: dict[str, Input] = {}
    """What its counts mean, by terminal, unless the site file says otherwise."""
    quantities: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    recognise: dict[str, Any] = {}


class Profile(Table):
    """A profile, checked: its rows are instances of the protocol's `Row`."""

    name: str
    path: str
    packaged: bool
    file: ProfileFile
    rows: dict[str, Table]
    """Quantity (or quantity:channel) → row."""
    timing: Table | None = None
    commands: dict[str, Table] = {}
    """Name → the protocol's `Command`."""
    status: dict[str, Table] = {}
    """Name → the protocol's `Status`."""
    history: Table | None = None
    """The protocol's `History`."""
