"""Durations, sizes and limits as people write them: "10 s", "8 GB", "1.0 mg/L". A number without its unit is an error.

Every type here also writes itself back in the same form (`model_dump(mode="json")`), so that what was read can be shown.
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "min": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|TB)$")
_LIMIT = re.compile(rf"^{_NUMBER}\s*((?:[^\W\d_]|[%°‰]).*|)$")
_COMMA = re.compile(r"^([+-]?\d+),(\d+)(?!,)")
_RANGE = re.compile(rf"^{_NUMBER}\s*\.\.\s*{_NUMBER}\s*(.*)$")
_RATE = re.compile(rf"^{_NUMBER}\s*(.*?)\s*\bper\s+(s|min|h|d)$")
_LONGEST_S = 100 * 366 * 86400
_MOST_BYTES = 10**18
_SPELLINGS = {
    "ug/m3": "µg/m³", "µg/m3": "µg/m³", "mg/m3": "mg/m³", "ug/L": "µg/L", "ug/l": "µg/L", "µg/l": "µg/L", "mg/l": "mg/L", "g/l": "g/L", "l/s": "L/s",
    "degC": "°C", "C": "°C", "uS/cm": "µS/cm", "m3": "m³", "kg/m3": "kg/m³", "m3/s": "m³/s", "m3/m3": "m³/m³", "W/m2": "W/m²", "dBA": "dB(A)",
    "umol/m2/s": "µmol/(m²·s)", "1/m": "m⁻¹", "m-1": "m⁻¹", "": "1"}


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
    found = float(Decimal(match[1]) * _SECONDS[match[2]])
    if found > _LONGEST_S:
        raise ValueError("is longer than 100 years")
    return found


def duration_text(value_s: float) -> str:
    """A duration as people write it; `seconds` reads it back exactly.

    >>> duration_text(600.0), duration_text(0.2), duration_text(1.5), duration_text(34560000.0)
    ('10 min', '200 ms', '1500 ms', '400 d')
    """
    exact = Decimal(repr(value_s))
    for name in ("d", "h", "min", "s", "ms"):
        count = exact / _SECONDS[name]
        if exact and count == count.to_integral_value() and count * _SECONDS[name] == exact:
            return f"{count.to_integral_value():f} {name}"
    return f"{exact:f} s" if exact else "0 s"


def byte_count(text: object) -> int:
    """A size in bytes.

    >>> byte_count("8 GB")
    8000000000
    """
    match = _SIZE.match(text) if isinstance(text, str) else None
    if not match:
        raise ValueError('is not a size; write a number and its unit: "500 MB" or "8 GB"')
    found = int(Decimal(match[1]) * _BYTES[match[2]])
    if found > _MOST_BYTES:
        raise ValueError("is more than any disk holds")
    return found


def size_text(count: int) -> str:
    """A size as people write it; `byte_count` reads it back exactly.

    >>> size_text(8 * 10**9), size_text(1536)
    ('8 GB', '1536 B')
    """
    for name in ("TB", "GB", "MB", "kB"):
        if count and count % _BYTES[name] == 0:
            return f"{count // _BYTES[name]} {name}"
    return f"{count} B"


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
        return _figure(self.figure, self.unit)


def _figure(figure: Decimal, its_unit: str) -> str:
    return f"{figure} {its_unit}" if its_unit != "1" else str(figure)


def _decimal(digits: str) -> Decimal:
    try:
        found = Decimal(digits)
    except InvalidOperation as error:
        raise ValueError(f"is not a number: {digits}") from error
    if not math.isfinite(float(found)):
        raise ValueError(f"is too large a number: {digits}")
    return found


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
    if isinstance(text, str) and (comma := _COMMA.match(text.strip())):
        meant = f"{comma[1]}.{comma[2]}{text.strip()[comma.end() :]}"
        raise ValueError(f'is not a limit; write the decimal point as a point: "{meant}"')
    if not match:
        raise ValueError('is not a limit; write a number and its unit: "1.0 mg/L"')
    return Limit(_decimal(match[1]), unit(match[2]))


def limit_range(text: object) -> tuple[Limit, Limit]:
    """A range: low..high and their unit.

    >>> [str(x) for x in limit_range("0..500 mg/L")]
    ['0 mg/L', '500 mg/L']
    """
    if isinstance(text, tuple) and len(text) == 2 and all(isinstance(x, Limit) for x in text):
        return text
    match = _RANGE.match(text.strip()) if isinstance(text, str) else None
    if not match:
        raise ValueError('is not a range; write low..high and the unit: "0..500 mg/L"')
    low, high = (Limit(_decimal(digits), unit(match[3])) for digits in match.group(1, 2))
    if low.figure >= high.figure:
        raise ValueError(f'is an empty range; write the lower figure first: "{high.figure}..{low}"')
    return low, high


def range_text(span: tuple[Limit, Limit]) -> str:
    """A range as people write it; `limit_range` reads it back exactly."""
    return f"{span[0].figure}..{span[1]}"


def rate(text: object) -> Limit:
    """A rate of change, kept per second.

    >>> rate("36 mg/L per h")
    Limit(figure=Decimal('0.01'), unit='mg/L')
    """
    if isinstance(text, Limit):
        return text
    match = _RATE.match(text.strip()) if isinstance(text, str) else None
    if not match:
        raise ValueError('is not a rate; write a figure, its unit and the time: "50 mg/L per h"')
    figure = _decimal(match[1])
    if figure <= 0:
        raise ValueError("must be above 0: it counts in both directions")
    return Limit(figure / _SECONDS[match[3]], unit(match[2]))


def rate_text(per_second: Limit) -> str:
    """A rate as people write it; `rate` reads it back exactly."""
    return f"{per_second} per s"


Duration = Annotated[
    float, BeforeValidator(seconds), PlainSerializer(duration_text, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern, "examples": ["10 s", "5 min", "1 h"]}, mode="validation")]
"""Seconds, written with a unit."""
Size = Annotated[
    int, BeforeValidator(byte_count), PlainSerializer(size_text, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _SIZE.pattern, "examples": ["500 MB", "8 GB"]}, mode="validation")]
"""Bytes, written with a unit."""
LimitField = Annotated[
    Limit, BeforeValidator(limit), PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["1.0 mg/L"]}, mode="validation")]
"""A figure with its unit."""
RangeField = Annotated[
    tuple[Limit, Limit], BeforeValidator(limit_range), PlainSerializer(range_text, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"\.\.", "examples": ["0..500 mg/L"]}, mode="validation")]
"""Low and high with their unit."""
RateField = Annotated[
    Limit, BeforeValidator(rate), PlainSerializer(rate_text, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"\bper\s", "examples": ["50 mg/L per h"]}, mode="validation")]
"""A change per second, written per s, min, h or d."""
