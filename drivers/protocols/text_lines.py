"""Instruments that write lines of text by themselves: sound level meters, scales, loggers.

A row is a pattern for the whole line with brackets around the number: { pattern = 'LAF=([0-9.]+)dB' }. Such lines have no
checksum, so a line counts only if it fits a pattern whole, and the plausible range of its quantity is the second guard.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import Field, field_validator

from config.table import Table
from drivers.codecs.frame import LineCutter, NotAFrame
from drivers.codecs.text_line import LinePattern
from drivers.driver import Device
from drivers.protocols._missing import Missing
from drivers.protocols._streaming import Found, StreamDriver, Timing, said

LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
__all__ = ["Driver", "Options", "Row", "Timing"]
ALONE = True
"""It has no address."""


class Options(Table):
    """It is alone on its line: no keys."""


class Row(Table):
    """One quantity of a profile."""

    unit: str
    pattern: Annotated[str, Field(min_length=1, max_length=200)]
    """A regular expression for the whole line, one group = the number."""
    scale: Decimal = Decimal(1)
    """value = number × scale."""
    missing: Missing = ()
    """Numbers that mean: no value."""

    def reading(self, number: float) -> float:
        """The value of a number in a line; NaN if it means none."""
        return math.nan if number in self.missing else float(Decimal(str(number)) * self.scale)

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        LinePattern(pattern)
        return pattern

    @cached_property
    def line(self) -> LinePattern:
        """The pattern, ready."""
        return LinePattern(self.pattern)


class Driver(StreamDriver):
    """Reads one instrument's lines."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if the profile has no rows."""
        self._rows = device.rows(Row)
        super().__init__(device, self._rows)
        self._cutter = LineCutter()
        self._stray = 0

    def _read(self, piece: bytes) -> Iterable[Found]:
        for line in self._cutter.feed(piece):
            found = {}
            for series, row in self._rows.items():
                try:
                    number = row.line.number(line)
                except NotAFrame:
                    continue
                if number is not None:
                    found[series] = said(row.reading(number))
            if found:
                self._stray = 0
                yield found
            else:
                self._stray += len(line)

    @property
    def _cut(self) -> LineCutter:
        return self._cutter

    def _counts(self) -> tuple[int, int]:
        return 0, self._stray + self._cutter.stray
