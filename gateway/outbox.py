"""Tells one recipient what is in their outbox: in order, one after another, again and again until it is told.

A message is in the journal since the readings that caused it; it leaves the outbox when the other side has it. A crash
in between tells it twice with the same id. What is orange or red, or still fires, is tried for ever; of what was less and is
over, nobody hears a day later. Who was not told of the beginning is not told of the end.
"""

import logging
import random
import time
from pathlib import Path
from threading import Event

from config.errors import Gone, Halted, Refused, Unavailable
from config.site import Severity
from drivers.reading import Clock
from gateway.bell import Bell
from gateway.contracts import Channel
from gateway.intake import Intake
from gateway.journal.progress import Told
from gateway.journal.reader import Reader
from gateway.journal.records import Waiting

log = logging.getLogger("ecosentry.outbox")
ENDED = "alert.ended"
_REQUEST_S = 20.0
_PAUSES_S = (5.0, 15.0, 60.0, 300.0, 600.0)
_HUMAN_PAUSE_S = 120.0
_GONE_PAUSE_S = 24 * 3600.0
"""A recipient who never wants to hear from us again is left alone until the next start: only a person can know better."""
_DEAD_AFTER_NS = 24 * 3600 * 10**9
"""So old a message is given up that is neither orange nor red, whose alert has ended, and that ends nothing that somebody was told of."""


class Messenger:
    """The worker of one recipient."""

    def __init__(self, recipient: str, channel: Channel, folder: Path, intake: Intake, bell: Bell, clock: Clock) -> None:
        self._recipient = recipient
        self._channel = channel
        self._folder = folder
        self._intake = intake
        self._bell = bell
        self._clock = clock
        self._given_up: set[int] = set()
        """Since the start: the journal may not yet know."""
        self._random = random.Random(recipient)  # noqa: S311 - jitter, not a secret

    def run(self, stop: Event) -> None:
        """Empty the outbox until `stop`."""
        with Reader(self._folder) as reader:
            done = heard = tries = 0
            while not stop.is_set():
                waiting = reader.waiting(self._recipient, done)
                if waiting is None:
                    heard = self._bell.wait(heard, 1.0)
                    continue
                pause_s = self.tell(waiting, max(waiting.tries, tries))
                if pause_s is None:
                    done, tries = waiting.id, 0
                else:
                    tries += 1
                    stop.wait(pause_s)
        self._channel.close()

    def tell(self, waiting: Waiting, tries: int) -> float | None:
        """One try; None = this message is dealt with, else seconds until the next try."""
        if waiting.notice.kind == ENDED and self._is_unheard_of(waiting):
            self._end(waiting, "dead", tries, "its beginning was not told")
            return None
        try:
            self._channel.tell(waiting.notice, time.monotonic() + _REQUEST_S)
        except Unavailable as error:
            return self._later(waiting, tries, str(error), error.after_s or 0.0)
        except Halted as error:
            return self._later(waiting, tries, str(error), _HUMAN_PAUSE_S)
        except Gone as error:
            return self._again(waiting, tries, str(error), _GONE_PAUSE_S)
        except Refused as error:
            self._end(waiting, "dead", tries, str(error))
            return None
        self._end(waiting, "told", tries, "")
        return None

    def _is_unheard_of(self, waiting: Waiting) -> bool:
        """All that was to be told of this alert before was given up."""
        return bool(waiting.earlier) and not (set(waiting.earlier) - waiting.given_up - self._given_up)

    def _may_be_given_up(self, waiting: Waiting) -> bool:
        now, worst = self._clock.now(), waiting.notice.data.get("worst")
        is_grave = isinstance(worst, int) and worst >= Severity.ORANGE
        is_old = now.sure and now.utc_ns - waiting.notice.at_ns > _DEAD_AFTER_NS
        return is_old and not (is_grave or waiting.fires or waiting.notice.kind == ENDED)

    def _end(self, waiting: Waiting, state: str, tries: int, words: str) -> None:
        log.log(logging.INFO if state == "told" else logging.ERROR, "%s %s: %s %s", self._recipient, state, waiting.notice.subject, words)
        if state == "dead":
            self._given_up.add(waiting.id)
        self._intake.tell(Told(waiting.id, state, 0, tries + 1, words))

    def _later(self, waiting: Waiting, tries: int, words: str, after_s: float) -> float | None:
        if self._may_be_given_up(waiting):
            self._end(waiting, "dead", tries, words)
            return None
        return self._again(waiting, tries, words, after_s)

    def _again(self, waiting: Waiting, tries: int, words: str, after_s: float) -> float:
        now = self._clock.now()
        pause_s = max(after_s, _PAUSES_S[min(tries, len(_PAUSES_S) - 1)] * self._random.uniform(0.7, 1.0))
        log.warning("%s not told (try %d, next in %.0f s): %s", self._recipient, tries + 1, pause_s, words)
        self._intake.tell(Told(waiting.id, "waiting", now.utc_ns + round(pause_s * 1e9), tries + 1, words))
        return pause_s
