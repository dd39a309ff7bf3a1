"""DL/T 645 energy meters (2007, and 1997 by its shorter data items) on RS-485; several meters share a line.

A row names a data item and where in it the value lies; rows of one item are read with one request. The answer names
meter and item, so a late one is never taken for another.
"""

import math
from typing import Annotated

from pydantic import Field, field_validator

from config.errors import DeviceError
from config.series import Series
from config.table import Table
from config.units import Duration
from drivers.blocks import LineSpeed
from drivers.codecs import dlt645
from drivers.driver import Device, Group, Wire
from drivers.protocols._exchange import Exchange
from drivers.protocols._gathered import Gathered
from drivers.protocols._priority import RANKS, Priority
from drivers.reading import Batch

LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
_WAKE = 4


class Options(Table):
    """Keys of a meter in the site file, beside those that all devices have."""

    address: str | None = None
    """The number on its label, up to 12 digits; left out = it is alone on its line and answers to any address."""
    priority: Priority = "normal"
    """Who is read first when the line is short of time."""

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str | None) -> str | None:
        return None if address is None else dlt645.full_address(address)


class Row(Table):
    """One quantity of a profile."""

    unit: str
    item: str
    """The data item: 8 hex digits as the standard writes them (2007), or 4 (1997)."""
    size: Annotated[int, Field(ge=1, le=8)]
    """Bytes of the value."""
    at: Annotated[int, Field(ge=0, le=190)] = 0
    """Where in the item's data it begins: block items hold several values."""
    decimals: Annotated[int, Field(ge=0, le=6)] = 0
    signed: bool = False
    """The highest bit is the sign."""

    @field_validator("item")
    @classmethod
    def _is_item(cls, item: str) -> str:
        dlt645.item_bytes(item)
        return item.upper()


class Timing(Table):
    """`[timing]` of its profiles."""

    answer: Duration = 0.5
    """The first byte of an answer comes no later than this."""
    turnaround: Duration = 0.1
    """It usually comes after this; for the load forecast."""


class Driver:
    """Asks one meter."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if line or rows cannot work."""
        options, speed = device.options, device.line_options
        if not isinstance(options, Options) or not isinstance(speed, LineSpeed):
            raise ValueError(f"device {device.name}: DL/T 645 needs a line of kind serial, tcp or tcp_server")
        timing = device.profile.timing if isinstance(device.profile.timing, Timing) else Timing()
        self._address = options.address or dlt645.ANYONE
        self._items: dict[str, dict[Series, Row]] = {}
        for series, row in device.rows(Row).items():
            self._items.setdefault(row.item, {})[series] = row
        self._series = tuple(series for rows in self._items.values() for series in rows)
        self._exchange = Exchange(device.name, speed.character_s, timing.answer, overdue_s=1.0, round_trip_s=speed.round_trip_s)
        frames = [2 * (dlt645.LEAST + _WAKE) + 2 * len(item) // 2 + _bytes(rows) for item, rows in self._items.items()]
        time_s = sum(characters * speed.character_s + timing.turnaround + speed.round_trip_s for characters in frames)
        self._group = Group("all", device.interval_s, RANKS[options.priority], time_s, self._series)

    def groups(self) -> tuple[Group, ...]:
        """See Asked."""
        return (self._group,)

    def poll(self, group: Group, wire: Wire) -> Batch:
        """See Asked."""
        got = Gathered(self._series)
        for item, rows in self._items.items():
            if got.is_absent:
                got.failed(rows, DeviceError("not asked: the meter is silent"))
                continue
            try:
                data = self._read(item, _bytes(rows), wire)
            except DeviceError as fault:
                got.failed(rows, fault)
            else:
                got.values.update({series: _value(data, row) for series, row in rows.items()})
        return got.batch(wire)

    def _read(self, item: str, size: int, wire: Wire) -> bytes:
        """The data of an item. Raises DeviceError."""
        named = dlt645.item_bytes(item)
        control = dlt645.READ_2007 if len(named) == 4 else dlt645.READ_1997
        request = dlt645.build(dlt645.Frame(self._address, control, named), _WAKE)
        frame = self._exchange.ask(
            request, lambda so_far: dlt645.missing(so_far, control, self._address, named, len(named) + size),
            lambda came: dlt645.find(came, control, self._address, named), dlt645.LEAST + _WAKE + len(named) + size, wire)
        if frame.control & dlt645.ERROR:
            raise DeviceError(f"item {item}: {dlt645.refusal(frame)}", "exception")
        return frame.data[len(named) :]


def _bytes(rows: dict[Series, Row]) -> int:
    return max(row.at + row.size for row in rows.values())


def _value(data: bytes, row: Row) -> float:
    piece = data[row.at : row.at + row.size]
    return dlt645.bcd(piece, row.decimals, signed=row.signed) if len(piece) == row.size else math.nan
