"""A notice as the JSON document that every machine-read channel sends; `docs/alerts.md` describes it."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from config.errors import Refused
from gateway.contracts import Notice

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def document(notice: Notice) -> bytes:
    """The same bytes for the same notice, at every try and after every restart. UTF-8, no spaces.

    Raises Refused if the notice holds what JSON cannot carry.
    """
    whole = {
        "id": notice.id, "type": notice.kind, "timestamp": timestamp(notice.at_ns), "subject": notice.subject,
        "data": _finite(notice.data),
    }
    try:
        return json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise Refused(f"the notice {notice.id} cannot be written as JSON: {error}") from error


def timestamp(ns: int) -> str:
    """RFC 3339 in UTC with milliseconds.

    >>> timestamp(1790000000123456789)
    '2026-09-21T14:13:20.123Z'
    """
    return (_EPOCH + timedelta(milliseconds=ns // 1_000_000)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _finite(value: object) -> object:
    """JSON has no NaN: null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
