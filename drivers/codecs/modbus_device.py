"""Modbus bytes as a device understands and answers them: for the simulated devices, and for whoever listens to a line."""

import struct
from collections.abc import Sequence

from drivers.codecs.modbus import BIT_FUNCTIONS, MOST, READ_FUNCTIONS, DeclinedError, Question


def request_size(so_far: bytes) -> int:
    """The whole length of a serial request that begins with these bytes; 0 = cannot be told yet, -1 = no request."""
    if len(so_far) < 2:
        return 0
    if so_far[1] in (*READ_FUNCTIONS, 5, 6):
        return 8
    if so_far[1] in (15, 16):
        return 9 + so_far[6] if len(so_far) > 6 else 0
    return -1


def read_question(unit: int, pdu: bytes) -> Question:
    """The question in a request. Raises DeclinedError with the code that a real device would answer."""
    if not pdu or pdu[0] not in READ_FUNCTIONS:
        raise DeclinedError(1)
    if len(pdu) != 5:
        raise DeclinedError(3)
    function, first, count = struct.unpack(">BHH", pdu)
    if not 1 <= count <= MOST[function]:
        raise DeclinedError(3)
    if first + count > 0x10000:
        raise DeclinedError(2)
    return Question(unit, function, first, count)


def answer_pdu(question: Question, read: Sequence[int]) -> bytes:
    """The answer that carries these registers or coils."""
    head = bytes([question.function, question.data_bytes])
    if question.function in BIT_FUNCTIONS:
        packed = sum((value & 1) << place for place, value in enumerate(read))
        return head + packed.to_bytes(question.data_bytes, "little")
    return head + struct.pack(f">{len(read)}H", *read)


def exception_pdu(function: int, code: int) -> bytes:
    """The answer that declines."""
    return bytes([function | 0x80, code])
