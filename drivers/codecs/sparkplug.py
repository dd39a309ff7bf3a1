"""Sparkplug B: payloads as bytes and back, and what a metric's value is.

Source: Eclipse Sparkplug specification 3.0.0, chapter 6 (payloads, `sparkplug_b.proto`). Data sets and templates
are carried past: an instrument's reading is a number.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from drivers.codecs.frame import NotAFrame
from drivers.codecs.protobuf_wire import BYTES, EIGHT, FOUR, VARINT, Raw, bytes_field, double_field, fields, float_field, number_field
from drivers.decode import shortest

INT64, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING = 4, 8, 9, 10, 11, 12
_BITS = {1: 8, 2: 16, 3: 32, 4: 64, 5: 8, 6: 16, 7: 32, 8: 64}
"""Datatype → width; 1 to 4 are signed."""
QUALITY = "Quality"
BAD, GOOD, STALE = 0, 192, 500
"""Values of the property Quality (6.4.9)."""
_BEYOND_FLOAT = 2.0**128 - 2.0**103
"""Half a step above the greatest binary32: from here on it would be rounded to infinity. A Float can come in the field of a Double."""
_MOST_METRICS = 5000
"""In one payload."""
Value = int | float | bool | str | bytes | None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; a field that is not in the message is None, or False where it is a yes or no."""

    name: str | None = None
    alias: int | None = None
    timestamp_ms: int | None = None
    datatype: int | None = None
    value: Value = None
    """As it lies on the wire: integers unsigned, see `figure`."""
    is_historical: bool = False
    is_null: bool = False
    quality: int | None = None
    unit: str = ""
    """Property engUnit, which hosts show; written only."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A message of an edge node or of a host."""

    metrics: tuple[Metric, ...] = ()
    timestamp_ms: int | None = None
    seq: int | None = None

    def find(self, name: str) -> Metric | None:
        """The first metric of that name."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@lru_cache(maxsize=4)
def read(data: bytes) -> Payload:
    """A payload. The devices of one edge node each read the same message, so the last few are remembered. Raises NotAFrame."""
    metrics: list[Metric] = []
    stamp = seq = None
    for number, form, raw in fields(data):
        if number == 1:
            stamp = _int(number, form, raw)
        elif number == 2:
            if len(metrics) >= _MOST_METRICS:
                raise NotAFrame(f"more than {_MOST_METRICS} metrics", "wrong")
            metrics.append(_metric(_bytes(number, form, raw)))
        elif number == 3:
            seq = _int(number, form, raw)
    return Payload(tuple(metrics), stamp, seq)


def _int(number: int, form: int, raw: Raw) -> int:
    if form != VARINT or not isinstance(raw, int):
        raise NotAFrame(f"field {number} is no whole number", "wrong")
    return raw


def _bytes(number: int, form: int, raw: Raw) -> bytes:
    if form != BYTES or not isinstance(raw, bytes):
        raise NotAFrame(f"field {number} is no text", "wrong")
    return raw


def _text(number: int, form: int, raw: Raw) -> str:
    try:
        return _bytes(number, form, raw).decode("utf-8")
    except UnicodeDecodeError:
        raise NotAFrame(f"field {number} is not UTF-8", "wrong") from None


def _value(number: int, form: int, raw: Raw) -> Value:
    """The fields 10 to 18, of which a metric has one."""
    if number in (12, 13):
        if form != (FOUR if number == 12 else EIGHT) or not isinstance(raw, bytes):
            raise NotAFrame(f"field {number} is no floating point number", "wrong")
        found: float = struct.unpack("<f" if number == 12 else "<d", raw)[0]
        return found
    if number in (10, 11, 14):
        whole = _int(number, form, raw)
        return bool(whole) if number == 14 else whole
    return _text(number, form, raw) if number == 15 else _bytes(number, form, raw)


def _metric(data: bytes) -> Metric:
    name: str | None = None
    numbers: dict[int, int] = {}
    value: Value = None
    quality = None
    for number, form, raw in fields(data):
        if 2 <= number <= 7:
            numbers[number] = _int(number, form, raw)
        elif number == 1:
            name = _text(number, form, raw)
        elif number == 9:
            quality = _quality(_bytes(number, form, raw))
        elif 10 <= number <= 18:
            value = _value(number, form, raw)
    said = numbers.get
    return Metric(name, said(2), said(3), said(4), value, bool(said(5)), bool(said(7)), quality)


def _quality(data: bytes) -> int | None:
    """The property Quality of a PropertySet: keys (1) and values (2) side by side, a value's int is its field 3."""
    keys: list[str] = []
    values: list[int | None] = []
    for number, form, raw in fields(data):
        if number == 1:
            keys.append(_text(number, form, raw))
        elif number == 2:
            inner = {inside: content for inside, _, content in fields(_bytes(number, form, raw))}
            found = inner.get(3)
            values.append(found if isinstance(found, int) else None)
    return dict(zip(keys, values, strict=False)).get(QUALITY)


def figure(value: Value, datatype: int | None) -> float:
    """The number that a metric's value means. Raises ValueError, in words, for what is none.

    Signed integers come as unsigned ones in two's complement, of their own width or carried on to 32 or 64 bits: senders differ.

    >>> figure(0xFFFFFF9C, 3), figure(0x9C, 1), figure(35.400001525878906, 9), figure(True, 11)
    (-100.0, -100.0, 35.4, 1.0)
    """
    if isinstance(value, str | bytes) or value is None or datatype is None or not (1 <= datatype <= BOOLEAN):
        raise ValueError(f"is of datatype {datatype}, not a number")
    if datatype == BOOLEAN:
        if value not in (0, 1):
            raise ValueError(f"{value} is neither true nor false")
        return float(value)
    if datatype in _BITS:
        if isinstance(value, float | bool):
            raise ValueError(f"{value} is no whole number, its datatype is {datatype}")
        return float(_whole(value, _BITS[datatype], datatype <= INT64))
    if not math.isfinite(value) or (datatype == FLOAT and abs(value) >= _BEYOND_FLOAT):
        raise ValueError(f"{value} is not a possible {'Float' if datatype == FLOAT else 'number'}")
    return float(shortest(value)) if datatype == FLOAT else float(value)


def _whole(value: int, bits: int, signed: bool) -> int:
    if value < 1 << bits:
        return value - (1 << bits) if signed and value >> bits - 1 else value
    for wide in (32, 64):
        carried = value - (1 << wide)
        if signed and -(1 << bits - 1) <= carried < 0:
            return carried
    raise ValueError(f"{value} does not fit into {bits} bits")


def write(payload: Payload) -> bytes:
    """A payload as bytes."""
    out = b"" if payload.timestamp_ms is None else number_field(1, payload.timestamp_ms)
    out += b"".join(bytes_field(2, _write_metric(metric)) for metric in payload.metrics)
    return out if payload.seq is None else out + number_field(3, payload.seq)


def _write_metric(metric: Metric) -> bytes:
    out = [] if metric.name is None else [bytes_field(1, metric.name.encode())]
    for number, value in ((2, metric.alias), (3, metric.timestamp_ms), (4, metric.datatype)):
        if value is not None:
            out.append(number_field(number, value))
    if metric.is_historical:
        out.append(number_field(5, 1))
    if metric.is_null:
        out.append(number_field(7, 1))
    if metric.quality is not None or metric.unit:
        out.append(bytes_field(9, _write_properties(metric)))
    if not metric.is_null and metric.value is not None:
        out.append(_write_value(metric.value, metric.datatype))
    return b"".join(out)


def _write_properties(metric: Metric) -> bytes:
    keys, values = b"", b""
    if metric.quality is not None:
        keys += bytes_field(1, QUALITY.encode())
        values += bytes_field(2, number_field(1, 3) + number_field(3, metric.quality))
    if metric.unit:
        keys += bytes_field(1, b"engUnit")
        values += bytes_field(2, number_field(1, STRING) + bytes_field(8, metric.unit.encode()))
    return keys + values


def _write_value(value: Value, datatype: int | None) -> bytes:
    if isinstance(value, bool):
        return number_field(14, int(value))
    if isinstance(value, float):
        return float_field(12, value) if datatype == FLOAT else double_field(13, value)
    if isinstance(value, int):
        wide = datatype in (INT64, UINT64)
        return number_field(11 if wide else 10, value if wide else value & 0xFFFFFFFF)
    return bytes_field(15, value.encode()) if isinstance(value, str) else bytes_field(16, value or b"")


def shown(metrics: Iterable[Metric]) -> dict[str, object]:
    """Metrics for people: name, or its alias where it has no name, → value."""
    return {metric.name if metric.name is not None else f"#{metric.alias}": _shown(metric) for metric in metrics}


def _shown(metric: Metric) -> object:
    value = metric.value
    if metric.is_null:
        return None
    if isinstance(value, bytes):
        return value.hex()
    try:
        if isinstance(value, float) and metric.datatype == FLOAT:
            return figure(value, FLOAT)
        if isinstance(value, int) and not isinstance(value, bool) and metric.datatype in _BITS:
            return _whole(value, _BITS[metric.datatype], metric.datatype <= INT64)
    except ValueError:
        pass
    return value
