"""Modbus: reads the quantities of a profile from one device, over a serial line, TCP, or serial frames in TCP.

What came is kept: a poll asks block by block, and only the values of a block that failed are missing. A device that
stays silent is not asked for its other blocks in the same poll. After a time-out its late answer is listened for before
the same device is asked again, so that it can never be taken for the next one.
"""

import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.errors import DeviceError, LineError
from config.series import Reason
from config.table import Table
from config.units import Duration
from drivers.blocks import Block, Cost, LineSpeed, Want, cost, plan
from drivers.codecs.modbus import BIT_FUNCTIONS, FRAMINGS, DeclinedError, Question
from drivers.decode import Form, NumberType, Order, decode
from drivers.driver import Device, Group, Wire
from drivers.reading import Batch, Readings

log = logging.getLogger(__name__)
LINES = frozenset({"serial", "tcp"})
"""Kinds of line that it works on."""
_numbers = itertools.count(1)
"""Transaction numbers: one sequence for all, so that devices behind one connection never share one."""
_PRIORITIES = {"high": 0, "normal": 1, "low": 2}
_AGAIN = frozenset({"noise", "short"})
"""Faults of the moment: asked once more at once. A silent device is not: others are waiting."""


class Options(Table):
    """Keys of a Modbus device in the site file, beside those that all devices have."""

    address: Annotated[int, Field(ge=0, le=255)] | None = None
    """Unit 1..247 (TCP: 0..255); left out = the profile's default, else 1."""
    function: Literal[3, 4] | None = None
    """Read holding (3) or input registers (4) where this unit differs from its profile."""
    answer: Duration | None = None
    """The first byte comes no later than this; left out = the profile's."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Who is read first when the line is short of time."""


def _several(missing: object) -> object:
    return (missing,) if isinstance(missing, int | float) else missing


class Row(Table):
    """One quantity of a Modbus profile: where it lies and how it is written."""

    unit: str
    first: Annotated[int, Field(alias="register", ge=0, le=0xFFFF)]
    """Key `register`: the address as it goes over the wire, from 0."""
    type: NumberType = "u16"
    order: Order = "ABCD"
    function: Literal[1, 2, 3, 4] = 3
    decimals: Annotated[int, Field(ge=-9, le=18)] = 0
    """The register holds the value times ten to this."""
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    """value = register × scale + offset; instead of decimals."""
    missing: Annotated[tuple[int | float, ...], BeforeValidator(_several)] = ()
    """Register contents (before scaling) that mean: no value."""
    bit: int | None = None
    bits: int = 1
    """A field of `bits` bits that begins at `bit`, 0 = least significant."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        form = self.form
        if (self.function in BIT_FUNCTIONS) != (form.type == "bit"):
            raise ValueError(f'function {self.function} and type "{self.type}" do not go together: functions 1 and 2 read type "bit"')
        if self.first + form.registers > 0x10000:
            raise ValueError(f"register {self.first} as {self.type} ends beyond 65535")
        return self

    @cached_property
    def form(self) -> Form:
        """How its registers are read. Raises ValueError if the keys contradict each other."""
        return Form(self.type, self.order, self.decimals, self.scale, self.offset, self.missing, self.bit, self.bits)


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


@dataclass(slots=True)
class Patience:
    """How long to wait for the first byte: learned from the answers, never longer than the profile's bound."""

    bound_s: float
    floor_s: float
    worst_s: float = -1.0
    """Slowest answer seen lately, fading; -1 = none yet."""
    failed: int = 0

    @property
    def timeout_s(self) -> float:
        """Three times the slowest answer and a margin; the whole bound until one came and after a failure."""
        if self.worst_s < 0 or self.failed:
            return self.bound_s
        return min(self.bound_s, max(self.floor_s, 3 * self.worst_s + 0.05))

    def answered(self, turnaround_s: float) -> None:
        """An answer began after so long."""
        self.failed = 0
        self.worst_s = max(turnaround_s, 0.98 * self.worst_s, 0.0)


@dataclass(slots=True)
class _Overdue:
    """A question whose answer may still come."""

    question: Question
    until_mono_ns: int


@dataclass(slots=True)
class _Poll:
    """What one poll has so far: values by row, and why others are missing."""

    values: dict[int, float] = field(default_factory=dict)
    failures: dict[int, DeviceError] = field(default_factory=dict)
    silent: bool = False


class Driver:
    """Asks one device. Used by the one thread that owns its line."""

    def __init__(self, device: Device) -> None:
        """Plans the blocks. Raises ValueError if line, address or rows cannot work."""
        options, speed = device.options, device.line_options
        if not isinstance(options, Options) or not isinstance(speed, LineSpeed):
            raise ValueError(f"device {device.name}: Modbus needs a line of kind serial or tcp")
        timing = device.profile.timing if isinstance(device.profile.timing, Timing) else Timing()
        self.name = device.name
        self._speed = speed
        self._framing = FRAMINGS[speed.framing]
        self._unit = _address(device, options, speed)
        self._rows = [row for row in device.profile.rows.values() if isinstance(row, Row)]
        self._series = tuple(device.series(*name.split(":", 1)) for name in device.profile.rows)
        self._price = cost(speed, timing.turnaround)
        self._timing = timing
        self._wants = [Want(options.function or row.function if row.function == 3 else row.function, row.first, row.form.registers)
                       for row in self._rows]
        self._blocks = plan(self._wants, self._price, timing.max_registers, timing.forbidden)
        self._split: set[Block] = set()
        bound_s = (options.answer or timing.answer) + 2 * speed.round_trip_s
        self._patience = Patience(bound_s, min(bound_s, 0.1 + 2 * speed.round_trip_s))
        self._overdue: _Overdue | None = None
        self._group = Group("all", device.interval_s, _PRIORITIES[options.priority], self._line_time_s(self._price), self._series)

    def groups(self) -> tuple[Group, ...]:
        """See Asked: one group, all quantities of the profile."""
        return (self._group,)

    def poll(self, group: Group, wire: Wire) -> Batch:
        """See Asked."""
        done = _Poll()
        for block in self._blocks:
            if done.silent:
                done.failures.update(dict.fromkeys(block.rows, DeviceError("not asked: the device is silent")))
            else:
                self._read(block, wire, done)
        if not done.values:
            raise next(iter(done.failures.values()))
        return self._batch(done, wire)

    def _line_time_s(self, price: Cost) -> float:
        return sum(price.of(block.function, block.count) for block in self._blocks)

    def _read(self, block: Block, wire: Wire, done: _Poll) -> None:
        """One block into `done`; one that the device declines as illegal is split, once and for good."""
        try:
            registers = self._ask(Question(self._unit, block.function, block.first, block.count), wire)
        except DeclinedError as declined:
            if declined.code in (2, 3) and len(block.rows) > 1 and block not in self._split:
                for piece in self._divide(block):
                    if not done.silent:
                        self._read(piece, wire, done)
                return
            done.failures.update(dict.fromkeys(block.rows, declined))
        except DeviceError as fault:
            done.silent = fault.cause == "silent"
            done.failures.update(dict.fromkeys(block.rows, fault))
        else:
            for row in block.rows:
                at = self._wants[row].first - block.first
                done.values[row] = decode(self._rows[row].form, registers[at : at + self._wants[row].count])

    def _divide(self, block: Block) -> Sequence[Block]:
        """The pieces of a declined block: its runs without holes, or, if it had none, row by row."""
        wants = [self._wants[row] for row in block.rows]
        pieces = plan(wants, self._price, self._timing.max_registers, self._timing.forbidden, over_holes=False)
        if len(pieces) == 1:
            pieces = tuple(Block(want.function, want.first, want.count, (i,)) for i, want in enumerate(wants))
        named = tuple(Block(p.function, p.first, p.count, tuple(block.rows[i] for i in p.rows)) for p in pieces)
        log.info("%s: declines registers %d to %d in one request; from now on read in %d", self.name, block.first,
                 block.first + block.count - 1, len(named))
        self._split.update(named)
        place = self._blocks.index(block)
        self._blocks = (*self._blocks[:place], *named, *self._blocks[place + 1 :])
        return named

    def _ask(self, question: Question, wire: Wire) -> list[int]:
        self._await_overdue(question, wire)
        try:
            return self._exchange(question, wire)
        except DeviceError as fault:
            if fault.cause not in _AGAIN:
                raise
            log.debug("%s: %s; asked again", self.name, fault)
        return self._exchange(question, wire)

    def _exchange(self, question: Question, wire: Wire) -> list[int]:
        number = next(_numbers) & 0xFFFF
        request = self._framing.ask(question, number)
        wire.drain()
        wire.send(request)
        sent_ns = wire.clock.now().mono_ns
        frames_s = (len(request) + 5 + question.data_bytes) * self._speed.character_s
        frame = wire.receive(lambda so_far: self._framing.still(question, number, so_far), self._patience.timeout_s + frames_s)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s  > %s  < %s", self.name, request.hex(" "), frame.hex(" ") or "nothing")
        if self._framing.still(question, number, frame) < 0:
            raise LineError(f"{self.name}: what came is not Modbus TCP: {frame[:16].hex(' ')}")
        try:
            registers = self._framing.answer(question, number, frame)
        except DeclinedError:
            self._learn(wire, sent_ns, frames_s)
            raise
        except DeviceError as fault:
            self._patience.failed += 1
            self._after_fault(question, fault, sent_ns, frames_s, wire)
            raise
        self._learn(wire, sent_ns, frames_s)
        return registers

    def _learn(self, wire: Wire, sent_ns: int, frames_s: float) -> None:
        self._patience.answered((wire.clock.now().mono_ns - sent_ns) / 1e9 - frames_s)

    def _after_fault(self, question: Question, fault: DeviceError, sent_ns: int, frames_s: float, wire: Wire) -> None:
        """Remember that an answer may still come, or let the rest of a spoilt one pass."""
        if fault.cause in _AGAIN:
            wire.receive(lambda so_far: 1, frames_s + 0.01)
        elif self._speed.framing == "rtu":
            horizon_s = max(1.0, 2 * self._patience.bound_s) + 10 * self._speed.round_trip_s
            self._overdue = _Overdue(question, sent_ns + int(horizon_s * 1e9))

    def _await_overdue(self, question: Question, wire: Wire) -> None:
        """Listen for the late answer to an earlier question if it could be mistaken for the answer to this one."""
        overdue = self._overdue
        if overdue is None or overdue.question.function != question.function:
            return
        self._overdue = None
        rest_s = (overdue.until_mono_ns - wire.clock.now().mono_ns) / 1e9
        if rest_s > 0:
            late = wire.receive(lambda so_far: self._framing.still(overdue.question, 0, so_far), rest_s)
            log.debug("%s: late answer %s thrown away", self.name, late.hex(" ") or "did not come")

    def _batch(self, done: _Poll, wire: Wire) -> Batch:
        readings = Readings(wire.clock.now())
        for place, series in enumerate(self._series):
            value = done.values.get(place, math.nan)
            readings.add(series, value, self._reason(done.failures.get(place), value))
        return readings.batch()

    @staticmethod
    def _reason(fault: DeviceError | None, value: float) -> Reason:
        if fault is None:
            return Reason.FAULT if math.isnan(value) else Reason.NORMAL
        return Reason.DEVICE if isinstance(fault, DeclinedError) else Reason.COMMUNICATION


def _address(device: Device, options: Options, speed: LineSpeed) -> int:
    address = options.address if options.address is not None else device.profile.file.default.get("address", 1)
    if not isinstance(address, int) or (speed.framing == "rtu" and not 1 <= address <= 247):
        raise ValueError(f"device {device.name}: address {address!r} is not a Modbus unit; write 1 to 247")
    return address
