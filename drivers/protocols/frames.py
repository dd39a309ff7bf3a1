"""Sensors that send binary frames by themselves over a serial line: Plantower particle sensors, Nova SDS011, ultrasonic rangefinders.

A row of the profile says which frame it is and which of its fields: { frame = "pms5003", field = "pm25_atm" }.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Self

from pydantic import model_validator

from config.table import Table
from drivers.codecs import plantower, sds011, ultrasonic
from drivers.codecs.frame import Cutter, NotAFrame
from drivers.driver import Device
from drivers.protocols._missing import Missing
from drivers.protocols._streaming import Found, StreamDriver, Timing, said

LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
__all__ = ["Driver", "Options", "Row", "Timing"]
ALONE = True
"""It has no address."""
FrameName = Literal["pms3003", "pms5003", "pms5003st", "sds011", "ultrasonic"]


@dataclass(frozen=True, slots=True)
class _Kind:
    cutter: Callable[[], Cutter]
    read: Callable[[bytes], Mapping[str, float]]
    fields: tuple[str, ...]
    sleep: bytes = b""
    wake: bytes = b""
    """Commands, where the model has them."""


def _sds011(frame: bytes) -> Mapping[str, float]:
    return sds011.values(sds011.read(frame))


_KINDS: dict[FrameName, _Kind] = {
    "pms3003": _Kind(lambda: plantower.cutter(20), plantower.read, plantower.FIELDS[20]),
    "pms5003": _Kind(lambda: plantower.cutter(28), plantower.read, plantower.FIELDS[28], plantower.SLEEP, plantower.WAKE),
    "pms5003st": _Kind(lambda: plantower.cutter(36), plantower.read, plantower.FIELDS[36], plantower.SLEEP, plantower.WAKE),
    "sds011": _Kind(sds011.cutter, _sds011, sds011.FIELDS, sds011.mode(awake=False), sds011.mode(awake=True)),
    "ultrasonic": _Kind(ultrasonic.cutter, ultrasonic.read, ultrasonic.FIELDS),
}


class Options(Table):
    """It is alone on its line: no keys."""


class Row(Table):
    """One quantity of a profile: a field of the frame."""

    unit: str
    frame: FrameName
    """Which frame; all rows of a profile name the same one."""
    field: str
    scale: Decimal = Decimal(1)
    """value = field × scale."""
    missing: Missing = ()
    """Contents of the field that mean: no value."""

    def reading(self, fields: Mapping[str, float]) -> float:
        """The value in a frame; NaN if it means none."""
        found = fields[self.field]
        return math.nan if found in self.missing else float(Decimal(str(found)) * self.scale)

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        fields = _KINDS[self.frame].fields
        if self.field not in fields:
            raise ValueError(f'has no field "{self.field}"; {self.frame} has {", ".join(fields)}')
        return self


class Driver(StreamDriver):
    """Reads one sensor's stream."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if the rows name different frames."""
        self._rows = device.rows(Row)
        super().__init__(device, self._rows)
        names = sorted({row.frame for row in self._rows.values()})
        if len(names) != 1:
            raise ValueError(f"device {device.name}: one sensor sends one kind of frame, {device.profile.name} names {' and '.join(names) or 'none'}")
        self._kind = _KINDS[names[0]]
        self._cutter = self._kind.cutter()

    @property
    def sleep_word(self) -> bytes:
        """See SleepsByWord; empty for models that know none."""
        return self._kind.sleep

    @property
    def wake_word(self) -> bytes:
        """See SleepsByWord."""
        return self._kind.wake

    def _read(self, piece: bytes) -> Iterable[Found]:
        for frame in self._cutter.feed(piece):
            try:
                fields = self._kind.read(frame)
            except NotAFrame:
                continue  # a reply to somebody's command
            is_fault = bool(fields.get("error"))
            yield {series: said(row.reading(fields), is_fault=is_fault) for series, row in self._rows.items()}

    @property
    def _cut(self) -> Cutter:
        return self._cutter

    def _counts(self) -> tuple[int, int]:
        return self._cutter.spoilt, self._cutter.stray
