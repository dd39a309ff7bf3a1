"""Puts what the view gives into JSON, the one form of it for the API and the stream.

Times are UTC ns as strings of digits: a number in JavaScript holds 53 bits, and a time in ns has 61 (the JSON mapping
of protobuf does the same). What JSON has no word for, NaN and the infinities, is null; the flag beside it says why.
"""

import json
import math
from collections.abc import Mapping

from gateway.view import AlertView, Live, Point

TIMES = ("at", "since", "until")


def encode(what: object) -> bytes:
    """Strict JSON in UTF-8. Lone surrogates, which a broken name may hold, become escapes."""
    try:
        text = json.dumps(what, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(what), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _finite(what: object) -> object:
    if isinstance(what, float):
        return what if math.isfinite(what) else None
    if isinstance(what, Mapping):
        return {str(key): _finite(value) for key, value in what.items()}
    if isinstance(what, list | tuple):
        return [_finite(value) for value in what]
    return what


def _timed(row: Mapping[str, object]) -> dict[str, object]:
    return {key: str(value) if key in TIMES and value is not None else value for key, value in row.items()}


def live(row: Live) -> dict[str, object]:
    """The newest row of a series."""
    return _timed(row)


def value(row: Live) -> list[object]:
    """What changes of a series from row to row: id, at, value, flag, reason, share."""
    return [row["id"], str(row["at"]), row["value"], row["flag"], row["reason"], row["share"]]


def point(row: Point) -> list[object]:
    """One row of a chart: at, value, flag."""
    return [str(row["at"]), row["value"], row["flag"]]


def alert(row: AlertView) -> dict[str, object]:
    """One alert with its history."""
    return {**_timed(row), "history": [_timed(step) for step in row["history"]]}
