"""JSON as the standard has it (RFC 8259), whatever a device said: NaN and the infinities are null, broken characters escapes."""

import json
import math
from collections.abc import Mapping


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
