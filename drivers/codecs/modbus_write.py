"""Modbus requests that change something: functions 5, 6, 15 and 16, and what counts as their confirmation.

Source: Modbus Application Protocol V1.1b3, 6.5, 6.6, 6.11, 6.12. A device confirms 5 and 6 by repeating the request, 15 and
16 by repeating address and count. Nothing else is a confirmation: neither another value nor, on a line whose adapter
echoes, the request alone.

Some makers (Yosemitech) start an action by a request for no register at all, function 3 or 16 with a count of 0. The
specification has no such request; the confirmation is what its rules give: no data, or address and count.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from config.errors import DeviceError
from drivers.codecs import modbus_ascii
from drivers.codecs.modbus import DeclinedError, is_sealed, seal, wrap

WRITE_FUNCTIONS = (5, 6, 15, 16)
COIL_FUNCTIONS = (5, 15)
EMPTY_FUNCTIONS = (3, 16)
"""Those that may carry nothing: the request itself is what the device is told."""
MOST_WRITTEN = {5: 1, 6: 1, 15: 1968, 16: 123}
"""The most coils or registers that one request of a function may carry."""
FramingName = Literal["rtu", "ascii", "tcp"]
_ON, _OFF = 0xFF00, 0x0000


@dataclass(frozen=True, slots=True)
class Write:
    """One request: `values` are coils (0, 1) for functions 5 and 15, registers (0..65535) for 6 and 16, from `first` on; or none."""

    unit: int
    function: int
    first: int
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuses what no request can say (ValueError)."""
        if not self.values and self.function in EMPTY_FUNCTIONS and 0 <= self.first <= 0xFFFF:
            return
        if self.function not in WRITE_FUNCTIONS:
            raise ValueError(f"function {self.function} writes nothing; there is 5, 6, 15, 16")
        if not 1 <= len(self.values) <= MOST_WRITTEN[self.function]:
            raise ValueError(f"function {self.function} writes 1 to {MOST_WRITTEN[self.function]} values, not {len(self.values)}")
        if self.first < 0 or self.first + len(self.values) > 0x10000:
            raise ValueError(f"register {self.first} with {len(self.values)} values ends beyond 65535")
        most = 1 if self.function in COIL_FUNCTIONS else 0xFFFF
        if not all(0 <= value <= most for value in self.values):
            raise ValueError(f"function {self.function} writes values from 0 to {most}")

    @property
    def pdu(self) -> bytes:
        """The request."""
        count = len(self.values)
        if self.function == 3:
            return struct.pack(">BHH", 3, self.first, 0)
        if self.function == 5:
            return struct.pack(">BHH", 5, self.first, _ON if self.values[0] else _OFF)
        if self.function == 6:
            return struct.pack(">BHH", 6, self.first, self.values[0])
        if self.function == 15:
            packed = sum(value << place for place, value in enumerate(self.values)).to_bytes(-(-count // 8), "little")
            return struct.pack(">BHHB", 15, self.first, count, len(packed)) + packed
        return struct.pack(f">BHHB{count}H", 16, self.first, count, 2 * count, *self.values)

    @property
    def confirmation(self) -> bytes:
        """The only answer that says: done."""
        if self.function == 3:
            return bytes([3, 0])
        return self.pdu if self.function in (5, 6) else struct.pack(">BHH", self.function, self.first, len(self.values))


def request(framing: FramingName, write: Write, number: int) -> bytes:
    """The whole request."""
    body = bytes([write.unit]) + write.pdu
    return wrap(number, write.unit, write.pdu) if framing == "tcp" else modbus_ascii.seal(body) if framing == "ascii" else seal(body)


def answer_size(framing: FramingName, write: Write) -> int:
    """Characters of its confirmation."""
    body = 1 + len(write.confirmation)
    return {"rtu": body + 2, "ascii": 2 * body + 5, "tcp": body + 6}[framing]


def confirmed(framing: FramingName, write: Write, number: int, stream: bytes, *, echoes: bool) -> bool:
    """Has the device confirmed it in what came so far? False = not yet.

    `echoes`: the line returns our own bytes, so the request itself does not count. Raises DeclinedError if it declines, and
    DeviceError `wrong` if it confirms something else.
    """
    echo = bytes([write.unit]) + write.pdu
    for body in _bodies(framing, number, stream):
        if body == echo and (echoes or write.function not in (5, 6)):
            echoes = False
        elif body[0] == write.unit and body[1] == write.function:
            if body[1:] != write.confirmation:
                raise DeviceError(f"the device confirmed {body[2:].hex(' ')} instead of {write.confirmation[1:].hex(' ')}", "wrong")
            return True
        elif body[0] == write.unit and body[1] == write.function | 0x80 and len(body) == 3:
            raise DeclinedError(body[2])
    return False


def _bodies(framing: FramingName, number: int, stream: bytes) -> Iterator[bytes]:
    """Unit and PDU of every whole good frame."""
    return _tcp_bodies(number, stream) if framing == "tcp" else _ascii_bodies(stream) if framing == "ascii" else _rtu_bodies(stream)


def _rtu_bodies(stream: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 < len(stream):
        size = next((size for size in _rtu_sizes(stream[at : at + 7]) if len(stream) >= at + size and is_sealed(stream[at : at + size])), 0)
        if size:
            yield stream[at : at + size - 2]
        at += size or 1


def _rtu_sizes(head: bytes) -> tuple[int, ...]:
    """What a frame that begins like this may measure: a refusal; no data, and the request for it; a confirmation, and its request."""
    if head[1] & 0x80:
        return (5,)
    if head[1] == 3:
        return (5, 8)
    return (8, 9 + head[6]) if len(head) > 6 else (8,)


def _ascii_bodies(stream: bytes) -> Iterator[bytes]:
    for piece in stream.split(b"\r\n")[:-1]:
        body = modbus_ascii.unseal(piece[max(0, piece.rfind(b":")) :] + b"\r\n")
        if body is not None:
            yield body


def _tcp_bodies(number: int, stream: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(stream):
        transaction, protocol, length = struct.unpack_from(">HHH", stream, at)
        if protocol or not 3 <= length <= 254 or at + 6 + length > len(stream):
            return
        if transaction == number:
            yield stream[at + 6 : at + 6 + length]
        at += 6 + length


def read_write(unit: int, pdu: bytes) -> Write:
    """The request as a device understands it. Raises DeclinedError with the code that a real device would answer."""
    if not pdu or pdu[0] not in WRITE_FUNCTIONS:
        raise DeclinedError(1)
    function = pdu[0]
    if len(pdu) < 5:
        raise DeclinedError(3)
    first, second = struct.unpack_from(">HH", pdu, 1)
    if function in (5, 6):
        if len(pdu) != 5 or (function == 5 and second not in (_ON, _OFF)):
            raise DeclinedError(3)
        return Write(unit, function, first, (int(second == _ON) if function == 5 else second,))
    size = -(-second // 8) if function == 15 else 2 * second
    if not 1 <= second <= MOST_WRITTEN[function] or len(pdu) != 6 + size or pdu[5] != size:
        raise DeclinedError(3)
    if first + second > 0x10000:
        raise DeclinedError(2)
    if function == 15:
        return Write(unit, 15, first, tuple(pdu[6 + place // 8] >> place % 8 & 1 for place in range(second)))
    return Write(unit, 16, first, struct.unpack_from(f">{second}H", pdu, 6))


def read_empty(unit: int, pdu: bytes) -> Write | None:
    """The request for no register that some devices take as being told something; None = it is another request."""
    is_empty = (len(pdu) == 5 and pdu[0] == 3) or (len(pdu) == 6 and pdu[0] == 16 and not pdu[5])
    return Write(unit, pdu[0], int.from_bytes(pdu[1:3]), ()) if is_empty and not any(pdu[3:5]) else None
