"""SDI-12 v1.4, the characters only: commands, answers, CRC. Break and marking belong to the adapter.

Source: SDI-12 Support Group, SDI-12 Specification v1.4, chapters 4.3 and 4.4; its CRC examples are tested.
"""

import re
from dataclasses import dataclass

from drivers.codecs.frame import NotAFrame, hexed

ADDRESSES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ANYONE = "?"
"""The address that every sensor answers to; it tells its own."""
_VALUE = re.compile(r"[+-](?=[\d.]{1,8}(?![\d.]))(?=\d*\.?\d*)(?=\.?\d)\d{0,7}\.?\d{0,7}")
_VALUES = re.compile(rb"(?:[+-][\d.]+)*")
_COMMAND = re.compile(r"([0-9A-Za-z?])(?:(A)([0-9A-Za-z])|((?:MC?|CC?)[1-9]?|V|I|D[0-9]|RC?[0-9]|))!")
_MOST_DIGITS = 7
END = b"\r\n"


@dataclass(frozen=True, slots=True)
class Command:
    """A command: the sensor's address and what stands between it and the "!"."""

    address: str
    body: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Answer to M, C or V: when the values can be fetched, and how many there are."""

    address: str
    ready_s: int
    count: int


@dataclass(frozen=True, slots=True)
class Values:
    """Answer to D or R: the values as they were written."""

    address: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """Answer to I."""

    address: str
    version: str
    vendor: str
    model: str
    sensor_version: str
    optional: str


def crc16(data: bytes) -> int:
    """CRC-16/ARC.

    >>> hex(crc16(b"123456789"))
    '0xbb3d'
    """
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def crc_characters(data: bytes) -> bytes:
    """The three characters that stand for the CRC of these (4.4.12.2).

    >>> crc_characters(b"0+3.14")
    b'OqZ'
    """
    crc = crc16(data)
    return bytes((0x40 | crc >> 12, 0x40 | crc >> 6 & 0x3F, 0x40 | crc & 0x3F))


def command(address: str, body: str) -> bytes:
    """The characters of a command."""
    return f"{address}{body}!".encode("ascii")


def read_command(data: bytes) -> Command:
    """A command. Raises NotAFrame."""
    match = _COMMAND.fullmatch(data.decode("latin-1"))
    if match is None:
        raise NotAFrame(f"not a command: {hexed(data)}")
    return Command(match[1], f"A{match[3]}" if match[2] else match[4])


def line_of(data: bytes) -> bytes:
    """The characters of one whole answer, without its end. Raises NotAFrame."""
    if not data.endswith(END):
        raise NotAFrame(f"an answer without its end: {hexed(data)}", "short")
    line = data[:-2]
    if not line or chr(line[0]) not in ADDRESSES or not all(0x20 <= byte <= 0x7F for byte in line):  # 7F can be part of a CRC
        raise NotAFrame(f"not an answer: {hexed(data)}")
    return line


def read_ready(data: bytes, digits: int = 1) -> Ready:
    """atttn: `digits` of count are 1 after M and V, 2 after C. Raises NotAFrame."""
    line = line_of(data)
    if len(line) != 4 + digits or not line[1:].isdigit():
        raise NotAFrame(f"not the answer to a measurement command: {hexed(data)}")
    return Ready(chr(line[0]), int(line[1:4]), int(line[4:]))


def read_values(data: bytes, *, crc: bool) -> Values:
    """The values of a D or R answer, with or without CRC. Raises NotAFrame."""
    line = line_of(data)
    if crc:
        if len(line) < 4 or crc_characters(line[:-3]) != line[-3:]:
            raise NotAFrame("crc: the checksum does not fit")
        line = line[:-3]
    text = line[1:].decode("ascii")
    found, at = [], 0
    while at < len(text):
        match = _VALUE.match(text, at)
        if match is None or sum(map(str.isdigit, match[0])) > _MOST_DIGITS:
            raise NotAFrame(f"not a list of values: {hexed(data)}")
        found.append(match[0])
        at = match.end()
    return Values(chr(line[0]), tuple(found))


def has_crc(data: bytes) -> bool:
    """Does a D or R answer look as if a CRC stood at its end?"""
    line = line_of(data)
    values = _VALUES.match(line, 1)
    assert values is not None
    return len(line) - values.end() == 3 and all(0x40 <= byte <= 0x7F for byte in line[-3:])


def read_identity(data: bytes) -> Identity:
    """Answer to I. Raises NotAFrame."""
    text = line_of(data).decode("ascii")
    if not 20 <= len(text) <= 33 or not text[1:3].isdigit():
        raise NotAFrame(f"not an identification: {hexed(data)}")
    return Identity(text[0], text[1:3], text[3:11], text[11:17], text[17:20], text[20:])


def answer(address: str, body: str, *, crc: bool = False) -> bytes:
    """What a sensor answers."""
    line = f"{address}{body}".encode("ascii")
    return line + (crc_characters(line) if crc else b"") + END
