"""Where the values of a JSON message lie and whose they are: worked out once for all messages that look alike."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from config.errors import Undecodable
from config.series import Reason, Series
from drivers.codecs.json_path import ABSENT, Absent, JsonPath
from drivers.codecs.strict_json import Bad, Json, shown

_FIGURE = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_DEVICE, _NORMAL = bytes((Reason.DEVICE,)), bytes((Reason.NORMAL,))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one value is read from."""

    series: Series
    path: JsonPath
    value: Callable[[float], float] | None
    """What a number means, NaN if nothing; None = itself."""


class Found(NamedTuple):
    """What a message says at the places of its shape: columns of equal length."""

    series: tuple[Series, ...]
    raw: list[float]
    reason: bytes


class Shape:
    """The places of messages that look alike."""

    def __init__(self, places: Sequence[Place]) -> None:
        """`places` in the order in which their values are to come out."""
        self._places = [(place.path.only_key, place.path, place.value, place.series) for place in places]
        self._series = tuple(place.series for place in places)

    def look(self, message: Json) -> Found:
        """The values in it, good or bad. Raises Undecodable if there is no good one, nor one that says `null`."""
        fields = message if isinstance(message, dict) else {}
        found: list[Series] = []
        raw: list[float] = []
        bad: list[str] = []
        for key, path, meaning, series in self._places:
            value = fields.get(key, ABSENT) if key else path.find(message)
            if type(value) is not float:
                if isinstance(value, Absent):
                    continue
                number = _number(value)
                if isinstance(number, Bad):
                    bad.append(f"{series.quantity}: {number.why}")
                value = math.nan if number is None or isinstance(number, Bad) else number
            raw.append(value if meaning is None or value != value else meaning(value))
            found.append(series)
        if len(bad) == len(raw):
            raise Undecodable(bad[0] if bad else f"nothing to read in it: {shown(message)}")
        return Found(self._series if len(found) == len(self._series) else tuple(found), raw, _reasons(raw))


def _reasons(raw: Sequence[float]) -> bytes:
    if math.isfinite(sum(raw)):
        return _NORMAL * len(raw)
    return b"".join(_DEVICE if math.isnan(value) else _NORMAL for value in raw)


def _number(value: Json) -> float | Bad | None:
    """A value as a number; None = the source says that it has none."""
    if value is None or isinstance(value, Bad):
        return value
    if isinstance(value, str) and len(value) <= 64 and _FIGURE.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Bad(f"{shown(value)} is not a number")
    number = float(value)
    return number if math.isfinite(number) else Bad(f"{shown(value)} is not a possible number")
