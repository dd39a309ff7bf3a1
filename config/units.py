"""Durations, sizes and limits as people write them: "10 s", "8 GB", "1.0 mg/L". A number without its unit is an error."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "min": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|TB)$")
_LIMIT = re.compile(rf"^{_NUMBER}\s*(.*)$")
_SPELLINGS = {"ug/m3": "µg/m³", "μg/m3": "µg/m³", "mg/m3": "mg/m³", "degC": "°C", "C": "°C", "uS/cm": "µS/cm", "m3/s": "m³/s",
              "m3/m3": "m³/m³", "W/m2": "W/m²", "dBA": "dB(A)", "umol/m2/s": "µmol/(m²·s)", "m3": "m³", "": "1"}


def unit(text: str) -> str:
    """The one spelling of a unit: "ug/m3" and "μg/m³" (Greek mu) are "µg/m³" (micro sign).

    >>> unit("ug/m3"), unit("mg/L")
    ('µg/m³', 'mg/L')
    """
    plain = text.strip().replace("μ", "µ")
    return _SPELLINGS.get(plain, plain)


def seconds(text: object) -> float:
    """A duration in seconds.

    >>> seconds("10 min"), seconds("200 ms")
    (600.0, 0.2)
    """
    match = _DURATION.match(text) if isinstance(text, str) else None
    if not match:
        raise ValueError('is not a duration; write a number and its unit: "200 ms", "10 s", "5 min", "1 h" or "30 d"')
    return float(Decimal(match[1]) * _SECONDS[match[2]])


def byte_count(text: object) -> int:
    """A size in bytes.

    >>> byte_count("8 GB")
    8000000000
    """
    match = _SIZE.match(text) if isinstance(text, str) else None
    if not match:
        raise ValueError('is not a size; write a number and its unit: "500 MB" or "8 GB"')
    return int(Decimal(match[1]) * _BYTES[match[2]])


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure with its unit, exactly as it was written."""

    figure: Decimal
    unit: str

    @property
    def value(self) -> float:
        """The figure as float64, the nearest to the written decimal."""
        return float(self.figure)

    def __str__(self) -> str:
        return f"{self.figure} {self.unit}" if self.unit != "1" else str(self.figure)


def limit(text: object) -> Limit:
    """A limit: figure and unit; a bare number has the unit "1" (pH, indices).

    >>> limit("1.0 mg/L")
    Limit(figure=Decimal('1.0'), unit='mg/L')
    """
    if isinstance(text, Limit):
        return text
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    match = _LIMIT.match(text.strip()) if isinstance(text, str) else None
    if not match:
        raise ValueError('is not a limit; write a number and its unit: "1.0 mg/L"')
    try:
        return Limit(Decimal(match[1]), unit(match[2]))
    except InvalidOperation as error:  # pragma: no cover - the pattern admits only decimals
        raise ValueError(f"is not a number: {match[1]}") from error


Duration = Annotated[float, BeforeValidator(seconds),
                     WithJsonSchema({"type": "string", "pattern": _DURATION.pattern, "examples": ["10 s", "5 min", "1 h"]}, mode="validation")]
"""Seconds, written with a unit."""
Size = Annotated[int, BeforeValidator(byte_count),
                 WithJsonSchema({"type": "string", "pattern": _SIZE.pattern, "examples": ["500 MB", "8 GB"]}, mode="validation")]
"""Bytes, written with a unit."""
LimitField = Annotated[Limit, BeforeValidator(limit),
                       WithJsonSchema({"type": ["string", "number"], "examples": ["1.0 mg/L"]}, mode="validation")]
"""A figure with its unit."""
