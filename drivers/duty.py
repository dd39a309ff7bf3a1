"""The duty cycle of a device: awake for a while, then asleep, so that lamp, laser, fan or battery last.

The cycle stands on the monotonic clock, aligned to UTC: every 5 minutes means at :00, :05, :10. What is not known of the
device (the daemon has just started, the line was opened anew) is taken as not awake, and it is told again.
"""

from dataclasses import dataclass

from config.series import Reason
from drivers.alignment import Alignment
from drivers.reading import Stamp

NEVER_NS = 2**62


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


ALWAYS = Duty(0.0, 0.0)
"""It never sleeps."""


class Cycle:
    """Where a device is in its cycle. Not for several threads."""

    def __init__(self, duty: Duty) -> None:
        """Nothing is known of the device yet."""
        self.duty = duty
        self._every_ns, self._awake_ns = round(duty.every_s * 1e9), round(duty.awake_s * 1e9)
        self._ready_ns, self._work_ns = round(duty.ready_s * 1e9), round((duty.ready_s + duty.on_s) * 1e9)
        self._alignment = Alignment()
        self._phase_ns = self._since_ns = 0
        self.is_awake: bool | None = None
        """As it was told last; None = not known."""

    def forget(self) -> None:
        """Nothing is known of the device any more."""
        self.is_awake = None

    def wants_awake(self, now: Stamp) -> bool:
        """Should it be awake now? One that was woken late, behind a slow supply, measures as long as any other."""
        return self._awake_until_ns(now) > now.mono_ns

    def _awake_until_ns(self, now: Stamp) -> int:
        """When it should go to sleep; not after now = it should be asleep."""
        if not self._every_ns:
            return NEVER_NS
        if self._alignment.has_moved(now):
            self._phase_ns = now.mono_ns - now.utc_ns % self._every_ns
        began_ns = now.mono_ns - (now.mono_ns - self._phase_ns) % self._every_ns
        end_ns = began_ns + self._awake_ns
        return max(end_ns, self._since_ns + self._work_ns) if self.is_awake and self._since_ns < end_ns else end_ns

    def next_ns(self, now: Stamp) -> int:
        """When it is to be woken or put to sleep next, or is ready; monotonic, always later than now."""
        until_ns = self._awake_until_ns(now)
        if until_ns <= now.mono_ns:
            return now.mono_ns + self._every_ns - (now.mono_ns - self._phase_ns) % self._every_ns
        return min(until_ns, self._since_ns + self._ready_ns) if self.is_awake and not self.is_ready(now) else until_ns

    def told(self, now: Stamp, awake: bool) -> None:
        """It was woken, or put to sleep."""
        if self.is_awake is not awake:
            self.is_awake, self._since_ns = awake, now.mono_ns

    def is_ready(self, now: Stamp) -> bool:
        """It is awake, and had its time to warm up."""
        return self.is_awake is True and now.mono_ns - self._since_ns >= self._ready_ns

    def reason(self, now: Stamp) -> Reason:
        """Of a value that it gives now and that is well otherwise."""
        if not self.is_awake:
            return Reason.RESTING if not self.wants_awake(now) else Reason.WARMING
        return Reason.NORMAL if self.is_ready(now) else Reason.WARMING
