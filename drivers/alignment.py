"""When whole intervals have to be laid on the steady clock anew, because the idea of UTC has changed.

A box without a battery clock starts in the past. What was aligned then is out of step once the true time comes.
"""

from drivers.reading import Stamp

STEP_NS = 2_000_000_000
"""A clock that is set by no more than this moves nothing."""


class Alignment:
    """How far UTC is from the steady clock, as it was when something was aligned last. Not for several threads."""

    def __init__(self) -> None:
        """Nothing is aligned yet."""
        self._apart_ns: int | None = None
        self._was_sure = False

    def has_moved(self, now: Stamp) -> bool:
        """Is it time to align (again)? At first, when UTC is believed for the first time, and after a step. Counts as done."""
        apart_ns = now.utc_ns - now.mono_ns
        is_first = now.sure and not self._was_sure
        if self._apart_ns is not None and not is_first and abs(apart_ns - self._apart_ns) <= STEP_NS:
            return False
        self._apart_ns, self._was_sure = apart_ns, self._was_sure or now.sure
        return True
