"""Winsen MH-Z19 CO₂ sensors, alone on a serial line (UART)."""

from typing import Annotated

from pydantic import Field

from config.table import Table
from config.units import Duration
from drivers.blocks import LineSpeed
from drivers.codecs import mhz19
from drivers.driver import Device, Group, Wire
from drivers.protocols._exchange import Exchange
from drivers.protocols._gathered import Gathered
from drivers.reading import Batch

LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
ALONE = True
"""It has no address."""


class Options(Table):
    """It is alone on its line: no keys."""


class Row(Table):
    """A row of the profile."""

    unit: str
    field: Annotated[str, Field(pattern="^co2_ppm$")]
    """What the maker documents: co2_ppm."""


class Timing(Table):
    """`[timing]` of its profiles."""

    answer: Duration = 0.5
    """The first byte of an answer comes no later than this."""


class Driver:
    """Asks one sensor."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if line or rows cannot work."""
        speed = device.line_options
        if not isinstance(speed, LineSpeed):
            raise ValueError(f"device {device.name}: an MH-Z19 needs a line of kind serial, tcp or tcp_server")
        timing = device.profile.timing if isinstance(device.profile.timing, Timing) else Timing()
        self._series = tuple(device.rows(Row))
        self._exchange = Exchange(device.name, speed.character_s, timing.answer, overdue_s=1.0, round_trip_s=speed.round_trip_s)
        self._group = Group("co2", device.interval_s, 1, 2 * mhz19.SIZE * speed.character_s + 0.02 + speed.round_trip_s, self._series)

    def groups(self) -> tuple[Group, ...]:
        """See Asked."""
        return (self._group,)

    def poll(self, group: Group, wire: Wire) -> Batch:
        """See Asked."""
        body = self._exchange.ask(mhz19.ask(mhz19.READ), mhz19.missing, mhz19.read, mhz19.SIZE, wire)
        got = Gathered(self._series)
        got.values.update(dict.fromkeys(self._series, float(mhz19.values(body)["co2_ppm"])))
        return got.batch(wire)
