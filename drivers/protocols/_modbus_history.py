"""A Modbus instrument that keeps its own record: a ring of equal records in its registers, the `[history]` of its profile.

One register says in which slot the newest record is; slots follow one another, and after the last comes the first. A record
begins with, or holds, the time of its values. The beginning of what is wanted is found by halving, so that a long ring costs few requests.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.series import Origin, Reason, Series
from config.table import Table
from config.units import Duration
from drivers.codecs.modbus import Question
from drivers.decode import Form, Order, decode
from drivers.driver import Wire
from drivers.protocols._modbus_talk import Talk
from drivers.reading import Batch, Clock, Readings, Stamp

_EPOCHS = {"unix": 0, "2000": 946_684_800}
_MOST_REGISTERS = 125
_NONE = -(2**62)


class RecordTime(Table):
    """When the values of a record were measured: seconds since an epoch, on the instrument's clock."""

    at: Annotated[int, Field(ge=0, le=124)] = 0
    """Its first register within the record."""
    type: Literal["u32", "s32", "u64"] = "u32"
    order: Order = "ABCD"
    epoch: Literal["unix", "2000"] = "unix"
    """Seconds since 1970 or since 2000. 0 and all ones mean an empty slot."""
    ahead: Annotated[Duration, Field(ge=0, le=14 * 3600)] = 0.0
    """The instrument's clock shows so much more than UTC."""


class History(Table):
    """The `[history]` of a Modbus profile."""

    newest: Annotated[int, Field(ge=0, le=0xFFFF)]
    """The register that holds the number of the newest record's slot, from 0."""
    first: Annotated[int, Field(alias="register", ge=0, le=0xFFFF)]
    """Key `register`: where slot 0 begins."""
    size: Annotated[int, Field(ge=3, le=_MOST_REGISTERS)]
    """Registers a record."""
    records: Annotated[int, Field(ge=1, le=21845)]
    """Slots in the ring."""
    function: Literal[3, 4] = 3
    time: RecordTime = RecordTime()
    rows: Annotated[dict[str, Annotated[int, Field(ge=0, le=124)]], Field(min_length=1)]
    """Which rows of `[quantities]` a record holds: the first register within the record of each, written as its row says."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.first + self.size * self.records > 0x10000:
            raise ValueError(f"{self.records} records of {self.size} registers from register {self.first} on end beyond 65535")
        if self.time.at + self.time_form.registers > self.size:
            raise ValueError("time lies outside of the record")
        return self

    @property
    def time_form(self) -> Form:
        """How a time is written."""
        return Form(self.time.type, self.time.order)

    def at_ns(self, record: Sequence[int]) -> int:
        """UTC ns of a record; _NONE = its slot is empty."""
        words = record[self.time.at : self.time.at + self.time_form.registers]
        if all(word == 0 for word in words) or all(word == 0xFFFF for word in words):
            return _NONE
        return round((decode(self.time_form, words) + _EPOCHS[self.time.epoch] - self.time.ahead) * 1e9)


@dataclass(frozen=True, slots=True)
class Kept:
    """One quantity of the records."""

    series: Series
    form: Form
    at: int


def kept(history: History, forms: Mapping[str, Form], series: Mapping[str, Series], name: str) -> tuple[Kept, ...]:
    """What the records hold. Raises ValueError if they name a row that there is not, or one that does not fit into them."""
    for row, at in history.rows.items():
        if row not in forms:
            raise ValueError(f"device {name}: [history] names {row}, which the profile has not")
        if at + forms[row].registers > history.size:
            raise ValueError(f"device {name}: [history] {row} lies outside of the record")
    return tuple(Kept(series[row], forms[row], at) for row, at in history.rows.items())


class Records:
    """Reads records of one device; one exchange at a time, so that its polls go on meanwhile."""

    def __init__(self, history: History, rows: tuple[Kept, ...], unit: int, talk: Talk, max_registers: int) -> None:
        """Raises ValueError if a record is longer than what one request may ask for."""
        if history.size > max_registers:
            raise ValueError(f"a record of [history] has {history.size} registers, and no more than {max_registers} can be read at once")
        self._history, self._rows, self._unit, self._talk = history, rows, unit, talk
        self._at_once = max_registers // history.size
        self.series = tuple(row.series for row in rows)

    def read(self, since_ns: int, until_ns: int) -> Generator[Batch, Wire, None]:
        """See Remembers."""
        wire = yield _nothing()
        newest = self._talk.ask(Question(self._unit, self._history.function, self._history.newest, 1), wire)[0]
        if newest >= self._history.records:
            return  # nothing was recorded yet, or this is not where the number stands
        age, oldest = 0, self._history.records  # ages, in records before the newest; the first that is older than until_ns is halved for
        while age < oldest:
            wire = yield _nothing()
            middle = (age + oldest) // 2
            at_ns = self._history.at_ns(self._slots(newest, middle, 1, wire)[0])
            if at_ns != _NONE and at_ns >= until_ns:
                age = middle + 1
            else:
                oldest = middle
        before_ns = until_ns
        while age < self._history.records:
            wire = yield _nothing()
            count = min(self._at_once, self._history.records - age, (newest - age) % self._history.records + 1)
            records = self._slots(newest, age + count - 1, count, wire)[::-1]
            times = [self._history.at_ns(record) for record in records]
            good = next((place for place, at_ns in enumerate(times) if not since_ns < at_ns < (before_ns, *times)[place]), count)
            wire = yield self._batch(list(zip(times[:good], records[:good], strict=True)), wire.clock)
            if good < count:
                return  # older ones, empty ones, or the ring has been overtaken
            before_ns, age = times[-1], age + count

    def _slots(self, newest: int, age: int, count: int, wire: Wire) -> list[list[int]]:
        """`count` records, oldest first, of which the first is `age` records older than the newest."""
        history = self._history
        first = history.first + (newest - age) % history.records * history.size
        registers = self._talk.ask(Question(self._unit, history.function, first, count * history.size), wire)
        return [registers[place : place + history.size] for place in range(0, len(registers), history.size)]

    def _batch(self, records: Sequence[tuple[int, Sequence[int]]], clock: Clock) -> Batch:
        readings = Readings(clock.now(), own_time=True, origin=Origin.BACKFILL)
        for at_ns, record in reversed(records):
            for row in self._rows:
                value = decode(row.form, record[row.at : row.at + row.form.registers])
                readings.add(row.series, value, Reason.FAULT if math.isnan(value) else Reason.NORMAL, at_ns)
        return readings.batch()


def _nothing() -> Batch:
    """Nothing came of the last exchange yet."""
    return Readings(Stamp("", 0, 0)).batch()
