"""Modbus ASCII frames: a colon, unit and PDU with their LRC in hex digits, CR LF. For old instruments and poor lines.

Source: Modbus over Serial Line V1.02, 2.5.2. As with RTU the master knows how long the answer is, and frames of others and
the echo of its own request are stepped over.
"""

import re
from dataclasses import dataclass

from config.errors import DeviceError
from drivers.codecs.modbus import Question, other_than, values
from drivers.likely import ECHO, TWICE

_START, _END = b":", b"\r\n"
_FRAME = re.compile(rb":((?:[0-9A-Fa-f]{2}){3,256})\r\n")
_AROUND = 11
"""Characters of an answer beside the digits of its values: colon, unit, function, count, LRC, CR LF."""
_LEAST_ANSWER = 3
"""Unit, function and a count or the code of an exception; requests of other functions may be shorter, and fit their check."""


def lrc(data: bytes) -> int:
    """The longitudinal check: what brings the sum of all bytes to 0.

    >>> hex(lrc(bytes.fromhex("010300000001")))
    '0xfb'
    """
    return -sum(data) & 0xFF


def seal(body: bytes) -> bytes:
    """The frame of unit and PDU."""
    return _START + (body + bytes((lrc(body),))).hex().upper().encode("ascii") + _END


def unseal(frame: bytes) -> bytes | None:
    """Unit and PDU of a frame; None if it is none, or its check does not fit."""
    match = _FRAME.fullmatch(frame)
    if match is None:
        return None
    body = bytes.fromhex(match[1].decode("ascii"))
    return body[:-1] if sum(body) & 0xFF == 0 else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a stream holds of an answer to a question."""

    body: bytes | None = None
    """Unit and PDU of the answer."""
    spoilt: bool = False
    stranger: bytes | None = None
    """Unit and PDU of a whole frame that was not ours."""
    rest: bytes = b""
    """What has begun and not ended, or stands behind the answer."""


class Ascii:
    """See drivers.codecs.modbus.Framing."""

    def ask(self, question: Question, number: int) -> bytes:
        """See Framing; a serial frame has no number."""
        return seal(bytes([question.unit]) + question.pdu)

    def answer_size(self, question: Question) -> int:
        """See Framing."""
        return _AROUND + 2 * question.data_bytes

    def still(self, question: Question, number: int, so_far: bytes) -> int:
        """See Framing."""
        seen = self._look(question, so_far)
        if seen.body is not None or seen.spoilt:
            return 0
        declined = seen.rest[3:5].upper() == b"%02X" % (question.function | 0x80)
        return max(1, (_AROUND if declined else self.answer_size(question)) - len(seen.rest))

    def answer(self, question: Question, number: int, frame: bytes) -> list[int]:
        """See Framing."""
        seen = self._look(question, frame)
        if seen.body is not None:
            if self._look(question, seen.rest).body is not None:
                raise DeviceError(TWICE, "wrong")
            return values(question, seen.body[1:])
        if seen.spoilt:
            raise DeviceError("the checksum does not fit: baud rate, parity, wiring, or two devices with one address?", "noise")
        if seen.stranger is not None:
            raise other_than(question, seen.stranger)
        if not frame:
            raise DeviceError("no answer: power, wires A and B, address?", "silent")
        if frame == self.ask(question, number):
            raise DeviceError(ECHO, "silent")
        if not seen.rest:
            raise DeviceError("what came is no answer: baud rate, parity, wiring?", "noise")
        raise DeviceError(f"answer ends after {len(seen.rest)} characters", "short")

    def is_over(self, question: Question, number: int, stream: bytes) -> bool:
        """See Framing."""
        while (start := stream.find(_START)) >= 0:
            seen = self._look(question, stream[start:])
            if seen.body is not None:
                return True
            stream = stream[start + 1 :]
        return False

    @staticmethod
    def _look(question: Question, stream: bytes) -> _Seen:
        asked = bytes([question.unit]) + question.pdu
        stranger, rest = None, stream
        while (start := rest.find(_START)) >= 0:
            end = rest.find(_END, start)
            if end < 0:
                return _Seen(stranger=stranger, rest=rest[start:])
            body = unseal(rest[rest.rfind(_START, start, end) : end + 2])
            rest = rest[end + 2 :]
            if body is None or len(body) < _LEAST_ANSWER:
                return _Seen(spoilt=True)
            if body[0] == question.unit and body[1] & 0x7F == question.function and body != asked and (
                    body[1] & 0x80 or body[2:3] == bytes((question.data_bytes,))):
                return _Seen(body, rest=rest)
            stranger = stranger if body == asked else body
        return _Seen(stranger=stranger)
