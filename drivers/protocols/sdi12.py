"""SDI-12 sensors through a transparent adapter (one that makes break and timing itself and passes the characters).

A row says which measurement it belongs to and which of its values it is: { ask = "MC", value = 1 }. A measurement is
started, waited for (a service request ends the wait early), and its values are fetched with D0, D1 … until all are there.
While a concurrent one (C, CC) goes on, the line is free for the others: they measure at the same time.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated, TypeVar

from pydantic import Field

from config.errors import DeviceError
from config.series import Series
from config.table import Table
from config.units import Duration
from drivers.blocks import LineSpeed
from drivers.codecs import sdi12
from drivers.codecs.frame import NotAFrame
from drivers.driver import Device, Group, Pause, Wire
from drivers.protocols._exchange import Exchange
from drivers.protocols._gathered import Gathered
from drivers.protocols._missing import Missing
from drivers.protocols._priority import RANKS, Priority
from drivers.reading import Batch

T = TypeVar("T")
LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
_CHARACTER_S = 10 / 1200
_LONGEST = 82
"""Characters of the longest answer: address, 75 of values, CRC, line end."""
_SERVICE_S = 1.0
"""The service request may come so much later than announced."""
_MOST_FETCHES = 10


class Options(Table):
    """Keys of a sensor in the site file, beside those that all devices have."""

    address: Annotated[str, Field(pattern=r"^[0-9A-Za-z?]$")] | None = None
    """One character; left out = the profile's default, else "0". "?" = the only sensor of its line: it is asked for its address."""
    priority: Priority = "normal"
    """Who is read first when the line is short of time."""


class Row(Table):
    """One quantity of a profile."""

    unit: str
    ask: Annotated[str, Field(pattern=r"^((M|MC|C|CC)[1-9]?|V|RC?[0-9])$")]
    """The measurement: M, MC, C, CC (1 to 9 behind it for others), V, R0 to R9, RC0 to RC9; those with C at the end have a checksum."""
    value: Annotated[int, Field(ge=1, le=99)]
    """Which of its values, from 1."""
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    """value = number × scale + offset."""
    missing: Missing = ()
    """Numbers that mean: no value."""
    fault: Annotated[int, Field(ge=1, le=99)] | None = None
    """Which of its values is an error code: unless it is 0, the value is kept and has the reason D."""

    @property
    def needs(self) -> int:
        """So many values of the measurement must be there."""
        return max(self.value, self.fault or 0)

    def is_faulty(self, values: Sequence[str]) -> bool:
        """Does the sensor say that its value is none?"""
        return self.fault is not None and self.fault <= len(values) and Decimal(values[self.fault - 1]) != 0

    def number(self, written: str) -> float:
        """The value of what the sensor wrote; NaN if it means none."""
        number = Decimal(written)
        return math.nan if float(number) in self.missing else float(number * self.scale + self.offset)


_Ask = tuple[str, dict[Series, Row]]
"""A measurement and the quantities that it gives."""


class Timing(Table):
    """`[timing]` of an SDI-12 profile."""

    answer: Duration = 1.0
    """The first character of an answer comes no later than this, the adapter's own delay with it."""
    measuring: Duration = 2.0
    """A measurement usually takes this; for the load forecast."""
    longest: Duration = 60.0
    """A sensor that wants longer than this is not waited for: others share its line."""


class Driver:
    """Asks one sensor."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if line, address or rows cannot work."""
        options, speed = device.options, device.line_options
        if not isinstance(options, Options) or not isinstance(speed, LineSpeed):
            raise ValueError(f"device {device.name}: SDI-12 needs a line of kind serial, tcp or tcp_server")
        timing = device.profile.timing if isinstance(device.profile.timing, Timing) else Timing()
        self.name, self._address = device.name, _address(device, options)
        self._longest_s = timing.longest
        self._asks: dict[str, dict[Series, Row]] = {}
        for series, row in device.rows(Row).items():
            self._asks.setdefault(row.ask, {})[series] = row
        self._series = tuple(series for rows in self._asks.values() for series in rows)
        self._exchange = Exchange(device.name, max(speed.character_s, _CHARACTER_S), timing.answer, overdue_s=0.5, round_trip_s=speed.round_trip_s,
                                  are_alike=True)
        characters = sum(30 + 8 * max(row.needs for row in rows.values()) for rows in self._asks.values())
        waits_s = sum(timing.measuring for ask in self._asks if ask[0] not in "RC")
        self._group = Group("all", device.interval_s, RANKS[options.priority], characters * _CHARACTER_S + waits_s + speed.round_trip_s, self._series)

    def groups(self) -> tuple[Group, ...]:
        """See Asked."""
        return (self._group,)

    def poll(self, group: Group, wire: Wire) -> Batch | Pause:
        """See Asked."""
        return self._go_on(tuple(self._asks.items()), Gathered(self._series), wire)

    def _go_on(self, asks: Sequence[_Ask], got: Gathered, wire: Wire) -> Batch | Pause:
        """The measurements one after another, as far as the sensor gives them at once."""
        for place, (ask, rows) in enumerate(asks):
            if got.is_absent:
                got.failed(rows, DeviceError("not asked: the sensor is silent"))
                continue
            try:
                self._know_address(wire)
                if ask[0] == "R":
                    self._keep(got, rows, self._values(ask, ask, wire), None)
                    continue
                ready = self._start(ask, wire)
            except DeviceError as nothing:
                self._keep(got, rows, [], nothing)
                continue
            if ask[0] == "C" and ready.ready_s:
                return Pause(ready.ready_s, partial(self._come_back, asks[place:], ready, got))
            if ready.ready_s:
                self._wait(ready.ready_s, wire)
            self._fetch((ask, rows), ready, got, wire)
        return got.batch(wire)

    def _come_back(self, asks: Sequence[_Ask], ready: sdi12.Ready, got: Gathered, wire: Wire) -> Batch | Pause:
        """The values of the concurrent measurement that is over now, then the rest."""
        self._fetch(asks[0], ready, got, wire)
        return self._go_on(asks[1:], got, wire)

    @staticmethod
    def _keep(got: Gathered, rows: dict[Series, Row], values: list[str], fault: DeviceError | None) -> None:
        came = {series: row for series, row in rows.items() if fault is None or row.needs <= len(values)}
        got.values.update({series: row.number(values[row.value - 1]) if row.needs <= len(values) else math.nan for series, row in came.items()})
        got.faulty.update(series for series, row in came.items() if row.is_faulty(values))
        if fault is not None:
            got.failed(rows.keys() - came.keys(), fault)

    def _know_address(self, wire: Wire) -> None:
        """Ask the only sensor of the line for its address, if the site file does not say it. Raises DeviceError."""
        if self._address == sdi12.ANYONE:
            self._address = self._ask("", lambda data: chr(sdi12.line_of(data)[0]), wire)

    def _start(self, ask: str, wire: Wire) -> sdi12.Ready:
        """When the values of a measurement are there, and how many. Raises DeviceError if it gives none."""
        ready = self._ask(ask, lambda data: sdi12.read_ready(data, 2 if ask[0] == "C" else 1), wire)
        if ready.count == 0:
            raise DeviceError(f"{ask} gives no values", "exception")
        if ready.ready_s > self._longest_s:
            raise DeviceError(f"{ask} takes {ready.ready_s} s, longer than [timing] longest", "busy")
        return ready

    def _fetch(self, wanted: _Ask, ready: sdi12.Ready, got: Gathered, wire: Wire) -> None:
        """The values of one measurement into `got`, as many as come, and why others did not.

        Without a checksum their number is the only sign that the first ones were not lost on the way: "0+10.5+20" can come as "0+20".
        """
        ask, rows = wanted
        is_checked = _has_crc(ask)
        enough = min(max(row.needs for row in rows.values()), ready.count) if is_checked else ready.count
        values: list[str] = []
        fault: DeviceError | None = None
        for fetch in range(_MOST_FETCHES):
            try:
                some = self._values(f"D{fetch}", ask, wire)
            except DeviceError as error:
                fault = error
                break
            values += some
            if not some or len(values) >= enough:
                break
        if not values and fault is None:
            fault = DeviceError(f"{ask} was broken off: no values", "busy")
        elif not is_checked and len(values) < ready.count:
            fault = fault or DeviceError(f"{len(values)} values came of {ready.count}: were the first ones lost? Ask for {ask[0]}C{ask[1:]}", "short")
            values = []
        self._keep(got, rows, values[: ready.count], fault)

    def _values(self, body: str, ask: str, wire: Wire) -> list[str]:
        """The values in the answer to a command that belongs to the measurement `ask`. Raises DeviceError."""
        return list(self._ask(body, lambda data: sdi12.read_values(data, crc=_has_crc(ask)), wire).values)

    def _wait(self, ready_s: int, wire: Wire) -> None:
        """Until the values are there; a service request ends the wait."""
        service = self._address.encode() + sdi12.END
        self._exchange.listen(lambda so_far: 0 if so_far.endswith(service) else 1, ready_s + _SERVICE_S, wire)

    def _ask(self, body: str, read: Callable[[bytes], T], wire: Wire) -> T:
        """The answer to a command; a silent sensor is asked once more, for the break may not have woken it. Raises DeviceError."""
        request = sdi12.command(self._address, body)

        def answer(came: bytes) -> T:
            line = came.lstrip(b"\0").removeprefix(request)
            line = line[: line.find(sdi12.END) + 2] if sdi12.END in line else line
            if line[:1] and chr(line[0]) in sdi12.ADDRESSES and self._address not in (chr(line[0]), sdi12.ANYONE):
                raise NotAFrame(f"sensor {chr(line[0])} answered instead of {self._address}", "wrong")
            return read(line)

        def missing(so_far: bytes) -> int:
            line = so_far.lstrip(b"\0").removeprefix(request)
            return 0 if sdi12.END in line else max(1, 3 - len(line))

        try:
            return self._exchange.ask(request, missing, answer, _LONGEST, wire)
        except DeviceError as fault:
            if fault.cause != "silent":
                raise
        return self._exchange.ask(request, missing, answer, _LONGEST, wire)


def _has_crc(ask: str) -> bool:
    """Do its values come with a checksum?"""
    return "C" in ask[1:]


def _address(device: Device, options: Options) -> str:
    address = options.address or device.profile.file.default.get("address", "0")
    if not isinstance(address, str) or len(address) != 1 or address not in sdi12.ADDRESSES + sdi12.ANYONE:
        raise ValueError(f"device {device.name}: address {address!r} is not one of SDI-12; write one character, 0-9 a-z A-Z")
    return address
