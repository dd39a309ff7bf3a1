"""Which devices of a polled line are given up for now, when each is tried again, and how much of the line trying may take."""

import random
from collections.abc import Iterable

from gateway.breaker import Breaker

_SHARE = 0.1
"""Tries together take at most this share of the line's time …"""
_DELAY_SHARE = 1 / 21
"""… and delay polls that are due by at most this one: the mean cycle of a full line grows by 5 % at most."""


class GivenUp:
    """The breakers of one line's devices."""

    def __init__(self, devices: Iterable[str], chance: random.Random) -> None:
        """`chance` spreads the tries, so that boxes do not march in step."""
        self._breakers = {device: Breaker(chance) for device in devices}
        self.names: set[str] = set()
        """Devices whose breaker is open."""
        self._not_before_ns = 0
        """No try of any device before this, monotonic."""

    def ready(self, now_ns: int, resting: frozenset[str]) -> str | None:
        """The device that is to be tried now; None = none is."""
        if not self.names or now_ns < self._not_before_ns:
            return None
        ready = [(at_ns, device) for device in self.names if (at_ns := self._breakers[device].try_at_ns) <= now_ns and device not in resting]
        return min(ready)[1] if ready else None

    def times(self, resting: frozenset[str]) -> list[int]:
        """When those that do not rest are tried, monotonic ns."""
        return [max(self._breakers[device].try_at_ns, self._not_before_ns) for device in self.names if device not in resting]

    def try_at(self, device: str, try_at_ns: int) -> None:
        """It is tried then, and not when its breaker says: it was woken."""
        self._breakers[device].try_at_ns = try_at_ns

    def tried(self, began_ns: int, now_ns: int, due_ns: int | None) -> None:
        """A try took this long, while a poll of another device was due since `due_ns`: the next one comes no sooner than its share allows."""
        delay_ns = 0 if due_ns is None else max(0, now_ns - max(began_ns, due_ns))
        self._not_before_ns = now_ns + int(max((now_ns - began_ns) * (1 / _SHARE - 1), delay_ns * (1 / _DELAY_SHARE - 1)))

    def good(self, device: str) -> bool:
        """It answered. True if it had been given up."""
        closed = self._breakers[device].good()
        if closed:
            self.names.discard(device)
        return closed

    def bad(self, device: str, now_ns: int) -> tuple[Breaker, bool]:
        """It failed once more: its breaker, and whether that opened it."""
        breaker = self._breakers[device]
        opened = breaker.bad(now_ns)
        if opened:
            self.names.add(device)
        return breaker, opened
