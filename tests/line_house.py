"""The owner of one line in a thread of its own, and what it handed over."""

import threading
import time
from collections.abc import Callable, Iterable
from threading import Event
from typing import Self

from waiting import until

from drivers.reading import Batch, Delivery
from gateway.health import LineHealth
from gateway.listener import Listener
from gateway.poller import Poller


class LineHouse:
    """A poller or a listener, with a queue that is full when it is told to be."""

    def __init__(self, devices: Iterable[str], make: Callable[["LineHouse"], Poller | Listener]) -> None:
        """`make` is given this house, for its `take` and its `health`."""
        self.taken: list[Delivery] = []
        self.is_full = False
        self.health = LineHealth("bus", "serial", dict.fromkeys(devices, "st"))
        self.stop = Event()
        self.owner = make(self)
        self.thread = threading.Thread(target=self.owner.run, args=(self.stop,))

    def take(self, delivery: Delivery, wait_s: float) -> bool:
        if self.is_full:
            self.stop.wait(wait_s)
            return False
        self.taken.append(delivery)
        return True

    def batches(self, device: str = "") -> list[Batch]:
        return [batch for delivery in list(self.taken) for batch in delivery.batches if device in ("", batch.series[0].device)]

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()

    def until(self, claim: Callable[[], bool], within_s: float = 6.0) -> None:
        until(claim, within_s, lambda: (self.health.line(), self.health.devices(time.monotonic_ns()), self.batches()[-5:]))
