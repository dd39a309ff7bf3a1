"""What a Modbus device says of itself in its status registers: the `[status.NAME]` of its profile, and what that makes of its values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.series import Reason, Series
from config.table import Table
from drivers.codecs.modbus import BIT_FUNCTIONS
from drivers.decode import Form, NumberType, Order
from drivers.driver import Device

Letter = Literal["N", "M", "C", "D", "F", "T", "w"]
"""What an instrument may say of its values: measuring, maintenance, calibration, fault, out of service, over range, warming up."""


def _number(written: object) -> object:
    """Contents of a register as they stand on the left of a TOML row: text."""
    return int(written, 0) if isinstance(written, str) else written


class Status(Table):
    """One `[status.NAME]` of a Modbus profile: a register or a bit of it, and what its contents say of the values."""

    first: Annotated[int, Field(alias="register", ge=0, le=0xFFFF)]
    """Key `register`: the address as it goes over the wire, from 0."""
    function: Literal[1, 2, 3, 4] = 3
    type: NumberType = "u16"
    order: Order = "ABCD"
    bit: int | None = None
    bits: int = 1
    """As in `[quantities]`."""
    means: Annotated[dict[Annotated[int, BeforeValidator(_number)], Letter], Field(min_length=1)]
    """Contents → what they say."""
    other: Letter = "N"
    """What contents say that `means` does not have."""
    of: tuple[str, ...] = ()
    """Which rows of `[quantities]` it is about; left out = all."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if (self.function in BIT_FUNCTIONS) != (self.form.type == "bit"):
            raise ValueError(f'function {self.function} and type "{self.type}" do not go together: functions 1 and 2 read type "bit"')
        return self

    @cached_property
    def form(self) -> Form:
        """How its registers are read. Raises ValueError if the keys contradict each other."""
        return Form(self.type, self.order, bit=self.bit, bits=self.bits)

    def says(self, contents: float) -> Reason:
        """The reason that it gives values."""
        return Reason.FAULT if math.isnan(contents) else Reason(ord(self.means.get(int(contents), self.other)))


@dataclass(frozen=True, slots=True)
class Word:
    """A status as one register group reads it: its row there, and the places of the values that it is about."""

    row: int
    status: Status
    places: tuple[int, ...]


def statuses(device: Device) -> tuple[Status, ...]:
    """Those of its profile. Raises ValueError if one is about a row that there is not."""
    found = {name: status for name, status in device.profile.status.items() if isinstance(status, Status)}
    for name, status in found.items():
        unknown = [row for row in status.of if row not in device.profile.file.quantities]
        if unknown:
            raise ValueError(f"device {device.name}: status.{name} of {device.profile.name} is about {', '.join(unknown)}, which it has not")
    return tuple(found.values())


def places(status: Status, names: Sequence[str]) -> tuple[int, ...]:
    """Where the values that it is about stand among these rows."""
    return tuple(place for place, name in enumerate(names) if not status.of or name in status.of)


def speak(words: Sequence[Word], values: Mapping[int, float], reason: bytearray) -> None:
    """Let values that came and are well say what the first status says that has something to say. One that did not come spoils them."""
    for word in words:
        says = word.status.says(values[word.row]) if word.row in values else Reason.COMMUNICATION
        if says != Reason.NORMAL:
            for place in word.places:
                if reason[place] == Reason.NORMAL:
                    reason[place] = says


class Newest:
    """What statuses said last, for those who hear requests and answers one by one."""

    def __init__(self, statuses: Sequence[Status], names: Sequence[str], series: Sequence[Series]) -> None:
        """`names` and `series` belong together, one a quantity."""
        self.statuses = tuple(statuses)
        self._about = [frozenset(series[place] for place in places(status, names)) for status in statuses]
        self._says: dict[int, Reason] = {}

    def hear(self, number: int, contents: float) -> None:
        """A status was heard."""
        self._says[number] = self.statuses[number].says(contents)

    def reason(self, series: Series) -> Reason:
        """Of a value that is well."""
        return next((says for number, says in sorted(self._says.items()) if says != Reason.NORMAL and series in self._about[number]), Reason.NORMAL)
