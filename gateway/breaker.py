"""When to stop asking a device that does not answer, and when to try it again. One for each device of each line."""

import random
from dataclasses import dataclass, field

_JITTER = 0.2


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first_s` to `most_s`, each up to a fifth shorter or longer so that boxes do not march in step."""

    first_s: float
    most_s: float
    chance: random.Random
    tries: int = 0

    def next_ns(self) -> int:
        """How long to wait before the next try, ns; grows with each call."""
        wait_s = min(self.most_s, self.first_s * 2 ** min(self.tries, 30))
        self.tries += 1
        return int(wait_s * (1 + self.chance.uniform(-_JITTER, _JITTER)) * 1e9)

    def reset(self) -> None:
        """All is well: the next wait is the first again."""
        self.tries = 0


@dataclass(slots=True)
class Breaker:
    """Opens after `opens_after` failures one after another, closes on one good answer; tried in between on a back-off."""

    chance: random.Random
    opens_after: int = 3
    failures: int = 0
    try_at_ns: int = 0
    """Monotonic; meaningful while it is open."""
    backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self.backoff = Backoff(2.0, 48.0, self.chance)

    @property
    def is_open(self) -> bool:
        """The device is given up for now."""
        return self.failures >= self.opens_after

    def good(self) -> bool:
        """It answered. True if that closed the breaker."""
        closed = self.is_open
        self.failures = 0
        self.backoff.reset()
        return closed

    def bad(self, now_ns: int) -> bool:
        """It failed once more. True if that opened the breaker."""
        was_open = self.is_open
        self.failures += 1
        if self.is_open:
            self.try_at_ns = now_ns + self.backoff.next_ns()
        return self.is_open and not was_open
