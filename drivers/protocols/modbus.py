"""Modbus: reads the quantities of a profile from one device, over a serial line (RTU, ASCII), TCP, or serial frames in TCP.

What came is kept: a poll asks block by block, and only the values of a block that failed are missing. A device that
stays silent is not asked for its other blocks in the same poll. After a time-out its late answer is listened for before
the same device is asked again, so that it can never be taken for the next one.
"""

from collections.abc import Generator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.series import Series
from config.table import Table
from config.units import Duration, duration_text
from drivers.blocks import LineSpeed, Want, cost
from drivers.codecs.modbus import BIT_FUNCTIONS, Question
from drivers.decode import Form, NumberType, Order
from drivers.driver import Device, Group, Pause, Wire
from drivers.order import Order as Given
from drivers.order import Outcome, Verb
from drivers.overheard import OverheardDriver
from drivers.protocols._missing import Missing
from drivers.protocols._modbus_history import History, Records, kept
from drivers.protocols._modbus_orders import Command, Commands
from drivers.protocols._modbus_registers import Limits, Registers
from drivers.protocols._modbus_status import Newest, Status, Word, places, statuses
from drivers.protocols._modbus_talk import Talk
from drivers.protocols._priority import RANKS, Priority
from drivers.reading import Batch

__all__ = ["Command", "Driver", "History", "Options", "Row", "Status", "Timing"]
LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""


class Options(Table):
    """Keys of a Modbus device in the site file, beside those that all devices have."""

    address: Annotated[int, Field(ge=0, le=255)] | None = None
    """Unit 1..247 (TCP: 0..255); left out = the profile's default, else 1."""
    function: Literal[3, 4] | None = None
    """Read holding (3) or input registers (4) where this unit differs from its profile."""
    answer: Duration | None = None
    """The first byte comes no later than this; left out = the profile's."""
    priority: Priority = "normal"
    """Who is read first when the line is short of time."""


class Row(Table):
    """One quantity of a Modbus profile: where it lies and how it is written."""

    unit: str
    place: Annotated[int, Field(alias="register", ge=0, le=0x10000)]
    """Key `register`: the address as it goes over the wire, from 0, unless `base` says that it is counted otherwise."""
    base: Literal[0, 1] = 0
    """1: the manual counts registers from 1, and so does the key `register`; over the wire goes one less."""
    type: NumberType = "u16"
    order: Order = "ABCD"
    function: Literal[1, 2, 3, 4] = 3
    decimals: Annotated[int, Field(ge=-9, le=18)] = 0
    """The register holds the value times ten to this."""
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    """value = register × scale + offset; instead of decimals."""
    missing: Missing = ()
    """Register contents (before scaling) that mean: no value."""
    bit: int | None = None
    bits: int = 1
    """A field of `bits` bits that begins at `bit`, 0 = least significant."""
    length: Annotated[int, Field(ge=0, le=250)] = 0
    """Characters of a text."""
    states: dict[Annotated[str, Field(min_length=1, max_length=64)], float] = {}
    """What a text may say, and the value of each: { "RUN" = 1, "STOP" = 0 }."""

    interval: Annotated[Duration, Field(gt=0)] | None = None
    """How often it is read; left out = as the device. Rows of one interval and priority are a register group, read together."""
    priority: Priority | None = None
    """Who is read first when the line is short of time; left out = as the device."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        form = self.form
        if self.first < 0:
            raise ValueError("register 0 and base = 1 do not go together: counted from 1 there is none")
        if (self.function in BIT_FUNCTIONS) != (form.type == "bit"):
            raise ValueError(f'function {self.function} and type "{self.type}" do not go together: functions 1 and 2 read type "bit"')
        if self.first + form.registers > 0x10000:
            raise ValueError(f"register {self.first} as {self.type} ends beyond 65535")
        return self

    @cached_property
    def form(self) -> Form:
        """How its registers are read. Raises ValueError if the keys contradict each other."""
        return Form(self.type, self.order, self.decimals, self.scale, self.offset, self.missing, self.bit, self.bits, self.length,
                    tuple(self.states.items()))

    @property
    def first(self) -> int:
        """Its first register (or coil) as it goes over the wire, from 0."""
        return self.place - self.base


class Timing(Table):
    """`[timing]` of a Modbus profile: what the planner may assume of the model."""

    answer: Duration = 0.5
    """The first byte of an answer comes no later than this, from the end of the request."""
    turnaround: Duration = 0.02
    """It usually comes after this; for the choice of blocks and the load forecast."""
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    """The most registers that it gives in one answer."""
    forbidden: tuple[tuple[int, int], ...] = ()
    """Registers (first, last) that must never be read, also not on the way to others."""


class Driver:
    """Asks one device. Used by the one thread that owns its line."""

    def __init__(self, device: Device) -> None:
        """Plans the blocks. Raises ValueError if line, address or rows cannot work."""
        options, speed = device.options, device.line_options
        if not isinstance(options, Options) or not isinstance(speed, LineSpeed):
            raise ValueError(f"device {device.name}: Modbus needs a line of kind serial, tcp or tcp_server")
        timing = device.profile.timing if isinstance(device.profile.timing, Timing) else Timing()
        self._unit = _address(device, options, speed)
        self._rows = {name: row for name, row in device.profile.rows.items() if isinstance(row, Row)}
        self._wants = {name: Want(options.function or row.function if row.function == 3 else row.function, row.first, row.form.registers)
                       for name, row in self._rows.items()}
        self._series = {name: device.series(*name.split(":", 1)) for name in self._rows}
        self._statuses = statuses(device)
        price = cost(speed, timing.turnaround)
        talk = Talk(device.name, speed, options.answer or timing.answer)
        self._parts: dict[str, Registers] = {}
        for group, names in self._shared(device, options):
            forms, wants = [self._rows[name].form for name in names], [self._wants[name] for name in names]
            limits = Limits(timing.max_registers, timing.forbidden)
            about = [(status, there) for status in self._statuses if (there := places(status, names))]
            words = tuple(Word(len(names) + number, status, there) for number, (status, there) in enumerate(about))
            forms, wants = forms + [word.status.form for word in words], wants + [want(word.status) for word in words]
            self._parts[group.name] = Registers(device.name, self._unit, group, forms, wants, price, limits, talk, words)
        self._records = self._remembering(device, talk, timing.max_registers)
        blocks = [block for part in self._parts.values() for block in part.blocks]
        shortest = min(blocks, key=lambda block: price.of(block.function, block.count))
        self._commands = Commands(device.profile.commands if device.may_obey else {}, self._unit, talk,
                                  Question(self._unit, shortest.function, shortest.first, shortest.count))

    def _shared(self, device: Device, options: Options) -> list[tuple[Group, list[str]]]:
        """The register groups, not yet planned, and the rows of each: those of one interval and priority."""
        found: dict[tuple[float, Priority], list[str]] = {}
        for name, row in self._rows.items():
            priority = row.priority if row.priority and options.priority == "normal" else options.priority
            found.setdefault((row.interval or device.interval_s, priority), []).append(name)
        return [(Group("all" if len(found) == 1 else f"{duration_text(interval_s)} {priority}", interval_s, RANKS[priority], 0.0,
                       tuple(self._series[name] for name in names)), names) for (interval_s, priority), names in found.items()]

    def _remembering(self, device: Device, talk: Talk, max_registers: int) -> Records | None:
        history = device.profile.history
        if not isinstance(history, History):
            return None
        rows = kept(history, {name: row.form for name, row in self._rows.items()}, self._series, device.name)
        return Records(history, rows, self._unit, talk, max_registers)

    @property
    def remembered(self) -> tuple[Series, ...]:
        """See Remembers."""
        return self._records.series if self._records is not None else ()

    def history(self, since_ns: int, until_ns: int) -> Generator[Batch, Wire, None]:
        """See Remembers."""
        if self._records is not None:
            yield from self._records.read(since_ns, until_ns)

    def groups(self) -> tuple[Group, ...]:
        """See Asked: the quantities of the profile by interval and priority."""
        return tuple(part.group for part in self._parts.values())

    def poll(self, group: Group, wire: Wire) -> Batch | Pause:
        """See Asked."""
        return self._parts[group.name].poll(wire)

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """See Obeys."""
        return self._commands.verbs

    def check(self, order: Given) -> None:
        """See Obeys."""
        self._commands.check(order)

    def obey(self, order: Given, wire: Wire) -> Outcome:
        """See Obeys."""
        return self._commands.obey(order, wire)

    def overheard(self) -> OverheardDriver:
        """See Overhears."""
        series = tuple(self._series.values())
        newest = Newest(self._statuses, list(self._rows), series)
        return OverheardDriver(self._unit, [row.form for row in self._rows.values()], list(self._wants.values()), series, self.groups(),
                               [(status.form, want(status)) for status in self._statuses], newest)


def want(status: Status) -> Want:
    """The registers of a status."""
    return Want(status.function, status.first, status.form.registers)


def _address(device: Device, options: Options, speed: LineSpeed) -> int:
    usual = device.profile.file.default.get("address", 1)  # some sensors have left their factory at a reserved one
    address = options.address if options.address is not None else usual
    if not isinstance(address, int) or (speed.framing != "tcp" and not 1 <= address <= 247 and address != usual):
        raise ValueError(f"device {device.name}: address {address!r} is not a Modbus unit; write 1 to 247")
    return address
