"""The duty cycle of a device: awake for a while, then asleep, so that lamp, laser, fan or battery last.

The cycle stands on the monotonic clock, aligned to UTC when it begins: every 5 minutes means at :00, :05, :10. What is not known of the
device (the daemon has just started, the line was opened anew) is taken as not awake, and it is told again.
"""

from dataclasses import dataclass

from config.series import Reason
from drivers.reading import Stamp


@dataclass(frozen=True, slots=True)
class Duty:
    """All in seconds: each `every_s` it is woken, warms up for `ready_s` and measures for `on_s`. `every_s` 0 = it never sleeps.

    Between waking and warming up it does for `before_s` what it was told to do first: wipe, rinse.
    """

    every_s: float
    on_s: float
    ready_s: float = 0.0
    before_s: float = 0.0

    @property
    def awake_s(self) -> float:
        """From waking to sleep."""
        return self.before_s + self.ready_s + self.on_s


class Cycle:
    """Where a device is in its cycle. Not for several threads."""

    def __init__(self, duty: Duty) -> None:
        """Nothing is known of the device yet."""
        self.duty = duty
        self._phase_ns: int | None = None
        self._since_ns = 0
        self.is_awake: bool | None = None
        """As it was told last; None = not known."""

    def forget(self) -> None:
        """Nothing is known of the device any more."""
        self.is_awake = None

    def wants_awake(self, now: Stamp) -> bool:
        """Should it be awake now?"""
        every_ns = round(self.duty.every_s * 1e9)
        if not every_ns:
            return True
        if self._phase_ns is None:
            self._phase_ns = now.mono_ns - now.utc_ns % every_ns
        return (now.mono_ns - self._phase_ns) % every_ns < round(self.duty.awake_s * 1e9)

    def told(self, now: Stamp, awake: bool) -> None:
        """It was woken, or put to sleep."""
        if self.is_awake is not awake:
            self.is_awake, self._since_ns = awake, now.mono_ns

    def reason(self, now: Stamp) -> Reason:
        """Of a value that it gives now and that is well otherwise."""
        if not self.is_awake:
            return Reason.RESTING if not self.wants_awake(now) else Reason.WARMING
        return Reason.WARMING if now.mono_ns - self._since_ns < round(self.duty.ready_s * 1e9) else Reason.NORMAL
