"""A line of bytes whose devices speak by themselves: open, hand each piece to the drivers, hand on what they read, open again."""

import random
import time
from collections.abc import Mapping
from threading import Event

import numpy as np

from config.errors import LineError
from drivers.driver import AskedLine, Called, Deliver, Heard, Report, Streamed, Told, Wire
from drivers.reading import Batch, Clock, Delivery
from drivers.resting import MOST_WORDS, Directed

_SLICE_S = 0.2
"""No wait is longer than this without a look at `stop`."""
_BREATH_S = 0.02
"""Bytes are collected for so long: at most fifty wake-ups a second, and a reading's time is true to this."""
_FULL_S = 2.0
"""A queue that stays full for so long costs the reading, counted: the port would lose bytes uncounted."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 4.0


class StreamListener:
    """Runs one line for `ToldLine.run`."""

    def __init__(self, name: str, line: AskedLine, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report) -> None:
        self._name, self._line, self._drivers = name, line, drivers
        self._deliver, self._stop, self._clock, self._report = deliver, stop, clock, report
        self._directed = {device: driver for device, driver in drivers.items() if isinstance(driver, Directed)}

    def run(self) -> None:
        """Until `stop` is set. A line that is lost is opened again by its name, with a growing pause."""
        pause_s = _FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                wire = self._line.open(self._stop, self._clock)
                self._report.opened(wire.caller if isinstance(wire, Called) else "")
                self._begin()
                if self._hear(wire):
                    pause_s = _FIRST_PAUSE_S
            except LineError as error:
                if not self._stop.is_set():
                    self._report.lost(str(error))
            finally:
                self._line.close()
            self._rest(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    def _begin(self) -> None:
        """The line was opened."""
        for driver in self._drivers.values():
            if isinstance(driver, Streamed):
                driver.begin()

    def _idle(self) -> None:
        """Nothing came for a while, or something was taken."""

    def _hear(self, wire: Wire) -> bool:
        """One opening of the line, until `stop`; LineError at its end. True if anything was heard."""
        has_heard = False
        try:
            while not self._stop.is_set():
                self._report.alive(time.monotonic_ns())
                piece = wire.receive(lambda so_far: 0 if so_far else 1, _SLICE_S)
                if piece:
                    has_heard = True
                    self._take(piece)
                    self._stop.wait(_BREATH_S)
                self._idle()
                self._direct(wire)
        except LineError as error:
            if not self._stop.is_set():
                self._report.lost(str(error))
        return has_heard

    def _direct(self, wire: Wire | None) -> None:
        """Tell devices what they are to be told just now: to sleep, to wake. Without a wire their supplies are switched all the same."""
        for device, driver in self._directed.items():
            said = driver.direct(self._clock.now())
            self._report.withheld(device, said.trouble)
            if said.words and wire is not None:
                wire.send(said.words[:MOST_WORDS])
            if said.batches:
                self._hand_over(said.batches)

    def _take(self, piece: bytes) -> None:
        self._hear_message(Heard("", piece, self._clock.now()))

    def _hear_message(self, heard: Heard) -> None:
        for device, driver in self._drivers.items():
            if not driver.wants(heard):
                continue
            batches = tuple(batch for batch in driver.hear(heard) if len(batch))
            if batches:
                missing = sum(int(np.isnan(batch.raw).sum()) for batch in batches)
                self._report.answered(device, heard.stamp.mono_ns, f"{missing} values missing in what it said" if missing else "")
                self._hand_over(batches)
            trouble = driver.trouble() if isinstance(driver, Streamed) else None
            if trouble is not None:
                self._report.failed(device, trouble.cause, trouble.words)

    def _hand_over(self, batches: tuple[Batch, ...]) -> None:
        delivery = Delivery(self._name, batches)
        until = time.monotonic() + _FULL_S
        while not self._deliver(delivery, _SLICE_S):
            self._report.alive(time.monotonic_ns())
            if self._stop.is_set() or time.monotonic() > until:
                self._report.count("dropped", delivery.rows)
                return

    def _rest(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while not self._stop.is_set() and time.monotonic() < until:
            self._report.alive(time.monotonic_ns())
            self._direct(None)
            self._stop.wait(min(_SLICE_S, pause_s))
