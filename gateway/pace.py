"""How much of a backlog goes at once, and when the next piece: as much as live rows do not feel.

A live row that comes while a piece is under way waits for its end. So a piece takes no longer than a live row usually needs from the
sensor to the store, and after each the line is free for as long as it took: live rows then need at most twice their usual time.
"""

AT_LEAST = 50
_UNKNOWN_S = 0.02
_WEIGHT = 0.2
"""Of the newest live request in what is usual."""
_LONGEST_S = 0.2
"""More than this is not taken for usual unless the link itself is so slow: a device's clock may be wrong."""


class Pace:
    """Learns from the time that requests take; all times are seconds of one monotonic clock."""

    def __init__(self, most: int, rate: int | None, gathered_s: float) -> None:
        """`gathered_s`: so long rows wait for each other before they go."""
        self._most = most
        self._rate = rate
        self._longest_s = max(_LONGEST_S, gathered_s / 10)
        self._request_s = _UNKNOWN_S
        self._usual_s = 0.0
        self._piece = float(AT_LEAST)
        self._free_at = 0.0

    @property
    def piece(self) -> int:
        """Rows of the next piece."""
        return max(1, min(int(self._piece), self._rate or self._most))

    def live(self, took_s: float, age_s: float, is_alone: bool) -> None:
        """A live request took so long, and its newest reading was so old then; `is_alone`: there was no backlog beside it."""
        self._request_s += _WEIGHT * (took_s - self._request_s)
        if is_alone:
            self._usual_s += _WEIGHT * (min(max(age_s, took_s), max(took_s, self._longest_s)) - self._usual_s)

    def until_free_s(self, now_s: float) -> float:
        """How long the line belongs to live rows; 0 = a piece may go."""
        return max(0.0, self._free_at - now_s)

    def sent(self, began_s: float, ended_s: float, rows: int, accepted: bool) -> None:
        """A piece has gone, or was too much."""
        took_s = ended_s - began_s
        if not accepted:
            self._piece = max(AT_LEAST, self._piece / 4)
        elif took_s < max(self._request_s, self._usual_s):
            self._piece = min(self._most, self._piece * 1.25)
        else:
            self._piece = max(AT_LEAST, self._piece * 0.8)
        self._free_at = max(ended_s + took_s, began_s + rows / self._rate if self._rate else 0.0)
