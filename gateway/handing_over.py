"""What a polled line gives to the core: batches, and a row for each series that gave no value when one was due."""

import logging
import math
from threading import Event

from config.series import Reason
from drivers.driver import Deliver
from drivers.reading import Batch, Clock, Delivery, Readings
from gateway.health import LineHealth
from gateway.turns import Turn

log = logging.getLogger(__name__)
_MISSING_EVERY_NS = 60_000_000_000
"""A series that stays away gives one MISSING row at each due time, but at most one a minute."""
_HAND_OVER_S = 0.2
_HAND_OVER_AFTER_STOP = 10
"""How often a full queue is tried again once the daemon stops; the core is emptying it meanwhile."""


class HandingOver:
    """The way of one line to the core."""

    def __init__(self, name: str, clock: Clock, deliver: Deliver, health: LineHealth) -> None:
        self.name = name
        self._clock = clock
        self._deliver = deliver
        self._health = health

    def give(self, batch: Batch, stop: Event) -> None:
        """To the core. While its queue is full this waits, and the line's next polls are late."""
        delivery = Delivery(self.name, (batch,))
        tries_left = _HAND_OVER_AFTER_STOP
        while not self._deliver(delivery, _HAND_OVER_S):
            tries_left -= stop.is_set()
            if tries_left <= 0:
                self._health.count("dropped", len(batch))
                log.error("line %s: %d readings lost: the queue stayed full after stop", self.name, len(batch))
                return

    def tell_missing(self, turn: Turn, reason: Reason, stop: Event, every_ns: int = _MISSING_EVERY_NS) -> None:
        """The values of a turn's slot are missing, and why; of one that stays away no more often than every so many ns."""
        if turn.missing_ns is not None and turn.due_ns - turn.missing_ns < every_ns:
            return
        turn.missing_ns = turn.due_ns
        readings = Readings(self._clock.now())
        for series in turn.group.series:
            readings.add(series, math.nan, reason)
        self.give(readings.batch(), stop)
