"""The time that a source gives its own reading: ISO 8601 with an offset, or seconds, ms, µs or ns since 1970."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S = 946_684_800
"""2000-01-01. Counts of s, ms, µs and ns between this and the last cannot be mistaken for one another."""
_LAST_S = 4_102_444_800
"""2100-01-01."""
_FIGURE = re.compile(r"\d{9,19}(?:\.\d{1,9})?")


def own_time_ns(written: object) -> int:
    """UTC ns, exactly. Raises ValueError in words.

    >>> own_time_ns("2026-11-20T08:00:00.5+08:00"), own_time_ns(1795132800500)
    (1795132800500000000, 1795132800500000000)
    """
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise ValueError("is not a time")
    if isinstance(written, str) and not _FIGURE.fullmatch(written):
        return _iso_ns(written)
    figure = written if isinstance(written, int) else Decimal(str(written))
    for per_s in (1, 10**3, 10**6, 10**9):
        if _FIRST_S * per_s <= figure < _LAST_S * per_s:
            return int(figure * (10**9 // per_s))
    raise ValueError("is not a time between 2000 and 2100")


def _iso_ns(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError('is not a time; ISO 8601 looks like "2026-11-20T08:00:00+08:00"') from None
    if found.utcoffset() is None:
        raise ValueError('has no offset from UTC; end it with "Z" or "+08:00"')
    try:
        since = (found - _EPOCH) // timedelta(microseconds=1)
    except OverflowError:  # pragma: no cover - the calendar ends at 9999
        raise ValueError("is not a time between 2000 and 2100") from None
    if not _FIRST_S <= since / 1e6 < _LAST_S:
        raise ValueError("is not a time between 2000 and 2100")
    return since * 1000
