"""Waiting for what happens in other threads and processes, and deadlines for what is asked of them."""

import time
from collections.abc import Callable


def soon(seconds: float = 10) -> float:
    """A deadline on the monotonic clock."""
    return time.monotonic() + seconds


def until(claim: Callable[[], object], within_s: float = 10, what: str | Callable[[], object] = "", every_s: float = 0.005) -> None:
    """Look again and again until it holds. Raises AssertionError with `what` (words, or what gives them) if it does not come about."""
    end = soon(within_s)
    while not claim():
        assert time.monotonic() < end, (what() if callable(what) else what) or "it did not come about in time"
        time.sleep(every_s)
