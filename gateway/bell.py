"""Wakes everyone who waits for new rows in the journal."""

from threading import Condition


class Bell:
    """Rung by the core after each commit; a listener sleeps until the next ring that it has not heard."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._rings = 0

    def ring(self) -> None:
        """Wake everyone."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def wait(self, heard: int, timeout_s: float) -> int:
        """Wait for a ring after number `heard`, at most `timeout_s`; gives the number of the newest ring."""
        with self._changed:
            self._changed.wait_for(lambda: self._rings != heard, timeout_s)
            return self._rings
