"""One question and its answer: how long to wait, when to ask again, and how a late answer is kept from being taken for the next."""

import itertools
import logging
from collections.abc import Mapping

from config.errors import DeviceError, LineError
from drivers.blocks import LineSpeed
from drivers.codecs.modbus import FRAMINGS, DeclinedError, Framing, Question
from drivers.codecs.modbus_ascii import Ascii
from drivers.codecs.modbus_write import Write, answer_size, confirmed, request
from drivers.driver import Wire
from drivers.protocols._exchange import FAR_S
from drivers.protocols._patience import Patience, floor_s

log = logging.getLogger("drivers.protocols.modbus")
_FRAMINGS: Mapping[str, Framing] = {"rtu": FRAMINGS["rtu"], "tcp": FRAMINGS["tcp"], "ascii": Ascii()}
_numbers = itertools.count(1)
"""Transaction numbers: one sequence for all, so that devices behind one connection never share one."""
_REST_S = 0.01
"""The rest of a spoilt answer passes within this."""
_AGAIN = frozenset({"noise", "short"})
"""Faults of the moment: asked once more at once. A silent device is not: others are waiting."""


class Talk:
    """The conversation with one device."""

    def __init__(self, name: str, speed: LineSpeed, answer_s: float) -> None:
        """`answer_s` bounds the wait for the first byte, without what the network adds."""
        self.name = name
        self._speed = speed
        self._framing = _FRAMINGS[speed.framing]
        self._character_s = speed.character_s
        bound_s = answer_s + 2 * speed.round_trip_s
        self._patience = Patience(bound_s, floor_s(bound_s, speed.round_trip_s))
        self._echoes = False
        """Our own bytes came back the last time that something was read."""

    def ask(self, question: Question, wire: Wire) -> list[int]:
        """The registers or coils asked for. Raises DeviceError, or LineError if the wire is gone or not to be understood."""
        if late := wire.owed.let_pass(question.unit, question.function, wire):
            log.debug("%s: late answer %s thrown away", self.name, late.hex(" "))
        try:
            return self._exchange(question, wire)
        except DeviceError as fault:
            if fault.cause not in _AGAIN:
                raise
            log.debug("%s: %s; asked again", self.name, fault)
        return self._exchange(question, wire)

    def _exchange(self, question: Question, wire: Wire) -> list[int]:
        number = next(_numbers) & 0xFFFF
        request = self._framing.ask(question, number)
        wire.drain()
        wire.send(request)
        sent_ns = wire.clock.now().mono_ns
        frames_s = (len(request) + self._framing.answer_size(question)) * self._character_s
        within_s = self._patience.timeout_s + frames_s
        frame = wire.receive(lambda so_far: self._framing.still(question, number, so_far), within_s)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s  > %s  < %s", self.name, request.hex(" "), frame.hex(" ") or "nothing")
        self._echoes = frame.startswith(request)
        try:
            registers = self._framing.answer(question, number, frame)
        except DeclinedError:
            self._learn(wire, sent_ns, frames_s)
            raise
        except DeviceError as fault:
            if self._framing.still(question, number, frame) < 0:
                raise LineError(f"{self.name}: what came is not Modbus TCP: {frame[:16].hex(' ')}") from None
            self._patience.failed += 1
            if fault.cause in _AGAIN:
                passed_s = (wire.clock.now().mono_ns - sent_ns) / 1e9
                self._let_pass(question, number, max(frames_s + _REST_S, within_s - passed_s), wire)
            if self._speed.framing != "tcp" and (fault.cause not in _AGAIN or self._speed.round_trip_s >= FAR_S):
                self._expect(question, sent_ns, wire)
            raise
        self._learn(wire, sent_ns, frames_s)
        return registers

    def write(self, write: Write, wire: Wire, answer_s: float) -> None:
        """Send it, once, and wait for its confirmation at least `answer_s`; to be called after `ask`, which sees whether the line echoes.

        Raises DeviceError if it was not confirmed, LineError if the wire is gone.
        """
        framing, number = self._speed.framing, next(_numbers) & 0xFFFF
        sent = request(framing, write, number)
        size = answer_size(framing, write) + (len(sent) if self._echoes else 0)

        def missing(so_far: bytes) -> int:
            try:
                return 0 if confirmed(framing, write, number, so_far, echoes=self._echoes) else max(1, size - len(so_far))
            except DeviceError:
                return 0

        wire.drain()
        wire.send(sent)
        came = wire.receive(missing, max(answer_s, self._patience.bound_s) + (len(sent) + size) * self._character_s)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s  > %s  < %s", self.name, sent.hex(" "), came.hex(" ") or "nothing")
        if not confirmed(framing, write, number, came, echoes=self._echoes):
            if came in (b"", sent):
                raise DeviceError("no confirmation came", "silent")
            raise DeviceError(f"what came is no confirmation: {came[:16].hex(' ')}", "noise")

    def _learn(self, wire: Wire, sent_ns: int, frames_s: float) -> None:
        self._patience.answered((wire.clock.now().mono_ns - sent_ns) / 1e9 - frames_s)

    def _let_pass(self, question: Question, number: int, within_s: float, wire: Wire) -> None:
        """The rest of a spoilt answer; or the answer, for what was spoilt may have been noise before it.

        Asked again at once, a device that keeps requests would answer both, and its second answer be taken for that to the next question.
        """
        wire.receive(lambda so_far: 0 if self._framing.is_over(question, number, so_far) else 1, within_s)

    def _expect(self, question: Question, sent_ns: int, wire: Wire) -> None:
        """The answer may still come: remember it for whoever asks this device next."""
        horizon_s = max(1.0, 2 * self._patience.bound_s) + 10 * self._speed.round_trip_s
        wire.owed.expect(question.unit, question.function, lambda so_far: self._framing.still(question, 0, so_far), sent_ns + int(horizon_s * 1e9))
