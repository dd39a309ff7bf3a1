"""How long to wait for the first byte of an answer: learned from the answers, never longer than the profile's bound."""

from dataclasses import dataclass


def floor_s(bound_s: float, round_trip_s: float) -> float:
    """What is waited for at least, however quick the answers were: a network is slow now and then."""
    return min(bound_s, 0.1 + round_trip_s / 4)


@dataclass(slots=True)
class Patience:
    """Belongs to one device."""

    bound_s: float
    floor_s: float
    worst_s: float = -1.0
    """Slowest answer seen lately, fading; -1 = none yet."""
    failed: int = 0

    @property
    def timeout_s(self) -> float:
        """Three times the slowest answer and a margin; the whole bound until one came and after a failure."""
        if self.worst_s < 0 or self.failed:
            return self.bound_s
        return min(self.bound_s, max(self.floor_s, 3 * self.worst_s + 0.05))

    def answered(self, turnaround_s: float) -> None:
        """An answer began after so long."""
        self.failed = 0
        self.worst_s = max(turnaround_s, 0.98 * self.worst_s, 0.0)
