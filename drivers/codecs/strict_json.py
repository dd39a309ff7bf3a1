"""JSON as a stranger sends it: whatever the bytes are, the outcome is a value or `Undecodable` in words, in bounded time.

A number that cannot be one (NaN, 1e999, four hundred digits) becomes a `Bad`, so that the values beside it survive.
Faster parsers take a key that comes twice in silence: docs/decisions/0013-json-decoder.md.
"""

import json
import math
import re
from dataclasses import dataclass

from config.errors import Undecodable

_BOM = "\ufeff"
"""Some write it before a text; RFC 8259, 8.1, lets a reader pass over it."""
_SAFE_BRACKETS = 100
"""With fewer opening brackets nothing can be nested too deeply for the parser."""
_DEEPEST = 32
_LONGEST_NUMBER = 64
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
"""Strings, also one that never ends (or looking for its end would start again at every quotation mark), and brackets."""


@dataclass(frozen=True, slots=True, repr=False)
class Bad:
    """A value that cannot be used, and why."""

    why: str
    written: str = ""
    """As it stands in the message."""

    def __repr__(self) -> str:
        """For people who are shown what came."""
        return self.written or self.why


Json = None | bool | int | float | str | Bad | list["Json"] | dict[str, "Json"]


def shown(text: object, longest: int = 40) -> str:
    """A piece of a stranger's message for people: quoted, shortened, nothing unprintable."""
    if isinstance(text, str):
        text = text[: longest + 1]
        words = repr(text) if text.isprintable() else ascii(text)
    else:
        words = repr(text)
    return words if len(words) <= longest else words[:longest] + "…"


def _number(text: str) -> float | Bad:
    value = float(text) if len(text) <= _LONGEST_NUMBER else math.inf
    return value if math.isfinite(value) else Bad(f"{shown(text)} is not a possible number", text)


def _integer(text: str) -> int | Bad:
    return int(text) if len(text) <= _LONGEST_NUMBER else Bad(f"{shown(text)} is not a possible number", text)


def _constant(text: str) -> Bad:
    return Bad(f"{text} is not a number", text)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Undecodable(f"the key {shown(twice)} stands twice in one object")
    return table


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_constant)


def read(payload: bytes) -> Json:
    """The value of a JSON text. Integers stay integers. Raises Undecodable."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Undecodable(f"not UTF-8 at byte {error.start}") from None
    if text.count("[") + text.count("{") > _SAFE_BRACKETS:
        _check_depth(text)
    value: Json
    try:
        value, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError:
        end = -1
    if end == len(text):  # the usual text has nothing around it
        return value
    try:
        value = _DECODER.decode(text.removeprefix(_BOM))
    except json.JSONDecodeError as error:
        raise Undecodable(f"not JSON: {error.msg} at character {error.pos}" if text.strip() else "empty") from None
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for match in _STRUCTURE.finditer(text):
        mark = match[0][0]
        if mark in "[{":
            depth += 1
            if depth > _DEEPEST:
                raise Undecodable(f"nested deeper than {_DEEPEST} at character {match.start()}")
        elif mark in "]}":
            depth -= 1
