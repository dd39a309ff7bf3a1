"""Instruments that send NMEA 0183 sentences by themselves: weather stations, wind sensors, echo sounders.

A row names the sentence and where the value stands in it: { sentence = "MWV", field = 3, speed_unit = 4, valid = 5 }, or the
name of a transducer: { sentence = "XDR", transducer = "TEMP" }. Sentences without a fitting checksum are not believed.
"""

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Self

from pydantic import Field, model_validator

from config.series import Reason
from config.table import Table
from drivers.codecs import nmea
from drivers.codecs.frame import LineCutter, NotAFrame
from drivers.driver import Device
from drivers.protocols._streaming import Found, StreamDriver

LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
_SPEEDS = {"K": Fraction(1000, 3600), "M": Fraction(1), "N": Fraction(1852, 3600), "S": Fraction(1609344, 3600_000)}
"""Unit letters of speeds: km/h, m/s, knots, statute miles per hour; to m/s."""
_NUMBER = re.compile(r"[+-]?(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})")
_PER_TRANSDUCER = 4
"""XDR says type, value, unit and name of each."""

Place = Annotated[int, Field(ge=1, le=80)]
"""Fields are counted from 1, after the name of the sentence."""


class Options(Table):
    """It has no keys."""


class Row(Table):
    """One quantity of a profile: where it stands in which sentence."""

    unit: str
    sentence: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,6}$")]
    """Three letters: from any talker ("MWV"); more: exactly this name ("WIMWV", "PGRME")."""
    field: Place | None = None
    transducer: str = ""
    """In XDR sentences instead of `field`: the transducer's name."""
    where: dict[Annotated[str, Field(pattern=r"^[1-9][0-9]?$")], str] = {}
    """Fields and what must stand there; other sentences of the same name are not meant: { 2 = "R" }."""
    valid: Place | None = None
    """A field that says A; else the instrument has no value."""
    speed_unit: Place | None = None
    """A field that says K, M, N or S: the value is turned into m/s."""
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    """value = number × scale + offset."""

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        if (self.field is None) == (not self.transducer):
            raise ValueError("needs either field or transducer")
        return self

    def is_meant(self, sentence: nmea.Sentence) -> bool:
        """Is this one of the sentences that the row is about?"""
        name = sentence.kind if len(self.sentence) == 3 and sentence.talker[:1] != "P" else sentence.name
        return name == self.sentence and all(_at(sentence.fields, int(place)) == text for place, text in self.where.items())

    def value(self, fields: tuple[str, ...]) -> float | None:
        """The value in a sentence: NaN if it says none that can be used, None if it does not speak of it."""
        if self.transducer:
            text = next((fields[at + 1] for at in range(0, len(fields) - 3, _PER_TRANSDUCER) if fields[at + 3] == self.transducer), None)
        else:
            text = _at(fields, self.field or 0)
        if text is None:
            return None
        unit = Fraction(1) if self.speed_unit is None else _SPEEDS.get(_at(fields, self.speed_unit) or "")
        if not _NUMBER.fullmatch(text) or unit is None or (self.valid is not None and _at(fields, self.valid) != "A"):
            return math.nan
        return float(Fraction(text.rstrip(".")) * unit * Fraction(self.scale) + Fraction(self.offset))


class Driver(StreamDriver):
    """Reads the sentences of one instrument; others on the same line are let pass."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if the profile has no rows."""
        self._rows = device.rows(Row)
        super().__init__(device, self._rows)
        self._cutter = LineCutter()
        self._spoilt_lines = 0
        self._stray = 0

    def _read(self, piece: bytes) -> Iterable[Found]:
        for line in self._cutter.feed(piece):
            try:
                sentence = nmea.read(line[max(line.rfind(b"$"), line.rfind(b"!"), 0) :])
            except NotAFrame:
                self._spoilt_lines += b"*" in line
                self._stray += len(line)
                continue
            self._stray = 0
            found = self._values(sentence)
            if found:
                yield found

    def _values(self, sentence: nmea.Sentence) -> Found:
        meant = {series: row.value(sentence.fields) for series, row in self._rows.items() if row.is_meant(sentence)}
        return {series: (value, Reason.FAULT if math.isnan(value) else Reason.NORMAL) for series, value in meant.items() if value is not None}

    @property
    def _cut(self) -> LineCutter:
        return self._cutter

    def _counts(self) -> tuple[int, int]:
        return self._spoilt_lines, self._stray + self._cutter.stray


def _at(fields: tuple[str, ...], place: int) -> str | None:
    return fields[place - 1] if 1 <= place <= len(fields) else None


