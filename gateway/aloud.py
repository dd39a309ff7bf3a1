"""Tells people what cannot be journalled: that the journal itself can be written no more, and that it can again.

Everything else that people hear was journalled first. This is kept in memory only: it is told to each recipient once in a life of the
daemon, under an id by which a receiver knows it again, needs nothing of the journal, and a kill in between forgets it.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Event

from config.errors import Gone, Halted, Refused, Unavailable
from gateway.contracts import Channel, Notice

log = logging.getLogger("ecosentry.outbox")
_REQUEST_S = 20.0
_AGAIN_S = 30.0
_LOOK_S = 1.0


class Aloud:
    """The worker for all recipients together."""

    def __init__(self, channel_of: Callable[[str], Channel]) -> None:
        """`channel_of` makes the channel to a recipient; each try has one of its own."""
        self._channel_of = channel_of
        self._waiting: dict[str, deque[Notice]] = {}
        self._changed = Condition()

    def say(self, notices: Iterable[tuple[str, Notice]]) -> None:
        """(recipient, notice): tell it soon; never waits. Who was not told of the beginning is not told of the end."""
        with self._changed:
            for recipient, notice in notices:
                queue = self._waiting.setdefault(recipient, deque())
                if notice.kind == "alert.ended" and queue:
                    queue.clear()
                else:
                    queue.append(notice)
            self._changed.notify_all()

    def run(self, stop: Event) -> None:
        """Tell what is said until `stop`."""
        while not stop.is_set():
            with self._changed:
                if not any(self._waiting.values()):
                    self._changed.wait(_LOOK_S)
                due = [(recipient, queue[0]) for recipient, queue in self._waiting.items() if queue]
            told = [self._tell(recipient, notice) for recipient, notice in due if not stop.is_set()]
            if not all(told):
                stop.wait(_AGAIN_S)

    def _tell(self, recipient: str, notice: Notice) -> bool:
        """One try; True = it is dealt with."""
        channel = self._channel_of(recipient)
        try:
            channel.tell(notice, time.monotonic() + _REQUEST_S)
        except (Unavailable, Halted) as error:
            log.warning("%s not told, again in %.0f s: %s", recipient, _AGAIN_S, error)
            return False
        except (Refused, Gone) as error:
            log.error("%s dead: %s %s", recipient, notice.subject, error)
        finally:
            channel.close()
        with self._changed:
            if self._waiting[recipient] and self._waiting[recipient][0] is notice:
                self._waiting[recipient].popleft()
        return True
