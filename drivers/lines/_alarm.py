"""Sleeps that end in time. A thread that sleeps is woken 50 to 150 µs late, which a serial bus would stand idle in each of its silences.

So it sleeps a little less, by what it has learned of its own lateness, and spends the rest looking at the clock: some 50 µs.
"""

import ctypes
import time
from contextlib import suppress

_MOST_S = 0.00008
"""However late the box wakes: no more than this is spent with open eyes. A box that is busy wakes later, and has no time to spare."""
_STEP_S = 0.000004
_PR_SET_TIMERSLACK = 29


class Alarm:
    """Belongs to one thread, the one that made it."""

    def __init__(self) -> None:
        self.late_s = 0.00005
        """How late a sleep ends, one time in two; at most 0.00008."""
        with suppress(OSError, AttributeError):  # elsewhere than on Linux: sleeps are as they are
            ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)  # 1 ns instead of 50 µs, for this thread

    def doze(self, until: float) -> None:
        """Back about this instant of time.monotonic(), no more than 0.08 ms before."""
        rest_s = until - self.late_s - time.monotonic()
        if rest_s <= 0:
            return
        time.sleep(rest_s)
        is_late = time.monotonic() > until
        self.late_s = min(_MOST_S, max(0.0, self.late_s + (_STEP_S if is_late else -_STEP_S)))

    def wait(self, until: float) -> None:
        """Back at this instant, never before."""
        self.doze(until)
        while time.monotonic() < until:
            pass
