"""JSON as the standard has it (RFC 8259), whatever a device said: NaN and the infinities are null, broken characters escapes."""

import json
import math
from collections.abc import Mapping


def encode(what: object) -> bytes:
    """Strict JSON in UTF-8, as short as can be. Lone surrogates, which a broken name may hold, become escapes."""
    return _text(what, (",", ":")).encode("utf-8", "backslashreplace")


def line(what: object) -> str:
    """The same with blanks, for who reads it in a terminal too."""
    return _text(what, (", ", ": ")).encode("utf-8", "backslashreplace").decode()


def _text(what: object, separators: tuple[str, str]) -> str:
    try:
        return json.dumps(what, ensure_ascii=False, allow_nan=False, separators=separators)
    except ValueError:
        return json.dumps(_finite(what), ensure_ascii=False, allow_nan=False, separators=separators)


def _finite(what: object) -> object:
    if isinstance(what, float):
        return what if math.isfinite(what) else None
    if isinstance(what, Mapping):
        return {str(key): _finite(value) for key, value in what.items()}
    if isinstance(what, list | tuple):
        return [_finite(value) for value in what]
    return what
