"""A line on which somebody else is the master: read along, and never send a byte.

Pairs of request and answer become messages to the drivers of the devices that were asked. Who is asked and stands in no site
file is counted and named: that is what a keeper wants to know first.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event

from drivers.blocks import LineSpeed
from drivers.codecs.modbus import DeclinedError, Question
from drivers.codecs.modbus_overheard import Ear, Overheard
from drivers.driver import AskedLine, Deliver, Heard, Report, Told
from drivers.likely import explained
from drivers.lines._stream import StreamListener
from drivers.overheard import OverheardDriver, payload, topic
from drivers.reading import Clock

_PAUSE_S = 0.06
"""Adapters hand over in pieces: a frame does not pause longer than this, or than twenty characters on a slow line."""
_MOST_STRANGERS = 8
_TELL_EVERY_NS = 10_000_000_000


@dataclass(slots=True)
class _Stranger:
    """A unit that is asked and is nobody's device."""

    times: int = 0
    at_ns: deque[int] = field(default_factory=lambda: deque(maxlen=4))
    ranges: dict[Question, None] = field(default_factory=dict)

    def text(self, unit: int) -> str:
        spans = ", ".join(f"0x{q.first:04X}–0x{q.first + q.count - 1:04X}" for q in sorted(self.ranges, key=lambda q: (q.function, q.first)))
        gaps = [later - earlier for earlier, later in zip(list(self.at_ns), list(self.at_ns)[1:], strict=False)]
        gap_s = sorted(gaps)[len(gaps) // 2] / 1e9 if gaps else 0.0
        every = f" every {gap_s:.0f} s" if gap_s >= 0.95 else f" every {gap_s:.1f} s" if gaps else ""
        return f"address {unit} is asked for {spans}{every}, no device configured"


class OverhearingListener(StreamListener):
    """Runs one line for `ToldLine.run` while another master asks."""

    def __init__(self, name: str, line: AskedLine, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report,
                 speed: LineSpeed) -> None:
        super().__init__(name, line, drivers, deliver, stop, clock, report)
        self._ear = Ear("ascii" if speed.framing == "ascii" else "rtu", 3_000_000_000 + round(2e9 * speed.round_trip_s))
        self._pause_ns = round(1e9 * max(_PAUSE_S, 20 * speed.character_s, speed.round_trip_s))
        self._heard_ns = 0
        self._units = {driver.unit: device for device, driver in drivers.items() if isinstance(driver, OverheardDriver)}
        self._strangers: dict[int, _Stranger] = {}
        self._unpaired = self._stray = 0
        self._told_ns: int | None = None

    def _begin(self) -> None:
        super()._begin()
        self._ear.forget()

    def _take(self, piece: bytes) -> None:
        stamp = self._clock.now()
        if stamp.mono_ns - self._heard_ns > self._pause_ns:
            self._each(self._ear.fall_silent(stamp.mono_ns))
        self._heard_ns = stamp.mono_ns
        self._each(self._ear.feed(piece, stamp.mono_ns))

    def _idle(self) -> None:
        now_ns = self._clock.now().mono_ns
        if now_ns - self._heard_ns > self._pause_ns:
            self._each(self._ear.fall_silent(now_ns))
        self._tell(now_ns)

    def _each(self, pairs: list[Overheard]) -> None:
        for pair in pairs:
            device = self._units.get(pair.question.unit)
            if device is None:
                self._note(pair.question)
            elif pair.is_silent:
                self._report.failed(device, "silent", "the other master asks it and it does not answer: power, wiring, address?")
            elif pair.declined:
                fault = DeclinedError(pair.declined)
                self._report.failed(device, fault.cause, f"it answers the other master with {explained(fault)}")
            else:
                self._hear_message(Heard(topic(pair.question), payload(pair.registers), self._clock.now()))
        self._count()

    def _count(self) -> None:
        new, self._unpaired = self._ear.unpaired - self._unpaired, self._ear.unpaired
        if new:
            self._report.count("unpaired", new)
        stray, self._stray = self._ear.stray - self._stray, self._ear.stray
        if stray:
            self._report.count("stray", stray)

    def _note(self, question: Question) -> None:
        """One request for a unit that is nobody's device."""
        self._report.count("stranger")
        one = self._strangers.get(question.unit)
        if one is None and len(self._strangers) < _MOST_STRANGERS:
            one = self._strangers[question.unit] = _Stranger()
            self._told_ns = None
        if one is None:
            return
        one.times += 1
        if not one.ranges or next(iter(one.ranges)) == question:
            one.at_ns.append(self._clock.now().mono_ns)
        if len(one.ranges) < _MOST_STRANGERS:
            one.ranges[question] = None

    def _tell(self, now_ns: int) -> None:
        """What is worth telling of a line that works, at most every ten seconds."""
        if self._told_ns is not None and now_ns - self._told_ns < _TELL_EVERY_NS:
            return
        self._told_ns = now_ns
        words = [one.text(unit) for unit, one in sorted(self._strangers.items())]
        if not self._ear.requests:
            words.append("no request of another master heard yet: baud rate, format, wires A and B?" if self._ear.stray else
                         "nothing heard yet: is there another master?")
        elif self._ear.unpaired > max(20, self._ear.requests):
            words.append("mostly answers whose requests are not heard: only one direction is on these wires")
        self._report.noted("; ".join(words))
