"""What scan and probe share: one exchange in a gap, and the registers of one unit, each asked for once."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from config.errors import DeviceError
from drivers.blocks import LineSpeed
from drivers.codecs.modbus import DeclinedError, Question
from drivers.driver import Wire
from drivers.job import Gap, Progress
from gateway.scanning.asks import Ask, framing

_AGAIN = 2
"""So often a question that was spoilt is asked."""
_PATIENCE = 3
"""After so many silences each is taken for an answer."""
LATE_S = 1.0
"""So long after its time an answer may still come."""
_LEAST_S = 0.2
"""A device that has answered is given this at least."""


def answer(wire: Wire, ask: Ask, speed: LineSpeed) -> bytes:
    """What came within the time that an answer may take."""
    return _exchange(wire, ask.request, ask.missing, ask.answer_s + ask.size * speed.character_s, speed)


def _exchange(wire: Wire, request: bytes, missing: Callable[[bytes], int], answer_s: float, speed: LineSpeed) -> bytes:
    wire.drain()
    wire.send(request)
    return wire.receive(missing, len(request) * speed.character_s + answer_s + 2 * speed.round_trip_s)


Read = Generator[Progress, Gap, tuple[int, ...]]


@dataclass(slots=True)
class Registers:
    """The registers of one unit, as far as they were asked for. Answers are kept: profiles ask for the same ones."""

    unit: int
    speed: LineSpeed
    answer_s: float = 0.5
    requests: int = 0
    silences: int = 0
    """So often nothing came: some devices say nothing where others decline."""
    _slowest_s: float = 0.0
    _known: dict[Question, tuple[int, ...] | DeviceError] = field(default_factory=dict)

    def forget(self) -> None:
        """Ask anew: for values that change."""
        self._known.clear()

    def read(self, function: int, first: int, count: int, progress: Progress) -> Read:
        """The registers; a step of a Job. Raises DeviceError, DeclinedError with the exception."""
        question = Question(self.unit, function, first, count)
        known = self._known.get(question) or self._within(question)
        if known is None:
            known = self._known[question] = yield from self._ask(question, progress)
        if isinstance(known, DeviceError):
            raise known
        return known

    def _within(self, question: Question) -> tuple[int, ...] | None:
        """Out of a longer answer that is known."""
        for other, known in self._known.items():
            at = question.first - other.first
            if other.function == question.function and at >= 0 and at + question.count <= other.count and isinstance(known, tuple):
                return known[at : at + question.count]
        return None

    @property
    def _patience_s(self) -> float:
        """How long to wait: once it has answered, three times its slowest answer."""
        return min(self.answer_s, max(_LEAST_S, 3 * self._slowest_s)) if self._slowest_s else self.answer_s

    def _expect(self, question: Question, wire: Wire) -> None:
        """Its answer may still come, behind noise or late: whoever asks this device next, a poll too, lets it pass."""
        if self.speed.framing != "tcp":
            frame = framing(self.speed.framing)
            until_ns = wire.clock.now().mono_ns + round((LATE_S + 10 * self.speed.round_trip_s) * 1e9)
            wire.owed.expect(question.unit, question.function, lambda so_far: 0 if frame.is_over(question, 0, so_far) else 1, until_ns)

    def _ask(self, question: Question, progress: Progress) -> Generator[Progress, Gap, tuple[int, ...] | DeviceError]:
        frame, fault = framing(self.speed.framing), DeviceError("not asked", "silent")
        for attempt in range(_AGAIN):
            if attempt and fault.cause == "silent" and self.silences > _PATIENCE:
                break
            gap = yield progress
            began_ns = gap.wire.clock.now().mono_ns
            self.requests += 1
            number = self.requests & 0xFFFF
            answer_s = self._patience_s + frame.answer_size(question) * self.speed.character_s
            gap.wire.owed.let_pass(question.unit, question.function, gap.wire)
            stream = _exchange(gap.wire, frame.ask(question, number), lambda so_far, n=number: frame.still(question, n, so_far), answer_s,  # type: ignore[misc]
                               self.speed)
            took_s = (gap.wire.clock.now().mono_ns - began_ns) / 1e9
            try:
                came: tuple[int, ...] | DeviceError = tuple(frame.answer(question, number, stream))
            except DeclinedError as declined:
                came = declined
            except DeviceError as spoilt:
                fault = spoilt
                self.silences += spoilt.cause == "silent"
                self._expect(question, gap.wire)
                continue
            self._slowest_s = max(self._slowest_s, took_s)
            return came
        return fault
