"""What a Modbus device can be told: the `[commands.NAME]` of its profile, and carrying one out.

Before anything is written the device is read once. One that does not answer gets nothing, so that most failures are known
failures; and the answer shows whether the line echoes, for then a confirmation looks like our own request.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import DeviceError, LineError
from config.table import Table
from config.units import Duration
from drivers.codecs.modbus import DeclinedError, Question
from drivers.codecs.modbus_write import MOST_WRITTEN, Write
from drivers.decode import Form, NumberType, Order, decode, encode
from drivers.driver import Wire
from drivers.likely import explained
from drivers.order import Order as Given
from drivers.order import Outcome, Verb
from drivers.protocols._modbus_talk import Talk

_MAY_BE_DONE = frozenset({4, 5, 11})
"""Exceptions that leave open whether it was carried out: failed in the middle, acknowledged and at work, lost behind a gateway."""


class Command(Table):
    """One `[commands.NAME]` of a Modbus profile: what is written where."""

    what: Annotated[str, Field(min_length=1)]
    """What it does, in words: the person who gives the order is asked with them."""
    function: Literal[3, 5, 6, 15, 16]
    """5 one coil, 6 one register, 15 coils, 16 registers; 3 and 16 with `value = []` ask for no register, which tells some devices to act."""
    first: Annotated[int, Field(alias="register", ge=0, le=0xFFFF)]
    """Key `register`: the address as it goes over the wire, from 0."""
    value: int | float | tuple[int, ...] | None = None
    """What is written: a number, or for 15 and 16 a list as it goes over the wire. Left out if the order brings it, see `range`.

    An empty list: the request itself is all."""
    range: tuple[float, float] | None = None
    """The order brings the value, from … to, in `unit`."""
    unit: str = ""
    """Of the value, for people."""
    type: NumberType = "u16"
    order: Order = "ABCD"
    decimals: Annotated[int, Field(ge=-9, le=18)] = 0
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    """How the number is written; as in [quantities]."""
    settle: Duration = 0.0
    """Afterwards the device is left alone for so long."""
    answer: Duration = 2.0
    """It confirms no later than this: some write to slow memory first."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.function == 3 and self.value != ():
            raise ValueError("has function 3, which writes nothing; it tells by being asked for no register: write value = []")
        if (self.value is None) == (self.range is None):
            raise ValueError("has to say either value = …, or range = [from, to] for a value that the order brings")
        if self.range is not None and not (math.isfinite(self.range[0]) and self.range[0] < self.range[1] < math.inf):
            raise ValueError("has a range that is none; write range = [from, to]")
        values = (self.value,) if self.range is None else self.range
        for value in values:
            self.write(1, value if not isinstance(value, tuple) else None)
        return self

    @cached_property
    def form(self) -> Form:
        """How its number lies in registers. Raises ValueError if the keys contradict each other."""
        return Form("bit" if self.function in (5, 15) else self.type, self.order, self.decimals, self.scale, self.offset)

    @property
    def verb(self) -> Verb:
        """For people, and for what is checked before an order is taken."""
        low, high = self.range or (None, None)
        return Verb(self.what, self.settle, low, high, self.unit)

    def write(self, unit: int, value: float | None) -> Write:
        """The request; `value` as the order brings it. Raises ValueError for a number that the registers cannot hold exactly."""
        fixed = value if value is not None else self.value
        if isinstance(fixed, tuple):
            return Write(unit, self.function, self.first, fixed)
        assert fixed is not None
        registers = encode(self.form, float(fixed))
        if decode(self.form, registers) != float(fixed):
            raise ValueError(f"cannot write {fixed} exactly: the nearest that the device can hold is {decode(self.form, registers):g}")
        if len(registers) > MOST_WRITTEN[self.function]:
            raise ValueError(f'function {self.function} writes one register, and type "{self.type}" has {len(registers)}; use 16')
        return Write(unit, self.function, self.first, registers)


class Commands:
    """See Obeys: the commands of one device."""

    def __init__(self, commands: Mapping[str, Table], unit: int, talk: Talk, first_read: Question) -> None:
        """`first_read` is asked before each order."""
        self._commands = {name: command for name, command in commands.items() if isinstance(command, Command)}
        self._unit, self._talk, self._first_read = unit, talk, first_read
        self.verbs: Mapping[str, Verb] = {name: command.verb for name, command in self._commands.items()}

    def check(self, order: Given) -> None:
        """See Obeys."""
        command = self._commands.get(order.verb)
        if command is None:
            raise ValueError(f"knows no {order.verb}; it knows {', '.join(self._commands) or 'no commands'}")
        command.verb.check(order.value)
        command.write(self._unit, order.value)

    def obey(self, order: Given, wire: Wire) -> Outcome:
        """See Obeys."""
        self.check(order)
        command = self._commands[order.verb]
        try:
            self._talk.ask(self._first_read, wire)
        except DeclinedError:
            pass  # it is there, and that is all that was to be known
        except DeviceError as fault:
            return Outcome("failed", f"nothing was written: {fault}", fault.cause)
        except LineError as fault:  # a line that is lost is found so by the next poll
            return Outcome("failed", f"nothing was written: {fault}")
        try:
            self._talk.write(command.write(self._unit, order.value), wire, command.answer)
        except DeclinedError as declined:
            return Outcome("unknown" if declined.code in _MAY_BE_DONE else "failed", f"the device answers {explained(declined)}")
        except DeviceError as fault:
            return Outcome("unknown", f"it was sent; {fault}", fault.cause)
        return Outcome("done", "confirmed by the device")
