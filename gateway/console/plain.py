"""Puts what the view gives into JSON, the one form of it for the API and the stream.

Times are UTC ns as strings of digits: a number in JavaScript holds 53 bits, and a time in ns has 61 (the JSON mapping
of protobuf does the same). What JSON has no word for is null (`gateway/strict_json.py`); the flag beside it says why.
"""

from collections.abc import Mapping

from gateway.view import AlertView, Live, Point

TIMES = ("at", "since", "until")


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
