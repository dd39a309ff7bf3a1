"""Atlas Scientific EZO circuits over UART: pH, dissolved oxygen, conductivity, redox, temperature. One circuit a line.

A circuit leaves the factory sending a line every second; it is asked all the same, and any whole line of values is its answer. Its
lines have no checksum: the first one after the port was opened is not believed, nor one that is not written as the circuit writes.
"""

import math
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from config.errors import DeviceError
from config.table import Table
from config.units import Duration
from drivers.blocks import LineSpeed
from drivers.codecs import ezo
from drivers.codecs.frame import NotAFrame
from drivers.driver import Device, Group, Wire
from drivers.protocols._exchange import Exchange
from drivers.protocols._gathered import Gathered
from drivers.protocols._whole_lines import WholeLines
from drivers.reading import Batch

LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
ALONE = True
"""It has no address."""
_READ = "R"
_LONGEST = 48


class Options(Table):
    """It is alone on its line: no keys."""


class Row(Table):
    """A row of the profile."""

    unit: str
    value: Annotated[int, Field(ge=1, le=8)] = 1
    """Which of the values in its line, from 1."""
    scale: Decimal = Decimal(1)
    """value = number × scale."""
    decimals: Annotated[int, Field(ge=0, le=6)] | None = None
    """So many digits stand behind the point; with another number of them the line is a torn one. Left out = they vary."""

    def is_torn(self, written: str) -> bool:
        """Is this not how the circuit writes the value?"""
        return self.decimals is not None and len(written.partition(".")[2]) != self.decimals


class Timing(Table):
    """`[timing]` of its profiles."""

    answer: Duration = 1.5
    """A reading takes 0.6 to 1 s by the datasheets; it comes no later than this."""


class Driver:
    """Asks one circuit."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if line or rows cannot work."""
        speed = device.line_options
        if not isinstance(speed, LineSpeed):
            raise ValueError(f"device {device.name}: an EZO circuit needs a line of kind serial, tcp or tcp_server")
        timing = device.profile.timing if isinstance(device.profile.timing, Timing) else Timing()
        self._rows = device.rows(Row)
        self._exchange = Exchange(device.name, speed.character_s, timing.answer, overdue_s=1.0, round_trip_s=speed.round_trip_s)
        self._answer_s = timing.answer + 2 * speed.round_trip_s
        self._lines: WholeLines | None = None
        self._group = Group("values", device.interval_s, 1, 0.9 + 20 * speed.character_s + speed.round_trip_s, tuple(self._rows))

    def groups(self) -> tuple[Group, ...]:
        """See Asked."""
        return (self._group,)

    def poll(self, group: Group, wire: Wire) -> Batch:
        """See Asked."""
        if self._lines is None or self._lines.wire is not wire:
            self._lines = WholeLines(wire, ezo.END)
        if not self._lines.has_begun:
            self._lines.begin(ezo.command(_READ), self._answer_s)
        values = self._exchange.ask(ezo.command(_READ), _missing, self._values, _LONGEST, self._lines)
        got = Gathered(tuple(self._rows))
        for series, row in self._rows.items():
            got.values[series] = float(Decimal(values[row.value - 1]) * row.scale) if row.value <= len(values) else math.nan
        return got.batch(wire)

    def _values(self, came: bytes) -> tuple[str, ...]:
        """The values in what came. Raises DeviceError."""
        values = _values(came)
        if any(row.is_torn(values[row.value - 1]) for row in self._rows.values() if row.value <= len(values)):
            raise NotAFrame(f"a torn line: {','.join(values)}")
        return values


def _missing(so_far: bytes) -> int:
    return 0 if any(_is_answer(line) for line in ezo.lines(so_far)) else 1


def _is_answer(line: bytes) -> bool:
    """Does this line end the wait? One that cannot be read does too, unless it is our own request."""
    try:
        read = ezo.read(line)
    except NotAFrame:
        return line != _READ.encode()
    return bool(read.values) or read.code == "ER"


def _values(came: bytes) -> tuple[str, ...]:
    """The values in what came. Raises DeviceError."""
    why: DeviceError = NotAFrame("an answer that does not end", "short")
    for line in ezo.lines(came):
        try:
            read = ezo.read(line)
        except NotAFrame as error:
            why = error if line != _READ.encode() else why
            continue
        if read.values:
            return read.values
        if read.code != "OK":
            why = DeviceError(ezo.CODES.get(read.code, "a reply to another question"), "exception" if read.code == "ER" else "busy")
    raise why
