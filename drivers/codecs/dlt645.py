"""DL/T 645 energy meters, 2007 and 1997: 68, six bytes of address, 68, control, length, data (each byte + 33), sum, 16.

Addresses and values are BCD with the lowest byte first; any number of FE may wake the line before a frame. Source: DL/T
645-2007 as public implementations and logs of real meters show it; 1997 has other controls and items of two bytes.
"""

import math
import re
from dataclasses import dataclass

from drivers.codecs.frame import NotAFrame, hexed

READ_2007, READ_1997, READ_ADDRESS = 0x11, 0x01, 0x13
ANSWER, ERROR, MORE = 0x80, 0x40, 0x20
"""Bits of an answer's control: from the meter; it declines; another frame follows."""
ANYONE = "AA" * 6
_SHIFT = 0x33
_MARK, _END, _WAKE = 0x68, 0x16, 0xFE
_ITEM = re.compile(r"[0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{4})?")
_ADDRESS = re.compile(r"[0-9]{1,12}|A{12}")
LEAST = 12
"""A frame without data."""
REFUSALS = ((0x01, "other error"), (0x02, "no such data"), (0x04, "wrong password"), (0x08, "the baud rate cannot be changed"),
            (0x10, "too many yearly zones"), (0x20, "too many daily periods"), (0x40, "too many rates"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """A checked frame: the address as people read it (12 digits), control, and data as meant (without the + 33)."""

    address: str
    control: int
    data: bytes = b""

    @property
    def is_answer(self) -> bool:
        """It comes from a meter."""
        return bool(self.control & ANSWER)

    @property
    def item(self) -> str:
        """The data item that it asks for or holds, as people write it: "00010000", 1997 "9010"; "" if it has none."""
        function = self.control & 0x1F
        size = {0x11: 4, 0x01: 2}.get(function, 0)
        return self.data[:size][::-1].hex().upper() if len(self.data) >= size and not self.control & ERROR else ""


def frame_size(so_far: bytes) -> int:
    """See Cutter.size."""
    if so_far[:1] != bytes((_MARK,)) or so_far[7:8] not in (b"", bytes((_MARK,))):
        return -1
    return 0 if len(so_far) < 10 else LEAST + so_far[9]


def is_good(frame: bytes) -> bool:
    """Do sum and end fit?"""
    return len(frame) >= LEAST and frame[-1] == _END and sum(frame[:-2]) & 0xFF == frame[-2]


def build(frame: Frame, wake: int = 4) -> bytes:
    """The bytes of a frame with so many FE before it."""
    body = bytes((_MARK,)) + bytes.fromhex(frame.address)[::-1] + bytes((_MARK, frame.control, len(frame.data)))
    body += bytes((byte + _SHIFT) & 0xFF for byte in frame.data)
    return bytes((_WAKE,)) * wake + body + bytes((sum(body) & 0xFF, _END))


def read(stream: bytes) -> Frame:
    """One frame, exactly, but for FE before it. Raises NotAFrame."""
    frame = stream.lstrip(bytes((_WAKE,)))
    size = frame_size(frame)
    if size != len(frame):
        raise NotAFrame(f"not a DL/T 645 frame: {hexed(stream)}", "short" if size == 0 or size > len(frame) else "noise")
    if not is_good(frame):
        raise NotAFrame("the checksum does not fit")
    return Frame(frame[6:0:-1].hex().upper(), frame[8], bytes((byte - _SHIFT) & 0xFF for byte in frame[10:-2]))


def find(stream: bytes, control: int, address: str, item: bytes = b"") -> Frame:
    """The answer to a request in a stream, whatever stands before it (an echo, FE, noise, other meters). Raises NotAFrame.

    `item` is how the answer's data must begin, unless the meter declines.
    """
    why = NotAFrame(f"no frame in {hexed(stream)}", "noise")
    for at, byte in enumerate(stream):
        size = frame_size(stream[at:]) if byte == _MARK else -1
        if size < 0:
            continue
        try:
            frame = read(stream[at : at + size] if size else stream[at:])
        except NotAFrame as error:
            why = error
            continue
        if frame.control & 0x9F != control | ANSWER:
            continue
        if not is_of(frame.address, address):
            why = NotAFrame(f"meter {frame.address} answered instead of {address}", "wrong")
        elif frame.data[: len(item)] != item and not frame.control & ERROR:
            why = NotAFrame(f"item {frame.item} came", "late")
        else:
            return frame
    raise why


def missing(so_far: bytes, control: int, address: str, item: bytes, data_bytes: int) -> int:
    """How many bytes of the answer are still to come at least; 0 = it is there, or what came in its place is spoilt."""
    try:
        find(so_far, control, address, item)
    except NotAFrame:
        for at, byte in enumerate(so_far):
            rest = so_far[at:]
            size = frame_size(rest) if byte == _MARK else -1
            if size < 0 or (len(rest) > 8 and not rest[8] & ANSWER):
                continue
            missed = (size or LEAST + data_bytes) - len(rest)
            if missed > 0 or not is_good(rest[:size]):
                return max(0, missed)
        return LEAST + data_bytes
    return 0


def is_of(address: str, asked: str) -> bool:
    """Is this the meter that was asked? AA in the question stands for any two digits (1997 fills short addresses up with them)."""
    return all(there in ("AA", here) for here, there in zip(_pairs(address), _pairs(asked), strict=True))


def full_address(text: str) -> str:
    """Twelve digits of up to twelve, or AAAAAAAAAAAA for a meter that is alone on its line. Raises ValueError."""
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f'"{text}" is no meter address; write the digits of its label, up to 12, or {ANYONE} if it is alone')
    return text.zfill(12)


def item_bytes(item: str) -> bytes:
    """The bytes of a data item as it is sent: 8 hex digits (2007) or 4 (1997). Raises ValueError."""
    if not _ITEM.fullmatch(item):
        raise ValueError(f'"{item}" is no data item; write 8 hex digits (2007) or 4 (1997)')
    return bytes.fromhex(item)[::-1]


def bcd(data: bytes, decimals: int, *, signed: bool = False) -> float:
    """The number in packed decimal digits, lowest byte first; NaN if they are none (all FF: the meter has no value).

    >>> bcd(bytes.fromhex("26000000"), 2), bcd(bytes.fromhex("002180"), 4, signed=True)
    (0.26, -0.21)
    """
    digits = data[::-1].hex()
    sign = 1
    if signed and data and data[-1] & 0x80 and data[-1] != 0xFF:
        sign, digits = -1, f"{data[-1] & 0x7F:02x}" + digits[2:]
    return sign * int(digits) / 10**decimals if digits.isdecimal() else math.nan


def to_bcd(value: float, size: int, decimals: int, *, signed: bool = False) -> bytes:
    """The bytes that `bcd` reads as this value. Raises ValueError if they cannot hold it."""
    digits = f"{abs(round(value * 10**decimals)):0{2 * size}d}"
    if len(digits) > 2 * size or (signed and digits[0] > "7") or (value < 0 and not signed):
        raise ValueError(f"{value} does not fit into {size} bytes with {decimals} decimals")
    data = bytearray.fromhex(digits)[::-1]
    data[-1] |= 0x80 if value < 0 else 0
    return bytes(data)


def refusal(frame: Frame) -> str:
    """Why a meter declines, in words."""
    code = frame.data[0] if frame.data else 0
    return ", ".join(words for bit, words in REFUSALS if code & bit) or f"error {code:02X}"


def _pairs(address: str) -> list[str]:
    return [address[at : at + 2] for at in range(0, 12, 2)]
