"""Modbus bytes without any I/O: RTU frames (CRC-16) and TCP frames (MBAP), as the master sends and understands them.

Source: Modbus Application Protocol V1.1b3, Modbus over Serial Line V1.02, Modbus Messaging on TCP/IP V1.0b.
The master knows what it asked, so it knows how long the answer is: no silence is ever waited for. An answer counts only
if unit, function and byte count are those of the question; whole frames of others before it are stepped over.
"""

import struct
from dataclasses import dataclass, field
from typing import Literal, Protocol

from config.errors import DeviceError
from drivers.likely import DECLINED, ECHO, NO_LIST, TWICE

EXCEPTIONS = {
    1: "illegal function", 2: "illegal register", 3: "illegal value or count", 4: "device failure", 5: "acknowledged, still working",
    6: "busy", 7: "negative acknowledge", 8: "memory parity error", 10: "gateway path unavailable",
    11: "gateway: the device does not answer",
}  # fmt: skip
BIT_FUNCTIONS = (1, 2)
READ_FUNCTIONS = (1, 2, 3, 4)
MOST = {1: 2000, 2: 2000, 3: 125, 4: 125}
"""The most coils or registers that one request of a function may ask for."""
_STRAY_BYTES = 4
"""Bus drivers that switch over put a stray byte or two on the line before an answer."""


class DeclinedError(DeviceError):
    """The device answered with an exception: `code` says which."""

    def __init__(self, code: int) -> None:
        self.code = code
        cause = "busy" if code in (5, 6) else "silent" if code == 11 else "exception"
        super().__init__(f"exception {code} ({EXCEPTIONS.get(code, 'unknown')})", cause, DECLINED.get(code, NO_LIST))


@dataclass(frozen=True, slots=True)
class Question:
    """One read request: `count` coils (functions 1, 2) or registers (3, 4) from `first` on. What is asked again and again is made once."""

    unit: int
    function: int
    first: int
    count: int
    pdu: bytes = field(init=False, repr=False, compare=False)
    """Function, first, count."""
    data_bytes: int = field(init=False, repr=False, compare=False)
    """How many bytes of values the answer carries."""
    header: bytes = field(init=False, repr=False, compare=False)
    """How its serial answer begins: unit, function, byte count."""
    sealed: bytes = field(init=False, repr=False, compare=False)
    """The whole serial request."""

    def __post_init__(self) -> None:
        size = -(-self.count // 8) if self.function in BIT_FUNCTIONS else 2 * self.count
        object.__setattr__(self, "pdu", struct.pack(">BHH", self.function, self.first, self.count))
        object.__setattr__(self, "data_bytes", size)
        object.__setattr__(self, "header", bytes([self.unit, self.function, size & 0xFF]))
        object.__setattr__(self, "sealed", seal(bytes([self.unit]) + self.pdu))

    @property
    def resembles_its_answer(self) -> bool:
        """An echo of the request begins like the answer."""
        return self.pdu[1] == self.header[2]


class Framing(Protocol):
    """How requests and answers are wrapped."""

    def ask(self, question: Question, number: int) -> bytes:
        """The whole request; `number` tells requests apart where the frame can carry it (TCP)."""
        ...

    def still(self, question: Question, number: int, so_far: bytes) -> int:
        """How many bytes the answer still needs: 0 = complete, -1 = no answer can come of this stream any more."""
        ...

    def answer_size(self, question: Question) -> int:
        """How many characters the answer takes on the wire, if the device does not decline."""
        ...

    def answer(self, question: Question, number: int, frame: bytes) -> list[int]:
        """The values. Raises DeviceError: silent, short, noise, wrong or exception."""
        ...

    def is_over(self, question: Question, number: int, stream: bytes) -> bool:
        """Is a whole good answer, or a refusal, anywhere in what came? Then the device owes none any more."""
        ...


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS; sent low byte first.

    >>> hex(crc16(b"123456789"))
    '0x4b37'
    """
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def _table() -> tuple[int, ...]:
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (0xA001 if row & 1 else 0)
        rows.append(row)
    return tuple(rows)


_TABLE = _table()


def seal(body: bytes) -> bytes:
    """A serial frame: unit and PDU with their CRC behind."""
    return body + crc16(body).to_bytes(2, "little")


def is_sealed(frame: bytes) -> bool:
    """Does the CRC fit? False for anything shorter than an exception's five bytes less one (a frame has at least 4)."""
    return len(frame) >= 4 and crc16(frame) == 0


def wrap(number: int, unit: int, pdu: bytes) -> bytes:
    """A TCP frame: MBAP header and PDU."""
    return struct.pack(">HHHB", number, 0, len(pdu) + 1, unit) + pdu


class Rtu:
    """Serial frames, on a serial line or through a transparent TCP converter."""

    def ask(self, question: Question, number: int) -> bytes:
        """See Framing; a serial frame has no number."""
        return question.sealed

    def answer_size(self, question: Question) -> int:
        """See Framing."""
        return 5 + question.data_bytes

    def still(self, question: Question, number: int, so_far: bytes) -> int:
        """See Framing. Before the header is there, an ordinary answer is expected: one wait for the whole frame."""
        if question.header.startswith(so_far[:3]) and not question.resembles_its_answer:
            return max(0, 5 + question.data_bytes - len(so_far))  # what nearly all are; the rest of this class is for the others
        return self._find(question, so_far).missing

    def answer(self, question: Question, number: int, frame: bytes) -> list[int]:
        """See Framing."""
        size = 5 + question.data_bytes
        if len(frame) == size and frame.startswith(question.header) and not question.resembles_its_answer and is_sealed(frame):
            return values(question, frame[1:-2])
        found = self._find(question, frame)
        mine = frame[found.start :]
        if not frame:
            raise DeviceError("no answer: power, wires A and B, address?", "silent")
        if not mine and found.stepped is None:
            raise DeviceError(ECHO, "silent")
        if found.stepped is not None and found.missing:
            raise other_than(question, found.stepped)
        if found.missing and len(mine) > 2 and not self._is_ours(question, mine):
            raise DeviceError("what came is no answer: baud rate, parity, wiring?", "noise")
        if found.missing:
            raise DeviceError(f"answer ends after {len(mine)} bytes, {found.missing} are missing", "short")
        size = self._size(question, mine)
        if not is_sealed(mine[:size]):
            raise DeviceError("the checksum does not fit: baud rate, parity, wiring, or two devices with one address?", "noise")
        if len(mine) >= 2 * size and self._is_ours(question, mine[size:]) and is_sealed(mine[size : 2 * size]):
            raise DeviceError(TWICE, "wrong")
        return values(question, mine[1 : size - 2])

    def is_over(self, question: Question, number: int, stream: bytes) -> bool:
        """See Framing."""
        declined = bytes((question.unit, question.function | 0x80))
        for begin, size in ((question.header, 5 + question.data_bytes), (declined, 5)):
            at = stream.find(begin)
            while 0 <= at <= len(stream) - size:
                if is_sealed(stream[at : at + size]):
                    return True
                at = stream.find(begin, at + 1)
        return False

    def _find(self, question: Question, so_far: bytes) -> "_Found":
        """Where our answer begins: behind an echo of the request, whole frames of others, a few stray bytes."""
        asked = bytes([question.unit]) + question.pdu
        echo = so_far[:6] == asked and is_sealed(so_far[:8])
        start, stepped = (8 if echo else 0), None
        while True:
            rest = so_far[start:]
            size = self._size(question, rest)
            if self._is_ours(question, rest):
                break
            if len(rest) >= size and is_sealed(rest[:size]):
                start, stepped = start + size, rest[:size]
                continue
            stray = rest.find(question.header, 1, 1 + _STRAY_BYTES + len(question.header))
            if stray < 0:
                break
            start += stray
        if not self._is_ours(question, rest):  # not to be judged before an answer, or an echo, could be whole
            size = max(size, 5 + question.data_bytes, 8 if len(so_far) > 2 and asked.startswith(so_far[:6]) else 0)
        return _Found(start, max(0, size - len(rest)), stepped)

    @staticmethod
    def _is_ours(question: Question, rest: bytes) -> bool:
        declined = rest[1:2] == bytes([question.function | 0x80])
        return rest[:1] == bytes([question.unit]) and (declined or rest[1:3] == question.header[1:])

    @staticmethod
    def _size(question: Question, rest: bytes) -> int:
        """The length of the frame that begins here, by its function and byte count; before these are there, of ours."""
        if len(rest) >= 2 and rest[1] & 0x80:
            return 5
        if len(rest) >= 3 and rest[1] in READ_FUNCTIONS:
            return 5 + rest[2]
        return 5 + question.data_bytes


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    missing: int
    stepped: bytes | None
    """The last whole frame that was not ours."""


def other_than(question: Question, frame: bytes) -> DeviceError:
    """What it means that only this whole frame came: unit, function, byte count and so on."""
    if frame[0] != question.unit:
        return DeviceError(f"unit {frame[0]} answered instead of {question.unit}", "wrong")
    if frame[1] == question.function:
        size = f"{frame[2] if len(frame) > 2 else 0} instead of {question.data_bytes}"
        return DeviceError(f"an answer of {size} bytes came: late, or does the profile fit another model?", "late")
    return DeviceError("only an answer to another question came", "late")


class Mbap:
    """TCP frames: the transaction number tells a late answer from ours."""

    def ask(self, question: Question, number: int) -> bytes:
        """See Framing."""
        return wrap(number, question.unit, question.pdu)

    def answer_size(self, question: Question) -> int:
        """See Framing."""
        return 9 + question.data_bytes

    def still(self, question: Question, number: int, so_far: bytes) -> int:
        """See Framing."""
        return self._look(number, so_far)[1]

    def answer(self, question: Question, number: int, frame: bytes) -> list[int]:
        """See Framing."""
        start, missing = self._look(number, frame)
        mine = frame[start:]
        if missing < 0:
            raise DeviceError("what came is not Modbus TCP", "noise")
        if missing:
            if not mine:
                raise DeviceError("no answer: power, network, unit number?", "silent")
            raise DeviceError(f"answer ends after {len(mine)} bytes", "short")
        if mine[6] != question.unit:
            raise DeviceError(f"unit {mine[6]} answered instead of {question.unit}", "wrong")
        return values(question, mine[7 : 6 + int.from_bytes(mine[4:6])])

    def is_over(self, question: Question, number: int, stream: bytes) -> bool:
        """See Framing."""
        return self._look(number, stream)[1] <= 0

    @staticmethod
    def _look(number: int, so_far: bytes) -> tuple[int, int]:
        """(where our answer begins, how many bytes it still needs; -1 = the stream has lost its frames)."""
        start = 0
        while True:
            have = len(so_far) - start
            if have < 6:
                return start, 9 - have
            transaction, protocol, length = struct.unpack_from(">HHH", so_far, start)
            if protocol or not 3 <= length <= 254:
                return start, -1
            if have < 6 + length:
                return start, 6 + length - have
            if transaction == number:
                return start, 0
            start += 6 + length


def values(question: Question, pdu: bytes) -> list[int]:
    """The registers (0..65535) or coils (0, 1) of a good answer. Raises DeclinedError, or DeviceError `wrong`."""
    if len(pdu) == 2 and pdu[0] == question.function | 0x80:
        raise DeclinedError(pdu[1])
    size = question.data_bytes
    if len(pdu) != 2 + size or pdu[0] != question.function or pdu[1] != size:
        raise DeviceError(f"answer of function {pdu[0]} with {len(pdu) - 2} bytes instead of {question.function} with {size}", "wrong")
    if question.function in BIT_FUNCTIONS:
        return [pdu[2 + i // 8] >> i % 8 & 1 for i in range(question.count)]
    return list(struct.unpack_from(f">{question.count}H", pdu, 2))


FRAMINGS: dict[Literal["rtu", "tcp"], Framing] = {"rtu": Rtu(), "tcp": Mbap()}
"""By the name that a line's options use."""
